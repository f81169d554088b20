"""Structural similarity, at one scale (Wang et al. 2004) and at five (Wang et al. 2003)."""

import functools
import math

import jax
import jax.numpy as jnp

from supervegan_jax.metrics.inputs import check_pair, crop, select_channel
from supervegan_jax.ops.resize import weighted_slices

_WINDOW = 11
_SIGMA = 1.5
_C1 = 0.01**2
_C2 = 0.03**2
# Wang, Simoncelli and Bovik 2003, section 3.2: the exponents of the five scales.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# The least size whose fifth scale still holds one window.
_SMALLEST_MS_SIDE = (_WINDOW - 1) * 2 ** (len(_SCALE_WEIGHTS) - 1) + 1
ODD_SIZES = ("symmetric", "zeros")


def gaussian_window(size: int, sigma: float) -> list[float]:
    """Weights of a sampled Gaussian that sum to 1 (one axis of MATLAB's fspecial)."""
    taps = [math.exp(-((k - size // 2) ** 2) / (2 * sigma**2)) for k in range(size)]
    return [tap / sum(taps) for tap in taps]


def _blur(x: jax.Array) -> jax.Array:
    """Gaussian mean around every pixel that has a whole window: [b, h, w, c] -> 10 less each."""
    taps = jnp.array(gaussian_window(_WINDOW, _SIGMA), jnp.float32)
    for axis in (1, 2):
        count = x.shape[axis] - _WINDOW + 1

        # A loop: written out, five scales take ten seconds to compile and run no faster.
        def add(
            k: jax.Array, total: jax.Array, x: jax.Array = x, count: int = count, axis: int = axis
        ) -> jax.Array:
            return total + taps[k] * jax.lax.dynamic_slice_in_dim(x, k, count, axis)

        start = jnp.zeros_like(jax.lax.slice_in_dim(x, 0, count, 1, axis))
        x = jax.lax.fori_loop(0, _WINDOW, add, start)
    return x


def _mean_per_channel(x: jax.Array) -> jax.Array:
    # Row by row, so that float32 keeps the sixth decimal of a megapixel's mean.
    return jnp.mean(jnp.mean(x, axis=2), axis=1)


def _similarity(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """SSIM and its contrast-structure part, each [b, c]."""
    # Variances do not depend on the zero point; a central one keeps float32 from cancelling.
    x, y = x - 0.5, y - 0.5
    moments = jnp.concatenate([x, y, x * x + y * y, x * y])
    mean_x, mean_y, squares, products = jnp.split(_blur(moments), 4)
    variances = squares - mean_x**2 - mean_y**2
    covariance = products - mean_x * mean_y
    contrast = (2.0 * covariance + _C2) / (variances + _C2)
    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    luminance = (2.0 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return _mean_per_channel(luminance * contrast), _mean_per_channel(contrast)


def _prepare(
    metric: str, x: jax.Array, y: jax.Array, channel: str, crop_border: int, smallest_side: int
) -> tuple[jax.Array, jax.Array]:
    x, y = (
        select_channel(
            metric, crop(metric, images.astype(jnp.float32), crop_border, smallest_side), channel
        )
        for images in (x, y)
    )
    return x, y


@functools.partial(jax.jit, static_argnames=("channel", "crop_border"))
def _ssim(x: jax.Array, y: jax.Array, channel: str, crop_border: int) -> jax.Array:
    x, y = _prepare("ssim", x, y, channel, crop_border, _WINDOW)
    return jnp.mean(_similarity(x, y)[0], axis=1)


def ssim(x: jax.Array, y: jax.Array, *, channel: str = "rgb", crop_border: int = 0) -> jax.Array:
    """SSIM of each image pair; higher is better, 1 for identical images.

    As the authors' ssim_index.m, without its later downsampling: an 11x11 Gaussian window of sigma
    1.5, K1 0.01, K2 0.03, the variances not corrected for the sample, and only windows that lie
    whole in the image. Nothing is rounded. Images of one colour are fine: the constants decide.

    Args:
      x: images in [0, 1], [b, h, w, c], float.
      y: images of the same shape.
      channel: "rgb", the mean over the channels given; or one luma of RGB as in `psnr`, "y" being
        what papers on super resolution report.
      crop_border: pixels left out at each of the four sides, before the windows.

    Returns:
      [b], float32, -1 to 1.

    Raises:
      ValueError: for unequal shapes, integer images, NaN, values outside [0, 1], another channel,
        or fewer than 11 pixels left of a side.
    """
    check_pair("ssim", x, y)
    return _ssim(x, y, channel, crop_border)


def _halve(x: jax.Array, odd_sizes: str) -> jax.Array:
    """Means of 2x2 pixels, [b, h, w, c] -> [b, ceil(h / 2), ceil(w / 2), c]."""
    for axis in (1, 2):
        if x.shape[axis] % 2:
            widths = [(0, 0)] * 4
            if odd_sizes == "symmetric":
                widths[axis] = (0, 1)
                x = jnp.pad(x, widths, mode="edge")
            else:
                widths[axis] = (1, 1)
                x = jnp.pad(x, widths)
        x = weighted_slices(x, axis, [0.5, 0.5], 0, x.shape[axis] // 2, 2)
    return x


@functools.partial(jax.jit, static_argnames=("channel", "crop_border", "odd_sizes"))
def _ms_ssim(
    x: jax.Array, y: jax.Array, channel: str, crop_border: int, odd_sizes: str
) -> jax.Array:
    x, y = _prepare("ms_ssim", x, y, channel, crop_border, _SMALLEST_MS_SIDE)
    product: jax.Array | float = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale:
            x, y = _halve(x, odd_sizes), _halve(y, odd_sizes)
        similarity, contrast = _similarity(x, y)
        last = scale == len(_SCALE_WEIGHTS) - 1
        product = product * jnp.maximum(similarity if last else contrast, 0.0) ** weight
    return jnp.mean(product, axis=1)


def ms_ssim(
    x: jax.Array,
    y: jax.Array,
    *,
    channel: str = "rgb",
    crop_border: int = 0,
    odd_sizes: str = "symmetric",
) -> jax.Array:
    """MS-SSIM of each image pair over five scales; higher is better, 1 for identical images.

    As the authors' msssim.m: windows and constants of `ssim`; between scales the mean of 2x2
    pixels; the mean contrast-structure of four scales and the mean SSIM of the fifth, raised to
    0.0448, 0.2856, 0.3001, 0.2363 and 0.1333 and multiplied. A negative mean counts as 0 (its power
    would be complex).

    Args:
      x: images in [0, 1], [b, h, w, c], float.
      y: images of the same shape.
      channel: as in `ssim`; with "rgb" the channels' products are averaged.
      crop_border: pixels left out at each of the four sides.
      odd_sizes: how a scale of odd size is halved: "symmetric", its last line with itself
        (msssim.m); "zeros", a line of zeros on both sides, as the package pytorch-msssim does.
        Sizes that are multiples of 16 give the same either way.

    Returns:
      [b], float32, 0 to 1.

    Raises:
      ValueError: for unequal shapes, integer images, NaN, values outside [0, 1], another channel or
        odd_sizes, or fewer than 161 pixels left of a side.
    """
    if odd_sizes not in ODD_SIZES:
        raise ValueError(f"ms_ssim odd_sizes {odd_sizes!r}; accepted: {', '.join(ODD_SIZES)}")
    check_pair("ms_ssim", x, y)
    return _ms_ssim(x, y, channel, crop_border, odd_sizes)
