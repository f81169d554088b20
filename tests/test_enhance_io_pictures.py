"""The picture itself: samples, colours, shape and depth come out as they went in."""

import re
import struct

import numpy as np
import pytest
from enhance_samples import FAST, description, enhance, frame_times, make, planes
from video_samples import ffmpeg

from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video_input.source import open_source
from supervegan_jax.video_output.encoding import EncodeOptions
from supervegan_jax.video_output.sink import open_sink

X264 = ("-c:v", "libx264", "-preset", "ultrafast")
LOSSLESS = EncodeOptions(crf=0, preset="ultrafast", segment_frames=10, threads=2)


def video_line(path):
    return next(line for line in description(path).splitlines() if "Video:" in line)


@pytest.mark.parametrize("value_range", ["tv", "pc"])
@pytest.mark.parametrize("matrix", ["smpte170m", "bt709"])
def test_colours_stay_and_keep_their_tags(tmp_path, matrix, value_range):
    tags = f"setparams=range={value_range}:colorspace={matrix}"
    tags += f":color_primaries={matrix}:color_trc={matrix}"
    source = make(tmp_path / "a.mp4", "-vf", tags, *X264, frames=6)
    output = tmp_path / "out.mp4"
    enhance(source, output)
    tag = f"({value_range}, {matrix if matrix == 'smpte170m' else 'bt709'}, "
    assert tag in video_line(source)
    assert tag in video_line(output)
    before, after = planes(source), planes(output)
    for low, high in ((0, 64 * 48), (64 * 48, 64 * 60), (64 * 60, 64 * 72)):
        first = before.reshape(6, -1)[:, low:high].mean()
        second = after.reshape(6, -1)[:, 4 * low : 4 * high].mean()
        assert abs(first - second) < 0.5


def test_lossless_samples_are_the_same_bit_for_bit(tmp_path):
    source, output = make(tmp_path / "a.mkv", *X264), tmp_path / "out.mkv"
    enhance(source, output, LOSSLESS, scale=1)
    np.testing.assert_array_equal(planes(output), planes(source))
    enhance(source, output, LOSSLESS, overwrite=True)
    nearest = planes(source, "scale=128:96:flags=neighbor")
    first = slice(0, 128 * 96)  # luma; swscale moves chroma by half a sample
    np.testing.assert_array_equal(planes(output)[first], nearest[first])


def test_an_untagged_small_video_says_what_it_was_taken_for(tmp_path):
    # Twice as large, players would take it for BT.709.
    source = make(tmp_path / "a.mkv", *X264, frames=3)
    assert "bt709" not in video_line(source)
    enhance(source, tmp_path / "out.mkv")
    assert "smpte170m" in video_line(tmp_path / "out.mkv")


@pytest.mark.parametrize("location", ["left", "center", "topleft"])
def test_chroma_siting_is_kept(tmp_path, location):
    located = ("-chroma_sample_location", location, "-bsf:v", "null")
    source = make(tmp_path / "a.mkv", *X264, *located, frames=3)
    assert open_source(source).format.chroma_location == location
    enhance(source, tmp_path / "out.mkv")
    assert location in video_line(tmp_path / "out.mkv")
    with open_sink(tmp_path / "out.webm", open_source(source), 2) as sink:
        assert any(f"chroma lies {location}" in note for note in sink.notes) == (location != "left")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.webm"])
def test_the_shape_of_samples_is_kept(tmp_path, name):
    codec = ("-c:v", "libvpx-vp9") if "webm" in name else X264
    source = make(tmp_path / name, "-vf", "setsar=4/3", *codec, frames=4)
    enhance(source, tmp_path / f"out-{name}", EncodeOptions(segment_frames=10))
    # WebM keeps whole numbers of displayed pixels: 85 for 64.
    shape = "SAR 85:64" if "webm" in name else "SAR 4:3"
    assert shape in video_line(source)
    assert shape in video_line(tmp_path / f"out-{name}")


@pytest.mark.parametrize("turn", [("-display_rotation:v:0", "90"), ("-display_hflip",)])
@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
def test_rotation_is_kept_and_the_frames_stay_unrotated(tmp_path, name, turn):
    plain, source = make(tmp_path / "plain.mp4", *X264, frames=4), tmp_path / "a.mp4"
    turn = ("-display_rotation:v:0", "0", *turn) if len(turn) == 1 else turn
    ffmpeg(*turn, "-i", str(plain), "-c", "copy", str(source))
    opened = open_source(source)
    matrix = opened.picture.display_matrix
    assert matrix[:2] == ((0, -65536) if "90" in turn else (-65536, 0))
    assert (opened.format.width, opened.format.height) == (64, 48)
    enhance(source, tmp_path / name)
    output = open_source(tmp_path / name)
    difference = np.subtract(output.picture.display_matrix, matrix)
    assert np.abs(difference).max() <= 2
    assert (output.format.width, output.format.height) == (128, 96)
    with pytest.raises(ValueError, match=r"ts cannot hold the rotation of the video; mkv can"):
        enhance(source, tmp_path / "out.ts")


HDR = "hdr10=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
HDR += "L(10000000,50):max-cll=1000,400:log-level=error"


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.ts"])
def test_high_dynamic_range_stays_ten_bits_with_its_tags(tmp_path, name):
    source = tmp_path / "a.mkv"
    tags = "format=yuv420p10le,setparams=range=tv:colorspace=bt2020nc:color_primaries=bt2020"
    coded = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", HDR)
    make(source, "-vf", tags + ":color_trc=smpte2084", *coded, frames=6)
    enhance(source, tmp_path / name, EncodeOptions(preset="ultrafast", segment_frames=4))
    assert "hevc (Main 10)" in video_line(tmp_path / name)
    assert "yuv420p10le(tv, bt2020nc/bt2020/smpte2084" in video_line(tmp_path / name)
    picture = open_source(tmp_path / name).picture
    assert picture == open_source(source).picture
    assert picture.content_light == (1000, 400)
    assert picture.mastering_display == HDR.split("master-display=")[1].split(":")[0]
    before, after = (
        planes(source, pixel_format="yuv420p10le"),
        planes(tmp_path / name, pixel_format="yuv420p10le"),
    )
    assert after.max() > 255
    assert abs(before[: 64 * 48].mean() - after[: 128 * 96].mean()) < 2  # of 1023


def test_ten_bits_in_webm_are_av1(tmp_path):
    tags = "format=yuv420p10le,setparams=colorspace=bt2020nc:color_trc=arib-std-b67"
    coded = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", HDR)
    source = make(tmp_path / "a.mkv", "-vf", tags, *coded, frames=4)
    enhance(source, tmp_path / "out.webm", EncodeOptions(preset="12"))
    line = video_line(tmp_path / "out.webm")
    assert "av1" in line
    assert "yuv420p10le" in line
    assert "arib-std-b67" in line
    assert open_source(tmp_path / "out.webm").picture == open_source(source).picture


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("size", ["63x47", "64x47", "1x1"])
def test_odd_sizes_and_few_frames(tmp_path, size, count):
    source = tmp_path / "a.mkv"
    pattern = f"testsrc2=size=64x48:rate=25,format=yuv444p,scale={size},format=yuv420p"
    # FFV1 stores an odd size as it is.
    ffmpeg("-f", "lavfi", "-i", pattern, "-frames:v", str(count), "-c:v", "ffv1", str(source))
    width, height = map(int, size.split("x"))
    scale = 4 if width > 1 else 16
    enhance(source, tmp_path / "out.mp4", scale=scale)
    assert f"{width * scale}x{height * scale}" in video_line(tmp_path / "out.mp4")
    assert frame_times(tmp_path / "out.mp4") == frame_times(source)
    with pytest.raises(ValueError, match=r"h264 needs an even size.*pix_fmt yuv444p or codec vp9"):
        enhance(source, tmp_path / "odd.mp4", scale=1)


SAME = ("yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le", "gray10le")


@pytest.mark.parametrize(
    ("stored", "kept"),
    [(name, name) for name in SAME]
    + [("nv12", "yuv420p"), ("yuyv422", "yuv422p"), ("uyvy422", "yuv422p"), ("bgr24", None)]
    + [("gbrp", None), ("yuv411p", None)],
)
def test_every_kind_of_samples_is_kept_whole(tmp_path, stored, kept):
    source = tmp_path / "a.nut"
    pattern = f"testsrc2=size=32x22:rate=25,format={stored}"
    codec = "ffv1" if stored in ("gbrp", "yuv411p", "bgr24") else "rawvideo"
    stored_as = ("-c:v", "ffv1") if stored == "gbrp" else ("-c:v", codec, "-pix_fmt", stored)
    if stored == "bgr24":
        stored_as = ("-c:v", "rawvideo", "-pix_fmt", stored)
    ffmpeg("-f", "lavfi", "-i", pattern, "-frames:v", "2", *stored_as, str(source))
    fmt = open_source(source).format
    frames = list(open_source(source).frames())
    mine = np.concatenate([p.ravel() for frame in frames for p in frame.planes])
    if kept is not None:
        assert fmt.pixel_format == kept
        np.testing.assert_array_equal(mine, planes(source, pixel_format=kept))
        return
    if stored == "yuv411p":
        assert fmt.pixel_format == "yuv422p"
        chroma = planes(source, pixel_format=stored)[32 * 22 :][: 8 * 22].reshape(22, 8)
        np.testing.assert_array_equal(frames[0].planes[1][:, ::2], chroma)
        return
    assert fmt.pixel_format == "yuv444p10le"
    # ITU-R BT.709 full range, back to the 8 bits it came from.
    y, u, v = (plane.astype(float) for plane in frames[0].planes)
    red, blue = y + 1.5748 * (v - 512), y + 1.8556 * (u - 512)
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    rgb = np.rint(np.stack([red, green, blue], -1) * 255 / 1023).clip(0, 255)
    expected = planes(source, pixel_format="rgb24").reshape(-1, 22, 32, 3)[0]
    np.testing.assert_array_equal(rgb, expected)


def test_transparency_is_refused(tmp_path):
    source = tmp_path / "a.mkv"
    pattern = "testsrc2=size=34x22:rate=25,format=yuva420p"
    ffmpeg("-f", "lavfi", "-i", pattern, "-frames:v", "2", "-c:v", "ffv1", str(source))
    with pytest.raises(VideoError, match=r"transparency \(yuva420p\)"):
        open_source(source)


def test_a_gif_without_transparency_is_taken(tmp_path):
    source = tmp_path / "a.gif"
    pattern = "testsrc2=size=34x22:rate=25"
    ffmpeg("-f", "lavfi", "-i", pattern, "-frames:v", "2", str(source))
    assert open_source(source).format.pixel_format == "yuv444p10le"
    enhance(source, tmp_path / "out.mp4")
    assert len(frame_times(tmp_path / "out.mp4")) == 2
    holed = tmp_path / "holed.mkv"
    holes = "format=bgra,geq=r=9:g=9:b=9:a='255*gt(X+N\\,0)',format=bgra"  # one, in the first frame
    ffmpeg("-f", "lavfi", "-i", pattern, "-vf", holes, "-frames:v", "2", "-c:v", "ffv1", str(holed))
    with pytest.raises(VideoError, match=r"transparency \(bgra\)"):
        open_source(holed)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def with_box(data: bytes, extra: bytes) -> bytes:
    """An MP4 whose index comes last, with one more box in the description of its H.264."""
    at = data.index(b"avc1", data.index(b"stsd")) - 4
    end = at + int.from_bytes(data[at : at + 4], "big")
    changed = bytearray(data[:end] + extra + data[end:])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        place = changed.index(kind, changed.index(b"moov")) - 4
        size = int.from_bytes(changed[place : place + 4], "big") + len(extra)
        changed[place : place + 4] = size.to_bytes(4, "big")
    return bytes(changed)


def test_what_the_container_hides_is_cut_off(tmp_path):
    source = tmp_path / "a.mp4"
    # 48x40 of 64x48 (ISO/IEC 14496-12, 12.1.4), the middle 4 to the right and 2 up.
    clean = struct.pack(">8i", 48, 1, 40, 1, 4, 1, -2, 1)
    whole = make(tmp_path / "whole.mp4", *X264, frames=3)
    source.write_bytes(with_box(whole.read_bytes(), box(b"clap", clean)))
    fmt = open_source(source).format
    assert (fmt.width, fmt.height) == (48, 40)
    frames = [plane.ravel() for frame in open_source(source).frames() for plane in frame.planes]
    np.testing.assert_array_equal(np.concatenate(frames), planes(source))
    enhance(source, tmp_path / "out.mp4")
    assert "96x80" in video_line(tmp_path / "out.mp4")
    odd = struct.pack(">8i", 48, 1, 40, 1, 5, 1, -2, 1)
    source.write_bytes(with_box(whole.read_bytes(), box(b"clap", odd)))
    with pytest.raises(VideoError, match="13 columns at the left, where a chroma sample is 2x2"):
        open_source(source)


def test_a_change_of_colours_is_told(tmp_path):
    parts = []
    for number, matrix in enumerate(("smpte170m", "bt709")):
        tagged = ("-vf", f"setparams=colorspace={matrix}", *X264, "-output_ts_offset", str(number))
        parts.append(make(tmp_path / f"{matrix}.ts", *tagged, frames=5).read_bytes())
    source = tmp_path / "a.ts"
    source.write_bytes(b"".join(parts))
    opened = open_source(source)
    assert len(list(opened.frames())) == 10
    (note,) = opened.notes
    assert re.match(r"5 frames from \S+ s on are tagged with other colours than smpte170m", note)


@pytest.mark.parametrize(("kind", "words"), [("equi", "a sphere"), ("captions", "CEA-608")])
def test_what_no_encoder_writes_is_told(tmp_path, kind, words):
    source = make(tmp_path / "a.mp4", *X264, frames=2)
    if kind == "equi":
        head = box(b"svhd", bytes(4) + b"test\0")
        projection = box(b"prhd", bytes(16)) + box(b"equi", bytes(20))
        extra = box(b"sv3d", head + box(b"proj", projection))
        source.write_bytes(with_box(source.read_bytes(), extra))
    else:
        # ATSC A/53 part 4: one pair of characters, as an SEI message in front of every picture.
        pair = b"\xb5\0\x31GA94\x03\x41\xff\xfc\x94\x2c\xff"
        message = b"\0\0\0\1\6\4" + bytes([len(pair)]) + pair + b"\x80"
        coded = ffmpeg(
            "-i",
            str(source),
            "-c",
            "copy",
            "-bsf:v",
            "h264_mp4toannexb,h264_metadata=aud=insert",
            "-f",
            "h264",
            "-",
        )
        mark = b"\0\0\0\1\x09"
        head, *pictures = coded.split(mark)
        marked = [mark + picture[:1] + message + picture[1:] for picture in pictures]
        (tmp_path / "a.h264").write_bytes(head + b"".join(marked))
        source = tmp_path / "a.h264"
    with open_sink(tmp_path / "out.mkv", open_source(source), 2, FAST) as sink:
        (note,) = sink.notes
    assert words in note
    assert note.endswith("left out")


def test_the_depth_that_is_stored_chooses_the_codec(tmp_path):
    source = make(tmp_path / "a.mkv", *X264, frames=2)
    for name, pix_fmt, codec in (
        ("a.mp4", "yuv420p10le", "hevc"),
        ("b.mp4", "yuv444p", "h264"),
        ("a.webm", "yuv420p10le", "av1"),
    ):
        enhance(source, tmp_path / name, EncodeOptions(pix_fmt=pix_fmt))
        assert f"Video: {codec}" in video_line(tmp_path / name)


def test_choices_are_checked(tmp_path):
    source = make(tmp_path / "a.mkv", *X264, frames=2)
    for options, reason in {
        EncodeOptions(codec="xvid"): "codec 'xvid': must be one of h264, h265, vp9, av1",
        EncodeOptions(crf=70): "crf 70: must be 0 to 51 for h264",
        EncodeOptions(preset="quick"): "preset 'quick': must be one of ultrafast",
        EncodeOptions(pix_fmt="rgb24"): "pix_fmt rgb24: h264 stores yuv420p",
        EncodeOptions(codec="av1", pix_fmt="yuv444p"): "pix_fmt yuv444p: av1 stores yuv420p",
        EncodeOptions(segment_frames=0): "segment_frames 0: must be at least 1",
    }.items():
        with pytest.raises(ValueError, match=reason):
            enhance(source, tmp_path / "out.mp4", options)
    enhance(source, tmp_path / "out.mp4", EncodeOptions(codec="libx265", pix_fmt="yuv420p10le"))
    assert "hevc (Main 10)" in video_line(tmp_path / "out.mp4")
    assert FAST.codec is None
