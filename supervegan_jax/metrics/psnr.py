"""Peak signal-to-noise ratio, and the perception-distortion plane's root mean squared error."""

import functools

import jax
import jax.numpy as jnp

from supervegan_jax.metrics.inputs import channel_difference, check_pair, crop
from supervegan_jax.metrics.luma import luma, rounded_luma_codes

__all__ = ["BIT_DEPTHS", "luma", "psnr", "psnr_of_codes", "rmse"]

BIT_DEPTHS = (8, 10, 12, 16)


def _mean_square(difference: jax.Array) -> jax.Array:
    # Row by row: one float32 sum over a megapixel would lose the fourth decimal of a decibel.
    rows = jnp.mean(jnp.square(difference), axis=(2, 3))
    return jnp.mean(rows, axis=1)


@functools.partial(jax.jit, static_argnames=("channel", "crop_border"))
def _psnr(x: jax.Array, y: jax.Array, channel: str, crop_border: int) -> jax.Array:
    x, y = (crop("psnr", images.astype(jnp.float32), crop_border) for images in (x, y))
    return -10.0 * jnp.log10(_mean_square(channel_difference("psnr", x, y, channel)))


def psnr(x: jax.Array, y: jax.Array, *, channel: str = "rgb", crop_border: int = 0) -> jax.Array:
    """PSNR in dB of each image pair: -10 log10 of the squared error's mean, for a peak of 1.

    Higher is better. The mean is over all pixels and channels together, so RGB images give one
    number (not the mean of three). Nothing is rounded or clipped: for the PSNR of 8-bit pictures
    give their codes / 255.

    Args:
      x: images in [0, 1], [b, h, w, c], float.
      y: images of the same shape.
      channel: "rgb", every channel given; or one luma of RGB: "y" (MATLAB's, BT.601 on video
        levels, peak 255), "y_full", "y709", "y709_full" (see `metrics.inputs.select_channel`).
      crop_border: pixels left out at each of the four sides.

    Returns:
      [b], float32; infinite for identical images.

    Raises:
      ValueError: for unequal shapes, integer images, NaN, values outside [0, 1], another channel,
        or a border that leaves nothing.
    """
    check_pair("psnr", x, y)
    return _psnr(x, y, channel, crop_border)


def psnr_of_codes(
    x: jax.Array, y: jax.Array, *, bit_depth: int = 8, crop_border: int = 0
) -> jax.Array:
    """PSNR in dB of stored samples, for a peak of 2**bit_depth - 1.

    Args:
      x: codes, unsigned integers, [b, h, w, c]: RGB, or one plane of a video.
      y: codes of the same shape and type.
      bit_depth: 8, 10, 12 or 16.
      crop_border: samples left out at each of the four sides.

    Returns:
      [b], float32; infinite for identical images.

    Raises:
      ValueError: for unequal shapes or types, another bit depth, codes above the peak, or a border
        that leaves nothing.
    """
    if bit_depth not in BIT_DEPTHS:
        raise ValueError(f"bit_depth {bit_depth}; accepted: {', '.join(map(str, BIT_DEPTHS))}")
    for codes in (x, y):
        if not jnp.issubdtype(codes.dtype, jnp.unsignedinteger):
            raise ValueError(f"psnr of codes of {codes.dtype}; accepted: unsigned integers")
    if x.dtype != y.dtype:
        raise ValueError(f"psnr of codes of {x.dtype} and {y.dtype}: not equal")
    peak = 2**bit_depth - 1
    largest = max((int(jnp.max(codes)) for codes in (x, y) if codes.size), default=0)
    if largest > peak:
        raise ValueError(f"psnr of a code {largest} at {bit_depth} bits; accepted: 0 to {peak}")
    if x.shape != y.shape or x.ndim != 4 or 0 in x.shape:
        raise ValueError(f"psnr of codes of shapes {x.shape} and {y.shape}; accepted: [b, h, w, c]")
    x, y = (crop("psnr", jnp.asarray(codes), crop_border).astype(jnp.int32) for codes in (x, y))
    # Subtracted as whole numbers: a 16-bit code / 65535 would be rounded.
    return -10.0 * jnp.log10(_mean_square((x - y).astype(jnp.float32) / peak))


@functools.partial(jax.jit, static_argnames=("channel", "crop_border"))
def _rmse(x: jax.Array, y: jax.Array, channel: str, crop_border: int) -> jax.Array:
    x, y = (crop("rmse", images.astype(jnp.float32), crop_border) for images in (x, y))
    if channel == "y_rounded":
        difference = (rounded_luma_codes(x) - rounded_luma_codes(y)) / 255.0
    else:
        difference = channel_difference("rmse", x, y, channel)
    return jnp.sqrt(_mean_square(difference))


def rmse(
    x: jax.Array,
    y: jax.Array,
    *,
    channel: str = "y_rounded",
    crop_border: int = 0,
    peak: float = 255.0,
) -> jax.Array:
    """Root mean squared error of each image pair; lower is better.

    With the defaults and crop_border=4 this is the distortion of the PIRM 2018 challenge (Blau et
    al., "The 2018 PIRM Challenge on Perceptual Image Super-Resolution"): on the 8-bit luma of
    MATLAB's rgb2ycbcr, in codes. The challenge averages the *squares* over images.

    Args:
      x: RGB in [0, 1], [b, h, w, 3], float.
      y: images of the same shape.
      channel: "y_rounded", MATLAB's luma rounded to 8 bits; or a channel of `psnr`, not rounded.
      crop_border: pixels left out at each of the four sides.
      peak: what 1.0 counts as: 255 (the default) for codes, 1 for [0, 1].

    Returns:
      [b], float32, 0 to `peak`.

    Raises:
      ValueError: as `psnr`.
    """
    check_pair("rmse", x, y)
    if channel == "y_rounded" and x.shape[-1] != 3:
        raise ValueError(f"rmse of the luma of {x.shape[-1]} channels; accepted: 3 (RGB)")
    return _rmse(x, y, channel, crop_border) * peak
