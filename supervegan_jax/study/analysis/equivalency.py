"""The bitrate that people find equivalent to a model's output (section IV-B), with its interval."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from supervegan_jax.study.analysis import psychometric
from supervegan_jax.study.analysis.ballots import Ballots, Condition
from supervegan_jax.study.analysis.resampling import (
    Clusters,
    cluster_members,
    count_clusters,
    half_width,
    resampled_tables,
)

ABOVE, BELOW = "above", "below"
_GRID = 401  # bitrates of the ladder that are tested for the interval


@dataclasses.dataclass(frozen=True)
class Options:
    """How is analysed.

    Attributes:
      max_lapse: bound of the lapse rate.
      confidence: of the intervals.
      resamples: of observers, of clips and of chance.
      seed: of the resampling.
    """

    max_lapse: float = 0.2
    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.max_lapse <= 0.5:
            raise ValueError(f"max lapse {self.max_lapse:g}; accepted is 0 to 0.5")
        if not 0.5 <= self.confidence < 1:
            raise ValueError(f"confidence {self.confidence:g}; accepted is 0.5 to less than 1")
        if not 50 <= self.resamples <= 100_000:
            raise ValueError(f"resamples {self.resamples}; accepted is 50 to 100000")


@dataclasses.dataclass(frozen=True)
class Place:
    """A bitrate, or on which side of the ladder it lies.

    Attributes:
      kbps: None if it lies outside.
      beyond: "above" or "below" the ladder; None if it lies inside.
    """

    kbps: float | None = None
    beyond: str | None = None

    def __str__(self) -> str:
        return f"{self.kbps:.0f}" if self.kbps is not None else f"{self.beyond} the ladder"


@dataclasses.dataclass(frozen=True)
class Equivalency:
    """What the votes under one condition say.

    Attributes:
      condition: which.
      references: those with votes, kbit/s, rising.
      preferred, votes: votes for each of them, and all.
      clusters: whose votes.
      curve: the psychometric function; None if there is only one reference.
      equivalent: its 50 % point b'; None without a curve.
      low, high: ends of its interval; None without a curve.
      linear: where the vote shares first cross 50 %, interpolated linearly as in Fig. 16b.
      note: what a reader should know; empty for nothing.
    """

    condition: Condition
    references: tuple[float, ...]
    preferred: tuple[float, ...]
    votes: tuple[float, ...]
    clusters: Clusters
    curve: psychometric.Psychometric | None
    equivalent: Place | None
    low: Place | None
    high: Place | None
    linear: Place
    note: str = ""

    def __post_init__(self) -> None:
        known = (self.equivalent, self.low, self.high)
        if any((place is None) != (self.curve is None) for place in known):
            raise ValueError("an equivalent bitrate and its interval come with a curve")

    @property
    def shares(self) -> list[float]:
        """Of votes for the reference."""
        return [k / n for k, n in zip(self.preferred, self.votes, strict=True)]


def find_equivalents(ballots: Ballots, options: Options) -> list[Equivalency]:
    """Fits every condition and resamples all of them together."""
    counts = [ballots.counts(index) for index in range(len(ballots.conditions))]
    logs = np.log(ballots.references)
    curves: list[psychometric.Psychometric | None] = []
    weights = np.ones(len(ballots.preferred))
    for index, (preferred, votes) in enumerate(counts):
        shown = votes.sum(axis=0) > 0
        if shown.sum() < 2:
            curves.append(None)
            continue
        fitted = psychometric.fit(
            logs[shown], preferred[:, shown], votes[:, shown], options.max_lapse
        )
        curves.append(fitted)
        mine = ballots.condition == index
        sizes = votes[ballots.clip[mine], ballots.reference[mine]]
        weights[mine] = psychometric.vote_weights(sizes, fitted.dispersion)
    values = {"preferred": weights * ballots.preferred, "votes": weights}
    weighted = _both({name: _sums(ballots, value) for name, value in values.items()})
    rng = np.random.default_rng(options.seed)
    resampled = {
        way: _both(resampled_tables(ballots, members, values, options.resamples, rng))
        for way, members in cluster_members(ballots).items()
    }
    found = []
    for index, (condition, curve) in enumerate(zip(ballots.conditions, curves, strict=True)):
        preferred, votes = (table.sum(axis=0) for table in counts[index])
        clusters = count_clusters(ballots, index)
        resamples = {way: tables[:, index] for way, tables in resampled.items()}
        found.append(
            _equivalency(
                condition, ballots.references, preferred, votes, clusters, curve,
                weighted[:, index], resamples, options.confidence,
            )
        )  # fmt: skip
    return found


def _sums(ballots: Ballots, value: np.ndarray) -> np.ndarray:
    """Over the votes, [k, r]."""
    return np.bincount(ballots.cell, value, math.prod(ballots.shape)).reshape(ballots.shape)


def _both(tables: Mapping[str, np.ndarray]) -> np.ndarray:
    """Votes for the reference and all votes, [2, ..]."""
    return np.stack([tables["preferred"], tables["votes"]])


def _equivalency(
    condition: Condition,
    references: Sequence[float],
    preferred: np.ndarray,
    votes: np.ndarray,
    clusters: Clusters,
    curve: psychometric.Psychometric | None,
    weighted: np.ndarray,
    resamples: Mapping[str, np.ndarray],
    confidence: float,
) -> Equivalency:
    shown = votes > 0
    rates = [rate for rate, here in zip(references, shown, strict=True) if here]
    preferred, votes = preferred[shown], votes[shown]
    linear = interpolate_shares(rates, list(preferred / votes))
    fixed = (condition, tuple(rates), tuple(preferred), tuple(votes), clusters)
    if curve is None:
        note = "votes at one reference bitrate only: no curve"
        return Equivalency(*fixed, None, None, None, None, linear, note)
    place = fifty_percent_point(curve, rates)
    if np.all((preferred == 0) | (preferred == votes)):
        # Resamples of votes that are all alike do not vary, however few they are.
        low, high = Place(beyond=BELOW), Place(beyond=ABOVE)
        note = "all votes at each reference alike: no interval"
        return Equivalency(*fixed, curve, place, low, high, linear, note)
    covariances = {
        way: np.cov(tables[:, shown].reshape(-1, tables.shape[-1]))
        for way, tables in resamples.items()
    }
    low, high = interval(curve, rates, weighted[:, shown], covariances, clusters, confidence)
    return Equivalency(*fixed, curve, place, low, high, linear, _note(curve, clusters))


def _note(curve: psychometric.Psychometric, clusters: Clusters) -> str:
    notes = []
    if curve.slope == 0:
        notes.append("the preference for the reference does not rise with its bitrate")
    if clusters == Clusters(1, 1):
        notes.append("one observer on one clip: no interval")
    elif clusters.clips == 1:
        notes.append("one clip: the interval says nothing of others")
    elif clusters.observers == 1:
        notes.append("one observer: the interval says nothing of others")
    return "; ".join(notes)


def fifty_percent_point(curve: psychometric.Psychometric, rates: Sequence[float]) -> Place:
    """Where both are preferred alike, if that is on the ladder `rates`."""
    ends = curve.predictor(np.log([rates[0], rates[-1]]))
    if ends[0] > 0 or (curve.slope == 0 and ends[0] == 0):
        return Place(beyond=BELOW)
    if ends[1] < 0:
        return Place(beyond=ABOVE)
    kbps = math.exp(curve.centre - curve.intercept / curve.slope)
    return Place(min(max(kbps, rates[0]), rates[-1]))  # rounding


def interval(
    curve: psychometric.Psychometric,
    rates: Sequence[float],
    weighted: np.ndarray,
    covariances: Mapping[str, np.ndarray],
    clusters: Clusters,
    confidence: float,
) -> tuple[Place, Place]:
    """The bitrates of the ladder where a preference of 50 % is not refuted by a score test.

    A bitrate belongs to it if the score against 50 % there differs from 0 by no more than Student's
    t times its standard error. So nothing is said of bitrates outside the ladder, and a flat curve
    gives a long interval.

    Args:
      curve: fitted.
      rates: of the ladder, rising.
      weighted: votes for the reference, and all, as they weigh, [2, r].
      covariances: of those over resamples, by way of resampling, [2 r, 2 r] each.
      clusters: their numbers.
      confidence: of the interval.

    Returns:
      Its ends; both beyond the same side if 50 % is refuted on all the ladder next to the point.
    """
    logs = np.linspace(math.log(rates[0]), math.log(rates[-1]), _GRID)
    weight, p = psychometric.scores_at(curve, np.log(rates), logs, *weighted)
    linear = np.concatenate([weight, -weight * p], axis=1)
    variances = {
        way: np.maximum(((linear @ matrix) * linear).sum(axis=1), 0)  # rounding
        for way, matrix in covariances.items()
    }
    excess = np.abs(linear @ weighted.ravel()) - half_width(variances, clusters, confidence)
    predictor = curve.predictor(logs)
    at = int(np.searchsorted(predictor, 0))
    at = min(at, _GRID - 1)
    if predictor[at] > 0 and at > 0 and excess[at - 1] < excess[at]:
        at -= 1
    if excess[at] > 0:
        if 0 < at < _GRID - 1:  # shorter than a step of the grid
            kbps = math.exp(logs[at])
            return Place(kbps), Place(kbps)
        side = Place(beyond=BELOW if at == 0 else ABOVE)
        return side, side
    first, last = at, at
    while first > 0 and excess[first - 1] <= 0:
        first -= 1
    while last < _GRID - 1 and excess[last + 1] <= 0:
        last += 1
    low = Place(beyond=BELOW) if first == 0 else _crossing(logs, excess, first - 1)
    high = Place(beyond=ABOVE) if last == _GRID - 1 else _crossing(logs, excess, last)
    return low, high


def _crossing(logs: np.ndarray, excess: np.ndarray, before: int) -> Place:
    """Where the excess changes its sign after grid point `before`."""
    one, other = excess[before], excess[before + 1]
    return Place(math.exp(logs[before] + (logs[before + 1] - logs[before]) * one / (one - other)))


def interpolate_shares(rates: Sequence[float], shares: Sequence[float]) -> Place:
    """The lowest bitrate where the share of votes for the reference reaches 50 % (Fig. 16b).

    Linear between the references, over kbit/s.
    """
    if shares[0] > 0.5:
        return Place(beyond=BELOW)
    for i, share in enumerate(shares):
        if share == 0.5:
            return Place(float(rates[i]))
        if share > 0.5:
            part = (0.5 - shares[i - 1]) / (share - shares[i - 1])
            return Place(rates[i - 1] + part * (rates[i] - rates[i - 1]))
    return Place(beyond=ABOVE)
