"""What the image metrics accept, and how they say no."""

import jax
import jax.numpy as jnp
import numpy as np

from supervegan_jax.metrics.luma import luma

# Float images of a trained network overshoot a little; 8-bit codes reach 255.
_LARGEST = 1.5

# channel -> (standard of the luma, limited range); "rgb" takes the images as they are.
_LUMA_CHANNELS = {
    "y": ("bt601", True),
    "y_full": ("bt601", False),
    "y709": ("bt709", True),
    "y709_full": ("bt709", False),
}
CHANNELS = ("rgb", *_LUMA_CHANNELS)


class FlatImageError(ValueError):
    """Too much of a picture is of one colour for a metric of its texture, which is undefined."""


def is_known(x: jax.Array) -> bool:
    """Whether the numbers can be looked at, which they cannot while JAX traces a function."""
    return not isinstance(x, jax.core.Tracer)


def check_images(metric: str, images: jax.Array, *, smallest_side: int = 1) -> None:
    """Raises ValueError unless `images` are float [b, h, w, c] in [0, 1] of a sufficient size.

    NaN, infinity and values far outside [0, 1] are refused too, except while JAX traces.

    Args:
      metric: the name that the error begins with.
      images: what to check.
      smallest_side: the least height and width.
    """
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"{metric} of images of shape {images.shape}; accepted: [b, h, w, c]")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(f"{metric} of images of {images.dtype}; accepted: float in [0, 1]")
    height, width = images.shape[1:3]
    if min(height, width) < smallest_side:
        raise ValueError(
            f"{metric} of {width}x{height} pixels; accepted: sides of at least {smallest_side}"
        )
    # Not by the maximum: XLA's may pass over NaN.
    if is_known(images) and not bool(jnp.all(jnp.abs(images) <= _LARGEST)):
        values = np.asarray(images)
        if not np.isfinite(values).all():
            raise ValueError(f"{metric} of images with NaN or infinity; accepted: [0, 1]")
        largest = np.abs(values).max()
        raise ValueError(f"{metric} of images with values to {largest:g}; accepted: [0, 1]")


def check_pair(metric: str, x: jax.Array, y: jax.Array) -> None:
    """Raises ValueError unless `x` and `y` are images (see `check_images`) of one shape."""
    if x.shape != y.shape:
        raise ValueError(f"{metric} of images of shapes {x.shape} and {y.shape}: not equal")
    check_images(metric, x)
    check_images(metric, y)


def crop(metric: str, images: jax.Array, crop_border: int, smallest_side: int = 1) -> jax.Array:
    """Takes `crop_border` pixels off each of the four sides.

    Args:
      metric: the name that the error begins with.
      images: [b, h, w, c].
      crop_border: pixels, at least 0.
      smallest_side: height and width that must be left.

    Raises:
      ValueError: for a border that is negative or leaves less than `smallest_side`.
    """
    height, width = images.shape[1:3]
    if crop_border < 0 or min(height, width) - 2 * crop_border < smallest_side:
        most = (min(height, width) - smallest_side) // 2
        accepted = f"0 to {most}" if most >= 0 else f"sides of at least {smallest_side}"
        raise ValueError(
            f"{metric} with crop_border {crop_border} of images of {width}x{height}; "
            f"accepted: {accepted}"
        )
    return images[:, crop_border : height - crop_border, crop_border : width - crop_border]


def channel_difference(metric: str, x: jax.Array, y: jax.Array, channel: str) -> jax.Array:
    """`select_channel` of x less that of y, without the rounding of either to float32.

    Args:
      metric, channel: as in `select_channel`.
      x, y: images of one shape.

    Raises:
      ValueError: as `select_channel`.
    """
    _check_channel(metric, channel)
    difference = x - y
    if channel == "rgb":
        return difference
    standard, limited_range = _LUMA_CHANNELS[channel]
    return luma(difference, standard) * (219.0 / 255.0 if limited_range else 1.0)


def _check_channel(metric: str, channel: str) -> None:
    if channel not in CHANNELS:
        raise ValueError(f"{metric} of channel {channel!r}; accepted: {', '.join(CHANNELS)}")


def select_channel(metric: str, images: jax.Array, channel: str) -> jax.Array:
    """The images whose error is measured: RGB itself, or one luma.

    Args:
      metric: the name that the error begins with.
      images: RGB in [0, 1], [b, h, w, 3]; with "rgb" any channel count.
      channel: "rgb"; "y", BT.601 luma on video levels as MATLAB's rgb2ycbcr gives it, not rounded,
        which is what papers on super resolution measure; "y_full", BT.601 luma in [0, 1];
        "y709" and "y709_full", the same of BT.709.

    Returns:
      [b, h, w, c], c = 1 for luma.

    Raises:
      ValueError: for another channel, or luma of images that are not RGB.
    """
    _check_channel(metric, channel)
    if channel == "rgb":
        return images
    standard, limited_range = _LUMA_CHANNELS[channel]
    return luma(images, standard, limited_range=limited_range)
