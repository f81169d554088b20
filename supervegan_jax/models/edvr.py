"""EDVR: neighbour frames aligned by deformable convolutions, then fused by attention.

Wang et al., "EDVR: Video Restoration with Enhanced Deformable Convolutional Networks", CVPR
Workshops 2019: Fig. 2 (the whole), Section 3.2 (PCD alignment), Section 3.3 (TSA fusion). What the
paper leaves open, and the names of the layers, are as in basicsr/archs/edvr_arch.py of
XPixelGroup/BasicSR, the authors' current code; codes/models/modules/EDVR_arch.py of xinntao/EDVR
computes the same.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.layers import Conv
from supervegan_jax.models.single_stage import SingleStage
from supervegan_jax.ops.bilinear import resize_bilinear
from supervegan_jax.ops.deformable_convolution import deformable_convolution
from supervegan_jax.ops.pad import pad_to_multiple
from supervegan_jax.ops.space import depth_to_space

SCALE = 4
GRID = 4  # the pyramid halves a frame's sides twice
HEAD_WIDTH = 64  # features at the target size, in every variant
KERNEL_SIDE = 3
# As the authors draw them, but for biases, which start at 0: PyTorch's own rule, and the smaller
# one of residual blocks (default_init_weights of basicsr/archs/arch_util.py, scale 0.1).
KERNEL_INIT = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
BLOCK_INIT = nn.initializers.variance_scaling(2 * 0.1**2, "fan_in", "normal")


def lrelu(x: jax.Array) -> jax.Array:
    """LeakyReLU with the authors' slope 0.1 for negative values."""
    return nn.leaky_relu(x, 0.1)


class ReluBlocks(nn.Module):
    """`count` times x + conv(relu(conv(x))): [b, h, w, c] -> [b, h, w, c]."""

    count: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Runs the blocks on [b, h, w, c]."""
        conv = partial(Conv, x.shape[-1], kernel_init=BLOCK_INIT, dtype=self.dtype)
        for i in range(self.count):
            y = nn.relu(conv(name=f"block_{i}_conv1")(x))
            x = x + conv(name=f"block_{i}_conv2")(y)
        return x


class DeformableConv(nn.Module):
    """A modulated deformable convolution whose offsets and masks come from other features.

    `DCNv2Pack` of basicsr/archs/arch_util.py. The layer that gives offsets and masks starts at 0,
    so that this one starts as half an ordinary convolution.

    Attributes:
      groups: of channels that share their offsets and masks.
      dtype: of the features. Offsets are computed in float32: those of bfloat16 would be off by
        a sixteenth of a pixel where they reach 16 pixels.
    """

    groups: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, guide: jax.Array) -> jax.Array:
        """Convolves x where `guide`, both [b, h, w, c], says: [b, h, w, c]."""
        b, h, w, c = x.shape
        taps = KERNEL_SIDE**2
        zeros = nn.initializers.zeros_init()
        kernel = self.param("kernel", KERNEL_INIT, (KERNEL_SIDE, KERNEL_SIDE, c, c))
        bias = self.param("bias", zeros, (c,))
        conv_offset = Conv(
            3 * self.groups * taps, kernel_init=zeros, dtype=jnp.float32, name="conv_offset"
        )
        offsets, masks = jnp.split(conv_offset(guide), [2 * self.groups * taps], axis=-1)
        offsets = offsets.reshape(b, h, w, self.groups, taps, 2)
        masks = nn.sigmoid(masks).reshape(b, h, w, self.groups, taps)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        return deformable_convolution(x, offsets, masks, kernel) + bias.reshape(1, 1, 1, c)


class PyramidLevel(nn.Module):
    """Aligns one level of the pyramid, led by the coarser one (Eq. 3 and 4).

    Attributes:
      groups: of the deformable convolution.
      dtype: of the features.
    """

    groups: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        neighbour: jax.Array,
        reference: jax.Array,
        coarser: tuple[jax.Array, jax.Array] | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Aligns a neighbour's features to the reference's.

        Args:
          neighbour, reference: [b, h, w, c].
          coarser: what the coarser level gave, brought to this size; None for the coarsest.

        Returns:
          What leads the offsets, and the aligned features before their activation: [b, h, w, c].
        """
        width = neighbour.shape[-1]
        conv = partial(Conv, width, kernel_init=KERNEL_INIT, dtype=self.dtype)
        guide = jnp.concatenate([neighbour, reference], axis=-1)
        guide = lrelu(conv(name="offset_conv1")(guide))
        if coarser is not None:
            guide = jnp.concatenate([guide, coarser[0]], axis=-1)
        guide = lrelu(conv(name="offset_conv2")(guide))
        if coarser is not None:
            guide = lrelu(conv(name="offset_conv3")(guide))
        aligned = DeformableConv(self.groups, self.dtype, name="dcn_pack")(neighbour, guide)
        if coarser is not None:
            aligned = jnp.concatenate([aligned, coarser[1]], axis=-1)
            aligned = conv(name="feat_conv")(aligned)
        return guide, aligned


class PcdAlignment(nn.Module):
    """Pyramid, cascading and deformable alignment to the reference frame (Section 3.2).

    Attributes:
      groups: of the deformable convolutions.
      dtype: of the features.
    """

    groups: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, neighbours: Sequence[jax.Array], references: Sequence[jax.Array]
    ) -> jax.Array:
        """Aligns neighbours' features to the references'.

        Args:
          neighbours, references: three levels each, [b, h, w, c], [b, h/2, w/2, c] and
            [b, h/4, w/4, c].

        Returns:
          [b, h, w, c].
        """
        level = partial(PyramidLevel, self.groups, self.dtype)
        guide, aligned = level(name="l3")(neighbours[2], references[2])
        for i in (2, 1):
            # An offset is twice as many pixels on a grid twice as fine.
            coarser = 2 * upsample_bilinear(guide, 2), upsample_bilinear(lrelu(aligned), 2)
            guide, aligned = level(name=f"l{i}")(neighbours[i - 1], references[i - 1], coarser)
        conv = partial(Conv, aligned.shape[-1], kernel_init=KERNEL_INIT, dtype=self.dtype)
        guide = jnp.concatenate([aligned, references[0]], axis=-1)
        guide = lrelu(conv(name="cas_offset_conv1")(guide))
        guide = lrelu(conv(name="cas_offset_conv2")(guide))
        return lrelu(DeformableConv(self.groups, self.dtype, name="cas_dcnpack")(aligned, guide))


class TsaFusion(nn.Module):
    """Temporal and spatial attention: fuses the aligned frames into one (Section 3.3, Eq. 5-8).

    Attributes:
      dtype: of the features.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, aligned: jax.Array) -> jax.Array:
        """[b, t, h, w, c], h and w multiples of 4 -> [b, h, w, c]."""
        b, t, h, w, c = aligned.shape
        conv = partial(Conv, c, kernel_init=KERNEL_INIT, dtype=self.dtype)
        mix = partial(conv, kernel_size=1)
        reference = conv(name="temporal_attn1")(aligned[:, t // 2])
        embedded = conv(name="temporal_attn2")(aligned.reshape(b * t, h, w, c))
        similarity = jnp.einsum("bthwc,bhwc->bthw", embedded.reshape(aligned.shape), reference)
        weighted = aligned * nn.sigmoid(similarity)[..., None]
        weighted = weighted.transpose(0, 2, 3, 1, 4).reshape(b, h, w, t * c)
        fused = lrelu(mix(name="feat_fusion")(weighted))

        attention = lrelu(mix(name="spatial_attn1")(weighted))
        attention = lrelu(mix(name="spatial_attn2")(_pool(attention)))
        low = lrelu(mix(name="spatial_attn_l1")(attention))
        low = lrelu(conv(name="spatial_attn_l2")(_pool(low)))
        low = lrelu(conv(name="spatial_attn_l3")(low))
        attention = lrelu(conv(name="spatial_attn3")(attention)) + upsample_bilinear(low, 2)
        attention = lrelu(mix(name="spatial_attn4")(attention))
        attention = conv(name="spatial_attn5")(upsample_bilinear(attention, 2))
        added = lrelu(mix(name="spatial_attn_add1")(attention))
        added = mix(name="spatial_attn_add2")(added)
        # Twice, so that the factors start around 1.
        return fused * nn.sigmoid(attention) * 2 + added


class Edvr(SingleStage):
    """EDVR's generator: an odd number of frames in, the centre frame enlarged four times.

    Attributes:
      scale: 4; the authors define no other.
      frames: of a window.
      width: features of every layer but the last three.
      groups: of the deformable convolutions; a divisor of the width.
      front_blocks: residual blocks on each frame.
      back_blocks: residual blocks after the fusion.
      dtype: of the features; parameters, offsets and images stay float32.
    """

    scale: int = 4
    frames: int = 5
    width: int = 64
    groups: int = 8
    front_blocks: int = 5
    back_blocks: int = 10
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Enlarges the centre frame.

        The authors accept sides that are multiples of 4 alone; here the last row and column are
        repeated up to the next one, and what is made of them is cut off.

        Args:
          x: [b, frames, h, w, 3] float32 RGB in [0, 1], any h and w.

        Returns:
          [b, 4 * h, 4 * w, 3] float32; values may leave [0, 1] slightly.

        Raises:
          ValueError: a field is out of its range, or x has another shape.
        """
        self._check()
        self.check_windows(x)
        b, t, h, w, _ = x.shape
        x = pad_to_multiple(x, GRID)
        levels = self._pyramid(x.reshape(b * t, *x.shape[2:]))
        neighbours = [y.reshape(b, t, *y.shape[1:]) for y in levels]
        references = [jnp.repeat(y[:, t // 2], t, axis=0) for y in neighbours]
        aligned = PcdAlignment(self.groups, self.dtype, name="pcd_align")(levels, references)
        y = TsaFusion(self.dtype, name="fusion")(aligned.reshape(neighbours[0].shape))
        y = ReluBlocks(self.back_blocks, self.dtype, name="reconstruction")(y)
        y = self._enlarge(y) + upsample_bilinear(x[:, t // 2], SCALE)
        return y[:, : SCALE * h, : SCALE * w]

    def _check(self) -> None:
        if self.scale != SCALE:
            raise ValueError(f"scale is {self.scale}; EDVR is defined for {SCALE}")
        if self.frames < 1 or self.frames % 2 == 0:
            raise ValueError(f"frames is {self.frames}; odd numbers are accepted")
        if self.groups < 1 or self.width % self.groups:
            raise ValueError(f"width {self.width} in {self.groups} groups; a multiple is needed")
        if min(self.front_blocks, self.back_blocks) < 0:
            raise ValueError(
                f"front_blocks, back_blocks are {self.front_blocks}, {self.back_blocks}; "
                "0 and more are accepted"
            )

    def _pyramid(self, x: jax.Array) -> list[jax.Array]:
        """Frames [n, h, w, 3] -> features at h, h/2 and h/4."""
        conv = partial(Conv, self.width, kernel_init=KERNEL_INIT, dtype=self.dtype)
        y = lrelu(conv(name="conv_first")(x.astype(self.dtype)))
        levels = [ReluBlocks(self.front_blocks, self.dtype, name="feature_extraction")(y)]
        for level in (2, 3):
            y = lrelu(conv(stride=2, name=f"conv_l{level}_1")(levels[-1]))
            levels.append(lrelu(conv(name=f"conv_l{level}_2")(y)))
        return levels

    def _enlarge(self, y: jax.Array) -> jax.Array:
        """[b, h, w, c] -> float32 [b, 4h, 4w, 3]."""
        conv = partial(Conv, kernel_init=KERNEL_INIT, dtype=self.dtype)
        y = lrelu(depth_to_space(conv(4 * self.width, name="upconv1")(y), 2))
        y = lrelu(depth_to_space(conv(4 * HEAD_WIDTH, name="upconv2")(y), 2))
        y = lrelu(conv(HEAD_WIDTH, name="conv_hr")(y))
        return conv(3, name="conv_last")(y).astype(jnp.float32)


def upsample_bilinear(x: jax.Array, scale: int) -> jax.Array:
    """[b, h, w, c] -> [b, scale * h, scale * w, c]."""
    return resize_bilinear(x, scale * x.shape[1], scale * x.shape[2])


def _pool(x: jax.Array) -> jax.Array:
    """Maximum and mean of 3x3 pixels, every second: [b, h, w, c] -> [b, h/2, w/2, 2c]."""
    window: dict[str, Any] = {
        "window_shape": (3, 3),
        "strides": (2, 2),
        "padding": ((1, 1), (1, 1)),
    }
    # The zeros outside the image count in the mean, as PyTorch has it.
    mean = nn.pool(x, 0.0, jax.lax.add, **window) / 9
    return jnp.concatenate([nn.max_pool(x, **window), mean], axis=-1)


# The published networks; the authors' EDVR-L for Vimeo-90K has 7 frames instead.
VARIANTS: dict[str, dict[str, Any]] = {
    "edvr_m": {"scale": 4, "frames": 5, "width": 64, "front_blocks": 5, "back_blocks": 10},
    "edvr_l": {"scale": 4, "frames": 5, "width": 128, "front_blocks": 5, "back_blocks": 40},
}
