"""What progressive training and the loss on stage A are worth, and what stage B costs.

The variants are those of the paper's section V-F1 (Tables 2 and 3), the stages those of V-F2 (Table
7). Every finding of the paper is a difference of mean scores with an interval over clips and seeds,
and holds, does not hold or is not decided by where that interval lies.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from supervegan_jax.experiments.findings import BETTER, Finding, draw_findings, stage_claim
from supervegan_jax.experiments.gains import Measured, clip_count, difference, over_bicubic
from supervegan_jax.experiments.outcome import Outcome
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
    measured: list[Measured] = []
    for (ablation, scale), curves in variants.items():
        title = f"{scale}x at {kbps[scale]} kbit/s, {TITLES[ablation]}"
        measured += Measured(title, curves, scale, kbps[scale]).stages()
    title = f"Ablations, {codec}, {count}"
    table, gains = over_bicubic(points, measured, title, codec=codec, metrics=metrics)
    found_all = findings(points, variants, codec=codec, kbps=kbps)
    values: dict[str, Any] = {
        "codec": codec,
        "target_kbps": {str(scale): rate for scale, rate in kbps.items()},
        "seeds": list(seeds),
        "clips": names(points, "clip"),
        "gains_over_bicubic": gains,
        "findings": [found.to_json() for found in found_all],
    }
    drawings = {"findings": partial(draw_findings, found_all, count)} if found_all else {}
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
