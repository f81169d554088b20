"""How long networks take (Table 6): a benchmark's JSON as a table, and its records as a result."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from supervegan_jax.experiments.outcome import Outcome
from supervegan_jax.rate_distortion import plots
from supervegan_jax.rate_distortion.clip_table import Cell, ClipTable


def read_benchmark(path: Path) -> ClipTable:
    """The rows of a benchmark.

    Args:
      path: JSON, a list of objects with plain values, as `benchmark --json` writes it, or an object
        that holds such a list as "rows" (and perhaps "title"). The keys become columns, empty where
        a row was not measured; the first of them names the rows, and every row has it.

    Raises:
      ValueError: there is no such file, or it holds something else.
    """
    content = _read(path)
    rows = _rows(path, content)
    title = content.get("title", "Runtime") if isinstance(content, dict) else "Runtime"
    header = tuple(dict.fromkeys(key for row in rows for key in row))
    lines = []
    for row in rows:
        if header[0] not in row or any(isinstance(v, (dict, list)) for v in row.values()):
            raise ValueError(f"{path}: row {row}; {header[0]!r} and plain values are needed")
        name, *values = (_text(row.get(key)) for key in header)
        lines.append((name, tuple(Cell(value) for value in values)))
    return ClipTable(str(title), tuple(name.replace("_", " ") for name in header), tuple(lines))


def read_records(path: Path) -> list[dict[str, Any]]:
    """The rows of a benchmark as they are.

    Raises:
      ValueError: as `read_benchmark`.
    """
    return _rows(path, _read(path))


def _read(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"no benchmark {path}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error


def _rows(path: Path, content: Any) -> list[dict[str, Any]]:
    rows = content.get("rows") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not rows or not all(isinstance(r, dict) and r for r in rows):
        raise ValueError(f'{path}: a list of objects is needed, as it is or as "rows"')
    return rows


def describe(records: Sequence[Mapping[str, Any]]) -> Outcome:
    """What a frame takes every network, the fastest first, and its first stage alone.

    Args:
      records: of a benchmark of one output size, at least one.
    """
    whole = [r for r in records if r["stage"] == "b"]
    first = {r["model"]: r.get("ms_per_frame") for r in records if r["stage"] == "a"}
    whole.sort(key=lambda record: (record["ms_per_frame"] is None, record["ms_per_frame"]))
    rows = []
    for record in whole:
        ms, alone = record["ms_per_frame"], first.get(record["model"])
        cells = (
            f"{record['parameters'] / 1e6:.3g}",
            f"{record['macs'] / 1e9:.1f}",
            "" if alone is None else f"{alone:.4g}",
            "too large" if ms is None else f"{ms:.4g}",
            "" if ms is None else f"{1e3 / ms:.3g}",
            f"{record['fraction_of_limit']:.0%}" if record.get("fraction_of_limit") else "",
        )
        rows.append((record["model"], tuple(Cell(text) for text in cells)))
    header = (
        *("network", "M parameters", "GMAC", "ms, stage A alone", "ms, whole", "frames/s"),
        "of limit",
    )
    limits = [f"{r['limit_gmacs']:.0f}" for r in records]
    between = " to ".join(dict.fromkeys((min(limits, key=float), max(limits, key=float))))
    where = f"{whole[0]['device']} with {between} GMAC/s in a matrix product"
    title = f"A frame of {whole[0]['output']} on {where}"
    values = {"records": [dict(record) for record in records]}
    drawings = {"runtime": partial(_draw, whole, first, title)}
    return Outcome((ClipTable(title, header, tuple(rows)),), (), values, drawings)


def _draw(
    whole: Sequence[Mapping[str, Any]],
    first: Mapping[str, float | None],
    title: str,
    path: Path,
) -> None:
    """Draws a bar a network, and a mark where its first stage ends, as a PNG."""
    figure, axes = plots.new_figure(1, 1)
    axis = axes[0][0]
    timed = [record for record in whole if record["ms_per_frame"] is not None]
    for place, record in enumerate(timed):
        axis.barh(place, record["ms_per_frame"], color="#0072B2", height=0.7)
        alone = first.get(record["model"])
        if alone is not None:
            axis.plot([alone, alone], [place - 0.35, place + 0.35], color="black", linewidth=1.5)
    axis.set_yticks(range(len(timed)), [record["model"] for record in timed], fontsize=8)
    axis.invert_yaxis()
    axis.set_xscale("log")
    plots.plain_numbers(axis.xaxis)
    axis.set_xlabel("ms a frame; the line is where stage A ends")
    axis.grid(True, axis="x", alpha=0.3)
    figure.set_size_inches(6.5, max(3.0, 0.25 * len(timed) + 1.2))
    figure.suptitle(title, fontsize=9)
    plots.save_figure(figure, path)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return "-" if value is None else str(value)
