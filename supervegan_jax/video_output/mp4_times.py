"""The time of creation in the header of an MP4 file.

Beside free-form tags ffmpeg would write it twice: there, and in that list as a tag of its own.
"""

import datetime
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

# ISO/IEC 14496-12 counts the seconds from here.
EPOCH: Final = datetime.datetime(1904, 1, 1, tzinfo=datetime.UTC)
FOLDERS: Final = (b"moov", b"trak", b"mdia")
TIMED: Final = (b"mvhd", b"tkhd", b"mdhd")


def seconds(text: str) -> int | None:
    """A tag such as "2020-01-02T03:04:05.000000Z" as MP4 counts; None if it is no such time."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.UTC)
    passed = (time - EPOCH) // datetime.timedelta(seconds=1)
    return passed if 0 < passed < 1 << 32 else None


def write(path: Path, created: int) -> None:
    """Sets the times of creation and of change, of the file and of each of its tracks.

    Args:
      path: an MP4 or QuickTime file that is not in fragments.
      created: from `seconds`.
    """
    with path.open("r+b") as file:
        end = file.seek(0, 2)
        for place in list(_headers(file, 0, end)):
            file.seek(place)
            number = ">Q" if file.read(4)[0] else ">I"
            file.write(struct.pack(number, created) * 2)


def _headers(file: IO[bytes], begin: int, end: int) -> Iterator[int]:
    """Places of the version bytes of all boxes in `TIMED`."""
    while begin + 8 <= end:
        file.seek(begin)
        size, name = struct.unpack(">I4s", file.read(8))
        body = begin + 8
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
            body += 8
        stop = begin + size if size else end
        if name in FOLDERS:
            yield from _headers(file, body, stop)
        elif name in TIMED:
            yield body
        begin = max(stop, body)
