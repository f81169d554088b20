"""Dynamic upsampling filters (DUF): one 5x5 filter for every output pixel, Eq. 4."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from supervegan_jax.ops.space import depth_to_space

KERNEL_SIZE = 5
TAPS = KERNEL_SIZE * KERNEL_SIZE


def extract_patches(x: jax.Array, size: int = KERNEL_SIZE) -> jax.Array:
    """Gathers the size x size neighbourhood of every pixel, the border replicated.

    Static slices are exact on every device; `conv_general_dilated_patches` is itself a convolution
    and may round pixels on accelerators.

    Args:
      x: [b, h, w, c].
      size: odd side of the neighbourhood.

    Returns:
      [b, h, w, size * size, c], neighbours in row-major order.
    """
    _, h, w, _ = x.shape
    reach = size // 2
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    shifts = [padded[:, j : j + h, i : i + w] for j in range(size) for i in range(size)]
    return jnp.stack(shifts, axis=3)


def apply_dynamic_filters(x: jax.Array, filters: jax.Array) -> jax.Array:
    """Filters every pixel of `x` with its own filters, the same for each channel (Eq. 4).

    Args:
      x: the centre frame X_t, [b, h, w, c].
      filters: [b, h, w, s, k]; s sub-pixels in row-major order, k = 25 taps.

    Returns:
      [b, r*h, r*w, c] with r = sqrt(s).

    Raises:
      ValueError: the filters' grid is not the image's, or s is not a square.
    """
    b, h, w, _ = x.shape
    s = filters.shape[3]
    r = round(s**0.5)
    if filters.shape != (b, h, w, s, TAPS) or r * r != s:
        raise ValueError(
            f"filters of shape {filters.shape} do not fit an image of shape {x.shape}: "
            f"[b, h, w, r*r, {TAPS}] is needed"
        )
    return _place(jnp.einsum("bhwsk,bhwkc->bhwsc", filters, extract_patches(x)))


def apply_softmax_filters(x: jax.Array, logits: jax.Array) -> jax.Array:
    """`apply_dynamic_filters(x, softmax(logits))`, divided by the sum of the weights at the end.

    Dividing c values a sub-pixel, not 25, halves the time of forward and backward.

    Args:
      x: [b, h, w, c].
      logits: [b, h, w, s, 25].

    Returns:
      [b, r*h, r*w, c] with r = sqrt(s).

    Raises:
      ValueError: the filters' grid is not the image's, or s is not a square.
    """
    weights = _unnormalised(logits)
    return apply_dynamic_filters(x, weights) / _place(jnp.sum(weights, axis=-1)[..., None])


def _unnormalised(logits: jax.Array) -> jax.Array:
    """exp(logits), scaled so that none overflows; the scale divides out, so it has no gradient."""
    return jnp.exp(logits - lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True)))


def _place(y: jax.Array) -> jax.Array:
    """Sub-pixels to their places: [b, h, w, r*r, c] -> [b, r*h, r*w, c]."""
    b, h, w, s, c = y.shape
    return depth_to_space(y.reshape(b, h, w, s * c), round(s**0.5))


def apply_filter_logits(x: jax.Array, logits: jax.Array) -> jax.Array:
    """`apply_dynamic_filters(x, softmax(logits))`, adding up tap by tap.

    Three times faster forward than gathering the patches, and slower backward.

    Args:
      x: [b, h, w, c].
      logits: [b, h, w, s, 25].

    Returns:
      [b, r*h, r*w, c] with r = sqrt(s).
    """
    b, h, w, c = x.shape
    s = logits.shape[3]
    reach = KERNEL_SIZE // 2
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    weights = _unnormalised(logits)
    total = jnp.zeros((b, h, w, s), x.dtype)
    y = jnp.zeros((b, h, w, s, c), x.dtype)
    for k in range(TAPS):
        j, i = divmod(k, KERNEL_SIZE)
        y = y + weights[..., k, None] * padded[:, j : j + h, i : i + w, None, :]
        total = total + weights[..., k]
    return _place(y / total[..., None])


def bilinear_filter_logits(scale: int, floor: float = 1e-3) -> np.ndarray:
    """Logits whose softmax is bilinear upsampling, where the filter branch starts training.

    Args:
      scale: the filters' upsampling factor (2 in SUPERVEGAN-4's stage A, 1 in SUPERVEGAN-2's).
      floor: weight given to the taps bilinear interpolation does not use, so that they can learn.

    Returns:
      float32 [r * r * 25], ordered (sub-pixel row, sub-pixel column, tap row, tap column).
    """
    offsets = np.arange(KERNEL_SIZE) - KERNEL_SIZE // 2
    positions = (np.arange(scale) + 0.5) / scale - 0.5
    line = np.maximum(0.0, 1.0 - np.abs(positions[:, None] - offsets[None, :]))
    weights = np.einsum("vj,ui->vuji", line, line).reshape(scale * scale, TAPS)
    return np.log(weights + floor).astype(np.float32).reshape(-1)
