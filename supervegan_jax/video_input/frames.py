"""Frames as they are stored in a video: planes of Y, U and V, never RGB, never rotated."""

import dataclasses
from typing import Final

import numpy as np

# How many luma samples share one chroma sample, across and down; "gray" has no chroma.
SUBSAMPLINGS: Final[dict[str, tuple[int, int]]] = {
    "420": (2, 2),
    "422": (2, 1),
    "444": (1, 1),
    "gray": (0, 0),
}
BIT_DEPTHS: Final = (8, 10, 12)


@dataclasses.dataclass(frozen=True)
class FrameFormat:
    """What the planes of a video mean.

    Attributes:
      width, height: of the luma plane in pixels, as stored (a rotation is the player's to make).
      bit_depth: 8, 10 or 12; samples of more than 8 bits lie in the low bits of uint16.
      subsampling: a key of `SUBSAMPLINGS`.
      matrix: ffmpeg's name of the YCbCr matrix ("bt709", "smpte170m", "bt470bg", "bt2020nc",
        "smpte240m", "fcc"), resolved: a video without the tag has got the usual one for its size.
      full_range: whether black is code 0 (else 16, or 64 of 10 bits).
      chroma_location: where a 4:2:0 chroma sample lies: "left", "center", "topleft", "top",
        "bottomleft" or "bottom".
    """

    width: int
    height: int
    bit_depth: int = 8
    subsampling: str = "420"
    matrix: str = "bt709"
    full_range: bool = False
    chroma_location: str = "left"

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"frame size {self.width}x{self.height}: must be at least 1x1")
        if self.bit_depth not in BIT_DEPTHS:
            raise ValueError(f"bit depth {self.bit_depth}: must be one of 8, 10, 12")
        if self.subsampling not in SUBSAMPLINGS:
            accepted = ", ".join(SUBSAMPLINGS)
            raise ValueError(f"subsampling {self.subsampling!r}: must be one of {accepted}")

    def scaled(self, scale: int) -> "FrameFormat":
        """The same format, `scale` times as wide and high."""
        return dataclasses.replace(self, width=self.width * scale, height=self.height * scale)

    @property
    def pixel_format(self) -> str:
        """ffmpeg's name, such as "yuv420p" or "yuv420p10le"."""
        name = "gray" if self.subsampling == "gray" else f"yuv{self.subsampling}p"
        return name if self.bit_depth == 8 else f"{name}{self.bit_depth}le"

    @property
    def dtype(self) -> np.dtype:
        """Of the planes: uint8, or uint16 for more than 8 bits."""
        return np.dtype(np.uint8 if self.bit_depth == 8 else np.uint16)

    @property
    def plane_shapes(self) -> tuple[tuple[int, int], ...]:
        """[h, w] of each plane; chroma of an odd size is rounded up."""
        across, down = SUBSAMPLINGS[self.subsampling]
        luma = (self.height, self.width)
        if not across:
            return (luma,)
        chroma = (-(-self.height // down), -(-self.width // across))
        return (luma, chroma, chroma)


@dataclasses.dataclass(frozen=True)
class VideoFrame:
    """One frame.

    Attributes:
      index: its place in the order of presentation, from 0 (the first selected frame).
      pts: its timestamp, in units of the source's time base.
      planes: Y [h, w] and, save for "gray", U and V, uint8 or uint16; see `FrameFormat`.
      duration: how long it is shown, in units of the time base; 0 where the file does not tell.
      corrupt: whether the decoder had to guess part of it.
      coded_bytes: of the packet it was decoded from; 0 where nothing tells.
    """

    index: int
    pts: int
    planes: tuple[np.ndarray, ...]
    duration: int = 0
    corrupt: bool = False
    coded_bytes: int = 0

    def check_turn(self, index: int) -> None:
        """Raises `ValueError` unless the frame is the one with that index."""
        if self.index != index:
            raise ValueError(f"frame {self.index} was written where {index} comes next")

    def check(self, expected: FrameFormat) -> None:
        """Raises `ValueError` unless the planes have the shapes and the type of `expected`."""
        shapes = tuple(plane.shape for plane in self.planes)
        types = {plane.dtype for plane in self.planes}
        if shapes != expected.plane_shapes or types != {expected.dtype}:
            raise ValueError(
                f"frame {self.index}: planes {shapes} of {', '.join(map(str, types))}; this "
                f"video's are {expected.plane_shapes} of {expected.dtype}"
            )
