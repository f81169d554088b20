"""The enhanced picture and the plain bicubic enlargement in one frame."""

import dataclasses

import numpy as np

from supervegan_jax.enhancement.runner import EnhancedFrame
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame

LAYOUTS = ("side-by-side", "split")
# Half the width of the line between the halves, in luma pixels; even, for the chroma.
_LINE = 2


def compared_format(fmt: FrameFormat, layout: str | None) -> FrameFormat:
    """The format of composed frames made of frames of `fmt`.

    Raises:
      ValueError: the layout is unknown.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"compare {layout!r}; accepted: {', '.join(LAYOUTS)}")
    return dataclasses.replace(fmt, width=2 * fmt.width) if layout == "side-by-side" else fmt


def compose(frame: EnhancedFrame, fmt: FrameFormat, layout: str) -> VideoFrame:
    """Puts the bicubic enlargement on the left and the enhanced picture on the right.

    Args:
      frame: with both.
      fmt: of both.
      layout: "side-by-side" shows both whole; "split" half of each, with a white line between.
    """
    planes = []
    for index, (ours, plain) in enumerate(zip(frame.planes, frame.bicubic, strict=True)):
        if layout == "side-by-side":
            planes.append(np.concatenate([plain, ours], axis=1))
            continue
        joined = ours.copy()
        step = 1 if ours.shape[1] == fmt.width else 2
        middle = fmt.width // 4 * 2
        joined[:, : middle // step] = plain[:, : middle // step]
        unit = 1 << (fmt.bit_depth - 8)
        white = (1 << fmt.bit_depth) - 1 if fmt.full_range else 235 * unit
        line = slice(max(0, middle - _LINE) // step, (middle + _LINE) // step)
        joined[:, line] = 128 * unit if index else white
        planes.append(joined)
    return VideoFrame(frame.index, frame.pts, tuple(planes), frame.duration, frame.corrupt)
