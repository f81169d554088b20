"""Whether a video file ends before the place where its own header says that it should."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final

from supervegan_jax.video.ffmpeg import VideoError

# Matroska (RFC 9559): the numbers of the two elements every file starts with.
_EBML_HEADER: Final = 0x1A45DFA3
_SEGMENT: Final = 0x18538067
# ISO/IEC 14496-12: frames, and what stands before those of a fragment.
_MOV_BOXES: Final = (b"mdat", b"moof", b"styp", b"sidx")
_OGG_LARGEST_PAGE: Final = 65_307
# ASF's File Properties Object, by its GUID.
_ASF_FILE_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


class BrokenStream(VideoError):
    """A video that breaks off or is damaged, raised after every readable frame has been given.

    Attributes:
      timestamp: where, in seconds on the file's own clock.
    """

    def __init__(self, message: str, timestamp: Fraction) -> None:
        super().__init__(message)
        self.timestamp = timestamp


def shortfall(
    path: Path | None, container: tuple[str, ...], stored_frames: int, found: int
) -> str | None:
    """Says what is missing at the end of a file that has been read to its end, or None.

    MPEG transport streams and elementary streams have no header that could tell, nor has a
    fragmented MP4 or an Ogg file that ends exactly between two of its parts.

    Args:
      path: the file; None for standard input, of which nothing is known.
      container: the demuxer's names.
      stored_frames: the number of frames its header promises, 0 where it promises none.
      found: how many have been read.
    """
    if found < stored_frames:
        return f"{stored_frames - found} of {stored_frames} frames are missing"
    size = next((SIZES[name] for name in container if name in SIZES), None)
    promised = None if path is None or size is None else size(path)
    if path is not None and promised is not None and promised > (stored := path.stat().st_size):
        return f"at least {promised - stored} bytes are missing"
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


def mov_size(path: Path) -> int | None:
    """The bytes up to the end of the last box of an MP4 or MOV file that tells of frames."""
    promised, position, stored = None, 0, path.stat().st_size
    with path.open("rb") as file:
        while position < stored:
            file.seek(position)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            # 0 stands for a box that fills the rest of the file, however long.
            if size < 8:
                break
            position += size
            if head[4:8] in _MOV_BOXES:
                promised = position
    return promised


def ogg_size(path: Path) -> int | None:
    """The bytes up to the end of the last page that begins in an Ogg file (RFC 3533)."""
    with path.open("rb") as file:
        begin = max(0, file.seek(0, os.SEEK_END) - 2 * _OGG_LARGEST_PAGE)
        file.seek(begin)
        tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return None
    # Byte 26 counts the segments, whose sizes follow it.
    count = sum(tail[at + 26 : at + 27])
    return begin + at + 27 + count + sum(tail[at + 27 : at + 27 + count])


def asf_size(path: Path) -> int | None:
    """The bytes a WMV or ASF file says that it has; None for a recorded broadcast."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    at = head.find(_ASF_FILE_PROPERTIES)
    # The lowest bit of the flags says that the size was not known when it was written.
    if at < 0 or int.from_bytes(head[at + 88 : at + 92], "little") & 1:
        return None
    return int.from_bytes(head[at + 40 : at + 48], "little")


def y4m_size(path: Path) -> int | None:
    """The bytes up to the end of the last frame that begins in a YUV4MPEG2 file."""
    from supervegan_jax.video_input import y4m  # which itself needs `BrokenStream`

    return y4m.size(path)


SIZES: Final[dict[str, Callable[[Path], int | None]]] = {
    "matroska": matroska_size,
    "mov": mov_size,
    "ogg": ogg_size,
    "asf": asf_size,
    "yuv4mpegpipe": y4m_size,
}
