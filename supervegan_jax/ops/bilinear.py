"""Bilinear resizing to any size, as `interpolate(align_corners=False)` of PyTorch does it."""

import jax
import jax.numpy as jnp


def _resize_axis(x: jax.Array, axis: int, size: int) -> jax.Array:
    have = x.shape[axis]
    position = (jnp.arange(size, dtype=jnp.float32) + 0.5) * (have / size) - 0.5
    position = jnp.maximum(position, 0.0)
    first = jnp.minimum(jnp.floor(position), have - 1.0)
    index = first.astype(jnp.int32)
    shape = [1] * x.ndim
    shape[axis] = size
    weight = (position - first).astype(x.dtype).reshape(shape)
    low = jnp.take(x, index, axis, mode="clip")
    high = jnp.take(x, index + 1, axis, mode="clip")
    return low + (high - low) * weight


def resize_bilinear(x: jax.Array, height: int, width: int) -> jax.Array:
    """Interpolates between the two nearest samples along each axis; shrinking does not average.

    Sample positions are of pixel centres, the border is replicated.

    Args:
      x: [b, h, w, c].
      height: of the result.
      width: of the result.

    Returns:
      [b, height, width, c] of x's dtype.
    """
    return _resize_axis(_resize_axis(x, 1, height), 2, width)
