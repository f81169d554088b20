"""What experiments find: intervals, verdicts and tables, from scores made up by hand."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from supervegan_jax.evaluation.bootstrap import Interval, mean_interval
from supervegan_jax.experiments import (
    ablations,
    clean_input,
    codecs,
    equal_compute,
    findings,
    gains,
    plane,
    runtime,
    stages,
    training_bitrate,
)
from supervegan_jax.experiments.outcome import to_markdown
from supervegan_jax.rate_distortion.curves import Point


def test_intervals_over_clips_and_seeds():
    assert mean_interval(np.array([2.0])) == Interval(2.0)
    both = mean_interval(np.array([[1.0, 1.0], [3.0, 3.0]]))
    assert (both.mean, both.low, both.high) == (2.0, 1.0, 3.0)  # two seeds: from worst to best
    same = mean_interval(np.full((3, 5), -0.5))
    assert (same.mean, same.low, same.high) == (-0.5, -0.5, -0.5)
    rng = np.random.default_rng(0)
    normal = mean_interval(rng.normal(size=400))
    assert normal.high - normal.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert both.shown(1) == "+2.0 [+1.0, +3.0]"
    assert Interval(-1.0).times(10).shown(0) == "-10"
    with pytest.raises(ValueError, match="0 values"):
        mean_interval(np.zeros(0))


@pytest.mark.parametrize(
    ("low", "high", "sign", "verdict"),
    [
        (-0.3, -0.1, -1, findings.HOLDS),
        (0.1, 0.3, -1, findings.FAILS),
        (0.1, 0.3, 1, findings.HOLDS),
        (-0.3, -0.1, 1, findings.FAILS),
        (-0.1, 0.1, 1, findings.OPEN),
        (0.0, 0.2, 1, findings.OPEN),
        (None, None, -1, findings.OPEN),
    ],
)
def test_verdicts_follow_the_interval(low, high, sign, verdict):
    finding = findings.Finding("x helps", "psnr", 4, Interval(0.0, low, high), sign)
    assert finding.verdict == verdict
    assert f"x helps: **{verdict}**" in str(finding)


def scored(clip: str, curve: str, lpips: float, psnr: float, kbps: int, scale: int) -> Point:
    scores = {"lpips": lpips, "psnr": psnr}
    return Point(clip, "h264", curve, scale, kbps, float(kbps), kbps / 1e4, scores)


def ablation_points() -> list[Point]:
    """Two clips, two seeds: no_prog is worse, no_mse_a undecided, stage B costs PSNR at both."""
    points = []
    for scale, kbps in ((4, 250), (2, 750)):
        for clip, level in (("a", 0.0), ("b", 0.1)):
            points.append(scored(clip, f"bicubic x{scale}", 0.5 + level, 25, kbps, scale))
            for seed in (0, 1):
                for name, lpips, psnr in (
                    ("full", 0.2, 28.0),
                    ("no_prog", 0.3 + seed / 100, 27.5),
                    ("no_mse_a", 0.2 + (-0.01, 0.02)[seed], 28.0 + (-0.1, 0.1)[seed]),
                ):
                    curve = f"{name}_{scale}x_s{seed}"
                    points.append(scored(clip, curve, lpips + level, psnr, kbps, scale))
                    stage_a = scored(clip, f"{curve}:a", 0.4 + level, psnr + 0.5, kbps, scale)
                    points.append(stage_a)
    return points


def test_findings_of_ablations_by_hand():
    variants = {
        (ablation, scale): [f"{ablations.TITLES[ablation]}_{scale}x_s{seed}" for seed in (0, 1)]
        for scale in (4, 2)
        for ablation in ("", "no_prog", "no_mse_a")
    }
    outcome = ablations.describe(
        ablation_points(),
        variants,
        (0, 1),
        codec="h264",
        kbps={4: 250, 2: 750},
        metrics=("lpips", "psnr"),
    )
    found = {(f["claim"], f["metric"], f["scale"]): f for f in outcome.values["findings"]}
    assert len(found) == 12
    progress = found["progressive training helps", "lpips", 4]
    assert progress["verdict"] == findings.HOLDS
    assert progress["difference"]["mean"] == pytest.approx(-0.105)
    assert progress["difference"]["low"] == pytest.approx(-0.11)
    assert progress["difference"]["high"] == pytest.approx(-0.10)
    keeping = "keeping the loss on stage A helps"
    assert found[keeping, "lpips", 4]["verdict"] == findings.OPEN
    assert found["stage B costs PSNR", "psnr", 4]["verdict"] == findings.HOLDS
    assert found["stage B improves PSNR", "psnr", 2]["verdict"] == findings.FAILS
    assert found["stage B improves LPIPS", "lpips", 2]["verdict"] == findings.HOLDS
    text = to_markdown(outcome)
    assert "| 4x at 250 kbit/s, full, stage B | -3.000 [-3.000, -3.000] | +3.00 [" in text
    assert "* 4x: progressive training helps: **holds** (LPIPS (AlexNet) x10 -1.050 [" in text
    # With a variant left out its findings are, too.
    del variants["no_prog", 4], variants["", 2]
    assert len(ablations.findings(ablation_points(), variants, codec="h264", kbps={4: 250, 2: 750}))


def test_clean_training_input_by_hand():
    points = []
    for kbps in (250, 750):
        for clip, level in (("a", 0.0), ("b", 0.1)):
            points.append(scored(clip, "bicubic x4", 0.5 + level, 25.0, kbps, 4))
            for seed in (0, 1):
                # Clean input loses 1 dB at 250 kbit/s, and wins or loses 0.1 dB by seed at 750.
                worse = 1.0 if kbps == 250 else (0.1, -0.1)[seed]
                for name, psnr in (("4x_compressed", 27.0), ("4x_clean", 27.0 - worse)):
                    curve = f"{name}_s{seed}"
                    points.append(scored(clip, curve, 0.3 + level, psnr, kbps, 4))
                    points.append(scored(clip, f"{curve}:a", 0.4 + level, psnr + 0.5, kbps, 4))
    trained = {
        f"4x_{name}_s{s}": r for s in (0, 1) for name, r in (("clean", 9000), ("compressed", 250))
    }
    pair = clean_input.pair_up(4, trained)
    assert pair == clean_input.Pair(
        4, ["4x_compressed_s0", "4x_compressed_s1"], ["4x_clean_s0", "4x_clean_s1"], 250, 9000
    )
    outcome = clean_input.describe(
        points, [pair], codec="h264", kbps=(250, 750), metrics=("lpips", "psnr")
    )
    found = {(f["claim"][:11], f["metric"]): f for f in outcome.values["findings"]}
    assert len(found) == 4
    assert found["at 250 kbit", "psnr"]["verdict"] == findings.HOLDS
    assert found["at 250 kbit", "psnr"]["difference"]["mean"] == pytest.approx(1.0)
    assert found["at 750 kbit", "psnr"]["verdict"] == findings.OPEN
    assert found["at 250 kbit", "lpips"]["verdict"] == findings.OPEN
    text = to_markdown(outcome)
    assert "| 4x at 250 kbit/s, trained at 9000 kbit/s, clean, stage A | -1.000 [" in text
    assert "clean, stage B | -2.000 [-2.000, -2.000] | +1.00 [+1.00, +1.00] |" in text
    assert "trained at 250 kbit/s, stage B | -2.000 [-2.000, -2.000] | +2.00 [" in text
    del trained["4x_clean_s1"]
    with pytest.raises(ValueError, match="4x networks trained at: 2 at 250, 1 at 9000 kbit/s; two"):
        clean_input.pair_up(4, trained)
    with pytest.raises(ValueError, match="2x networks trained at: 1 at 250 kbit/s; two bitrates"):
        clean_input.pair_up(2, {"a": 250})


def test_scores_of_different_frames_are_not_subtracted():
    """Frames that only the networks' stages A leave out, of one clip."""
    points = [
        dataclasses.replace(p, left_out={"psnr": 2})
        if p.clip == "a" and p.curve.endswith(":a")
        else p
        for p in ablation_points()
    ]
    where = {"codec": "h264", "kbps": 250}
    curves = ("full_4x_s0", "bicubic x4")
    pair = [curves[:1], curves[1:]]
    assert gains.difference(points, *pair, metric="lpips", **where) is not None
    assert gains.difference(points, *pair, metric="psnr", **where) is None
    with pytest.raises(ValueError, match="full_4x_s0 has no psnr of every clip with h264 at 250"):
        gains.scores_of(points, curves, metric="psnr", **where)
    # What would subtract them goes on without.
    variants = {("", 4): ["full_4x_s0"], ("no_prog", 4): ["no_prog_4x_s0"]}
    metrics = ("lpips", "psnr")
    outcome = ablations.describe(
        points, variants, (0,), codec="h264", kbps={4: 250}, metrics=metrics
    )
    assert {cells[1].text for _, cells in outcome.tables[0].rows} == {"-"}
    assert {f["metric"] for f in outcome.values["findings"]} == {"lpips"}
    found = stages.changes(points, codec="h264", kbps=None, metrics=metrics)
    assert {change.metric for change in found} == {"lpips"}
    assert {gain.metric for gain in codecs.gains(points, metrics)} == {"lpips"}
    (table,) = equal_compute.describe(
        points, [], budget_tmacs=2.0, codec="h264", kbps=250, metrics=("psnr",)
    ).tables[1:]
    cells = dict(table.rows)["full_4x_s0"]
    assert [cell.text for cell in cells] == ["-", "28.00", "-", ""]


def test_gains_codec_by_codec(tmp_path):
    points = []
    for codec, gain in (("h264", 0.1), ("h265", 0.0)):
        for clip, level in (("a", 0.0), ("b", 0.2)):
            for curve, lpips in (("bicubic", 0.5), ("net", 0.5 - gain - level / 10)):
                one = scored(clip, curve, lpips + level, 25, 250, 4)
                points.append(Point(**{**vars(one), "codec": codec}))
            # 250 kbit/s lies in the middle, on a scale of logarithms.
            for kbps, lpips, psnr in ((200, 0.5, 25.5), (312.5, 0.4, 26.5)):
                full_size = scored(clip, "codec", lpips + level, psnr, kbps, 1)
                points.append(Point(**{**vars(full_size), "codec": codec}))
    outcome = codecs.describe(points, ("lpips", "psnr"))
    rows = {
        (g["codec"], g["against"]): g["difference"]
        for g in outcome.values["gains"]
        if g["metric"] == "lpips"
    }
    assert rows["h264", "bicubic"]["mean"] == pytest.approx(-0.11)
    assert rows["h265", "bicubic"]["low"] == pytest.approx(-0.02)
    assert rows["h264", "codec"]["mean"] == pytest.approx(-0.06)
    assert rows["h265", "codec"]["mean"] == pytest.approx(0.04)
    # The same in every clip, though the clips differ: they are paired.
    home = rows["h265", "h264"]
    assert [home[end] for end in ("mean", "low", "high")] == pytest.approx([0.1, 0.1, 0.1])
    assert ("h264", "h264") not in rows
    (claim,) = outcome.findings
    assert "better LPIPS than h265 at full size: **does not hold**" in claim
    plain, at_home = outcome.tables
    assert plain.rows[1][0] == "net, h265 at 250 (250) kbit/s" == at_home.rows[0][0]
    assert [cell.text[:6] for cell in plain.rows[0][1]] == ["-1.100", "+0.00 ", "-0.600", "-1.00 "]
    for name, draw in outcome.drawings.items():
        draw(tmp_path / f"{name}.png")
        assert np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).std() > 10
    assert set(outcome.drawings) == {"gains", "gains_over_codec", "codecs"}
    # What enlarges nothing is held against its own input, not against another's enlargement.
    same = [
        dataclasses.replace(p, curve="mfqe", scale=1, scores={"lpips": p.scores["lpips"] - 0.15})
        for p in points
        if p.curve == "codec"
    ]
    found = codecs.gains([*points, *same], ("lpips",))
    ours = [(g.codec, g.against, g.difference.mean) for g in found if g.model == "mfqe"]
    assert ours == [(c, "codec", pytest.approx(-0.15)) for c in ("h264", "h264", "h265", "h265")]
    assert codecs.describe([p for p in [*points, *same] if p.scale == 1], ("lpips",)).tables
    # Nothing is read off beyond the ladder.
    above = [dataclasses.replace(p, measured_kbps=400) if p.curve == "net" else p for p in points]
    assert {g.against for g in codecs.gains(above, ("lpips",))} == {"bicubic", "h264"}


def test_stages_and_what_the_paper_says_of_them(tmp_path):
    points = []
    for scale, psnr_b in ((4, 27.5), (2, 28.5)):
        for clip, level in (("a", 0.0), ("b", 0.1)):
            for curve, lpips, psnr in (
                (f"bicubic x{scale}", 0.5, 26.0 + level),
                (f"net{scale}:a", 0.4 + level / 10, 28.0),
                (f"net{scale}", 0.2, psnr_b),
            ):
                points.append(scored(clip, curve, lpips + level, psnr, 250, scale))
    points += [scored(clip, "one_stage", 0.3, 27.0, 250, 4) for clip in ("a", "b")]
    outcome = stages.describe(points, codec="h264", metrics=("lpips", "psnr"))
    changed = {
        (c["model"], c["stage"], c["metric"]): c["difference"] for c in outcome.values["changes"]
    }
    assert len(changed) == 8
    assert changed["net4", "a", "lpips"]["mean"] == pytest.approx(-0.095)
    assert changed["net4", "a", "lpips"]["low"] == pytest.approx(-0.1)
    assert changed["net4", "a", "psnr"]["high"] == pytest.approx(2.0)
    assert changed["net2", "b", "psnr"]["mean"] == pytest.approx(0.5)
    claims = {f["claim"]: (f["scale"], f["verdict"]) for f in outcome.values["findings"]}
    assert claims == {
        "net4, 250 kbit/s: stage A improves LPIPS": (4, "holds"),
        "net4, 250 kbit/s: stage B improves LPIPS": (4, "holds"),
        "net4, 250 kbit/s: stage B costs PSNR": (4, "holds"),
        "net2, 250 kbit/s: stage A improves LPIPS": (2, "holds"),
        "net2, 250 kbit/s: stage A improves PSNR": (2, "holds"),
        "net2, 250 kbit/s: stage B improves LPIPS": (2, "holds"),
        "net2, 250 kbit/s: stage B improves PSNR": (2, "holds"),
    }
    scores, change = outcome.tables
    assert len(scores.rows) == 3 + 3 + 2 and len(change.rows) == 4
    lacking = [
        dataclasses.replace(p, scores=p.scores | {"psnr": None})
        if (p.curve, p.clip) == ("net4:a", "a")
        else p
        for p in points
    ]
    _, fewer = stages.describe(lacking, codec="h264", metrics=("lpips", "psnr")).tables
    assert [cells[1].text == "-" for _, cells in fewer.rows] == [True, True, False, False]
    outcome.drawings["stages"](tmp_path / "stages.png")
    assert np.asarray(Image.open(tmp_path / "stages.png").convert("RGB")).std() > 10


def test_a_plane_for_each_scale(tmp_path):
    points = [
        scored(clip, curve, lpips, psnr + level, kbps, scale)
        for clip, level in (("a", 0.0), ("b", 1.0))
        for kbps in (250, 750)
        for curve, scale, lpips, psnr in (
            ("codec", 1, 0.3, 27.0),
            ("bicubic x4", 4, 0.5, 25.0),
            ("net4", 4, 0.2, 26.0),
            ("bicubic x2", 2, 0.4, 26.0),
            ("net2", 2, 0.1, 28.0),
        )
    ]
    outcome = plane.describe(
        points, codec="h264", kbps={4: 250, 2: 750}, distortion="psnr", perception="lpips"
    )
    four, two = outcome.values["planes"]
    assert [p["curve"] for p in four["points"] if p["on_front"]] == ["codec", "net4"]
    assert (four["scale"], four["target_kbps"], two["target_kbps"]) == (4, 250, 750)
    assert [p["curve"] for p in two["points"]] == ["codec", "bicubic x2", "net2"]
    assert [p["curve"] for p in two["points"] if p["on_front"]] == ["net2"]
    text = to_markdown(outcome)
    row = "| net4 \\* | 250 | 26.50 | 2.000 | +1.00 [+1.00, +1.00] | -3.000 [-3.000, -3.000] |"
    assert row in text
    assert "| bicubic x4 | 250 | 25.50 | 5.000 |  |  |" in text
    for name, draw in outcome.drawings.items():
        draw(tmp_path / f"{name}.png")
        assert np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).std() > 10
    assert set(outcome.drawings) == {"plane_4x", "plane_2x"}
    # A clip without a score of the enlargement leaves the difference to it empty.
    lacking = [
        dataclasses.replace(p, scores=p.scores | {"psnr": None})
        if (p.curve, p.clip) == ("bicubic x4", "b")
        else p
        for p in points
    ]
    where = {"codec": "h264", "distortion": "psnr", "perception": "lpips"}
    text = to_markdown(plane.describe(lacking, kbps={4: 250, 2: 750}, **where))
    assert "| net4 \\* | 250 | 26.50 | 2.000 |  | -3.000 [-3.000, -3.000] |" in text
    assert "bicubic x4" not in text


def test_findings_of_the_training_bitrate():
    points, trained = [], {}
    for scale in (4, 2):
        for kbps, lpips in ((250, 0.5), (500, 0.4)):
            for clip, level in (("a", 0.0), ("b", 0.2)):
                for at, more in ((250, 0.0), (1000, 0.03)):
                    name = f"{scale}x_{at}"
                    trained[name] = at
                    # Of 2x clip "b" is where the training bitrate matters more than the input's.
                    much = 5 if (scale, clip, kbps) == (2, "b", 250) else 1
                    score = lpips + level + much * more + 0.04 * (scale - 3) * (kbps == 500)
                    points.append(scored(clip, name, score, 25, kbps, scale))
    found = training_bitrate.effects(points, trained, codec="h264", metrics=("lpips", "psnr"))
    claims = training_bitrate.findings(points, found)
    four, two, scales = claims
    # Twice the bitrate brings -0.1 + 0.04, the best network -0.03 against the worst.
    assert four.claim == "the training bitrate matters less than 500 for 250 kbit/s"
    assert four.difference.mean == pytest.approx(-0.03) and four.verdict == findings.HOLDS
    # In clip "a" -0.14 + 0.03; in "b" the networks' mean falls by 0.06 more, and -0.2 + 0.15.
    assert two.difference.mean == pytest.approx((-0.11 - 0.05) / 2)
    assert scales.claim == "at 500 kbit/s the worst has a lower LPIPS than the best of 4x"
    assert scales.difference.mean == pytest.approx(-0.08 + 0.03)
    assert (scales.scale, scales.verdict) == (2, findings.HOLDS)
    # One network of a scale has neither a best nor a worst.
    single = {name: kbps for name, kbps in trained.items() if kbps == 250}
    found = training_bitrate.effects(points, single, codec="h264", metrics=("lpips",))
    assert len(found) == 4 and training_bitrate.findings(points, found) == []


def test_the_table_of_runtimes(tmp_path):
    def record(model, stage, ms, macs):
        return {
            **{"model": model, "stage": stage, "ms_per_frame": ms, "macs": macs},
            **{"output": "1280x720", "device": "cpu", "parameters": 1_250_000},
            **{"fraction_of_limit": 0.714 if ms else None, "limit_gmacs": 103.4},
        }

    outcome = runtime.describe(
        [
            record("slow", "b", 1000.0, 10**11),
            record("net", "a", 80.0, 5 * 10**9),
            record("net", "b", 160.0, 12_540_000_000),
            record("giant", "b", None, 10**12),
        ]
    )
    assert to_markdown(outcome).splitlines()[4:] == [
        "| net | 1.25 | 12.5 | 80 | 160 | 6.25 | 71% |",
        "| slow | 1.25 | 100.0 |  | 1000 | 1 | 71% |",
        "| giant | 1.25 | 1000.0 |  | too large |  |  |",
    ]
    assert outcome.tables[0].title.endswith("on cpu with 103 GMAC/s in a matrix product")
    outcome.drawings["runtime"](tmp_path / "runtime.png")
    assert np.asarray(Image.open(tmp_path / "runtime.png").convert("RGB")).std() > 10


def test_a_table_of_equal_compute_says_what_is_too_heavy():
    points = [
        scored(clip, curve, lpips, psnr, 250, 1 if curve == "codec" else 4)
        for clip in ("a", "b")
        for curve, lpips, psnr in (("codec", 0.3, 27), ("bicubic", 0.4, 26), ("net", 0.2, 27))
    ]
    size = {"scale": 4, "parameters": 500_000, "frame_macs": 10**10, "patch_size": 32}
    net = equal_compute.Cost("net", **size, batch_size=8, steps=100, macs=2e12, seconds=50.0)
    heavy = equal_compute.Cost("giant", **size, batch_size=16, steps=3, macs=6e11, seconds=None)
    outcome = equal_compute.describe(
        points, [net, heavy], budget_tmacs=2.0, codec="h264", kbps=250, metrics=("lpips", "psnr")
    )
    text = to_markdown(outcome)
    assert "| net | 0.5 | 10 | 8 of 32x32 | 20 | 100 | 800 | 2 | 0.01 |" in text
    # 40 GMAC/s were seen, so that its 600 GMAC take 15 s.
    assert "| 3 | 48 | 1.8 | not trained; a step about 15 s (estimate) |" in text
    assert "| giant | too heavy: 3 steps of the budget |  |  |  |" in text
    net_row = "| net | **2.000** | **2.000** | **2.000** | -2.000 [-2.000, -2.000] |"
    assert net_row in text
    assert outcome.values["scores"]["b"]["codec"] == {"lpips": 0.3, "psnr": 27}
