"""Dynamic upsampling filters as DUF's authors apply them: pixels outside the image are 0.

SUPERVEGAN's own, in `dynamic_filter.py`, replicate the border instead.
"""

import jax
import jax.numpy as jnp

from supervegan_jax.ops.dynamic_filter import KERNEL_SIZE, TAPS, extract_patches
from supervegan_jax.ops.space import depth_to_space


def apply_zero_border_filters(x: jax.Array, logits: jax.Array) -> jax.Array:
    """Filters every pixel with its own softmax filters, the same for each channel.

    Jo et al., CVPR 2018, Eq. 2; the border and the order of taps and sub-pixels are those of
    `DynFilter3D` in utils.py and of `G` in test.py of yhjo09/VSR-DUF.

    Args:
      x: the centre frame, float32 [b, h, w, c].
      logits: float32 [b, h, w, 25, s]; taps and the s sub-pixels in row-major order. The softmax
        goes over the taps.

    Returns:
      [b, r*h, r*w, c] with r = sqrt(s).

    Raises:
      ValueError: the filters' grid is not the image's, or s is not a square.
    """
    b, h, w, c = x.shape
    s = logits.shape[-1]
    r = round(s**0.5)
    if logits.shape != (b, h, w, TAPS, s) or r * r != s:
        raise ValueError(
            f"filters of shape {logits.shape} do not fit an image of shape {x.shape}: "
            f"[b, h, w, {TAPS}, r*r] is needed"
        )
    reach = KERNEL_SIZE // 2
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    patches = extract_patches(padded)[:, reach : reach + h, reach : reach + w]
    y = jnp.einsum("bhwks,bhwkc->bhwsc", jax.nn.softmax(logits, axis=3), patches)
    return depth_to_space(y.reshape(b, h, w, s * c), r)
