"""What networks gain over plain enlargement, codec by codec (Fig. 11 and beyond)."""

import dataclasses
from collections.abc import Sequence
from functools import partial

from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.experiments.gains import bicubic_curve, gain
from supervegan_jax.experiments.outcome import Outcome, draw_intervals
from supervegan_jax.rate_distortion.clip_table import Cell, ClipTable, shown_difference, table_title
from supervegan_jax.rate_distortion.curves import (
    Point,
    model_names,
    names,
    pool_points,
    select,
)


def describe(points: Sequence[Point], metrics: Sequence[str]) -> Outcome:
    """The gain of every network over bicubic enlargement of the same video.

    Args:
      points: of a run with one codec or more.
      metrics: keys of `METRICS`, one column each.

    Raises:
      ValueError: the run lacks a score.
    """
    clips = len(names(points, "clip"))
    rows, values, lines = [], [], []
    for model in model_names(points):
        some = select(points, curve=model)
        anchor = bicubic_curve(points, some[0].scale)
        for codec in names(points, "codec"):
            for pooled in select(pool_points(some), codec=codec):
                kbps, rate = pooled.target_kbps, pooled.measured_kbps
                name = f"{model}, {codec} at {kbps} ({rate:.0f}) kbit/s"
                cells = []
                for metric in metrics:
                    found = gain(points, model, anchor, codec=codec, kbps=kbps, metric=metric)
                    cells.append(Cell(shown_difference(metric, found)))
                    where = {"model": model, "codec": codec, "target_kbps": kbps}
                    values.append(where | {"metric": metric} | dataclasses.asdict(found))
                    lines.append((metric, name, found))
                rows.append((name, tuple(cells)))
    header = (
        "network and input",
        *(f"{table_title(metric)} against bicubic" for metric in metrics),
    )
    title = f"Gain over bicubic, {clips} clip{'s' * (clips > 1)}; mean [95 %], (measured bitrate)"
    drawings = {
        f"gains_{metric}": partial(
            draw_intervals,
            [(name, found) for one, name, found in lines if one == metric],
            "against bicubic enlargement",
            f"{METRICS[metric].title}, change",
        )
        for metric in metrics
    }
    table = ClipTable(title, header, tuple(rows))
    return Outcome((table,), (), {"gains_over_bicubic": values}, drawings)
