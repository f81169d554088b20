"""What experiments find: intervals, verdicts and tables, from scores made up by hand."""

import numpy as np
import pytest
from PIL import Image

from supervegan_jax.evaluation.bootstrap import Interval, mean_interval
from supervegan_jax.experiments import ablations, codecs, equal_compute
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
        (-0.3, -0.1, -1, ablations.HOLDS),
        (0.1, 0.3, -1, ablations.FAILS),
        (0.1, 0.3, 1, ablations.HOLDS),
        (-0.3, -0.1, 1, ablations.FAILS),
        (-0.1, 0.1, 1, ablations.OPEN),
        (0.0, 0.2, 1, ablations.OPEN),
        (None, None, -1, ablations.OPEN),
    ],
)
def test_verdicts_follow_the_interval(low, high, sign, verdict):
    finding = ablations.Finding("x helps", "psnr", 4, Interval(0.0, low, high), sign)
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
    assert progress["verdict"] == ablations.HOLDS
    assert progress["difference"]["mean"] == pytest.approx(-0.105)
    assert progress["difference"]["low"] == pytest.approx(-0.11)
    assert progress["difference"]["high"] == pytest.approx(-0.10)
    keeping = "keeping the loss on stage A helps"
    assert found[keeping, "lpips", 4]["verdict"] == ablations.OPEN
    assert found["stage B costs PSNR", "psnr", 4]["verdict"] == ablations.HOLDS
    assert found["stage B improves PSNR", "psnr", 2]["verdict"] == ablations.FAILS
    assert found["stage B improves LPIPS", "lpips", 2]["verdict"] == ablations.HOLDS
    text = to_markdown(outcome)
    assert "| 4x at 250 kbit/s, full, stage B | -3.000 [-3.000, -3.000] | +3.00 [" in text
    assert "* 4x: progressive training helps: **holds** (LPIPS (AlexNet) x10 -1.050 [" in text
    # With a variant left out its findings are, too.
    del variants["no_prog", 4], variants["", 2]
    assert len(ablations.findings(ablation_points(), variants, codec="h264", kbps={4: 250, 2: 750}))


def test_gains_codec_by_codec(tmp_path):
    points = []
    for codec, gain in (("h264", 0.1), ("av1", 0.0)):
        for clip, level in (("a", 0.0), ("b", 0.2)):
            for curve, lpips in (("bicubic", 0.5), ("net", 0.5 - gain - level / 10)):
                one = scored(clip, curve, lpips + level, 25, 250, 4)
                points.append(Point(**{**vars(one), "codec": codec}))
    outcome = codecs.describe(points, ("lpips",))
    rows = {(g["codec"]): g for g in outcome.values["gains_over_bicubic"]}
    assert rows["h264"]["mean"] == pytest.approx(-0.11)
    assert rows["av1"]["low"] == pytest.approx(-0.02)
    assert outcome.tables[0].rows[1][0] == "net, av1 at 250 (250) kbit/s"
    outcome.drawings["gains_lpips"](tmp_path / "gains.png")
    assert np.asarray(Image.open(tmp_path / "gains.png").convert("RGB")).std() > 10


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
