"""Everything but the picture survives: times, sound, subtitles, chapters, attachments, tags."""

import itertools
import re
from fractions import Fraction

import pytest
from enhance_samples import (
    FAST,
    SOUND,
    VARIABLE,
    X264,
    description,
    enhance,
    frame_times,
    make,
    packets,
    planes,
    rows,
)
from video_samples import ffmpeg

from supervegan_jax.video_input.source import open_source
from supervegan_jax.video_output.encoding import EncodeOptions
from supervegan_jax.video_output.sink import open_sink

PASS = ("-fps_mode", "passthrough", "-enc_time_base", "1/600")
SUBTITLES = "1\n00:00:00,200 --> 00:00:00,500\nOne\n\n2\n00:00:00,600 --> 00:00:00,900\nTwo\n"
CHAPTERS = """;FFMETADATA1
title=A film
comment=semi\\;colon
[CHAPTER]
TIMEBASE=1/1000
START=0
END=480
title=Begin
[CHAPTER]
TIMEBASE=1/1000
START=480
END=1000
title=End
"""


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.ts", "a.mov"])
def test_frames_times_and_sound_survive_in_every_container(tmp_path, name):
    codecs = ("-c:v", "libvpx-vp9", "-c:a", "libopus") if "webm" in name else (*X264, "-c:a", "aac")
    source = make(tmp_path / name, *codecs, sound=True)
    output = tmp_path / f"out-{name}"
    options = {"options": None} if "webm" in name else {}
    assert enhance(source, output, **options) is None
    assert frame_times(output) == frame_times(source)
    assert packets(output, "a:0") == packets(source, "a:0")
    assert "128x96" in description(output)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"out-{name}"]


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_a_variable_frame_rate_is_kept_to_the_tick(tmp_path, name):
    source = make(tmp_path / name, "-vf", VARIABLE, *PASS, *X264)
    times = frame_times(source)
    assert times[0] > 0
    assert len({b - a for a, b in itertools.pairwise(times)}) > 2
    enhance(source, tmp_path / "out.mp4")
    assert frame_times(tmp_path / "out.mp4") == times
    enhance(source, tmp_path / "out.mkv")
    differences = [a - b for a, b in zip(frame_times(tmp_path / "out.mkv"), times, strict=True)]
    assert max(map(abs, differences)) <= 0.0005


def test_streams_keep_their_distance(tmp_path):
    late = ("-itsoffset", "0.35", "-f", "lavfi", "-t", "1", "-i", SOUND)
    picture = make(tmp_path / "picture.mkv", *X264)
    for name in ("a.mkv", "a.mp4"):
        source, output = tmp_path / name, tmp_path / f"out-{name}"
        mapping = ("-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "flac")
        ffmpeg("-i", str(picture), *late, *mapping, str(source))
        enhance(source, output)
        assert packets(output, "a:0") == packets(source, "a:0")
        assert packets(output, "a:0")[0][0] > 0.3
        assert frame_times(output) == frame_times(source)


def test_an_edit_list_hides_the_same_frames(tmp_path):
    whole = make(tmp_path / "whole.mp4", *X264, "-c:a", "aac", frames=40, sound=True)
    source, output = tmp_path / "cut.mp4", tmp_path / "out.mp4"
    ffmpeg("-ss", "0.6", "-i", str(whole), "-c", "copy", str(source))
    times = frame_times(source)
    assert len(times) == 25  # copied from the key frame before, which the edit list hides
    enhance(source, output)
    assert frame_times(output) == times
    assert packets(output, "a:0") == packets(source, "a:0")


def rich_matroska(folder, *more):
    (folder / "s.srt").write_text(SUBTITLES)
    (folder / "chapters").write_text(CHAPTERS)
    (folder / "font.ttf").write_bytes(bytes(range(256)) * 9)
    make(folder / "plain.mkv", *X264)
    ffmpeg("-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1", str(folder / "c.jpg"))
    source = folder / "rich.mkv"
    ffmpeg(
        *(
            "-f",
            "lavfi",
            "-t",
            "1",
            "-i",
            SOUND,
            "-f",
            "lavfi",
            "-t",
            "1",
            "-i",
            SOUND + ",volume=.5",
        ),
        *(
            "-i",
            str(folder / "plain.mkv"),
            "-i",
            str(folder / "s.srt"),
            "-i",
            str(folder / "s.srt"),
        ),
        *("-f", "ffmetadata", "-i", str(folder / "chapters"), "-map_metadata", "5"),
        *("-map", "0", "-map", "2:v", "-map", "1", "-map", "3", "-map", "4", "-c:v", "copy"),
        *("-c:a:0", "aac", "-c:a:1", "libopus", "-c:s:0", "subrip", "-c:s:1", "ass"),
        *("-attach", str(folder / "font.ttf"), "-metadata:s:t:0", "mimetype=font/ttf"),
        *("-attach", str(folder / "c.jpg"), "-metadata:s:t:1", "mimetype=image/jpeg"),
        *("-metadata:s:t:1", "filename=cover.jpg"),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu"),
        *("-metadata:s:a:1", "title=Kommentar", "-metadata:s:v:0", "title=Picture"),
        *("-metadata:s:v:0", "language=jpn", "-metadata:s:s:0", "language=fra"),
        *("-disposition:a:0", "0", "-disposition:a:1", "default+comment"),
        *("-disposition:s:0", "forced", "-disposition:s:1", "hearing_impaired"),
        *more,
        str(source),
    )
    return source


def listing(path):
    """Streams, tags and chapters as printed, without numbers that must differ."""
    text = description(path).split("Input #0")[1]
    lines = [line.strip() for line in text.splitlines()[1:]]
    changing = (
        r"Duration:|DURATION|encoder|ENCODER|At least one|BPS|.*Video: h264|$|.*Metadata:|.AVIO"
    )
    kept = [line for line in lines if not re.match(changing, line)]
    return [re.sub(r"\[0x\w+\]", "", line) for line in kept]  # MP4 numbers its tracks anew


def test_matroska_keeps_all_its_streams_and_tags(tmp_path):
    source, output = rich_matroska(tmp_path), tmp_path / "out.mkv"
    enhance(source, output)
    assert listing(output) == listing(source)
    for stream in ("a:0", "a:1", "s:0", "s:1", "t:0"):
        if stream != "t:0":
            assert packets(output, stream) == packets(source, stream)
    dumped = tmp_path / "dumped.ttf"
    dump = ["-dump_attachment:t:0", str(dumped), "-i", str(output), "-t", "0", "-f", "null", "-"]
    ffmpeg(*dump)
    assert dumped.read_bytes() == (tmp_path / "font.ttf").read_bytes()
    assert "attached pic" in description(output)
    assert re.search(r"Stream #0:1.*\(jpn\).*Video: h264", description(output))


def test_mp4_keeps_cover_chapters_subtitles_and_free_tags(tmp_path):
    rich_matroska(tmp_path)
    source, output = tmp_path / "rich.mp4", tmp_path / "out.mp4"
    ffmpeg(
        *("-i", str(tmp_path / "rich.mkv"), "-i", str(tmp_path / "c.jpg"), "-map", "1"),
        *("-map", "0:V", "-map", "0:a", "-map", "0:s", "-c", "copy", "-c:s", "mov_text"),
        *("-disposition:v:0", "attached_pic", "-metadata", "artist=Somebody", str(source)),
    )
    enhance(source, output)
    assert listing(output) == listing(source)
    for stream in ("a:0", "a:1", "s:0", "s:1"):
        assert packets(output, stream) == packets(source, stream)
    assert "attached pic" in description(output)


def test_what_does_not_fit_is_refused_before_the_work_starts(tmp_path):
    source = rich_matroska(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(
        ValueError, match=r"stream #3 \(subtitle, subrip, fra\).* mp4; mkv can hold"
    ):
        enhance(source, tmp_path / "out.mp4")
    with pytest.raises(ValueError, match=r"stream #0 \(audio, aac, eng\).*webm; mkv can hold"):
        enhance(source, tmp_path / "out.webm", options=None)
    with pytest.raises(ValueError, match=r"codec h264 does not fit into webm.*mkv, mp4"):
        enhance(source, tmp_path / "out.webm", options=EncodeOptions(codec="h264"))
    with pytest.raises(ValueError, match=r"suffix must be one of \.mkv"):
        enhance(source, tmp_path / "out.wmv")
    assert sorted(tmp_path.iterdir()) == before
    # The user may give streams up.
    enhance(source, tmp_path / "out.mp4", drop=[3, 4, 5, 6])
    assert packets(tmp_path / "out.mp4", "a:1")[1:] == packets(source, "a:1")[1:]


def test_a_part_is_cut_by_timestamp_and_starts_at_0(tmp_path):
    source, output = rich_matroska(tmp_path), tmp_path / "out.mkv"
    enhance(source, output, start=0.3, duration=0.4)
    kept = [time for time in frame_times(source) if 0.3 <= time < 0.7]
    assert frame_times(output) == [time - kept[0] for time in kept]
    sound = [p for p in packets(source, "a:0") if kept[0] <= p[0] < 0.7]
    assert [p[1:] for p in packets(output, "a:0")] == [p[1:] for p in sound]
    assert all(
        abs(a[0] + kept[0] - b[0]) <= 0.001
        for a, b in zip(packets(output, "a:0"), sound, strict=True)
    )
    # "One" began before the part and goes on in it; "Two" begins inside.
    assert [float(p[0]) for p in packets(output, "s:0")] == [0.0, pytest.approx(0.28)]
    found = re.findall(r"Chapter #0:\d: start (\S+), end (\S+)", description(output))
    assert [tuple(map(float, times)) for times in found] == [(0.0, 0.16), (0.16, 0.38)]
    whole = planes(source)[: 64 * 48 * 3 // 2]
    assert len(planes(output)) == len(kept) * len(whole) * 4


def test_a_part_far_inside_is_found_by_seeking_as_by_reading(tmp_path):
    coded = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "40")
    source = make(tmp_path / "a.mkv", *coded, frames=16 * 25)
    frames = list(open_source(source, start=14.2, duration=0.5).frames())
    wanted = [frame for frame in open_source(source).frames() if 14200 <= frame.pts < 14700]
    assert [frame.pts for frame in frames] == [frame.pts for frame in wanted]
    assert [frame.index for frame in frames] == list(range(len(wanted)))
    assert all((a.planes[0] == b.planes[0]).all() for a, b in zip(frames, wanted, strict=True))


def test_a_recording_that_begins_between_key_frames_is_not_damaged(tmp_path):
    whole = make(tmp_path / "whole.ts", *X264, "-c:a", "aac", sound=True, frames=50)
    data, source = whole.read_bytes(), tmp_path / "a.ts"
    source.write_bytes(data[len(data) // 188 // 5 * 188 :])
    assert enhance(source, tmp_path / "out.ts") is None
    complete = ["-v", "fatal", "-copyts", "-i", str(source), "-map", "0:v", "-fps_mode"]
    base, found = rows(ffmpeg(*complete, "passthrough", "-f", "framecrc", "-"))
    assert frame_times(tmp_path / "out.ts") == [int(row[2]) * base for row in found]
    assert packets(tmp_path / "out.ts", "a:0") == packets(source, "a:0")


def test_a_time_code_track_is_kept(tmp_path):
    source = make(tmp_path / "a.mov", "-timecode", "01:02:03:04", *X264)
    enhance(source, tmp_path / "out.mov")
    assert description(tmp_path / "out.mov").count("01:02:03:04") == 2
    assert packets(tmp_path / "out.mov", "d:0") == packets(source, "d:0")


@pytest.mark.parametrize("name", ["out.mov", "out.mp4", "out.mkv"])
def test_a_time_code_moves_no_frame(tmp_path, name):
    coded = ("-timecode", "01:02:03:04", "-video_track_timescale", "6000", *X264, "-c:a", "aac")
    moved = ("-vf", f"{VARIABLE},setpts=PTS+300", *PASS)
    source = make(tmp_path / "a.mov", *moved, *coded, sound=True)
    times = frame_times(source)
    assert float(times[0]) == pytest.approx(350 / 600, abs=1e-3)
    enhance(source, tmp_path / name)
    found = frame_times(tmp_path / name)
    rounded = Fraction(1, 2000) if name.endswith("mkv") else 0
    assert all(abs(a - b) <= rounded for a, b in zip(times, found, strict=True))
    first, wanted = (packets(path, "a:0")[0][0] for path in (tmp_path / name, source))
    assert abs(first - wanted) <= rounded
    assert "01:02:03:04" in description(tmp_path / name)


def lasts(path):
    return re.search(r"Duration: 00:00:(\S+),", description(path))[1]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_stills_end_when_the_source_does(tmp_path, name):
    """Frames at 0, 4, 5 and 6 s: in MP4 each decoding time moves by what one is shown."""
    held = ("-vf", "settb=1/600,setpts=600*(N+3*gt(N\\,0))", *PASS)
    source = make(tmp_path / "a.mp4", *held, *X264, frames=4)
    assert lasts(source) in ("07.00", "06.04")
    enhance(source, tmp_path / name)
    assert frame_times(tmp_path / name) == [0, 4, 5, 6]
    assert lasts(tmp_path / name) == lasts(source)
    enhance(source, tmp_path / "out.ts")  # and none is late, for all that its clock begins at 0
    assert frame_times(tmp_path / "out.ts") == [0, 4, 5, 6]
    part = tmp_path / f"part-{name}"
    enhance(source, part, duration=4.5)
    assert frame_times(part) == [0, 4]
    assert lasts(part) == "04.50"


def test_what_a_part_cannot_begin_with_is_refused(tmp_path):
    source = make(tmp_path / "a.mkv", "-map", "0:v", "-map", "0:v", *X264)
    with pytest.raises(ValueError, match=r"stream #1 \(video, h264\).*\(--drop 1\)"):
        enhance(source, tmp_path / "out.mkv", start=0.2)
    enhance(source, tmp_path / "out.mkv", start=0.2, drop=[1])
    enhance(source, tmp_path / "whole.mkv", duration=0.2)
    assert len(packets(tmp_path / "whole.mkv", "v:1")) == 5
    with pytest.raises(ValueError, match="no frame lies in the selected time"):
        enhance(source, tmp_path / "none.mkv", start=0.01, duration=0.01, drop=[1])


def test_cover_art_moves_between_containers_and_says_what_it_displaces(tmp_path):
    source = rich_matroska(tmp_path)
    enhance(source, tmp_path / "out.mp4", drop=[3, 4, 5])
    assert "attached pic" in description(tmp_path / "out.mp4")
    assert "semi;colon" in description(tmp_path / "out.mp4")
    tagged = rich_matroska(tmp_path, "-metadata", "mood=blue")
    with open_sink(tmp_path / "o.mp4", open_source(tagged), 2, FAST, drop=[3, 4, 5]) as sink:
        assert sink.notes == ("mp4 does not keep the tag MOOD beside cover art",)
    with open_sink(tmp_path / "o.mp4", open_source(tagged), 2, FAST, drop=[3, 4, 5, 6]) as sink:
        assert sink.notes == ()
