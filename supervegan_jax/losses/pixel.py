"""Distances between images, pixel by pixel."""

import jax
import jax.numpy as jnp


def mse(estimate: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared error over all pixels and channels: two [b, h, w, c] in [0, 1] -> scalar.

    Eq. 7 sums; the mean makes the loss's weight independent of the patch size.

    Raises:
      ValueError: the shapes differ.
    """
    if estimate.shape != target.shape:
        raise ValueError(f"mse of shapes {estimate.shape} and {target.shape}")
    return jnp.mean(jnp.square(estimate - target))


def grid(estimate: jax.Array, target: jax.Array, period: int = 8, cells: int = 8) -> jax.Array:
    """Mean squared error of what repeats every `period` pixels: [b, h, w, c] twice -> scalar.

    Strided layers and sub-pixel convolutions leave such grids (Odena et al. 2016), faint enough
    for every other loss and yet visible on flat areas. The error is averaged over the cells of a
    window of `cells` x `cells`, which leaves little of anything that does not repeat; the mean over
    a cell is no pattern and is taken off.

    Args:
      estimate: sides at least `period * cells`; what is over a whole number of windows is left out.
      target: of the same shape.
      period: of the coarsest grid the network computes on, in output pixels.
      cells: along a side of the window.

    Raises:
      ValueError: the shapes differ or are smaller than a window.
    """
    if estimate.shape != target.shape:
        raise ValueError(f"grid of shapes {estimate.shape} and {target.shape}")
    side = period * cells
    b, h, w, c = estimate.shape
    rows, columns = h // side, w // side
    if not rows or not columns:
        raise ValueError(f"images of {w}x{h} are smaller than a window of {side}x{side}")
    error = (estimate - target)[:, : rows * side, : columns * side]
    error = error.reshape(b, rows, cells, period, columns, cells, period, c)
    pattern = jnp.mean(error, axis=(2, 5))
    return jnp.mean(jnp.square(pattern - jnp.mean(pattern, axis=(2, 4), keepdims=True)))
