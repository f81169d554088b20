import hashlib
import importlib
import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import pytest
from video_samples import ffmpeg, join_videos, make_video, raw_frames

from data_prep import clips as clips_module
from data_prep import degrade as degrade_module
from data_prep import folder
from data_prep.clips import ClipOptions, Scan, embedded_clip, make_clips, split_scenes
from data_prep.degrade import degrade
from data_prep.geometry import Geometry, plan
from supervegan_jax.data.records import encode_path

SHORT = ClipOptions(min_seconds=0.2)


@pytest.mark.parametrize(
    ("source", "fit", "expected"),
    [
        ((1280, 720), "cover", Geometry((1280, 720), (1280, 720), (0, 0))),
        ((3840, 2160), "cover", Geometry((1280, 720), (1280, 720), (0, 0))),
        ((1920, 800), "cover", Geometry((1728, 720), (1280, 720), (224, 0))),
        ((1920, 800), "inside", Geometry((1280, 534), (1280, 528), (0, 2))),
        ((1080, 1920), "cover", Geometry((720, 1280), (720, 1280), (0, 0))),
        ((1366, 768), "cover", Geometry((1280, 720), (1280, 720), (0, 0))),
        ((1365, 768), "cover", Geometry((1280, 720), (1280, 720), (0, 0))),
        ((640, 360), "cover", Geometry((640, 360), (640, 360), (0, 0))),
        ((321, 183), "cover", Geometry((321, 183), (320, 176), (0, 2))),
        ((1920, 544), "cover", Geometry((1920, 544), (1280, 544), (320, 0))),
    ],
)
def test_frames_are_scaled_down_and_cropped_never_up(source, fit, expected):
    assert plan(*source, (1280, 720), fit) == expected


def test_impossible_geometry():
    with pytest.raises(ValueError, match="size 1280x719: both must be multiples of 8"):
        plan(1280, 720, (1280, 719), "cover")
    with pytest.raises(ValueError, match="7x720 is smaller than 8x8"):
        plan(7, 720, (1280, 720), "cover")


def test_scenes_are_split_into_equal_parts():
    options = ClipOptions(max_seconds=1, min_seconds=0.3)
    # 25 fps: at most 25 frames, at least 8. Scenes of 7, 53 and 25 frames.
    pieces = split_scenes(Scan(85, [0, 7, 60]), Fraction(25), options)
    assert pieces == [(7, 17), (24, 18), (42, 18), (60, 25)]
    with pytest.raises(ValueError, match="is below the shortest clip"):
        split_scenes(Scan(50, [0]), Fraction(25), ClipOptions(max_seconds=0.1, min_seconds=0))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"max_seconds": math.inf}, "max_seconds inf: must be above 0, at most 1e9"),
        ({"max_seconds": math.nan}, "max_seconds nan: must be above 0, at most 1e9"),
        ({"max_seconds": 0}, "max_seconds 0: must be above 0, at most 1e9"),
        ({"min_seconds": 11}, "min_seconds 11: must be at least 0 and at most max_seconds, 10"),
        ({"min_seconds": math.nan}, "min_seconds nan: must be at least 0 and at most max_"),
        ({"min_seconds": -1}, "min_seconds -1: must be at least 0 and at most max_seconds, 10"),
        ({"cut_threshold": math.nan}, "cut_threshold nan: must be finite and above 0"),
        ({"size": (1280, 719)}, "size 1280x719: both must be multiples of 8"),
    ],
)
def test_options_that_cannot_be(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        ClipOptions(**wrong)


@pytest.fixture(scope="module")
def two_scenes(tmp_path_factory):
    place = tmp_path_factory.mktemp("scenes")
    first = make_video(place / "a.mkv", frames=31)
    second = make_video(place / "b.mkv", frames=23, source="mandelbrot")
    joined = join_videos(place / "joined.mkv", [first, second])
    # Tagged as what clips are, or the colours would be converted from BT.601.
    tags = "setparams=range=tv:colorspace=bt709"
    path = place / "two scenes é.mkv"
    ffmpeg("-i", f"file:{joined}", "-vf", tags, "-c:v", "libx264", "-qp", "0", f"file:{path}")
    return path


def test_no_clip_crosses_a_cut_and_none_loses_a_sample(tmp_path, two_scenes):
    # 180 lines lose 4 to be a multiple of 8: 2 above and 2 below.
    source = raw_frames(two_scenes, filters="crop=320:176:0:2")
    made = make_clips([two_scenes], tmp_path, SHORT, jobs=1)
    assert [(clip.first_frame, clip.frame_count) for clip in made] == [(0, 31), (31, 23)]
    size = 320 * 176 * 3 // 2
    for clip in made:
        samples = raw_frames(folder.clip_path(tmp_path, clip.clip_id))
        start = clip.first_frame * size
        assert samples == source[start : start + clip.frame_count * size]
        assert clip.source_sha256 == hashlib.sha256(two_scenes.read_bytes()).hexdigest()
        assert (clip.width, clip.height, clip.fps) == (320, 176, "25/1")


def test_a_720p_source_is_kept_as_it_is(tmp_path):
    source = make_video(tmp_path / "hd.mkv", frames=6, size="1280x720")
    (clip,) = make_clips([source], tmp_path / "data", SHORT)
    assert raw_frames(folder.clip_path(tmp_path / "data", clip.clip_id)) == raw_frames(source)


def test_portrait_odd_sizes_and_lower_rates(tmp_path, capsys):
    odd = ("-vf", "format=yuv444p,crop=91:161", "-c:v", "ffv1")
    source = make_video(tmp_path / "p.mkv", size="92x162", fps="30000/1001", output=odd, frames=9)
    (clip,) = make_clips([source], tmp_path / "data", SHORT)
    assert (clip.width, clip.height, clip.fps, clip.frame_count) == (88, 160, "30000/1001", 9)
    assert "91x161 is smaller than 1280x720 and is not scaled up" in capsys.readouterr().out


def test_folders_are_searched_and_what_is_no_video_is_told(tmp_path, capsys):
    videos = tmp_path / "videos"
    (videos / "deep").mkdir(parents=True)
    original = make_video(videos / "deep" / "b.mp4")
    (videos / "copy.xyz").write_bytes(original.read_bytes())
    (videos / "notes.txt").write_text("text\n" * 9)
    (videos / "empty.mkv").touch()
    (videos / ".hidden.mkv").touch()
    make_video(videos / "tiny.mkv", frames=4)
    cut = make_video(videos / "cut.mp4")
    cut.write_bytes(cut.read_bytes()[:3000])
    made = make_clips([videos], videos / "data", SHORT, jobs=2)
    assert [clip.source for clip in made] == [str(videos / "copy.xyz")]
    said = capsys.readouterr().out
    for reason in (
        "notes.txt is not a video",
        "empty.mkv is empty",
        "tiny.mkv has 4 frames, fewer than 5",
        "b.mp4 is the same file as",
        "cut.mp4",
    ):
        assert reason in said
    assert "hidden" not in said
    # The folder's own clips are no sources.
    assert make_clips([videos], videos / "data", SHORT) == made


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.mkv", None, "no such file or folder"),
        ("empty.mkv", b"", "is empty"),
        ("text.txt", b"hello\n" * 100, "is not a video"),
        ("bytes.mp4", bytes(range(256)) * 40, "is not a video"),
    ],
)
def test_a_file_named_must_be_a_video(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        make_clips([tmp_path / name], tmp_path / "data")
    assert not list((tmp_path / "data").glob("clips/*"))


@pytest.mark.parametrize("command", ["clips", "photographs", "prepare"])
def test_an_empty_name_is_not_the_current_folder(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = "--data" if command == "clips" else "--out"
    monkeypatch.setattr(sys, "argv", [command, "", made, "made"])
    with pytest.raises(ValueError, match=r"^an empty name is given; accepted: files and folders"):
        importlib.import_module(f"data_prep.{command}").main()


def test_too_short_and_truncated_sources(tmp_path):
    with pytest.raises(ValueError, match=r"has 4 frames, fewer than 5"):
        make_clips([make_video(tmp_path / "a.mkv", frames=4)], tmp_path / "data")
    with pytest.raises(ValueError, match=r"no scene of at least 1 s in 1 video"):
        make_clips([make_video(tmp_path / "b.mkv", frames=20)], tmp_path / "data")
    cut = make_video(tmp_path / "c.mkv", frames=50)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"c\.mkv"):
        make_clips([cut], tmp_path / "data")


def test_what_is_too_short_for_a_clip_is_told(tmp_path, two_scenes, capsys):
    short = make_video(tmp_path / "short.mkv", frames=20)
    (clip,) = make_clips([short, two_scenes], tmp_path / "data", jobs=1)
    assert clip.frame_count == 31
    told = [line for line in capsys.readouterr().out.splitlines() if "not scaled up" not in line]
    assert told == [
        f"note: {short}: no scene of at least 1 s; it gives no clip",
        f"note: {two_scenes}: 1 of 2 scenes left out, 0.92 s in all: shorter than 1 s",
    ]
    make_clips([two_scenes], tmp_path / "all", SHORT, jobs=1)
    assert "left out" not in capsys.readouterr().out


def test_other_options_are_refused(tmp_path):
    source = make_video(tmp_path / "a.mkv")
    make_clips([source], tmp_path / "data", SHORT)
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"was begun with max_seconds 10\.0, now it is 5"):
        make_clips([source], tmp_path / "data", replace(SHORT, max_seconds=5))
    after = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert before == after


def test_options_that_nothing_came_of_make_way_for_others(tmp_path, two_scenes):
    blind = ClipOptions(min_seconds=3, cut_threshold=1e4)
    with pytest.raises(ValueError, match="no scene of at least 3 s"):
        make_clips([two_scenes], tmp_path, blind)
    # The cuts, too, are found anew.
    assert [clip.frame_count for clip in make_clips([two_scenes], tmp_path, SHORT)] == [31, 23]
    with pytest.raises(ValueError, match=r"was begun with cut_threshold 10\.0, now it is 10000"):
        make_clips([two_scenes], tmp_path, blind)


def test_finished_clips_are_not_written_again(tmp_path, two_scenes, monkeypatch):
    made = make_clips([two_scenes], tmp_path, SHORT)
    lost = folder.clip_path(tmp_path, made[1].clip_id)
    before = lost.read_bytes()
    lost.with_suffix(".json").unlink()
    (tmp_path / "clips" / ".x.mkv.1-ab.tmp").touch()
    written = []
    write = clips_module._write_clip
    monkeypatch.setattr(
        clips_module, "_write_clip", lambda *task: written.append(task[4]) or write(*task)
    )
    assert make_clips([two_scenes], tmp_path, SHORT) == made
    assert written == [31]
    assert lost.read_bytes() == before
    assert not list(tmp_path.rglob("*.tmp"))


def test_damaged_files_are_named(tmp_path):
    source = make_video(tmp_path / "a.mkv", frames=25)
    (clip,) = make_clips([source], tmp_path, SHORT)
    degrade(tmp_path, scale=4, bitrates_kbps=[60])
    encode = encode_path(tmp_path, clip.clip_id, "h264", 60, 4).with_suffix(".json")
    (scan,) = (tmp_path / "sources").glob("*.json")
    kept = folder.clip_path(tmp_path, clip.clip_id).with_suffix(".json")
    for path, content, reason in [
        (scan, "{}", "frame_count is null, must be of type int"),
        (encode, "{}", "clip_id is null, must be of type str"),
        (kept, "{}", "clip_id is null, must be of type str"),
        (kept, kept.read_text().replace(": 25,", ': "25",'), 'frame_count is "25", must be'),
        (kept, "not JSON", "Expecting value"),
    ]:
        whole = path.read_text()
        path.write_text(content)
        with pytest.raises(ValueError, match=re.escape(f"{path} is damaged: {reason}")):
            degrade(tmp_path, scale=4, bitrates_kbps=[60])
            make_clips([source], tmp_path, SHORT)
        path.write_text(whole)


def test_two_at_once_in_one_folder(tmp_path):
    with folder.locked(tmp_path), pytest.raises(ValueError, match="another process is preparing"):
        make_clips([make_video(tmp_path / "a.mkv")], tmp_path)


def test_a_file_in_the_folders_place(tmp_path):
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(OSError, match="cannot make the folder"):
        make_clips([make_video(tmp_path / "a.mkv")], tmp_path / "data")


def test_the_command_ends_with_one_line_and_code_2(tmp_path):
    command = [sys.executable, "-m", "data_prep.clips", "nothing.mkv", "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: no such file or folder: nothing.mkv\n"


@pytest.mark.parametrize(
    "name", ["check_records", "clips", "degrade", "photographs", "prepare", "write_records"]
)
def test_a_wrong_argument_is_one_line_in_every_command(name, monkeypatch, capsys):
    command = importlib.import_module(f"data_prep.{name}")
    monkeypatch.setattr(sys, "argv", [name])
    with pytest.raises(ValueError, match=r"^the following arguments are required"):
        command.main()
    assert capsys.readouterr().err == ""


def test_encodes_record_what_they_are(tmp_path, capsys):
    (clip,) = make_clips([make_video(tmp_path / "a.mkv", frames=25)], tmp_path, SHORT)
    # 5 kbit/s cannot be reached and 100 000 cannot be filled: both are told.
    made = degrade(tmp_path, scale=2, bitrates_kbps=[5, 300], codecs=["h264", "vp9"], jobs=2)
    assert [(e.codec, e.target_kbps) for e in made] == [
        *(("h264", 5), ("h264", 300)),
        *(("vp9", 5), ("vp9", 300)),
    ]
    path = encode_path(tmp_path, clip.clip_id, "h264", 5, 2)
    kept = json.loads(path.with_suffix(".json").read_text())
    assert kept["off_target"] is True
    assert (kept["width"], kept["height"], kept["frame_count"]) == (160, 88, 25)
    assert f"warning: {clip.clip_id} h264 x2" in capsys.readouterr().out
    stamp = path.stat().st_mtime_ns
    assert degrade(tmp_path, scale=2, bitrates_kbps=[5], codecs=["h264"])[0] == made[0]
    assert path.stat().st_mtime_ns == stamp


def test_degrade_refuses_bad_options(tmp_path):
    with pytest.raises(ValueError, match="scale 3: must be one of 1, 2, 4"):
        degrade(tmp_path, scale=3, bitrates_kbps=[250])
    with pytest.raises(ValueError, match="codec 'mp3'"):
        degrade(tmp_path, scale=4, bitrates_kbps=[250], codecs=["mp3"])
    with pytest.raises(ValueError, match="bitrate 0: must be a whole number"):
        degrade(tmp_path, scale=4, bitrates_kbps=[0])
    with pytest.raises(ValueError, match="no clips in"):
        degrade(tmp_path, scale=4, bitrates_kbps=[250])


def test_a_pattern_of_no_clip_to_degrade_is_told(tmp_path, monkeypatch):
    make_clips([make_video(tmp_path / "a.mkv")], tmp_path, SHORT)
    monkeypatch.setattr(sys, "argv", ["degrade", str(tmp_path), "--clips", "zz*"])
    with pytest.raises(ValueError, match=r"^--clips 'zz\*' matches no clip of \S+$"):
        degrade_module.main()
    with pytest.raises(ValueError, match=r"^no clip b in \S+$"):
        degrade(tmp_path, scale=4, bitrates_kbps=[250], clips=["b"])
    assert not (tmp_path / "encodes").exists()


def test_the_embedded_clip_is_one_scene():
    assert embedded_clip().name == "bigbuckbunny.mp4"
    scores = clips_module.scenes.cut_scores(embedded_clip())
    assert len(scores) == 132
    assert max(scores) < ClipOptions().cut_threshold
