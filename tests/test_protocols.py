"""`evaluate protocol`: the paper's tests on small folders of their layouts, and the command."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.io
from PIL import Image
from protocol_samples import (
    decoded,
    kept_input,
    kept_truth,
    live_nflx,
    run_protocol,
    scores_of,
    tears_of_steel,
    tiny_networks,
)
from video_samples import measure_kbps, raw_frames

from supervegan_jax import evaluate
from supervegan_jax.evaluation.comparison import ScoreOptions, compare
from supervegan_jax.protocols import catalogue, job, paper, vid4
from supervegan_jax.protocols.preset import Clip, Found
from supervegan_jax.protocols.scenes import Scene, read_scenes
from supervegan_jax.video.probe import probe


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> dict[str, str]:
    """Of scale 2 and 4."""
    return tiny_networks(tmp_path_factory.mktemp("models"), "tiny2", "tiny4")


def test_the_list_tells_sources_licences_and_layouts(capsys):
    evaluate.main(["protocol", "--list"])
    shown = capsys.readouterr().out
    for name, preset in catalogue.PRESETS.items():
        assert f"{name}\n" in shown
        assert preset.source in shown
        assert preset.licence in shown
    assert "CC BY 3.0" in shown


# LIVE-NFLX-II


@pytest.mark.parametrize(
    "damage",
    [
        b"",  # scipy has an error of its own for it
        b"no MATLAB file, whatever its name says" * 9,
        {"content_name": "AirShow", "reference_yuv_video": "a.yuv"},
        {"content_name": "AirShow", "reference_yuv_video": "a.yuv", "width": 1.0, "height": 1.0}
        | {"frame_rate": np.zeros(3)},
    ],
)
def test_a_description_that_is_none_is_named(tmp_path, damage):
    path = tmp_path / "AirShow_1.mat"
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        scipy.io.savemat(path, damage)
    with pytest.raises(ValueError, match=r"AirShow_1\.mat is no description of a video: "):
        paper.find_live_nflx(tmp_path, None)


def test_every_missing_reference_is_named_at_once(tmp_path, capsys):
    live_nflx(tmp_path, ("AirShow", "GTA"))
    words = ["protocol", "live-nflx-ii", "--root", str(tmp_path), "--check"]
    with pytest.raises(ValueError, match="lacks 13 of what live-nflx-ii needs") as error:
        evaluate.main(words)
    absent = [name for name in paper.CONTENTS if name not in ("AirShow", "GTA")]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 13
    for name, line in zip(absent, told, strict=True):
        assert f"{name}*.yuv" in str(error.value)
        assert line.startswith(f"missing: {name}*.yuv")
    for name in absent:
        (tmp_path / f"{name}.y4m").touch()
    next(tmp_path.glob("**/GTA_Simple*.mat")).unlink()
    evaluate.main(words)
    assert "all there, 15 clips: AirShow" in capsys.readouterr().out
    next(tmp_path.glob("**/GTA_*.mat")).unlink()
    with pytest.raises(ValueError, match=r"a \.mat of GTA, which tells size and rate of GTA_ref"):
        evaluate.main(words)
    (tmp_path / "Soccer_again.y4m").touch()
    with pytest.raises(ValueError, match=r"2 files may be the reference of Soccer: .*again"):
        evaluate.main(words)


@pytest.mark.slow
def test_live_nflx_as_the_paper_measures_it(tmp_path, networks, monkeypatch, capsys):
    monkeypatch.setattr(paper, "CONTENTS", ("AirShow", "GTA"))
    root, workdir = live_nflx(tmp_path / "data", paper.CONTENTS), tmp_path / "work"
    models = f"{networks['tiny4']},{networks['tiny2']}"
    content = run_protocol("live-nflx-ii", root, workdir, "--models", models)
    assert [clip["frame_count"] for clip in content["clips"]] == [5, 6]
    assert {clip["fps"] for clip in content["clips"]} == {"24"}
    found = {(r["condition"], r["curve"]) for r in content["results"]}
    plain = "h264 at full size"
    assert found == {
        *(("x4 at 250", c) for c in ("bicubic x4", "tiny4")),
        *(("x2 at 750", c) for c in ("bicubic x2", "tiny2")),
        *((f"full size at {kbps}", plain) for kbps in (250, 750)),
    }
    # What is decoded at full size is scored like any file.
    path = kept_input(content, "GTA", "full size at 250")
    expected = compare(kept_truth(content, workdir, "GTA"), path, ScoreOptions(("psnr", "lpips")))
    (row,) = scores_of(content, clip="GTA", condition="full size at 250", curve=plain)
    assert row["psnr"] == pytest.approx(expected.mean("psnr"), abs=1e-4)
    assert row["lpips"] == pytest.approx(expected.mean("lpips"), abs=1e-5)
    assert row["kbps"] == pytest.approx(measure_kbps(path, probe(path).fps), abs=1e-2)
    shown = capsys.readouterr().out
    mean = np.mean([r["lpips"] for r in scores_of(content, curve="tiny4")])
    assert f"{10 * mean:.3f}" in shown
    text = (workdir / "live-nflx-ii.md").read_text()
    assert text.count("| mean |") == 2
    # A second run finds everything.
    before = {path: path.stat().st_mtime_ns for path in workdir.glob("*s/*")}
    again = run_protocol("live-nflx-ii", root, workdir, "--models", models)
    assert again == content
    assert before == {path: path.stat().st_mtime_ns for path in workdir.glob("*s/*")}


# Tears of Steel


def test_the_shipped_scenes_have_as_many_frames_as_the_papers():
    scenes = read_scenes(paper.SCENES, Fraction(24))
    assert len(scenes) == 8
    assert sum(scene.end - scene.start for scene in scenes) == 1317
    # The film has 12 minutes and 14 seconds, titles among them.
    assert max(scene.end for scene in scenes) < 24 * 60 * 9


def test_a_list_of_ones_own_scenes_is_followed(tmp_path, capsys):
    root, workdir = tears_of_steel(tmp_path / "data"), tmp_path / "work"
    scenes = root / "scenes.csv"
    film = root / "tears_of_steel_1080p.mov"
    more = ["--scenes", str(scenes), "--models", "", "--frame-step", "3"]
    content = run_protocol("tears-of-steel", root, workdir, *more)
    assert [(c["name"], c["frame_count"]) for c in content["clips"]] == [
        ("bridge", 6),
        ("church", 6),
    ]
    for clip, (start, end) in zip(content["clips"], [(3, 9), (24, 30)], strict=True):
        exact = decoded(film, f"start_frame={start}", f"end_frame={end}")
        kept = decoded(workdir / "references" / clip["path"])
        assert kept == exact
    assert f"scenes: {scenes}" in capsys.readouterr().err
    scenes.write_text("name,start,end\nall,0,41\n")
    with pytest.raises(ValueError, match="all ends at frame 41, the film has 40"):
        run_protocol("tears-of-steel", root, workdir, *more)


def test_the_film_may_be_pictures(tmp_path):
    folder = tmp_path / "tearsofsteel" / "png"
    folder.mkdir(parents=True)
    for index in range(12):
        Image.new("RGB", (64, 48), (20 * index, 100, 50)).save(folder / f"{index + 1:05d}.png")
    scenes = tmp_path / "mine.csv"
    scenes.write_text("name,start,end\nlater,4,10\n")
    workdir = tmp_path / "work"
    more = ["--scenes", str(scenes), "--models", ""]
    content = run_protocol("tears-of-steel", tmp_path / "tearsofsteel", workdir, *more)
    (clip,) = content["clips"]
    assert (clip["frame_count"], clip["fps"]) == (6, "24")
    pixels = raw_frames(workdir / "references" / clip["path"], "rgb24")
    reds = np.frombuffer(pixels, np.uint8).reshape(6, 48, 64, 3)[:, 24, 32, 0]
    np.testing.assert_allclose(reds, [20 * index for index in range(4, 10)], atol=2)


def test_no_film_is_said_to_be_missing(tmp_path):
    with pytest.raises(ValueError, match=r"lacks 1 of .*: tears_of_steel_1080p\.mov, another"):
        evaluate.main(["protocol", "tears-of-steel", "--root", str(tmp_path)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must be name,start,end"),
        ("name,begin,end\n", "the first line must be name,start,end"),
        ("name,start,end\n", "names no scene"),
        ("name,start,end\na,1\n", "'a,1'; a line is name,start,end"),
        ("name,start,end\na,-1,5\n", "'-1'; a frame such as 720 or seconds such as 30s"),
        ("name,start,end\na,1,1e2\n", "'1e2'; a frame"),
        ("name,start,end\na,9,9\n", "'a,9,9' ends before it begins"),
        ("name,start,end\na,1,9\na,10,19\n", "two scenes are called 'a'"),
    ],
)
def test_scene_lists_that_are_refused(tmp_path, text, message):
    path = tmp_path / "scenes.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_scenes(path, Fraction(24))


def test_a_scene_list_that_is_not_utf_8_is_named(tmp_path):
    path = tmp_path / "scenes.csv"
    path.write_bytes("name,start,end\nBrücke,1,9\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"scenes\.csv is not UTF-8: "):
        read_scenes(path, Fraction(24))


def test_seconds_are_turned_into_frames_of_the_films_rate(tmp_path):
    path = tmp_path / "scenes.csv"
    path.write_text("name,start,end\na,10s,12.5s\n")
    assert read_scenes(path, Fraction(24)) == [Scene("a", 240, 300)]
    assert read_scenes(path, Fraction(30000, 1001)) == [Scene("a", 300, 375)]
    with pytest.raises(ValueError, match="no scene list"):
        read_scenes(tmp_path / "nothing.csv", Fraction(24))


# What is refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "NAME and --root are needed"),
        (["nothing", "--root", "."], "protocol 'nothing'; accepted: live-nflx-ii, tears-of-steel"),
        (["vid4", "--root", "no/such"], "no/such is no folder"),
        (["vid4", "--root", ".", "--scenes", "a.csv"], "vid4 has no scene list"),
        (["vid4", "--root", ".", "--frame-step", "0"], "frame_step 0; at least 1"),
        (["vid4", "--root", ".", "--crop-border", "-1"], "crop_border -1; at least 0"),
        (["vid4", "--root", ".", "--skip-ends", "-1"], "skip_ends -1; at least 0"),
    ],
)
def test_commands_that_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        evaluate.main(["protocol", *words])


def test_a_network_of_another_scale_is_refused(tmp_path, networks, monkeypatch):
    preset = {**vars(vid4.PRESET), "find": lambda root, scenes: Found(())}
    monkeypatch.setitem(catalogue.PRESETS, "vid4", type(vid4.PRESET)(**preset))
    with pytest.raises(ValueError, match="tiny2 enlarges 2x; this protocol's inputs: 4x"):
        run_protocol("vid4", tmp_path / "data", tmp_path, "--models", networks["tiny2"])
    with pytest.raises(ValueError, match=r"work lies in --root, where videos are looked for"):
        run_protocol("vid4", tmp_path, tmp_path / "work")
    same = (Clip("a", (tmp_path / "a.png",)),) * 2
    with pytest.raises(ValueError, match=r"a\.png: another clip is called 'a', too"):
        job.run_protocol("vid4", vid4.PRESET, same, job.Options(()), tmp_path)
