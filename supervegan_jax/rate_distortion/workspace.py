"""A folder of results kept by what they were made from, so that no work is done twice.

    WORKDIR/references/<key>.mkv .json     the clips as they are compared
    WORKDIR/encodes/<key>.mkv .json        those encoded at one bitrate
    WORKDIR/scores/<key>.json              the scores of one curve's frames at one bitrate
    WORKDIR/shown/<key>.json               what is known of a video that a study shows

A key is the SHA-256 of everything that decides the content. A result is there when its .json is,
which is written last and renamed into place: a killed run leaves only hidden temporary files.
"""

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervegan_jax.evaluation.results import write_whole

KINDS = ("references", "encodes", "scores", "shown")
# Raised when results made by an earlier version can no longer be taken for this one's.
VERSION = 1


class Workspace:
    """The folder; see the module."""

    def __init__(self, root: Path, kinds: Sequence[str] = KINDS):
        """Names the folder and those in it; they are made by `locked`."""
        self.root, self._kinds = root, tuple(kinds)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps the folder for this process alone and clears what a killed one left half-written.

        Raises:
          ValueError: another process is at work there.
          OSError: the folder cannot be made or written.
        """
        for kind in self._kinds:
            (self.root / kind).mkdir(parents=True, exist_ok=True)
        with open(self.root / ".lock", "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"another process is at work in {self.root}") from None
            for kind in self._kinds:
                for leftover in (self.root / kind).glob(".*.tmp"):
                    leftover.unlink()
            yield

    def key(self, **fields: Any) -> str:
        """The name of what is made from `fields` (JSON values)."""
        text = json.dumps({"version": VERSION, **fields}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def video(self, kind: str, key: str) -> Path:
        """Where the video of a result lies."""
        return self.root / kind / f"{key}.mkv"

    def read(self, kind: str, key: str) -> dict[str, Any] | None:
        """What is known of a result, None if it has not been made.

        Raises:
          ValueError: the file is damaged.
        """
        path = self.root / kind / f"{key}.json"
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}); remove it") from error
        return dict(content)

    def write(self, kind: str, key: str, content: Mapping[str, Any]) -> None:
        """Keeps what is known of a result; its video, if it has one, is there already."""
        path = self.root / kind / f"{key}.json"
        write_whole(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
