"""Differences between curves of a run at one bitrate, with intervals over clips and seeds."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from supervegan_jax.evaluation.bootstrap import Interval, mean_interval
from supervegan_jax.rate_distortion.clip_table import Cell, ClipTable, shown_difference, table_title
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


@dataclasses.dataclass(frozen=True)
class Measured:
    """Networks of one kind at one bitrate of their input, for a table.

    Attributes:
      title: of their rows.
      curves: their names, seed by seed; those of stage A end in ":a".
      scale: of the networks.
      kbps: target bitrate of the input.
    """

    title: str
    curves: Sequence[str]
    scale: int
    kbps: int

    def stages(self) -> tuple["Measured", "Measured"]:
        """Of networks named without a stage: their stage A, and all of them."""
        first = [f"{curve}:a" for curve in self.curves]
        return (
            dataclasses.replace(self, title=f"{self.title}, stage A", curves=first),
            dataclasses.replace(self, title=f"{self.title}, stage B"),
        )


def over_bicubic(
    points: Sequence[Point],
    measured: Sequence[Measured],
    title: str,
    *,
    codec: str,
    metrics: Sequence[str],
) -> tuple[ClipTable, list[dict[str, Any]]]:
    """What each of `measured` has over bicubic enlargement by each metric.

    Returns:
      The table, a row each, with "-" where `difference` finds none, and the same as JSON objects,
      without those.
    """
    rows, gains = [], []
    for one in measured:
        plain, cells = bicubic_curve(points, one.scale), []
        for metric in metrics:
            found = difference(
                points, one.curves, [plain], codec=codec, kbps=one.kbps, metric=metric
            )
            cells.append(Cell("-" if found is None else shown_difference(metric, found)))
            if found is not None:
                gains.append({"name": one.title, "metric": metric, **dataclasses.asdict(found)})
        rows.append((one.title, tuple(cells)))
    header = ("network", *(f"{table_title(metric)} against bicubic" for metric in metrics))
    return ClipTable(f"{title}; mean [95 %]", header, tuple(rows)), gains


def clip_count(points: Sequence[Point]) -> str:
    """ "1 clip" or "7 clips", for titles."""
    count = len(names(points, "clip"))
    return f"{count} clip{'s' * (count > 1)}"
