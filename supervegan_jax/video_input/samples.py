"""Frames that are nothing but samples, one after the other: raw video and YUV4MPEG2.

Nothing is kept back beyond the frame in hand.
"""

import dataclasses
import io
import math
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.video_input.media import MediaInfo, Picture
from supervegan_jax.video_input.pixels import PLANAR, rgb_to_ycbcr, usual_matrix
from supervegan_jax.video_input.truncation import BrokenStream

LONGEST_LINE: Final = 4096
LARGEST_SIDE: Final = 65_535
LOWEST_RATE: Final = Fraction(1, 1000)
HIGHEST_RATE: Final = 1000
# As ffmpeg has it: so many decimals of 60000/1001 are 60000/1001.
LARGEST_DENOMINATOR: Final = 1_001_000
PIXEL_FORMATS: Final = (*PLANAR, "rgb24")

Span = tuple[Fraction | None, Fraction | None]


class Pipe:
    """A file descriptor read without waiting for more than was asked for.

    Attributes:
      record: takes what `read` gives; None for nobody.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held = b""
        self.record: bytearray | None = None

    def peek(self, size: int) -> bytes:
        """The next `size` bytes (fewer at the end), which stay to be read."""
        while len(self._held) < size and (data := os.read(self._descriptor, 1 << 16)):
            self._held += data
        return self._held[:size]

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, as many as there are now; b"" at the end."""
        size = 1 << 16 if size < 0 else size
        if self._held:
            data, self._held = self._held[:size], self._held[size:]
        else:
            data = os.read(self._descriptor, size)
        if self.record is not None:
            self.record += data
        return data

    def read_into(self, target: memoryview) -> int:
        """Fills `target` and returns how many bytes were there: fewer only at the end."""
        held, self._held = self._held[: len(target)], self._held[len(target) :]
        filled = len(held)
        target[:filled] = held
        while filled < len(target) and (count := os.readv(self._descriptor, [target[filled:]])):
            filled += count
        return filled

    def read_line(self) -> bytes:
        """Bytes up to a newline, without it; what is left at the end of the pipe."""
        line = bytearray()
        while len(line) < LONGEST_LINE and (byte := self.read(1)):
            if byte == b"\n":
                return bytes(line)
            line += byte
        return bytes(line)


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a stream of samples consists of.

    Attributes:
      format: of the frames.
      rate: frames per second.
      picture: how they are to be shown.
      marked: whether a line precedes each frame, as in YUV4MPEG2.
      rgb: whether the samples are 8-bit RGB, three bytes a pixel, which `format` has as YCbCr.
    """

    format: FrameFormat
    rate: Fraction
    picture: Picture = dataclasses.field(default_factory=Picture)
    marked: bool = False
    rgb: bool = False

    @property
    def frame_bytes(self) -> int:
        """The bytes of one frame, without its line."""
        if self.rgb:
            return self.format.width * self.format.height * 3
        samples = sum(height * width for height, width in self.format.plane_shapes)
        return samples * self.format.dtype.itemsize

    def split(self, data: memoryview) -> tuple[np.ndarray, ...]:
        """The planes of a frame out of its bytes."""
        if self.rgb:
            shape = (self.format.height, self.format.width, 3)
            pixels = np.frombuffer(data, np.uint8).reshape(shape)
            return rgb_to_ycbcr(*(pixels[..., channel] for channel in range(3)))
        planes, position = [], 0
        for height, width in self.format.plane_shapes:
            dtype = self.format.dtype.newbyteorder("<")
            plane = np.frombuffer(data, dtype, height * width, position)
            planes.append(plane.reshape(height, width).astype(self.format.dtype, copy=False))
            position += plane.nbytes
        return tuple(planes)


@dataclasses.dataclass(frozen=True)
class RawVideo:
    """What has to be told about headerless samples, in the words of the command line.

    Attributes:
      video_size: "320x180".
      pixel_format: ffmpeg's name, one of `PIXEL_FORMATS`.
      framerate: frames per second, such as "30", "29.97" or "30000/1001".
    """

    video_size: str | None = None
    pixel_format: str = "yuv420p"
    framerate: str = "25"

    def layout(self) -> Layout:
        """Raises `ValueError` where something is missing, wrong or not supported."""
        if self.video_size is None:
            raise ValueError("raw video does not tell its size; give --video-size WIDTHxHEIGHT")
        size = re.fullmatch(r"(\d{1,6})[x:](\d{1,6})", self.video_size)
        if size is None or not all(1 <= int(side) <= LARGEST_SIDE for side in size.groups()):
            raise ValueError(
                f"video-size {self.video_size!r}: must be WIDTHxHEIGHT in pixels, such as 320x180"
            )
        if self.pixel_format not in PIXEL_FORMATS:
            raise ValueError(
                f"pixel-format {self.pixel_format!r}: must be one of {', '.join(PIXEL_FORMATS)}"
            )
        rate = frame_rate(self.framerate)
        if rate is None:
            raise ValueError(
                f"framerate {self.framerate!r}: must be frames per second, 0.001 to 1000, such as "
                "25, 29.97 or 30000/1001"
            )
        width, height = int(size[1]), int(size[2])
        rgb = self.pixel_format == "rgb24"
        subsampling, depth = ("444", 10) if rgb else PLANAR[self.pixel_format]
        fmt = FrameFormat(
            width=width,
            height=height,
            bit_depth=depth,
            subsampling=subsampling,
            matrix="bt709" if rgb else usual_matrix(width, height),
            full_range=rgb or self.pixel_format.startswith("yuvj"),
        )
        return Layout(fmt, rate, rgb=rgb)


def ratio(text: str) -> Fraction | None:
    """A positive number such as "25", "29.97", "30000/1001" or "30000:1001"; else None."""
    try:
        value = Fraction(text.replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def frame_rate(text: str) -> Fraction | None:
    """Frames per second as `ratio` reads them, 0.001 to 1000; else None."""
    rate = ratio(text)
    if rate is None or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        return None
    return rate.limit_denominator(LARGEST_DENOMINATOR)


class SampleSource:
    """Frames of raw video or YUV4MPEG2; see `supervegan_jax.video_input.source.Source`."""

    info: MediaInfo | None = None

    def __init__(self, file: Path | Pipe, layout: Layout, span: Span = (None, None)) -> None:
        """Reads nothing yet.

        Args:
          file: raw video, or a pipe at the first byte of its first frame.
          layout: what it consists of.
          span: start and duration in seconds, None for no bound.
        """
        self.path = file if isinstance(file, Path) else None
        self.name = str(self.path) if self.path else "standard input"
        self.format, self.picture = layout.format, layout.picture
        self.rate, self.time_base = layout.rate, 1 / layout.rate
        self.notes: list[str] = []
        self.start, duration = span
        self.end = None if duration is None else (self.start or Fraction(0)) + duration
        self._layout = layout
        self._pipe = file if isinstance(file, Pipe) else None
        # Places in the stream: of the first frame wanted, and of the first one no longer wanted.
        self._low = math.ceil((self.start or 0) * self.rate)
        self._high = None if self.end is None else math.ceil(self.end * self.rate)
        self.frame_count = None if self._high is None else self._high - self._low
        if self.path is not None:
            stored = self.path.stat().st_size // layout.frame_bytes
            high = stored if self._high is None else min(self._high, stored)
            self.frame_count = max(0, high - self._low)

    def frames(self, first: int = 0) -> Iterator[VideoFrame]:
        """Yields the selected frames from index `first` on, each as soon as its last byte came."""
        if self.path is not None:
            with self.path.open("rb", buffering=0) as file:
                # What lies in a file needs no reading to be left out.
                begin = min(self._low + first, self._stored(file))
                file.seek(begin * self._layout.frame_bytes)
                yield from self._read(Pipe(file.fileno()), begin, first)
            return
        if self._pipe is None:
            raise VideoError("standard input can be read only once")
        pipe, self._pipe = self._pipe, None
        yield from self._read(pipe, 0, first)

    def measure_kbps(self) -> float | None:
        """None: nobody has compressed them, or who has is not known."""
        return None

    def _stored(self, file: io.FileIO) -> int:
        return os.fstat(file.fileno()).st_size // self._layout.frame_bytes

    def _read(self, pipe: Pipe, place: int, first: int) -> Iterator[VideoFrame]:
        """Reads on from the frame at `place` of the stream."""
        while self._high is None or place < self._high:
            data = memoryview(bytearray(self._layout.frame_bytes))
            if self._layout.marked:
                line = pipe.read_line()
                filled = pipe.read_into(data) if line.startswith(b"FRAME") else 0
                ended = not line
            else:
                filled = pipe.read_into(data)
                ended = not filled
            if ended:
                break
            if filled < len(data):
                at = place * self.time_base
                raise BrokenStream(f"{self.name}: breaks off at {float(at):.3f} s", at)
            if place >= self._low + first:
                yield VideoFrame(place - self._low, place, self._layout.split(data), 1)
            place += 1
        if place == 0:
            raise VideoError(f"{self.name}: there is no frame in it")
        if place <= self._low:
            raise VideoError(f"{self.name}: no frame lies in the selected time")
