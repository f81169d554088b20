"""VGG-16 and VGG-19 (Simonyan and Zisserman, 2015), as far as a wanted layer and no further."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

# Convolutions in each of the five blocks (configurations D and E of the VGG paper's Table 1).
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)
# Per-channel RGB mean and standard deviation of ImageNet for images in [0, 1] (torchvision).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def conv_names(network: str) -> tuple[str, ...]:
    """Returns the names of a network's convolutions in order: conv1_1, conv1_2, conv2_1, ...

    Raises:
      ValueError: for a network other than vgg16 and vgg19.
    """
    if network not in BLOCKS:
        raise ValueError(f"network {network!r}; accepted: {', '.join(BLOCKS)}")
    return tuple(
        f"conv{block}_{i}"
        for block, count in enumerate(BLOCKS[network], start=1)
        for i in range(1, count + 1)
    )


def check_layers(network: str, layers: tuple[str, ...]) -> None:
    """Raises ValueError unless every name is a layer of the network, such as conv5_4 or relu5_4."""
    names = conv_names(network)
    for layer in layers:
        if layer.replace("relu", "conv", 1) not in names:
            raise ValueError(
                f"layer {layer!r} of {network}; accepted: {names[0]} to {names[-1]} (before the "
                "ReLU), relu1_1 and so on (after it)"
            )
    if not layers:
        raise ValueError(f"no layer of {network} is asked for")


class VGG(nn.Module):
    """The convolutional part of a VGG network.

    Variables: the collection "params" holds {"conv1_1": {"kernel": [3, 3, in, out], "bias": [out]},
    ...}; "normalization" holds {"mean": [3], "std": [3]}, what the weights' images were normalised
    with, for RGB in [0, 1]. `init` makes only what the wanted layers need; `apply` takes a full set
    as well.

    Attributes:
      network: "vgg16" or "vgg19".
      layers: names of the wanted features: conv5_4 is a convolution's output, relu5_4 what
        follows its ReLU. Nothing behind the last wanted layer is computed.
      dtype: of the computation and the features; parameters stay float32.
      widths: channels of the five blocks; the published weights need the default.
    """

    network: str = "vgg19"
    layers: tuple[str, ...] = ("conv5_4",)
    dtype: Any = jnp.float32
    widths: tuple[int, ...] = WIDTHS

    @nn.compact
    def __call__(self, images: jax.Array) -> dict[str, jax.Array]:
        """Computes the wanted features.

        Args:
          images: RGB in [0, 1], [b, h, w, 3].

        Returns:
          layer name -> features [b, h / 2^(block - 1), w / 2^(block - 1), c], sizes rounded down.

        Raises:
          ValueError: for an unknown network or layer, or images of another rank or channel count.
        """
        check_layers(self.network, self.layers)
        if images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"images of shape {images.shape}; accepted: [b, h, w, 3]")
        mean = self.variable("normalization", "mean", jnp.array, IMAGENET_MEAN, jnp.float32)
        std = self.variable("normalization", "std", jnp.array, IMAGENET_STD, jnp.float32)
        shape = (1, 1, 1, 3)
        # In float32: the statistics are finer than bfloat16's steps.
        x = (images - mean.value.reshape(shape)) / std.value.reshape(shape)
        x = x.astype(self.dtype)
        features: dict[str, jax.Array] = {}
        for name in conv_names(self.network):
            block, index = int(name[4]), int(name[6:])
            if index == 1 and block > 1:
                x = nn.max_pool(x, (2, 2), (2, 2))
            x = nn.Conv(self.widths[block - 1], (3, 3), padding=1, dtype=self.dtype, name=name)(x)
            features[name] = x
            if len(features.keys() & set(self.layers)) == len(set(self.layers)):
                break
            x = nn.relu(x)
            features[name.replace("conv", "relu")] = x
            if len(features.keys() & set(self.layers)) == len(set(self.layers)):
                break
        return {layer: features[layer] for layer in self.layers}
