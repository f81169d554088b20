"""YUV4MPEG2: raw frames through a pipe, nothing kept back beyond the frame in hand."""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Final

import numpy as np

from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.frames import FrameFormat, VideoFrame
from supervegan_jax.video.media import MediaInfo, Picture
from supervegan_jax.video.pixels import usual_matrix
from supervegan_jax.video.truncation import BrokenStream

MAGIC: Final = b"YUV4MPEG2 "
LONGEST_LINE: Final = 4096
# The C field: subsampling, bits, chroma location.
COLOUR_SPACES: Final = {
    "420jpeg": ("420", 8, "center"),
    "420mpeg2": ("420", 8, "left"),
    "420paldv": ("420", 8, "topleft"),
    "420": ("420", 8, "center"),
    "422": ("422", 8, "left"),
    "444": ("444", 8, "left"),
    "mono": ("gray", 8, "left"),
    "420p10": ("420", 10, "left"),
    "422p10": ("422", 10, "left"),
    "444p10": ("444", 10, "left"),
    "mono10": ("gray", 10, "left"),
    "420p12": ("420", 12, "left"),
    "422p12": ("422", 12, "left"),
    "444p12": ("444", 12, "left"),
    "mono12": ("gray", 12, "left"),
}


class Pipe:
    """A file descriptor read without waiting for more than was asked for."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held = b""

    def peek(self, size: int) -> bytes:
        """The next `size` bytes (fewer at the end), which stay to be read."""
        while len(self._held) < size and (data := os.read(self._descriptor, 1 << 16)):
            self._held += data
        return self._held[:size]

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, as many as there are now; b"" at the end."""
        size = 1 << 16 if size < 0 else size
        if not self._held:
            return os.read(self._descriptor, size)
        data, self._held = self._held[:size], self._held[size:]
        return data

    def read_into(self, target: memoryview) -> int:
        """Fills `target` and returns how many bytes were there: fewer only at the end."""
        filled = 0
        while filled < len(target) and (data := self.read(len(target) - filled)):
            target[filled : filled + len(data)] = data
            filled += len(data)
        return filled

    def read_line(self) -> bytes:
        """Bytes up to a newline, without it; what is left at the end of the pipe."""
        line = bytearray()
        while len(line) < LONGEST_LINE and (byte := self.read(1)):
            if byte == b"\n":
                return bytes(line)
            line += byte
        return bytes(line)


class Y4mSource:
    """Frames of a YUV4MPEG2 stream; see `supervegan_jax.video.source.Source`."""

    path: Path | None = None
    info: MediaInfo | None = None
    name = "standard input"

    def __init__(
        self, pipe: Pipe, start: Fraction | None = None, duration: Fraction | None = None
    ) -> None:
        """Reads the header.

        Args:
          pipe: at the stream's first byte.
          start, duration: in seconds, None for no bound.

        Raises:
          VideoError: the header lacks the size or says something unsupported.
        """
        fields = pipe.read_line().decode("ascii", "replace").split(" ")[1:]
        self.format = _format(fields)
        values = {field[0]: field[1:] for field in fields if field}
        self.rate = _ratio(values.get("F", "25:1")) or Fraction(25)
        self.time_base = 1 / self.rate
        self.picture = Picture(
            sample_aspect_ratio=_ratio(values.get("A", "0:0")),
            interlaced=values.get("I", "p") in ("t", "b", "m"),
        )
        self.start = start
        self.end = None if duration is None else (start or Fraction(0)) + duration
        self.frame_count = None if duration is None else round(duration * self.rate)
        self._pipe: Pipe | None = pipe

    def frames(self, first: int = 0) -> Iterator[VideoFrame]:
        """Yields the selected frames from index `first` on, each as soon as its last byte came."""
        if self._pipe is None:
            raise VideoError("standard input can be read only once")
        pipe, self._pipe = self._pipe, None
        count = index = 0
        while line := pipe.read_line():
            at = count * self.time_base
            if self.end is not None and at >= self.end:
                return
            data = memoryview(bytearray(self._frame_bytes()))
            if not line.startswith(b"FRAME") or pipe.read_into(data) < len(data):
                raise BrokenStream(f"{self.name}: breaks off at {float(at):.3f} s", at)
            if self.start is None or at >= self.start:
                if index >= first:
                    yield VideoFrame(index, count, self._split(data), 1)
                index += 1
            count += 1
        if index == 0:
            raise VideoError(f"{self.name}: no frame lies in the selected time")

    def _frame_bytes(self) -> int:
        samples = sum(height * width for height, width in self.format.plane_shapes)
        return samples * self.format.dtype.itemsize

    def _split(self, data: memoryview) -> tuple[np.ndarray, ...]:
        planes, position = [], 0
        for height, width in self.format.plane_shapes:
            dtype = self.format.dtype.newbyteorder("<")
            plane = np.frombuffer(data, dtype, height * width, position)
            planes.append(plane.reshape(height, width).astype(self.format.dtype, copy=False))
            position += plane.nbytes
        return tuple(planes)


def _ratio(text: str) -> Fraction | None:
    try:
        value = Fraction(text.replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def _format(fields: list[str]) -> FrameFormat:
    values = {field[0]: field[1:] for field in fields if field}
    extra = {f[1:] for f in fields if f.startswith("X")}
    space = values.get("C", "420jpeg")
    if space not in COLOUR_SPACES:
        raise VideoError(
            f"standard input: Y4M colour space {space!r} is not supported; "
            f"supported are {', '.join(COLOUR_SPACES)}"
        )
    subsampling, depth, location = COLOUR_SPACES[space]
    try:
        width, height = int(values["W"]), int(values["H"])
    except (KeyError, ValueError):
        raise VideoError("standard input: the Y4M header gives no width and height") from None
    return FrameFormat(
        width=width,
        height=height,
        bit_depth=depth,
        subsampling=subsampling,
        matrix=usual_matrix(width, height),
        full_range="COLORRANGE=FULL" in extra,
        chroma_location=location,
    )


def header(fmt: FrameFormat, rate: Fraction, aspect: Fraction | None) -> bytes:
    """The first line of a YUV4MPEG2 stream, newline included."""
    wanted = (fmt.subsampling, fmt.bit_depth)
    names = [name for name, (*rest, _) in COLOUR_SPACES.items() if tuple(rest) == wanted]
    located = [n for n in names if COLOUR_SPACES[n][2] == fmt.chroma_location]
    aspect = aspect or Fraction(0)
    ratio = f"{aspect.numerator}:{aspect.denominator if aspect else 0}"
    colour_range = "FULL" if fmt.full_range else "LIMITED"
    fields = [f"W{fmt.width}", f"H{fmt.height}", f"F{rate.numerator}:{rate.denominator}", "Ip"]
    fields += [f"A{ratio}", f"C{(located or names)[0]}", f"XCOLORRANGE={colour_range}"]
    return MAGIC + " ".join(fields).encode() + b"\n"


def write_frame(file: IO[bytes], planes: tuple[np.ndarray, ...], marker: bytes) -> None:
    """Writes one frame behind `marker` and sends it off at once."""
    parts = [plane.astype(plane.dtype.newbyteorder("<"), copy=False) for plane in planes]
    file.write(marker + b"".join(part.tobytes() for part in parts))
    file.flush()
