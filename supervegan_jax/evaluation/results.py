"""Scores of frames: their means, and how they are shown and written."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.video.writer import temporary_name

Row = dict[str, float | None]
# Frames a table shows one by one; more are told as mean, lowest and highest.
_SHOWN = 24


@dataclasses.dataclass
class Scores:
    """Scores of one comparison.

    Attributes:
      metrics: keys of `METRICS`, in the order asked for.
      names: of the frames.
      rows: of the frames, by metric; None where a metric has no value.
      notes: what the user should know, one line each.
      unit: what a row is of, a "frame" or a "clip".
    """

    metrics: tuple[str, ...]
    names: list[str] = dataclasses.field(default_factory=list)
    rows: list[Row] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    unit: str = "frame"

    def values(self, metric: str) -> list[float]:
        """Its finite values."""
        values = (row.get(metric) for row in self.rows)
        return [v for v in values if v is not None and math.isfinite(v)]

    def mean(self, metric: str) -> float | None:
        """The mean of the finite values.

        Infinite only if no row is finite and one is infinite (identical videos); None if no
        row has a value.
        """
        finite = self.values(metric)
        if finite:
            return math.fsum(finite) / len(finite)
        infinite = [row.get(metric) for row in self.rows if row.get(metric) == math.inf]
        return math.inf if infinite else None

    def remarks(self) -> list[str]:
        """The notes, and what the means leave out."""
        lines, others = list(self.notes), "; the mean is over the others"
        for metric in self.metrics:
            values = [row.get(metric) for row in self.rows]
            of_all = f"of {len(values)} {self.unit}s"
            infinite = sum(value == math.inf for value in values)
            undefined = [n for n, v in zip(self.names, values, strict=True) if v != v]
            if infinite:
                rest = others if infinite < len(values) else ""
                lines.append(
                    f"{metric} is infinite in {infinite} {of_all}, whose pictures "
                    f"are identical{rest}"
                )
            if undefined:
                lines.append(
                    f"{metric} is undefined in {len(undefined)} {of_all}, first in "
                    f"{undefined[0]}{others if len(undefined) < len(values) else ''}"
                )
        return lines


def check_outputs(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Refuses, before any work is done, files that cannot be written or would replace an input.

    Raises:
      ValueError: a folder is in the way, the folder is missing, or it is an input or named twice.
    """
    for index, path in enumerate(outputs):
        if path.is_dir():
            raise ValueError(f"{path} is a folder; the name of a file is needed")
        if not path.absolute().parent.is_dir():
            raise ValueError(f"{path}: there is no folder {path.absolute().parent}")
        for other in (*inputs, *outputs[:index]):
            if path.resolve() == other.resolve():
                raise ValueError(f"{path} would be written over {other}")


def write_whole(path: Path, text: str) -> None:
    """Writes a text file that appears complete or not at all."""
    temporary = temporary_name(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def json_value(value: float | None) -> float | str | None:
    """A number as JSON can say it: null for none or NaN, "Infinity" for what is infinite."""
    if value is None or math.isnan(value):
        return None
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def to_json(scores: Scores) -> str:
    """{"mean": {metric: value}, "frames": [{"name": name, metric: value}]}."""
    frames = [
        {"name": name, **{metric: json_value(row.get(metric)) for metric in scores.metrics}}
        for name, row in zip(scores.names, scores.rows, strict=True)
    ]
    mean = {metric: json_value(scores.mean(metric)) for metric in scores.metrics}
    return json.dumps({"mean": mean, "frames": frames}, indent=1, allow_nan=False) + "\n"


def csv_cell(value: float | None) -> str:
    """A number as CSV says it: empty for none or NaN, "inf" for infinity."""
    return "" if value is None or math.isnan(value) else repr(value)


def to_csv(scores: Scores) -> str:
    """One line a frame, and the mean last; an empty cell for no value, "inf" for infinity."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *scores.metrics])
    for name, row in zip(scores.names, scores.rows, strict=True):
        writer.writerow([name, *(csv_cell(row.get(metric)) for metric in scores.metrics)])
    writer.writerow(["mean", *(csv_cell(scores.mean(metric)) for metric in scores.metrics)])
    return text.getvalue()


def shown(metric: str, value: float | None) -> str:
    """A score with the digits that its metric deserves, "-" for none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.{METRICS[metric].digits}f}"


def format_columns(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table as text: the first column to the left, the others to the right."""
    rows = [header, *lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _known(scores: Scores, metric: str) -> list[float]:
    values = (row.get(metric) for row in scores.rows)
    return [value for value in values if value is not None and not math.isnan(value)]


def to_table(scores: Scores) -> str:
    """Frames (if they are few) or clips, lowest, highest and mean score as text."""
    header = ["", *(METRICS[metric].title for metric in scores.metrics)]
    lines = []
    if len(scores.rows) <= _SHOWN or scores.unit == "clip":
        for name, row in zip(scores.names, scores.rows, strict=True):
            lines.append([name, *(shown(metric, row.get(metric)) for metric in scores.metrics)])
    if len(scores.rows) > 1:
        for title, choose in (("lowest", min), ("highest", max)):
            found = {m: choose(_known(scores, m), default=None) for m in scores.metrics}
            lines.append([title, *(shown(metric, found[metric]) for metric in scores.metrics)])
    title = f"mean of {len(scores.rows)} {scores.unit}{'s' * (len(scores.rows) != 1)}"
    lines.append([title, *(shown(metric, scores.mean(metric)) for metric in scores.metrics)])
    return format_columns(header, lines)
