"""Every clip against every curve at one bitrate, the best score of a row bold (Tables 2 to 5)."""

import csv
import dataclasses
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from supervegan_jax.evaluation.bootstrap import Interval
from supervegan_jax.evaluation.results import format_columns, write_whole
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.rate_distortion.curves import (
    Point,
    comparable,
    label,
    names,
    pool_points,
    select,
)

FORMATS = (".md", ".csv", ".html")
# LPIPS is printed ten times as large, as the paper does.
_FACTORS = {"lpips": 10, "lpips_vgg": 10}
_DIGITS = {"lpips": 3, "lpips_vgg": 3}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One score.

    Attributes:
      text: as printed.
      rank: 1 for the best of its row and metric, 2 for the second best, else 0; equal texts share
        a rank.
    """

    text: str
    rank: int = 0


@dataclasses.dataclass(frozen=True)
class ClipTable:
    """The table.

    Attributes:
      title: of the whole.
      header: of the columns; the first is that of the rows' names.
      rows: (name, cells); of clips, the mean last.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def make_table(
    points: Sequence[Point],
    *,
    codec: str,
    kbps: int,
    metrics: Sequence[str],
    curves: Sequence[str] | None = None,
) -> ClipTable:
    """Puts together the points of one codec at one target bitrate.

    Scores that are not `comparable` are "-".

    Args:
      points: of a run.
      codec: of the bits.
      kbps: the target bitrate.
      metrics: keys of `METRICS`, one group of columns each.
      curves: columns; None takes all that have this bitrate.

    Raises:
      ValueError: the run has no such codec, bitrate, curve or metric.
    """
    ours = comparable(select(points, codec=codec))
    if not ours:
        raise ValueError(f"codec {codec!r}; this run has {', '.join(names(points, 'codec'))}")
    here = [point for point in ours if point.target_kbps == kbps]
    if not here:
        known = sorted(set(names(ours, "target_kbps")))
        raise ValueError(f"{kbps} kbit/s; this run has {', '.join(map(str, known))}")
    columns = list(curves or names(here, "curve"))
    for curve in columns:
        if not select(here, curve=curve):
            found = ", ".join(names(here, "curve"))
            raise ValueError(f"curve {curve!r}; at {kbps} kbit/s this run has {found}")
    for metric in metrics:
        if metric not in here[0].scores:
            raise ValueError(f"metric {metric!r}; this run has {', '.join(here[0].scores)}")
    everything = [*here, *pool_points(here)]
    rows = []
    for clip in names(everything, "clip"):
        cells: list[Cell] = []
        for metric in metrics:
            found_points = [select(everything, clip=clip, curve=curve) for curve in columns]
            scores = [some[0].scores[metric] if some else None for some in found_points]
            cells += rank_scores(metric, scores)
        rows.append((clip, tuple(cells)))
    titles = [f"{label(c, codec)}, {table_title(m)}" for m in metrics for c in columns]
    return ClipTable(f"{codec} at {kbps} kbit/s", ("clip", *titles), tuple(rows))


def table_title(metric: str) -> str:
    """What tables call a metric, with the factor that they print it by."""
    factor = _FACTORS.get(metric, 1)
    return METRICS[metric].title + (f" x{factor}" if factor != 1 else "")


def shown_difference(metric: str, found: Interval) -> str:
    """A difference of scores as tables print it, with the factor and digits that scores have."""
    factor = _FACTORS.get(metric, 1)
    return found.times(factor).shown(_DIGITS.get(metric, METRICS[metric].digits))


def rank_scores(metric: str, scores: Sequence[float | None]) -> list[Cell]:
    """The scores as printed, the best and the second best of them marked."""
    digits = _DIGITS.get(metric, METRICS[metric].digits)
    factor = _FACTORS.get(metric, 1)
    texts = ["-" if score is None else f"{score * factor:.{digits}f}" for score in scores]
    # Ranked as printed: what looks equal is equal.
    values = sorted(
        {float(text) for text in texts if text != "-"}, reverse=METRICS[metric].higher_is_better
    )
    ranks = {value: rank for rank, value in enumerate(values[:2], start=1)}
    return [Cell(text, 0 if text == "-" else ranks.get(float(text), 0)) for text in texts]


def as_text(table: ClipTable) -> str:
    """For a terminal: * behind the best, + behind the second best."""
    marks = ("", "*", "+")
    groups = [
        [clip, *(cell.text + marks[cell.rank] for cell in cells)] for clip, cells in table.rows
    ]
    ranked = any(cell.rank for _, cells in table.rows for cell in cells)
    lines = [table.title + "; * best, + second best" * ranked]
    for number, title in enumerate(table.header[1:], start=1):
        lines.append(f"  ({number}) {title}")
    numbers = [f"({number})" for number in range(1, len(table.header))]
    return "\n".join([*lines, format_columns([table.header[0], *numbers], groups)])


def check_format(path: Path) -> None:
    """Raises `ValueError` unless `render` can write files of this name."""
    if path.suffix not in FORMATS:
        raise ValueError(f"{path}: accepted are files named {', '.join(FORMATS)}")


def show(table: ClipTable, output: Path | None) -> None:
    """Prints a table, and writes it if a file is named."""
    print(as_text(table))
    if output is not None:
        write_whole(output, render(table, output))


def render(table: ClipTable, path: Path) -> str:
    """The text of a file, in the format that its name ends with.

    Raises:
      ValueError: for another ending.
    """
    check_format(path)
    writers: dict[str, Callable[[ClipTable], str]] = {
        ".md": as_markdown,
        ".csv": _as_csv,
        ".html": as_html,
    }
    return writers[path.suffix](table)


def as_markdown(table: ClipTable) -> str:
    """Rows of Markdown, without the title; best bold, second best underlined."""
    marks = ("{}", "**{}**", "<u>{}</u>")
    lines = [table.header, ("---", *("---:" for _ in table.header[1:]))]
    for clip, cells in table.rows:
        lines.append((clip, *(marks[cell.rank].format(cell.text) for cell in cells)))
    rows = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _as_csv(table: ClipTable) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.header)
    for clip, cells in table.rows:
        writer.writerow([clip, *(cell.text for cell in cells)])
    return text.getvalue()


def as_html(table: ClipTable) -> str:
    """A <table> with its caption."""
    marks = ("{}", "<b>{}</b>", "<u>{}</u>")
    head = "".join(f"<th scope=col>{html.escape(title)}</th>" for title in table.header)
    body = []
    for clip, cells in table.rows:
        scores = "".join(f"<td>{marks[cell.rank].format(cell.text)}</td>" for cell in cells)
        body.append(f"<tr><th scope=row>{html.escape(clip)}</th>{scores}</tr>")
    caption = f"<caption>{html.escape(table.title)}; bold: best, underlined: second</caption>"
    rows = "\n".join(body)
    return (
        f"<table>\n{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n"
    )
