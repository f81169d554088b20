"""What progressive training and the loss on stage A are worth, and what stage B costs.

The variants are those of the paper's section V-F1 (Tables 2 and 3), the stages those of V-F2 (Table
7). Every finding of the paper is a difference of mean scores with an interval over clips and seeds,
and holds, does not hold or is not decided by where that interval lies.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from supervegan_jax.evaluation.bootstrap import Interval, mean_interval
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.experiments.gains import bicubic_curve, scores_of
from supervegan_jax.experiments.outcome import Outcome, draw_intervals
from supervegan_jax.rate_distortion.clip_table import Cell, ClipTable, shown_difference, table_title
from supervegan_jax.rate_distortion.curves import Point, names

FULL, NO_PROGRESS, NO_MSE_A = "", "no_prog", "no_mse_a"  # as `training.phases.ABLATIONS`
TITLES = {FULL: "full", NO_PROGRESS: "no_prog", NO_MSE_A: "no_mse_a"}
HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One of the paper's findings, put to the test.

    Attributes:
      claim: the paper's.
      metric: a key of `METRICS`.
      scale: of the networks.
      difference: of the scores, in the direction that `expected_sign` is about.
      expected_sign: 1 if the paper finds it above 0, -1 below.
    """

    claim: str
    metric: str
    scale: int
    difference: Interval
    expected_sign: int

    @property
    def verdict(self) -> str:
        """Whether the claim holds by the interval; what overlaps 0 is not decided."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None or low <= 0 <= high:
            return OPEN
        return HOLDS if (low > 0) == (self.expected_sign > 0) else FAILS

    def __str__(self) -> str:
        what = f"{table_title(self.metric)} {shown_difference(self.metric, self.difference)}"
        return f"{self.scale}x: {self.claim}: **{self.verdict}** ({what})"


# A variant of one scale: (ablation, scale) -> its networks' names, seed by seed.
Variants = Mapping[tuple[str, int], Sequence[str]]


def describe(
    points: Sequence[Point],
    variants: Variants,
    seeds: Sequence[int],
    *,
    codec: str,
    kbps: Mapping[int, int],
    metrics: Sequence[str],
) -> Outcome:
    """The variants' scores and what they say about the paper's findings.

    Args:
      points: of the run that measured them.
      variants: the networks' names by (ablation, scale), one a seed.
      seeds: in the same order.
      codec: of the input.
      kbps: its target bitrate by scale.
      metrics: keys of `METRICS`.

    Raises:
      ValueError: the run lacks a score.
    """
    clips = len(names(points, "clip"))
    count = f"{clips} clip{'s' * (clips > 1)}, {len(seeds)} seed{'s' * (len(seeds) > 1)}"
    rows, gains = [], []
    for (ablation, scale), curves in variants.items():
        where = {"codec": codec, "kbps": kbps[scale]}
        plain = bicubic_curve(points, scale)
        for stage, suffix in (("stage A", ":a"), ("stage B", "")):
            name = f"{scale}x at {kbps[scale]} kbit/s, {TITLES[ablation]}, {stage}"
            cells = []
            for metric in metrics:
                found = _gain(points, [c + suffix for c in curves], plain, where, metric)
                cells.append(Cell(shown_difference(metric, found)))
                gains.append({"name": name, "metric": metric, **dataclasses.asdict(found)})
            rows.append((name, tuple(cells)))
    header = ("network", *(f"{table_title(metric)} against bicubic" for metric in metrics))
    table = ClipTable(f"Ablations, {codec}, {count}; mean [95 %]", header, tuple(rows))
    found_all = findings(points, variants, codec=codec, kbps=kbps)
    values: dict[str, Any] = {
        "codec": codec,
        "target_kbps": {str(scale): rate for scale, rate in kbps.items()},
        "seeds": list(seeds),
        "clips": names(points, "clip"),
        "gains_over_bicubic": gains,
        "findings": [dataclasses.asdict(found) | {"verdict": found.verdict} for found in found_all],
    }
    drawings = {}
    for metric in dict.fromkeys(found.metric for found in found_all):
        lines = [(f"{f.scale}x: {f.claim}", f.difference) for f in found_all if f.metric == metric]
        title = METRICS[metric].title
        drawings[f"findings_{metric}"] = partial(draw_intervals, lines, count, f"{title}, change")
    return Outcome((table,), tuple(map(str, found_all)), values, drawings)


def findings(
    points: Sequence[Point], variants: Variants, *, codec: str, kbps: Mapping[int, int]
) -> list[Finding]:
    """The paper's findings that the networks at hand can speak to.

    Seeds and clips are paired: both sides of a difference were trained with the same seeds and
    scored on the same clips.
    """
    found = []
    expected = [(m, sign) for m, sign in (("lpips", -1), ("psnr", 1)) if m in points[0].scores]
    for scale in dict.fromkeys(scale for _, scale in variants):
        where = {"codec": codec, "kbps": kbps[scale]}
        full = variants.get((FULL, scale))
        if full is None:
            continue
        for ablation, claim in (
            (NO_PROGRESS, "progressive training helps"),
            (NO_MSE_A, "keeping the loss on stage A helps"),
        ):
            other = variants.get((ablation, scale))
            for metric, sign in expected if other else ():
                gain = _difference(points, full, other or (), where, metric)
                found.append(Finding(claim, metric, scale, gain, sign))
        stages = [f"{curve}:a" for curve in full]
        for metric, sign in expected:
            # Table 7: stage B improves both, but for the PSNR of 4x.
            costs = metric == "psnr" and scale == 4
            gain = _difference(points, full, stages, where, metric)
            claim = f"stage B {'costs' if costs else 'improves'} {metric.upper()}"
            found.append(Finding(claim, metric, scale, gain, -sign if costs else sign))
    return found


def _difference(
    points: Sequence[Point],
    first: Sequence[str],
    second: Sequence[str],
    where: Mapping[str, Any],
    metric: str,
) -> Interval:
    one = scores_of(points, first, metric=metric, **where)
    return mean_interval(one - scores_of(points, second, metric=metric, **where))


def _gain(
    points: Sequence[Point],
    curves: Sequence[str],
    plain: str,
    where: Mapping[str, Any],
    metric: str,
) -> Interval:
    scores: np.ndarray = scores_of(points, [*curves, plain], metric=metric, **where)
    return mean_interval(scores[:-1] - scores[-1:])
