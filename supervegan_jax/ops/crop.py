"""Squares cut out of images at random, where comparing the whole would cost too much."""

import jax
from jax import lax

Position = tuple[int | jax.Array, int | jax.Array]


def random_crop_position(
    key: jax.Array, image_shape: tuple[int, ...], crop_size: int
) -> tuple[jax.Array, jax.Array]:
    """Draws the top-left corner of a square crop, uniform over all that fit.

    Args:
      key: a PRNG key.
      image_shape: [b, h, w, c].
      crop_size: side of the crop in pixels.

    Returns:
      (y, x), int32 scalars.

    Raises:
      ValueError: when the crop does not fit the image.
    """
    _, height, width, _ = image_shape
    _check_crop(height, width, crop_size)
    key_y, key_x = jax.random.split(key)
    return (
        jax.random.randint(key_y, (), 0, height - crop_size + 1),
        jax.random.randint(key_x, (), 0, width - crop_size + 1),
    )


def crop(images: jax.Array, position: Position, crop_size: int) -> jax.Array:
    """Cuts the same square out of every image of a batch.

    Args:
      images: [b, h, w, c].
      position: (y, x) of the crop's top-left pixel; traced values beyond the last position that
        fits are moved to it.
      crop_size: side of the crop in pixels.

    Returns:
      [b, crop_size, crop_size, c].

    Raises:
      ValueError: when the crop does not fit the image or a Python position lies outside.
    """
    batch, height, width, channels = images.shape
    _check_crop(height, width, crop_size)
    for value, size in zip(position, (height, width), strict=True):
        if isinstance(value, int) and not 0 <= value <= size - crop_size:
            raise ValueError(f"crop position {value}; accepted: 0 to {size - crop_size}")
    y, x = position
    return lax.dynamic_slice(images, (0, y, x, 0), (batch, crop_size, crop_size, channels))


def _check_crop(height: int, width: int, crop_size: int) -> None:
    if not 0 < crop_size <= min(height, width):
        raise ValueError(
            f"crop_size {crop_size} in images of {width}x{height}; accepted: 1 to "
            f"{min(height, width)}"
        )
