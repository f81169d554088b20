"""Networks trained with the same compute on the same records, clip by clip (Tables 2 and 4)."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

from supervegan_jax.experiments import plane
from supervegan_jax.experiments.gains import bicubic_curve, difference
from supervegan_jax.experiments.outcome import Outcome
from supervegan_jax.rate_distortion.clip_table import (
    Cell,
    ClipTable,
    rank_scores,
    shown_difference,
    table_title,
)
from supervegan_jax.rate_distortion.curves import (
    Point,
    comparable,
    label,
    model_names,
    names,
    pool_points,
    select,
)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one network got, or would get.

    Attributes:
      name: of its curve.
      scale: how much larger it makes its input.
      parameters: of the network.
      frame_macs: multiply-accumulates of a frame of 1280x720.
      patch_size, batch_size: of the training.
      steps: of all phases; for one that is only counted, those that the budget pays.
      macs: of the whole training; for one that is only counted, of a step.
      seconds: of the steps; None if it was not trained.
    """

    name: str
    scale: int
    parameters: int
    frame_macs: int
    patch_size: int
    batch_size: int
    steps: int
    macs: float
    seconds: float | None


def describe(
    points: Sequence[Point],
    costs: Sequence[Cost],
    *,
    budget_tmacs: float,
    codec: str,
    kbps: int,
    metrics: Sequence[str],
) -> Outcome:
    """The tables of networks that cost the same to train.

    Args:
      points: of the run that measured them.
      costs: of all networks, those too heavy to train too.
      budget_tmacs: of each training; 0 if each has its own.
      codec: of the input.
      kbps: its target bitrate.
      metrics: keys of `METRICS`, one table each.

    Raises:
      ValueError: as `make_plane`.
    """
    budget = f"{budget_tmacs:g} TMAC of training each" if budget_tmacs else "each its own training"
    here = {"codec": codec, "target_kbps": kbps}
    heavy = [cost for cost in costs if cost.seconds is None]
    tables = [_costs_table(costs, budget)]
    tables += [_score_table(points, heavy, budget, codec, kbps, metric) for metric in metrics]
    values: dict[str, Any] = {
        "budget_tmacs": budget_tmacs,
        **here,
        "costs": [dataclasses.asdict(cost) for cost in costs],
        "scores": {
            clip: {p.curve: p.scores for p in select(points, **here, clip=clip)}
            for clip in names(points, "clip")
        },
    }
    drawings = {}
    if len(metrics) > 1:
        made = plane.make_plane(
            points, codec=codec, kbps=kbps, distortion=metrics[1], perception=metrics[0]
        )
        drawings["plane"] = partial(plane.draw, made)
    return Outcome(tuple(tables), (), values, drawings)


def _costs_table(costs: Sequence[Cost], budget: str) -> ClipTable:
    """What each network got; of the heavy ones what the budget would pay."""
    trained = [cost for cost in costs if cost.seconds]
    seconds = sum(cost.seconds or 0.0 for cost in trained)
    rate = sum(cost.macs for cost in trained) / seconds if seconds else None
    rows = []
    for cost in costs:
        per_step = cost.macs if cost.seconds is None else cost.macs / cost.steps
        took = "not trained"
        if cost.seconds is not None:
            took = f"{cost.seconds / 3600:.2f}"
        elif rate:
            took = f"not trained; a step about {per_step / rate:.0f} s (estimate)"
        cells = (
            f"{cost.parameters / 1e6:.3g}",
            f"{cost.frame_macs / 1e9:.3g}",
            f"{cost.batch_size} of {cost.patch_size}x{cost.patch_size}",
            f"{per_step / 1e9:.4g}",
            f"{cost.steps:,}",
            f"{cost.steps * cost.batch_size:,}",
            f"{(cost.macs if cost.seconds is not None else per_step * cost.steps) / 1e12:.3g}",
            took,
        )
        rows.append((cost.name, tuple(Cell(text) for text in cells)))
    header = (
        *("network", "parameters (M)", "GMAC a frame", "batch", "GMAC a step", "steps"),
        *("patches", "TMAC", "hours"),
    )
    return ClipTable(f"What each network got: {budget}", header, tuple(rows))


def _score_table(
    points: Sequence[Point],
    heavy: Sequence[Cost],
    budget: str,
    codec: str,
    kbps: int,
    metric: str,
) -> ClipTable:
    """Networks against clips; the last column is the gain over plain enlargement."""
    here = select(comparable(points), codec=codec, target_kbps=kbps)
    pooled = pool_points(here)
    clips = [*names(here, "clip"), *names(pooled, "clip")]
    curves = names(here, "curve")
    by_place = {(p.clip, p.curve): p.scores[metric] for p in [*here, *pooled]}
    columns = [rank_scores(metric, [by_place[clip, c] for c in curves]) for clip in clips]
    models = model_names(here)
    rows = []
    for place, curve in enumerate(curves):
        against = ""
        if curve.removesuffix(":a") in models:
            scale = select(here, curve=curve)[0].scale
            if scale > 1:
                plain = bicubic_curve(here, scale)
                gain = difference(here, [curve], [plain], codec=codec, kbps=kbps, metric=metric)
                against = "" if gain is None else shown_difference(metric, gain)
        cells = (*(column[place] for column in columns), Cell(against))
        rows.append((label(curve, codec), cells))
    for cost in heavy:
        said = f"too heavy: {cost.steps:,} steps of the budget"
        rows.append((cost.name, (Cell(said), *(Cell("") for _ in clips))))
    header = ("network", *clips, "against bicubic [95 %]")
    title = f"{table_title(metric)}, {codec} at {kbps} kbit/s; {budget}"
    return ClipTable(title, header, tuple(rows))
