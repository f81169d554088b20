"""LPIPS v0.1, learned perceptual image patch similarity (Zhang et al., CVPR 2018).

Follows the authors' definition (richzhang/PerceptualSimilarity, version 0.1): features of an
ImageNet network after five of its ReLUs, each position scaled to unit length, squared difference,
non-negative weights per channel, mean over positions, sum over layers.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from supervegan_jax.metrics.inputs import check_images
from supervegan_jax.models.vgg import IMAGENET_MEAN, IMAGENET_STD, VGG

# torchvision's AlexNet: (kernel size, channels, stride, padding) of its convolutions.
ALEXNET_CONVS = ((11, 64, 4, 2), (5, 192, 1, 2), (3, 384, 1, 1), (3, 256, 1, 1), (3, 256, 1, 1))
_ALEXNET_POOL_BEFORE = (2, 3)
_VGG16_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
# Below these the last layer would have no position.
_SMALLEST_SIDE = {"alexnet": 31, "vgg16": 16}
_EPSILON = 1e-10

NETWORKS = tuple(_SMALLEST_SIDE)


def _convolve(x: jax.Array, conv: Mapping[str, jax.Array], stride: int, padding: int) -> jax.Array:
    y = lax.conv_general_dilated(
        x,
        conv["kernel"],
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y + conv["bias"].reshape(1, 1, 1, -1)


def _max_pool(x: jax.Array) -> jax.Array:
    # As slices: XLA's reduce_window takes four times as long on a CPU.
    for axis in (1, 2):
        last = x.shape[axis] - 3
        slices = [lax.slice_in_dim(x, k, k + last // 2 * 2 + 1, 2, axis) for k in range(3)]
        x = functools.reduce(jnp.maximum, slices)
    return x


def alexnet_features(params: Mapping[str, Any], images: jax.Array) -> list[jax.Array]:
    """Computes torchvision's AlexNet after each of its five ReLUs.

    Args:
      params: {"conv1": {"kernel": HWIO, "bias": [c]}, ..., "conv5": ...}.
      images: RGB in [0, 1], [b, h, w, 3].

    Returns:
      Five features [b, h', w', c] of 64, 192, 384, 256 and 256 channels.
    """
    shape = (1, 1, 1, 3)
    mean, std = jnp.array(IMAGENET_MEAN, jnp.float32), jnp.array(IMAGENET_STD, jnp.float32)
    x = (images - mean.reshape(shape)) / std.reshape(shape)
    features = []
    for index, (_, _, stride, padding) in enumerate(ALEXNET_CONVS, start=1):
        if index in _ALEXNET_POOL_BEFORE:
            x = _max_pool(x)
        x = jax.nn.relu(_convolve(x, params[f"conv{index}"], stride, padding))
        features.append(x)
    return features


def _vgg16_features(params: Mapping[str, Any], images: jax.Array) -> list[jax.Array]:
    features: Any = VGG(network="vgg16", layers=_VGG16_LAYERS).apply(params, images)
    return [features[layer] for layer in _VGG16_LAYERS]


def _layer_distance(features: jax.Array, weights: jax.Array) -> jax.Array:
    """Distance at one layer; features [2b, h, w, c] holds first all x, then all y."""
    length = jnp.sqrt(jnp.sum(jnp.square(features), axis=-1, keepdims=True))
    x, y = jnp.split(features / (length + _EPSILON), 2)
    difference = jnp.einsum("bhwc,c->bhw", jnp.square(x - y), weights)
    return jnp.mean(difference, axis=(1, 2))


@functools.partial(jax.jit, static_argnames=("network",))
def _lpips(params: Mapping[str, Any], x: jax.Array, y: jax.Array, network: str) -> jax.Array:
    # With 2x - 1 for [-1, 1], the authors' shift and scale are ImageNet's mean and deviation.
    images = jnp.concatenate([x, y])
    compute = alexnet_features if network == "alexnet" else _vgg16_features
    distances = [
        _layer_distance(features, params["linear"][f"lin{index}"])
        for index, features in enumerate(compute(params["features"], images), start=1)
    ]
    return functools.reduce(jnp.add, distances)


def lpips(
    params: Mapping[str, Any], x: jax.Array, y: jax.Array, *, network: str = "alexnet"
) -> jax.Array:
    """LPIPS v0.1 of each image pair; lower is more alike, 0 for identical images.

    The authors' code takes images in [-1, 1]; the conversion is inside, so give [0, 1].

    Args:
      params: `{"features": ..., "linear": {"lin1": [c], ..., "lin5": [c]}}`; "features" is
        {"conv1": {"kernel": HWIO, "bias"}, ..., "conv5": ...} for alexnet and the variables of
        `models.vgg.VGG` for vgg16. `pretrained.packaged_weights.load_lpips_params` reads
        them.
      x: RGB in [0, 1], [b, h, w, 3], float32.
      y: images of the same shape.
      network: "alexnet", the usual choice for reporting, or "vgg16".

    Returns:
      [b], float32.

    Raises:
      ValueError: for an unknown network, unequal shapes, images that are not float32 RGB, hold NaN
        or values outside [0, 1], or are smaller than the network can take (31 pixels for alexnet,
        16 for vgg16).
    """
    if network not in NETWORKS:
        raise ValueError(f"LPIPS network {network!r}; accepted: {', '.join(NETWORKS)}")
    if x.shape != y.shape or x.ndim != 4 or x.shape[-1] != 3:
        raise ValueError(f"LPIPS of shapes {x.shape} and {y.shape}; accepted: equal [b, h, w, 3]")
    if x.dtype != jnp.float32 or y.dtype != jnp.float32:
        raise ValueError(f"LPIPS of {x.dtype} and {y.dtype}; accepted: float32 in [0, 1]")
    if min(x.shape[1:3]) < _SMALLEST_SIDE[network]:
        raise ValueError(
            f"LPIPS of {x.shape[2]}x{x.shape[1]} images; accepted with {network}: sides of at "
            f"least {_SMALLEST_SIDE[network]}"
        )
    check_images("LPIPS", x)
    check_images("LPIPS", y)
    return _lpips(params, x, y, network)
