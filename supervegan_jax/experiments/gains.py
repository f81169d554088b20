"""Differences between curves of a run at one bitrate, with intervals over clips and seeds."""

from collections.abc import Sequence

import numpy as np

from supervegan_jax.evaluation.bootstrap import Interval, mean_interval
from supervegan_jax.rate_distortion.curves import Point, comparable, names, select
from supervegan_jax.rate_distortion.settings import BICUBIC


def score_table(
    points: Sequence[Point], curves: Sequence[str], *, codec: str, kbps: int, metric: str
) -> np.ndarray:
    """The `comparable` scores of several curves, [curves, clips]; NaN where there is none."""
    clips = names(points, "clip")
    table = np.full((len(curves), len(clips)), np.nan)
    for point in comparable(select(points, codec=codec)):
        if point.target_kbps == kbps and point.curve in curves:
            score = point.scores[metric]
            row, column = curves.index(point.curve), clips.index(point.clip)
            table[row, column] = np.nan if score is None else score
    return table


def scores_of(
    points: Sequence[Point], curves: Sequence[str], *, codec: str, kbps: int, metric: str
) -> np.ndarray:
    """The scores of several curves, [curves, clips].

    Raises:
      ValueError: a clip has no finite, `comparable` score of one of them.
    """
    table = score_table(points, curves, codec=codec, kbps=kbps, metric=metric)
    for curve, scores in zip(curves, table, strict=True):
        if not np.isfinite(scores).all():
            raise ValueError(f"{curve} has no {metric} of every clip with {codec} at {kbps} kbit/s")
    return table


def bicubic_curve(points: Sequence[Point], scale: int) -> str:
    """The name of the plain enlargement of this scale among a run's curves."""
    curves = names(points, "curve")
    return BICUBIC if BICUBIC in curves else f"{BICUBIC} x{scale}"


def difference(
    points: Sequence[Point],
    first: Sequence[str],
    second: Sequence[str],
    *,
    codec: str,
    kbps: int,
    metric: str,
) -> Interval | None:
    """How much larger the scores of some curves are than those of others, clip by clip.

    Args:
      points: of a run.
      first, second: names of curves, paired in their order (those of one seed each); a single
        second one is held against all.
      codec: of the input.
      kbps: its target bitrate.
      metric: a key of `METRICS`.

    Returns:
      The mean with its interval; None if a clip has no finite, `comparable` score of one of them.
    """
    one, other = (
        score_table(points, curves, codec=codec, kbps=kbps, metric=metric)
        for curves in (first, second)
    )
    differences = one - other
    return mean_interval(differences) if np.isfinite(differences).all() else None


def clip_count(points: Sequence[Point]) -> str:
    """ "1 clip" or "7 clips", for titles."""
    count = len(names(points, "clip"))
    return f"{count} clip{'s' * (count > 1)}"
