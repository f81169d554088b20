"""A run's results as text, CSV and JSON."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supervegan_jax.evaluation.equivalency import Equivalent, Pooled
from supervegan_jax.evaluation.results import format_columns, shown
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.rate_distortion.curves import (
    POOLED,
    BdRow,
    EquivalentRow,
    Point,
    label,
    names,
    own_rates,
    pool_points,
    select,
)
from supervegan_jax.rate_distortion.workspace import NUMBER, check_fields

_POINT: dict[str, type | tuple[type, ...]] = {
    **{"clip": str, "codec": str, "curve": str, "scale": int, "target_kbps": int},
    **{"measured_kbps": NUMBER, "bits_per_pixel": NUMBER},
}


def to_csv(points: Sequence[Point], metrics: Sequence[str]) -> str:
    """One line a point: every clip's, then those of the mean curves."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = ("clip", "codec", "curve", "scale", "target_kbps", "measured_kbps", "bits_per_pixel")
    writer.writerow([*fields, *metrics])
    for point in [*points, *pool_points(points)]:
        scores = [point.scores[metric] for metric in metrics]
        cells = ["" if score is None else repr(score) for score in scores]
        writer.writerow([*(getattr(point, field) for field in fields), *cells])
    return text.getvalue()


def _point_json(point: Point) -> dict[str, Any]:
    left_out = {"left_out": point.left_out} if point.left_out else {}
    return {
        "clip": point.clip,
        "codec": point.codec,
        "curve": point.curve,
        "scale": point.scale,
        "target_kbps": point.target_kbps,
        "measured_kbps": point.measured_kbps,
        "bits_per_pixel": point.bits_per_pixel,
        **point.scores,
        **left_out,
    }


def read_points(path: Path) -> list[Point]:
    """The points of a finished run's rd.json.

    Raises:
      ValueError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise ValueError(f"no {path}; make it with python -m supervegan_jax.evaluate rd")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        check_fields(content, {"points": list})
        points = [_read_point(entry) for entry in content["points"]]
        if not points:
            raise ValueError("it holds no points")
        if any(point.scores.keys() != points[0].scores.keys() for point in points):
            raise ValueError("its points are not all of the same metrics")
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return points


def _read_point(entry: Any) -> Point:
    """Raises `ValueError` unless it is one as `_point_json` writes it."""
    check_fields(entry, _POINT)
    for name in ("measured_kbps", "bits_per_pixel"):
        if not 0 < entry[name] < math.inf:
            raise ValueError(f"{name} {entry[name]}")
    left_out = entry.get("left_out", {})
    if not (isinstance(left_out, dict) and all(isinstance(n, int) for n in left_out.values())):
        raise ValueError(f"left_out {left_out!r}")
    scores = {name: entry[name] for name in entry if name not in (*_POINT, "left_out")}
    for metric, value in scores.items():
        if metric not in METRICS:
            raise ValueError(f"{metric!r} is no metric")
        if not (value is None or (isinstance(value, NUMBER) and math.isfinite(value))):
            raise ValueError(f"{metric} {value!r}")
    return Point(**{name: entry[name] for name in _POINT}, scores=scores, left_out=left_out)


def _equivalent_json(found: Equivalent | None) -> dict[str, Any] | None:
    return None if found is None else {"where": found.where, "kbps": found.kbps}


def _pooled_json(pooled: Pooled | None) -> dict[str, Any] | None:
    return None if pooled is None else dict(vars(pooled))


def to_json(
    about: dict[str, Any],
    points: Sequence[Point],
    bd_rows: Sequence[BdRow],
    equivalent_rows: Sequence[EquivalentRow],
    remarks: Sequence[str],
) -> str:
    """Everything a run found out; rates in kbit/s, see the classes for the fields."""
    content = {
        "version": 1,
        **about,
        "points": [_point_json(point) for point in points],
        "pooled": [_point_json(point) for point in pool_points(points)],
        "bd_rate_percent": [dict(vars(row)) for row in bd_rows],
        "equivalent_kbps": [
            dict(vars(row))
            | {
                "of_clips": {clip: _equivalent_json(e) for clip, e in row.of_clips.items()},
                "pooled": _pooled_json(row.pooled),
                "of_means": _equivalent_json(row.of_means),
            }
            for row in equivalent_rows
        ],
        "remarks": list(remarks),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def pooled_table(points: Sequence[Point], codec: str, metrics: Sequence[str]) -> str:
    """The mean curves of one codec."""
    rows = []
    for point in select(pool_points(points), codec=codec):
        scores = [shown(metric, point.scores[metric]) for metric in metrics]
        rates = [f"{point.measured_kbps:.0f}", f"{point.bits_per_pixel:.4f}"]
        rows.append((point.curve, point.target_kbps, [label(point.curve, codec), *rates, *scores]))
    order = names(points, "curve")
    rows.sort(key=lambda row: (order.index(row[0]), row[1]))
    titles = [METRICS[metric].title for metric in metrics]
    count = len(names(points, "clip"))
    header = [f"{codec}, {count} clip{'s' * (count > 1)}", "kbit/s", "bits/pixel", *titles]
    return format_columns(header, [cells for _, _, cells in rows])


def bd_table(rows: Sequence[BdRow], codec: str, metrics: Sequence[str]) -> str:
    """BD-rates of the mean curves of one codec; "none" where the curves do not overlap."""
    ours = [row for row in rows if row.codec == codec]
    lines = []
    for curve, anchor in dict.fromkeys((row.curve, row.anchor) for row in ours):
        some = [row for row in ours if (row.curve, row.anchor) == (curve, anchor)]
        percent = {row.metric: row.percent[POOLED] for row in some}
        cells = [percent[metric] for metric in metrics]
        shown_cells = ["none" if isinstance(cell, str) else f"{cell:+.1f} %" for cell in cells]
        title = f"{label(curve, codec)} against {label(anchor, codec)}"
        lines.append([title, *shown_cells])
    titles = [METRICS[metric].title for metric in metrics]
    return format_columns(["BD-rate (negative: fewer bits for the same)", *titles], lines)


def equivalent_table(rows: Sequence[EquivalentRow], codec: str, metrics: Sequence[str]) -> str:
    """The codec's bitrate at full size that scores the same as a curve at its own bitrate."""
    ours = [row for row in rows if row.codec == codec]
    lines = []
    for curve, target in dict.fromkeys((row.curve, row.target_kbps) for row in ours):
        by_metric = {r.metric: r for r in ours if (r.curve, r.target_kbps) == (curve, target)}
        some = [by_metric[metric] for metric in metrics]
        rate, behind = own_rates(some)
        cells = [_equivalent_cell(*pair) for pair in zip(some, behind, strict=True)]
        lines.append([label(curve, codec), rate, *cells])
    titles = [METRICS[metric].title for metric in metrics]
    return format_columns([f"the same score takes {codec} (kbit/s)", "from", *titles], lines)


def _equivalent_cell(row: EquivalentRow, behind: str) -> str:
    pooled = row.pooled
    if pooled is None:
        return "-"
    if pooled.kbps is None:
        return f"{pooled}{behind}"
    if len(row.of_clips) == pooled.below + pooled.beyond:
        return f"{'below' if pooled.below else 'beyond'} the ladder{behind}"
    gain = f" ({pooled.kbps / row.measured_kbps:.2f}x)" if pooled.bound == "=" else ""
    return f"{pooled}{gain}{behind}"
