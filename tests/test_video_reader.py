import itertools
from fractions import Fraction

import numpy as np
import pytest
from video_samples import ffmpeg, make_video

from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.reader import read_clip, read_frames
from supervegan_jax.video.writer import LosslessWriter

ODD_NAMES = ["-dash first.mkv", 'sp ace\'s "quote".mkv', "ünï→日本.mkv", "per%03d:cent,[x].mkv"]


def noise(count: int, height: int, width: int) -> np.ndarray:
    shape = (count, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def write_rgb(path, frames):
    height, width = frames.shape[1:3]
    writer = LosslessWriter(
        path, width=width, height=height, fps=Fraction(25), pixel_format="rgb24"
    )
    with writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.mark.parametrize("name", ODD_NAMES)
def test_frames_come_back_exactly_whatever_the_name(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = noise(3, 18, 34)
    write_rgb(name, frames)
    np.testing.assert_array_equal(read_clip(name), frames)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_part_is_the_same_frames(tmp_path):
    frames = noise(9, 16, 16)
    path = write_rgb(tmp_path / "a.mkv", frames)
    np.testing.assert_array_equal(read_clip(path, 4, 3), frames[4:7])
    np.testing.assert_array_equal(read_clip(path, first_frame=7), frames[7:])
    with pytest.raises(VideoError, match=r"has 9 frames; asked for frames 7 to 10"):
        read_clip(path, 7, 4)
    with pytest.raises(VideoError, match="no frame from 9 on"):
        read_clip(path, 9)


# Kr, Kb of the standards: ITU-R BT.709 section 3, BT.601 section 2.5.
MATRICES = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt470bg": (0.299, 0.114)}


def rgb_by_the_standard(y, cb, cr, matrix, value_range):
    kr, kb = MATRICES[matrix]
    if value_range == "tv":
        y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    else:
        y, cb, cr = y / 255, (cb - 128) / 255, (cr - 128) / 255
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb + 0 * cr
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], -1) * 255, 0, 255)


def write_yuv(path, planes, tags, size):
    tagging = ["-vf", "setparams=" + tags] if tags else []
    ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{size[0]}x{size[1]}", "-i", "-"),
        *tagging,
        *("-c:v", "libx264", "-qp", "0", f"file:{path}"),
        stdin=b"".join(plane.astype(np.uint8).tobytes() for plane in planes),
    )
    return path


@pytest.mark.parametrize("value_range", ["tv", "pc"])
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt470bg"])
def test_tags_decide_the_colours(tmp_path, matrix, value_range):
    y = np.tile(np.arange(32, 224, 3), (16, 1))  # [16, 64]
    cb, cr = np.full((8, 32), 110), np.full((8, 32), 150)
    tags = f"range={value_range}:colorspace={matrix}"
    path = write_yuv(tmp_path / "a.mkv", [y, cb, cr], tags, (64, 16))
    expected = rgb_by_the_standard(y, 110, 150, matrix, value_range)
    assert np.abs(read_clip(path)[0] - expected).max() <= 1


@pytest.mark.parametrize(("height", "matrix"), [(720, "bt709"), (704, "smpte170m")])
def test_untagged_is_hd_from_720_lines_on(tmp_path, height, matrix):
    planes = [np.full((height, 32), 120), np.full((height // 2, 16), 90)]
    planes.append(np.full((height // 2, 16), 170))
    path = write_yuv(tmp_path / "a.mkv", planes, "", (32, height))
    expected = rgb_by_the_standard(120.0, 90.0, 170.0, matrix, "tv")
    assert np.abs(read_clip(path)[0] - expected).max() <= 1


def test_chroma_lies_where_the_left_luma_sample_does(tmp_path):
    # Cr steps from 128 to 160 between chroma columns 7 and 8, which lie at luma columns 14 and 16.
    cr = np.full((8, 16), 128)
    cr[:, 8:] = 160
    planes = [np.full((16, 32), 128), np.full((8, 16), 128), cr]
    path = write_yuv(tmp_path / "a.mkv", planes, "range=tv:colorspace=bt709", (32, 16))
    across = rgb_by_the_standard(128.0, 128.0, np.array([128, 144, 160.0]), "bt709", "tv")
    assert np.abs(read_clip(path)[0, 8, 14:17] - across).max() <= 1
    # Downwards a chroma sample lies between two luma rows: weights 3/4 and 1/4.
    cr = np.full((8, 16), 128)
    cr[4:] = 160
    planes[2] = cr
    path = write_yuv(tmp_path / "b.mkv", planes, "range=tv:colorspace=bt709", (32, 16))
    down = rgb_by_the_standard(128.0, 128.0, np.array([128, 136, 152, 160.0]), "bt709", "tv")
    assert np.abs(read_clip(path)[0, 6:10, 8] - down).max() <= 1


def test_irregular_times_neither_drop_nor_double_a_frame(tmp_path):
    path = tmp_path / "vfr.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25,noise=alls=9:allf=t,setpts=N*N/TB/50"),
        *("-frames:v", "12", "-fps_mode", "passthrough", "-c:v", "ffv1", str(path)),
    )
    frames = read_clip(path)
    assert len(frames) == 12
    assert all((a != b).any() for a, b in itertools.pairwise(frames))


def test_leaving_early_stops_ffmpeg(tmp_path):
    frames = read_frames(make_video(tmp_path / "a.mkv", frames=50))
    assert next(frames).shape == (180, 320, 3)
    frames.close()


def test_a_cut_off_file_tells_how_far_it_could_be_read(tmp_path):
    path = make_video(tmp_path / "a.mkv", frames=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(VideoError, match=r"a\.mkv: .+ \(after [12]\d frames\)$"):
        read_clip(path)


def test_a_flood_of_complaints_is_one_line(tmp_path):
    path = make_video(tmp_path / "a.mkv", frames=60, output=("-c:v", "mpeg4", "-g", "300"))
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for position in rng.integers(len(data) // 20, len(data) - 5000, 400):
        data[position] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(VideoError, match="after") as failure:
        read_clip(path)
    assert "\n" not in str(failure.value)


def test_bad_files_are_named(tmp_path):
    (tmp_path / "empty.mkv").touch()
    (tmp_path / "text.txt").write_text("no video\n" * 50)
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", str(tmp_path / "sound.wav"))
    for name, reason in {
        "missing.mkv": "no such file",
        "empty.mkv": "is empty",
        "text.txt": "is not a video",
        "text.mp4": "is not a video",
        "sound.wav": "has no video stream",
        ".": "is a folder",
    }.items():
        with pytest.raises(VideoError, match=reason):
            read_clip(tmp_path / name)


def test_writer_refuses_what_does_not_fit(tmp_path):
    with pytest.raises(ValueError, match="yuv420p needs an even width"):
        LosslessWriter(tmp_path / "a.mkv", width=3, height=4, fps=Fraction(25))
    with pytest.raises(ValueError, match="pixel format gray"):
        LosslessWriter(tmp_path / "a.mkv", width=4, height=4, fps=Fraction(25), pixel_format="gray")
    with (
        pytest.raises(ValueError, match="a frame of 5 bytes; this video's have 24"),
        LosslessWriter(tmp_path / "a.mkv", width=4, height=4, fps=Fraction(25)) as writer,
    ):
        writer.write(b"12345")
    assert not list(tmp_path.iterdir())


def test_writer_in_an_impossible_place_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(OSError, match="Not a directory"),
        LosslessWriter(tmp_path / "file" / "a.mkv", width=4, height=4, fps=Fraction(25)) as writer,
    ):
        for _ in range(100_000):
            writer.write(bytes(24))


def test_hdr_tags_on_8_bits_are_read_and_on_10_bits_refused(tmp_path):
    tags = "setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc"
    eight = ("-vf", tags, "-c:v", "libx264", "-qp", "0")
    assert len(read_clip(make_video(tmp_path / "8.mkv", frames=3, size="64x48", output=eight))) == 3
    ten = ("-vf", f"format=yuv420p10le,{tags}", "-c:v", "libx264", "-qp", "0")
    deep = make_video(tmp_path / "10.mkv", frames=3, size="64x48", output=ten)
    with pytest.raises(VideoError, match="high dynamic range"):
        read_clip(deep)
