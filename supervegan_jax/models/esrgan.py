"""ESRGAN's generator RRDBNet, which Real-ESRGAN uses as well.

Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCV Workshops
2018: Section 3.1, Fig. 3 and 4. What the paper leaves open (slope, padding, the form for scales 2
and 1) is as in basicsr/archs/rrdbnet_arch.py of XPixelGroup/BasicSR and realesrgan/utils.py of
xinntao/Real-ESRGAN (Wang et al., ICCV Workshops 2021).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.layers import Conv, lrelu
from supervegan_jax.models.single_stage import SingleStage
from supervegan_jax.ops.pad import pad_to_multiple
from supervegan_jax.ops.resize import upsample_nearest
from supervegan_jax.ops.space import space_to_depth

# scale -> side of the blocks of input pixels that become one pixel's channels: the body of a
# smaller scale works on a smaller grid and always enlarges by 4.
BLOCKS = {4: 1, 2: 2, 1: 4}
RESIDUAL_SCALE = 0.2
# "default_init_weights(..., 0.1)": a tenth of He's standard deviation.
DENSE_INIT = nn.initializers.variance_scaling(0.02, "fan_in", "normal")


class DenseBlock(nn.Module):
    """x + 0.2 of five convolutions, each of which sees all before it (Fig. 4).

    Attributes:
      growth: features of each of the first four.
      dtype: of the features.
    """

    growth: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b, h, w, c]."""
        width = x.shape[-1]
        seen = x
        for i in range(4):
            conv = Conv(self.growth, kernel_init=DENSE_INIT, dtype=self.dtype, name=f"conv_{i}")
            seen = jnp.concatenate([seen, lrelu(conv(seen))], axis=-1)
        y = Conv(width, kernel_init=DENSE_INIT, dtype=self.dtype, name="conv_4")(seen)
        return x + RESIDUAL_SCALE * y


class Rrdb(nn.Module):
    """x + 0.2 of three dense blocks in a row, the "residual in residual" of Fig. 4."""

    growth: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[b, h, w, c] -> [b, h, w, c]."""
        y = x
        for i in range(3):
            y = DenseBlock(self.growth, self.dtype, name=f"dense_{i}")(y)
        return x + RESIDUAL_SCALE * y


class Esrgan(SingleStage):
    """ESRGAN's generator: one frame in, the same frame enlarged.

    Attributes:
      scale: 4; 2 and 1 are Real-ESRGAN's.
      width: features of the trunk.
      growth: features that each convolution of a dense block appends.
      blocks: residual-in-residual dense blocks: 23, or 6 in Real-ESRGAN's anime network.
      dtype: of the features; parameters and images stay float32.
    """

    scale: int = 4
    width: int = 64
    growth: int = 32
    blocks: int = 23
    dtype: Any = jnp.float32

    frames = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Enlarges a frame.

        Args:
          x: [b, 1, h, w, 3] float32 RGB in [0, 1], any h and w. Scale 2 reflects up to one row
            and column, scale 1 up to three, at the bottom and the right, and crops.

        Returns:
          [b, scale * h, scale * w, 3] float32; values may leave [0, 1] slightly.

        Raises:
          ValueError: the scale is not 4, 2 or 1, or x has another shape.
        """
        if self.scale not in BLOCKS:
            raise ValueError(f"scale is {self.scale}; ESRGAN is defined for 4, 2 and 1")
        self.check_windows(x)
        _, _, h, w, _ = x.shape
        dtype = self.dtype
        y = pixels_to_channels(x[:, 0], BLOCKS[self.scale]).astype(dtype)
        first = y = Conv(self.width, dtype=dtype, name="input")(y)
        for i in range(self.blocks):
            y = Rrdb(self.growth, dtype, name=f"block_{i}")(y)
        y = first + Conv(self.width, dtype=dtype, name="trunk")(y)
        for i in range(2):
            y = lrelu(Conv(self.width, dtype=dtype, name=f"up_{i}")(upsample_nearest(y)))
        y = lrelu(Conv(self.width, dtype=dtype, name="detail")(y))
        y = Conv(3, dtype=dtype, name="output")(y).astype(jnp.float32)
        return y[:, : self.scale * h, : self.scale * w]


def pixels_to_channels(x: jax.Array, block: int) -> jax.Array:
    """Blocks of pixels become channels: [b, h, w, c] -> [b, h / block, w / block, block*block*c].

    Sides that are no multiple of `block` are reflected at the end first.
    """
    if block == 1:
        return x
    return space_to_depth(pad_to_multiple(x, block, "reflect"), block)


# The published networks; every other one is one of these with fields changed.
VARIANTS: dict[str, dict[str, Any]] = {
    "esrgan": {"scale": 4},
}
