"""Where prepared data lies on disk, and how it is written so that a killed run can go on.

    DATA/sources/<checksum>.json                              scene cuts found in a source
    DATA/clips/<clip_id>.mkv .json                            ground truth
    DATA/encodes/<clip_id>/<codec>_<kbps>k_x<scale>.mkv .json inputs

A video counts as done when its .json is there: that is written last. Everything is written under a
hidden temporary name and renamed.
"""

import contextlib
import dataclasses
import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from supervegan_jax.data.records import encode_path
from supervegan_jax.video.writer import temporary_name

Entry = TypeVar("Entry")
FEWEST_FRAMES = 5  # of a clip: what SUPERVEGAN reads at once


@dataclasses.dataclass(frozen=True)
class Clip:
    """A ground-truth clip, as its .json tells it.

    Attributes:
      clip_id: unique name, of letters, digits, "-" and "_".
      source: the video it was cut from.
      source_sha256: checksum of that file.
      first_frame: index of its first frame in the source.
      frame_count: its frames.
      width, height: in pixels.
      fps: frames per second as a fraction, such as "30000/1001".
      filters: ffmpeg's filters from the source's frames to the clip's.
      command: the ffmpeg arguments that wrote it.
    """

    clip_id: str
    source: str
    source_sha256: str
    first_frame: int
    frame_count: int
    width: int
    height: int
    fps: str
    filters: str
    command: list[str]

    @property
    def rate(self) -> Fraction:
        """Frames per second."""
        return Fraction(self.fps)


@dataclasses.dataclass(frozen=True)
class ClipEncode:
    """One encode of a clip, as its .json tells it; rates in kbit/s, sizes in pixels."""

    clip_id: str
    codec: str
    scale: int
    target_kbps: int
    measured_kbps: float
    off_target: bool
    frame_count: int
    width: int
    height: int
    command: list[str]


def named_paths(names: Iterable[str | Path]) -> list[Path]:
    """Files and folders as the user names them.

    Raises:
      ValueError: a name is empty, which `Path` takes for the current folder.
    """
    given = list(names)
    if "" in given:
        raise ValueError("an empty name is given; accepted: files and folders, '.' for this one")
    return [Path(name) for name in given]


def clip_path(data: Path, clip_id: str) -> Path:
    """The ground-truth video of a clip."""
    return data / "clips" / f"{clip_id}.mkv"


def read_clips(data: Path, ids: Sequence[str] | None = None) -> list[Clip]:
    """The finished clips of a data folder, by id.

    Args:
      data: the folder.
      ids: those to take; None is all.

    Raises:
      ValueError: there is none, none of an id, or its .json is damaged.
    """
    clips = [read_entry(Clip, path) for path in sorted((data / "clips").glob("*.json"))]
    if not clips:
        raise ValueError(f"no clips in {data}; make them with python -m data_prep.clips")
    if ids is None:
        return clips
    unknown = set(ids) - {clip.clip_id for clip in clips}
    if unknown:
        raise ValueError(f"no clip {min(unknown)} in {data}")
    return [clip for clip in clips if clip.clip_id in ids]


def read_encode(data: Path, clip_id: str, codec: str, kbps: int, scale: int) -> ClipEncode | None:
    """One finished encode, None if it has not been made.

    Raises:
      ValueError: its .json is damaged.
    """
    path = encode_path(data, clip_id, codec, kbps, scale).with_suffix(".json")
    return read_entry(ClipEncode, path) if path.exists() else None


def read_entry(kind: type[Entry], path: Path) -> Entry:
    """Reads what a .json tells of a clip, an encode or a source.

    Raises:
      ValueError: it is damaged: no JSON object, or a field is missing or of another type.
    """
    content, values = read_json(path), {}
    for name, hint in get_type_hints(kind).items():
        wanted, values[name] = get_origin(hint) or hint, content.get(name)
        if not isinstance(values[name], wanted):
            raise ValueError(
                f"{path} is damaged: {name} is {_brief(values[name])}, must be of type "
                f"{wanted.__name__}"
            )
    return kind(**values)


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
      ValueError: it is no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds no JSON object")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object; the file appears complete or not at all."""
    temporary = temporary_name(path)
    try:
        text = json.dumps(content, indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it.

    Raises:
      OSError: it cannot be made, a file being in its place, say.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the folder {folder}: {error.strerror}") from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps a folder for this process alone, and clears what a killed one left half-written.

    Raises:
      ValueError: another process is at work there.
      OSError: the folder cannot be written.
    """
    make_folder(folder)
    with open(folder / ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is preparing data in {folder}") from None
        for place in (folder, folder / "clips", folder / "sources", *folder.glob("encodes/*")):
            for leftover in place.glob(".*.tmp"):
                leftover.unlink(missing_ok=True)
        yield


def begin(
    path: Path, options: Mapping[str, Any], *, results: Sequence[str], scraps: Sequence[str] = ()
) -> None:
    """Keeps the options that a folder is begun with, or holds a later run to them.

    Options that nothing has come of, mistyped ones say, make way for others.

    Args:
      path: the file that keeps them.
      options: what the result depends on; JSON values.
      results: patterns of the files below the same folder that come of them.
      scraps: patterns of files that depend on them but are no result; removed where they change.

    Raises:
      ValueError: an option differs from the first run's; it is named, and nothing is written.
    """
    options = json.loads(json.dumps(options))
    if path.exists():
        begun = read_json(path)
        changed = [n for n in sorted({*begun, *options}) if begun.get(n) != options.get(n)]
        if not changed:
            return
        if any(file for pattern in results for file in path.parent.glob(pattern)):
            raise ValueError(
                f"{path.parent} was begun with {changed[0]} {_brief(begun.get(changed[0]))}, now "
                f"it is {_brief(options.get(changed[0]))}; give the same options or another folder"
            )
        for pattern in scraps:
            for file in path.parent.glob(pattern):
                file.unlink()
    write_json(path, options)


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:200] + ".."
