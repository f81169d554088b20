"""The directory of one run: its lock, its config, its signals."""

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


@contextmanager
def locked(workdir: Path, *, wait: bool = False) -> Iterator[None]:
    """Makes `workdir` and holds it for this process; the lock ends with the process.

    Args:
      workdir: the directory.
      wait: for another run to let go of it, however long.

    Raises:
      OSError: it cannot be made or written.
      ValueError: another run holds it, and there is no waiting.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        handle = (workdir / ".lock").open("w")
    except OSError as error:
        raise OSError(f"the workdir {workdir} cannot be written: {error.strerror}") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise ValueError(
                f"another run is using the workdir {workdir}; choose another --workdir or wait"
            ) from error
        yield


@contextmanager
def stop_flag() -> Iterator[list[int]]:
    """A list that a SIGTERM or the first Ctrl-C puts its number in, polled at every step.

    The second Ctrl-C interrupts at once.
    """
    flag: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and signum in flag:
            raise KeyboardInterrupt
        flag.append(signum)

    signals = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell has it behind "&"
        signals.append(signal.SIGINT)
    previous = {signum: signal.signal(signum, note) for signum in signals}
    try:
        yield flag
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def git_revision() -> str:
    """The revision of the source tree, "+changes" if it was edited, "" outside a git checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        revision = _git(root, "rev-parse", "HEAD")
        return revision + ("+changes" if _git(root, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def write_json(path: Path, value: Any) -> None:
    """Writes JSON beside `path` and renames it there."""
    beside = path.with_name(path.name + ".tmp")
    beside.write_text(json.dumps(value, indent=2, default=str) + "\n", encoding="utf-8")
    os.replace(beside, path)
