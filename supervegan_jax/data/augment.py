"""Random crops, flips and time reversal of one training example.

The same code runs on NumPy arrays (`memory.py`) and on TensorFlow tensors inside tf.data
(`input_pipeline.py`). Neither's random numbers are used here: the caller draws five integers and
`choose` turns them into decisions.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

# A NumPy array or a tf.Tensor; both index alike.
Array = Any

RANDOM_INTEGERS = 5  # what one call of `choose` consumes
RANDOM_LIMIT = 2**31 - 1  # the integers lie in [0, RANDOM_LIMIT), the range of int32


class Augmentation(NamedTuple):
    """What happens to one example: the crop's offset in input pixels, and the axes to reverse."""

    y: Array
    x: Array
    time: Array
    rows: Array
    columns: Array


def choose(
    integers: Array,
    *,
    height: int,
    width: int,
    patch_size: int,
    horizontal_flip: bool,
    vertical_flip: bool,
    time_reversal: bool,
) -> Augmentation:
    """Decides the augmentation of one example.

    Args:
      integers: `RANDOM_INTEGERS` uniform integers of [0, `RANDOM_LIMIT`).
      height: of the input frames, in pixels; width likewise.
      width: of the input frames.
      patch_size: side of the square input patch to keep; at most `height` and `width`.
      horizontal_flip: whether columns may be reversed, with probability 1/2; likewise the others.
      vertical_flip: whether rows may be reversed.
      time_reversal: whether the input window may run backwards.
    """

    return Augmentation(
        y=integers[0] % (height - patch_size + 1),
        x=integers[1] % (width - patch_size + 1),
        time=integers[2] % 2 == 1 if time_reversal else False,
        rows=integers[3] % 2 == 1 if vertical_flip else False,
        columns=integers[4] % 2 == 1 if horizontal_flip else False,
    )


def crop(
    lr: Array, hr: Array, *, y: Array, x: Array, patch_size: int, scale: int
) -> tuple[Array, Array]:
    """Cuts the same square out of the input and the ground truth.

    Args:
      lr: [t, h, w, c].
      hr: [r*h, r*w, c] or [k, r*h, r*w, c].
      y: top row in input pixels.
      x: left column in input pixels.
      patch_size: p, in input pixels.
      scale: r.

    Returns:
      [t, p, p, c] and [r*p, r*p, c] or [k, r*p, r*p, c].
    """
    side = scale * patch_size
    return (
        lr[:, y : y + patch_size, x : x + patch_size],
        hr[..., scale * y : scale * y + side, scale * x : scale * x + side, :],
    )


def reverse(array: np.ndarray, axes: Sequence[bool]) -> np.ndarray:
    """A view of `array` with the axes reversed whose flag is set; `axes` has a flag per axis."""
    return array[tuple(slice(None, None, -1 if flag else 1) for flag in axes)]


def orient(
    lr: Array,
    hr: Array,
    *,
    time: Array,
    rows: Array,
    columns: Array,
    reverse: Callable[[Array, Sequence[Array]], Array] = reverse,
) -> tuple[Array, Array]:
    """Reverses axes of both; the middle of a window stays its middle.

    Args:
      lr: [t, h, w, c].
      hr: the ground truth of the centre frame, [r*h, r*w, c], or of k in the middle, [k, ...].
      time: whether to reverse the order of the frames; a bool of the arrays' framework.
      rows: whether to turn both upside down.
      columns: whether to mirror both.
      reverse: reverses the flagged axes of an array; the default takes NumPy arrays.
    """
    axes = time, rows, columns, False
    return reverse(lr, axes), reverse(hr, axes[4 - len(hr.shape) :])


def augment(
    lr: Array,
    hr: Array,
    augmentation: Augmentation,
    *,
    patch_size: int,
    scale: int,
    reverse: Callable[[Array, Sequence[Array]], Array] = reverse,
) -> tuple[Array, Array]:
    """Applies `augmentation` to one example: `crop`, then `orient`."""
    y, x, time, rows, columns = augmentation
    lr, hr = crop(lr, hr, y=y, x=x, patch_size=patch_size, scale=scale)
    return orient(lr, hr, time=time, rows=rows, columns=columns, reverse=reverse)
