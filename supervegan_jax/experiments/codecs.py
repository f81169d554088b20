"""What networks make of video of other codecs (Fig. 11, the section V-E, and beyond).

Every network is compared with the enlargement of the same video, and with the codec itself at full
size and the same bitrate; what it gains over the enlargement with its gain on H.264. The codec's
score is read off its curve at the input's measured bitrate, since at full size an encoder may need
more than its target, VP8 nearly twice as much at 250 kbit/s.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from supervegan_jax.evaluation.bootstrap import Interval, mean_interval
from supervegan_jax.evaluation.equivalency import interpolate
from supervegan_jax.experiments.findings import BETTER, Finding
from supervegan_jax.experiments.gains import bicubic_curve, clip_count, score_table
from supervegan_jax.experiments.outcome import Outcome, difference_table, draw_differences
from supervegan_jax.rate_distortion.clip_table import ClipTable, shown_difference, table_title
from supervegan_jax.rate_distortion.curves import (
    Point,
    comparable,
    curve_of,
    model_names,
    names,
    pool_points,
    select,
)
from supervegan_jax.rate_distortion.settings import BICUBIC, CODEC

HOME = "h264"  # what networks are compared on
OF_THE_PAPER = "h265"  # what its section V-E is about
# What a gain is against -> how tables call it.
AGAINST = {BICUBIC: BICUBIC, CODEC: "the codec at full size", HOME: HOME}


@dataclasses.dataclass(frozen=True)
class Gain:
    """What a network changes with one codec at one bitrate.

    Attributes:
      model, scale, codec, target_kbps: which.
      measured_kbps: geometric mean over clips.
      metric: a key of `METRICS`.
      against: a key of `AGAINST`: the enlargement, the codec at full size and the same measured
        bitrate, or the gain over the enlargement on H.264.
      difference: over clips.
    """

    model: str
    scale: int
    codec: str
    target_kbps: int
    measured_kbps: float
    metric: str
    against: str
    difference: Interval

    @property
    def title(self) -> str:
        """Of a table's row."""
        rates = f"{self.target_kbps} ({self.measured_kbps:.0f}) kbit/s"
        return f"{self.model}, {self.codec} at {rates}"


def gains(points: Sequence[Point], metrics: Sequence[str]) -> list[Gain]:
    """All differences of a run, clip by clip.

    Left out is what was not measured, and what some clip has no `comparable` score of.

    Args:
      points: of a run with one codec or more.
      metrics: keys of `METRICS`.
    """
    found, points = [], comparable(points)
    for model in model_names(points):
        some = select(points, curve=model)
        for codec in names(points, "codec"):
            for mean in select(pool_points(some), codec=codec):
                what = (model, mean.scale, codec, mean.target_kbps, mean.measured_kbps)
                for metric in metrics:
                    here = _differences(points, mean, metric)
                    found += [
                        Gain(*what, metric, against, mean_interval(values))
                        for against, values in here.items()
                    ]
    return found


def _differences(points: Sequence[Point], mean: Point, metric: str) -> dict[str, np.ndarray]:
    """[clips], by what a network is compared with at the place of its mean."""
    kbps = mean.target_kbps

    def scores(curve: str, codec: str = mean.codec) -> np.ndarray:
        return score_table(points, (curve,), codec=codec, kbps=kbps, metric=metric)[0]

    found = {}
    full_size = _at_full_size(points, mean, metric)
    if full_size is not None:
        found[CODEC] = scores(mean.curve) - full_size
    if mean.scale > 1:  # else its input is the codec at full size, and nothing is enlarged
        anchor = bicubic_curve(points, mean.scale)
        found[BICUBIC] = scores(mean.curve) - scores(anchor)
        if mean.codec != HOME and select(points, codec=HOME, curve=mean.curve, target_kbps=kbps):
            found[HOME] = found[BICUBIC] - (scores(mean.curve, HOME) - scores(anchor, HOME))
    return {against: values for against, values in found.items() if np.isfinite(values).all()}


def _at_full_size(points: Sequence[Point], mean: Point, metric: str) -> np.ndarray | None:
    """[clips], what the codec scores at a network's measured bitrates; None beyond its ladder."""
    found = []
    for clip in names(points, "clip"):
        here = {"clip": clip, "codec": mean.codec}
        (input_,) = select(points, **here, curve=mean.curve, target_kbps=mean.target_kbps)
        try:
            curve = curve_of(select(points, **here, curve=CODEC), metric)
            found.append(interpolate(curve, input_.measured_kbps))
        except ValueError:
            return None
    return np.array(found)


def findings(found: Sequence[Gain]) -> list[Finding]:
    """The paper's, of H.265: LPIPS improves over the codec's at full size, at 2x PSNR, too."""
    claims = []
    for gain in found:
        papers = gain.metric == "lpips" or (gain.metric == "psnr" and gain.scale == 2)
        if gain.codec == OF_THE_PAPER and gain.against == CODEC and papers:
            claim = f"{gain.title}: better {gain.metric.upper()} than {gain.codec} at full size"
            sign = BETTER[gain.metric]
            claims.append(Finding(claim, gain.metric, gain.scale, gain.difference, sign))
    return claims


def describe(points: Sequence[Point], metrics: Sequence[str]) -> Outcome:
    """The gains of every network, codec by codec, and what they say about the paper's finding.

    Args:
      points: of a run with one codec or more.
      metrics: keys of `METRICS`, one column for each comparison.
    """
    found = gains(points, metrics)
    clips = clip_count(points)
    tables = [
        _table(found, (BICUBIC, CODEC), metrics, f"Against plain video, {clips}"),
        _table(found, (HOME,), metrics, f"The gain over bicubic against that on {HOME}, {clips}"),
    ]
    claims = findings(found)
    values: dict[str, Any] = {
        "gains": [dataclasses.asdict(gain) for gain in found],
        "findings": [claim.to_json() for claim in claims],
    }
    drawings = {}
    for against, name in ((BICUBIC, "gains"), (CODEC, "gains_over_codec"), (HOME, "codecs")):
        some = [gain for gain in found if gain.against == against]
        lines = {
            metric: [(gain.title, gain.difference) for gain in some if gain.metric == metric]
            for metric in metrics
        }
        if some:
            title = f"{clips}, against {AGAINST[against]}"
            drawings[name] = partial(draw_differences, lines, title)
    shown = tuple(table for table in tables if table.rows)
    return Outcome(shown, tuple(map(str, claims)), values, drawings)


def _table(
    found: Sequence[Gain], against: Sequence[str], metrics: Sequence[str], title: str
) -> ClipTable:
    columns = {
        (metric, other): f"{table_title(metric)} against {AGAINST[other]}"
        for other in against
        for metric in metrics
    }
    cells = [
        (g.title, (g.metric, g.against), shown_difference(g.metric, g.difference))
        for g in found
        if g.against in against
    ]
    return difference_table(title, "network, input (measured bitrate)", columns, cells)
