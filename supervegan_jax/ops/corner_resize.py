"""Upsampling whose samples sit in the corners of the cells, TensorFlow 1's convention.

Output pixel s*i + k lies at input position i + k/s, so every s-th output pixel is an input pixel
and the image moves by (s - 1) / 2 output pixels against the pixel-centre convention of `resize.py`.
TecoGAN was trained with it. Borders are replicated.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from supervegan_jax.ops.resize import keys_kernel, pad_edge, weighted_slices

# `tf.image.resize_bicubic` of TensorFlow 1; `resize.py` takes -0.5.
CUBIC_A = -0.75


def upsample_bilinear_corner(x: jax.Array, scale: int) -> jax.Array:
    """Bilinear: `tf.image.resize_images` of TensorFlow 1, align_corners False.

    `upscale_four` in lib/ops.py of thunil/TecoGAN is the same for 4.

    Args:
      x: [b, h, w, c].
      scale: whole factor, at least 1.

    Returns:
      [b, scale * h, scale * w, c].
    """
    return _upsample(x, scale, lambda distance: max(0.0, 1 - abs(distance)))


def upsample_bicubic_corner(x: jax.Array, scale: int) -> jax.Array:
    """Bicubic (Keys, a = -0.75): `tf.image.resize_bicubic` of TensorFlow 1, align_corners False.

    Args:
      x: [b, h, w, c].
      scale: whole factor, at least 1.

    Returns:
      [b, scale * h, scale * w, c].
    """
    return _upsample(x, scale, lambda distance: keys_kernel(distance, CUBIC_A))


def _upsample(x: jax.Array, scale: int, kernel: Callable[[float], float]) -> jax.Array:
    for axis in (1, 2):
        size = x.shape[axis]
        padded = pad_edge(x, axis, 1, 2)
        phases = []
        for phase in range(scale):
            weights = [kernel(phase / scale - tap) for tap in range(-1, 3)]
            phases.append(weighted_slices(padded, axis, weights, 0, size, 1))
        stacked = jnp.stack(phases, axis=axis + 1)
        x = stacked.reshape((*x.shape[:axis], size * scale, *x.shape[axis + 1 :]))
    return x
