"""A folder of results kept by what they were made from, so that no work is done twice.

    WORKDIR/references/<key>.mkv .json     the clips as they are compared
    WORKDIR/encodes/<key>.mkv .json        those encoded at one bitrate
    WORKDIR/scores/<key>.json              the scores of one curve's frames at one bitrate
    WORKDIR/shown/<key>.json               what is known of a video that a study shows

A key is the SHA-256 of everything that decides the content. A result is there when its .json is,
which is written last and renamed into place: a killed run leaves only hidden temporary files. One
whose video somebody has removed is made again.
"""

import contextlib
import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervegan_jax.evaluation.results import write_whole
from supervegan_jax.video import probe
from supervegan_jax.video.ffmpeg import VideoError

KINDS = ("references", "encodes", "scores", "shown")
_WITH_VIDEO = ("references", "encodes")
NUMBER = (int, float)
# What the readers of a result take from it.
_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "references": {
        **{"width": int, "height": int, "frame_count": int},
        **{"fps": str, "source_sha256": str},
    },
    "encodes": {"measured_kbps": NUMBER},
    "scores": {"scores": dict},
    "shown": {"psnr_db": (*NUMBER, type(None))},
}
_SCORE: dict[str, type | tuple[type, ...]] = {"mean": (*NUMBER, type(None)), "frames": int}
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
          ValueError: another process is at work there, a file is in the way, or work inside came
            upon a damaged video of this folder.
          OSError: the folder cannot be made or written.
        """
        try:
            for kind in self._kinds:
                (self.root / kind).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ValueError(f"workdir {self.root}: a file is in the way of a folder") from error
        with open(self.root / ".lock", "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"another process is at work in {self.root}") from None
            for kind in self._kinds:
                for leftover in (self.root / kind).glob(".*.tmp"):
                    leftover.unlink()
            with self.telling_damaged("you run this again"):
                yield

    @contextlib.contextmanager
    def telling_damaged(self, when: str) -> Iterator[None]:
        """Says of an error that a damaged video of this folder causes what mends it, and `when`.

        Raises:
          ValueError: work inside came upon one.
        """
        try:
            yield
        except VideoError as error:
            folders = "|".join(re.escape(str(self.root / kind)) for kind in _WITH_VIDEO)
            for path in re.findall(rf"(?:{folders})/[0-9a-f]+\.mkv", str(error)):
                try:
                    probe.list_packets(path)
                except VideoError:
                    message = f"{error}; remove {path}, and it is made again when {when}"
                    raise ValueError(message) from error
            raise

    def key(self, **fields: Any) -> str:
        """The name of what is made from `fields` (JSON values)."""
        text = json.dumps({"version": VERSION, **fields}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def video(self, kind: str, key: str) -> Path:
        """Where the video of a result lies."""
        return self.root / kind / f"{key}.mkv"

    def read(self, kind: str, key: str) -> dict[str, Any] | None:
        """What is known of a result, None if it or its video has not been made.

        Raises:
          ValueError: the file is damaged.
        """
        path = self.root / kind / f"{key}.json"
        if not path.exists() or (kind in _WITH_VIDEO and not self.video(kind, key).exists()):
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            check_fields(content, _FIELDS.get(kind, {}))
            for score in content["scores"].values() if kind == "scores" else ():
                check_fields(score, _SCORE)
        except ValueError as error:
            raise ValueError(f"{path} is damaged ({error}); remove it") from error
        return dict(content)

    def write(self, kind: str, key: str, content: Mapping[str, Any]) -> None:
        """Keeps what is known of a result; its video, if it has one, is there already."""
        path = self.root / kind / f"{key}.json"
        write_whole(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def check_fields(content: Any, fields: Mapping[str, type | tuple[type, ...]]) -> None:
    """Raises `ValueError` unless `content` is an object with these fields, of these types."""
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    for name, kinds in fields.items():
        if name not in content or not isinstance(content[name], kinds):
            raise ValueError(f"{name!r} is missing or of another type")
