"""The perceptual loss: distance in the features of a pretrained network."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import lax

Features = Callable[[jax.Array], Mapping[str, jax.Array]]

_FAINTEST = 1e-3  # mean square of features; VGG's are of the order of 1


def perceptual_loss(
    features: Features,
    target: jax.Array,
    estimate: jax.Array,
    *,
    unit_length: bool = False,
) -> jax.Array:
    """L_P of Eq. 7: the mean squared difference of features, summed over the layers.

    The mean is over batch, positions and channels of each layer, in float32. Only the estimate
    gets a gradient.

    With `unit_length` the features of each position are first scaled to a root mean square of 1
    over their channels, so that every layer and every brightness weighs the same.

    Args:
      features: images [b, h, w, 3] -> layer name -> features, such as
        `lambda images: vgg.apply(variables, images)`.
      target: ground truth, RGB in [0, 1], [b, h, w, 3].
      estimate: the model's output, of the same shape.
      unit_length: scale each position's features.

    Returns:
      A float32 scalar.

    Raises:
      ValueError: when the shapes differ, or the images are too small for a layer.
    """
    if target.shape != estimate.shape:
        raise ValueError(f"target of shape {target.shape}, estimate of {estimate.shape}: not equal")
    # Two passes rather than one batch of both: the target's half would be differentiated too.
    wanted = lax.stop_gradient(features(target))
    got = features(estimate)
    if wanted.keys() != got.keys() or not got:
        raise ValueError(f"features {sorted(got)} of the estimate, {sorted(wanted)} of the target")
    for layer, x in got.items():
        if not x.size:
            raise ValueError(
                f"the perceptual loss looks at squares of {target.shape[1]} pixels, which are too "
                f"small for {layer}"
            )
    prepare = _scale_to_unit_length if unit_length else _in_float32
    distances = [
        jnp.mean(jnp.square(prepare(got[layer]) - prepare(wanted[layer]))) for layer in sorted(got)
    ]
    return jnp.sum(jnp.stack(distances))


def _in_float32(features: jax.Array) -> jax.Array:
    return features.astype(jnp.float32)


def _scale_to_unit_length(features: jax.Array) -> jax.Array:
    x = features.astype(jnp.float32)
    # Inside the root: at a position where nothing fires its slope would be infinite.
    return x * lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + _FAINTEST)
