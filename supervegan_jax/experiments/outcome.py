"""What an experiment found, before it is written: tables, findings, numbers and drawings."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervegan_jax.evaluation.bootstrap import Interval
from supervegan_jax.rate_distortion import plots
from supervegan_jax.rate_distortion.clip_table import ClipTable, as_markdown


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


def draw_intervals(
    rows: Sequence[tuple[str, Interval]], title: str, axis_title: str, path: Path
) -> None:
    """Draws means with their intervals, one row each from the top, and a line at 0, as a PNG."""
    figure, axes = plots.new_figure(1, 1)
    axis = axes[0][0]
    for place, (_, found) in enumerate(rows):
        if found.low is not None and found.high is not None:
            axis.plot([found.low, found.high], [place, place], color="#0072B2", linewidth=1.6)
        axis.plot([found.mean], [place], color="#0072B2", marker="D", markersize=5)
    axis.axvline(0.0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(axis_title)
    axis.grid(True, axis="x", alpha=0.3)
    figure.suptitle(title)
    plots.save_figure(figure, path)
