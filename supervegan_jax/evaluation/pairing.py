"""Which picture of the distorted goes with which of the reference, streamed one pair at a time."""

import dataclasses
import functools
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from supervegan_jax.evaluation.colour_notes import compare_pictures
from supervegan_jax.evaluation.pictures import is_picture, read_picture
from supervegan_jax.ops.color import planes_to_rgb
from supervegan_jax.video.ffmpeg import require_file
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.video_input.source import Source, open_source

KINDS = ("video", "picture", "folder")


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two pictures to compare.

    Attributes:
      name: the frame's number from 0, six digits, or the picture's file name without its suffix.
      reference, distorted: float32 RGB in [0, 1], [1, h, w, 3].
    """

    name: str
    reference: Any
    distorted: Any


@dataclasses.dataclass(frozen=True)
class Pairing:
    """Two things whose pictures belong together.

    Attributes:
      reference, distorted: the files or folders.
      kind: one of `KINDS`.
      notes: what the user should know about the comparison, one line each; `pairs` may add some.
      count: of pairs, None where it is not known before the end.
    """

    reference: Path
    distorted: Path
    kind: str
    notes: list[str]
    count: int | None
    _sources: tuple[Source, Source] | None = None
    _files: tuple[tuple[Path, Path], ...] = ()

    def pairs(self) -> Iterator[Pair]:
        """Yields the pairs in order.

        Raises:
          ValueError: a size, a time or the number of pictures differs; told with the place.
        """
        if self._sources is not None:
            yield from _pair_frames(*self._sources, self.notes)
            return
        for reference, distorted in self._files:
            x, y = jnp.asarray(read_picture(distorted)), jnp.asarray(read_picture(reference))
            if x.shape != y.shape:
                raise ValueError(
                    f"{reference} is {y.shape[1]}x{y.shape[0]}, {distorted} is "
                    f"{x.shape[1]}x{x.shape[0]}; only pictures of one size can be compared"
                )
            yield Pair(reference.stem, y[None], x[None])


def pair_up(reference: Path, distorted: Path) -> Pairing:
    """Finds out what two paths are and whether they can be compared.

    Args:
      reference: a video, a picture or a folder of pictures, taken for the truth.
      distorted: another of the same kind.

    Raises:
      ValueError: of different kinds, not readable, or different in size, rotation, dynamic range,
        gamut or (folders) in the names of their pictures.
    """
    kinds = [_kind(path) for path in (reference, distorted)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"{reference} is a {kinds[0]}, {distorted} is a {kinds[1]}; two of a kind are needed"
        )
    if kinds[0] == "video":
        sources = open_source(reference), open_source(distorted)
        notes = compare_pictures(*sources)
        return Pairing(reference, distorted, "video", notes, sources[0].frame_count, sources)
    is_folder = kinds[0] == "folder"
    files: tuple[tuple[Path, Path], ...] = ((reference, distorted),)
    if is_folder:
        files = pair_files(reference, distorted, "picture")
    return Pairing(reference, distorted, kinds[0], [], len(files), None, files)


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folder"
    require_file(path)
    return "picture" if is_picture(path) else "video"


def natural_order(name: str) -> list[tuple[int, str]]:
    """A key that sorts names by the numbers in them: 2.png before 10.png."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in parts]


def files_of(folder: Path) -> list[Path]:
    """The files of a folder in natural order, hidden ones and folders left out."""
    paths = sorted(folder.iterdir(), key=lambda path: natural_order(path.name))
    return [p for p in paths if p.is_file() and not p.name.startswith(".")]


def _by_stem(folder: Path, what: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files_of(folder):
        if is_picture(path) != (what == "picture"):
            raise ValueError(f"{path} is no {what}; a folder to compare holds nothing else")
        if path.stem in found:
            raise ValueError(f"{found[path.stem]} and {path} have the same name but for the suffix")
        found[path.stem] = path
    if not found:
        raise ValueError(f"{folder} holds no {what}")
    return found


def pair_files(reference: Path, distorted: Path, what: str) -> tuple[tuple[Path, Path], ...]:
    """The files of two folders that have the same name but for the suffix, in natural order.

    Args:
      reference, distorted: the folders.
      what: "picture" or "video", the kind of every file.

    Raises:
      ValueError: a file is of another kind, stands alone, or shares its name.
    """
    ours, theirs = _by_stem(reference, what), _by_stem(distorted, what)
    for here, there, folder in ((ours, theirs, distorted), (theirs, ours, reference)):
        missing = [path for stem, path in here.items() if stem not in there]
        if missing:
            raise ValueError(
                f"{folder} has no {what} {missing[0].stem!r} to go with {missing[0]} "
                f"({len(missing)} missing; {len(ours)} {what}s against {len(theirs)})"
            )
    return tuple((ours[stem], theirs[stem]) for stem in sorted(ours, key=natural_order))


@functools.partial(jax.jit, static_argnames=("fmt", "depth"))
def _planes_to_rgb(planes: tuple[jax.Array, ...], fmt: FrameFormat, depth: int) -> jax.Array:
    top = (1 << depth) - 1
    rgb = planes_to_rgb(planes, fmt)
    return jnp.clip(jnp.round(rgb * top), 0, top) / top


def frame_to_rgb(frame: VideoFrame, fmt: FrameFormat, depth: int | None = None) -> jax.Array:
    """A frame's picture, rounded to `depth` bits: float32 RGB [1, h, w, 3] in [0, 1].

    Args:
      frame: of a video.
      fmt: its format.
      depth: None is the video's own.
    """
    planes = tuple(plane[None] for plane in frame.planes)
    return _planes_to_rgb(planes, fmt, depth or fmt.bit_depth)


class _Clock:
    """Checks that two videos show their frames at the same times, each from its first one on."""

    def __init__(self, reference: Source, distorted: Source, notes: list[str]):
        self._sources, self._notes = (reference, distorted), notes
        self._first: tuple[Fraction, Fraction] | None = None
        self._last = (Fraction(0), Fraction(0))
        # A time cannot be told better than the coarser of the two files stores it.
        self._tick = max(reference.time_base, distorted.time_base)
        self._shortest: Fraction | None = None

    def check(self, index: int, reference: VideoFrame, distorted: VideoFrame) -> None:
        ours, theirs = self._sources
        at = (reference.pts * ours.time_base, distorted.pts * theirs.time_base)
        if self._first is None:
            self._first = at
            self._note_start(at)
            return
        now = (at[0] - self._first[0], at[1] - self._first[1])
        steps = [now[i] - self._last[i] for i in (0, 1)]
        self._shortest = min([*steps, self._shortest or steps[0]])
        self._last = now
        if abs(now[0] - now[1]) > max(self._shortest / 2, self._tick):
            raise ValueError(
                f"frame {index} is shown at {float(now[0]):.3f} s in {ours.name} and at "
                f"{float(now[1]):.3f} s in {theirs.name} (from the first frame on): a frame is "
                "missing, doubled or late there"
            )

    def _note_start(self, at: tuple[Fraction, Fraction]) -> None:
        ours, theirs = self._sources
        if abs(at[0] - at[1]) > max(1 / (2 * ours.rate), self._tick):
            self._notes.append(
                f"the first frame is shown at {float(at[0]):.3f} s in {ours.name} and at "
                f"{float(at[1]):.3f} s in {theirs.name}: taken for the same frame"
            )


def _pair_frames(reference: Source, distorted: Source, notes: list[str]) -> Iterator[Pair]:
    clock = _Clock(reference, distorted, notes)
    streams = zip_longest(reference.frames(), distorted.frames())
    for index, (ours, theirs) in enumerate(streams):
        if ours is None or theirs is None:
            short, long = (reference, distorted) if ours is None else (distorted, reference)
            raise ValueError(
                f"{short.name} ends after {index} frames, {long.name} has more; only videos with "
                "the same frames can be compared"
            )
        clock.check(index, ours, theirs)
        yield Pair(
            f"{index:06d}",
            frame_to_rgb(ours, reference.format),
            frame_to_rgb(theirs, distorted.format),
        )
