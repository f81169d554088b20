"""Votes as every part of the study knows them, in SQLite or CSV."""

import csv
import dataclasses
import math
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

KINDS: Final = ("plain", "repeat", "catch")
SIDES: Final = ("left", "right")
SOURCES: Final = ("model", "reference")
# What stands in the model's place of a catch pair: the clip itself, of no bitrate.
ORIGINAL: Final = "original"
REQUIRED: Final = ("observer", "clip", "model", "input_kbps", "reference_kbps", "prefer")
FILE: Final = "votes.sqlite"

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS votes (
    id INTEGER PRIMARY KEY,
    observer TEXT NOT NULL,
    trial INTEGER NOT NULL,
    pair TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('plain', 'repeat', 'catch')),
    clip TEXT NOT NULL,
    model TEXT NOT NULL,
    input_kbps REAL NOT NULL,
    reference_kbps REAL NOT NULL,
    model_side TEXT NOT NULL CHECK (model_side IN ('left', 'right')),
    choice TEXT NOT NULL CHECK (choice IN ('left', 'right')),
    prefer TEXT NOT NULL CHECK (prefer IN ('model', 'reference')),
    correct TEXT CHECK (correct IN ('model', 'reference')),
    given_at TEXT NOT NULL,
    UNIQUE (observer, trial)
)
"""


@dataclasses.dataclass(frozen=True)
class Vote:
    """One answer to "Which video do you prefer based on its quality?".

    Attributes:
      observer: a random pseudonym.
      clip: name of the clip.
      model: name of the network; `ORIGINAL` in a catch pair.
      input_kbps: target bitrate of the network's input; 0 in a catch pair.
      reference_kbps: target bitrate of H.264 at full size.
      prefer: "model" or "reference", what was chosen.
      trial: place in the observer's plan, from 1.
      pair: what was shown, whatever the sides; equal in both votes on a repeated pair.
      kind: "plain", "repeat" (the pair was shown to this observer before) or "catch" (the answer
        is known).
      model_side: "left" or "right", where the network's video stood; None if unknown.
      choice: "left" or "right", the side chosen; None if unknown.
      correct: "model" or "reference" for a catch pair, else None.
      given_at: ISO 8601, UTC; None if unknown.
    """

    observer: str
    clip: str
    model: str
    input_kbps: float
    reference_kbps: float
    prefer: str
    trial: int
    pair: str
    kind: str = "plain"
    model_side: str | None = None
    choice: str | None = None
    correct: str | None = None
    given_at: str | None = None

    def __post_init__(self) -> None:
        for name in ("observer", "clip", "model", "pair"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty")
        _check_word("prefer", self.prefer, SOURCES)
        _check_word("kind", self.kind, KINDS)
        for name, words in (("model_side", SIDES), ("choice", SIDES), ("correct", SOURCES)):
            if getattr(self, name) is not None:
                _check_word(name, getattr(self, name), words)
        least = 0.0 if self.kind == "catch" else math.ulp(0.0)
        for name, low in (("input_kbps", least), ("reference_kbps", math.ulp(0.0))):
            if not (low <= getattr(self, name) < math.inf):
                raise ValueError(f"{name} {getattr(self, name):g}; a number above 0 is accepted")
        if (self.kind == "catch") != (self.correct is not None):
            raise ValueError(f"correct {self.correct} of kind {self.kind}; catch pairs have it")
        known = self.model_side is not None and self.choice is not None
        if known and (self.choice == self.model_side) != (self.prefer == "model"):
            raise ValueError(
                f"prefer {self.prefer!r}, but choice {self.choice!r} and the model was at the "
                f"{self.model_side}"
            )


def _check_word(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise ValueError(f"{name} {value!r}; accepted: {', '.join(accepted)}")


def other_side(side: str) -> str:
    """ "right" for "left" and the other way round."""
    return SIDES[1 - SIDES.index(side)]


def pair_name(clip: str, model: str, input_kbps: float, reference_kbps: float) -> str:
    """What tells a pair from others: "CLIP/MODEL@INPUT/REFERENCE"."""
    return f"{clip}/{model}@{input_kbps:g}/{reference_kbps:g}"


def read_votes(path: Path) -> list[Vote]:
    """Reads all votes, also while the server writes.

    Args:
      path: a study's folder, its SQLite file, or a CSV with at least the columns `REQUIRED`. In a
        CSV, the other fields of `Vote` are optional columns whose cells may be empty: `trial`
        counts an observer's rows, `pair` is made of clip, model and bitrates, `kind` is "repeat"
        for an observer's further votes on a pair, and `choice` follows from `model_side`.

    Returns:
      Votes in the order they were given.

    Raises:
      ValueError: a folder without votes, another file, a missing column or a value that is not
        accepted; it names the row and the value.
      OSError: the file cannot be read.
    """
    if path.is_dir():
        path = path / FILE
        if not path.exists():
            raise ValueError(f"{path.parent} has no {FILE}; serve and import-mturk make it")
    with open(path, "rb") as file:
        start = file.read(16)
    return _read_sqlite(path) if start == b"SQLite format 3\0" else _read_csv(path)


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Opens a database for reading, beside a process that writes it."""
    uri = path.absolute().as_uri() + "?mode=ro"
    # A reader has to make the log's index; where it may not and no log is left, none is needed.
    if not os.access(path.absolute().parent, os.W_OK) and not Path(f"{path}-wal").exists():
        uri += "&immutable=1"
    connection = sqlite3.connect(uri, uri=True, timeout=30)
    connection.row_factory = sqlite3.Row
    return connection


def _read_sqlite(path: Path) -> list[Vote]:
    names = [field.name for field in dataclasses.fields(Vote)]
    try:
        connection = connect_read_only(path)
        try:
            rows = connection.execute(
                f"SELECT id, {', '.join(names)} FROM votes ORDER BY id"
            ).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise ValueError(f"{path} holds no votes that can be read: {error}") from error
    votes = []
    for row in rows:
        try:
            votes.append(Vote(**{name: row[name] for name in names}))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, vote {row['id']}: {error}") from None
    return votes


def _read_csv(path: Path) -> list[Vote]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return list(_votes_of_rows(csv.DictReader(file, strict=True), path))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is neither a study's SQLite file nor a CSV in UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV: {error}") from None


def _votes_of_rows(reader: "csv.DictReader[str]", path: Path) -> Iterator[Vote]:
    present = reader.fieldnames or []
    missing = [name for name in REQUIRED if name not in present]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}; needed are {', '.join(REQUIRED)}"
        )
    counts: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    trials: set[tuple[str, int]] = set()
    for cells in reader:
        place = f"{path}, line {reader.line_num}"
        if None in cells or None in cells.values():
            raise ValueError(f"{place}: not {len(present)} cells as in the first line")
        try:
            counts[cells["observer"]] = counts.get(cells["observer"], 0) + 1
            vote = _vote_of_cells(cells, counts[cells["observer"]], seen)
            if (vote.observer, vote.trial) in trials:
                raise ValueError(f"trial {vote.trial} of observer {vote.observer!r} stands twice")
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        seen.add((vote.observer, vote.pair))
        trials.add((vote.observer, vote.trial))
        yield vote


def _vote_of_cells(cells: dict[str, str], count: int, seen: set[tuple[str, str]]) -> Vote:
    given = {name: cell.strip() for name, cell in cells.items() if cell.strip()}
    fields: dict[str, Any] = {name: given.get(name, "") for name in REQUIRED}
    for name in ("input_kbps", "reference_kbps"):
        fields[name] = _number(name, fields[name])
    for name in ("model_side", "choice", "correct", "given_at"):
        fields[name] = given.get(name)
    fields["trial"] = _trial(given["trial"]) if "trial" in given else count
    fields["pair"] = given.get("pair") or pair_name(
        fields["clip"], fields["model"], fields["input_kbps"], fields["reference_kbps"]
    )
    again = (fields["observer"], fields["pair"]) in seen
    fields["kind"] = given.get("kind") or ("repeat" if again else "plain")
    if fields["model_side"] in SIDES and fields["choice"] is None:
        ours = fields["model_side"]
        fields["choice"] = ours if fields["prefer"] == "model" else other_side(ours)
    return Vote(**fields)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} {text!r}; a number of kbit/s is accepted") from None


def _trial(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"trial {text!r}; a whole number is accepted") from None
