"""The colour conversions of a video, as ffmpeg filters: stored YCbCr -> RGB or BT.709."""

import re
from typing import Final

from supervegan_jax.ops.chroma_sites import SITES
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.probe import VideoInfo

# ffmpeg's name of a tag -> the name its `scale` filter takes.
MATRICES: Final = {
    "bt709": "bt709",
    "bt470bg": "bt470",
    "smpte170m": "smpte170m",
    "smpte240m": "smpte240m",
    "fcc": "fcc",
    "bt2020nc": "bt2020",
}
HIGH_DYNAMIC_RANGE: Final = ("smpte2084", "arib-std-b67")
BT709_TAGS: Final = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace="
_USUAL_SITE: Final = "left"  # H.264's default, where a file does not tell


def is_rgb(info: VideoInfo) -> bool:
    """Whether the stored pixels are RGB or palette colours already."""
    return info.pixel_format.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "pal8", "0rgb"))


def matrix(info: VideoInfo) -> str:
    """The YCbCr matrix: the file's tag; untagged, BT.709 from 720 lines on and else BT.601."""
    if info.matrix == "unknown":
        return "bt709" if max(info.height, info.width * 9 // 16) >= 720 else "smpte170m"
    if info.matrix not in MATRICES:
        raise VideoError(
            f"{info.path}: colour matrix {info.matrix} is not supported; "
            f"supported are {', '.join(MATRICES)}"
        )
    return MATRICES[info.matrix]


def matrix_tag(info: VideoInfo) -> str:
    """The tag, a key of `MATRICES`, that says what `matrix` found."""
    found = matrix(info)
    return found if info.matrix == "unknown" else info.matrix


def value_range(info: VideoInfo) -> str:
    """ "pc" (0-255) or "tv" (16-235); untagged is "tv" save for the yuvj formats."""
    if info.range in ("tv", "pc"):
        return info.range
    return "pc" if info.pixel_format.startswith("yuvj") else "tv"


def _input_options(info: VideoInfo) -> list[str]:
    # A file of 8 bits has been squeezed already: its pixels are taken as they are.
    if info.transfer in HIGH_DYNAMIC_RANGE and re.search(
        r"(10|12|14|16)(le|be)?$", info.pixel_format
    ):
        raise VideoError(
            f"{info.path}: high dynamic range ({info.transfer}) does not fit into 8 bits; "
            "convert it to BT.709 first"
        )
    if is_rgb(info):
        return []
    options = [f"in_color_matrix={matrix(info)}", f"in_range={value_range(info)}"]
    known = info.chroma_location in SITES
    site = info.chroma_location if known else _USUAL_SITE
    return options + _chroma_positions("in", site, _subsampled_axes(info.pixel_format))


def _subsampled_axes(pixel_format: str) -> str:
    """Those of "h" (along the width) and "v" (along the height) on which chroma is halved."""
    if re.search(r"420|nv12|nv21|p01\d", pixel_format):
        return "hv"
    return "h" if re.search(r"422|nv16|nv20|[py]21\d", pixel_format) else ""


def _chroma_positions(side: str, site: str, axes: str) -> list[str]:
    """swscale's options, in 1/256 of a luma pixel; without them it would take "center"."""
    places = zip("hv", SITES[site], strict=True)
    return [f"{side}_{axis}_chr_pos={round(256 * s)}" for axis, s in places if axis in axes]


def to_rgb(info: VideoInfo) -> str:
    """The filter from stored pixels to 8-bit full-range RGB at the same size.

    Chroma is interpolated bilinearly at its true position, and nothing is rounded on the way.
    """
    flags = "flags=bilinear+accurate_rnd+full_chroma_int+full_chroma_inp"
    return "scale=" + ":".join([*_input_options(info), "out_range=pc", flags]) + ",format=rgb24"


def to_yuv420p(
    info: VideoInfo, size: tuple[int, int], kernel: str, stored_matrix: str = "bt709"
) -> str:
    """The filter from stored pixels to tagged BT.709 limited-range yuv420p of another size.

    Args:
      info: what is stored.
      size: width and height of the output in pixels, both even.
      kernel: swscale's name, "bilinear" or "bicubic". Downsampling widens the kernel by the
        ratio, so that nothing aliases: "bilinear" is the triangle filter.
      stored_matrix: the tag of the output's YCbCr matrix, a key of `MATRICES`.
    """
    options = [f"w={size[0]}", f"h={size[1]}", *_input_options(info)]
    options += [f"out_color_matrix={MATRICES[stored_matrix]}", "out_range=tv"]
    options += _chroma_positions("out", _USUAL_SITE, "hv")
    options.append(f"flags={kernel}+accurate_rnd+full_chroma_int+full_chroma_inp")
    return "scale=" + ":".join(options) + f",{BT709_TAGS}{stored_matrix},format=yuv420p"
