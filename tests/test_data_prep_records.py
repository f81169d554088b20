import contextlib
import functools
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from video_samples import make_video

from data_prep import check_records as check_records_module
from data_prep import folder, holdout, patches
from data_prep.check_records import check_records, draw_contact_sheet
from data_prep.clips import ClipOptions, make_clips
from data_prep.folder import Clip, ClipEncode
from data_prep.prepare import prepare
from data_prep.record_options import RecordOptions, check_options
from data_prep.write_records import write_records
from supervegan_jax.data.records import Window, encode_path, load_tensorflow, read_preparation
from supervegan_jax.video.reader import read_clip

P, R, COUNT = 24, 4, 60
SHORT = ClipOptions(min_seconds=0.2)
ARGUMENTS = {
    "scale": R,
    "bitrates_kbps": (60, 200),
    "codecs": ("h264", "vp9"),
    "patch_size": P,
    "patches": COUNT,
    "holdout_tail": "0.4s",
    "seed": 3,
    "clip_options": SHORT,
}


def a_clip(clip_id="a", frame_count=100, fps="25/1", width=320, height=176) -> Clip:
    return Clip(clip_id, f"/v/{clip_id}.mp4", "0", 0, frame_count, width, height, fps, "", [])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    place = tmp_path_factory.mktemp("prepared")
    videos = [make_video(place / "a.mkv", frames=40), make_video(place / "b.mkv", 25, fps="20")]
    return prepare(videos, place / "data", jobs=1, **ARGUMENTS)


def read_back(records):
    _, tfds = load_tensorflow()
    builder = tfds.builder_from_directory(str(records))
    return list(builder.as_dataset(split="train").as_numpy_iterator())


def test_every_record_is_what_the_videos_show(prepared):
    preparation = read_preparation(prepared)
    data = prepared / preparation.data
    clips, truths, inputs = {}, {}, {}
    for clip in preparation.clips:
        name = clip["clip_id"]
        clips[name] = clip
        truths[name] = read_clip(folder.clip_path(data, name))
        inputs[name] = [
            read_clip(encode_path(data, name, codec, kbps, R))
            for codec in preparation.codecs
            for kbps in preparation.bitrate_kbps
        ]
    used = set()
    records = read_back(prepared)
    for record in records:
        name, y, x = record["clip_id"].decode(), record["y"], record["x"]
        center = int(record["frame"])
        assert center + 2 < clips[name]["train_frames"][1]
        truth = truths[name][center, y * R : (y + P) * R, x * R : (x + P) * R]
        np.testing.assert_array_equal(record["hr"], truth)
        window = [max(center + i, 0) for i in range(-2, 3)]
        cuts = [video[window, y : y + P, x : x + P] for video in inputs[name]]
        same = [np.array_equal(record["lr"], cut) for cut in cuts]
        assert any(same)
        used.add((name, same.index(True)))
    assert len(records) == COUNT
    assert len(used) == 8  # both clips, each of the four encodes
    # In the order drawn, not in that of the frames.
    assert [r["frame"] for r in records] != sorted(r["frame"] for r in records)


def test_records_of_several_frames_with_ground_truth(prepared, tmp_path):
    place = prepared.parent.parent
    videos = [place / "a.mkv", place / "b.mkv"]
    wide = ARGUMENTS | {"frames": 8, "truths": 2}
    records = prepare(videos, place / "data", jobs=1, records=tmp_path / "wide", **wide)
    preparation = read_preparation(records)
    assert preparation.window == Window(8, 2)
    data, read = records / preparation.data, functools.cache(read_clip)
    firsts = set()
    for record in read_back(records):
        name, y, x, first = record["clip_id"].decode(), *(record[k] for k in ("y", "x", "frame"))
        firsts.add((name[0], int(first)))
        truth = read(folder.clip_path(data, name))
        there = np.s_[first : first + 2, y * R : (y + P) * R, x * R : (x + P) * R]
        np.testing.assert_array_equal(record["hr"], truth[there])
        window = np.maximum(np.arange(first - 3, first + 5), 0)
        inputs = [
            read(encode_path(data, name, codec, kbps, R))[window, y : y + P, x : x + P]
            for codec in preparation.codecs
            for kbps in preparation.bitrate_kbps
        ]
        assert any(np.array_equal(record["lr"], cut) for cut in inputs)
    # 30 and 17 frames to train on: the last window ends with them.
    assert max(first for name, first in firsts if name == "a") <= 25
    assert max(first for name, first in firsts if name == "b") <= 12
    assert check_records(records).count == COUNT
    with pytest.raises(ValueError, match="2 frames of ground truth for 5 input frames"):
        prepare(videos, place / "data", jobs=1, **(ARGUMENTS | {"truths": 2}))


def test_the_middle_of_wider_windows():
    assert Window().middle(Window(7, 1)) == (slice(1, 6), slice(0, 1))
    assert Window(6, 2).middle(Window(10, 4)) == (slice(2, 8), slice(1, 3))
    assert Window().middle(Window(6, 2)) == (slice(0, 5), slice(0, 1))
    with pytest.raises(ValueError, match=r"7 input frames, 1 of them .* records with 5 and 1"):
        Window(7).middle(Window())
    assert Window(6, 2).inputs(0, 100) == [0, 0, 0, 1, 2, 3]
    assert Window(6, 2).firsts((0, 80), 100) == (0, 77)
    assert Window(6, 2).firsts((0, 100), 100) == (0, 99)
    assert Window(6, 2).inputs(98, 100) == [96, 97, 98, 99, 99, 99]


def test_preparation_tells_where_everything_is(prepared):
    preparation = read_preparation(prepared)
    assert [clip["train_frames"] for clip in preparation.clips] == [[0, 30], [0, 17]]
    # Shared out by centre frames: 28 and 15, two fewer than may be shown.
    assert [clip["patches"] for clip in preparation.clips] == [39, 21]
    assert len(preparation.validation) == 2 * 4
    for entry in preparation.validation:
        for name in ("reference", "input", "codec"):
            assert (prepared / entry[name]).is_file()
        assert entry["codec"].endswith(f"h264_{entry['target_kbps']}k_x1.mkv")
        assert entry["measured_kbps"] > 0
    first = preparation.validation[0]
    assert (first["first_frame"], first["frame_count"], first["fps"]) == (30, 10, "25/1")
    preparation.check(scale=4, patch_size=24)
    with pytest.raises(ValueError, match=r"records at .* are scale 4, the config asks for 2"):
        preparation.check(scale=2)
    with pytest.raises(ValueError, match="have patches of 24 pixels, the config asks for 48"):
        preparation.check(scale=4, patch_size=48)


def test_a_second_call_changes_nothing_and_other_options_are_refused(prepared):
    videos = [prepared.parent.parent / name for name in ("a.mkv", "b.mkv")]
    before = {path: path.stat().st_mtime_ns for path in prepared.iterdir() if path.name != ".lock"}
    assert prepare(videos, prepared.parent, **ARGUMENTS) == prepared
    for change, message in {
        ("seed", 4): "begun with seed 3, now it is 4",
        ("patches", 61): "begun with patches 60, now it is 61",
        ("codecs", ("h264",)): r"begun with codecs \[\"h264\", \"vp9\"\]",
    }.items():
        with pytest.raises(ValueError, match=message):
            prepare(videos, prepared.parent, **ARGUMENTS | dict([change]))
    with pytest.raises(ValueError, match="begun with clips"):
        prepare(videos[:1], prepared.parent, **ARGUMENTS)
    after = {path: path.stat().st_mtime_ns for path in prepared.iterdir() if path.name != ".lock"}
    assert before == after


def test_several_processes_write_the_same_bytes(prepared, tmp_path):
    preparation = json.loads((prepared / "options.json").read_text())
    clips = preparation.pop("clips")
    options = RecordOptions(
        **{k: tuple(v) if isinstance(v, list) else v for k, v in preparation.items()}
    )
    other = write_records(prepared.parent, tmp_path / "records", options, clips=clips, jobs=2)
    names = sorted(path.name for path in prepared.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    for name in names:
        if name != "preparation.json":  # its paths are relative
            assert (prepared / name).read_bytes() == (other / name).read_bytes()


def test_a_clips_patches_do_not_depend_on_other_clips(tmp_path):
    encode = ClipEncode("a", "h264", 4, 250, 250.0, False, 100, 80, 44, [])

    def drawn(count: int, clip_id: str = "a", seed: int = 0) -> list[list[int]]:
        clip = a_clip(clip_id)
        part = tmp_path / clip_id
        task = patches.ClipTask(
            clip, (encode,) * 3, tmp_path, part, 4, 24, seed, Window(), count, firsts=(0, 98)
        )
        return patches.draw(task).tolist()

    assert drawn(20) == drawn(50)[:20]
    assert drawn(20) != drawn(20, "b")
    assert drawn(20) != drawn(20, seed=1)
    many = np.array(drawn(20_000))
    assert many.min(0).tolist() == [0, 0, 0, 0]
    assert many.max(0).tolist() == [2, 97, 44 - 24, 80 - 24]
    np.testing.assert_allclose(many.mean(0), [1, 48.5, 10, 28], rtol=0.03)


@pytest.mark.parametrize(
    ("tail", "frames"),
    [(None, 0), (0, 0), (0.2, 20), ("20%", 20), ("0.2", 20), ("0.2s", 5), (2, 50), ("1.01s", 26)],
)
def test_tails(tail, frames):
    assert holdout.tail_frames(tail, 100, Fraction(25)) == frames


@pytest.mark.parametrize("tail", ["x", "-1", "100%", -0.5, "1/0", "nan"])
def test_tails_that_cannot_be(tail):
    with pytest.raises(ValueError, match="must be a fraction such as"):
        holdout.tail_frames(tail, 100, Fraction(25))


def test_training_windows_end_before_held_out_frames():
    divided = holdout.divide(a_clip(), 0.2, [], Window())
    assert divided == holdout.Frames(train=(0, 80), firsts=(0, 78), validation=(80, 100))
    assert holdout.divide(a_clip(), None, [], Window()).firsts == (0, 100)
    assert holdout.divide(a_clip(), 0.2, ["a*"], Window()).validation == (0, 100)
    with pytest.raises(ValueError, match=r"3\.9s leaves 2 of the 100 frames of a to train on"):
        holdout.divide(a_clip(), "3.9s", [], Window())


@pytest.mark.parametrize(("tail", "held_out"), [(None, ()), ("0.2", ()), (None, ("a",))])
def test_a_clip_shorter_than_a_record_is_named(tail, held_out):
    with pytest.raises(ValueError, match=r"^clip a has 6 frames; a record has 7 input frames$"):
        holdout.divide(a_clip(frame_count=6), tail, held_out, Window(7))


def test_what_is_held_out_is_not_trained_on_under_another_name(tmp_path):
    video = make_video(tmp_path / "a.mkv", frames=40)
    (clip,) = make_clips([video], tmp_path, SHORT)
    (copy,) = make_clips([shutil.copy(video, tmp_path / "b.mkv")], tmp_path, SHORT)
    assert clip.source_sha256 == copy.source_sha256
    options = RecordOptions(patch_size=24, holdout=("b.mkv",))
    told = f"^clip {copy.clip_id} holds out frames 0 to 39 of its source, which clip {clip.clip_id}"
    with pytest.raises(ValueError, match=told):
        write_records(tmp_path, tmp_path / "records", options)


@pytest.mark.parametrize(
    ("first_frame", "tail", "held_out", "shared"),
    [
        (100, None, ("b",), None),  # another scene
        (99, None, ("b",), "b holds out frames 99 to 99 of its source, which clip a"),
        (99, None, ("a",), "a holds out frames 99 to 99 of its source, which clip b"),
        (0, None, ("a", "b"), None),
        (0, "20%", (), None),  # the same frames of both
        (20, "20%", (), "a holds out frames 80 to 99 of its source, which clip b"),
    ],
)
def test_clips_of_one_source_share_no_frame_held_out(first_frame, tail, held_out, shared):
    clips = [replace(a_clip(name), source_sha256="1") for name in "ab"]
    clips[1] = replace(clips[1], first_frame=first_frame)
    for order in (clips, clips[::-1]):
        divided = [holdout.divide(clip, tail, held_out, Window()) for clip in order]
        told = pytest.raises(ValueError, match=f"^clip {shared}")
        with told if shared else contextlib.nullcontext():
            holdout.check_sources(order, divided)
    others = [clips[0], replace(clips[1], source_sha256="2")]
    holdout.check_sources(others, divided[::-1])


def test_patches_are_shared_out_by_frames_and_weight():
    clips = [a_clip("a"), a_clip("b"), a_clip("c")]
    assert holdout.apportion(10, clips, [10, 20, 70], {}) == [1, 2, 7]
    assert holdout.apportion(10, clips, [1, 1, 1], {}) == [4, 3, 3]
    assert holdout.apportion(10, clips[::-1], [1, 1, 1], {}) == [3, 3, 4]  # by id, not by order
    assert holdout.apportion(9, clips, [10, 10, 10], {"a": 0.5, "b.mp4": 0}) == [3, 0, 6]
    with pytest.raises(ValueError, match="no frames to train on"):
        holdout.apportion(9, clips, [0, 0, 0], {})


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weights_that_cannot_be(weight):
    reason = rf"^weight {weight:g} of 'x\*': must be finite and at least 0$"
    with pytest.raises(ValueError, match=reason):
        check_options(RecordOptions(weights={"x*": weight}))


def test_summary_and_contact_sheet(prepared, tmp_path):
    summary = check_records(prepared)
    assert (summary.count, summary.shards, sorted(summary.per_clip.values())) == (60, 2, [21, 39])
    assert 10 < summary.psnr < 40
    draw_contact_sheet(prepared, tmp_path / "sheet.png", count=5, columns=2)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * (2 * 96 + 8) + 4, 3 * 100 + 4)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_a_sheet_that_cannot_be_written_is_told_first(tmp_path, monkeypatch):
    sheet = tmp_path / "nowhere" / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["check_records", "no_records", "--sheet", str(sheet)])
    with pytest.raises(ValueError, match=rf"^{sheet}: there is no folder {sheet.parent}$"):
        check_records_module.main()
    monkeypatch.setattr(sys, "argv", ["check_records", "no_records", "--count", "0"])
    with pytest.raises(ValueError, match=r"^--count 0; at least 1 is accepted$"):
        check_records_module.main()


@pytest.fixture
def copy(prepared, tmp_path):
    return shutil.copytree(prepared, tmp_path / "records")


def shards(records):
    return sorted(records.glob("*.tfrecord-*"))


def test_a_flipped_bit_names_the_file(copy):
    path = shards(copy)[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"^record \d+ of \S*{path.name} is damaged$"):
        check_records(copy)


def test_a_short_or_missing_file_is_named(copy):
    path = shards(copy)[0]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 39 * 3])  # at the border of two records
    with pytest.raises(ValueError, match=rf"{path.name} has 3 records, must have 39"):
        check_records(copy)
    path.unlink()
    with pytest.raises(ValueError, match=rf"{path.name} is missing"):
        check_records(copy)


def test_a_folder_that_holds_no_records(tmp_path, copy):
    with pytest.raises(ValueError, match=r"is no folder of records: it has no preparation\.json"):
        read_preparation(tmp_path)
    (tmp_path / "parts").mkdir()
    with pytest.raises(ValueError, match="its writing was not finished"):
        read_preparation(tmp_path)
    content = json.loads((copy / "preparation.json").read_text())
    for change, reason in [
        ("{", "is damaged: Expecting"),
        (json.dumps(content | {"version": 2}), "version is 2, must be 1"),
        (json.dumps(content | {"scale": 3}), "scale must be 1, 2 or 4"),
        (json.dumps({k: v for k, v in content.items() if k != "clips"}), "'clips' is missing"),
    ]:
        (copy / "preparation.json").write_text(change)
        with pytest.raises(ValueError, match=reason):
            read_preparation(copy)


def test_what_does_not_belong_together(prepared, tmp_path):
    data = shutil.copytree(prepared.parent, tmp_path / "data")
    shutil.rmtree(data / "records")
    name = sorted(path.stem for path in (data / "clips").glob("*.mkv"))[0]
    options = RecordOptions(scale=4, bitrates_kbps=(60,), patch_size=24, patches=20)

    def fails(message, target="r", **changes):
        given = RecordOptions(**vars(options) | changes)
        with pytest.raises(ValueError, match=message):
            write_records(data, tmp_path / target, given, clips=[name])

    fails("smaller than a patch of 48x48", patch_size=48)
    fails("has no h264 encode of 61 kbit/s at scale 4; make it with python", bitrates_kbps=(61,))
    fails("holdout 'zzz' matches no clip", holdout=("zzz",))
    fails("scale 3: must be one of 1, 2, 4", scale=3)
    fails("patches 0: must be at least 1", patches=0)
    path = encode_path(data, name, "h264", 60, 4)
    make_video(path, frames=39, size="80x44")
    fails(rf"{path.name} has 39 frames, the clip has 40")
    make_video(path, frames=41, size="80x44")
    fails(rf"{path.name} has more than 40 frames", "r1")
    make_video(path, frames=40, size="80x46")
    fails(rf"{path.name} is 80x46, must be 80x44", "r2")
    assert not list(tmp_path.glob("r*/parts/*/part.json"))
    with pytest.raises(ValueError, match="no folder of records"):
        read_preparation(tmp_path / "r")
    # Nothing has come of the options of "r2": others take their place, and hold.
    make_video(path, frames=40, size="80x44")
    other = RecordOptions(**vars(options) | {"seed": 1})
    write_records(data, tmp_path / "r2", other, clips=[name])
    assert read_preparation(tmp_path / "r2").seed == 1
    fails("begun with seed 1, now it is 0", "r2")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"holdout": ("zz*",)}, r"^holdout 'zz\*' matches no clip and no source's file name"),
        ({"weights": {"zz*": 2.0}}, r"^weight 'zz\*' matches no clip and no source's file name"),
        ({"patch_size": 48}, "smaller than a patch of 48x48"),
        ({"frames": 41}, "has 40 frames; a record has 41 input frames"),
        ({"holdout": ("*",)}, "no frames to train on: every clip is held out"),
    ],
    ids=["holdout", "weight", "patch_size", "frames", "nothing"],
)
def test_what_does_not_suit_the_clips_is_told_before_the_encodes(changes, reason, tmp_path):
    video = make_video(tmp_path / "a.mkv", frames=40)
    with pytest.raises(ValueError, match=reason):
        prepare([video], tmp_path / "data", **ARGUMENTS | changes)
    assert not (tmp_path / "data" / "encodes").exists()


def test_a_file_in_the_folders_place(prepared, tmp_path):
    (tmp_path / "records").write_text("in the way")
    options = RecordOptions(scale=4, bitrates_kbps=(60,), patch_size=24, patches=20)
    with pytest.raises(OSError, match="cannot make the folder"):
        write_records(prepared.parent, tmp_path / "records", options)


def test_whole_clips_and_weights_from_the_command_line(prepared, tmp_path):
    command = [sys.executable, "-m", "data_prep.write_records", str(prepared.parent)]
    command += ["--records", str(tmp_path / "r"), "--bitrate-kbps", "60", "--patch-size", "24"]
    command += ["--patches", "20", "--holdout", "b.mkv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    preparation = read_preparation(tmp_path / "r")
    assert [clip["patches"] for clip in preparation.clips] == [20, 0]
    assert [(e["first_frame"], e["frame_count"]) for e in preparation.validation] == [(0, 25)]
    assert check_records(tmp_path / "r").count == 20
    done = subprocess.run([*command, "--weight", "a"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: --weight 'a': must look like GLOB=0.5\n")
