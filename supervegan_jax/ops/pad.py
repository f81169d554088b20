"""Sides made whole multiples of what a network's grid asks for."""

import jax
import jax.numpy as jnp


def pad_to_multiple(x: jax.Array, multiple: int, mode: str = "edge") -> jax.Array:
    """Pads the end of h and w of [..., h, w, c] up to the next multiple.

    Args:
      x: an image, or several.
      multiple: of the sides.
      mode: of `jnp.pad`: "edge" repeats the last row and column, "reflect" mirrors them.
    """
    # For a symbolic h this halves again to a whole number; h + -h % 2 does not.
    rests = [(-(-side // multiple)) * multiple - side for side in x.shape[-3:-1]]
    widths = [(0, 0)] * (x.ndim - 3) + [(0, rest) for rest in rests] + [(0, 0)]
    return jnp.pad(x, widths, mode=mode)
