"""Frames of inputs with a poor clock, or none: when each of them is shown."""

import itertools
from fractions import Fraction

import av
import pytest
from enhance_samples import X264, description, enhance, frame_times, make, packets
from video_samples import ffmpeg

from supervegan_jax.video_input.source import open_source

X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error")
TRANSPORT = ("-bsf:v", "h264_mp4toannexb", "-f", "mpegts")


@pytest.mark.parametrize("rate", ["12", "24000/1001", "30"])
@pytest.mark.parametrize(
    ("name", "coded"),
    [
        ("a.h264", X264),
        ("a.h265", X265),
        ("a.m4v", ("-c:v", "mpeg4", "-f", "m4v")),
        ("a.m2v", ("-c:v", "mpeg2video", "-strict", "-1")),
    ],
)
def test_elementary_streams_are_shown_at_the_rate_they_declare(tmp_path, name, coded, rate):
    source = tmp_path / name
    pattern = f"testsrc2=size=64x48:rate={rate},format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", pattern, "-frames:v", "7", *coded, str(source))
    assert open_source(source).rate == Fraction(rate)
    enhance(source, tmp_path / "out.mp4")
    assert frame_times(tmp_path / "out.mp4") == [n / Fraction(rate) for n in range(7)]
    shown = ffmpeg(
        *("-i", str(tmp_path / "out.mp4"), "-map", "0:v", "-c", "copy", "-f", "framecrc", "-")
    )
    durations = {line.split(b",")[3] for line in shown.splitlines() if line[:2] == b"0,"}
    assert len(durations) == 1


@pytest.mark.parametrize("coded", [("-c:v", "mpeg4"), ("-c:v", "mpeg4", "-bf", "2"), X264])
def test_an_avi_with_dropped_frames_is_whole(tmp_path, coded):
    """A dropped frame leaves an empty chunk, which is no packet, but takes its time."""
    dropping = ("-vf", "select=not(eq(n\\,5)+eq(n\\,6)+eq(n\\,15))", "-fps_mode", "vfr")
    source = make(tmp_path / "a.avi", *dropping, *coded)
    assert enhance(source, tmp_path / "out.mkv") is None
    times = frame_times(tmp_path / "out.mkv")
    assert len(times) == 25
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert sorted(gaps) == [Fraction(1, 25)] * 22 + [Fraction(2, 25), Fraction(3, 25)]


def without_pictures(data: bytes) -> bytes:
    """An MPEG-4 picture (ISO/IEC 14496-2, 6.2.5) marked as not coded."""
    at = data.index(b"\0\0\1\xb6") + 4
    bits = "".join(f"{byte:08b}" for byte in data[at : at + 8])
    # Its kind, the seconds (ones up to a zero), a marker, the 5 bits of a 25th, a marker.
    kept = bits[: bits.index("0", 2) + 1 + 1 + 5 + 1] + "00"
    kept += "1" * (-len(kept) % 8)
    return data[:at] + int(kept, 2).to_bytes(len(kept) // 8, "big")


def test_avi_packets_without_a_picture_leave_the_others_their_times(tmp_path):
    whole, source = make(tmp_path / "w.avi", "-c:v", "mpeg4", "-g", "99"), tmp_path / "a.avi"
    skipped = (5, 6, 10, 15)
    with av.open(str(whole)) as read, av.open(str(source), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(p for p in read.demux() if p.size):
            data = bytes(packet)
            copy = av.Packet(without_pictures(data) if number in skipped else data)
            copy.pts = copy.dts = packet.dts
            copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
            copy.stream = stream
            written.mux_one(copy)
    expected = [time for n, time in enumerate(frame_times(whole)) if n not in skipped]
    assert enhance(source, tmp_path / "out.mkv") is None
    assert frame_times(tmp_path / "out.mkv") == expected


def twice(path, *inputs_and_codecs):
    """A transport stream with a second one behind it, whose clock starts anew."""
    part = path.with_name("part.ts")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", *inputs_and_codecs, str(part))
    path.write_bytes(part.read_bytes() * 2)
    return frame_times(part)


def test_a_clock_that_restarts_goes_on_in_a_video_without_sound(tmp_path):
    source, output = tmp_path / "a.ts", tmp_path / "out.ts"
    part = twice(source, "-frames:v", "25", "-pix_fmt", "yuv420p", *X264)
    opened = open_source(source)
    times = [frame.pts * opened.time_base for frame in opened.frames()]
    assert times == [part[0] + Fraction(n, 25) for n in range(50)]
    at = float(part[0]) + 1
    assert opened.notes == [
        f"its clock restarts at {at:.3f} s (1 place) and was made to go on without a break"
    ]
    assert enhance(source, output) is None
    assert frame_times(output) == times


def test_a_clock_that_restarts_is_refused_beside_sound_until_it_is_mended(tmp_path):
    source, mended, output = tmp_path / "a.ts", tmp_path / "mended.ts", tmp_path / "out.mkv"
    sound = ("-f", "lavfi", "-i", "sine=sample_rate=48000", "-c:a", "aac", "-t", "1")
    part = twice(source, *sound, "-pix_fmt", "yuv420p", *X264)
    reason = rf"a\.ts: its clock restarts after {float(part[-1]):.3f} s, .*-map 0 -c copy OUT\.ts"
    with pytest.raises(ValueError, match=reason) as told:
        open_source(source)
    assert "\n" not in str(told.value)
    # What lies before the restart is sound.
    assert len(list(open_source(source, duration=0.5).frames())) > 10
    ffmpeg("-i", str(source), "-map", "0", "-c", "copy", str(mended))
    enhance(mended, output)
    assert len(frame_times(output)) == 50
    assert max(b - a for a, b in itertools.pairwise(frame_times(output))) < 0.1
    heard = [time for time, *_ in packets(output, "a:0")]
    assert heard == sorted(heard)
    assert "Duration: 00:00:03" in description(output)
