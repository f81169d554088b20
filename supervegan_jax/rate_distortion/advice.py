"""Which size to send: the codec at full size, or a smaller video enlarged by one of our ways?

Adaptive streaming asks the same of plain sizes: the best of all at a rate lies on the upper hull of
their points.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from supervegan_jax.evaluation.equivalency import BEYOND, Equivalent, equivalent
from supervegan_jax.evaluation.results import format_columns, shown
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.rate_distortion.curves import Point, curve_of, label, names, select

# Of the bitrate asked about: where every way is measured.
LADDER = (0.25, 0.5, 1.0, 2.0, 4.0)


def ladder(kbps: int) -> tuple[int, ...]:
    """The target bitrates around one of at least 4 kbit/s.

    Raises:
      ValueError: it is lower.
    """
    if kbps < 4:
        raise ValueError(f"bitrate {kbps} kbit/s; at least 4 is accepted")
    return tuple(round(kbps * factor) for factor in LADDER)


def read_wanted(text: str, metrics: Sequence[str]) -> dict[str, float]:
    """The qualities of "lpips=0.2,vmaf=80".

    Raises:
      ValueError: something else, a metric that is not measured, or one named twice.
    """
    wanted: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        name = name.strip()
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"wanted {part!r}; METRIC=NUMBER is accepted")
        if name not in metrics:
            raise ValueError(f"wanted {part!r}; this run measures {', '.join(metrics)}")
        if name in wanted:
            raise ValueError(f"wanted {part!r}; each metric once is accepted")
        wanted[name] = number
    return wanted


@dataclasses.dataclass(frozen=True)
class Advice:
    """What one metric says.

    Attributes:
      metric: its key.
      at_rate: the points at the bitrate asked about, best first.
      wanted: the quality for which the cheapest way is sought: the best at that bitrate, unless
        the user named one.
      needed: the bitrate at which each curve has it, cheapest first; one that is better at its
        lowest bitrate already stands at that, those that never reach it come last, those without
        a curve are missing.
      hull: points that no other point, and no mixture of two others, beats, by rising rate.
    """

    metric: str
    at_rate: tuple[Point, ...]
    wanted: float
    needed: tuple[tuple[str, Equivalent], ...]
    hull: tuple[Point, ...]


def advise(points: Sequence[Point], metric: str, kbps: int, wanted: float | None = None) -> Advice:
    """Compares the ways of one clip and one codec.

    Args:
      points: of all ways.
      metric: a key of `METRICS`.
      kbps: the target bitrate asked about.
      wanted: a value of the metric; None takes the best at `kbps`.

    Raises:
      ValueError: no way has a finite score at this bitrate.
    """
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    scored = [(p, sign * value) for p in points if (value := p.scores[metric]) is not None]
    here = sorted((pair for pair in scored if pair[0].target_kbps == kbps), key=lambda s: -s[1])
    if not here:
        raise ValueError(f"{metric} has no finite value at {kbps} kbit/s")
    quality = sign * here[0][1] if wanted is None else wanted
    return Advice(
        metric,
        tuple(point for point, _ in here),
        quality,
        tuple(_needed(points, metric, quality)),
        tuple(_hull(scored)),
    )


def _needed(points: Sequence[Point], metric: str, quality: float) -> list[tuple[str, Equivalent]]:
    found = []
    for curve in names(points, "curve"):
        try:
            found.append(
                (curve, equivalent(curve_of(select(points, curve=curve), metric), quality))
            )
        except ValueError:
            continue
    return sorted(found, key=lambda pair: (pair[1].where == BEYOND, pair[1].kbps))


def _hull(scored: Sequence[tuple[Point, float]]) -> list[Point]:
    """The upper convex hull over the measured bitrate, as far as it rises."""
    ordered = sorted(scored, key=lambda s: (s[0].measured_kbps, -s[1]))
    hull: list[tuple[Point, float]] = []
    for point, value in ordered:
        if hull and value <= hull[-1][1]:
            continue
        while len(hull) > 1 and _is_below(hull[-2], hull[-1], (point, value)):
            hull.pop()
        hull.append((point, value))
    return [point for point, _ in hull]


def _is_below(
    first: tuple[Point, float], middle: tuple[Point, float], last: tuple[Point, float]
) -> bool:
    run = last[0].measured_kbps - first[0].measured_kbps
    share = (middle[0].measured_kbps - first[0].measured_kbps) / run
    return middle[1] <= first[1] + share * (last[1] - first[1])


def to_json(advice: Sequence[Advice], source: str, codec: str, kbps: int) -> dict[str, Any]:
    """JSON values: for each metric the best way, the cheapest way and the hull."""
    return {
        "version": 1,
        "source": source,
        "codec": codec,
        "target_kbps": kbps,
        "metrics": {
            one.metric: {
                "best": one.at_rate[0].curve,
                "at_rate": [_point(point, one.metric) for point in one.at_rate],
                "wanted": one.wanted,
                "cheapest": next((c for c, e in one.needed if e.where != BEYOND), None),
                "needed_kbps": {c: {"where": e.where, "kbps": e.kbps} for c, e in one.needed},
                "hull": [_point(point, one.metric) for point in one.hull],
            }
            for one in advice
        },
    }


def _point(point: Point, metric: str) -> dict[str, Any]:
    return {
        "curve": point.curve,
        "scale": point.scale,
        "measured_kbps": point.measured_kbps,
        metric: point.scores[metric],
    }


def to_text(advice: Sequence[Advice], codec: str, kbps: int) -> str:
    """Tables to read: all ways at the bitrate, what each needs for the best, and the hull."""
    parts = [_at_rate(advice, codec, kbps)]
    for one in advice:
        title = METRICS[one.metric].title
        lines = [[label(curve, codec), str(found)] for curve, found in one.needed]
        parts.append(
            format_columns([f"for {title} {shown(one.metric, one.wanted)}", "kbit/s"], lines)
        )
        lines = [
            [
                label(p.curve, codec),
                f"{p.measured_kbps:.0f}",
                shown(one.metric, p.scores[one.metric]),
            ]
            for p in one.hull
        ]
        parts.append(format_columns([f"best by {title}, rising rate", "kbit/s", title], lines))
    return "\n\n".join(parts)


def _at_rate(advice: Sequence[Advice], codec: str, kbps: int) -> str:
    lines = []
    for point in advice[0].at_rate:
        cells = []
        for one in advice:
            best = one.at_rate[0].curve == point.curve
            cells.append(shown(one.metric, point.scores[one.metric]) + "*" * best)
        lines.append([label(point.curve, codec), f"{point.measured_kbps:.0f}", *cells])
    titles = [METRICS[one.metric].title for one in advice]
    return format_columns([f"{codec} at {kbps} kbit/s, * best", "measured", *titles], lines)
