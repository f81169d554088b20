"""Between stored pixels (8-bit RGB, planar YCbCr) and the floats the networks work on."""

from typing import Protocol

import jax
import jax.numpy as jnp

from supervegan_jax.ops.chroma import downsample_chroma, upsample_chroma

# ffmpeg's name of a YCbCr matrix -> (Kr, Kb), the weights of red and blue in luma (ITU-T H.273).
MATRICES = {
    "bt709": (0.2126, 0.0722),
    "smpte170m": (0.299, 0.114),
    "bt470bg": (0.299, 0.114),
    "bt2020nc": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}
SUBSAMPLINGS = ("420", "422", "444", "gray")


class PixelFormat(Protocol):
    """What the numbers of planar YCbCr pixels mean.

    Attributes:
      bit_depth: 8 (planes are uint8), 10 or 12 (uint16).
      subsampling: one of `SUBSAMPLINGS`; "gray" has luma alone.
      matrix: a key of `MATRICES`.
      full_range: black and white are the ends of the range, not 16 and 235 (of 8 bits).
      chroma_location: a key of `ops.chroma_sites.SITES`; not read for "444" and "gray".
    """

    @property
    def bit_depth(self) -> int: ...  # noqa: D102
    @property
    def subsampling(self) -> str: ...  # noqa: D102
    @property
    def matrix(self) -> str: ...  # noqa: D102
    @property
    def full_range(self) -> bool: ...  # noqa: D102
    @property
    def chroma_location(self) -> str: ...  # noqa: D102


def to_float(x: jax.Array) -> jax.Array:
    """uint8 [...] in 0..255 -> float32 [...] in 0..1.

    Raises:
      ValueError: x is not uint8 (a float image would be divided by 255 unnoticed).
    """
    if x.dtype != jnp.uint8:
        raise ValueError(f"to_float takes uint8 pixels, not {x.dtype}")
    return x.astype(jnp.float32) / 255.0


def to_uint8(x: jax.Array) -> jax.Array:
    """float [...] -> uint8 [...], rounded to nearest and clipped to 0..255."""
    return jnp.clip(jnp.round(x.astype(jnp.float32) * 255.0), 0, 255).astype(jnp.uint8)


def rgb_to_luma(rgb: jax.Array) -> jax.Array:
    """The luma of RGB by BT.709, which is HD video's: [..., 3] -> [..., 1], black 0 and white 1."""
    k_r, k_b = MATRICES["bt709"]
    red, green, blue = rgb[..., 0:1], rgb[..., 1:2], rgb[..., 2:3]
    return k_r * red + (1 - k_r - k_b) * green + k_b * blue


def replace_luma(rgb: jax.Array, luma: jax.Array) -> jax.Array:
    """RGB [..., 3] with another luma [..., 1] (BT.709) and its own colour differences."""
    return rgb + (luma - rgb_to_luma(rgb))


def _luma_weights(matrix: str) -> tuple[float, float]:
    if matrix not in MATRICES:
        raise ValueError(f"YCbCr matrix {matrix!r}; accepted: {', '.join(MATRICES)}")
    return MATRICES[matrix]


def _code_ranges(fmt: PixelFormat) -> tuple[float, float, float, float]:
    """Luma's black and its span, chroma's zero and its span, in codes."""
    if fmt.bit_depth not in (8, 10, 12):
        raise ValueError(f"{fmt.bit_depth} bits a sample; accepted: 8, 10, 12")
    unit = 1 << (fmt.bit_depth - 8)
    top = float((1 << fmt.bit_depth) - 1)
    if fmt.full_range:
        return 0.0, top, 128.0 * unit, top
    return 16.0 * unit, 219.0 * unit, 128.0 * unit, 224.0 * unit


def planes_to_rgb(planes: tuple[jax.Array, ...], fmt: PixelFormat) -> jax.Array:
    """Stored planes -> RGB, still with the video's transfer curve.

    Args:
      planes: Y [n, h, w] and, unless gray, Cb and Cr of the subsampled size (odd sizes rounded up).
      fmt: what they mean.

    Returns:
      float32 [n, h, w, 3]; black is 0 and white 1, not clipped: colours that YCbCr can name and
      RGB cannot come back unchanged from `rgb_to_planes`.

    Raises:
      ValueError: the format is not one described in `PixelFormat`.
    """
    k_r, k_b = _luma_weights(fmt.matrix)
    black, luma_span, zero, chroma_span = _code_ranges(fmt)
    y = (planes[0].astype(jnp.float32) - black) * (1 / luma_span)
    if fmt.subsampling == "gray":
        return jnp.stack([y, y, y], axis=-1)
    height, width = y.shape[1:]
    p_b, p_r = (
        upsample_chroma(
            (plane.astype(jnp.float32) - zero) * (1 / chroma_span),
            height,
            width,
            fmt.subsampling,
            fmt.chroma_location,
        )
        for plane in planes[1:]
    )
    red = y + (2 * (1 - k_r)) * p_r
    blue = y + (2 * (1 - k_b)) * p_b
    green = y - (2 * (1 - k_r) * k_r / (1 - k_r - k_b)) * p_r
    green = green - (2 * (1 - k_b) * k_b / (1 - k_r - k_b)) * p_b
    return jnp.stack([red, green, blue], axis=-1)


def rgb_to_planes(rgb: jax.Array, fmt: PixelFormat) -> tuple[jax.Array, ...]:
    """RGB -> stored planes, rounded to nearest and clipped to the codes that exist.

    Args:
      rgb: float32 [n, h, w, 3].
      fmt: what the planes shall mean.

    Returns:
      Y and, unless gray, Cb and Cr; uint8, or uint16 above 8 bits.

    Raises:
      ValueError: the format is not one described in `PixelFormat`.
    """
    k_r, k_b = _luma_weights(fmt.matrix)
    black, luma_span, zero, chroma_span = _code_ranges(fmt)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    y = k_r * red + (1 - k_r - k_b) * green + k_b * blue
    codes = [y * luma_span + black]
    if fmt.subsampling != "gray":
        for colour, weight in ((blue, k_b), (red, k_r)):
            chroma = (colour - y) * (0.5 / (1 - weight))
            chroma = downsample_chroma(chroma, fmt.subsampling, fmt.chroma_location)
            codes.append(chroma * chroma_span + zero)
    dtype = jnp.uint8 if fmt.bit_depth == 8 else jnp.uint16
    top = (1 << fmt.bit_depth) - 1
    return tuple(jnp.clip(jnp.round(code), 0, top).astype(dtype) for code in codes)
