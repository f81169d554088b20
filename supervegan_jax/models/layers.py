"""The layers SUPERVEGAN is built from (III-A, Fig. 5)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.ops.shared_windows import Windows, conv3d_windows
from supervegan_jax.ops.temporal import conv3d

NEGATIVE_SLOPE = 0.2
KERNEL_INIT = nn.initializers.he_normal()
# The layers that end in pixels start near 0, so that training starts from plain interpolation.
OUTPUT_INIT = nn.initializers.variance_scaling(1e-4, "fan_in", "normal")


def lrelu(x: jax.Array) -> jax.Array:
    """LeakyReLU with slope 0.2 for negative values."""
    return nn.leaky_relu(x, NEGATIVE_SLOPE)


class PReLU(nn.Module):
    """x, or slope x where x is negative, with a learned slope a channel (He et al. 2015).

    Attributes:
      initial: the slopes at first.
      dtype: of the features; the slopes are float32.
    """

    initial: float = 0.25
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., c] -> [..., c]."""
        init = nn.initializers.constant(self.initial)
        slope = self.param("slope", init, (x.shape[-1],), jnp.float32).astype(self.dtype)
        return jnp.where(x >= 0, x, x * slope.reshape((1,) * (x.ndim - 1) + (-1,)))


class Conv(nn.Module):
    """Convolution with bias, 3x3 unless said: [b, h, w, c] -> [b, h', w', features].

    The zero padding is symmetric (1 on each side of 3x3), so a stride of 2 halves an even side.
    "SAME" of `nn.Conv` would pad only one side then and shift the features by half a pixel.
    """

    features: int
    stride: int = 1
    kernel_size: int = 3
    kernel_init: Any = KERNEL_INIT
    bias_init: Any = nn.initializers.zeros_init()
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves [b, h, w, c]."""
        return nn.Conv(
            self.features,
            (self.kernel_size, self.kernel_size),
            strides=(self.stride, self.stride),
            padding=self.kernel_size // 2,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            dtype=self.dtype,
            name="conv",
        )(x)


class Conv3D(nn.Module):
    """`taps` x3x3 convolution with bias over [b, t, h, w, c], computed by `ops.temporal.conv3d`."""

    features: int
    pad_time: bool
    spatial_stride: int = 1
    taps: int = 3
    dtype: Any = jnp.float32

    @nn.compact
    def _weights(self, channels: int) -> tuple[jax.Array, jax.Array]:
        init = nn.initializers.he_normal(in_axis=(0, 1, 2, 3))
        kernel = self.param("kernel", init, (self.taps, 3, 3, channels, self.features))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        return kernel, bias

    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves [b, t, h, w, c] -> [b, t or t - 2, h', w', features]."""
        kernel, bias = self._weights(x.shape[-1])
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = conv3d(x, kernel, pad_time=self.pad_time, spatial_stride=self.spatial_stride)
        return y + bias

    def over_windows(self, windows: Windows) -> Windows:
        """The same for windows that share frames, as inference has them."""
        kernel, bias = self._weights(windows.tensors[0].shape[-1])
        kernel, bias = nn.dtypes.promote_dtype(kernel, bias, dtype=self.dtype)
        y = conv3d_windows(
            windows, kernel, pad_time=self.pad_time, spatial_stride=self.spatial_stride
        )
        return jax.tree.map(lambda tensor: tensor + bias, y)


class ResidualBlock(nn.Module):
    """x + conv(lrelu(conv(x))), no normalisation: [b, h, w, c] -> [b, h, w, c]."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Adds a residual to [b, h, w, c]."""
        width = x.shape[-1]
        y = lrelu(Conv(width, dtype=self.dtype, name="conv_0")(x))
        # A small second convolution keeps the signal's variance through many blocks.
        init = nn.initializers.variance_scaling(0.2, "fan_in", "normal")
        return x + Conv(width, kernel_init=init, dtype=self.dtype, name="conv_1")(y)


class ResidualBlocks(nn.Module):
    """`count` residual blocks in a row: [b, h, w, c] -> [b, h, w, c]."""

    count: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Runs the blocks on [b, h, w, c]."""
        for i in range(self.count):
            x = ResidualBlock(dtype=self.dtype, name=f"block_{i}")(x)
        return x
