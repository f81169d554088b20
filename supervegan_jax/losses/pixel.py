"""Distances between images, pixel by pixel."""

import jax
import jax.numpy as jnp

_CELL = 8


def mse(estimate: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared error over all pixels and channels: two [b, h, w, c] in [0, 1] -> scalar.

    Eq. 7 sums; the mean makes the loss's weight independent of the patch size.

    Raises:
      ValueError: the shapes differ.
    """
    return jnp.mean(jnp.square(_error("mse", estimate, target)))


def l1(estimate: jax.Array, target: jax.Array) -> jax.Array:
    """Mean absolute error over all pixels and channels: two [b, h, w, c] -> scalar.

    Raises:
      ValueError: the shapes differ.
    """
    return jnp.mean(jnp.abs(_error("l1", estimate, target)))


def charbonnier(estimate: jax.Array, target: jax.Array, epsilon: float = 1e-3) -> jax.Array:
    """Mean of sqrt(d^2 + epsilon^2), an L1 that is smooth at 0: two [b, h, w, c] -> scalar.

    Lai et al. 2017; EDVR sums it with epsilon^2 = 1e-6 (Section 3), the mean does not depend on
    the patch size.

    Raises:
      ValueError: the shapes differ.
    """
    return jnp.mean(jnp.sqrt(jnp.square(_error("charbonnier", estimate, target)) + epsilon**2))


def huber(estimate: jax.Array, target: jax.Array, delta: float = 0.01) -> jax.Array:
    """Mean of d^2 / 2 up to delta and delta (|d| - delta / 2) beyond: two [b, h, w, c] -> scalar.

    Jo et al. 2018 train DUF by it (Section 3.5), with delta = 0.01.

    Raises:
      ValueError: the shapes differ.
    """
    size = jnp.abs(_error("huber", estimate, target))
    small = jnp.minimum(size, delta)
    return jnp.mean(small * (size - 0.5 * small))


def _error(name: str, estimate: jax.Array, target: jax.Array) -> jax.Array:
    if estimate.shape != target.shape:
        raise ValueError(f"{name} of shapes {estimate.shape} and {target.shape}")
    return estimate - target


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
    error = _error("grid", estimate, target)
    side = period * cells
    b, h, w, c = estimate.shape
    rows, columns = h // side, w // side
    if not rows or not columns:
        raise ValueError(f"images of {w}x{h} are smaller than a window of {side}x{side}")
    error = error[:, : rows * side, : columns * side].reshape(
        b, rows, cells, period, columns, cells, period, c
    )
    pattern = jnp.mean(error, axis=(2, 5))
    return jnp.mean(jnp.square(pattern - jnp.mean(pattern, axis=(2, 4), keepdims=True)))


def flicker(
    estimate: jax.Array, target: jax.Array, frames: int, visible: float = 2 / 255
) -> jax.Array:
    """Mean squared error of the change from frame to frame, where the target stands still.

    Motion masks errors, stillness shows them. Each pixel is weighed by v^2 / (v^2 + d^2), with d^2
    the target's own squared change, averaged over the channels, and v = `visible`.

    Args:
      estimate: clips one after the other, [b * frames, h, w, c].
      target: of the same shape; it alone decides the weights.
      frames: of a clip, in a row; at least 2.
      visible: the change at which the weight has fallen to a half.

    Raises:
      ValueError: the shapes differ, or a clip is a single frame.
    """
    if estimate.shape != target.shape:
        raise ValueError(f"flicker of shapes {estimate.shape} and {target.shape}")
    if frames < 2:
        raise ValueError(f"flicker of clips of {frames} frame; at least 2 frames in a row needed")

    def change(x: jax.Array) -> jax.Array:
        return jnp.diff(x.reshape(-1, frames, *x.shape[1:]), axis=1)

    wanted = change(target)
    weight = visible**2 / (visible**2 + jnp.mean(jnp.square(wanted), axis=-1))
    error = jnp.mean(jnp.square(change(estimate) - wanted), axis=-1)
    return jnp.mean(weight * error)


def flat(estimate: jax.Array, target: jax.Array, visible: float = 3 / 255) -> jax.Array:
    """Mean squared error where there is nothing to hide it: [b, h, w, c] twice -> scalar.

    Texture masks errors, flat areas show them (Legge and Foley 1980). Each cell of 8x8 pixels is
    weighed by v^2 / (v^2 + s^2), with s^2 the target's variance there and v = `visible`: about 1
    on flat areas and next to 0 in texture.

    Args:
      estimate: sides at least 8; what is over a whole number of cells is left out.
      target: of the same shape; it alone decides the weights.
      visible: the standard deviation at which the weight has fallen to a half.

    Raises:
      ValueError: the shapes differ, or a side is below 8.
    """
    if estimate.shape != target.shape:
        raise ValueError(f"flat of shapes {estimate.shape} and {target.shape}")
    b, h, w, c = estimate.shape
    rows, columns = h // _CELL, w // _CELL
    if not rows * columns:
        raise ValueError(f"flat of images of {w}x{h}; accepted: sides of at least {_CELL}")

    def cells(x: jax.Array) -> jax.Array:
        x = x[:, : rows * _CELL, : columns * _CELL]
        return x.reshape(b, rows, _CELL, columns, _CELL, c)

    variance = jnp.var(cells(target), axis=(2, 4)).mean(axis=-1)
    weight = visible**2 / (visible**2 + variance)
    error = jnp.mean(jnp.square(cells(estimate) - cells(target)), axis=(2, 4, 5))
    return jnp.mean(weight * error)
