"""Resampling by whole factors, as sums of shifted slices.

Every function treats the border by replicating the edge pixel and looks only a few pixels far, so a
tile with that much context gives exactly the pixels the whole image would give.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp


def keys_kernel(distance: float, a: float = -0.5) -> float:
    """Cubic convolution weight at a distance in input pixels (Keys 1981, Eq. 4)."""
    x = abs(distance)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    if x < 2:
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return 0.0


def pad_edge(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    """Replicates the first and last sample along `axis`."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, after)
    return jnp.pad(x, widths, mode="edge")


def weighted_slices(
    x: jax.Array, axis: int, weights: list[float], start: int, count: int, stride: int
) -> jax.Array:
    """Sums weights[k] * x[start + k :: stride] over k, `count` samples along `axis`."""
    total = None
    for k, weight in enumerate(weights):
        if weight == 0.0:
            continue
        first = start + k
        part = jax.lax.slice_in_dim(x, first, first + (count - 1) * stride + 1, stride, axis)
        total = part * weight if total is None else total + part * weight
    if total is None:
        raise ValueError("all resampling weights are 0")
    return total


def _cubic_taps(phase: int, scale: int) -> tuple[int, list[float]]:
    """The first of the four input pixels of an output pixel, from its cell's, and their weights."""
    # Sample positions follow the pixel-centre convention shared by ffmpeg, OpenCV and PyTorch.
    source = (phase + 0.5) / scale - 0.5
    first = math.floor(source) - 1
    return first, [keys_kernel(source - (first + k)) for k in range(4)]


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _upsample_cubic_axis(x: jax.Array, axis: int, scale: int) -> jax.Array:
    size = x.shape[axis]
    padded = pad_edge(x, axis, 2, 2)
    phases = []
    for phase in range(scale):
        first, weights = _cubic_taps(phase, scale)
        phases.append(weighted_slices(padded, axis, weights, first + 2, size, 1))
    stacked = jnp.stack(phases, axis=axis + 1)
    return stacked.reshape((*x.shape[:axis], size * scale, *x.shape[axis + 1 :]))


def _upsample_cubic_axis_forward(x: jax.Array, axis: int, scale: int) -> tuple[jax.Array, None]:
    return _upsample_cubic_axis(x, axis, scale), None


def _upsample_cubic_axis_backward(
    axis: int, scale: int, _: None, gradient: jax.Array
) -> tuple[jax.Array]:
    """As slices of one padded array: derived by rule, every slice would be padded by itself."""
    size = gradient.shape[axis] // scale
    widths = [(0, 0)] * gradient.ndim
    widths[axis] = (4 * scale, 4 * scale)
    padded = jnp.pad(gradient, widths)
    # Of the input with its two replicated pixels on either side.
    parts = []
    for phase in range(scale):
        offset, weights = _cubic_taps(phase, scale)
        for k, weight in enumerate(weights):
            start = (2 - offset - k) * scale + phase
            if weight:
                parts.append(weighted_slices(padded, axis, [weight], start, size + 4, scale))
    total = sum(parts[1:], parts[0])
    if size == 1:
        return (jnp.sum(total, axis, keepdims=True),)
    head, middle, tail = jnp.split(total, (3, size + 1), axis)
    first, last = (jnp.sum(end, axis, keepdims=True) for end in (head, tail))
    return (jnp.concatenate([first, middle, last], axis),)


_upsample_cubic_axis.defvjp(_upsample_cubic_axis_forward, _upsample_cubic_axis_backward)


def upsample_bicubic(x: jax.Array, scale: int = 2) -> jax.Array:
    """Bicubic upsampling (Keys, a = -0.5), the ↑BIC of Eq. 2 for scale 2.

    Args:
      x: [b, h, w, c].
      scale: whole factor, at least 1.

    Returns:
      [b, scale * h, scale * w, c].
    """
    return _upsample_cubic_axis(_upsample_cubic_axis(x, 1, scale), 2, scale)


def upsample_nearest(x: jax.Array, scale: int = 2) -> jax.Array:
    """Nearest-neighbour upsampling, the ↑NN of Eq. 5: [b, h, w, c] -> [b, scale*h, scale*w, c]."""
    b, h, w, c = x.shape
    grid = jnp.broadcast_to(x[:, :, None, :, None], (b, h, scale, w, scale, c))
    return grid.reshape(b, h * scale, w * scale, c)


def bilinear_downsampling_weights(scale: int) -> list[float]:
    """The 2 * scale taps of the triangle filter that anti-aliased bilinear downsampling uses."""
    taps = [1 - abs(k + 0.5 - scale) / scale for k in range(2 * scale)]
    return [tap / sum(taps) for tap in taps]


def _downsample_axis(
    x: jax.Array, axis: int, scale: int, weights: list[float], mode: str
) -> jax.Array:
    """Weighs the samples around the centre of every `scale`; `mode` is jnp.pad's at the border."""
    size = x.shape[axis]
    if size % scale:
        raise ValueError(f"size {size} along axis {axis} is not a multiple of scale {scale}")
    before = (len(weights) - scale) // 2
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, len(weights) - scale - before)
    padded = jnp.pad(x, widths, mode=mode)
    return weighted_slices(padded, axis, weights, 0, size // scale, scale)


def _downsample(x: jax.Array, scale: int, weights: list[float], mode: str) -> jax.Array:
    rows = _downsample_axis(x, 1, scale, weights, mode)
    return _downsample_axis(rows, 2, scale, weights, mode)


def downsample_bilinear(x: jax.Array, scale: int) -> jax.Array:
    """Anti-aliased bilinear downsampling, the kernel that makes the network's input (V-A).

    Args:
      x: [b, h, w, c] with h and w multiples of `scale`.
      scale: whole even factor.

    Returns:
      [b, h / scale, w / scale, c].

    Raises:
      ValueError: h or w is not a multiple of `scale`, or `scale` is odd.
    """
    if scale % 2:
        raise ValueError(f"scale is {scale}; bilinear downsampling takes an even factor")
    return _downsample(x, scale, bilinear_downsampling_weights(scale), "edge")


def downsample_bicubic(x: jax.Array, scale: int) -> jax.Array:
    """Anti-aliased bicubic downsampling, MATLAB's imresize: "BI" of video super resolution.

    The kernel of Keys (a = -0.5) is widened by the scale; the image is mirrored at its border.

    Args:
      x: [b, h, w, c] with h and w multiples of `scale`.
      scale: whole even factor.

    Returns:
      [b, h / scale, w / scale, c].

    Raises:
      ValueError: h or w is not a multiple of `scale`.
    """
    taps = [keys_kernel((k + 0.5) / scale - 2) for k in range(4 * scale)]
    return _downsample(x, scale, [tap / sum(taps) for tap in taps], "symmetric")


def downsample_gaussian(x: jax.Array, scale: int, sigma: float = 1.6) -> jax.Array:
    """Gaussian blur, then one pixel of every `scale`: "BD" of video super resolution.

    The kernel has 2 ceil(3 sigma) + 2 taps about the centre of each cell of scale x scale pixels
    and the border is replicated, as in BasicVSR's script.

    Args:
      x: [b, h, w, c] with h and w multiples of `scale`.
      scale: whole even factor.
      sigma: of the kernel in pixels.

    Returns:
      [b, h / scale, w / scale, c].

    Raises:
      ValueError: h or w is not a multiple of `scale`.
    """
    count = 2 * math.ceil(3 * sigma) + 2
    taps = [math.exp(-(((k - (count - 1) / 2) / sigma) ** 2) / 2) for k in range(count)]
    return _downsample(x, scale, [tap / sum(taps) for tap in taps], "edge")
