"""Raw samples, elementary streams and containers through standard input and output."""

import io
import itertools
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from enhance_samples import (
    PICTURE,
    VARIABLE,
    X264,
    description,
    enhance,
    frame_times,
    make,
    packets,
)
from test_enhance_io_streams import listing, rich_matroska
from video_samples import ffmpeg

from supervegan_jax.enhancement.arguments import parse, raw_video_fields
from supervegan_jax.video_input import samples, y4m
from supervegan_jax.video_input.samples import Pipe, RawVideo
from supervegan_jax.video_input.source import open_source
from supervegan_jax.video_input.truncation import BrokenStream
from supervegan_jax.video_output.encoding import EncodeOptions
from supervegan_jax.video_output.pipe_sink import SampleSink
from supervegan_jax.video_output.sink import format_of, open_sink

CODED = {
    "h264": X264,
    "hevc": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"),
}
# input, output, sample repetition, then keywords.
PASS_ON = """
import sys
sys.path.insert(0, sys.argv[1])
from enhance_samples import enhance
from supervegan_jax.video_input.samples import RawVideo
from supervegan_jax.video_output.encoding import EncodeOptions
broken = enhance(sys.argv[2], sys.argv[3], scale=int(sys.argv[4]), **eval(sys.argv[5]))
print(broken, file=sys.stderr)
"""


def through(stdin, source="-", output="-", scale=1, **more) -> subprocess.CompletedProcess[bytes]:
    """`enhance` in a process of its own; `stdin` is bytes or a file."""
    more = {"options": None, **more}
    words = [str(Path(__file__).parent), str(source), str(output), str(scale), repr(more)]
    given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    return subprocess.run(
        [sys.executable, "-c", PASS_ON, *words], capture_output=True, check=False, **given
    )


def raw_bytes(pixel_format: str, frames: int = 3) -> bytes:
    coded = ("-f", "rawvideo", "-pix_fmt", pixel_format, "-")
    return ffmpeg("-f", "lavfi", "-i", PICTURE, "-frames:v", str(frames), *coded)


FORMATS = [
    f"{name}{depth}"
    for name in ("yuv420p", "yuv422p", "yuv444p", "gray")
    for depth in ("", "10le", "12le")
]


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_raw_samples_come_out_as_they_went_in(tmp_path, pixel_format):
    data = raw_bytes(pixel_format)
    (tmp_path / "a.raw").write_bytes(data)
    source = open_source(tmp_path / "a.raw", raw=RawVideo("64x48", pixel_format, "30"))
    assert source.format.pixel_format == pixel_format
    assert (source.frame_count, source.rate) == (3, 30)
    frames = list(source.frames())
    assert [frame.pts * source.time_base for frame in frames] == [Fraction(n, 30) for n in range(3)]
    for frame in frames:
        frame.check(source.format)
    assert b"".join(plane.tobytes() for frame in frames for plane in frame.planes) == data
    assert [frame.index for frame in source.frames(2)] == [2]


def test_raw_video_through_both_pipes():
    data = raw_bytes("yuv420p", 5)
    done = through(data, raw=RawVideo("64x48"), output_format="rawvideo")
    assert done.returncode == 0, done.stderr
    assert done.stdout == data
    part = through(data, raw=RawVideo("64x48"), output_format="rawvideo", start=0.05, duration=0.08)
    size = 64 * 48 * 3 // 2
    assert part.stdout == data[2 * size : 4 * size]


def test_rgb_goes_in_and_out_within_a_step(tmp_path):
    data = raw_bytes("rgb24")
    done = through(
        data,
        raw=RawVideo("64x48", "rgb24"),
        options=EncodeOptions(pix_fmt="rgb24"),
        output_format="rawvideo",
    )
    assert done.returncode == 0, done.stderr
    before, after = (np.frombuffer(d, np.uint8).astype(int) for d in (data, done.stdout))
    assert np.abs(before - after).max() <= 1


@pytest.mark.parametrize("where", ["pipe", "file"])
def test_a_cut_off_raw_frame_ends_like_any_broken_input(tmp_path, where):
    data = raw_bytes("yuv420p", 4)[:-100]
    (tmp_path / "a.yuv").write_bytes(data)
    raw = RawVideo("64x48", framerate="10")
    source = "-" if where == "pipe" else tmp_path / "a.yuv"
    done = through(data, source, raw=raw, output_format="rawvideo")
    assert len(done.stdout) == 3 * 64 * 48 * 3 // 2
    assert b"breaks off at 0.300 s" in done.stderr


def test_raw_video_from_a_file_is_resumed_without_reading_what_is_done(tmp_path):
    (tmp_path / "a.yuv").write_bytes(raw_bytes("yuv420p", 12))
    raw, output = RawVideo("64x48", framerate="30000/1001"), tmp_path / "out.mp4"
    options = EncodeOptions(preset="ultrafast", segment_frames=5, threads=1)
    source = open_source(tmp_path / "a.yuv", raw=raw)
    with open_sink(output, source, 1, options) as sink:
        for frame in itertools.islice(source.frames(), 7):
            sink.write(frame)
        assert sink.kept_frames == 5
    with open_sink(output, source, 1, options) as sink:
        assert sink.finished_frames == 5
        for frame in source.frames(5):
            sink.write(frame)
        sink.close()
    assert frame_times(output) == [Fraction(n * 1001, 30000) for n in range(12)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-f rawvideo", "raw video does not tell its size; give --video-size WIDTHxHEIGHT"),
        ("-f rawvideo --video-size 320", "video-size '320': must be WIDTHxHEIGHT in pixels"),
        ("-f rawvideo --video-size 0x9", "video-size '0x9': must be WIDTHxHEIGHT in pixels"),
        ("-f rawvideo -video_size 9x9 -pixel_format nv99", "pixel-format 'nv99': must be one of"),
        ("-f rawvideo -video_size 9x9 -framerate 0", "framerate '0': must be frames per second"),
        ("-f rawvideo -video_size 9x9 -framerate x", "framerate 'x': must be frames per second"),
        ("-f yuv", "argument --input-format/-f: invalid choice: 'yuv'"),
        ("--video-size 9x9", "--video-size describes raw video; give --input-format rawvideo too"),
        ("--framerate 9", "--framerate describes raw video"),
    ],
)
def test_what_is_said_about_raw_input_is_checked(words, message):
    with pytest.raises(ValueError, match=message) as failure:
        fields = raw_video_fields(parse("", ["-", "-", *words.split()]))
        RawVideo(**(fields or {})).layout()
    assert "\n" not in str(failure.value)


def test_the_words_of_ffmpeg_are_understood():
    words = "-f rawvideo -video_size 32x18 -pixel_format gray10le -framerate 30000/1001 - -"
    layout = RawVideo(**raw_video_fields(parse("", words.split()))).layout()
    assert (layout.format.width, layout.format.height) == (32, 18)
    assert layout.format.pixel_format == "gray10le"
    assert layout.rate == Fraction(30000, 1001)
    assert RawVideo("2x2", framerate="23.976").layout().rate == Fraction(23976, 1000)
    for decimals in ("59.94005994005994", "59.940059940059940"):
        assert RawVideo("2x2", framerate=decimals).layout().rate == Fraction(60000, 1001)
    assert RawVideo("2x2", "yuvj420p").layout().format.full_range


def test_an_empty_pipe_is_named():
    done = through(b"", raw=RawVideo("64x48"))
    assert b"standard input is empty" in done.stderr


@pytest.mark.parametrize("name", ["h264", "hevc"])
def test_elementary_streams_come_through_a_pipe(tmp_path, name):
    source = make(tmp_path / f"a.{name}", *CODED[name], "-f", name, frames=9)
    expected = ffmpeg("-i", str(source), "-f", "rawvideo", "-")
    with source.open("rb") as file:
        done = through(file, output_format="rawvideo")
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected


@pytest.mark.parametrize("container", ["matroska", "mpegts"])
def test_containers_come_through_a_pipe(tmp_path, container):
    source = make(tmp_path / "a", *X264, "-f", container, frames=9)
    expected = ffmpeg("-i", str(source), "-f", "rawvideo", "-")
    with source.open("rb") as file:
        done = through(file, output_format="rawvideo")
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected


@pytest.mark.parametrize(
    ("name", "suffix"), [("matroska", "mkv"), ("mp4", "mp4"), ("mov", "mov"), ("mpegts", "ts")]
)
@pytest.mark.parametrize("start", [None, 0.3])
def test_a_container_on_standard_output_holds_what_a_file_does(tmp_path, name, suffix, start):
    uneven = ("-vf", VARIABLE, "-fps_mode", "passthrough", *X264, "-c:a", "aac")
    source = make(tmp_path / "a.mkv", *uneven, sound=True)
    file, pipe = tmp_path / f"file.{suffix}", tmp_path / f"pipe.{suffix}"
    options = EncodeOptions(preset="ultrafast", threads=1)
    done = through(b"", source, options=options, output_format=name, start=start)
    assert done.returncode == 0, done.stderr
    pipe.write_bytes(done.stdout)
    enhance(source, file, options, scale=1, start=start)
    assert frame_times(pipe) == frame_times(file)
    assert packets(pipe, "a:0") == packets(file, "a:0")


def test_a_container_on_standard_output_holds_all_streams(tmp_path):
    source, output = rich_matroska(tmp_path), tmp_path / "out.mkv"
    turned = tmp_path / "turned.mkv"
    ffmpeg("-display_rotation:v:0", "90", "-i", str(source), "-map", "0", "-c", "copy", str(turned))
    options = EncodeOptions(preset="ultrafast", threads=1)
    done = through(b"", turned, options=options, output_format="mkv")
    assert done.returncode == 0, done.stderr
    output.write_bytes(done.stdout)
    assert listing(output) == listing(turned)
    assert "rotation of 90" in description(output)


def test_a_pipe_into_a_container_on_a_pipe():
    stream = ffmpeg("-f", "lavfi", "-i", PICTURE, "-frames:v", "9", "-f", "yuv4mpegpipe", "-")
    options = EncodeOptions(crf=0, preset="ultrafast", threads=1)
    done = through(stream, options=options, output_format="mpegts")
    assert done.returncode == 0, done.stderr
    decoded = ffmpeg("-f", "mpegts", "-i", "-", "-f", "rawvideo", "-", stdin=done.stdout)
    assert decoded == ffmpeg("-f", "yuv4mpegpipe", "-i", "-", "-f", "rawvideo", "-", stdin=stream)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_tags_and_chapters_come_through_a_pipe(tmp_path, suffix):
    chapters = tmp_path / "chapters.txt"
    times = ((0, 200), (200, 400))
    marks = "".join(
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={a}\nEND={b}\ntitle=Part {a}\n" for a, b in times
    )
    chapters.write_text(f";FFMETADATA1\ntitle=My film\nmine=a\\=b\n{marks}")
    source = make(tmp_path / "plain.mkv", *X264, frames=10)
    given, output, file = tmp_path / "a.mkv", tmp_path / f"o.{suffix}", tmp_path / f"f.{suffix}"
    tags = ("-metadata:s:0", "language=deu", "-metadata:s:0", "title=Bild")
    both = ("-i", str(source), "-f", "ffmetadata", "-i", str(chapters), "-map_metadata", "1")
    ffmpeg(*both, "-map", "0", "-c", "copy", *tags, str(given))
    options = EncodeOptions(preset="ultrafast", threads=1)
    with given.open("rb") as opened:
        done = through(opened, "-", output, options=options)
    assert done.returncode == 0, done.stderr
    enhance(given, file, options, scale=1)
    assert listing(output) == listing(file)
    assert "My film" in description(output) and "Part 200" in description(output)


def test_bare_samples_get_no_tags_but_the_name_of_apple(tmp_path):
    stream = ffmpeg("-f", "lavfi", "-i", PICTURE, "-frames:v", "9", "-f", "yuv4mpegpipe", "-")
    for name, codec in (("o.mkv", "h264"), ("o.mp4", "h265")):
        options = EncodeOptions(codec, preset="ultrafast", threads=1)
        done = through(stream, "-", tmp_path / name, options=options)
        assert done.returncode == 0, done.stderr
    assert not re.search("(?i)brand|handler", description(tmp_path / "o.mkv"))
    assert "hvc1" in description(tmp_path / "o.mp4")


def test_a_part_of_a_pipe_begins_at_0(tmp_path):
    stream = ffmpeg("-f", "lavfi", "-i", PICTURE, "-frames:v", "9", "-f", "yuv4mpegpipe", "-")
    done = through(stream, "-", tmp_path / "o.mp4", start=0.12)
    assert done.returncode == 0, done.stderr
    assert frame_times(tmp_path / "o.mp4") == [Fraction(n, 25) for n in range(6)]


def test_an_index_behind_the_frames_cannot_come_through_a_pipe(tmp_path):
    # More than ffmpeg keeps of a pipe to go back in.
    with make(tmp_path / "a.mp4", *X264, "-crf", "0", frames=50).open("rb") as file:
        done = through(file)
    said = done.stderr.splitlines()[-1]
    assert b"has its index behind its frames" in said and b"-movflags faststart" in said
    early = make(tmp_path / "b.mp4", *X264, "-movflags", "faststart", frames=9)
    with early.open("rb") as file:
        assert through(file).stdout.count(b"FRAME\n") == 9


def test_what_bare_samples_leave_out_is_told(tmp_path):
    source = make(tmp_path / "a.mkv", *X264, "-c:a", "flac", sound=True, frames=2)
    turned = tmp_path / "turned.mkv"
    ffmpeg("-display_rotation:v:0", "90", "-i", str(source), "-map", "0", "-c", "copy", str(turned))
    assert open_sink("-", open_source(turned), 1).notes == (
        "y4m holds the video alone; left out: stream #1 (audio, flac)",
        "y4m cannot say that the video is to be turned or flipped for showing",
    )
    assert len(open_sink("-", open_source(turned), 1, drop=(1,)).notes) == 1


def test_a_reader_that_goes_away_ends_the_stream(tmp_path):
    source = make(tmp_path / "a.mkv", *X264, frames=100)
    options = repr({"options": EncodeOptions(preset="ultrafast"), "output_format": "mpegts"})
    words = [str(Path(__file__).parent), str(source), "-", "8", options]
    with subprocess.Popen(
        [sys.executable, "-c", PASS_ON, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(4096)
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode != 0
    assert said.splitlines()[-1].endswith(b"Broken pipe: 'standard output'")


def test_formats_of_the_output():
    assert format_of("-") == "y4m"
    assert format_of("-", "yuv4mpegpipe") == "y4m"
    assert format_of("-", "matroska") == "mkv"
    assert format_of("a.b/c.MKV") == "mkv"
    assert format_of("c.tmp", "mp4") == "mp4"
    for path, name, message in [
        ("-", "avi", "output-format 'avi': must be one of mkv, mp4"),
        ("a.y4m", "y4m", "output-format y4m is for standard output: give - as OUTPUT"),
        ("a.y4m", None, "output a.y4m: the suffix must be one of .mkv"),
    ]:
        with pytest.raises(ValueError, match=message):
            format_of(path, name)


def test_bare_samples_take_no_encoder(tmp_path):
    source = open_source(make(tmp_path / "a.mkv", *X264, frames=2))
    for options, message in [
        (EncodeOptions(codec="h264"), "codec h264: y4m is not encoded; --output-format matroska"),
        (EncodeOptions(crf=3), "crf 3: y4m is not encoded"),
        (EncodeOptions(preset="slow"), "preset slow: y4m is not encoded"),
        (EncodeOptions(pix_fmt="rgb24"), "pix_fmt rgb24: y4m stores yuv420p"),
    ]:
        with pytest.raises(ValueError, match=message):
            open_sink("-", source, 1, options)


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_the_head_of_y4m_is_ffmpegs_own(pixel_format):
    pattern = f"color=gray:size=64x48:rate=25,format={pixel_format},setsar=4/3,setparams=range=tv"
    located = ("-chroma_sample_location", "left", "-strict", "-1", "-f", "yuv4mpegpipe", "-")
    theirs = ffmpeg("-f", "lavfi", "-i", pattern, "-frames:v", "1", *located).split(b"\n")[0]
    reader, writer = os.pipe()
    os.write(writer, theirs + b"\n")
    os.close(writer)
    layout = y4m.read_header(Pipe(reader).read_line())
    os.close(reader)
    assert layout.format.pixel_format == pixel_format
    ours = y4m.header(layout.format, layout.rate, layout.picture.sample_aspect_ratio)
    if pixel_format.startswith("gray"):
        ours, theirs = ours.split(b" XCOL")[0], theirs.split(b" XCOL")[0]
    assert ours.strip() == theirs.strip()


def test_a_matrix_that_y4m_cannot_say_is_told(tmp_path):
    source = make(tmp_path / "a.mkv", *X264, "-vf", "scale=640:360", frames=2)
    (note,) = open_sink("-", open_source(source), 2).notes
    assert note == (
        "y4m cannot say that its colours are smpte170m; players may take bt709 at this size"
    )
    assert open_sink("-", open_source(source), 1).notes == ()


def test_where_chroma_lies_is_known_of_a_pipe_too(tmp_path):
    source = make(tmp_path / "a.mkv", *X264, "-chroma_sample_location", "topleft", frames=3)
    head = through(source.read_bytes()).stdout.split(b"\n")[0]
    assert b" C420paldv " in head
    through(source.read_bytes(), output=tmp_path / "out.mkv")
    assert open_source(tmp_path / "out.mkv").format.chroma_location == "topleft"


def test_what_bare_samples_cannot_say_is_told(tmp_path):
    hdr = "setparams=colorspace=bt709:color_trc=smpte2084:range=pc"
    located = ("-chroma_sample_location", "bottom", "-vf", hdr)
    source = make(tmp_path / "a.mkv", *X264, *located, frames=2)
    size = "standard output is 1280x960 yuv420p, 25 frames/s"
    known = {
        "y4m": ["y4m cannot say that it is HDR (PQ)", "players will take center"],
        "rawvideo": [size, "HDR (PQ)", "players will take left", "samples are of full range"],
    }
    for kind, wanted in known.items():
        notes = open_sink("-", open_source(source), 20, output_format=kind).notes
        assert len(notes) == len(wanted)
        for words, note in zip(wanted, notes, strict=True):
            assert words in note


@pytest.mark.parametrize("kind", ["y4m", "rawvideo"])
@pytest.mark.parametrize(
    ("times", "place"),
    [
        ("fps=24000/1001", None),  # 41.7 ms, which Matroska rounds
        ("settb=1/1000,setpts=N*40+40*gt(N\\,5)", 6),
        # Each step is nearly right, and more than the half of a frame is reached in the end.
        ("settb=1/1000,setpts=N*41-2*max(N-40\\,0)", 21),
    ],
)
def test_times_that_samples_cannot_have_are_told(tmp_path, kind, times, place):
    passed = ("-fps_mode", "passthrough", "-enc_time_base", "1/1000", *X264)
    source = open_source(make(tmp_path / "a.mkv", "-vf", times, *passed, frames=80))
    sink = SampleSink(io.BytesIO(), kind, source.format, source, EncodeOptions())
    counts = []
    before = len(sink.notes)
    for frame in source.frames():
        sink.write(frame)
        counts.append(len(sink.notes) - before)
    assert counts == [int(place is not None and n >= place) for n in range(80)]
    if place == 6:
        assert f"{kind} has no timestamps: from 0.280 s on frames are not " in sink.notes[-1]
        assert "matroska keeps their times" in sink.notes[-1]


def test_nothing_is_held_back_in_a_pipe():
    reader, writer = os.pipe()
    layout = RawVideo("4x2").layout()
    frames = samples.SampleSource(Pipe(reader), layout).frames()
    for value in range(3):
        os.write(writer, bytes([value]) * 12)
        assert next(frames).planes[0].tolist() == [[value] * 4] * 2
    os.write(writer, b"short")
    os.close(writer)
    with pytest.raises(BrokenStream, match=r"breaks off at 0\.120 s"):
        next(frames)
    os.close(reader)


@pytest.mark.parametrize("size", ["1000000x1000000", "65536x48", "64x0", "-64x48"])
def test_a_y4m_header_with_an_impossible_size_is_refused(size):
    width, height = size.split("x")
    reader, writer = os.pipe()
    os.write(writer, f"YUV4MPEG2 W{width} H{height} F25:1\nFRAME\n".encode())
    os.close(writer)
    with pytest.raises(ValueError, match=rf"a size of {size}; each side must be 1 to 65535"):
        y4m.read_header(Pipe(reader).read_line())
    os.close(reader)


@pytest.mark.parametrize("rate", ["30000000000:10000000", "1:1001", "x:1"])
def test_a_y4m_header_with_an_impossible_rate_is_refused(rate):
    with pytest.raises(ValueError, match=rf"a frame rate of {rate}; 0.001 to 1000 frames/s"):
        _declared(f" F{rate}")


def test_rates_of_y4m():
    assert _declared(" F1:2").rate == Fraction(1, 2)
    rounded = _declared(" F30000000000:1001000001").rate
    assert abs(rounded - Fraction(30000, 1001)) < 1e-6 and rounded.denominator < 2**20
    assert _declared(" F0:0").rate == _declared("").rate == 25


def _declared(fields):
    reader, writer = os.pipe()
    os.write(writer, f"YUV4MPEG2 W64 H48{fields}\nFRAME\n".encode())
    os.close(writer)
    with open(reader, "rb"):
        return y4m.read_header(Pipe(reader).read_line())


def test_closed_pipes_are_told(tmp_path, monkeypatch):
    source = open_source(make(tmp_path / "a.mkv", *X264, frames=2))
    for name, use in (
        ("stdin", lambda: open_source("-")),
        ("stdout", lambda: open_sink("-", source, 2)),
    ):
        monkeypatch.setattr(sys, name, None)
        with pytest.raises(ValueError, match=f"standard {name[3:]}put is closed"):
            use()
