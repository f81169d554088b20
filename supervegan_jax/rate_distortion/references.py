"""The clips that everything is compared with: BT.709 video of even sizes, cut to length."""

import dataclasses
import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep import geometry
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.video import colour, probe, reader
from supervegan_jax.video.writer import LosslessWriter

SIZE = (1280, 720)
FEWEST_FRAMES = 5


@dataclasses.dataclass(frozen=True)
class Reference:
    """A clip in the workspace.

    Attributes:
      name: how tables and plots call it.
      path: lossless H.264, BT.709, limited range, width and height multiples of 8.
      key: of its content.
      source, source_sha256: the file it was made from.
      width, height, fps, frame_count: its own.
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

    def bits_per_pixel(self, kbps: float) -> float:
        """A bitrate per pixel of the full size, whatever size is encoded."""
        return kbps * 1000 / (float(self.fps) * self.width * self.height)


def make_reference(workspace: Workspace, source: Path, max_frames: int | None) -> Reference:
    """Makes the clip of a video, unless it is there.

    Videos larger than 1280x720 (portrait: 720x1280) are scaled down bicubically to cover it and
    cropped about the centre; smaller ones are cropped to multiples of 8. A variable frame rate
    becomes its mean.

    Args:
      workspace: keeps it.
      source: any video.
      max_frames: of its beginning; None takes all.

    Raises:
      VideoError: no video, damaged or of high dynamic range.
      ValueError: interlaced, smaller than 8x8 or shorter than 5 frames.
    """
    info = probe.probe(source)
    if info.interlaced:
        raise ValueError(f"{source}: its frames are interlaced; deinterlace it first")
    with open(source, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    plan = geometry.plan(info.width, info.height, SIZE, "cover")
    (width, height), (left, top) = plan.size, plan.corner
    filters = colour.to_yuv420p(info, plan.scaled, "bicubic") + f",crop={width}:{height}"
    filters += f":{left}:{top}"
    if max_frames is not None:
        filters = f"trim=end_frame={max_frames},{filters}"
    key = workspace.key(sha256=sha256, filters=filters)
    known = workspace.read("references", key)
    if known is None:
        fps = _constant_rate(source, info.fps)
        known = _write(workspace, source, key, filters, plan.size, fps)
        known |= {"source": str(source), "source_sha256": sha256}
        workspace.write("references", key, known)
    return _reference(workspace, source, key, known)


def _reference(workspace: Workspace, source: Path, key: str, known: dict[str, Any]) -> Reference:
    return Reference(
        name=source.stem,
        path=workspace.video("references", key),
        key=key,
        source=str(source),
        source_sha256=known["source_sha256"],
        width=known["width"],
        height=known["height"],
        fps=Fraction(known["fps"]),
        frame_count=known["frame_count"],
    )


def _constant_rate(source: Path, declared: Fraction) -> Fraction:
    """The declared rate, or the mean of the timestamps where it is more than 1 % off."""
    measured = probe.list_packets(source).fps
    if measured is None or abs(measured / declared - 1) <= Fraction(1, 100):
        return declared
    return measured.limit_denominator(1001)


def _write(
    workspace: Workspace,
    source: Path,
    key: str,
    filters: str,
    size: tuple[int, int],
    fps: Fraction,
) -> dict[str, Any]:
    width, height = size
    path = workspace.video("references", key)
    frames = reader.read_raw(source, filters, "yuv420p", width * height * 3 // 2)
    with LosslessWriter(path, width=width, height=height, fps=fps) as writer:
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
        "filters": filters,
    }


def make_references(
    workspace: Workspace, clips: Sequence[Path], max_frames: int | None
) -> list[Reference]:
    """The clips of several videos, under names that differ; see `make_reference`."""
    bar = tqdm(clips, desc="clips", disable=None, leave=False)
    return unique_names([make_reference(workspace, clip, max_frames) for clip in bar])


def unique_names(references: list[Reference]) -> list[Reference]:
    """The clips under names that differ; the same clip given twice is one.

    The first characters of a clip's key follow its name where several have it.
    """
    different = list({reference.key: reference for reference in references}.values())
    names = [reference.name for reference in different]
    return [
        reference
        if names.count(reference.name) == 1
        else dataclasses.replace(reference, name=f"{reference.name}-{reference.key[:6]}")
        for reference in different
    ]
