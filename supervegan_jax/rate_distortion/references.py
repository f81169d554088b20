"""The clips that everything is compared with: BT.709 video of even sizes, cut to length."""

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_prep import geometry
from supervegan_jax.evaluation.pictures import read_picture
from supervegan_jax.rate_distortion.curves import RESERVED_NAMES
from supervegan_jax.rate_distortion.settings import FEWEST_FRAMES
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.video import colour, ffmpeg, probe, reader
from supervegan_jax.video.writer import LosslessWriter

SIZE = (1280, 720)


@dataclasses.dataclass(frozen=True)
class Reference:
    """A clip in the workspace.

    Attributes:
      name: how tables and plots call it.
      path: lossless H.264, limited range; BT.709 and width and height multiples of 8 unless kept as
        its source stores it.
      key: of its content.
      source, source_sha256: the file it was made from.
      width, height, fps, frame_count: its own.
      rgb: whether it was made of pictures and holds their RGB; then `path` is lossless RGB.
    """

    name: str
    path: Path
    key: str
    source: str
    source_sha256: str
    width: int
    height: int
    fps: Fraction
    frame_count: int
    rgb: bool = False

    def bits_per_pixel(self, kbps: float) -> float:
        """A bitrate per pixel of the full size, whatever size is encoded."""
        return kbps * 1000 / (float(self.fps) * self.width * self.height)


@dataclasses.dataclass(frozen=True)
class Cut:
    """What of a video becomes a clip, and how.

    Attributes:
      first_frame: where it begins.
      frame_count: its length; None takes all that follow.
      as_stored: keeps size and YCbCr matrix; otherwise it covers 1280x720 in BT.709.
      multiple: of width and height that is demanded of what is kept as stored.
      headerless: width, height and frame rate of a file of bare yuv420p samples.
    """

    first_frame: int = 0
    frame_count: int | None = None
    as_stored: bool = False
    multiple: int = 2
    headerless: tuple[int, int, Fraction] | None = None


def make_reference(workspace: Workspace, source: Path, max_frames: int | None) -> Reference:
    """Makes the clip of a video's first frames (None: of all), unless it is there; `make_cut`."""
    return make_cut(workspace, source, Cut(frame_count=max_frames))


def make_cut(workspace: Workspace, source: Path, cut: Cut) -> Reference:
    """Makes the clip of a part of a video, unless it is there.

    Unless kept as stored, videos larger than 1280x720 (portrait: 720x1280) are scaled down
    bicubically to cover it and cropped about the centre; smaller ones are cropped to multiples of
    8. A variable frame rate becomes its mean.

    Args:
      workspace: keeps it.
      source: any video.
      cut: what of it.

    Raises:
      VideoError: no video, damaged, or of high dynamic range and more than 8 bits. One of 8 bits
        is taken as it is, for BT.709, with a note.
      ValueError: interlaced, of a size that does not suit, or shorter than 5 frames.
    """
    options = () if cut.headerless is None else ffmpeg.headerless_input(*cut.headerless)
    info = probe.probe(source, input_options=options)
    if info.interlaced:
        raise ValueError(f"{source}: its frames are interlaced; deinterlace it first")
    sha256 = digest(source)
    filters, size = _filters(info, cut)
    if info.transfer in colour.HIGH_DYNAMIC_RANGE:
        note = f"note: {source} is of high dynamic range ({info.transfer}) and 8 bits"
        tqdm.write(f"{note}; its samples are taken as they are, for BT.709", file=sys.stderr)
    fields = {"headerless": list(options)} if options else {}
    key = workspace.key(sha256=sha256, filters=filters, **fields)
    known = workspace.read("references", key)
    if known is None:
        fps = cut.headerless[2] if cut.headerless else probe.constant_rate(source, info.fps)
        path = workspace.video("references", key)
        matrix = colour.matrix_tag(info) if cut.as_stored else "bt709"
        width, height = size
        frames = reader.read_raw(source, filters, "yuv420p", width * height * 3 // 2, options)
        writer = LosslessWriter(path, width=width, height=height, fps=fps, matrix=matrix)
        known = _write(writer, frames, source, width, height, fps)
        known |= {"filters": filters, "source": str(source), "source_sha256": sha256}
        workspace.write("references", key, known)
    return _reference(workspace, source.stem, source, key, known)


def digest(path: Path) -> str:
    """SHA-256 of a file; a film of many scenes is read once."""
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _digest(path: Path, size: int, changed_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _filters(info: probe.VideoInfo, cut: Cut) -> tuple[str, tuple[int, int]]:
    """ffmpeg's filters, and the size of what they give."""
    size = (info.width, info.height)
    if cut.as_stored:
        if any(side % cut.multiple for side in size):
            raise ValueError(
                f"{info.path} is {size[0]}x{size[1]}; multiples of {cut.multiple} are needed here"
            )
        filters = colour.to_yuv420p(info, size, "bicubic", colour.matrix_tag(info))
    else:
        plan = geometry.plan(info.width, info.height, SIZE, "cover")
        size = plan.size
        filters = colour.to_yuv420p(info, plan.scaled, "bicubic")
        filters += f",crop={size[0]}:{size[1]}:{plan.corner[0]}:{plan.corner[1]}"
    bounds = [f"start_frame={cut.first_frame}"] if cut.first_frame else []
    if cut.frame_count is not None:
        bounds.append(f"end_frame={cut.first_frame + cut.frame_count}")
    return (f"trim={':'.join(bounds)}," if bounds else "") + filters, size


def make_picture_reference(
    workspace: Workspace, name: str, pictures: Sequence[Path], fps: Fraction
) -> Reference:
    """Makes the clip of pictures, in RGB as they are, unless it is there.

    Args:
      workspace: keeps it.
      name: of the clip.
      pictures: its frames in order; they are rounded to 8 bits.
      fps: the frame rate it gets.

    Raises:
      ValueError: a picture is damaged or of another size than the first, or there are fewer than 5.
    """
    digests = "".join(map(digest, pictures))
    sha256 = hashlib.sha256(digests.encode()).hexdigest()
    key = workspace.key(pictures=sha256, fps=str(fps))
    known = workspace.read("references", key)
    source = pictures[0].parent
    if known is None:
        path = workspace.video("references", key)
        height, width = read_picture(pictures[0]).shape[:2]
        writer = LosslessWriter(path, width=width, height=height, fps=fps, pixel_format="rgb24")
        frames = picture_frames(pictures, (width, height))
        known = _write(writer, frames, source, width, height, fps)
        known |= {"source": str(source), "source_sha256": sha256}
        workspace.write("references", key, known)
    return dataclasses.replace(_reference(workspace, name, source, key, known), rgb=True)


def picture_frames(pictures: Sequence[Path], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Pictures as frames, uint8 [h, w, 3]; raises `ValueError` if one is not `size` wide, high."""
    for path in pictures:
        picture = read_picture(path)
        if picture.shape[1::-1] != size:
            found = f"{picture.shape[1]}x{picture.shape[0]}"
            raise ValueError(f"{path} is {found}; {size[0]}x{size[1]} is needed")
        yield np.round(picture * 255).astype(np.uint8)


def _reference(
    workspace: Workspace, name: str, source: Path, key: str, known: dict[str, Any]
) -> Reference:
    return Reference(
        name=name,
        path=workspace.video("references", key),
        key=key,
        source=str(source),
        source_sha256=known["source_sha256"],
        width=known["width"],
        height=known["height"],
        fps=Fraction(known["fps"]),
        frame_count=known["frame_count"],
    )


def _write(
    writer: LosslessWriter,
    frames: Iterable[np.ndarray | bytes],
    source: Path,
    width: int,
    height: int,
    fps: Fraction,
) -> dict[str, Any]:
    with writer:
        for frame in frames:
            writer.write(frame)
        if writer.frame_count < FEWEST_FRAMES:
            raise ValueError(
                f"{source} has {writer.frame_count} frames; at least {FEWEST_FRAMES} are needed"
            )
    return {
        "width": width,
        "height": height,
        "fps": f"{fps.numerator}/{fps.denominator}",
        "frame_count": writer.frame_count,
    }


def make_references(
    workspace: Workspace, clips: Sequence[Path], max_frames: int | None
) -> list[Reference]:
    """The clips of several videos, under names that differ; see `make_reference`."""
    bar = tqdm(clips, desc="clips", disable=None, leave=False)
    return unique_names([make_reference(workspace, clip, max_frames) for clip in bar])


def unique_names(references: list[Reference]) -> list[Reference]:
    """The clips under names that differ; the same clip given twice is one, as it came first.

    The first characters of a clip's key follow its name where several have it, or the tables and
    plots need it themselves.
    """
    different: dict[str, Reference] = {}
    for reference in references:
        first = different.setdefault(reference.key, reference)
        if first.source != reference.source:
            note = f"note: {reference.source} has the same content as {first.source}"
            tqdm.write(f"{note}; it is left out", file=sys.stderr)
    names = [*RESERVED_NAMES, *(reference.name for reference in different.values())]
    return [
        reference
        if names.count(reference.name) == 1
        else dataclasses.replace(reference, name=f"{reference.name}-{reference.key[:6]}")
        for reference in different.values()
    ]
