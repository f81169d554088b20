"""Moving an image along a flow: every pixel fetches its value from where its content was."""

import jax
import jax.numpy as jnp

BORDERS = ("edge", "zero")


def backward_warp(image: jax.Array, flow: jax.Array, border: str = "edge") -> jax.Array:
    """Bilinear backward warp: output[y, x] = image[y + flow_y, x + flow_x].

    The border is what the systems that warp do there:

    * "edge": a position outside takes the nearest inside, so that the border is replicated
      (`tf.contrib.image.dense_image_warp` in lib/Teco.py of thunil/TecoGAN, whose flow has the
      opposite sign and its y first).
    * "zero": a position gives 0 unless its four neighbours (floor and floor + 1 of each
      coordinate) lie inside (`transformer` in net_MFCNN.py of ryanxingql/mfqev2.0, whose four
      weights cancel otherwise). The last row and column are outside by that, even without motion.

    Args:
      image: float32 [b, h, w, c].
      flow: float32 [b, h, w, 2], in pixels; the last axis is (x, y), right and down positive.
      border: "edge" or "zero".

    Returns:
      [b, h, w, c]. Differentiable in both; where "edge" holds a coordinate at the border or "zero"
      gives 0 the flow has no gradient.

    Raises:
      ValueError: the flow is not one of the image's pixels, or the border is unknown.
    """
    if image.ndim != 4 or flow.shape != (*image.shape[:3], 2):
        raise ValueError(
            f"flow of shape {flow.shape} for an image of shape {image.shape}; "
            "[b, h, w, 2] for [b, h, w, c] is needed"
        )
    if border not in BORDERS:
        raise ValueError(f"border {border!r}; accepted: {', '.join(BORDERS)}")
    _, h, w, _ = image.shape
    x = jnp.arange(w, dtype=flow.dtype) + flow[..., 0]
    y = jnp.arange(h, dtype=flow.dtype)[:, None] + flow[..., 1]
    inside = (x >= 0) & (x < w - 1) & (y >= 0) & (y < h - 1)
    left, right, right_share = _neighbours(x, w)
    top, bottom, bottom_share = _neighbours(y, h)
    fetch = jax.vmap(_fetch)
    above = _mix(fetch(image, top, left), fetch(image, top, right), right_share)
    below = _mix(fetch(image, bottom, left), fetch(image, bottom, right), right_share)
    warped = _mix(above, below, bottom_share)
    return jnp.where(inside[..., None], warped, 0) if border == "zero" else warped


def _neighbours(position: jax.Array, size: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The samples before and after a position held inside, and the latter's share."""
    held = jnp.clip(position, 0, size - 1)
    before = jnp.floor(held)
    index = before.astype(jnp.int32)
    return index, jnp.minimum(index + 1, size - 1), held - before


def _fetch(pixels: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    return pixels.at[rows, columns].get(mode="promise_in_bounds")


def _mix(first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
    """`share` [b, h, w] of the second and the rest of the first, both [b, h, w, c]."""
    return first + share[..., None] * (second - first)
