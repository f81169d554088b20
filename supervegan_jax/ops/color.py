"""Between stored 8-bit pixels and the floats the networks work on."""

import jax
import jax.numpy as jnp


def to_float(x: jax.Array) -> jax.Array:
    """uint8 [...] in 0..255 -> float32 [...] in 0..1.

    Raises:
      ValueError: x is not uint8 (a float image would be divided by 255 unnoticed).
    """
    if x.dtype != jnp.uint8:
        raise ValueError(f"to_float takes uint8 pixels, not {x.dtype}")
    return x.astype(jnp.float32) / 255.0


def to_uint8(x: jax.Array) -> jax.Array:
    """float [...] -> uint8 [...], rounded to nearest and clipped to 0..255."""
    return jnp.clip(jnp.round(x.astype(jnp.float32) * 255.0), 0, 255).astype(jnp.uint8)
