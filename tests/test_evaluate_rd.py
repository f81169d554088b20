"""`evaluate rd`: curves from points, the workspace, and a whole run with the shipped network."""

import csv
import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from enhancement_samples import SMALL, small_model
from PIL import Image
from video_samples import ffmpeg, make_video

from data_prep.clips import embedded_clip
from supervegan_jax import evaluate
from supervegan_jax.metrics import ma_score, perceptual_index
from supervegan_jax.rate_distortion import (
    advice,
    clip_table,
    curves,
    job,
    measure,
    plots,
    remarks,
    tables,
)
from supervegan_jax.rate_distortion.curves import POOLED, Point
from supervegan_jax.rate_distortion.references import make_reference, make_references, unique_names
from supervegan_jax.rate_distortion.settings import Settings, read_numbers
from supervegan_jax.rate_distortion.ways import list_ways
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.report import html_tables
from supervegan_jax.report.finished_run import read_run
from supervegan_jax.weights import save_model

LADDER = (75, 150, 300, 600, 1200, 2400)
MODEL = "supervegan4_small"


def point(clip: str, curve: str, kbps: int, psnr: float | None, measured: float = 0.0) -> Point:
    scale = 1 if curve == "codec" else 4
    rate = measured or kbps
    return Point(clip, "h264", curve, scale, kbps, rate, rate / 1e4, {"psnr": psnr})


def points_of(clip: str, gain: float, offset: float) -> list[Point]:
    """A codec that gains 3 dB a doubling, and a model that is worth `gain` times its bitrate."""
    made = [point(clip, "codec", k, offset + 10 * math.log10(k)) for k in LADDER]
    for kbps in (150, 300, 600):
        made.append(point(clip, "net", kbps, offset + 10 * math.log10(gain * kbps)))
        made.append(point(clip, "bicubic", kbps, offset + 10 * math.log10(kbps / 2)))
    return made


def test_a_model_worth_half_as_much_again_is_found_to_be():
    points = [*points_of("one", 1.5, 5), *points_of("two", 1.5, 9)]
    for row in curves.equivalents(points, ("psnr",)):
        gain = 1.5 if row.curve == "net" else 0.5
        for found in row.of_clips.values():
            assert found.kbps == pytest.approx(gain * row.target_kbps)
        assert row.pooled.kbps == pytest.approx(gain * row.target_kbps)
        assert (row.pooled.inside, row.pooled.bound) == (2, "=")
        assert row.of_means.kbps == pytest.approx(gain * row.target_kbps)
    rates = {(row.curve, row.anchor): row.percent for row in curves.bd_rates(points, ("psnr",))}
    assert rates["net", "codec"] == {
        name: pytest.approx(-100 / 3, abs=1e-3) for name in ("one", "two", POOLED)
    }
    assert rates["net", "bicubic"]["one"] == pytest.approx(-200 / 3, abs=1e-3)
    assert rates["bicubic", "codec"]["two"] == pytest.approx(100, abs=1e-3)


def test_clips_of_different_gain_pool_to_the_geometric_mean():
    points = [*points_of("one", 1, 0), *points_of("two", 4, 0)]
    row = next(r for r in curves.equivalents(points, ("psnr",)) if r.curve == "net")
    assert row.pooled.kbps == pytest.approx(2 * row.target_kbps)
    assert row.pooled.low == pytest.approx(row.target_kbps)
    assert row.pooled.high == pytest.approx(4 * row.target_kbps)


def test_a_gain_is_of_the_clips_that_have_an_equivalent():
    """Two clips at 200 and 800 kbit/s: the second, a codec without a number, is no part of it."""
    points = [point("one", "codec", k, 10 * math.log10(k)) for k in LADDER]
    points += [point("two", "codec", k, None) for k in LADDER]
    points += [point("one", "net", 300, 10 * math.log10(150), 200.0)]
    points += [point("two", "net", 300, 99.0, 800.0)]
    (row,) = curves.equivalents(points, ("psnr",))
    assert (row.pooled.kbps, row.measured_kbps) == (pytest.approx(150), pytest.approx(200))
    assert (row.all_clips_kbps, row.clips, set(row.of_clips)) == (pytest.approx(400), 2, {"one"})
    line = tables.equivalent_table([row], "h264", ("psnr",)).splitlines()[1]
    assert line.split("  ")[0] == "net" and line.split()[1] == "400"
    assert line.endswith("150 (0.75x), 1 of 2 clips from 200")
    content = json.loads(tables.to_json({}, points, [], [row], []))["equivalent_kbps"][0]
    assert (content["measured_kbps"], content["clips"]) == (pytest.approx(200), 2)
    assert "0.75&times;, 1 of 2 clips from 200" in html_tables.equivalent_cell(row, row.shortfall)
    # Of no clip: the rate is that of all, and there is no number to divide.
    none = [dataclasses.replace(p, scores={"psnr": None}) for p in points]
    (row,) = curves.equivalents(none, ("psnr",))
    assert (row.measured_kbps, row.pooled) == (pytest.approx(400), None)
    # A clip outside of its ladder counts, as a bound.
    far = [*points, *(point("three", "codec", k, 10 * math.log10(k)) for k in LADDER)]
    far.append(point("three", "net", 300, 99.0, 200.0))
    (row,) = curves.equivalents(far, ("psnr",))
    text = tables.equivalent_table([row], "h264", ("psnr",)).splitlines()[1]
    assert text.endswith("> 600 [150, 2400], 2 of 3 clips from 200")


def test_the_best_model_of_each_clip_pools_the_larger_gains():
    points = [*points_of("one", 2, 0), *points_of("two", 4, 0)]
    points += [
        dataclasses.replace(p, curve="other")
        for p in [*points_of("one", 8, 0), *points_of("two", 1, 0)]
        if p.curve == "net"
    ]
    # First stages are no choice, however good.
    points += [
        dataclasses.replace(p, curve=f"{p.curve}:a", scores={"psnr": 99.0})
        for p in points
        if p.curve in ("net", "other")
    ]
    rows = curves.equivalents(points, ("psnr",))
    best = [row for row in rows if row.curve == curves.BEST_MODEL]
    assert [row.target_kbps for row in best] == [150, 300, 600]
    assert best[0].chosen == {"one": "other", "two": "net"}
    assert best[0].measured_kbps == pytest.approx(150)
    assert best[0].pooled.kbps == pytest.approx(150 * math.sqrt(8 * 4))
    assert "best model of each clip" in tables.equivalent_table(rows, "h264", ("psnr",))
    # A clip without a score has no answer, and the table goes on.
    lost = [dataclasses.replace(p, scores={"psnr": None}) if p.clip == "two" else p for p in points]
    rows = [row for row in curves.equivalents(lost, ("psnr",)) if row.curve == curves.BEST_MODEL]
    assert rows[0].chosen == {"one": "other"} and set(rows[0].of_clips) == {"one"}
    assert len(tables.equivalent_table(rows, "h264", ("psnr",)).splitlines()) == 4
    # One model has no choice.
    one = curves.equivalents(points_of("one", 2, 0), ("psnr",))
    assert curves.BEST_MODEL not in {row.curve for row in one}


def test_the_best_models_of_two_metrics_each_have_their_own_rate():
    """By PSNR the small input of the one is best, by SSIM the larger one of the other."""
    points = [point("a", "codec", k, 10 * math.log10(k)) for k in LADDER]
    points += [point("a", "net", 300, 10 * math.log10(500), 290.0)]
    points += [point("a", "other", 300, 10 * math.log10(400), 310.0)]
    points = [
        dataclasses.replace(p, scores={**p.scores, "ssim": sign * p.scores["psnr"] / 100})
        for p in points
        for sign in [-1 if p.curve == "net" else 1]
    ]
    rows = curves.equivalents(points, ("psnr", "ssim"))
    lines = tables.equivalent_table(rows, "h264", ("psnr", "ssim")).splitlines()
    split = [re.split(r"  +", line) for line in lines[1:]]
    assert split[0][:2] == ["net", "290"] and split[1][:2] == ["other", "310"]
    assert split[2] == [
        *("best model of each clip", "-", "500 (1.72x), from 290", "400 (1.29x), from 310")
    ]
    page = html_tables.equivalent_table(rows, "h264", ("psnr", "ssim"))
    assert "<td>-</td><td>500 <small>1.72&times;, from 290</small></td>" in page


def test_curves_that_do_not_overlap_have_no_bd_rate_and_no_equivalent():
    points = points_of("one", 100, 0)
    far = [row for row in curves.bd_rates(points, ("psnr",)) if row.curve == "net"]
    assert all(isinstance(row.percent["one"], str) for row in far)
    rows = [row for row in curves.equivalents(points, ("psnr",)) if row.curve == "net"]
    assert {row.of_clips["one"].where for row in rows} == {"beyond"}
    table = tables.equivalent_table(rows, "h264", ("psnr",))
    assert table.count("beyond the ladder") == 3
    assert "none" in tables.bd_table(curves.bd_rates(points, ("psnr",)), "h264", ("psnr",))


def test_pooled_points_are_means_of_the_same_clips():
    points = [point("a", "codec", 100, 30.0, 80.0), point("b", "codec", 100, 34.0, 125.0)]
    (pooled,) = curves.pool_points(points)
    assert pooled.measured_kbps == pytest.approx(100)
    assert pooled.scores["psnr"] == 32.0
    points[1] = point("b", "codec", 100, None, 125.0)
    assert curves.pool_points(points)[0].scores["psnr"] is None


def test_what_is_odd_about_curves_is_said():
    falling = [point("a", "codec", k, v) for k, v in ((100, 30.0), (200, 29.0), (400, 33.0))]
    assert remarks.curve_remarks(falling, ("psnr",)) == [
        "a, h264, codec: psnr at 200 kbit/s is no better than at a lower bitrate; for equivalents "
        "and BD-rates these points are left out"
    ]
    missing = [point("a", "codec", 100, None), point("a", "codec", 200, 30.0)]
    assert "psnr has no finite value at 100 kbit/s" in remarks.curve_remarks(missing, ("psnr",))[0]


def test_means_of_different_frames_are_not_compared():
    """Six black frames that codec and bicubic give exactly, and the network almost."""
    points = [*points_of("black", 1.5, 5), *points_of("one", 1.5, 5)]
    black = [p for p in points if p.clip == "black" and p.curve != "net"]
    points = [dataclasses.replace(p, left_out={"psnr": 6}) if p in black else p for p in points]
    assert remarks.curve_remarks([*points, *curves.pool_points(points)], ("psnr",)) == [
        "black, h264: psnr is infinite or undefined in different numbers of frames (codec 6, "
        "net 0, bicubic 6), which the means leave out; it gives no equivalent bitrate, no BD-rate "
        "and no mean over clips"
    ]
    for row in curves.equivalents(points, ("psnr",)):
        gain = 1.5 if row.curve == "net" else 0.5
        assert set(row.of_clips) == {"one"} and row.of_means is None
        assert row.pooled.kbps == pytest.approx(gain * row.target_kbps)
    for row in curves.bd_rates(points, ("psnr",)):
        assert row.percent["black"] == row.percent[POOLED] == "psnr is of different frames"
        assert isinstance(row.percent["one"], float)
    assert {p.scores["psnr"] for p in curves.pool_points(points)} == {None}
    table = clip_table.make_table(points, codec="h264", kbps=300, metrics=("psnr",))
    rows = {name: [cell.text for cell in cells] for name, cells in table.rows}
    assert rows["black"] == rows[POOLED] == ["-", "-", "-"] != rows["one"]
    assert remarks.compared_metrics(points, ("psnr", "lpips")) == ["lpips"]
    with pytest.raises(ValueError, match=r"black, h264: psnr is infinite .* numbers of frames"):
        remarks.compared_metrics(points, ("psnr",))
    # One point of a curve is enough, and the numbers of frames are told from least to most.
    some = [dataclasses.replace(p, left_out={}) for p in points if p.clip == "one"]
    some[0] = dataclasses.replace(some[0], left_out={"psnr": 2})
    assert "(codec 0-2, net 0, bicubic 0)" in remarks.curve_remarks(some, ("psnr",))[0]
    # The same number everywhere is only told.
    even = [dataclasses.replace(p, left_out={"psnr": 6}) for p in points]
    assert remarks.curve_remarks(even, ("psnr",))[0] == (
        "black, h264: psnr is infinite or undefined in 6 frames of each; the means are over the "
        "others"
    )
    row = next(r for r in curves.equivalents(even, ("psnr",)) if r.curve == "net")
    assert set(row.of_clips) == {"black", "one"}


def test_results_are_named_after_what_they_were_made_from(tmp_path):
    workspace = Workspace(tmp_path / "deep" / "work")
    assert workspace.key(a=1, b="x") == workspace.key(b="x", a=1)
    assert workspace.key(a=1) != workspace.key(a=2)
    with workspace.locked():
        workspace.write("scores", "k", {"scores": {}})
        assert workspace.read("scores", "k") == {"scores": {}}
        assert workspace.read("scores", "other") is None
        leftover = tmp_path / "deep" / "work" / "encodes" / ".x.mkv.1-ab.tmp"
        leftover.touch()
        other = Workspace(workspace.root)
        with pytest.raises(ValueError, match="another process is at work in"), other.locked():
            pass
        (workspace.root / "scores" / "k.json").write_text("{")
        with pytest.raises(ValueError, match=r"k\.json is damaged .*; remove it"):
            workspace.read("scores", "k")
    with workspace.locked():
        assert not leftover.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clips": ()}, "at least one clip and one model"),
        ({"codecs": ("mpeg2",)}, "codec 'mpeg2'; accepted: h264, h265, vp8, vp9, av1"),
        ({"input_kbps": ()}, "input kbps nothing; accepted: 1 or more different"),
        ({"input_kbps": (150, 150)}, "input kbps 150,150; accepted: 1 or more"),
        ({"reference_kbps": (75,)}, "reference kbps 75; accepted: 2 or more"),
        ({"reference_kbps": (75, 75)}, "reference kbps 75,75; accepted: 2 or more"),
        ({"frame_step": 0}, "frame_step 0; at least 1"),
        ({"max_frames": 0}, "max_frames 0; at least 5"),
        ({"max_frames": 4}, "max_frames 4; at least 5"),
        ({"input_kbps": (0,)}, "input kbps 0; accepted: 1 or more .*, 1 to 2000000"),
        ({"input_kbps": (150, 2000001)}, "input kbps 150,2000001; accepted: .*, 1 to 2000000"),
        ({"reference_kbps": (75, 99999999)}, "reference kbps 75,99999999; .*, 1 to 2000000"),
        ({"metrics": ("tof",), "frame_step": 2}, "tof compares frames"),
    ],
)
def test_settings_that_are_refused(changes, message):
    fields = {"clips": (Path("a.mkv"),), "models": (MODEL,), **changes}
    with pytest.raises(ValueError, match=message):
        Settings(**fields)


def test_lists_of_numbers():
    assert read_numbers("150, 250") == (150, 250)
    with pytest.raises(ValueError, match="'150;250'; whole numbers"):
        read_numbers("150;250")


def test_a_clip_becomes_a_reference_that_every_scale_divides(tmp_path):
    odd = make_video(tmp_path / "odd.mkv", frames=7, size="150x110")
    workspace = Workspace(tmp_path / "work")
    with workspace.locked():
        reference = make_reference(workspace, odd, 6)
        assert (reference.width, reference.height, reference.frame_count) == (144, 104, 6)
        assert make_reference(workspace, odd, 6) == reference
        assert make_reference(workspace, odd, None).key != reference.key
        again = make_reference(workspace, odd, None)
        names = {r.name for r in unique_names([reference, again, reference])}
        assert len(names) == 2
        assert all(name.startswith("odd-") for name in names)
        # So is what tables call the mean, and what its plots are called.
        for name in ("all clips", "pooled", "equivalent"):
            mean = dataclasses.replace(again, name=name)
            assert [r.name for r in unique_names([mean])] == [f"{name}-{again.key[:6]}"]
        short = make_video(tmp_path / "short.mkv", frames=4, size="64x48")
        with pytest.raises(ValueError, match=r"short\.mkv has 4 frames; at least 5"):
            make_reference(workspace, short, None)
    assert reference.bits_per_pixel(144 * 104 * 25 / 1000) == pytest.approx(1)


def test_two_files_of_one_content_are_one_clip(tmp_path, capsys):
    first = make_video(tmp_path / "first.mkv", frames=5, size="64x48")
    second = Path(shutil.copy(first, tmp_path / "second.mkv"))
    workspace = Workspace(tmp_path / "work")
    with workspace.locked():
        found = make_references(workspace, [first, second, first], None)
    assert [(r.name, r.source) for r in found] == [("first", str(first))]
    told = f"note: {second} has the same content as {first}; it is left out\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_high_dynamic_range_of_8_bits_is_told(tmp_path, capsys, transfer):
    tags = f"setparams=color_trc={transfer}:colorspace=bt2020nc:color_primaries=bt2020"
    codec = ("-vf", tags, "-c:v", "libx264", "-qp", "0")
    bright = make_video(tmp_path / "bright.mkv", frames=6, size="64x48", output=codec)
    workspace = Workspace(tmp_path / "work")
    with workspace.locked():
        for _ in range(2):  # kept or not
            make_reference(workspace, bright, None)
            told = capsys.readouterr().err.splitlines()
            assert told == [
                f"note: {bright} is of high dynamic range ({transfer}) and 8 bits; its samples are "
                "taken as they are, for BT.709"
            ]
        make_reference(workspace, make_video(tmp_path / "plain.mkv", 6, "64x48"), None)
        assert capsys.readouterr().err == ""
        deep = (*codec, "-pix_fmt", "yuv420p10le")
        deep = make_video(tmp_path / "deep.mkv", frames=6, size="64x48", output=deep)
        with pytest.raises(ValueError, match="does not fit into 8 bits"):
            make_reference(workspace, deep, None)


def test_the_ways_are_the_codec_the_enlargement_and_both_stages():
    ways = list_ways([MODEL, MODEL])
    assert [way.curve for way in ways] == ["codec", "bicubic", f"{MODEL}:a", MODEL]
    assert [way.scale for way in ways] == [1, 4, 4, 4]
    assert len({json.dumps(way.identity) for way in ways}) == 4
    with pytest.raises(ValueError, match="no model 'nothing'"):
        list_ways(["nothing"])


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Six frames of the embedded film, 256x192 of its middle."""
    path = tmp_path_factory.mktemp("clip") / "rabbit.mkv"
    words = ["-frames:v", "6", "-vf", "crop=256:192", "-c:v", "libx264", "-qp", "0"]
    ffmpeg("-i", f"file:{embedded_clip()}", *words, f"file:{path}")
    return path


def command(clip: Path, workdir: Path, *more: str) -> list[str]:
    ladders = ["--input-kbps", "30,120", "--reference-kbps", "60,900"]
    options = ["--models", MODEL, "--metrics", "psnr,ssim", "--frame-step", "3", "--jobs", "2"]
    return ["rd", "--clips", str(clip), *ladders, *options, "--workdir", str(workdir), *more]


@pytest.fixture(scope="module")
def finished(clip, tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("rd")
    evaluate.main(command(clip, workdir))
    return workdir


def test_a_run_writes_points_tables_and_plots(finished):
    content = json.loads((finished / "rd.json").read_text())
    found = {(p["curve"], p["target_kbps"]) for p in content["points"]}
    enlarged = ("bicubic", f"{MODEL}:a", MODEL)
    expected = {(curve, kbps) for curve in enlarged for kbps in (30, 120)}
    assert found == expected | {("codec", 60), ("codec", 900)}
    by_curve = {(p["curve"], p["target_kbps"]): p for p in content["points"]}
    assert by_curve["codec", 900]["psnr"] > by_curve["codec", 60]["psnr"]
    assert by_curve[MODEL, 120]["ssim"] > by_curve["bicubic", 30]["ssim"]
    assert by_curve[MODEL, 30]["measured_kbps"] == by_curve["bicubic", 30]["measured_kbps"]
    for p in content["points"]:
        assert p["bits_per_pixel"] == pytest.approx(p["measured_kbps"] * 1000 / (25 * 256 * 192))
    assert {row["curve"] for row in content["equivalent_kbps"]} == set(enlarged)
    assert content["settings"]["frame_step"] == 3
    with open(finished / "rd.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert float(rows[0]["psnr"]) == content["points"][0]["psnr"]
    names = sorted(path.name for path in (finished / "plots").iterdir())
    assert names == ["h264_equivalent.png", "h264_pooled.png", "h264_rabbit.png"]
    picture = np.asarray(Image.open(finished / "plots" / "h264_pooled.png").convert("RGB"))
    assert picture.std() > 10


def test_without_clips_the_embedded_one_is_measured(tmp_path, monkeypatch, capsys):
    def show_clips(settings, workdir, *, draw):
        return [str(clip) for clip in settings.clips]

    monkeypatch.setattr(job, "run_rate_distortion", show_clips)
    evaluate.main(["rd", "--workdir", str(tmp_path)])
    assert capsys.readouterr().out.strip() == str(embedded_clip())


def test_bicubic_and_codec_scores_are_those_of_the_files(finished):
    """The codec's curve is the encode itself: `score` gives the same frames the same numbers."""
    from supervegan_jax.evaluation.comparison import ScoreOptions, compare

    (reference,) = (finished / "references").glob("*.mkv")
    content = json.loads((finished / "rd.json").read_text())
    encodes = [json.loads(p.read_text()) | {"key": p.stem} for p in finished.glob("encodes/*.json")]
    encode = next(e for e in encodes if e["width"] == 256 and e["target_kbps"] == 60)
    path = finished / "encodes" / f"{encode['key']}.mkv"
    scores = compare(reference, path, ScoreOptions(("psnr",)))
    frames = [scores.rows[index]["psnr"] for index in (0, 3)]
    found = next(p for p in content["points"] if (p["curve"], p["target_kbps"]) == ("codec", 60))
    assert found["psnr"] == pytest.approx(np.mean(frames), abs=1e-6)


def test_nothing_is_done_twice_and_what_is_lost_comes_back_the_same(finished, clip, capsys):
    scores = sorted((finished / "scores").iterdir())
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in scores}
    report = (finished / "rd.json").read_bytes()
    lost = next(path for path in scores if json.loads(path.read_text())["curve"] == "bicubic")
    lost.unlink()
    (finished / "rd.json").unlink()
    evaluate.main(command(clip, finished, "--no-plots"))
    printed = capsys.readouterr()
    assert f"note: the plots in {finished / 'plots'} are of an earlier run" in printed.err
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in scores}
    assert [path for path in scores if before[path][0] != after[path][0]] == [lost]
    assert after[lost][1] == before[lost][1]
    assert (finished / "rd.json").read_bytes() == report
    assert "BD-rate" in printed.out


def test_plots_of_other_clips_are_removed(tmp_path):
    points = [*points_of("a", 1.5, 5), *points_of("b", 1.5, 5)]
    (tmp_path / "notes.png").touch()
    for clips in ("ab", "a"):
        some = [p for p in points if p.clip in clips]
        written = plots.draw_all(some, curves.equivalents(some, ("psnr",)), ("psnr",), tmp_path)
        assert {*written, tmp_path / "notes.png"} == set(tmp_path.iterdir())
    assert tmp_path / "h264_b.png" not in written


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    """A network that compiles in a moment."""
    fields = {"name": "supervegan", "scale": 2, **SMALL}
    fields |= {"filter_blocks": 0, "residual_blocks": 0, "outer_blocks": 0, "inner_blocks": 0}
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder, fields, small_model(scale=2).params, {})
    return str(folder)


def test_one_bitrate_of_the_input_is_enough(finished, clip, tmp_path, capsys):
    workdir = tmp_path / "rd"
    shutil.copytree(finished, workdir)  # what is scored already stays so
    words = command(clip, workdir)
    words[words.index("--input-kbps") + 1] = "120"
    evaluate.main(words)
    printed = capsys.readouterr()
    assert "BD-rate" not in printed.out
    assert "curve" not in printed.err
    one, both = (json.loads((path / "rd.json").read_text()) for path in (workdir, finished))
    assert one["bd_rate_percent"] == []
    rows = [row for row in both["equivalent_kbps"] if row["target_kbps"] == 120]
    assert len(rows) > 3
    assert one["equivalent_kbps"] == rows
    assert (workdir / "plots" / "h264_equivalent.png").exists()


def test_the_perceptual_index_takes_its_model(finished, clip, tmp_path, monkeypatch, capsys):
    workdir, given = tmp_path / "rd", tmp_path / "model.mat"
    words = command(clip, workdir, "--metrics", "psnr,pi")
    for more, message in (
        ([], r"give the path of model\.mat"),
        (["--ma-model", str(given)], r"no file .*model\.mat"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate.main([*words, *more])
    assert not workdir.exists()  # told before anything is encoded
    for place in (job, ma_score):
        monkeypatch.setattr(place, "load_ma_model", lambda path: path.read_text())
    given.write_text("3.5")
    index = lambda picture, model: float(model)  # noqa: E731
    monkeypatch.setattr(perceptual_index, "perceptual_index", index)
    shutil.copytree(finished, workdir)
    evaluate.main([*words, "--ma-model", str(given), "--no-plots"])
    content = json.loads((workdir / "rd.json").read_text())
    assert {point["pi"] for point in content["points"]} == {3.5}
    assert read_run(workdir).settings.ma_model == given
    # Another model at the same place is another score; the others are kept.
    for path in workdir.glob("scores/*.json"):
        kept = json.loads(path.read_text())
        kept["scores"]["psnr"]["mean"] = 12.5
        path.write_text(json.dumps(kept))
    for value in ("9.0", "3.5"):
        given.write_text(value)
        evaluate.main([*words, "--ma-model", str(given), "--no-plots"])
        content = json.loads((workdir / "rd.json").read_text())
        found = {(point["pi"], point["psnr"]) for point in content["points"]}
        assert found == {(float(value), 12.5)}
    capsys.readouterr()


# Batches of two sizes: to the bit the same as users compile them, not without XLA's fused loops.
SAME_FRAMES = """
import sys
import jax
import numpy as np
from supervegan_jax.enhancement.options import RunOptions
from supervegan_jax.enhancement.runner import enhance_frames
from supervegan_jax.rate_distortion.ways import list_ways
from supervegan_jax.video_input.source import open_source

way = list_ways([sys.argv[2]])[-1]
source = open_source(sys.argv[1])
ours = list(way.frames(source))
options = RunOptions(devices=(jax.devices()[0],), batch_size=4)
theirs = list(enhance_frames(source.frames(), source.format, way.model, options))
assert [frame.pts for frame in ours] == [frame.pts for frame in theirs]
some = list(way.frames(source, 3))
assert [frame.index for frame in some] == [0, 3]
for mine, other in [*zip(ours, theirs, strict=True), *zip(some, theirs[::3], strict=True)]:
    assert all(np.array_equal(a, b) for a, b in zip(mine.planes, other.planes, strict=True))
print(len(ours), "frames")
"""


@pytest.mark.slow
def test_enhanced_frames_are_those_of_the_enhance_command(clip, tiny):
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    words = [sys.executable, "-c", SAME_FRAMES, str(clip), tiny]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "6 frames\n"


def test_a_killed_run_goes_on_and_takes_more_metrics(clip, tiny, tmp_path):
    def words(workdir: str) -> list[str]:
        return command(clip, tmp_path / workdir, "--no-plots", "--models", tiny)

    start = [sys.executable, "-m", "supervegan_jax.evaluate", *words("killed")]
    process = subprocess.Popen(start)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "killed").glob("scores/*.json"))) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "rd.json").exists()
    evaluate.main([*words("killed"), "--metrics", "psnr"])
    evaluate.main([*words("whole"), "--metrics", "vmaf,psnr"])
    reports = [tmp_path / name / "rd.json" for name in ("killed", "whole")]
    points = [json.loads(report.read_text())["points"] for report in reports]
    for mine, other in zip(*points, strict=True):
        assert mine["psnr"] == pytest.approx(other["psnr"], abs=1e-3)
        assert mine == {name: other[name] for name in mine} | {"psnr": mine["psnr"]}
    vmaf = {(p["curve"], p["target_kbps"]): p["vmaf"] for p in points[1]}
    assert 0 <= vmaf["codec", 60] < vmaf["codec", 900] <= 100
    assert set(vmaf) == {("codec", 60), ("codec", 900)} | {
        (curve, kbps) for curve in ("bicubic", "tiny:a", "tiny") for kbps in (30, 120)
    }


def test_frames_without_a_number_are_counted(finished, clip, tmp_path, capsys):
    """Two scored frames of a clip; one of them without PSNR for the codec alone."""
    workdir = tmp_path / "rd"
    shutil.copytree(finished, workdir)
    for path in workdir.glob("scores/*.json"):
        content = json.loads(path.read_text())
        content["scores"]["ssim"]["frames"] = 1
        content["scores"]["psnr"]["frames"] = 1 if content["curve"] == "codec" else 2
        path.write_text(json.dumps(content))
    evaluate.main(command(clip, workdir, "--no-plots"))
    printed = capsys.readouterr()
    assert (
        f"note: rabbit, h264: psnr is infinite or undefined in different numbers of frames (codec "
        f"1, bicubic 0, {MODEL}:a 0, {MODEL} 0), which" in printed.err
    )
    assert "note: rabbit, h264: ssim is infinite or undefined in 1 frame of each" in printed.err
    content = json.loads((workdir / "rd.json").read_text())
    assert {row["pooled"] is None for row in content["equivalent_kbps"]} == {True, False}
    assert {r["metric"] for r in content["equivalent_kbps"] if r["pooled"] is None} == {"psnr"}
    points = tables.read_points(workdir / "rd.json")
    left_out = {p.curve: p.left_out for p in points}
    assert (left_out["codec"], left_out["bicubic"]) == ({"psnr": 1, "ssim": 1}, {"ssim": 1})
    assert {p.scores["psnr"] is None for p in points} == {False}


def test_clips_against_curves_with_the_best_marked(finished, tmp_path, capsys):
    output = tmp_path / "table.md"
    words = ["table", str(finished), "--kbps", "30", "--metrics", "ssim,psnr"]
    evaluate.main([*words, "--output", str(output)])
    points = tables.read_points(finished / "rd.json")
    here = {p.curve: p.scores for p in points if p.target_kbps == 30}
    best = max(here, key=lambda curve: here[curve]["psnr"])
    lines = output.read_text().splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| rabbit | ")
    assert f"**{here[best]['psnr']:.2f}**" in lines[2]
    assert lines[2].count("**") == 4
    assert lines[3].split("|")[2:] == lines[2].split("|")[2:]
    assert f"{here[best]['psnr']:.2f}*" in capsys.readouterr().out
    for suffix, expected in ((".csv", f"{here[best]['psnr']:.2f}"), (".html", "<b>")):
        evaluate.main([*words, "--output", str(output.with_suffix(suffix))])
        assert expected in output.with_suffix(suffix).read_text()
    for more, message in (
        (["--kbps", "31"], "31 kbit/s; this run has 30, 60, 120, 900"),
        (["--curves", "net"], "curve 'net'; at 30 kbit/s this run has bicubic"),
        (["--metrics", "lpips"], "metric 'lpips'; this run has psnr, ssim"),
        (["--codec", "av1"], "codec 'av1'; this run has h264"),
        (["--output", "table.xls"], r"table\.xls: accepted are files named \.md"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate.main([*words, *more])
    with pytest.raises(ValueError, match=r"no .*rd\.json; make it with"):
        evaluate.main(["table", str(tmp_path), "--kbps", "30"])


def test_a_bar_in_a_name_makes_no_column():
    points = [Point("p|q", "h264", c, 4, 100, 100.0, 0.1, {"psnr": 30.0}) for c in ("a|b", "c")]
    table = clip_table.make_table(points, codec="h264", kbps=100, metrics=("psnr",))
    header, rule, row, _ = clip_table.as_markdown(table).splitlines()
    assert header == r"| clip | a\|b, PSNR (dB) | c, PSNR (dB) |"
    assert rule == "| --- | ---: | ---: |"
    assert row == r"| p\|q | **30.00** | **30.00** |"


def test_the_lpips_of_a_table_is_ten_times_and_equal_prints_share_a_rank():
    scores = {"a": 0.12341, "b": 0.12344, "c": 0.3}
    points = [Point("x", "h264", c, 4, 100, 100.0, 0.1, {"lpips": v}) for c, v in scores.items()]
    table = clip_table.make_table(points, codec="h264", kbps=100, metrics=("lpips",))
    assert [(c.text, c.rank) for c in table.rows[0][1]] == [
        ("1.234", 1),
        ("1.234", 1),
        ("3.000", 2),
    ]


def test_pictures_are_kept_as_far_as_their_bytes_allow(tmp_path, monkeypatch):
    source = make_video(tmp_path / "a.mkv", frames=5, size="64x48")
    workspace = Workspace(tmp_path / "work")
    with workspace.locked():
        reference = make_reference(workspace, source, None)
    for more, kept in ((0, 1), (-1, 0)):
        measure._kept_pictures.cache_clear()
        monkeypatch.setattr(measure, "_KEPT_BYTES", 5 * 64 * 48 * 3 * 4 + more)
        pictures = list(measure._reference_pictures(reference, 1))
        assert sum(picture.nbytes for picture in pictures) == 5 * 64 * 48 * 3 * 4
        assert measure._kept_pictures.cache_info().currsize == kept


def crossing_points() -> list[Point]:
    """At low rates the small video is best, at high rates the full size."""
    made = []
    for kbps in advice.ladder(400):
        made.append(point("a", "codec", kbps, 10 * math.log2(kbps)))
        made.append(point("a", "net", kbps, 70 + 2 * math.log2(kbps / 100)))
    return made


def test_advice_follows_the_better_of_two_crossing_curves():
    points = crossing_points()
    found = advice.advise(points, "psnr", 100)
    assert [p.curve for p in found.at_rate] == ["net", "codec"]
    needed = dict(found.needed)
    assert needed["net"].kbps == 100
    assert needed["codec"].kbps == pytest.approx(128)
    assert [p.curve for p in found.hull] == ["net", "codec", "codec", "codec", "codec"]
    # At 200 kbit/s the codec has 76.4 and the network 72.
    assert [(p.curve, p.target_kbps) for p in found.hull][:2] == [("net", 100), ("codec", 200)]
    found = advice.advise(points, "psnr", 1600, wanted=75.0)
    assert found.needed[0][0] == "codec"
    assert found.needed[0][1].kbps == pytest.approx(2**7.5)
    text = advice.to_text([found], "h264", 1600)
    assert "for PSNR (dB) 75.00" in text
    content = advice.to_json([found], "a.mkv", "h264", 1600)
    assert content["metrics"]["psnr"]["best"] == "codec"


def test_a_way_better_at_its_lowest_rate_is_the_cheapest():
    made = []
    for kbps in advice.ladder(400):
        made.append(point("a", "codec", kbps, 10 * math.log2(kbps)))  # 66.4 at 100 kbit/s
        made.append(point("a", "net", kbps, 60 + 10 * math.log2(kbps / 50)))  # 70 at 100
        made.append(point("a", "poor", kbps, 30 + 10 * math.log2(kbps / 100)))  # 70 at 1600
    points = [p for p in made if p.curve != "net" or p.target_kbps > 100]  # 80 at 200
    found = advice.advise(made, "psnr", 100, wanted=68.0)
    assert [(c, e.where) for c, e in found.needed] == [
        ("net", "below"),
        ("codec", "inside"),
        ("poor", "inside"),
    ]
    content = advice.to_json([found], "a.mkv", "h264", 400)["metrics"]["psnr"]
    assert content["cheapest"] == "net"
    assert content["needed_kbps"]["net"] == {"where": "below", "kbps": 100}
    table = advice.to_text([found], "h264", 400).split("\n\n")[1]
    assert table.splitlines()[1].split() == ["net", "below", "the", "ladder", "(<", "100)"]
    # Where a lower rate than the bound is known to do, that is cheaper by what was measured.
    found = advice.advise(points, "psnr", 400, wanted=68.0)
    assert [c for c, _ in found.needed] == ["codec", "net", "poor"]
    assert found.needed[0][1].kbps == pytest.approx(2**6.8)  # 111 kbit/s
    # Beyond all ladders, nothing is the cheapest.
    found = advice.advise(made, "psnr", 400, wanted=200.0)
    content = advice.to_json([found], "a.mkv", "h264", 400)["metrics"]["psnr"]
    assert content["cheapest"] is None


def test_advice_is_written(clip, tiny, tmp_path, capsys):
    words = ["advise", str(clip), "--bitrate-kbps", "120", "--metrics", "psnr", "--no-plots"]
    words += ["--workdir", str(tmp_path), "--models", tiny, "--frame-step", "5"]
    evaluate.main([*words, "--wanted", "psnr=28"])
    content = json.loads((tmp_path / "advice.json").read_text())
    found = content["metrics"]["psnr"]
    curves_found = {"codec", "bicubic x2", "bicubic x4", "tiny:a", "tiny"}
    assert {p["curve"] for p in found["at_rate"]} == curves_found
    assert (found["wanted"], found["best"]) == (28, found["at_rate"][0]["curve"])
    assert "h264 at 120 kbit/s" in capsys.readouterr().out
    with pytest.raises(ValueError, match="wanted 'vmaf=3'; this run measures psnr"):
        evaluate.main([*words, "--wanted", "vmaf=3"])
    for wrong in ("psnr", "psnr=nan", "psnr=inf"):
        with pytest.raises(ValueError, match=f"wanted '{wrong}'; METRIC=NUMBER"):
            evaluate.main([*words, "--wanted", wrong])
    with pytest.raises(ValueError, match="wanted 'psnr=2'; each metric once"):
        evaluate.main([*words, "--wanted", "psnr=1,psnr=2"])
    with pytest.raises(ValueError, match="bitrate 3 kbit/s; at least 4"):
        evaluate.main([*words, "--bitrate-kbps", "3"])
    with pytest.raises(ValueError, match="bitrate_kbps 500001; at most 500000"):
        evaluate.main([*words, "--bitrate-kbps", "500001"])
