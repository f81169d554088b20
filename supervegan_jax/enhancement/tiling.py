"""Cutting frames that are too large into tiles whose joined results show no seam."""

import dataclasses
import math

from flax import linen as nn

from supervegan_jax.enhancement.receptive_field import receptive_field
from supervegan_jax.models.supervegan import SuperVegan
from supervegan_jax.ops import chroma


@dataclasses.dataclass(frozen=True)
class Cut:
    """A tile along one axis, in input pixels: computed from `start`, kept in [first, last)."""

    start: int
    first: int
    last: int


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How a frame is cut; all tiles have one size, so that one program computes them all.

    Attributes:
      height, width: of a tile, what is around its kept part included.
      rows, columns: the cuts along each axis.
    """

    height: int
    width: int
    rows: tuple[Cut, ...]
    columns: tuple[Cut, ...]

    @property
    def count(self) -> int:
        """Tiles a frame."""
        return len(self.rows) * len(self.columns)


def margin(model: nn.Module, stage: str) -> tuple[int, int]:
    """Input pixels a tile needs around its kept part, and those that tiles start at multiples of.

    The first is the model's receptive field and chroma's, which is interpolated before the network
    and filtered behind it; the second is where the chroma samples and the grids of the strided
    layers begin. The first is a multiple of the second.
    """
    field = receptive_field(model, stage)
    alignment = math.lcm(2, field.alignment)
    pixels = max(field.before, field.after) + chroma.REACH + 1
    return -(-pixels // alignment) * alignment, alignment


def cut_axis(size: int, tile: int, border: int, alignment: int = 2) -> tuple[int, tuple[Cut, ...]]:
    """Cuts `size` pixels into tiles of one length.

    Args:
      size: of the frame.
      tile: the longest tile wanted.
      border: pixels to throw away at an end that is not the frame's, a multiple of `alignment`.
      alignment: tiles start at multiples of it.

    Returns:
      The length of every tile, which leaves the remainder of `size` modulo `alignment` so that the
      last one is aligned too, and the cuts.

    Raises:
      ValueError: the tile is too small to keep anything.
    """
    if tile >= size:
        return size, (Cut(0, 0, size),)
    wanted, tile = tile, tile - (tile - size) % alignment
    step = (tile - 2 * border) // alignment * alignment
    if step < alignment:
        raise ValueError(
            f"tile {wanted} is too small: this model needs {border} pixels on each side, "
            f"so at least {2 * (border + alignment)}"
        )
    starts = [*range(0, size - tile, step), size - tile]
    edges = [0, *(start + border for start in starts[1:]), size]
    cuts = zip(starts, edges[:-1], edges[1:], strict=True)
    return tile, tuple(Cut(*cut) for cut in cuts)


def plan_tiles(height: int, width: int, tile: int, border: int, alignment: int = 2) -> Tiling:
    """Tiles of at most `tile` x `tile` input pixels; see `cut_axis`.

    Raises:
      ValueError: the tile is too small to keep anything.
    """
    tile_height, rows = cut_axis(height, tile, border, alignment)
    tile_width, columns = cut_axis(width, tile, border, alignment)
    return Tiling(tile_height, tile_width, rows, columns)


def estimate_memory(
    model: nn.Module, stage: str, height: int, width: int, frames: int, itemsize: int = 4
) -> int:
    """Bytes of the arrays that live together while frames of one size are enhanced.

    Args:
      model: a SUPERVEGAN.
      stage: "a" or "b".
      height, width: of the input.
      frames: enhanced together.
      itemsize: of the features, 4 (float32) or 2 (bfloat16).
    """
    if not isinstance(model, SuperVegan):
        raise ValueError(f"the memory of {type(model).__name__} is not known; SuperVegan")
    cell_pixels = 4 if model.scale == 2 else 1
    cells = frames * height * width // cell_pixels
    # Inputs and outputs of the widest layers of each part (bytes a cell of the body's grid). The
    # parts follow one another, so the largest of them counts.
    reduction = 8 * max(model.input_width, *model.temporal_widths) * itemsize
    body = 4 * model.width * itemsize + 2 * 100 * 4
    # Two inputs and two outputs of a layer on stage B's grid, and what enters or leaves its U-Net.
    detail = 4 * model.detail_grid**2 * model.detail_width * itemsize if stage == "b" else 0
    images = 16 * 3 * 4 * 3
    return cells * (max(reduction, body, detail) + images)


def choose_tile(
    model: nn.Module, stage: str, size: tuple[int, int], frames: int, itemsize: int, budget: int
) -> int:
    """The longest tile side with which the estimate stays within `budget` bytes.

    Args:
      model: a SUPERVEGAN.
      stage: "a" or "b".
      size: height and width of the input.
      frames: enhanced together.
      itemsize: of the features.
      budget: bytes.

    Raises:
      ValueError: even the smallest tile does not fit.
    """
    height, width = size
    border, _ = margin(model, stage)
    tile, smallest = max(size), 2 * border + 16
    while True:
        shape = min(tile, height), min(tile, width)
        if estimate_memory(model, stage, *shape, frames, itemsize) <= budget:
            return tile
        if tile <= smallest:
            raise ValueError(
                f"memory of {budget >> 20} MiB is too small for {frames} frames of tiles of "
                f"{tile} pixels; take a smaller --batch-size"
            )
        tile = max(smallest, tile * 7 // 8)
