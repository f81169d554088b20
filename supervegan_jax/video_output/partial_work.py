"""The folder in which an unfinished output waits: whose work it is, and what of it is done."""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

import av

from supervegan_jax.video_input.source import Source
from supervegan_jax.video_output import segments
from supervegan_jax.video_output.segments import VideoSettings

MANIFEST_VERSION: Final = 1
IDENTITY_BYTES: Final = 1 << 20
# All that a run ever puts into its folder; anything else is somebody's own.
LOCK: Final = "lock"
OWN_NAMES: Final = re.compile(
    rf"{LOCK}|manifest\.(json|tmp)|\d{{6,}}\.(segment|tmp)|trial(_video)?\.\w+"
    r"|(video|finished)\.\w+|chapters\.ffmetadata|cover\d+\.\w+"
)


def make_manifest(
    source: Source, settings: VideoSettings, job: dict[str, Any], drop: Sequence[int]
) -> dict[str, Any]:
    """Everything the bytes of the output depend on, as JSON values."""
    encoding = dataclasses.asdict(settings.encoding)
    manifest = {
        "version": MANIFEST_VERSION,
        "input": None if source.path is None else _identity(source.path),
        **encoding,
        "rate": str(settings.rate),
        "format": dataclasses.asdict(settings.format),
        "start": str(source.start),
        "end": str(source.end),
        "drop": sorted(drop),
        "libraries": f"PyAV {av.__version__}",
        "job": job,
    }
    return dict(json.loads(json.dumps(manifest)))


def _identity(path: Path) -> dict[str, Any]:
    """Size, time of change, and a checksum of the first and the last MiB."""
    status = path.stat()
    checksum = hashlib.sha256()
    with path.open("rb") as file:
        checksum.update(file.read(IDENTITY_BYTES))
        file.seek(max(0, status.st_size - IDENTITY_BYTES))
        checksum.update(file.read(IDENTITY_BYTES))
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": checksum.hexdigest()}


def claim(folder: Path, manifest: dict[str, Any], overwrite: bool, fresh: bool) -> IO[str]:
    """Takes the folder of partial work for this process, until what is returned is closed.

    What lies there of the same work is kept, unless `fresh`; all else is removed.

    Raises:
      ValueError: the folder holds other files, other work, or another process writes there.
    """
    check(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(
            f"output {str(folder).removesuffix('.partial')}: the folder for unfinished work "
            f"cannot be made beside it ({error.strerror})"
        ) from error
    lock = (folder / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ValueError(f"{folder} is in use: another process is writing this output") from None
    try:
        same = is_same_work(folder, manifest, overwrite) and not fresh
    except BaseException:
        lock.close()
        raise
    for leftover in folder.iterdir():
        if leftover.name != LOCK and not (same and leftover.suffix in (".segment", ".json")):
            leftover.unlink()
    if not same:
        temporary = folder / "manifest.tmp"
        temporary.write_text(json.dumps(manifest, indent=1))
        os.replace(temporary, folder / "manifest.json")
    return lock


def is_same_work(folder: Path, manifest: dict[str, Any], overwrite: bool) -> bool:
    """Whether the work that lies in a folder is that of `manifest`.

    Raises:
      ValueError: it is other work that may not be thrown away.
    """
    path = folder / "manifest.json"
    if not path.exists():
        return False
    found = json.loads(path.read_text())
    different = _differences(found, manifest)
    # What came from a pipe cannot be gone on with, so it is in nobody's way.
    precious = found["input"] is not None and any(folder.glob("*.segment"))
    if different and precious and not overwrite:
        raise ValueError(
            f"{folder} holds the unfinished work of another run ({', '.join(different)}); "
            "give the same options to go on, or --overwrite to start again"
        )
    return not different


def folder_of(output: Path) -> Path:
    """Where the unfinished work on an output lies."""
    return output.with_name(f"{output.name}.partial")


def check(folder: Path) -> None:
    """Raises `ValueError` unless the folder is missing, empty or made by a run of ours."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is needed for unfinished work, but it is a file; move it away")
    names = sorted(path.name for path in folder.iterdir())
    strange = [n for n in names if not OWN_NAMES.fullmatch(n) or not (folder / n).is_file()]
    if names and not strange and LOCK not in names:
        strange = names
    if strange:
        raise ValueError(
            f"{folder} is needed for unfinished work, but it holds {strange[0]}, which is not of "
            "a run; move it away"
        )


def remove(folder: Path) -> None:
    """Removes what a run has made; what somebody else has put there meanwhile stays.

    The lock goes last: without it the folder would not be known as a run's.
    """
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir(), key=lambda path: path.name == LOCK):
            if OWN_NAMES.fullmatch(path.name):
                path.unlink()
        folder.rmdir()


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    lines = []
    for key in {**found, **wanted}:
        old, new = found.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += _differences(old, new)
        elif old != new and key != "threads":
            lines.append(f"{key} {json.dumps(old)} instead of {json.dumps(new)}")
    return lines


def finished_segments(folder: Path, frames: int) -> list[Path]:
    """The complete segments from the first on; anything behind a gap or too short is removed."""
    done: list[Path] = []
    for path in sorted(folder.glob("*.segment")):
        is_next = path == segments.segment_path(folder, len(done))
        if is_next and len(segments.list_packets(path)) == frames:
            done.append(path)
        else:
            path.unlink()
    return done
