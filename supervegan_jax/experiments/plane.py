"""The perception-distortion plane of all curves at one bitrate, and its Pareto front (Fig. 9).

The plane is that of Blau and Michaeli (CVPR 2018): a distortion against the truth on one axis, a
quality judged without it on the other. What nothing else beats in both lies on the front.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from supervegan_jax.evaluation.results import format_columns, shown
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.experiments.gains import bicubic_curve, clip_count, difference
from supervegan_jax.experiments.outcome import Outcome
from supervegan_jax.experiments.pareto import pareto_front
from supervegan_jax.rate_distortion import plots
from supervegan_jax.rate_distortion.clip_table import (
    Cell,
    ClipTable,
    rank_scores,
    shown_difference,
    table_title,
)
from supervegan_jax.rate_distortion.curves import (
    Point,
    label,
    model_names,
    names,
    pool_points,
    select,
)
from supervegan_jax.rate_distortion.settings import CODEC


@dataclasses.dataclass(frozen=True)
class PlanePoint:
    """One way of making frames.

    Attributes:
      curve: its name, see `curves.Point`.
      measured_kbps: geometric mean over clips.
      distortion, perception: means over clips.
      on_front: no other is at least as good in both and better in one.
    """

    curve: str
    measured_kbps: float
    distortion: float
    perception: float
    on_front: bool


@dataclasses.dataclass(frozen=True)
class Plane:
    """All curves of one codec at one target bitrate; the metrics are keys of `METRICS`."""

    codec: str
    target_kbps: int
    distortion: str
    perception: str
    points: tuple[PlanePoint, ...]


def check_axes(distortion: str, perception: str) -> None:
    """Raises `ValueError` for one metric on both axes, which is a line and no plane."""
    if distortion == perception:
        raise ValueError(
            f"distortion and perception are both {distortion!r}; two metrics are accepted"
        )


def make_plane(
    points: Sequence[Point], *, codec: str, kbps: int, distortion: str, perception: str
) -> Plane:
    """Places the mean curves of a run.

    Raises:
      ValueError: both axes are one metric, the run has no such codec, bitrate or metric, or no
        curve has both values.
    """
    check_axes(distortion, perception)
    pooled = select(pool_points(points), codec=codec)
    if not pooled:
        raise ValueError(f"codec {codec!r}; this run has {', '.join(names(points, 'codec'))}")
    for metric in (distortion, perception):
        if metric not in pooled[0].scores:
            known = ", ".join(pooled[0].scores)
            raise ValueError(f"metric {metric!r}; this run has {known}: rd --metrics adds more")
    here = select(pooled, target_kbps=kbps)
    if not here:
        targets = sorted(set(names(pooled, "target_kbps")))
        raise ValueError(f"{kbps} kbit/s; this run has {', '.join(map(str, targets))}")
    placed = []
    for point in here:
        x, y = point.scores[distortion], point.scores[perception]
        if x is not None and y is not None:
            placed.append((point, x, y))
    if not placed:
        raise ValueError(f"no curve has {distortion} and {perception} at {kbps} kbit/s")
    signs = [1.0 if METRICS[m].higher_is_better else -1.0 for m in (distortion, perception)]
    front = pareto_front([(signs[0] * x, signs[1] * y) for _, x, y in placed])
    found = [
        PlanePoint(point.curve, point.measured_kbps, x, y, on_front)
        for (point, x, y), on_front in zip(placed, front, strict=True)
    ]
    return Plane(codec, kbps, distortion, perception, tuple(found))


def to_text(plane: Plane) -> str:
    """A table, those on the front marked."""
    axes = (plane.distortion, plane.perception)
    lines = [
        [
            label(point.curve, plane.codec) + (" *" if point.on_front else ""),
            f"{point.measured_kbps:.0f}",
            shown(axes[0], point.distortion),
            shown(axes[1], point.perception),
        ]
        for point in plane.points
    ]
    title = f"{plane.codec} at {plane.target_kbps} kbit/s, * on the Pareto front"
    return format_columns([title, "measured", *(METRICS[m].title for m in axes)], lines)


def describe(
    points: Sequence[Point],
    *,
    codec: str,
    kbps: Mapping[int, int],
    distortion: str,
    perception: str,
) -> Outcome:
    """A plane for every scale (Fig. 9a, 9b), with what each curve changes against enlargement.

    Args:
      points: of a run.
      codec: of the bits.
      kbps: the target bitrate by scale; networks of other scales are left out.
      distortion, perception: keys of `METRICS`.

    Raises:
      ValueError: as `make_plane`.
    """
    tables, values, drawings = [], [], {}
    models = model_names(points)
    for scale in sorted({p.scale for p in points if p.curve in models} & set(kbps), reverse=True):
        ours = [p for p in points if p.scale == scale or p.curve == CODEC]
        plane = make_plane(
            ours, codec=codec, kbps=kbps[scale], distortion=distortion, perception=perception
        )
        title = f"{scale}x, {codec} at {kbps[scale]} kbit/s, {clip_count(points)}"
        tables.append(_table(plane, ours, bicubic_curve(points, scale), title))
        values.append({"scale": scale, **dataclasses.asdict(plane)})
        drawings[f"plane_{scale}x"] = partial(draw, plane)
    return Outcome(tuple(tables), (), {"planes": values}, drawings)


def _table(plane: Plane, points: Sequence[Point], plain: str, title: str) -> ClipTable:
    """The places, and the differences to `plain`, where every clip has both scores."""
    axes = (plane.distortion, plane.perception)
    rows = []
    for point in plane.points:
        scores = zip(axes, (point.distortion, point.perception), strict=True)
        cells = [Cell(f"{point.measured_kbps:.0f}")]
        cells += [Cell(rank_scores(metric, [score])[0].text) for metric, score in scores]
        for metric in axes:
            where: dict[str, Any] = {"codec": plane.codec, "kbps": plane.target_kbps}
            gain = difference(points, [point.curve], [plain], metric=metric, **where)
            text = ""
            if gain is not None and point.curve != plain:
                text = shown_difference(metric, gain)
            cells.append(Cell(text))
        rows.append((label(point.curve, plane.codec) + " \\*" * point.on_front, tuple(cells)))
    titles = [table_title(metric) for metric in axes]
    against = [f"{title} against bicubic [95 %]" for title in titles]
    header = ("\\* on the Pareto front", "kbit/s", *titles, *against)
    return ClipTable(title, header, tuple(rows))


def to_json(plane: Plane) -> str:
    """The plane's fields, version 1."""
    content = {"version": 1, **dataclasses.asdict(plane)}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def draw(plane: Plane, path: Path) -> None:
    """Draws the plane as a PNG; better is towards the lower left."""
    figure, axes = plots.new_figure(1, 1)
    axis = axes[0][0]
    order = [point.curve for point in plane.points]
    for point in plane.points:
        style = plots.style_of(point.curve, order) | {"linestyle": "none"}
        title = label(point.curve, plane.codec)
        axis.plot([point.distortion], [point.perception], label=title, markersize=7, **style)
    front = sorted((p.distortion, p.perception) for p in plane.points if p.on_front)
    xs, ys = [x for x, _ in front], [y for _, y in front]
    axis.plot(xs, ys, color="gray", linewidth=1, linestyle="--", label="Pareto front", zorder=0)
    for metric, set_title, invert in (
        (plane.distortion, axis.set_xlabel, axis.invert_xaxis),
        (plane.perception, axis.set_ylabel, axis.invert_yaxis),
    ):
        better = METRICS[metric].higher_is_better
        set_title(f"{METRICS[metric].title}, {'higher' if better else 'lower'} is better")
        if better:
            invert()
    axis.grid(True, alpha=0.3)
    figure.suptitle(f"{plane.codec} at {plane.target_kbps} kbit/s")
    plots.legend_below(figure, axis)
    plots.save_figure(figure, path)
