"""The discriminator: convolutions that halve the image, then one logit (III-B, V-A, Fig. 6)."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from supervegan_jax.models.layers import Conv, lrelu

POOLED = 6
# Features normalised together: several, so that a 1x1 image does not become all zeros.
GROUP_SIZE = 16
# Features of the layers that halve the image, in units of `width`.
_MULTIPLES = (1, 2, 4, 8, 8)
# Of an image minus its 3x3 mean, which is mostly below 1/8.
DETAIL_GAIN = 8.0


def _pooling_matrix(size: int) -> np.ndarray:
    """[6, size] weights that average `size` samples into 6 near-equal bins (adaptive pooling)."""
    matrix = np.zeros((POOLED, size), np.float32)
    for i in range(POOLED):
        first, last = i * size // POOLED, -(-(i + 1) * size // POOLED)
        matrix[i, first:last] = 1 / (last - first)
    return matrix


def _detail(x: jax.Array) -> jax.Array:
    """What a 3x3 mean takes from images [b, h, w, c], edges replicated."""
    rows, columns = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    shifts = [padded[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    return x - sum(shifts) / 9


class Discriminator(nn.Module):
    """Says how real an image looks: [b, h, w, 3] -> logits [b], or [b, h', w'] of its patches.

    One discriminator serves all models. It normalises each image by itself (group normalisation),
    so that its answer depends neither on the batch nor on how the batch is split over devices.

    Attributes:
      width: features of the first layer (64 in the paper's size), a power of 2; the next ones have
        1, 2, 4, 8 and 8 times as many.
      detail_input: whether it is shown, beside the image, what a 3x3 mean takes from it. Detail is
        some hundredths of an image's variance, and normalised layers of few features take long to
        find it.
      halvings: layers that halve the image, at most 5.
      patch_logits: one logit a position of the last layer, which sees a patch of the image
        (Isola et al. 2017), instead of one for the whole: h' and w' are h and w halved so often.
      dtype: of the features.
    """

    width: int = 64
    detail_input: bool = False
    halvings: int = 5
    patch_logits: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        """Judges images [b, h, w, 3] in [0, 1]; h and w at least 32, or 2 to the `halvings`.

        Raises:
          ValueError: the image is too small for the halvings, or they are not 1 to 5.
        """
        if not 1 <= self.halvings <= len(_MULTIPLES):
            raise ValueError(f"halvings is {self.halvings}; 1 to {len(_MULTIPLES)} are accepted")
        least = 2**self.halvings
        if min(x.shape[1:3]) < least:
            raise ValueError(
                f"the discriminator needs at least {least}x{least} pixels, not {x.shape[1:3]}"
            )
        shown = x * 2 - 1
        if self.detail_input:
            shown = jnp.concatenate([shown, DETAIL_GAIN * _detail(x)], axis=-1)
        y = lrelu(Conv(self.width, dtype=self.dtype, name="input")(shown))
        for i, multiple in enumerate(_MULTIPLES[: self.halvings]):
            features = multiple * self.width
            y = nn.Conv(
                features,
                (4, 4),
                strides=(2, 2),
                padding=((1, 1), (1, 1)),
                use_bias=False,
                dtype=self.dtype,
                name=f"down_{i}",
            )(y)
            groups = math.ceil(features / GROUP_SIZE)
            if features % groups:
                raise ValueError(
                    f"discriminator.width is {self.width}, whose {features} features do not split "
                    f"into {groups} equal groups; powers of two do"
                )
            y = lrelu(nn.GroupNorm(num_groups=groups, dtype=self.dtype, name=f"norm_{i}")(y))
        y = y.astype(jnp.float32)
        if self.patch_logits:
            return Conv(1, name="logits")(y)[..., 0]
        rows, columns = _pooling_matrix(y.shape[1]), _pooling_matrix(y.shape[2])
        y = jnp.einsum("ih,jw,bhwc->bijc", rows, columns, y)
        return nn.Dense(1, name="logit")(y.reshape(y.shape[0], -1))[:, 0]


class FeatureDiscriminator(nn.Module):
    """Says how real the features of a fixed, pretrained network look, place by place.

    Such a network tells textures apart already, so that a few layers behind it learn in tens of
    steps what a discriminator of pixels takes hundreds for (Sauer et al. 2021, Projected GANs).

    Attributes:
      width: features of its own layers.
      dtype: of the features.
    """

    width: int = 64
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: Mapping[str, jax.Array], train: bool = True) -> jax.Array:
        """Judges {layer: [b, h, w, c]}, sides whole multiples of the deepest layer's.

        Returns:
          Logits [b, h', w', layers] on one grid, half as fine as the deepest layer's.

        Raises:
          ValueError: the deepest layer has a single row or column, or the others' sides are no
            multiples of its own.
        """
        least = min(min(x.shape[1:3]) for x in features.values())
        if least < 2:
            raise ValueError(
                f"the discriminator needs features of at least 2x2, and the deepest of "
                f"{', '.join(sorted(features))} has a side of {least}; show it larger squares"
            )
        sides = sorted(x.shape[1] for x in features.values())
        if any(side % least for side in sides):
            raise ValueError(
                f"the discriminator is shown features of {', '.join(map(str, sides))} a side, "
                f"which are no multiples of {least}; show it squares of another side, such as 64"
            )
        grid = min(x.shape[1] for x in features.values()) // 2
        logits = []
        for name in sorted(features):
            x = features[name]
            # Where nothing fires there is nothing to judge: the epsilon keeps it near 0.
            y = nn.RMSNorm(epsilon=0.1, use_scale=False, dtype=self.dtype, name=f"{name}_norm")(x)
            y = lrelu(Conv(self.width, kernel_size=1, dtype=self.dtype, name=f"{name}_input")(y))
            for i in range((x.shape[1] // grid).bit_length() - 1):
                y = Conv(self.width, stride=2, dtype=self.dtype, name=f"{name}_down_{i}")(y)
                y = lrelu(y)
            y = lrelu(Conv(self.width, dtype=self.dtype, name=f"{name}_join")(y))
            y = Conv(1, kernel_size=1, dtype=self.dtype, name=f"{name}_logits")(y)
            logits.append(y.astype(jnp.float32))
        return jnp.concatenate(logits, axis=-1)
