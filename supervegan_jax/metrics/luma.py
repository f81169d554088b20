"""The luma of RGB images, in the two conventions that papers measure."""

import jax
import jax.numpy as jnp

# Weights of R, G, B in the luma of ITU-R BT.601-7 and BT.709-6.
_WEIGHTS = {"bt601": (0.299, 0.587, 0.114), "bt709": (0.2126, 0.7152, 0.0722)}
# MATLAB's rgb2ycbcr, whose coefficients are rounded to three decimals of a code.
MATLAB_CODES = (65.481, 128.553, 24.966)


def luma(images: jax.Array, standard: str, *, limited_range: bool = False) -> jax.Array:
    """Returns the luma of RGB images.

    Args:
      images: non-linear RGB in [0, 1], [b, h, w, 3].
      standard: "bt601" or "bt709".
      limited_range: False gives [0, 1]; True gives video levels, [16, 235] / 255, which is what
        papers on super resolution measure (MATLAB's rgb2ycbcr, bt601). Their PSNR is then
        20 log10(255 / 219) = 1.32 dB higher.

    Returns:
      [b, h, w, 1].

    Raises:
      ValueError: for another standard, integer images or another channel count.
    """
    if standard not in _WEIGHTS:
        raise ValueError(f"luma standard {standard!r}; accepted: {', '.join(_WEIGHTS)}")
    if images.ndim != 4:
        raise ValueError(f"luma of images of shape {images.shape}; accepted: [b, h, w, c]")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"luma of images of {images.dtype}; accepted: float in [0, 1]")
    if images.shape[-1] != 3:
        raise ValueError(f"luma of {images.shape[-1]} channels; accepted: 3 (RGB)")
    red, green, blue = _WEIGHTS[standard]
    y = red * images[..., 0:1] + green * images[..., 1:2] + blue * images[..., 2:3]
    return (16.0 + 219.0 * y) / 255.0 if limited_range else y


def rounded_luma_codes(
    images: jax.Array, *, full_range_weights: tuple[float, float, float] | None = None
) -> jax.Array:
    """The 8-bit luma that MATLAB's rgb2ycbcr gives for 8-bit RGB, as NIQE and PIRM 2018 take it.

    Args:
      images: RGB in [0, 1], [b, h, w, 3].
      full_range_weights: weights of R, G and B in a luma of 0..255 instead (rgb2gray).

    Returns:
      [b, h, w, 1], whole codes (16..235 for rgb2ycbcr) of the same float type.
    """
    black = 16.0 if full_range_weights is None else 0.0
    matlab = tuple(weight / 255.0 for weight in MATLAB_CODES)
    red, green, blue = full_range_weights or matlab
    # Whole codes again, so that a luma of exactly n.5 is not moved by the division by 255.
    codes = jnp.round(images * (255.0 * 4096.0)) / 4096.0
    y = black + red * codes[..., 0:1] + green * codes[..., 1:2] + blue * codes[..., 2:3]
    # MATLAB rounds halves up, not to even.
    return jnp.floor(y + 0.5)
