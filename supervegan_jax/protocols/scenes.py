"""Scene lists: a CSV of name, start and end, to be edited by hand."""

import csv
import dataclasses
import re
from fractions import Fraction
from pathlib import Path

COLUMNS = ("name", "start", "end")


@dataclasses.dataclass(frozen=True)
class Scene:
    """A stretch of a film: frames `start` to `end` - 1, counted from 0."""

    name: str
    start: int
    end: int


def read_scenes(path: Path, fps: Fraction) -> list[Scene]:
    """Reads a scene list.

    Args:
      path: CSV with the header name,start,end; lines that begin with # are left out. A whole number
        is a frame, counted from 0; with an s behind it, it is seconds ("95.5s"). The end is the
        frame after the last.
      fps: of the film.

    Raises:
      ValueError: no such file, not UTF-8, another header, a line that cannot be read, an empty
        scene, or a name twice.
    """
    if not path.is_file():
        raise ValueError(f"no scene list {path}")
    try:
        lines = [x for x in path.read_text(encoding="utf-8").splitlines() if x.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error
    rows = list(csv.reader(line for line in lines if not line.startswith("#")))
    if not rows or tuple(cell.strip() for cell in rows[0]) != COLUMNS:
        raise ValueError(f"{path}: the first line must be {','.join(COLUMNS)}")
    scenes = []
    for row in rows[1:]:
        if len(row) != len(COLUMNS) or not row[0].strip():
            raise ValueError(f"{path}: {','.join(row)!r}; a line is name,start,end")
        start, end = (_frame(path, cell.strip(), fps) for cell in row[1:])
        if end <= start:
            raise ValueError(f"{path}: {','.join(row)!r} ends before it begins")
        scenes.append(Scene(row[0].strip(), start, end))
    names = [scene.name for scene in scenes]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{path}: two scenes are called {name!r}")
    if not scenes:
        raise ValueError(f"{path} names no scene")
    return scenes


def _frame(path: Path, text: str, fps: Fraction) -> int:
    if re.fullmatch(r"\d{1,9}", text):
        return int(text)
    if re.fullmatch(r"\d{1,6}(\.\d{1,6})?s", text):
        return round(Fraction(text[:-1]) * fps)
    raise ValueError(f"{path}: {text!r}; a frame such as 720 or seconds such as 30s are accepted")
