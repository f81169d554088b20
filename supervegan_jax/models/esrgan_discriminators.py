"""The discriminators of ESRGAN and Real-ESRGAN.

`VGGStyleDiscriminator` and `UNetDiscriminatorSN` of basicsr/archs/discriminator_arch.py in
XPixelGroup/BasicSR: the first is SRGAN's in ESRGAN's training (Wang et al., ECCV Workshops 2018,
Section 3.2), the second Real-ESRGAN's (Wang et al., ICCV Workshops 2021, Section 3.4).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.layers import KERNEL_INIT, Conv, lrelu
from supervegan_jax.ops.bilinear import resize_bilinear

SIZES = (128, 256)
HIDDEN = 100  # features between the two dense layers
MOMENTUM, EPSILON = 0.9, 1e-5  # of the batch normalisation, PyTorch's defaults
NORM_EPSILON = 1e-12  # least length of a vector that is normalised, PyTorch's default
# A U-Net of three halvings whose skips must meet.
MULTIPLE = 8


class VggDiscriminator(nn.Module):
    """Pairs of convolutions that halve the image down to 4x4, then two dense layers.

    Attributes:
      size: side of the images: 128, or 256 with one pair more.
      width: features of the first pair; the next ones have 2, 4, 8 and 8 times as many.
      dtype: of the features; parameters, statistics and logits stay float32.
    """

    size: int = 128
    width: int = 64
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Judges images.

        Args:
          x: [b, size, size, 3] in [0, 1].
          train: normalises by the batch, and updates "batch_stats" if that is mutable, instead of
            by the running statistics.

        Returns:
          Logits [b], high where an image looks real.

        Raises:
          ValueError: the size is not 128 or 256, or the images have another.
        """
        if self.size not in SIZES:
            raise ValueError(f"size is {self.size}; 128 and 256 are accepted")
        if x.ndim != 4 or x.shape[1:] != (self.size, self.size, 3):
            raise ValueError(
                f"images of shape {x.shape}; [b, {self.size}, {self.size}, 3] is needed"
            )
        y = lrelu(Conv(self.width, dtype=self.dtype, name="input")(x.astype(self.dtype)))
        pairs = (self.size // 4).bit_length() - 1
        for i in range(pairs):
            features = self.width * min(2**i, 8)
            if i > 0:
                y = self._normalised(y, features, 3, train, f"keep_{i}")
            y = self._normalised(y, features, 4, train, f"down_{i}")
        y = y.astype(jnp.float32).reshape(y.shape[0], -1)
        y = lrelu(nn.Dense(HIDDEN, kernel_init=KERNEL_INIT, name="hidden")(y))
        return nn.Dense(1, name="logit")(y)[:, 0]

    def _normalised(
        self, x: jax.Array, features: int, size: int, train: bool, name: str
    ) -> jax.Array:
        """A convolution without bias, of stride 2 if its kernel is 4x4; BN; LeakyReLU."""
        y = nn.Conv(
            features,
            (size, size),
            strides=2 if size == 4 else 1,
            padding=1,
            use_bias=False,
            kernel_init=KERNEL_INIT,
            dtype=self.dtype,
            name=name,
        )(x)
        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=MOMENTUM,
            epsilon=EPSILON,
            dtype=self.dtype,
            name=f"{name}_norm",
        )
        return lrelu(norm(y))


class SpectralConv(nn.Module):
    """A convolution without bias whose kernel is divided by its largest singular value.

    Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018,
    Algorithm 1: the kernel as a matrix [features, kh * kw * c], one power iteration a training
    step. The two vectors, "u" and "v", are kept in "batch_stats".

    Attributes:
      features: of the result.
      size: of the kernel: 3, or 4 with stride 2.
      dtype: of the features.
    """

    features: int
    size: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """[b, h, w, c] -> [b, h', w', features]; with `train`, iterates first."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", KERNEL_INIT, shape)
        fixed = jax.lax.stop_gradient(kernel)
        left = self.variable("batch_stats", "u", self._random_direction)
        right = self.variable("batch_stats", "v", lambda: _right_vector(fixed, left.value))
        u, v = left.value, right.value
        if train:
            v = _right_vector(fixed, u)
            u = _normalise(jnp.einsum("hwco,hwc->o", fixed, v))
            if self.is_mutable_collection("batch_stats") and not self.is_initializing():
                left.value, right.value = u, v
        sigma = jnp.einsum("hwco,hwc,o->", kernel, v, u)
        stride = (2, 2) if self.size == 4 else (1, 1)
        return jax.lax.conv_general_dilated(
            x,
            (kernel / sigma).astype(self.dtype),
            stride,
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def _random_direction(self) -> jax.Array:
        return _normalise(jax.random.normal(self.make_rng("params"), (self.features,)))


def _right_vector(kernel: jax.Array, u: jax.Array) -> jax.Array:
    return _normalise(jnp.einsum("hwco,o->hwc", kernel, u))


def _normalise(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.sqrt(jnp.sum(jnp.square(x))), NORM_EPSILON)


class UNetDiscriminator(nn.Module):
    """A U-Net with spectral normalisation: one logit for every pixel.

    Attributes:
      width: features at full size; 2, 4 and 8 times as many at a half, a quarter and an eighth.
      dtype: of the features; parameters, statistics and logits stay float32.
    """

    width: int = 64
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Judges images.

        Args:
          x: [b, h, w, 3] in [0, 1]; h and w multiples of 8.
          train: takes a power iteration, and updates "batch_stats" if that is mutable.

        Returns:
          Logits [b, h, w], high where a pixel looks real.

        Raises:
          ValueError: x has another shape.
        """
        if x.ndim != 4 or x.shape[-1] != 3 or x.shape[1] % MULTIPLE or x.shape[2] % MULTIPLE:
            raise ValueError(
                f"images of shape {x.shape}; [b, h, w, 3] with h and w multiples of {MULTIPLE} "
                "is needed"
            )
        y = lrelu(Conv(self.width, dtype=self.dtype, name="input")(x.astype(self.dtype)))
        skips = []
        for i in range(3):
            skips.append(y)
            conv = SpectralConv(self.width * 2 ** (i + 1), 4, self.dtype, name=f"down_{i}")
            y = lrelu(conv(y, train))
        for i in reversed(range(3)):
            skip = skips[i]
            y = resize_bilinear(y, *skip.shape[1:3])
            conv = SpectralConv(skip.shape[-1], 3, self.dtype, name=f"up_{i}")
            y = skip + lrelu(conv(y, train))
        for i in range(2):
            y = lrelu(SpectralConv(self.width, 3, self.dtype, name=f"join_{i}")(y, train))
        return Conv(1, dtype=self.dtype, name="logits")(y)[..., 0].astype(jnp.float32)
