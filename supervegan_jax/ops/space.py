"""Moving pixels between channels and space."""

import jax


def depth_to_space(x: jax.Array, block: int) -> jax.Array:
    """Places channels as sub-pixels: [b, h, w, block*block*c] -> [b, block*h, block*w, c].

    The channel order is (row in block, column in block, c), as in `tf.nn.depth_to_space`.

    Raises:
      ValueError: the channels are not a multiple of block * block.
    """
    b, h, w, channels = x.shape
    if channels % (block * block):
        raise ValueError(f"{channels} channels cannot fill blocks of {block}x{block}")
    c = channels // (block * block)
    x = x.reshape(b, h, w, block, block, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * block, w * block, c)


def space_to_depth(x: jax.Array, block: int) -> jax.Array:
    """The inverse of `depth_to_space`: [b, block*h, block*w, c] -> [b, h, w, block*block*c].

    Raises:
      ValueError: a side is not a multiple of `block`.
    """
    b, rows, columns, c = x.shape
    if rows % block or columns % block:
        raise ValueError(f"an image of {columns}x{rows} is not made of blocks of {block}x{block}")
    h, w = rows // block, columns // block
    x = x.reshape(b, h, block, w, block, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h, w, block * block * c)
