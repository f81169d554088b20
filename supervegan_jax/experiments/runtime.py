"""How long networks take: a benchmark's JSON as a table (Table 6)."""

import json
from pathlib import Path

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
    if not path.is_file():
        raise ValueError(f"no benchmark {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    rows = content.get("rows") if isinstance(content, dict) else content
    title = content.get("title", "Runtime") if isinstance(content, dict) else "Runtime"
    if not isinstance(rows, list) or not rows or not all(isinstance(r, dict) and r for r in rows):
        raise ValueError(f'{path}: a list of objects is needed, as it is or as "rows"')
    header = tuple(dict.fromkeys(key for row in rows for key in row))
    lines = []
    for row in rows:
        if header[0] not in row or any(isinstance(v, (dict, list)) for v in row.values()):
            raise ValueError(f"{path}: row {row}; {header[0]!r} and plain values are needed")
        name, *values = (_text(row.get(key)) for key in header)
        lines.append((name, tuple(Cell(value) for value in values)))
    return ClipTable(str(title), tuple(name.replace("_", " ") for name in header), tuple(lines))


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return "-" if value is None else str(value)
