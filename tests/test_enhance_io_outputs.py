"""Where the output goes, and what its container makes of tags, covers, chapters and clocks."""

import os
import re
from fractions import Fraction

import av
import pytest
from enhance_samples import (
    FAST,
    X264,
    checksum,
    description,
    enhance,
    frame_times,
    make,
    packets,
    repeat,
)
from test_enhance_io_streams import rich_matroska
from video_samples import ffmpeg

from supervegan_jax.video_input.source import open_source
from supervegan_jax.video_output import mp4_times
from supervegan_jax.video_output.sink import open_sink


def notes_of(source, output) -> tuple[str, ...]:
    """Of a finished run."""
    opened = open_source(source)
    with open_sink(output, opened, 2, FAST) as sink:
        for frame in opened.frames():
            sink.write(repeat(frame, opened.format.scaled(2), 2))
        sink.close()
    return sink.notes


@pytest.mark.parametrize("thing", ["thesis.txt", "lock/", "000000.segment", "trial.mkv/a"])
def test_a_folder_of_somebody_elses_is_left_alone(tmp_path, thing):
    source, output = make(tmp_path / "a.mkv", *X264, frames=3), tmp_path / "out.mkv"
    theirs = tmp_path / "out.mkv.partial" / thing
    theirs.parent.mkdir(parents=True)
    if thing.endswith("/"):
        theirs.mkdir()
    else:
        theirs.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    name = thing.split("/")[0]
    for start in (None, 100):
        with pytest.raises(ValueError, match=rf"partial is needed.* holds {name}.*move it away"):
            enhance(source, output, overwrite=True, start=start)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_comes_into_the_folder_meanwhile_stays(tmp_path):
    source, output = make(tmp_path / "a.mkv", *X264, frames=3), tmp_path / "out.mkv"
    opened = open_source(source)
    with open_sink(output, opened, 2, FAST) as sink:
        for frame in opened.frames():
            sink.write(repeat(frame, opened.format.scaled(2), 2))
        (tmp_path / "out.mkv.partial" / "thesis.txt").write_text("mine")
        sink.close()
    assert len(frame_times(output)) == 3
    assert [p.name for p in (tmp_path / "out.mkv.partial").iterdir()] == ["thesis.txt"]
    (tmp_path / "b.mkv.partial").touch()
    with pytest.raises(ValueError, match="needed for unfinished work, but it is a file"):
        enhance(source, tmp_path / "b.mkv")


@pytest.mark.parametrize("name", ["Alien: Romulus.mkv", "12:30.mp4", "http:x.ts"])
def test_a_relative_name_with_a_colon(tmp_path, monkeypatch, name):
    make(tmp_path / "a.mkv", *X264, frames=3)
    monkeypatch.chdir(tmp_path)
    enhance("a.mkv", name)
    assert sorted(os.listdir()) == sorted([name, "a.mkv"])
    assert len(frame_times(name)) == 3


def test_a_link_stays_and_leads_to_the_output(tmp_path):
    source = make(tmp_path / "a.mkv", *X264, frames=3)
    (tmp_path / "store").mkdir()
    target, link = tmp_path / "store" / "real.mkv", tmp_path / "out.mkv"
    target.write_text("old")
    link.symlink_to(target)
    with pytest.raises(ValueError, match=r"out\.mkv exists already"):
        enhance(source, link)
    enhance(source, link, overwrite=True)
    assert link.is_symlink()
    assert len(frame_times(target)) == 3
    assert os.listdir(tmp_path / "store") == ["real.mkv"]
    new = tmp_path / "new.mkv"
    new.symlink_to("store/new.mkv")
    enhance(source, new)
    assert new.is_symlink() and len(frame_times(tmp_path / "store" / "new.mkv")) == 3
    lost, back = tmp_path / "lost.mkv", tmp_path / "back.mkv"
    lost.symlink_to("none/x.mkv")
    with pytest.raises(ValueError, match=r"lost\.mkv: there is no folder .*none"):
        enhance(source, lost)
    back.symlink_to("a.mkv")
    before = checksum(source)
    with pytest.raises(ValueError, match="is the input"):
        enhance(source, back, overwrite=True)
    assert checksum(source) == before


def test_a_pipe_with_a_name_is_refused(tmp_path):
    source, pipe = make(tmp_path / "a.mkv", *X264, frames=3), tmp_path / "out.mkv"
    os.mkfifo(pipe)
    link = tmp_path / "link.mkv"
    link.symlink_to(pipe)
    for path in (pipe, link):
        for overwrite in (False, True):
            with pytest.raises(ValueError, match="is a pipe or a device; - writes standard"):
                enhance(source, path, overwrite=overwrite)
    assert pipe.is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["a.mkv", "link.mkv", "out.mkv"]


@pytest.fixture(scope="module")
def covered(tmp_path_factory):
    """An MP4 file with cover art, chapters of two titles, a track's title, and tags."""
    place = tmp_path_factory.mktemp("covered")
    rich_matroska(place)
    ffmpeg(
        *("-i", str(place / "rich.mkv"), "-i", str(place / "c.jpg"), "-map", "0:V", "-map", "0:a"),
        *("-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic", str(place / "a.mp4")),
    )
    return place / "a.mp4"


@pytest.mark.parametrize("part", [{"duration": 0.5}, {"start": 0.3}])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_part_keeps_the_cover(covered, tmp_path, part, name):
    enhance(covered, tmp_path / name, **part)
    assert description(tmp_path / name).count("(attached pic)") == 1
    assert 10 < len(frame_times(tmp_path / name)) < 20


def test_a_cover_that_does_not_fit_is_refused(covered, tmp_path):
    for name in ("out.mov", "out.ts"):
        suffix = name[4:]
        message = rf"^stream #4 \(video, mjpeg\) of .* does not fit into {suffix}; mkv can hold it"
        with pytest.raises(ValueError, match=message):
            enhance(covered, tmp_path / name, drop=[2, 3])
    assert list(tmp_path.iterdir()) == []
    enhance(covered, tmp_path / "out.mov", drop=[2, 3, 4])
    assert description(tmp_path / "out.mov").count("Chapter #") == 2


def test_chapters_titles_and_tags_that_are_left_out_are_told(tmp_path):
    chapter = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\ntitle=Begin\n"
    (tmp_path / "chapters").write_text(chapter)
    plain, source = make(tmp_path / "p.mkv", *X264, "-c:a", "aac", sound=True), tmp_path / "a.mkv"
    ffmpeg(
        *("-i", str(plain), "-f", "ffmetadata", "-i", str(tmp_path / "chapters"), "-c", "copy"),
        *("-map_chapters", "1", "-metadata:s:a:0", "title=Talk", "-metadata:s:v:0"),
        *("language=jpn", "-metadata", "title=Film", "-metadata", "artist=Me", str(source)),
    )
    first, *_ = notes_of(source, tmp_path / "out.ts")
    assert first == (
        "ts does not keep 1 chapter; the language of stream #0 (video, h264, jpn); the title of "
        "stream #1 (audio, aac); the tag ARTIST"
    )
    for name in ("out.mkv", "out.mp4", "out.mov"):
        assert notes_of(source, tmp_path / name) == ()
        assert "Talk" in description(tmp_path / name)
        assert "Begin" in description(tmp_path / name)


CREATED = "2020-01-02T03:04:05.000000Z"


def test_the_tags_of_a_telephone_are_written_once(tmp_path):
    source, output = tmp_path / "a.mp4", tmp_path / "out.mp4"
    tags = ("-metadata", "title=Hi", "-metadata", "location=+48.1+011.5/")
    created = ("-metadata", f"creation_time={CREATED}")
    make(source, *X264, *tags, *created, frames=3)
    assert "location-eng" in description(source)
    assert notes_of(source, output) == ()
    # The usual list of tags, not the free-form one that fewer players read.
    assert b"mdta" not in output.read_bytes()
    for line in ("title           : Hi", f"creation_time   : {CREATED}"):
        assert re.search(rf"{re.escape(line)}\n", description(output))
    free = ("-metadata", "com.android.version=12", "-movflags", "use_metadata_tags")
    make(tmp_path / "free.mp4", *X264, *tags, *created, *free, frames=3)
    for name, brand in (("free-out.mp4", "isom"), ("free-out.mov", "qt  ")):
        assert notes_of(tmp_path / "free.mp4", tmp_path / name) == ()
        said = description(tmp_path / name)
        for line in (f"major_brand     : {brand}", "title           : Hi"):
            assert re.search(rf"{re.escape(line)}\n", said)
        assert "com.android.version: 12\n" in said
        # The file and its track.
        assert re.findall(r"creation_time *: (.*)\n", said) == [CREATED] * 2


def test_times_of_creation():
    assert mp4_times.seconds("1904-01-02T00:00:01.000000Z") == 86401
    assert mp4_times.seconds("1970-01-01T01:00:00+01:00") == 2082844800  # as ISO 14496-12 has it
    assert mp4_times.seconds("1970-01-01 00:00:00") == 2082844800
    assert mp4_times.seconds("") is mp4_times.seconds("yesterday") is None
    assert mp4_times.seconds("1800-01-01T00:00:00Z") is None


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.ts"])
def test_a_clock_that_starts_anew_loses_no_frame(tmp_path, name):
    plain, source = make(tmp_path / "p.mp4", *X264, "-c:a", "aac", sound=True), tmp_path / "a.ts"
    # 2 ** 33 / 90000 s is 95443.7, and ffmpeg begins at 1.4.
    late = ("-output_ts_offset", "95441.9", "-f", "mpegts", str(source))
    ffmpeg("-copyts", "-i", str(plain), "-c", "copy", *late)
    with av.open(str(source)) as file:
        times = [frame.pts * frame.time_base for frame in file.decode(video=0)]
    assert times[0] < 0 < times[-1]
    notes = notes_of(source, tmp_path / name)
    assert notes == ("the input's clock begins below 0; all streams are shown 1 s later",)
    shown = frame_times(tmp_path / name)
    assert len(shown) == len(times) == 25
    rounded = Fraction(1, 1000)
    assert all(abs(a - b - 1) < rounded for a, b in zip(shown, times, strict=True))
    sounds = zip(packets(tmp_path / name, "a:0"), packets(source, "a:0"), strict=True)
    assert all(abs(a[0] - b[0] - 1) < rounded for a, b in sounds)


def test_a_transport_stream_tells_that_all_is_later(tmp_path):
    source = make(tmp_path / "a.mp4", *X264, "-c:a", "aac", sound=True)
    (note,) = notes_of(source, tmp_path / "out.ts")
    later = re.fullmatch(r"ts begins at 0: all streams are shown (0\.\d+) s later", note)
    assert later
    pairs = zip(frame_times(tmp_path / "out.ts"), frame_times(source), strict=True)
    assert all(float(a - b) == pytest.approx(float(later[1]), abs=0.001) for a, b in pairs)
    ffmpeg("-i", str(source), "-c", "copy", str(tmp_path / "a.ts"))
    assert notes_of(tmp_path / "a.ts", tmp_path / "again.ts") == ()


def test_a_subtitle_ends_with_the_part(tmp_path):
    (tmp_path / "s.srt").write_text("1\n00:00:00,100 --> 00:00:01,900\nLong\n")
    plain, source = make(tmp_path / "p.mkv", *X264, frames=50), tmp_path / "a.mkv"
    both = ("-map", "0", "-map", "1", "-c:v", "copy", "-c:s", "subrip", str(source))
    ffmpeg("-i", str(plain), "-i", str(tmp_path / "s.srt"), *both)
    enhance(source, tmp_path / "out.mkv", start=0.32, duration=1)
    with av.open(str(tmp_path / "out.mkv")) as file:
        (subtitle,) = (p for p in file.demux(file.streams.subtitles[0]) if p.size)
        assert (subtitle.pts, subtitle.duration) == (0, 1000)
        assert file.duration == 1_000_000
    enhance(source, tmp_path / "rest.mkv", start=0.32)
    with av.open(str(tmp_path / "rest.mkv")) as file:
        (subtitle,) = (p for p in file.demux(file.streams.subtitles[0]) if p.size)
        assert (subtitle.pts, subtitle.duration) == (0, 1900 - 320)
