"""The mean of measurements with an interval over what they were measured on."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean; `low` and `high` are None where one value says nothing about others."""

    mean: float
    low: float | None = None
    high: float | None = None

    def times(self, factor: float) -> "Interval":
        """That of values so many times as large; the factor is positive."""
        low, high = (None if end is None else end * factor for end in (self.low, self.high))
        return Interval(self.mean * factor, low, high)

    def shown(self, digits: int) -> str:
        """As tables print it: "+0.12 [-0.03, +0.20]"."""
        if self.low is None or self.high is None:
            return f"{self.mean:+.{digits}f}"
        return f"{self.mean:+.{digits}f} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"


def mean_interval(
    values: np.ndarray, *, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The mean over clips, or over clips and seeds, with its bootstrap interval (percentiles).

    Clips and seeds are drawn apart, with replacement. With two or three seeds the interval reaches
    about from the worst seed to the best.

    Args:
      values: [clips], or [seeds, clips] where every seed was measured on every clip.
      confidence: of the interval, between 0 and 1.
      resamples: draws.
      seed: of the draws.

    Raises:
      ValueError: there are no values, or the confidence is not between 0 and 1.
    """
    table = np.atleast_2d(np.asarray(values, np.float64))
    if not table.size or not 0 < confidence < 1:
        raise ValueError(
            f"{table.size} values and confidence {confidence}; at least one value and a "
            "confidence between 0 and 1 are needed"
        )
    mean = float(table.mean())
    if table.size == 1:
        return Interval(mean)
    rng = np.random.default_rng(seed)
    seeds, clips = table.shape
    of_clips = rng.integers(0, clips, (resamples, 1, clips))
    of_seeds = rng.integers(0, seeds, (resamples, seeds, 1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(table[of_seeds, of_clips].mean(axis=(1, 2)), [tail, 1 - tail])
    return Interval(mean, float(low), float(high))
