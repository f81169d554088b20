"""RLFN: residual local feature network.

Kong et al., "Residual Local Feature Network for Efficient Super-Resolution", CVPR Workshops 2022:
Section 3, Fig. 2 and 3. Slopes, padding and the attention's form are as in model/block.py,
model/rlfn.py, model/rlfn_s.py and model/rlfn_ntire.py of bytedance/RLFN.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.layers import KERNEL_INIT, Conv
from supervegan_jax.models.single_stage import SingleStage
from supervegan_jax.ops.bilinear import resize_bilinear
from supervegan_jax.ops.space import depth_to_space

SCALES = (2, 3, 4)
NEGATIVE_SLOPE = 0.05
ATTENTION_WIDTH = 16


class SpatialAttention(nn.Module):
    """Weighs features by what is around them: ESA of Liu et al. 2020 in RLFN's lighter form.

    Its coarse grid covers the whole image and is stretched back to it, so a tile's weights are not
    exactly those the whole image would have.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b, h, w, c], h and w at least 15."""
        conv = partial(nn.Conv, kernel_init=KERNEL_INIT, dtype=self.dtype)
        reduced = conv(ATTENTION_WIDTH, (1, 1), name="reduce")(x)
        coarse = conv(ATTENTION_WIDTH, (3, 3), 2, padding="VALID", name="down")(reduced)
        coarse = nn.max_pool(coarse, (7, 7), (3, 3))
        coarse = conv(ATTENTION_WIDTH, (3, 3), padding=1, name="coarse")(coarse)
        around = resize_bilinear(coarse, *x.shape[1:3])
        here = conv(ATTENTION_WIDTH, (1, 1), name="fine")(reduced)
        return x * nn.sigmoid(conv(x.shape[-1], (1, 1), name="expand")(around + here))


class LocalFeatureBlock(nn.Module):
    """Three convolutions, a skip over them, a 1x1 convolution and the attention (Fig. 3)."""

    inner_width: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b, h, w, c]."""
        width = x.shape[-1]
        y = x
        for i, features in enumerate((self.inner_width, self.inner_width, width)):
            y = Conv(features, dtype=self.dtype, name=f"conv_{i}")(y)
            y = nn.leaky_relu(y, NEGATIVE_SLOPE)
        y = Conv(width, kernel_size=1, dtype=self.dtype, name="mix")(x + y)
        return SpatialAttention(self.dtype, name="attention")(y)


class Rlfn(SingleStage):
    """RLFN's generator: one frame in, the same frame enlarged.

    Attributes:
      scale: 2, 3 or 4.
      width: features: 52, or 48 in RLFN-S, 46 in the network of the NTIRE 2022 challenge.
      inner_width: of a block's first two convolutions; 0 is width, the challenge's has 48.
      blocks: residual local feature blocks: 6, or 4 in the challenge's.
      dtype: of the features; parameters and images stay float32.
    """

    scale: int = 4
    width: int = 52
    inner_width: int = 0
    blocks: int = 6
    dtype: Any = jnp.float32

    frames = 1
    # The attention convolves with stride 2 and pools 7x7, neither of them padded.
    least_side = 15

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Enlarges a frame.

        Args:
          x: [b, 1, h, w, 3] float32 RGB in [0, 1]; h and w at least 15.

        Returns:
          [b, scale * h, scale * w, 3] float32; values may leave [0, 1] slightly.

        Raises:
          ValueError: the scale is not 2, 3 or 4, or x has another shape or is too small.
        """
        if self.scale not in SCALES:
            raise ValueError(f"scale is {self.scale}; 2, 3 and 4 are accepted")
        self.check_windows(x)
        least = self.least_side
        if x.shape[2] < least or x.shape[3] < least:
            raise ValueError(
                f"input of {x.shape[2]}x{x.shape[3]} pixels; RLFN needs at least {least}x{least}"
            )
        dtype = self.dtype
        first = y = Conv(self.width, dtype=dtype, name="input")(x[:, 0].astype(dtype))
        for i in range(self.blocks):
            y = LocalFeatureBlock(self.inner_width or self.width, dtype, name=f"block_{i}")(y)
        y = first + Conv(self.width, dtype=dtype, name="trunk")(y)
        y = Conv(3 * self.scale**2, dtype=dtype, name="output")(y)
        return depth_to_space(y.astype(jnp.float32), self.scale)


# The paper's networks; every other one is one of these with fields changed.
VARIANTS: dict[str, dict[str, Any]] = {
    "rlfn": {"scale": 4, "width": 52},
    "rlfn_s": {"scale": 4, "width": 48},
}
