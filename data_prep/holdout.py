"""Which frames of each clip train and which are held out, and how many patches each clip gives."""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from pathlib import Path

from data_prep.folder import Clip
from supervegan_jax.data.records import Window


@dataclasses.dataclass(frozen=True)
class Frames:
    """The division of one clip.

    Attributes:
      train: first frame and one past the last that any training window may show.
      firsts: likewise, the frames that may be a training window's first with ground truth. Windows
        reach past the clip's own ends (where frames are repeated) but never into held-out frames.
      validation: likewise, the held-out frames.
    """

    train: tuple[int, int]
    firsts: tuple[int, int]
    validation: tuple[int, int]

    @property
    def held_out(self) -> int:
        """How many frames are held out."""
        return self.validation[1] - self.validation[0]


def divide(clip: Clip, tail: str | float | None, held_out: Sequence[str], window: Window) -> Frames:
    """Divides a clip's frames.

    Args:
      clip: the clip.
      tail: its last part to hold out: "20%" or a number below 1 is a fraction of its frames,
        "1.5s" or a number from 1 on are seconds; None or 0 holds nothing out.
      held_out: patterns of ids and of source names; a clip that matches one is held out whole.
      window: the frames of a record.

    Raises:
      ValueError: a clip with fewer frames than a record has, a tail that leaves fewer to train on,
        or one that cannot be read.
    """
    count = clip.frame_count
    if count < window.frames:
        raise ValueError(
            f"clip {clip.clip_id} has {count} frames; a record has {window.frames} input frames"
        )
    if any(_matches(clip, pattern) for pattern in held_out):
        return Frames((0, 0), (0, 0), (0, count))
    last = count - tail_frames(tail, count, clip.rate)
    if last < window.frames:
        raise ValueError(
            f"holdout_tail {tail} leaves {max(last, 0)} of the {count} frames of {clip.clip_id} "
            f"to train on; at least {window.frames} are needed"
        )
    return Frames((0, last), window.firsts((0, last), count), (last, count))


def check_sources(clips: Sequence[Clip], divided: Sequence[Frames]) -> None:
    """Raises `ValueError` if a clip holds out what another, of a copy of its source, trains on."""
    of_source = collections.defaultdict(list)
    for clip, frames in zip(clips, divided, strict=True):
        of_source[clip.source_sha256].append((clip, frames))
    for group in of_source.values():
        group.sort(key=lambda each: each[0].first_frame)
        for index, (clip, frames) in enumerate(group):
            for other, others in group[index + 1 :]:
                if other.first_frame >= clip.first_frame + clip.frame_count:
                    break
                _check_pair(clip, frames, other, others)
                _check_pair(other, others, clip, frames)


def _check_pair(clip: Clip, frames: Frames, other: Clip, others: Frames) -> None:
    """Of clips of the same source: what one holds out the other must not train on."""
    first = max(clip.first_frame + frames.validation[0], other.first_frame + others.train[0])
    end = min(clip.first_frame + frames.validation[1], other.first_frame + others.train[1])
    if first < end:
        raise ValueError(
            f"clip {clip.clip_id} holds out frames {first} to {end - 1} of its source, which clip "
            f"{other.clip_id}, of the same file, trains on; hold both out or remove one of them"
        )


def check_patterns(clips: Sequence[Clip], patterns: Sequence[str], name: str) -> None:
    """Raises `ValueError` for a pattern that matches no clip."""
    for pattern in patterns:
        if not any(_matches(clip, pattern) for clip in clips):
            raise ValueError(f"{name} {pattern!r} matches no clip and no source's file name")


def _matches(clip: Clip, pattern: str) -> bool:
    return fnmatchcase(clip.clip_id, pattern) or fnmatchcase(Path(clip.source).name, pattern)


def tail_frames(tail: str | float | None, frame_count: int, fps: Fraction) -> int:
    """The number of frames that `tail` (see `divide`) means, rounded up."""
    text = str(tail or 0).strip()
    try:
        value = Fraction(text.rstrip("%s"))
    except (ValueError, ZeroDivisionError):
        value = Fraction(-1)
    if value < 0 or (text.endswith("%") and value >= 100):
        raise ValueError(
            f"holdout_tail {tail!r}: must be a fraction such as 0.2 or 20%, or seconds such as 1.5s"
        )
    if text.endswith("%"):
        return math.ceil(frame_count * value / 100)
    if text.endswith("s") or value >= 1:
        return math.ceil(value * fps)
    return math.ceil(frame_count * value)


def apportion(
    patches: int, clips: Sequence[Clip], places: Sequence[int], weights: Mapping[str, float]
) -> list[int]:
    """Shares out patches in proportion to the places of each clip's windows times its weight.

    Args:
      patches: how many in all.
      clips: the clips.
      places: frames of each that a window may begin at.
      weights: pattern -> weight, finite and at least 0; the first that matches counts, a clip
        without one has 1.

    Returns:
      Patches of each clip; they add up to `patches` (largest remainders first).

    Raises:
      ValueError: nothing to draw from.
    """
    shares = []
    for clip, count in zip(clips, places, strict=True):
        weight = next((w for pattern, w in weights.items() if _matches(clip, pattern)), 1.0)
        shares.append(Fraction(weight) * count)
    total = sum(shares)
    if not total:
        raise ValueError("no frames to train on: every clip is held out or has weight 0")
    exact = [patches * share / total for share in shares]
    counts = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(clips)), key=lambda i: (counts[i] - exact[i], clips[i].clip_id))
    for index in by_remainder[: patches - sum(counts)]:
        counts[index] += 1
    return counts
