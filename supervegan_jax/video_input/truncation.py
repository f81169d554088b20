"""Whether a video file ends before the place where its own header says that it should."""

from fractions import Fraction
from pathlib import Path
from typing import Final

from supervegan_jax.video.ffmpeg import VideoError

# Matroska (RFC 9559): the numbers of the two elements every file starts with.
_EBML_HEADER: Final = 0x1A45DFA3
_SEGMENT: Final = 0x18538067


class BrokenStream(VideoError):
    """A video that breaks off or is damaged, raised after every readable frame has been given.

    Attributes:
      timestamp: where, in seconds on the file's own clock.
    """

    def __init__(self, message: str, timestamp: Fraction) -> None:
        super().__init__(message)
        self.timestamp = timestamp


def shortfall(
    path: Path | None, container: tuple[str, ...], stored_frames: int, packets: int
) -> str | None:
    """Says what is missing at the end of a file that has been read to its end, or None.

    MPEG transport streams and elementary streams have no header that could tell.

    Args:
      path: the file; None for standard input, of which nothing is known.
      container: the demuxer's names.
      stored_frames: the number of video packets its header promises, 0 where it promises none.
      packets: how many have been read.
    """
    if packets < stored_frames:
        return f"{stored_frames - packets} of {stored_frames} frames are missing"
    if path is not None and "matroska" in container:
        promised = matroska_size(path)
        missing = 0 if promised is None else promised - path.stat().st_size
        if missing > 0:
            return f"{missing} of {promised} bytes are missing"
    return None


def matroska_size(path: Path) -> int | None:
    """The bytes a Matroska or WebM file should have; None where it was written without a size."""
    with path.open("rb") as file:
        head = file.read(4096)
    position = 0
    for wanted in (_EBML_HEADER, _SEGMENT):
        if int.from_bytes(head[position : position + 4], "big") != wanted:
            return None
        position += 4
        # The count of leading zero bits of the first byte is the count of bytes that follow it.
        first = head[position] if position < len(head) else 0
        length = 9 - first.bit_length()
        size = int.from_bytes(head[position : position + length], "big") & ~(1 << (7 * length))
        position += length
        if length > 8 or size == (1 << (7 * length)) - 1:
            return None
        position += size
    return position
