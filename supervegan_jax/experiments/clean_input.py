"""What training on compressed video is worth, against the same training on clean video.

Networks that have only seen clean input amplify what a codec leaves of it. The paper does not test
it; its training data are compressed at the bitrates that are to be enhanced.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.experiments.findings import Finding, draw_findings
from supervegan_jax.experiments.gains import Measured, clip_count, difference, over_bicubic
from supervegan_jax.experiments.outcome import Outcome
from supervegan_jax.rate_distortion.curves import Point, names


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two trainings of one scale that differ in their input alone.

    Attributes:
      scale: of the networks.
      compressed, clean: the networks' names, seed by seed.
      compressed_kbps, clean_kbps: target bitrates of their training data.
    """

    scale: int
    compressed: Sequence[str]
    clean: Sequence[str]
    compressed_kbps: int
    clean_kbps: int


def pair_up(scale: int, trained: Mapping[str, int]) -> Pair:
    """The networks of one scale by the bitrate they were trained at: the higher one is clean.

    Args:
      scale: of the networks.
      trained: kbit/s by the networks' names.

    Raises:
      ValueError: they were not trained at two bitrates, as many at each.
    """
    rates = sorted(set(trained.values()))
    groups = [[name for name, kbps in trained.items() if kbps == rate] for rate in rates]
    if len(groups) != 2 or len(groups[0]) != len(groups[1]):
        found = ", ".join(f"{len(g)} at {rate}" for g, rate in zip(groups, rates, strict=True))
        raise ValueError(
            f"{scale}x networks trained at: {found} kbit/s; two bitrates are compared, with as "
            "many networks at each"
        )
    return Pair(scale, groups[0], groups[1], rates[0], rates[1])


def describe(
    points: Sequence[Point],
    pairs: Sequence[Pair],
    *,
    codec: str,
    kbps: Sequence[int],
    metrics: Sequence[str],
) -> Outcome:
    """Every network against bicubic enlargement, and the networks of each pair.

    Args:
      points: of the run that measured them.
      pairs: one a scale.
      codec: of the input.
      kbps: its target bitrates.
      metrics: keys of `METRICS`; one that some clip has no `comparable` score by is "-".
    """
    measured: list[Measured] = []
    found: list[Finding] = []
    for pair, rate in itertools.product(pairs, kbps):
        title = f"{pair.scale}x at {rate} kbit/s, trained at"
        for name, curves in (
            (f"{title} {pair.compressed_kbps} kbit/s", pair.compressed),
            (f"{title} {pair.clean_kbps} kbit/s, clean", pair.clean),
        ):
            measured += Measured(name, curves, pair.scale, rate).stages()
        claim = f"at {rate} kbit/s training on compressed input beats training on clean input"
        for metric in metrics:
            where: dict[str, Any] = {"codec": codec, "kbps": rate, "metric": metric}
            gain = difference(points, pair.compressed, pair.clean, **where)
            if gain is not None:
                sign = 1 if METRICS[metric].higher_is_better else -1
                found.append(Finding(claim, metric, pair.scale, gain, sign))
    count = clip_count(points)
    title = f"Clean training input, {codec}, {count}"
    table, gains = over_bicubic(points, measured, title, codec=codec, metrics=metrics)
    values: dict[str, Any] = {
        "codec": codec,
        "pairs": [dataclasses.asdict(pair) for pair in pairs],
        "clips": names(points, "clip"),
        "gains_over_bicubic": gains,
        "findings": [one.to_json() for one in found],
    }
    drawings = {"clean_input": partial(draw_findings, found, count)} if found else {}
    return Outcome((table,), tuple(map(str, found)), values, drawings)
