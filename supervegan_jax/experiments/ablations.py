"""What progressive training and the loss on stage A are worth, and what stage B costs.

The variants are those of the paper's section V-F1 (Tables 2 and 3), the stages those of V-F2 (Table
7). Every finding of the paper is a difference of mean scores with an interval over clips and seeds,
and holds, does not hold or is not decided by where that interval lies.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from supervegan_jax.experiments.findings import BETTER, Finding, stage_claim
from supervegan_jax.experiments.gains import bicubic_curve, clip_count, difference
from supervegan_jax.experiments.outcome import Outcome, draw_differences
from supervegan_jax.rate_distortion.clip_table import Cell, ClipTable, shown_difference, table_title
from supervegan_jax.rate_distortion.curves import Point, names

FULL, NO_PROGRESS, NO_MSE_A = "", "no_prog", "no_mse_a"  # as `training.phases.ABLATIONS`
TITLES = {FULL: "full", NO_PROGRESS: "no_prog", NO_MSE_A: "no_mse_a"}

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
      metrics: keys of `METRICS`; one that some clip has no `comparable` score by is "-".
    """
    count = f"{clip_count(points)}, {len(seeds)} seed{'s' * (len(seeds) > 1)}"
    rows, gains = [], []
    for (ablation, scale), curves in variants.items():
        where: dict[str, Any] = {"codec": codec, "kbps": kbps[scale]}
        plain = bicubic_curve(points, scale)
        for stage, suffix in (("stage A", ":a"), ("stage B", "")):
            name = f"{scale}x at {kbps[scale]} kbit/s, {TITLES[ablation]}, {stage}"
            cells = []
            ours = [curve + suffix for curve in curves]
            for metric in metrics:
                found = difference(points, ours, [plain], metric=metric, **where)
                if found is None:
                    cells.append(Cell("-"))
                    continue
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
        "findings": [found.to_json() for found in found_all],
    }
    lines = {
        metric: [(f"{f.scale}x: {f.claim}", f.difference) for f in found_all if f.metric == metric]
        for metric in dict.fromkeys(found.metric for found in found_all)
    }
    drawings = {"findings": partial(draw_differences, lines, count)} if lines else {}
    return Outcome((table,), tuple(map(str, found_all)), values, drawings)


def findings(
    points: Sequence[Point], variants: Variants, *, codec: str, kbps: Mapping[int, int]
) -> list[Finding]:
    """The paper's findings that the networks at hand can speak to.

    Seeds and clips are paired: both sides of a difference were trained with the same seeds and
    scored on the same clips.
    """
    found = []
    expected = [(metric, sign) for metric, sign in BETTER.items() if metric in points[0].scores]
    for scale in dict.fromkeys(scale for _, scale in variants):
        where: dict[str, Any] = {"codec": codec, "kbps": kbps[scale]}
        full = variants.get((FULL, scale))
        if full is None:
            continue
        for ablation, claim in (
            (NO_PROGRESS, "progressive training helps"),
            (NO_MSE_A, "keeping the loss on stage A helps"),
        ):
            other = variants.get((ablation, scale), ())
            for metric, sign in expected if other else ():
                gain = difference(points, full, other, metric=metric, **where)
                if gain is not None:
                    found.append(Finding(claim, metric, scale, gain, sign))
        stages = [f"{curve}:a" for curve in full]
        for metric, _ in expected:
            claimed = stage_claim("b", metric, scale)
            gain = difference(points, full, stages, metric=metric, **where)
            if claimed is not None and gain is not None:
                found.append(Finding(claimed[0], metric, scale, gain, claimed[1]))
    return found
