"""Between a decoder's or an encoder's frames and plain planes, without losing a bit."""

import dataclasses
from collections.abc import Callable
from typing import Final

import av
import numpy as np

from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.probe import Unseen
from supervegan_jax.video_input import media
from supervegan_jax.video_input.frames import SUBSAMPLINGS, FrameFormat

PLANAR: Final = {
    FrameFormat(2, 2, depth, subsampling).pixel_format: (subsampling, depth)
    for subsampling in SUBSAMPLINGS
    for depth in (8, 10, 12)
} | {f"yuvj{subsampling}p": (subsampling, 8) for subsampling in ("420", "422", "444")}

# U and V interleaved in one plane: subsampling, depth, bits to shift out, whether V comes first.
SEMI_PLANAR: Final = {
    "nv12": ("420", 8, 0, False),
    "nv21": ("420", 8, 0, True),
    "nv16": ("422", 8, 0, False),
    "nv24": ("444", 8, 0, False),
    "nv42": ("444", 8, 0, True),
    "p010le": ("420", 10, 6, False),
    "p012le": ("420", 12, 4, False),
    "p210le": ("422", 10, 6, False),
    "p212le": ("422", 12, 4, False),
    "p410le": ("444", 10, 6, False),
    "p412le": ("444", 12, 4, False),
}
# 4:2:2 in one plane: where Y0, U, Y1 and V lie in each group of four bytes.
PACKED_422: Final = {"yuyv422": (0, 1, 2, 3), "uyvy422": (1, 0, 3, 2), "yvyu422": (0, 3, 2, 1)}
# RGB in one plane: bytes a pixel, and where R, G and B lie.
PACKED_RGB: Final = {
    "rgb24": (3, 0, 1, 2),
    "bgr24": (3, 2, 1, 0),
    "rgb0": (4, 0, 1, 2),
    "bgr0": (4, 2, 1, 0),
    "0rgb": (4, 1, 2, 3),
    "0bgr": (4, 3, 2, 1),
}
# With an alpha value behind them, which has to be the highest: GIFs are always stored so.
PACKED_RGBA: Final = {
    "rgba": (4, 0, 1, 2, 3),
    "bgra": (4, 2, 1, 0, 3),
    "argb": (4, 1, 2, 3, 0),
    "abgr": (4, 3, 2, 1, 0),
}
MATRIX_NUMBERS: Final = {name: number for number, name in media.MATRIX_NAMES.items()}
# Codecs whose 4:2:0 chroma lies in the middle of four luma samples unless they say otherwise.
CENTERED: Final = ("mjpeg", "mpeg1video", "h261", "h263")

Planes = tuple[np.ndarray, ...]


class PlanarReader:
    """Turns the decoded frames of one video into planes of one format."""

    def __init__(
        self,
        name: str,
        first: av.VideoFrame,
        context: av.VideoCodecContext,
        unseen: Unseen,
    ) -> None:
        """Settles the format.

        Args:
          name: the file's name in errors.
          first: the first decoded frame, of which every other one must be the like.
          context: the decoder.
          unseen: an unknown chroma location stands for the codec's usual one.

        Raises:
          VideoError: samples that this project cannot keep as they are, such as transparency, or
            half a chroma sample that is cropped.
        """
        self._name, self._stored = name, first.format.name
        _require_opaque(name, first)
        self._size = (first.width, first.height)
        subsampling, depth, self._read = _conversion(name, self._stored)
        is_rgb = self._read in (_read_packed_rgb, _read_gbr)
        chroma_location = unseen.chroma_location
        if chroma_location == "unknown":
            chroma_location = "center" if context.codec.canonical_name in CENTERED else "left"
        left, right, top, bottom = unseen.crop
        self.format = FrameFormat(
            width=first.width - left - right,
            height=first.height - top - bottom,
            bit_depth=depth,
            subsampling=subsampling,
            matrix="bt709" if is_rgb else _matrix(name, first, context),
            full_range=is_rgb or _is_full_range(first, context),
            chroma_location=chroma_location,
        )
        across, down = SUBSAMPLINGS[subsampling]
        self._corners = [(top, left)]
        if across:
            self._corners += 2 * [(top // down, left // across)]
        if across and (top % down or left % across):
            raise VideoError(
                f"{name}: its container hides {top} rows at the top and {left} columns at the "
                f"left, where a chroma sample is {across}x{down}; encode it cropped first, as "
                "ffmpeg does by itself"
            )
        self._whole = dataclasses.replace(self.format, width=first.width, height=first.height)
        self._colours = _colour_tags(first)

    def planes(self, frame: av.VideoFrame) -> Planes:
        """The samples of one frame, as arrays of their own.

        Raises:
          VideoError: the frame has another size or sample format than the first, or transparency.
        """
        if (frame.width, frame.height) != self._size or frame.format.name != self._stored:
            raise VideoError(
                f"{self._name}: the picture changes from {self._size[0]}x{self._size[1]} "
                f"{self._stored} to {frame.width}x{frame.height} {frame.format.name}"
            )
        _require_opaque(self._name, frame)
        return self._cropped(self._read(frame, self._whole))

    def other_colours(self, frame: av.VideoFrame) -> bool:
        """Whether a frame is tagged with another matrix or range than the first."""
        tags = zip(_colour_tags(frame), self._colours, strict=True)
        return any(here and first and here != first for here, first in tags)

    def _cropped(self, planes: Planes) -> Planes:
        if self._whole == self.format:
            return planes
        shapes = zip(planes, self._corners, self.format.plane_shapes, strict=True)
        return tuple(np.ascontiguousarray(p[y : y + h, x : x + w]) for p, (y, x), (h, w) in shapes)


def _conversion(
    name: str, stored: str
) -> tuple[str, int, Callable[[av.VideoFrame, FrameFormat], Planes]]:
    if stored in PLANAR:
        return (*PLANAR[stored], _read_planar)
    if stored in SEMI_PLANAR:
        return (*SEMI_PLANAR[stored][:2], _read_semi_planar)
    if stored in PACKED_422:
        return ("422", 8, _read_packed_422)
    if stored == "yuv411p":
        return ("422", 8, _read_411)
    if stored == "yuv440p":
        return ("444", 8, _read_440)
    # Ten bits of YCbCr hold every colour of eight bits of RGB apart.
    if stored in PACKED_RGB or stored in PACKED_RGBA:
        return ("444", 10, _read_packed_rgb)
    if stored == "gbrp":
        return ("444", 10, _read_gbr)
    if "a" in stored.replace("gray", "") or stored == "pal8":
        raise VideoError(_transparent(name, stored))
    raise VideoError(
        f"{name}: samples of the format {stored} are not supported; "
        "supported are YUV 4:2:0, 4:2:2, 4:4:4 and gray of 8, 10 and 12 bits, and 8-bit RGB"
    )


def _transparent(name: str, stored: str) -> str:
    return (
        f"{name}: its pictures have transparency ({stored}), which would be lost; "
        "convert them to yuv420p or yuv444p first"
    )


def _require_opaque(name: str, frame: av.VideoFrame) -> None:
    stored = frame.format.name
    if stored in PACKED_RGBA:
        size, *_, alpha = PACKED_RGBA[stored]
        if (_plane(frame, 0)[: frame.height, alpha : frame.width * size : size] != 255).any():
            raise VideoError(_transparent(name, stored))


def _matrix(name: str, frame: av.VideoFrame, context: av.VideoCodecContext) -> str:
    tags = (int(frame.colorspace), int(context.colorspace))
    tag = next((tag for tag in tags if tag != media.UNSPECIFIED), media.UNSPECIFIED)
    if tag == media.UNSPECIFIED or frame.format.name.startswith("gray"):
        return usual_matrix(frame.width, frame.height)
    if tag not in media.MATRIX_NAMES:
        raise VideoError(
            f"{name}: colour matrix number {tag} is not supported; "
            f"supported are {', '.join(media.MATRIX_NAMES.values())}"
        )
    return media.MATRIX_NAMES[tag]


def usual_matrix(width: int, height: int) -> str:
    """What players take an untagged video for: BT.709 from 720 lines on and else BT.601."""
    return "bt709" if max(height, width * 9 // 16) >= 720 else "smpte170m"


def _colour_tags(frame: av.VideoFrame) -> tuple[int, int]:
    """Matrix and range; 0 for either where it is not told."""
    matrix = int(frame.colorspace)
    return (0 if matrix == media.UNSPECIFIED else matrix, int(frame.color_range))


def _is_full_range(frame: av.VideoFrame, context: av.VideoCodecContext) -> bool:
    tag = int(frame.color_range) or int(context.color_range)
    return tag == 2 or frame.format.name.startswith("yuvj")


def _plane(frame: av.VideoFrame, number: int, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """[rows, samples] of one plane, padding at the end of rows included."""
    plane = frame.planes[number]
    samples = np.frombuffer(plane, dtype)  # type: ignore[call-overload]
    return np.asarray(samples.reshape(-1, plane.line_size // samples.itemsize))


def _read_planar(frame: av.VideoFrame, fmt: FrameFormat) -> Planes:
    planes = [_plane(frame, n, fmt.dtype)[:h, :w] for n, (h, w) in enumerate(fmt.plane_shapes)]
    return tuple(plane.copy() for plane in planes)


def _read_semi_planar(frame: av.VideoFrame, fmt: FrameFormat) -> Planes:
    _, _, shift, v_first = SEMI_PLANAR[frame.format.name]
    (height, width), (rows, columns), _ = fmt.plane_shapes
    luma = _plane(frame, 0, fmt.dtype)[:height, :width] >> shift
    both = _plane(frame, 1, fmt.dtype)[:rows, : 2 * columns].reshape(rows, columns, 2) >> shift
    chroma = (both[..., 0].copy(), both[..., 1].copy())
    return (luma.copy(), *(chroma[::-1] if v_first else chroma))


def _read_packed_422(frame: av.VideoFrame, fmt: FrameFormat) -> Planes:
    y0, u, y1, v = PACKED_422[frame.format.name]
    height, width = fmt.plane_shapes[0]
    groups = -(-width // 2)
    data = _plane(frame, 0)[:height, : 4 * groups].reshape(height, groups, 4)
    luma = data[..., [y0, y1]].reshape(height, 2 * groups)[:, :width]
    return (luma.copy(), data[..., u].copy(), data[..., v].copy())


def _between(plane: np.ndarray, count: int, axis: int) -> np.ndarray:
    """Doubles an axis: each sample stays where it is, its mean with the next comes behind it."""
    moved = np.moveaxis(plane, axis, 0)
    following = np.concatenate([moved[1:], moved[-1:]])
    mean = ((moved.astype(np.uint16) + following + 1) // 2).astype(plane.dtype)
    doubled = np.stack([moved, mean], 1).reshape(-1, *moved.shape[1:])[:count]
    return np.ascontiguousarray(np.moveaxis(doubled, 0, axis))


def _read_411(frame: av.VideoFrame, fmt: FrameFormat) -> Planes:
    (height, width), (_, columns), _ = fmt.plane_shapes
    quarter = -(-width // 4)
    chroma = [_between(_plane(frame, n)[:height, :quarter], columns, 1) for n in (1, 2)]
    return (_plane(frame, 0)[:height, :width].copy(), *chroma)


def _read_440(frame: av.VideoFrame, fmt: FrameFormat) -> Planes:
    height, width = fmt.plane_shapes[0]
    half = -(-height // 2)
    chroma = [_between(_plane(frame, n)[:half, :width], height, 0) for n in (1, 2)]
    return (_plane(frame, 0)[:height, :width].copy(), *chroma)


def _read_packed_rgb(frame: av.VideoFrame, fmt: FrameFormat) -> Planes:
    size, *places = (PACKED_RGB | PACKED_RGBA)[frame.format.name]
    height, width = fmt.plane_shapes[0]
    data = _plane(frame, 0)[:height, : width * size].reshape(height, width, size)
    return rgb_to_ycbcr(*(data[..., place] for place in places[:3]))


def _read_gbr(frame: av.VideoFrame, fmt: FrameFormat) -> Planes:
    height, width = fmt.plane_shapes[0]
    green, blue, red = (_plane(frame, n)[:height, :width] for n in range(3))
    return rgb_to_ycbcr(red, green, blue)


def rgb_to_ycbcr(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> Planes:
    """ITU-R BT.709 section 3, full range, 8 -> 10 bits."""
    r, g, b = (channel.astype(np.float32) * (1023 / 255) for channel in (red, green, blue))
    luma = 0.2126 * r + 0.7152 * g + 0.0722 * b
    chroma = ((b - luma) / 1.8556 + 512, (r - luma) / 1.5748 + 512)
    return tuple(np.clip(np.rint(p), 0, 1023).astype(np.uint16) for p in (luma, *chroma))


def in_samples(fmt: FrameFormat, pixel_format: str) -> FrameFormat:
    """`fmt` with the subsampling and the depth of `pixel_format`, a key of `PLANAR`."""
    subsampling, depth = PLANAR[pixel_format]
    return dataclasses.replace(fmt, subsampling=subsampling, bit_depth=depth)


def to_av_frame(planes: Planes, fmt: FrameFormat) -> av.VideoFrame:
    """An encoder's frame with the samples of `planes` in it, and what they mean.

    Args:
      planes: as `fmt.plane_shapes` says, uint8 or uint16.
      fmt: of the planes.
    """
    frame = av.VideoFrame(fmt.width, fmt.height, fmt.pixel_format)
    for number, plane in enumerate(planes):
        rows, columns = plane.shape
        _plane(frame, number, plane.dtype)[:rows, :columns] = plane
    frame.color_range = 2 if fmt.full_range else 1
    frame.colorspace = MATRIX_NUMBERS.get(fmt.matrix, media.UNSPECIFIED)
    return frame


def converted(planes: Planes, fmt: FrameFormat, pixel_format: str) -> Planes:
    """The planes of a frame in another format of the same size; "rgb24" is one plane [h, 3 w].

    Args:
      planes: as `fmt` says.
      fmt: of `planes`.
      pixel_format: a key of `PLANAR`, or "rgb24".
    """
    if pixel_format == fmt.pixel_format:
        return planes
    frame = to_av_frame(planes, fmt).reformat(format=pixel_format)
    if pixel_format == "rgb24":
        return (_plane(frame, 0)[: fmt.height, : 3 * fmt.width],)
    return _read_planar(frame, in_samples(fmt, pixel_format))
