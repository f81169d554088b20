"""Bitrate equivalency by a metric: at which bitrate does the plain codec score the same?

The paper's section IV-A. A video enhanced from bitrate b scores m; the codec's own curve of the
same clip is followed to the bitrate b' where it scores m too. Curves are interpolated over the
logarithm of the measured bitrate by monotone cubics (PCHIP, Fritsch and Butland 1984), and never
continued beyond their ends: there the answer is "below" or "beyond" the ladder.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from supervegan_jax.evaluation.bootstrap import mean_interval

INSIDE, BELOW, BEYOND = "inside", "below", "beyond"
# How a curve is taken that falls somewhere although the bitrate rises.
NON_MONOTONE: Final = ("error", "envelope")


@dataclasses.dataclass(frozen=True)
class Curve:
    """A metric over the bitrate, getting strictly better from point to point.

    Attributes:
      rates: kbit/s, strictly rising.
      values: of the metric.
      higher_is_better: of the metric.
      dropped: points (kbit/s, value) of the ladder that are no better than a cheaper one.
    """

    rates: tuple[float, ...]
    values: tuple[float, ...]
    higher_is_better: bool
    dropped: tuple[tuple[float, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Equivalent:
    """The answer for one value.

    Attributes:
      where: "inside" the curve, "below" (worse than its lowest rate) or "beyond" (better than
        its highest).
      kbps: the bitrate b'; if not inside, the end of the curve that it lies outside of.
    """

    where: str
    kbps: float

    def __str__(self) -> str:
        if self.where == INSIDE:
            return f"{self.kbps:.0f}"
        return f"{self.where} the ladder ({'<' if self.where == BELOW else '>'} {self.kbps:.0f})"


@dataclasses.dataclass(frozen=True)
class Pooled:
    """The geometric mean over clips.

    Attributes:
      kbps: the mean; None if some clips lie below and some beyond their ladders.
      bound: "=" if every clip lies inside; ">" ("<") if some lie beyond (below), each counted
        with the end of its ladder, so that the true mean is at least (at most) `kbps`.
      low, high: interval of `kbps` over resampled clips; None for fewer than two clips.
      inside, below, beyond: numbers of clips.
    """

    kbps: float | None
    bound: str
    low: float | None
    high: float | None
    inside: int
    below: int
    beyond: int

    def __str__(self) -> str:
        if self.kbps is None:
            return f"no mean: {self.below} below, {self.beyond} beyond the ladder"
        sign = "" if self.bound == "=" else f"{self.bound} "
        interval = "" if self.low is None else f" [{self.low:.0f}, {self.high:.0f}]"
        return f"{sign}{self.kbps:.0f}{interval}"


def make_curve(
    rates: Sequence[float],
    values: Sequence[float],
    *,
    higher_is_better: bool,
    non_monotone: str = "error",
) -> Curve:
    """Builds a curve from the points of a ladder.

    Args:
      rates: measured kbit/s, in any order.
      values: the metric there.
      higher_is_better: of the metric.
      non_monotone: "error" refuses a ladder on which more bits are not better; "envelope" keeps
        the points that are better than every cheaper one, so that the equivalent is the least
        bitrate at which the codec does as well.

    Raises:
      ValueError: fewer than two points, rates that are not positive, values that are not finite,
        or the ladder is not monotone and that is an error, or leaves less than two points.
    """
    if non_monotone not in NON_MONOTONE:
        raise ValueError(f"non_monotone {non_monotone!r}; accepted: {', '.join(NON_MONOTONE)}")
    if len(rates) != len(values) or len(rates) < 2:
        raise ValueError(
            f"a curve of {len(rates)} rates and {len(values)} values; at least 2 of each are needed"
        )
    for rate, value in zip(rates, values, strict=True):
        if not (math.isfinite(rate) and rate > 0 and math.isfinite(value)):
            raise ValueError(f"value {value} at {rate} kbit/s; a curve needs finite numbers")
    sign = 1.0 if higher_is_better else -1.0
    points = sorted(zip(rates, values, strict=True), key=lambda p: (p[0], -sign * p[1]))
    kept, dropped = [points[0]], []
    for rate, value in points[1:]:
        if rate > kept[-1][0] and sign * value > sign * kept[-1][1]:
            kept.append((rate, value))
        else:
            dropped.append((rate, value))
    if dropped and non_monotone == "error":
        rate, value = dropped[0]
        raise ValueError(
            f"the curve is not monotone: {value:g} at {rate:.0f} kbit/s is no better than at a "
            "lower bitrate"
        )
    if len(kept) < 2:
        raise ValueError(
            f"the curve never gets better than at {kept[0][0]:.0f} kbit/s; nothing can be "
            "interpolated"
        )
    return Curve(
        tuple(float(rate) for rate, _ in kept),
        tuple(float(value) for _, value in kept),
        higher_is_better,
        tuple(dropped),
    )


def equivalent(curve: Curve, value: float) -> Equivalent:
    """The bitrate at which a curve has `value`.

    Raises:
      ValueError: the value is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"value {value}; a finite one is needed")
    sign = 1.0 if curve.higher_is_better else -1.0
    goodness = sign * np.asarray(curve.values)
    if sign * value < goodness[0]:
        return Equivalent(BELOW, curve.rates[0])
    if sign * value > goodness[-1]:
        return Equivalent(BEYOND, curve.rates[-1])
    at = np.searchsorted(goodness, sign * value)
    if goodness[at] == sign * value:
        return Equivalent(INSIDE, curve.rates[at])
    logs = np.log(curve.rates)
    roots = PchipInterpolator(logs, goodness).solve(sign * value, extrapolate=False)
    # Rounding can move a root a little past the points around it.
    root = min(max(float(roots[0]), logs[at - 1]), logs[at])
    return Equivalent(INSIDE, math.exp(root))


def interpolate(curve: Curve, kbps: float) -> float:
    """The value of a curve at a bitrate.

    Raises:
      ValueError: the curve does not reach there.
    """
    if not curve.rates[0] <= kbps <= curve.rates[-1]:
        raise ValueError(
            f"{kbps:g} kbit/s; the curve reaches from {curve.rates[0]:g} to {curve.rates[-1]:g}"
        )
    return float(PchipInterpolator(np.log(curve.rates), curve.values)(math.log(kbps)))


def pool(
    equivalents: Sequence[Equivalent],
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Pooled:
    """The geometric mean over clips, with a bootstrap interval (percentiles) over the clips.

    Args:
      equivalents: one a clip.
      confidence: of the interval, between 0 and 1.
      resamples: draws of as many clips with replacement.
      seed: of the draws.

    Raises:
      ValueError: there are no clips, or the confidence is not between 0 and 1.
    """
    if not equivalents or not 0 < confidence < 1:
        raise ValueError(
            f"{len(equivalents)} clips and confidence {confidence}; at least one clip and a "
            "confidence between 0 and 1 are needed"
        )
    below = sum(one.where == BELOW for one in equivalents)
    beyond = sum(one.where == BEYOND for one in equivalents)
    counts = (len(equivalents) - below - beyond, below, beyond)
    if below and beyond:
        return Pooled(None, "", None, None, *counts)
    logs = np.log([one.kbps for one in equivalents])
    found = mean_interval(logs, confidence=confidence, resamples=resamples, seed=seed)
    low, high = (None if end is None else math.exp(end) for end in (found.low, found.high))
    bound = ">" if beyond else "<" if below else "="
    return Pooled(math.exp(found.mean), bound, low, high, *counts)
