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
