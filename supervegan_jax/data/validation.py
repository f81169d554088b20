"""The held-out frames of a preparation, as whole frames with what came before and after them."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from supervegan_jax.data.records import Window, read_preparation
from supervegan_jax.ops.peak_frames import choose_references, label_peaks_by_size
from supervegan_jax.video.probe import list_packets
from supervegan_jax.video.reader import read_clip

# Frames before a held-out one that networks see which go through a sequence: as many as TecoGAN
# learns from at once.
_HISTORY = 10
_MIRRORED = 5  # before a clip's first frame, as `TecoGan.warm_up`


@dataclass(frozen=True)
class ValidationClip:
    """Consecutive held-out frames of one clip.

    Attributes:
      name: the clip's id.
      lr: uint8 [n, h, w, 3], the decoded input with what else is read of it on either side.
      hr: uint8 [m, r*h, r*w, 3], the ground truth.
      lead: how many frames of `lr` come before the first of `hr`.
      codec: uint8 [m, r*h, r*w, 3], the ground truth through the plain codec at the same bitrate,
        or None where it was not prepared.
      fps: frames per second.
      measured_kbps: bitrate of the input file in kbit/s.
      reads: int [m, t], the frames of `lr` that are read for each one of `hr`.
    """

    name: str
    lr: np.ndarray
    hr: np.ndarray
    lead: int
    codec: np.ndarray | None
    fps: float
    measured_kbps: float
    reads: np.ndarray


def windows(clip: ValidationClip) -> Iterator[np.ndarray]:
    """The input window, uint8 [t, h, w, 3], of each frame of `clip.hr`.

    Frames are repeated at the real ends of the clip only: elsewhere `clip.lr` has the neighbours.
    """
    for frames in clip.reads:
        yield clip.lr[frames]


def history(clip: ValidationClip) -> np.ndarray:
    """What comes before the held-out frames, uint8 [n, h, w, 3].

    At a clip's beginning these are its first frames mirrored, as where whole videos are enhanced.
    """
    return clip.lr[: clip.lead] if clip.lead else clip.lr[_MIRRORED:0:-1]


def load_validation(
    records_dir: str | Path,
    max_frames: int | None = None,
    frames: int = 5,
    reading: str = "window",
) -> list[ValidationClip]:
    """Decodes the held-out frames that preparation.json lists.

    Args:
      records_dir: folder of the records.
      max_frames: at most so many frames of each clip, from its first held-out one on; None is all.
      frames: t, that a network reads at once.
      reading: what these are: "window", the frames around one; "sequence", itself, after others;
        or "peaks": the peak before, itself and the peak after, found by their coded sizes.

    Raises:
      ValueError: nothing held out, or a file with fewer frames than the preparation says.
    """
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames is {max_frames}, must be at least 1")
    records_dir = Path(records_dir)
    preparation = read_preparation(records_dir)
    if not preparation.validation:
        raise ValueError(f"the preparation in {str(records_dir)!r} holds no frames out")
    lengths = {clip["clip_id"]: clip["frame_count"] for clip in preparation.clips}
    return [
        _load_clip(records_dir, entry, lengths[entry["clip_id"]], max_frames, frames, reading)
        for entry in preparation.validation
    ]


def _load_clip(
    records_dir: Path,
    entry: dict[str, Any],
    clip_length: int,
    max_frames: int | None,
    frames: int,
    reading: str,
) -> ValidationClip:
    first, count = entry["first_frame"], entry["frame_count"]
    count = min(count, max_frames or count)
    wanted = np.arange(first, first + count)
    if reading == "peaks":
        sizes = list_packets(records_dir / entry["input"]).sizes
        before, after = choose_references(label_peaks_by_size(sizes))
        reads = np.stack([before[wanted], wanted, after[wanted]], axis=1)
    else:
        reads = np.array([Window(frames).inputs(index, clip_length) for index in wanted])
    start, stop = int(reads.min()), int(reads.max()) + 1
    if reading == "sequence":
        start = max(0, start - _HISTORY)
        if first == 0:  # `history` mirrors frames that may come after those asked for
            stop = max(stop, min(_MIRRORED + 1, clip_length))
    codec = entry.get("codec")

    def read(name: str, first_frame: int, frame_count: int) -> np.ndarray:
        return read_clip(records_dir / name, first_frame=first_frame, frame_count=frame_count)

    return ValidationClip(
        name=entry["clip_id"],
        lr=read(entry["input"], start, stop - start),
        hr=read(entry["reference"], first, count),
        lead=first - start,
        codec=None if codec is None else read(codec, first, count),
        fps=float(Fraction(entry["fps"])),
        measured_kbps=float(entry["measured_kbps"]),
        reads=reads - start,
    )
