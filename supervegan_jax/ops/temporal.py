"""Convolutions over time, computed as 2-D convolutions over frames stacked on channels.

A 3-D convolution whose kernel covers 3 frames equals a 2-D one over 3 x c channels: the same
numbers, 2.5 times faster on CPU, and cuDNN's 2-D kernels are the better ones too.
"""

import jax
import jax.numpy as jnp

from supervegan_jax.ops.space import space_to_depth


def conv3d(
    x: jax.Array, kernel: jax.Array, *, pad_time: bool, spatial_stride: int = 1
) -> jax.Array:
    """A 3-D convolution with zero padding in space and optional zero padding in time.

    Args:
      x: [b, t, h, w, c].
      kernel: [kt, kh, kw, c, features], all sides odd.
      pad_time: keep t (True) or shrink it to t - kt + 1 (False).
      spatial_stride: step in h and w; the padding is symmetric, so an even side n gives n / stride.

    Returns:
      [b, t', h', w', features].
    """
    kt, kh, kw, c, features = kernel.shape
    if pad_time:
        reach = kt // 2
        x = jnp.pad(x, ((0, 0), (reach, reach), (0, 0), (0, 0), (0, 0)))
    b, t, h, w, _ = x.shape
    out_t = t - kt + 1
    stacked = jnp.concatenate([x[:, i : i + out_t] for i in range(kt)], axis=-1)
    flat_kernel = kernel.transpose(1, 2, 0, 3, 4).reshape(kh, kw, kt * c, features)
    y = convolve(stacked.reshape(b * out_t, h, w, kt * c), flat_kernel, spatial_stride)
    return y.reshape(b, out_t, *y.shape[1:])


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """A 2-D convolution padded with zeros: x [b, h, w, c], kernel [kh, kw, c, features].

    Of a kernel with even sides, as `without_stride` makes them, one more is padded before.
    """
    kh, kw, _, _ = kernel.shape
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((kh // 2, (kh - 1) // 2), (kw // 2, (kw - 1) // 2)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def without_stride(x: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, jax.Array]:
    """A convolution of stride 2 as one over cells of 2x2 pixels, whose channels they become.

    A CPU convolves 12 channels in a third of the time of 3 channels with a stride, though of
    every 48 weights 21 are zeros then.

    Args:
      x: [b, h, w, c], h and w even.
      kernel: [kt, 3, 3, c, features], padded with zeros on each side of h and w.
      stride: 2.

    Returns:
      [b, h / 2, w / 2, 4c] and [kt, 2, 2, 4c, features], to be padded before h and w alone.

    Raises:
      ValueError: the stride or a side is another.
    """
    kt, kh, kw, c, features = kernel.shape
    if stride != 2 or (kh, kw) != (3, 3):
        raise ValueError(f"stride {stride} of a {kh}x{kw} kernel; 2 of 3x3 is accepted")
    # Rows -1, 0 and 1 about a cell's first are the second of the cell before and both of its own.
    wide = jnp.pad(kernel, ((0, 0), (1, 0), (1, 0), (0, 0), (0, 0)))
    wide = wide.reshape(kt, 2, 2, 2, 2, c, features).transpose(0, 1, 3, 2, 4, 5, 6)
    return space_to_depth(x, 2), wide.reshape(kt, 2, 2, 4 * c, features)
