"""What an experiment found, before it is written: tables, findings, numbers and drawings."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervegan_jax.evaluation.bootstrap import Interval
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.rate_distortion import plots
from supervegan_jax.rate_distortion.clip_table import Cell, ClipTable, as_markdown


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What an experiment found.

    Attributes:
      tables: in their order.
      findings: sentences below the tables.
      values: JSON values: the same numbers.
      drawings: by the name of their PNG, without its suffix.
    """

    tables: tuple[ClipTable, ...]
    findings: tuple[str, ...]
    values: dict[str, Any]
    drawings: Mapping[str, Callable[[Path], None]]


def to_markdown(outcome: Outcome) -> str:
    """The tables with their titles, then the findings as a list."""
    parts = [f"**{table.title}**\n\n{as_markdown(table)}" for table in outcome.tables]
    if outcome.findings:
        parts.append("\n".join(f"* {line}" for line in outcome.findings) + "\n")
    return "\n".join(parts)


def difference_table(
    title: str, what: str, columns: Mapping[Any, str], cells: Sequence[tuple[str, Any, str]]
) -> ClipTable:
    """A row for each thing that was compared, in the order they first come.

    Args:
      title: of the table; the kind of its numbers is added.
      what: heads the rows' names.
      columns: headings by key.
      cells: (row, column's key, text); a place that none has is "-".
    """
    texts = {(row, key): text for row, key, text in cells}
    rows = dict.fromkeys(row for row, _, _ in cells)
    lines = tuple((row, tuple(Cell(texts.get((row, k), "-")) for k in columns)) for row in rows)
    return ClipTable(f"{title}; mean [95 %]", (what, *columns.values()), lines)


# By metric, rows from the top: (what, difference).
Differences = Mapping[str, Sequence[tuple[str, Interval]]]


def draw_differences(rows: Differences, title: str, path: Path) -> None:
    """Draws means with their intervals and a line at 0, a panel for each metric, as a PNG."""
    figure, axes = plots.new_figure(len(rows), 1)
    for axis, (metric, lines) in zip(axes[:, 0], rows.items(), strict=True):
        for place, (_, found) in enumerate(lines):
            if found.low is not None and found.high is not None:
                axis.plot([found.low, found.high], [place, place], color="#0072B2", linewidth=1.6)
            axis.plot([found.mean], [place], color="#0072B2", marker="D", markersize=5)
        axis.axvline(0.0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(lines)), [name for name, _ in lines], fontsize=8)
        axis.invert_yaxis()
        axis.set_xlabel(f"{METRICS[metric].title}, change")
        axis.grid(True, axis="x", alpha=0.3)
    most = max(len(lines) for lines in rows.values())
    figure.set_size_inches(9, max(3.4, 0.22 * most + 1) * len(rows))
    figure.suptitle(title)
    plots.save_figure(figure, path)
