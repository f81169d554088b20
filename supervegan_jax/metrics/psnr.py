"""Peak signal-to-noise ratio."""

import jax
import jax.numpy as jnp

# Weights of R, G, B in the luma of ITU-R BT.601-7 and BT.709-6.
_LUMA_WEIGHTS = {"bt601": (0.299, 0.587, 0.114), "bt709": (0.2126, 0.7152, 0.0722)}


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
      ValueError: for another standard or another channel count.
    """
    if standard not in _LUMA_WEIGHTS:
        raise ValueError(f"luma standard {standard!r}; accepted: {', '.join(_LUMA_WEIGHTS)}")
    _check_images(images)
    if images.shape[-1] != 3:
        raise ValueError(f"luma of {images.shape[-1]} channels; accepted: 3 (RGB)")
    red, green, blue = _LUMA_WEIGHTS[standard]
    y = red * images[..., 0:1] + green * images[..., 1:2] + blue * images[..., 2:3]
    return (16.0 + 219.0 * y) / 255.0 if limited_range else y


def psnr(x: jax.Array, y: jax.Array, *, crop_border: int = 0) -> jax.Array:
    """PSNR in dB of each image pair: -10 log10 of the squared error's mean, for a peak of 1.

    The mean is over all pixels and channels together, so RGB images give one number (not the mean
    of three); for luma, pass both through `luma` first.

    Args:
      x: images in [0, 1], [b, h, w, c], float.
      y: images of the same shape.
      crop_border: pixels left out at each of the four sides.

    Returns:
      [b], float32; infinite for identical images.

    Raises:
      ValueError: for unequal shapes, integer images, or a border that leaves nothing.
    """
    _check_images(x)
    _check_images(y)
    if x.shape != y.shape:
        raise ValueError(f"psnr of images of shapes {x.shape} and {y.shape}: not equal")
    height, width = x.shape[1:3]
    if not 0 <= 2 * crop_border < min(height, width):
        raise ValueError(
            f"crop_border {crop_border} of images of {width}x{height}; accepted: 0 to "
            f"{(min(height, width) - 1) // 2}"
        )
    rows, columns = (
        slice(crop_border, height - crop_border),
        slice(crop_border, width - crop_border),
    )
    difference = x[:, rows, columns].astype(jnp.float32) - y[:, rows, columns].astype(jnp.float32)
    mse = jnp.mean(jnp.square(difference), axis=(1, 2, 3))
    return -10.0 * jnp.log10(mse)


def _check_images(images: jax.Array) -> None:
    if images.ndim != 4:
        raise ValueError(f"images of shape {images.shape}; accepted: [b, h, w, c]")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"images of {images.dtype}; accepted: float in [0, 1]")
