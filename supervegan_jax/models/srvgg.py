"""SRVGG: Real-ESRGAN's compact networks, convolutions in a row on the input's grid.

`SRVGGNetCompact` in realesrgan/archs/srvgg_arch.py of xinntao/Real-ESRGAN; there is no paper of its
own. realesr-animevideov3 has 16 layers, realesr-general-x4v3 has 32.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.layers import OUTPUT_INIT, Conv, PReLU
from supervegan_jax.models.single_stage import SingleStage
from supervegan_jax.ops.resize import upsample_nearest
from supervegan_jax.ops.space import depth_to_space

SCALES = (1, 2, 3, 4)


class Srvgg(SingleStage):
    """One frame in; what is learned is added to its nearest-neighbour enlargement.

    Attributes:
      scale: 1 to 4; the published files are for 4.
      width: features.
      layers: convolutions between the first and the last.
      dtype: of the features; parameters and images stay float32.
    """

    scale: int = 4
    width: int = 64
    layers: int = 16
    dtype: Any = jnp.float32

    frames = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Enlarges a frame.

        Args:
          x: [b, 1, h, w, 3] float32 RGB in [0, 1], any h and w.

        Returns:
          [b, scale * h, scale * w, 3] float32; values may leave [0, 1] slightly.

        Raises:
          ValueError: the scale is not 1 to 4, or x has another shape.
        """
        if self.scale not in SCALES:
            raise ValueError(f"scale is {self.scale}; 1, 2, 3 and 4 are accepted")
        self.check_windows(x)
        frame, dtype = x[:, 0], self.dtype
        y = frame.astype(dtype)
        for i in range(self.layers + 1):
            y = Conv(self.width, dtype=dtype, name=f"conv_{i}")(y)
            y = PReLU(dtype=dtype, name=f"prelu_{i}")(y)
        output = Conv(3 * self.scale**2, kernel_init=OUTPUT_INIT, dtype=dtype, name="output")
        detail = depth_to_space(output(y).astype(jnp.float32), self.scale)
        return upsample_nearest(frame, self.scale) + detail


# The published networks; every other one is one of these with fields changed.
VARIANTS: dict[str, dict[str, Any]] = {
    "srvgg": {"scale": 4, "layers": 16},
    "srvgg_general": {"scale": 4, "layers": 32},
}
