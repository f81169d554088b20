"""The enhanced picture and the plain bicubic enlargement in one frame."""

import dataclasses

import numpy as np

from supervegan_jax.enhancement.runner import EnhancedFrame
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame

LAYOUTS = ("side-by-side", "split")
# Half the width of the line between the halves, in luma pixels; even, for the chroma.
_LINE = 2


def compared_format(
    fmt: FrameFormat, layout: str | None, display_matrix: tuple[int, ...] | None = None
) -> FrameFormat:
    """The format of composed frames made of frames of `fmt`; see `compose`.

    Raises:
      ValueError: the layout is unknown.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"compare {layout!r}; accepted: {', '.join(LAYOUTS)}")
    if layout != "side-by-side":
        return fmt
    if _shown_left(display_matrix)[0]:
        return dataclasses.replace(fmt, height=2 * fmt.height)
    return dataclasses.replace(fmt, width=2 * fmt.width)


def _shown_left(display_matrix: tuple[int, ...] | None) -> tuple[bool, bool]:
    """Which side of the stored picture is shown on the left.

    Returns:
      Whether it is the top or the bottom, and whether it is the right or the bottom.
    """
    if display_matrix is None:
        return False, False
    # What is shown at x comes from the stored x, and from the stored y, with these factors.
    across, down = display_matrix[0], display_matrix[3]
    turned = abs(down) > abs(across)
    return turned, (down if turned else across) < 0


def compose(
    frame: EnhancedFrame,
    fmt: FrameFormat,
    layout: str,
    display_matrix: tuple[int, ...] | None = None,
) -> VideoFrame:
    """Puts the bicubic enlargement on the left and the enhanced picture on the right.

    Args:
      frame: with both.
      fmt: of both.
      layout: "side-by-side" shows both whole; "split" half of each, with a white line between.
      display_matrix: of `Picture`: left is meant as it is shown.
    """
    turned, mirrored = _shown_left(display_matrix)
    width = fmt.height if turned else fmt.width

    def as_shown(plane: np.ndarray) -> np.ndarray:
        return (plane.T if turned else plane)[:, :: -1 if mirrored else 1]

    def as_stored(plane: np.ndarray) -> np.ndarray:
        unmirrored = plane[:, :: -1 if mirrored else 1]
        return np.ascontiguousarray(unmirrored.T if turned else unmirrored)

    planes = []
    for index, pair in enumerate(zip(frame.planes, frame.bicubic, strict=True)):
        ours, plain = map(as_shown, pair)
        if layout == "side-by-side":
            planes.append(as_stored(np.concatenate([plain, ours], axis=1)))
            continue
        joined = ours.copy()
        step = 1 if ours.shape[1] == width else 2
        middle = width // 4 * 2
        joined[:, : middle // step] = plain[:, : middle // step]
        unit = 1 << (fmt.bit_depth - 8)
        white = (1 << fmt.bit_depth) - 1 if fmt.full_range else 235 * unit
        line = slice(max(0, middle - _LINE) // step, (middle + _LINE) // step)
        joined[:, line] = 128 * unit if index else white
        planes.append(as_stored(joined))
    return VideoFrame(frame.index, frame.pts, tuple(planes), frame.duration, frame.corrupt)
