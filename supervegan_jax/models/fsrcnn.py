"""FSRCNN: shrink the features, map them in few channels, expand them, deconvolve.

Dong, Loy and Tang, "Accelerating the Super-Resolution Convolutional Neural Network", ECCV 2016:
Section 3.2, FSRCNN(d, s, m). Borders are treated as in the authors' test code, FSRCNN.m: every
layer replicates the last pixel it sees.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.layers import KERNEL_INIT, PReLU
from supervegan_jax.models.single_stage import SingleStage
from supervegan_jax.ops.deconvolution import deconvolve

SCALES = (2, 3, 4)
CHANNELS = (1, 3)
# What is around the image: the last pixel again, or zeros as the framework's layers would have it.
PADDINGS = {"edge": "edge", "zeros": "constant"}
DECONVOLUTION_SIZE = 9
# A Gaussian of standard deviation 0.001 (Section 4.1).
DECONVOLUTION_INIT = nn.initializers.normal(0.001)


class Fsrcnn(SingleStage):
    """FSRCNN: one frame in, the same frame enlarged.

    The paper's network has one channel, luma (Y of MATLAB's rgb2ycbcr, divided by 255: black is
    16 / 255). With three it learns RGB at once, which needs nothing around it.

    Attributes:
      scale: 2, 3 or 4.
      channels: 3 for RGB, 1 for the paper's luma.
      width: features of the first and of the expanding layer, d.
      shrunk_width: features of the mapping layers, s.
      mapping_layers: m.
      padding: "edge" as the authors test; "zeros" as the implementations in PyTorch do.
      dtype: of the features; parameters and images stay float32.
    """

    scale: int = 4
    channels: int = 3
    width: int = 56
    shrunk_width: int = 12
    mapping_layers: int = 4
    padding: str = "edge"
    dtype: Any = jnp.float32

    frames = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Enlarges a frame.

        Args:
          x: [b, 1, h, w, channels] float32 in [0, 1], any h and w.

        Returns:
          [b, scale * h, scale * w, channels] float32; values may leave [0, 1] slightly.

        Raises:
          ValueError: a field has none of its values, or x has another shape.
        """
        self._check_fields()
        self.check_windows(x)
        y = self._layer(x[:, 0].astype(self.dtype), self.width, 5, "input")
        y = self._layer(y, self.shrunk_width, 1, "shrink")
        for i in range(self.mapping_layers):
            y = self._layer(y, self.shrunk_width, 3, f"map_{i}")
        return self._deconvolve(self._layer(y, self.width, 1, "expand"))

    def _check_fields(self) -> None:
        if self.scale not in SCALES:
            raise ValueError(f"scale is {self.scale}; FSRCNN is defined for 2, 3 and 4")
        if self.channels not in CHANNELS:
            raise ValueError(f"channels is {self.channels}; 3 (RGB) and 1 (luma) are accepted")
        if self.padding not in PADDINGS:
            raise ValueError(f"padding {self.padding!r}; accepted: {', '.join(PADDINGS)}")

    def _pad(self, x: jax.Array, reach: int) -> jax.Array:
        widths = ((0, 0), (reach, reach), (reach, reach), (0, 0))
        return jnp.pad(x, widths, mode=PADDINGS[self.padding])

    def _layer(self, x: jax.Array, features: int, size: int, name: str) -> jax.Array:
        """A convolution and its PReLU."""
        conv = nn.Conv(
            features,
            (size, size),
            padding="VALID",
            kernel_init=KERNEL_INIT,
            dtype=self.dtype,
            name=name,
        )
        return PReLU(dtype=self.dtype, name=f"{name}_prelu")(conv(self._pad(x, size // 2)))

    def _deconvolve(self, x: jax.Array) -> jax.Array:
        """[b, h, w, width] -> [b, scale * h, scale * w, channels].

        The centre of the kernel of pixel i falls on scale i of the result, as in FSRCNN's deconv.m;
        there one more pixel is replicated on each side, and those further out do not count.
        """
        size, (_, h, w, c) = DECONVOLUTION_SIZE, x.shape
        kernel = self.param("kernel", DECONVOLUTION_INIT, (size, size, c, self.channels))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.channels,))
        border = 1 if self.padding == "edge" else 0
        kernel = kernel.astype(self.dtype)
        y = deconvolve(self._pad(x, border), kernel, self.scale, start=size // 2)
        start = self.scale * border
        y = y[:, start : start + self.scale * h, start : start + self.scale * w]
        return y.astype(jnp.float32) + bias.reshape(1, 1, 1, -1)


# The paper's network, for RGB; every other one is this with fields changed.
VARIANTS: dict[str, dict[str, Any]] = {
    "fsrcnn": {"scale": 4},
}
