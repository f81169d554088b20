import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from metric_samples import CLIPS, clip

from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.vmaf import vmaf_of_files, vmaf_of_frames


def ffmpeg(*arguments: object) -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-nostdin", "-v", "info"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, check=True)
    return done.stderr.decode()


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A clip, lossless in Matroska, and an encode of it with another clock in MP4."""
    folder = tmp_path_factory.mktemp("a: folder, with 'signs'")
    reference, distorted = folder / "reference.mkv", folder / "distorted.mp4"
    lossless = ("-c:v", "libx264", "-qp", "0")
    ffmpeg("-i", CLIPS / "bikes.mp4", "-frames:v", 12, *lossless, reference)
    clock = ("-video_track_timescale", 90000)
    ffmpeg("-i", reference, "-c:v", "libx264", "-crf", 36, "-threads", 1, *clock, distorted)
    return distorted, reference


def test_equals_the_command_line_tool(videos, tmp_path):
    """libvmaf's own mean, of two raw files whose frames can only be paired one way."""
    distorted, reference = videos
    raw = [tmp_path / "a.y4m", tmp_path / "b.y4m"]
    for source, target in zip(videos, raw, strict=True):
        ffmpeg("-i", source, target)
    said = ffmpeg("-i", raw[0], "-i", raw[1], "-lavfi", "libvmaf", "-f", "null", "-")
    official = float(said.split("VMAF score: ")[1].split()[0])
    scores = vmaf_of_files(distorted, reference)
    assert len(scores) == 12
    assert np.mean(scores) == pytest.approx(official, abs=1e-4)
    assert 20 < official < 95
    assert np.mean(vmaf_of_files(reference, reference)) > 97
    assert vmaf_of_files(distorted, reference, model="vmaf_v0.6.1neg") != scores


def test_frames_are_paired_by_order(videos, tmp_path):
    """Other time stamps, same pictures: same scores."""
    distorted, reference = videos
    late = tmp_path / "late.mkv"
    ffmpeg("-itsoffset", "0.7", "-i", distorted, "-c", "copy", late)
    assert vmaf_of_files(late, reference) == vmaf_of_files(distorted, reference)


def test_frames_in_memory():
    distorted, reference = clip("carphone_distorted.mp4", 3), clip("carphone_pristine.mp4", 3)
    scores = vmaf_of_frames(distorted, reference)
    assert len(scores) == 3
    assert all(10 < score < 80 for score in scores)
    assert min(vmaf_of_frames(reference, reference)) > 90


def test_errors(videos, tmp_path):
    distorted, reference = videos
    short, small, full, other = (tmp_path / f"{name}.mkv" for name in "abcd")
    ffmpeg("-i", distorted, "-frames:v", 9, "-c", "copy", short)
    ffmpeg("-i", distorted, "-vf", "scale=320:136", small)
    ffmpeg("-i", distorted, "-color_range", "pc", "-vf", "setparams=range=pc", full)
    ffmpeg("-i", distorted, "-pix_fmt", "yuv444p", other)
    cases = {
        short: r"equal length: .*a\.mkv has 9 frames, .*reference\.mkv 12",
        small: "one frame size: .* has 320x136, .* 640x272",
        full: "one range: .* has pc, .* tv",
        other: "one pixel format: .* has yuv444p, .* yuv420p",
        tmp_path / "none.mkv": "no such file",
    }
    for path, message in cases.items():
        with pytest.raises(VideoError, match=message):
            vmaf_of_files(path, reference)
    with pytest.raises(VideoError, match=r"reference\.mkv has 12 frames, .*a\.mkv 9"):
        vmaf_of_files(reference, short)
    with pytest.raises(VideoError, match="VMAF model 'vmaf_v9': libvmaf has none of that name"):
        vmaf_of_files(distorted, reference, model="vmaf_v9")
    with pytest.raises(VideoError, match="VMAF model 'a:log_path=/x'; accepted: a name such as"):
        vmaf_of_files(distorted, reference, model="a:log_path=/x")
    with pytest.raises(VideoError, match="threads 0; accepted: at least 1"):
        vmaf_of_files(distorted, reference, threads=0)


def test_errors_of_frames():
    x = np.zeros((2, 40, 40, 3), np.uint8)
    with pytest.raises(VideoError, match=r"shapes .* not equal"):
        vmaf_of_frames(x, x[:, :32])
    with pytest.raises(VideoError, match="VMAF of float64 and uint8; accepted: uint8"):
        vmaf_of_frames(x.astype(float), x)
    with pytest.raises(VideoError, match="the frames: 40x20; VMAF takes sides of at least 32"):
        vmaf_of_frames(x[:, :20], x[:, :20])
    with pytest.raises(VideoError, match=r"accepted: \[h, w, 3\]"):
        vmaf_of_frames(x[..., :2], x[..., :2])
    with pytest.raises(VideoError, match="no pictures"):
        vmaf_of_frames(x[:0], x[:0])
    with pytest.raises(VideoError, match="unequal length"):
        vmaf_of_frames(x, x[:1])
