"""Whether a picture's colours have shifted as a whole."""

import jax
import jax.numpy as jnp


def tint(estimate: jax.Array, reference: jax.Array) -> jax.Array:
    """The largest difference of a channel's mean: two RGB [b, h, w, 3] in [0, 1] -> [b].

    In 8-bit codes, 0 to 255, lower is better. PSNR hardly sees a shift of one code over the whole
    picture (48 dB); an eye that compares two pictures does.

    Raises:
      ValueError: the shapes differ.
    """
    if estimate.shape != reference.shape:
        raise ValueError(f"tint of shapes {estimate.shape} and {reference.shape}")
    shift = jnp.mean(estimate - reference, axis=(1, 2))
    return 255 * jnp.max(jnp.abs(shift), axis=-1)
