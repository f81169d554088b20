"""Files that end too early are told from those that only show less than they hold."""

from fractions import Fraction

import pytest
from enhance_samples import X264, enhance, frame_times, make

from supervegan_jax.video_input import truncation

FRAGMENTED = (*X264, "-movflags", "frag_keyframe+empty_moov")
DASH = (*X264, "-movflags", "+dash+frag_keyframe+global_sidx")
KINDS = {
    "a.mkv": X264,
    "a.mp4": (*X264, "-movflags", "+faststart"),
    "fragmented.mp4": FRAGMENTED,
    "dash.mp4": DASH,
    "a.ogv": ("-c:v", "libtheora", "-pix_fmt", "yuv420p"),
    "a.wmv": ("-c:v", "wmv2"),
    "a.avi": ("-c:v", "mpeg4"),
    "a.y4m": ("-f", "yuv4mpegpipe"),
}


# The others are stored in parts of several frames.
TOLD_TO_THE_FRAME = ("a.mkv", "a.mp4", "a.y4m")


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_breaks_off_is_told_from_a_whole_one(tmp_path, name):
    source = make(tmp_path / name, *KINDS[name], frames=40)
    assert enhance(source, tmp_path / "whole.mkv") is None
    assert len(frame_times(tmp_path / "whole.mkv")) == 40
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 6 // 10])
    broken = enhance(source, tmp_path / "out.mkv")
    times = frame_times(tmp_path / "out.mkv")
    assert 10 < len(times) < 35
    assert "breaks off at" in str(broken)
    assert "missing" in str(broken)
    late = 1 if name in TOLD_TO_THE_FRAME else 3
    assert 0 <= broken.timestamp - times[-1] <= Fraction(late, 25)


def boxes(*kinds_and_sizes) -> bytes:
    return b"".join(
        size.to_bytes(4, "big") + kind + bytes(size - 8) for kind, size in kinds_and_sizes
    )


def test_the_size_of_an_mp4_is_that_of_its_boxes(tmp_path):
    path = tmp_path / "a.mp4"
    head = boxes((b"ftyp", 24), (b"moov", 100))
    large = (1).to_bytes(4, "big") + b"mdat" + (5000).to_bytes(8, "big")
    for data, size in (
        (head, None),
        (head + boxes((b"mdat", 30)), 154),
        (head + boxes((b"mdat", 30))[:-7], 154),
        (head + boxes((b"moof", 40), (b"mdat", 30))[:-33], 164),
        (head + large, 5124),
        (head + b"\0\0\0\0mdat" + bytes(9), None),
        # Neither what follows the frames nor rubbish at the end matters.
        (head + boxes((b"mdat", 30), (b"mfra", 60))[:-9], 154),
        (head + boxes((b"mdat", 30)) + b"rubbish at the end", 154),
    ):
        path.write_bytes(data)
        assert truncation.mov_size(path) == size


def test_a_shortened_edit_list_is_no_damage(tmp_path):
    source = make(tmp_path / "a.mp4", *X264, "-g", "5")
    data = bytearray(source.read_bytes())
    # Version and flags, the count of entries, then the first one's length.
    at = data.index(b"elst") + 12
    shorter = int.from_bytes(data[at : at + 4], "big") // 2
    data[at : at + 4] = shorter.to_bytes(4, "big")
    source.write_bytes(data)
    shown = frame_times(source)
    assert 10 < len(shown) < 16
    assert enhance(source, tmp_path / "out.mkv") is None
    assert frame_times(tmp_path / "out.mkv") == shown


def test_the_size_of_an_ogg_file_is_that_of_its_pages(tmp_path):
    path = tmp_path / "a.ogg"
    page = b"OggS" + bytes(22) + bytes((2, 200, 30)) + bytes(230)
    for data, size in (
        (page * 3, 777),
        (page * 3 + page[:100], 1036),
        (page + page[:27], 288),
        (page + page[:10], 286),
        (b"something else", None),
    ):
        path.write_bytes(data)
        assert truncation.ogg_size(path) == size
        assert truncation.shortfall(path, ("ogg",), 0, 1) == (
            None
            if size is None or size <= len(data)
            else f"at least {size - len(data)} bytes are missing"
        )


def test_a_recorded_broadcast_in_asf_has_no_size(tmp_path):
    source = make(tmp_path / "a.wmv", "-c:v", "wmv2", frames=3)
    data = bytearray(source.read_bytes())
    assert truncation.asf_size(source) == len(data)
    flags = data.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 88
    data[flags] |= 1
    source.write_bytes(data)
    assert truncation.asf_size(source) is None
