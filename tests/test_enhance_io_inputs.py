"""Any input: raw streams, pipes, hostile names, broken files; and clear refusals."""

import itertools
import subprocess
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
from enhance_samples import FAST, PICTURE, X264, enhance, frame_times, make, packets, planes
from video_samples import ffmpeg

from supervegan_jax.video_input.source import open_source
from supervegan_jax.video_input.truncation import BrokenStream
from supervegan_jax.video_output.sink import open_sink

PASS = ("-fps_mode", "passthrough")
NAMES = [
    "-dash first.mp4",
    'sp ace\'s "quote".mp4',
    "new\nline.mp4",
    "ünï→日本.mp4",
    "per%03d:cent,[x];$HOME.mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_file_names_are_only_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "plain.mp4", *X264, "-c:a", "aac", sound=True, frames=5)
    (tmp_path / "plain.mp4").rename(name)
    enhance(name, f"out {name}")
    assert frame_times(f"out {name}") == frame_times(name)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"out {name}"])


@pytest.mark.parametrize("name", ["a.h264", "a.h265", "a.avi", "a.mpg"])
def test_streams_without_times_are_counted(tmp_path, name):
    coded = {
        "a.h265": ("-c:v", "libx265", "-x265-params", "log-level=error"),
        "a.mpg": ("-c:v", "mpeg2video", "-bf", "2"),
    }
    source = make(tmp_path / name, *coded.get(name, X264))
    enhance(source, tmp_path / "out.mkv")
    times = frame_times(tmp_path / "out.mkv")
    assert len(times) == 25
    assert {b - a for a, b in itertools.pairwise(times)} == {Fraction(1, 25)}


def test_video_may_come_last_and_sound_be_absent(tmp_path):
    sounding = make(tmp_path / "s.mkv", *X264, "-c:a", "flac", sound=True)
    source = tmp_path / "a.mkv"
    order = ("-map", "0:a", "-map", "0:a", "-map", "0:v", "-c", "copy")
    ffmpeg("-i", str(sounding), *order, str(source))
    enhance(source, tmp_path / "out.mkv")
    for stream in ("0", "1"):
        assert packets(tmp_path / "out.mkv", stream) == packets(source, stream)
    silent = make(tmp_path / "silent.mkv", *X264)
    enhance(silent, tmp_path / "out.mp4")
    assert frame_times(tmp_path / "out.mp4") == frame_times(silent)


def test_damage_in_the_middle_costs_no_frame(tmp_path):
    source = make(tmp_path / "a.mkv", "-c:v", "mpeg4", "-g", "300", frames=40)
    data = bytearray(source.read_bytes())
    for position in np.random.default_rng(0).integers(len(data) // 3, len(data) * 2 // 3, 12):
        data[position] ^= 0xFF
    source.write_bytes(data)
    broken = enhance(source, tmp_path / "out.mkv")
    assert broken is not None
    assert broken.timestamp > 0
    expected = ffmpeg(
        "-v", "fatal", "-i", str(source), "-fps_mode", "passthrough", "-f", "framecrc", "-"
    )
    count = sum(line[:2] == b"0," for line in expected.splitlines())
    assert len(frame_times(tmp_path / "out.mkv")) == count
    again = [f.pts for f in _readable(source)]
    assert again == [f.pts for f in _readable(source)]


def test_another_size_in_the_middle_ends_the_output_there(tmp_path):
    parts = [
        make(tmp_path / name, "-vf", f"scale={size}", *X264, "-bf", "0", frames=6).read_bytes()
        for name, size in (("a.h264", "64:48"), ("b.h264", "80:48"))
    ]
    (tmp_path / "both.h264").write_bytes(b"".join(parts))
    broken = enhance(tmp_path / "both.h264", tmp_path / "out.mkv")
    assert "changes from 64x48 yuv420p to 80x48 yuv420p (at 0.240 s); the frames" in str(broken)
    assert len(frame_times(tmp_path / "out.mkv")) == 6


def _readable(path):
    frames = open_source(path).frames()
    try:
        yield from frames
    except BrokenStream:
        return


def test_unusable_files_are_named_in_one_line(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", str(tmp_path / "sound.mp3"))
    ffmpeg("-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1", str(tmp_path / "c.jpg"))
    cover = ("-i", str(tmp_path / "c.jpg"), "-map", "0", "-map", "1", "-c", "copy")
    kept = ("-disposition:v", "attached_pic", str(tmp_path / "cover.mp3"))
    ffmpeg("-i", str(tmp_path / "sound.mp3"), *cover, *kept)
    whole = make(tmp_path / "whole.mp4", *X264)
    key = (
        "-encryption_scheme",
        "cenc-aes-ctr",
        "-encryption_key",
        "76a6c65c5ea762046bd749a2e632ccbb",
    )
    key += ("-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
    ffmpeg("-i", str(whole), "-c", "copy", *key, str(tmp_path / "encrypted.mp4"))
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:3000])
    (tmp_path / "garbage.mkv").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nwhole.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "empty.mp4").touch()
    for name, reason in {
        "missing.mp4": "no such file",
        "empty.mp4": "is empty",
        "garbage.mkv": "is not a video",
        "cut.mp4": "is not a video: moov atom not found",
        "sound.mp3": "has no video stream",
        "cover.mp3": "has no video stream",
        "encrypted.mp4": "can be decoded",
        "list.m3u8": "is not a video",
        "c.jpg": "is not a video",
        ".": "is a folder",
    }.items():
        with pytest.raises(ValueError, match=reason) as failure:
            open_source(tmp_path / name)
        assert "\n" not in str(failure.value), name


def test_outputs_in_the_way_are_refused(tmp_path):
    source = make(tmp_path / "a.mp4", *X264, frames=3)
    (tmp_path / "there.mp4").write_text("mine")
    (tmp_path / "link.mp4").symlink_to(source)
    for output, reason in {
        "there.mp4": "exists already; --overwrite replaces it",
        "a.mp4": "is the input",
        "link.mp4": "is the input",
        "none/out.mp4": "there is no folder",
        "out": "the suffix must be one of",
    }.items():
        for overwrite in {False, "exists" not in reason}:
            with pytest.raises(ValueError, match=reason):
                enhance(source, tmp_path / output, overwrite=overwrite)
    assert (tmp_path / "there.mp4").read_text() == "mine"
    enhance(source, tmp_path / "there.mp4", overwrite=True)
    assert len(frame_times(tmp_path / "there.mp4")) == 3
    with pytest.raises(ValueError, match="no frame lies in the selected time"):
        enhance(source, tmp_path / "out.mp4", start=50)
    with pytest.raises(ValueError, match="start -1: must be 0 or more"):
        enhance(source, tmp_path / "out.mp4", start=-1)
    with pytest.raises(ValueError, match="duration 0: must be more than 0"):
        enhance(source, tmp_path / "out.mp4", duration=0)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "there.mp4", "link.mp4"}


PASS_ON = """
import sys
sys.path.insert(0, sys.argv[1])
from enhance_samples import FAST, enhance
options = None if sys.argv[2] == "-" else FAST
enhance("-", sys.argv[2], options, start=float(sys.argv[3]) or None)
"""


def pipe_command(tests, output, start=0):
    return [sys.executable, "-c", PASS_ON, str(tests), output, str(start)]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "gray"])
def test_y4m_goes_through_a_pipe_frame_by_frame(tmp_path, pixel_format, request):
    """Each frame comes out before the next one is given."""
    tests = request.path.parent
    pattern = PICTURE.replace("yuv420p", pixel_format) + ",setsar=4/3"
    strict = ("-strict", "-1", "-f", "yuv4mpegpipe", "-")
    stream = ffmpeg("-f", "lavfi", "-i", pattern, "-frames:v", "3", *strict)
    head, *frames = stream.split(b"FRAME\n")
    command = pipe_command(tests, "-")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        process.stdin.write(head)
        for number, frame in enumerate(frames):
            process.stdin.write(b"FRAME\n" + frame)
            process.stdin.flush()
            if number == 0:
                line = process.stdout.readline()
            assert process.stdout.readline() == b"FRAME\n"
            assert len(process.stdout.read(4 * len(frame))) == 4 * len(frame)
        process.stdin.close()
        assert process.stdout.read() == b""
        watchdog.cancel()
    assert process.returncode == 0
    fields = {field[0]: field[1:] for field in head.decode().split()[1:]}
    result = {field[0]: field[1:] for field in line.decode().split()[1:]}
    assert (result["W"], result["H"]) == ("128", "96")
    assert [result[key] for key in "FAC"] == [fields[key] for key in "FAC"]


def test_containers_come_through_a_pipe_too(tmp_path, request):
    source = make(tmp_path / "a.mkv", *X264)
    command = pipe_command(request.path.parent, "-", 0.5)
    with source.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, check=True)
    size = 128 * 96 * 3 // 2
    assert done.stdout.count(b"FRAME\n") == sum(time >= 0.5 for time in frame_times(source))
    assert done.stdout.startswith(b"YUV4MPEG2 W128 H96 F25:1")
    luma = planes(source).reshape(25, -1)[-1][: 64 * 48].reshape(48, 64)
    last = np.frombuffer(done.stdout[-size:], np.uint8)[: 128 * 96].reshape(96, 128)
    np.testing.assert_array_equal(last[::2, ::2], luma)


def test_a_pipe_into_a_file(tmp_path, request):
    stream = ffmpeg("-f", "lavfi", "-i", PICTURE, "-frames:v", "25", "-f", "yuv4mpegpipe", "-")
    command = pipe_command(request.path.parent, str(tmp_path / "out.mp4"))
    subprocess.run(command, input=stream, check=True)
    assert frame_times(tmp_path / "out.mp4") == [Fraction(n, 25) for n in range(25)]
    done = subprocess.run(
        pipe_command(request.path.parent, "-"), input=stream[:-9], capture_output=True, check=True
    )
    assert done.stdout.count(b"FRAME\n") == 24


def test_sound_in_a_pipe_cannot_be_copied(tmp_path, request):
    source = make(tmp_path / "a.mkv", *X264, "-c:a", "flac", sound=True)
    command = pipe_command(request.path.parent, str(tmp_path / "out.mkv"))
    with source.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, check=False)
    assert done.returncode != 0
    assert b"stream #1 (audio, flac)" in done.stderr
    assert b"give a file" in done.stderr


def test_frames_must_come_in_order(tmp_path):
    source = open_source(make(tmp_path / "a.mkv", *X264, frames=3))
    first, second, _ = source.frames()
    with open_sink(tmp_path / "out.mkv", source, 1, FAST) as sink:
        sink.write(first)
        with pytest.raises(ValueError, match="frame 0 was written where 1 comes next"):
            sink.write(first)
        with pytest.raises(ValueError, match=r"frame 1: planes .* of uint16"):
            planes16 = tuple(plane.astype(np.uint16) for plane in second.planes)
            sink.write(type(second)(1, second.pts, planes16))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_fields_that_come_later_are_refused_at_first_and_told_of_after_much_work(tmp_path):
    fields = ("-vf", "tinterlace=4", *X264, "-x264opts", "tff=1")
    late = make(tmp_path / "fields.h264", *fields, frames=6).read_bytes()
    for whole, message in ((5, "interlaced from 0.200 s on"), (130, None)):
        first = make(tmp_path / f"{whole}.h264", *X264, frames=whole).read_bytes()
        (tmp_path / "a.h264").write_bytes(first + late)
        source = open_source(tmp_path / "a.h264")
        assert not source.picture.interlaced
        if message:
            with pytest.raises(ValueError, match=rf"a\.h264: its frames are {message}.*bwdif"):
                list(source.frames())
        else:
            count = len(list(source.frames())) - whole
            assert source.notes == [
                f"{count} frames from 5.200 s on are marked as interlaced and were enhanced as "
                "whole pictures"
            ]
