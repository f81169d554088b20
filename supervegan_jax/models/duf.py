"""DUF: dynamic upsampling filters without explicit motion compensation.

Jo et al., "Deep Video Super-Resolution Network Using Dynamic Upsampling Filters Without Explicit
Motion Compensation", CVPR 2018: Section 3, Fig. 2 and 3. What the paper leaves open (order of the
layers, padding, epsilon, channel order) is as in nets.py, utils.py and test.py of yhjo09/VSR-DUF.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.layers import Conv, Conv3D
from supervegan_jax.models.single_stage import SingleStage
from supervegan_jax.ops.dynamic_filter import TAPS
from supervegan_jax.ops.space import depth_to_space
from supervegan_jax.ops.zero_border_filter import apply_zero_border_filters

FRAMES = 7
# Blocks that take a frame off both ends, so that one of 7 is left.
REDUCING_BLOCKS = FRAMES // 2
SCALES = (2, 3, 4)
EPSILON = 1e-3  # of the batch normalisation


class DenseBlock(nn.Module):
    """Appends `growth` features: BN, ReLU, 1x1x1, BN, ReLU, 3x3x3 (Fig. 3's dense block).

    Attributes:
      growth: features of the 3x3x3 convolution.
      pad_time: pad with zero frames and keep t, or shrink it by 2.
      momentum: of the running statistics.
      dtype: of the features.
    """

    growth: int
    pad_time: bool
    momentum: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """[b, t, h, w, c] -> [b, t or t - 2, h, w, c + growth]."""
        norm = partial(batch_norm, train, self.momentum, self.dtype)
        y = nn.relu(norm("norm_0")(x))
        y = Conv(x.shape[-1], kernel_size=1, dtype=self.dtype, name="mix")(y)
        y = nn.relu(norm("norm_1")(y))
        y = Conv3D(self.growth, self.pad_time, dtype=self.dtype, name="grow")(y)
        return jnp.concatenate([x if self.pad_time else x[:, 1:-1], y], axis=-1)


class Duf(SingleStage):
    """DUF's generator: seven frames in, the centre frame enlarged.

    A window that reaches beyond a clip's ends repeats its first or last frame there, as in training
    and enhancement of every network here; the authors' test.py has black frames.

    Attributes:
      scale: 2, 3 or 4.
      kept_blocks: dense blocks that keep the seven frames; three more reduce them to one.
      width: features of the first convolution.
      growth: features that each dense block appends.
      head_width: features of the convolution after the dense blocks and of the residual branch.
      filter_width: features of the filter branch.
      momentum: of the running statistics of the batch normalisation. The authors' 0.999 is of an
        average that is corrected for its start; this one forgets its start (mean 0, variance 1)
        soon enough for a short training.
      dtype: of the features; parameters, statistics and images stay float32.
    """

    scale: int = 4
    kept_blocks: int = 3
    width: int = 64
    growth: int = 32
    head_width: int = 256
    filter_width: int = 512
    momentum: float = 0.99
    dtype: Any = jnp.float32

    frames = FRAMES
    normalised = True

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Enlarges the centre of seven frames.

        Args:
          x: [b, 7, h, w, 3] float32 RGB in [0, 1], any h and w.
          train: normalises by the batch, and updates "batch_stats" if that is mutable, instead of
            by the running statistics.

        Returns:
          [b, scale * h, scale * w, 3] float32; values may leave [0, 1] slightly.

        Raises:
          ValueError: the scale is not 2, 3 or 4, kept_blocks is negative, or x has another shape.
        """
        if self.scale not in SCALES:
            raise ValueError(f"scale is {self.scale}; DUF is defined for 2, 3 and 4")
        if self.kept_blocks < 0:
            raise ValueError(f"kept_blocks is {self.kept_blocks}; 0 and more are accepted")
        self.check_windows(x)
        y = self._features(x, train)
        b, h, w, _ = y.shape
        conv = partial(Conv, kernel_size=1, dtype=self.dtype)
        sub_pixels = self.scale**2
        residual = nn.relu(conv(self.head_width, name="residual_0")(y))
        residual = conv(3 * sub_pixels, name="residual_1")(residual).astype(jnp.float32)
        logits = nn.relu(conv(self.filter_width, name="filters_0")(y))
        logits = conv(TAPS * sub_pixels, name="filters_1")(logits).astype(jnp.float32)
        filtered = apply_zero_border_filters(
            x[:, FRAMES // 2], logits.reshape(b, h, w, TAPS, sub_pixels)
        )
        return filtered + depth_to_space(residual, self.scale)

    def _features(self, x: jax.Array, train: bool) -> jax.Array:
        """[b, 7, h, w, 3] -> [b, h, w, head_width], what both branches start from."""
        y = Conv(self.width, dtype=self.dtype, name="input")(x)
        for i in range(self.kept_blocks + REDUCING_BLOCKS):
            pad_time = i < self.kept_blocks
            block = DenseBlock(self.growth, pad_time, self.momentum, self.dtype, name=f"block_{i}")
            y = block(y, train)
        y = nn.relu(batch_norm(train, self.momentum, self.dtype, "norm")(y[:, 0]))
        return nn.relu(Conv(self.head_width, dtype=self.dtype, name="head")(y))


def batch_norm(train: bool, momentum: float, dtype: Any, name: str) -> nn.BatchNorm:
    """Batch normalisation over everything but the channels, with the authors' epsilon."""
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=momentum,
        epsilon=EPSILON,
        dtype=dtype,
        name=name,
    )


# The published networks, named by their depth; a narrow one has fields of these changed.
VARIANTS: dict[str, dict[str, Any]] = {
    "duf16": {"scale": 4, "kept_blocks": 3, "growth": 32},
    "duf28": {"scale": 4, "kept_blocks": 9, "growth": 16},
    "duf52": {"scale": 4, "kept_blocks": 21, "growth": 16},
}
