"""What each stage of a network adds: the enlarged input, stage A, stage B (Table 7)."""

import dataclasses
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from supervegan_jax.evaluation.bootstrap import Interval
from supervegan_jax.experiments.findings import BETTER, Finding, stage_claim
from supervegan_jax.experiments.gains import bicubic_curve, clip_count, difference
from supervegan_jax.experiments.outcome import Outcome, difference_table, draw_differences
from supervegan_jax.rate_distortion.clip_table import (
    Cell,
    ClipTable,
    rank_scores,
    shown_difference,
    table_title,
)
from supervegan_jax.rate_distortion.curves import Point, model_names, names, pool_points, select
from supervegan_jax.rate_distortion.settings import BICUBIC


@dataclasses.dataclass(frozen=True)
class Change:
    """What one stage changes.

    Attributes:
      model, scale, target_kbps: which.
      stage: "a", against the enlarged input, or "b", against stage A.
      metric: a key of `METRICS`.
      difference: over clips.
    """

    model: str
    scale: int
    target_kbps: int
    stage: str
    metric: str
    difference: Interval

    @property
    def title(self) -> str:
        """Of a table's row."""
        before = {"a": "stage A against its input", "b": "stage B against stage A"}
        return f"{self.model}, {self.target_kbps} kbit/s: {before[self.stage]}"


def changes(
    points: Sequence[Point], *, codec: str, kbps: Sequence[int] | None, metrics: Sequence[str]
) -> list[Change]:
    """What the stages of all networks of two stages change, clip by clip.

    Left out is what some clip has no finite score of.

    Args:
      points: of a run.
      codec: of the bits.
      kbps: target bitrates; None takes all that went into networks.
      metrics: keys of `METRICS`.

    Raises:
      ValueError: the run has no such codec, bitrate or metric.
    """
    found = []
    for rate, model in _places(points, codec, kbps):
        whole = select(points, codec=codec, curve=model)[0]
        if not select(points, codec=codec, curve=f"{model}:a"):
            continue
        where: dict[str, Any] = {"codec": codec, "kbps": rate}
        plain = bicubic_curve(points, whole.scale)
        for stage, ours, before in (("a", f"{model}:a", plain), ("b", model, f"{model}:a")):
            for metric in metrics:
                _check_metric(whole, metric)
                change = difference(points, [ours], [before], metric=metric, **where)
                if change is not None:
                    found.append(Change(model, whole.scale, rate, stage, metric, change))
    return found


def findings(found: Sequence[Change]) -> list[Finding]:
    """What changes say about the paper's findings, see `stage_claim`."""
    claims = []
    for change in found:
        known = change.metric in BETTER
        claimed = stage_claim(change.stage, change.metric, change.scale) if known else None
        if claimed is not None:
            claim = f"{change.model}, {change.target_kbps} kbit/s: {claimed[0]}"
            what = change.metric, change.scale, change.difference
            claims.append(Finding(claim, *what, claimed[1]))
    return claims


def describe(
    points: Sequence[Point],
    *,
    codec: str,
    kbps: Sequence[int] | None = None,
    metrics: Sequence[str],
) -> Outcome:
    """The scores of every stage, what each changes, and the paper's findings about it.

    Args:
      points: of a run.
      codec: of the bits.
      kbps: target bitrates; None takes all that went into networks.
      metrics: keys of `METRICS`.

    Raises:
      ValueError: as `changes`.
    """
    scores = stage_table(points, codec=codec, kbps=kbps, metrics=metrics)
    found = changes(points, codec=codec, kbps=kbps, metrics=metrics)
    tables, drawings = [scores], {}
    title = f"{codec}, {clip_count(points)}: what each stage changes"
    if found:
        columns = {metric: table_title(metric) for metric in metrics}
        cells = [(c.title, c.metric, shown_difference(c.metric, c.difference)) for c in found]
        tables.append(difference_table(title, "stage", columns, cells))
        lines = {
            metric: [(c.title, c.difference) for c in found if c.metric == metric]
            for metric in metrics
        }
        drawings["stages"] = partial(draw_differences, lines, title)
    claims = findings(found)
    pooled = select(pool_points(points), codec=codec)
    values: dict[str, Any] = {
        "codec": codec,
        "clips": names(points, "clip"),
        "scores": [
            {"curve": p.curve, "target_kbps": p.target_kbps, "measured_kbps": p.measured_kbps}
            | {metric: p.scores[metric] for metric in metrics}
            for rate in sorted({rate for rate, _ in _places(points, codec, kbps)})
            for p in select(pooled, target_kbps=rate)
        ],
        "changes": [dataclasses.asdict(change) for change in found],
        "findings": [claim.to_json() for claim in claims],
    }
    return Outcome(tuple(tables), tuple(map(str, claims)), values, drawings)


def to_json(outcome: Outcome) -> str:
    """{"version", "codec", "clips", "scores", "changes", "findings"}."""
    return json.dumps({"version": 1, **outcome.values}, indent=1, allow_nan=False) + "\n"


def stage_table(
    points: Sequence[Point], *, codec: str, kbps: Sequence[int] | None, metrics: Sequence[str]
) -> ClipTable:
    """Means over clips of every network's input, stage A and stage B, at each bitrate.

    Args:
      points: of a run.
      codec: of the bits.
      kbps: target bitrates; None takes all that went into networks.
      metrics: keys of `METRICS`, one column each; the best of the three is ranked 1.

    Raises:
      ValueError: the run has no such codec, bitrate or metric.
    """
    pooled = select(pool_points(points), codec=codec)
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for rate, model in _places(points, codec, kbps):
        rows += _rows_of(select(pooled, target_kbps=rate), model, metrics)
    titles = [table_title(metric) for metric in metrics]
    title = f"{codec}, mean of {clip_count(points)}: what each stage adds"
    return ClipTable(title, ("input and stage", *titles), tuple(rows))


def _places(
    points: Sequence[Point], codec: str, kbps: Sequence[int] | None
) -> list[tuple[int, str]]:
    """The bitrates and networks of a codec, bitrate by bitrate."""
    ours = select(points, codec=codec)
    models = model_names(ours)
    known = sorted({point.target_kbps for point in ours if point.curve in models})
    if not known:
        raise ValueError(f"codec {codec!r}; this run has {', '.join(names(points, 'codec'))}")
    for rate in kbps or ():
        if rate not in known:
            raise ValueError(f"{rate} kbit/s; models had {', '.join(map(str, known))}")
    return [(rate, model) for rate in (known if kbps is None else kbps) for model in models]


def _check_metric(point: Point, metric: str) -> None:
    if metric not in point.scores:
        raise ValueError(f"metric {metric!r}; this run has {', '.join(point.scores)}")


def _rows_of(
    points: Sequence[Point], model: str, metrics: Sequence[str]
) -> list[tuple[str, tuple[Cell, ...]]]:
    whole = select(points, curve=model)[0]
    steps = {
        "input, bicubic": [p for p in points if p.curve.startswith(BICUBIC)],
        "stage A": select(points, curve=f"{model}:a"),
    }
    # What works at the input's size enlarges nothing, and a network of one stage is shown as such.
    found = {t: p for t, some in steps.items() for p in some if p.scale == whole.scale}
    found["stage B" if "stage A" in found else "network"] = whole
    for metric in metrics:
        _check_metric(whole, metric)
    rows = list(found.values())
    columns = [rank_scores(metric, [p.scores[metric] for p in rows]) for metric in metrics]
    head = f"{model}, {whole.measured_kbps:.0f} kbit/s: "
    return [
        (head + title, tuple(column[index] for column in columns))
        for index, title in enumerate(found)
    ]
