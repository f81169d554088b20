"""Strided deconvolution (transposed convolution), each kind of result pixel convolved apart.

So no product with the zeros between the input's pixels is computed or counted: its
multiply-accumulates are those of its definition, k x k x c x f for an input pixel.
"""

import jax
import jax.numpy as jnp

from supervegan_jax.ops.space import depth_to_space


def deconvolve(x: jax.Array, kernel: jax.Array, stride: int, start: int = 0) -> jax.Array:
    """Adds x[i, j] kernel to the result at (stride i, stride j), for all i and j.

    Args:
      x: [b, h, w, c].
      kernel: [k, k, c, f], of x's dtype.
      stride: pixels of the result between two of x.
      start: rows and columns of the result to leave out at its beginning.

    Returns:
      [b, stride * h, stride * w, f]; what lies behind is left out, what is missing there is 0.
    """
    kinds = [_taps(kernel.shape[0], stride, start + phase) for phase in range(stride)]
    phases = [
        jax.lax.conv_general_dilated(
            x,
            kernel[rows, columns],
            (1, 1),
            (row_padding, column_padding),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        if rows is not None and columns is not None
        else jnp.zeros((*x.shape[:-1], kernel.shape[-1]), x.dtype)
        for rows, row_padding in kinds
        for columns, column_padding in kinds
    ]
    return depth_to_space(jnp.concatenate(phases, axis=-1), stride)


def _taps(size: int, stride: int, first: int) -> tuple[slice | None, tuple[int, int]]:
    """The samples of a kernel's side that reach pixels first + stride i, and the padding of i."""
    cells, offset = divmod(first, stride)
    reached = range(offset, size, stride)
    # Sample n of these is of the input pixel `cells - n` from i: the last one comes first.
    samples = slice(reached[-1], None, -stride) if reached else None
    return samples, (len(reached) - 1 - cells, cells)
