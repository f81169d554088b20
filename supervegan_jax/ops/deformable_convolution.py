"""Modulated deformable convolution: every tap reads beside its place and counts by its own weight.

Zhu et al., "Deformable ConvNets v2: More Deformable, Better Results", CVPR 2019, Eq. 1; the border
and the order of groups, taps and coordinates are those of `torchvision.ops.deform_conv2d`.
"""

import jax
import jax.numpy as jnp


def sample_bilinear(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Reads an image between its pixels, each group of channels at places of its own.

    Outside the image there are zeros: a place less than one pixel away blends with them.

    Args:
      x: [b, h, w, c].
      rows, columns: finite places in pixels, float32 [b, n, m, groups]; (0, 0) is the middle of the
        first pixel. The channels form groups in a row, of c / groups each.

    Returns:
      [b, n, m, c] of x's dtype, blended in float32.

    Raises:
      ValueError: c is not a multiple of the groups.
    """
    b, h, w, c = x.shape
    groups = rows.shape[-1]
    if c % groups:
        raise ValueError(f"{c} channels do not form {groups} groups of the same size")
    table = x.reshape(-1, c // groups)
    images = jnp.arange(b, dtype=jnp.int32).reshape(b, 1, 1, 1)
    members = jnp.arange(groups, dtype=jnp.int32).reshape(1, 1, 1, groups)
    total = jnp.zeros((), jnp.float32)
    for row, row_weight in _neighbours(rows, h):
        for column, column_weight in _neighbours(columns, w):
            entries = ((images * h + row) * w + column) * groups + members
            pixels = jnp.take(table, entries, axis=0, mode="clip").astype(jnp.float32)
            total = total + (row_weight * column_weight)[..., None] * pixels
    return total.astype(x.dtype).reshape(*rows.shape[:3], c)


def _neighbours(places: jax.Array, size: int) -> list[tuple[jax.Array, jax.Array]]:
    """The pixels before and after each place along an axis, and their weights, 0 if outside."""
    before = jnp.floor(places)
    fraction = places - before
    pairs = []
    for pixel, weight in ((before, 1 - fraction), (before + 1, fraction)):
        inside = (pixel >= 0) & (pixel <= size - 1)
        index = jnp.clip(pixel, 0, size - 1).astype(jnp.int32)
        pairs.append((index, jnp.where(inside, weight, 0.0)))
    return pairs


def deformable_convolution(
    x: jax.Array, offsets: jax.Array, masks: jax.Array, kernel: jax.Array
) -> jax.Array:
    """Convolves with stride 1, each tap moved by its offset and multiplied by its mask.

    y(p) = sum_k kernel_k mask_k(p) x(p + p_k + offset_k(p)), x being 0 outside the image. The
    products with the kernel are matrix products, as many as an ordinary convolution has.

    Args:
      x: [b, h, w, c].
      offsets: float32 [b, h, w, groups, kh * kw, 2], (down, right) in pixels; the taps in row-major
        order.
      masks: float32 [b, h, w, groups, kh * kw].
      kernel: [kh, kw, c, features] of x's dtype, both sides odd.

    Returns:
      [b, h, w, features] of x's dtype.

    Raises:
      ValueError: a shape does not fit the others, or a side of the kernel is even.
    """
    b, h, w, c = x.shape
    kh, kw, _, features = kernel.shape
    if kh % 2 == 0 or kw % 2 == 0 or kernel.shape[2] != c:
        raise ValueError(f"kernel of shape {kernel.shape}; [odd, odd, {c}, features] is needed")
    shape = (b, h, w, masks.shape[-2], kh * kw)
    if masks.shape != shape or offsets.shape != (*shape, 2):
        raise ValueError(
            f"offsets of shape {offsets.shape} and masks of shape {masks.shape}; "
            f"[{b}, {h}, {w}, groups, {kh * kw}, 2] and without the 2 are needed"
        )
    # One axis holds a pixel's taps, so that all are read at once; groups come last.
    offsets, masks = offsets.swapaxes(3, 4), masks.swapaxes(3, 4)
    down = jnp.repeat(jnp.arange(kh, dtype=jnp.float32) - kh // 2, kw).reshape(1, 1, 1, -1, 1)
    right = jnp.tile(jnp.arange(kw, dtype=jnp.float32) - kw // 2, kh).reshape(1, 1, 1, -1, 1)
    rows = jnp.arange(h, dtype=jnp.float32).reshape(1, h, 1, 1, 1) + down + offsets[..., 0]
    columns = jnp.arange(w, dtype=jnp.float32).reshape(1, 1, w, 1, 1) + right + offsets[..., 1]
    groups = masks.shape[-1]
    places = (b, h, w * kh * kw, groups)
    pixels = sample_bilinear(x, rows.reshape(places), columns.reshape(places))
    pixels = pixels.reshape(b, h, w, kh * kw, groups, c // groups)
    pixels = pixels * masks.astype(x.dtype)[..., None]
    flat_kernel = kernel.reshape(kh * kw * c, features)
    return jnp.einsum("bhwk,kf->bhwf", pixels.reshape(b, h, w, kh * kw * c), flat_kernel)
