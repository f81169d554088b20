"""From scored points to pooled curves, BD-rates and equivalent bitrates; no file is touched."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from supervegan_jax.evaluation.equivalency import (
    Curve,
    Equivalent,
    Pooled,
    equivalent,
    make_curve,
    pool,
)
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.rate_distortion.settings import BICUBIC, CODEC

# What the mean over clips and the plots of a codec are called; no clip bears such a name.
POOLED = "all clips"
POOLED_PLOT, EQUIVALENT_PLOT = "pooled", "equivalent"
RESERVED_NAMES = (POOLED, POOLED_PLOT, EQUIVALENT_PLOT)
# The curve that takes, clip by clip, the model whose video has the best score.
BEST_MODEL = "best model of each clip"


@dataclasses.dataclass(frozen=True)
class Point:
    """One clip at one bitrate, by one way of making it.

    Attributes:
      clip: its name, or `POOLED`.
      codec: of the bits.
      curve: `CODEC`, `BICUBIC`, a model's name, or that with ":a" for its first stage alone.
      scale: from the encoded size to the clip's.
      target_kbps, measured_kbps: bitrate asked for, and of the video packets.
      bits_per_pixel: of the full size.
      scores: by metric, the mean of its finite values; None where it has none.
      left_out: by metric, of how many frames the value is infinite or undefined, if of any.
    """

    clip: str
    codec: str
    curve: str
    scale: int
    target_kbps: int
    measured_kbps: float
    bits_per_pixel: float
    scores: dict[str, float | None]
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)


def label(curve: str, codec: str) -> str:
    """What readers call a curve."""
    if curve == CODEC:
        return f"{codec} at full size"
    return curve.removesuffix(":a") + ", stage A" if curve.endswith(":a") else curve


def uneven_scores(points: Iterable[Point]) -> set[tuple[str, str, str]]:
    """Codecs, clips and metrics whose points leave out different numbers of frames.

    Where one way gives a black frame exactly, its PSNR is infinite and no part of the mean; where
    another misses it by a little it is, and the two means cannot be compared. Nor can means over
    clips then, which are named, too.
    """
    counts: dict[tuple[str, str, str], set[int]] = {}
    for point in points:
        for metric in point.scores:
            key = (point.codec, point.clip, metric)
            counts.setdefault(key, set()).add(point.left_out.get(metric, 0))
    uneven = {key for key, found in counts.items() if len(found) > 1}
    return uneven | {(codec, POOLED, metric) for codec, _, metric in uneven}


def comparable(points: Sequence[Point]) -> list[Point]:
    """The points without their `uneven_scores`."""
    uneven = uneven_scores(points)

    def kept(point: Point) -> dict[str, float | None]:
        keys = {metric: (point.codec, point.clip, metric) for metric in point.scores}
        return {m: None if keys[m] in uneven else value for m, value in point.scores.items()}

    return [dataclasses.replace(point, scores=kept(point)) for point in points]


def pool_points(points: Sequence[Point]) -> list[Point]:
    """Means over clips: geometric of the rates, arithmetic of the scores.

    A score that a clip lacks, or that is no `comparable` one, is None in the mean, which would be
    one of other clips or frames.
    """
    groups: dict[tuple[str, str, int, int], list[Point]] = {}
    for point in comparable(points):
        key = (point.codec, point.curve, point.scale, point.target_kbps)
        groups.setdefault(key, []).append(point)
    pooled = []
    for (codec, curve, scale, target), some in groups.items():
        scores = {
            metric: _mean([point.scores[metric] for point in some]) for metric in some[0].scores
        }
        measured = _geometric(point.measured_kbps for point in some)
        bpp = _geometric(point.bits_per_pixel for point in some)
        pooled.append(Point(POOLED, codec, curve, scale, target, measured, bpp, scores))
    return pooled


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def _geometric(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs))


def select(points: Iterable[Point], **fields: Any) -> list[Point]:
    """The points that have all these values, by target bitrate."""
    found = [p for p in points if all(getattr(p, name) == v for name, v in fields.items())]
    return sorted(found, key=lambda p: p.target_kbps)


def names(points: Iterable[Point], field: str) -> list[Any]:
    """The values of a field in the order they first come."""
    return list(dict.fromkeys(getattr(point, field) for point in points))


def model_names(points: Sequence[Point]) -> list[str]:
    """The networks of a run, those of one stage too: each by its whole output."""
    plain = (CODEC, BICUBIC, f"{BICUBIC} x2", f"{BICUBIC} x4")
    curves = names(points, "curve")
    return [curve for curve in curves if curve not in plain and not curve.endswith(":a")]


def curve_of(points: Sequence[Point], metric: str) -> Curve:
    """The points' curve; a point no better than a cheaper one is left out and told as dropped.

    Raises:
      ValueError: a score is missing, or fewer than two points are left.
    """
    known = [(p.measured_kbps, p.scores[metric]) for p in points]
    missing = [rate for rate, value in known if value is None]
    if missing:
        raise ValueError(f"{metric} has no finite value at {missing[0]:.0f} kbit/s")
    return make_curve(
        [rate for rate, _ in known],
        [value for _, value in known if value is not None],
        higher_is_better=METRICS[metric].higher_is_better,
        non_monotone="envelope",
    )


@dataclasses.dataclass(frozen=True)
class EquivalentRow:
    """At which bitrates the plain codec scores what one curve scores at one target bitrate.

    Attributes:
      codec, curve, metric, target_kbps: which; the curve may be `BEST_MODEL`.
      measured_kbps: geometric mean over the clips of `of_clips` (over all, if it is empty): what a
        gain is a multiple of.
      all_clips_kbps: the same over all clips.
      clips: how many these are.
      of_clips: by clip; those without an answer are missing.
      pooled: geometric mean of `of_clips`; None if it is empty.
      of_means: of the mean curves, as the paper reads it off its plots; None without them.
      chosen: for `BEST_MODEL`, the model by clip; None for others.
    """

    codec: str
    curve: str
    metric: str
    target_kbps: int
    measured_kbps: float
    all_clips_kbps: float
    clips: int
    of_clips: dict[str, Equivalent]
    pooled: Pooled | None
    of_means: Equivalent | None
    chosen: dict[str, str] | None = None

    @property
    def shortfall(self) -> str:
        """Of how many clips it is and their own bitrate, where some have no answer; else ""."""
        if len(self.of_clips) == self.clips:
            return ""
        return f", {len(self.of_clips)} of {self.clips} clips from {self.measured_kbps:.0f}"


def own_rates(rows: Sequence[EquivalentRow]) -> tuple[str, list[str]]:
    """What a line of several metrics says of its own bitrate.

    Args:
      rows: of one curve at one target bitrate, one a metric; those of `BEST_MODEL` may be of
        different models, whose inputs are of different sizes.

    Returns:
      The rate of all clips, "-" if the metrics differ; behind each metric's answer, of how many
      clips it is, or its own rate if they differ.
    """
    rates = [f"{row.all_clips_kbps:.0f}" for row in rows]
    if len(set(rates)) == 1:
        return rates[0], [row.shortfall for row in rows]
    return "-", [row.shortfall or f", from {rate}" for row, rate in zip(rows, rates, strict=True)]


def equivalents(points: Sequence[Point], metrics: Sequence[str]) -> list[EquivalentRow]:
    """The equivalent bitrate of every enlarging curve at each of its bitrates.

    With several models also that of the best of them for each clip (`BEST_MODEL`).
    """
    rows = []
    points = comparable(points)
    pooled_points = pool_points(points)
    for codec in names(points, "codec"):
        enlarged = [point for point in select(points, codec=codec) if point.curve != CODEC]
        for metric in metrics:
            anchors = {
                clip: _curve_or_none(select(points, codec=codec, curve=CODEC, clip=clip), metric)
                for clip in names(points, "clip")
            }
            of_means = _curve_or_none(select(pooled_points, codec=codec, curve=CODEC), metric)
            for curve in names(enlarged, "curve"):
                for target in names(select(enlarged, curve=curve), "target_kbps"):
                    some = select(enlarged, curve=curve, target_kbps=target)
                    rows.append(_equivalent_row(some, curve, metric, anchors, of_means))
            rows += _best_rows(enlarged, metric, anchors)
    return rows


def _curve_or_none(points: Sequence[Point], metric: str) -> Curve | None:
    try:
        return curve_of(points, metric)
    except ValueError:
        return None


def _equivalent_row(
    points: Sequence[Point],
    curve: str,
    metric: str,
    anchors: dict[str, Curve | None],
    of_means: Curve | None,
) -> EquivalentRow:
    """The row of a curve's points at one target bitrate, one a clip."""
    of_clips = {}
    for point in points:
        anchor, value = anchors[point.clip], point.scores[metric]
        if anchor is not None and value is not None:
            of_clips[point.clip] = equivalent(anchor, value)
    mean = _mean([point.scores[metric] for point in points])
    answered = [point for point in points if point.clip in of_clips]
    return EquivalentRow(
        codec=points[0].codec,
        curve=curve,
        metric=metric,
        target_kbps=points[0].target_kbps,
        measured_kbps=_geometric(point.measured_kbps for point in answered or points),
        all_clips_kbps=_geometric(point.measured_kbps for point in points),
        clips=len(points),
        of_clips=of_clips,
        pooled=pool(list(of_clips.values())) if of_clips else None,
        of_means=None if of_means is None or mean is None else equivalent(of_means, mean),
    )


def _best_rows(
    points: Sequence[Point], metric: str, anchors: dict[str, Curve | None]
) -> list[EquivalentRow]:
    """The row of every clip's best model at each bitrate, if there are several models."""
    models = model_names(points)
    if len(models) < 2:
        return []
    points = [point for point in points if point.curve in models]
    best_of = max if METRICS[metric].higher_is_better else min
    rows = []
    for target in names(select(points), "target_kbps"):
        best = []
        for clip in names(points, "clip"):
            some = select(points, clip=clip, target_kbps=target)
            scored = [p for p in some if p.scores[metric] is not None]
            # A clip that no model has a score of stays, as one without an answer.
            best.append(best_of(scored or some, key=lambda point: point.scores[metric] or 0.0))
        row = _equivalent_row(best, BEST_MODEL, metric, anchors, None)
        chosen = {p.clip: p.curve for p in best if p.scores[metric] is not None}
        rows.append(dataclasses.replace(row, chosen=chosen))
    return rows


@dataclasses.dataclass(frozen=True)
class BdRow:
    """Mean difference in bitrate at equal quality between two curves.

    Attributes:
      codec, curve, anchor, metric: which; `curve` is compared with `anchor`.
      percent: by clip and under `POOLED`, negative where `curve` needs less; the reason where
        there is none (no overlap, say).
    """

    codec: str
    curve: str
    anchor: str
    metric: str
    percent: dict[str, float | str]


def bd_rates(points: Sequence[Point], metrics: Sequence[str]) -> list[BdRow]:
    """BD-rates of every other curve against the plain codec and the plain enlargement, if any.

    A curve of one bitrate has none.
    """
    rows = []
    uneven = uneven_scores(points)
    everything = [*points, *pool_points(points)]
    for codec in names(points, "codec"):
        ours = select(everything, codec=codec)
        for curve in names(ours, "curve"):
            some = select(ours, curve=curve)
            if len(names(some, "target_kbps")) < 2:
                continue
            scale = some[0].scale
            plain = BICUBIC if select(ours, curve=BICUBIC) else f"{BICUBIC} x{scale}"
            for anchor in (CODEC, plain) if scale > 1 else (CODEC,):
                if curve in (CODEC, anchor):
                    continue
                for metric in metrics:
                    percent = {
                        clip: _bd_rate(
                            select(ours, clip=clip, curve=anchor),
                            select(ours, clip=clip, curve=curve),
                            metric,
                        )
                        for clip in names(everything, "clip")
                    }
                    percent |= {
                        clip: f"{metric} is of different frames"
                        for clip in percent
                        if (codec, clip, metric) in uneven
                    }
                    rows.append(BdRow(codec, curve, anchor, metric, percent))
    return rows


def _bd_rate(anchor: Sequence[Point], curve: Sequence[Point], metric: str) -> float | str:
    from supervegan_jax.metrics.bd_rate import bd_rate

    try:
        first, second = curve_of(anchor, metric), curve_of(curve, metric)
        return float(bd_rate(first.rates, first.values, second.rates, second.values))
    except ValueError as error:
        return str(error)
