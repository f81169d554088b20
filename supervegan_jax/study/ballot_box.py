"""The study's SQLite file: who takes part, and every vote in a transaction of its own."""

import contextlib
import dataclasses
import datetime
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from supervegan_jax.study.votes import FILE, SCHEMA, Vote

_OBSERVERS: Final = """
CREATE TABLE IF NOT EXISTS observers (
    observer TEXT PRIMARY KEY,
    place INTEGER UNIQUE,
    source TEXT NOT NULL CHECK (source IN ('page', 'mturk')),
    begun_at TEXT NOT NULL
)
"""
_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Vote))
_INSERT: Final = (
    f"INSERT INTO votes ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"
)


def now() -> str:
    """The time as it is stored: ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


class BallotBox:
    """Writes observers and votes; may be used from several threads.

    A vote that `cast` has returned for survives a killed process and a power cut: the log is
    written ahead (WAL) and synchronised with the disk before the transaction ends.
    """

    def __init__(self, folder: Path):
        """Opens or makes votes.sqlite.

        Raises:
          ValueError: the file is no database of ours.
          OSError: it cannot be written.
        """
        self.path = folder / FILE
        self._lock = threading.Lock()
        try:
            # Every statement is its own transaction unless one is begun.
            self._connection = sqlite3.connect(
                self.path, timeout=30, isolation_level=None, check_same_thread=False
            )
            mode = self._connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(SCHEMA)
            self._connection.execute(_OBSERVERS)
        except sqlite3.Error as error:
            raise ValueError(f"{self.path} cannot be opened: {error}") from error
        if mode != "wal":
            raise ValueError(f"{self.path}: its file system has no shared memory, which WAL needs")

    def close(self) -> None:
        """Ends writing; the log is taken into the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def enter(self, observer: str) -> int:
        """Adds an observer; gives the next free place, from 0."""
        with self._transaction() as connection:
            place = connection.execute("SELECT coalesce(max(place) + 1, 0) FROM observers")
            number = int(place.fetchone()[0])
            connection.execute(
                "INSERT INTO observers VALUES (?, ?, 'page', ?)", (observer, number, now())
            )
        return number

    def place(self, observer: str) -> int | None:
        """Where an observer of the page came; None for a stranger."""
        with self._lock:
            row = self._connection.execute(
                "SELECT place FROM observers WHERE observer = ?", (observer,)
            ).fetchone()
        return None if row is None else row[0]

    def observers(self) -> int:
        """How many have agreed to take part."""
        with self._lock:
            return int(self._connection.execute("SELECT count(*) FROM observers").fetchone()[0])

    def given(self, observer: str) -> int:
        """How many votes an observer has given."""
        with self._lock:
            row = self._connection.execute(
                "SELECT count(*) FROM votes WHERE observer = ?", (observer,)
            ).fetchone()
        return int(row[0])

    def choice(self, observer: str, trial: int) -> str | None:
        """What an observer chose in a trial; None if nothing yet."""
        with self._lock:
            row = self._connection.execute(
                "SELECT choice FROM votes WHERE observer = ? AND trial = ?", (observer, trial)
            ).fetchone()
        return None if row is None else str(row[0])

    def cast(self, vote: Vote) -> None:
        """Keeps a vote.

        Raises:
          ValueError: the observer has voted in this trial before.
        """
        try:
            with self._transaction() as connection:
                connection.execute(_INSERT, dataclasses.astuple(vote))
        except sqlite3.IntegrityError:
            raise ValueError(f"trial {vote.trial} has its vote already") from None

    def add(self, votes: Iterable[Vote]) -> tuple[int, int]:
        """Keeps votes given elsewhere, all or none.

        Returns:
          How many are new, and how many were there already.

        Raises:
          ValueError: one contradicts a vote that is there.
        """
        new = known = 0
        with self._transaction() as connection:
            for vote in votes:
                row = connection.execute(
                    "SELECT pair, choice FROM votes WHERE observer = ? AND trial = ?",
                    (vote.observer, vote.trial),
                ).fetchone()
                if row is None:
                    connection.execute(
                        "INSERT OR IGNORE INTO observers VALUES (?, NULL, 'mturk', ?)",
                        (vote.observer, vote.given_at or now()),
                    )
                    connection.execute(_INSERT, dataclasses.astuple(vote))
                    new += 1
                elif row == (vote.pair, vote.choice):
                    known += 1
                else:
                    raise ValueError(
                        f"observer {vote.observer} has chosen {row[1]} in trial {vote.trial} "
                        f"before, now {vote.choice}"
                    )
        return new, known
