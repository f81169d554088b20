"""The perceptual loss: distance in the features of a pretrained network."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import lax

Features = Callable[[jax.Array], Mapping[str, jax.Array]]
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


def perceptual_loss(
    features: Features,
    target: jax.Array,
    estimate: jax.Array,
    *,
    crop_size: int | None = None,
    crop_position: Position | None = None,
) -> jax.Array:
    """L_P of Eq. 7: the mean squared difference of features, summed over the layers.

    The mean is over batch, positions and channels of each layer, in float32. Only the estimate
    gets a gradient.

    Args:
      features: images [b, h, w, 3] -> layer name -> features, such as
        `lambda images: vgg.apply(variables, images)`.
      target: ground truth, RGB in [0, 1], [b, h, w, 3].
      estimate: the model's output, of the same shape.
      crop_size: side in pixels of the square that alone is compared; None compares whole images.
      crop_position: (y, x) of that square, the same in both; see `random_crop_position`.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: when the shapes differ, or only one of the crop's size and position is given.
    """
    if target.shape != estimate.shape:
        raise ValueError(f"target of shape {target.shape}, estimate of {estimate.shape}: not equal")
    if (crop_size is None) != (crop_position is None):
        raise ValueError(f"crop_size {crop_size} with crop_position {crop_position}: give both")
    if crop_size is not None and crop_position is not None:
        target = crop(target, crop_position, crop_size)
        estimate = crop(estimate, crop_position, crop_size)
    # Two passes rather than one batch of both: the target's half would be differentiated too.
    wanted = lax.stop_gradient(features(lax.stop_gradient(target)))
    got = features(estimate)
    if wanted.keys() != got.keys() or not got:
        raise ValueError(f"features {sorted(got)} of the estimate, {sorted(wanted)} of the target")
    distances = [
        jnp.mean(jnp.square(got[layer].astype(jnp.float32) - wanted[layer].astype(jnp.float32)))
        for layer in sorted(got)
    ]
    return jnp.sum(jnp.stack(distances))
