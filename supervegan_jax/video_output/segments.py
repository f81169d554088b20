"""Encoded video in pieces on disk, each complete or absent, so that no work is lost.

A segment holds the packets of a fixed number of frames, encoded without knowledge of what came
before. Its file is the packets one after the other, then a JSON list of them, then the length of
that list in 8 bytes. It is written beside its name and renamed when it is on the disk.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO, Final, cast

import av
import numpy as np

from supervegan_jax.video import ffmpeg
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.video_input.media import Picture
from supervegan_jax.video_input.pixels import to_av_frame
from supervegan_jax.video_output import encoding as encoders
from supervegan_jax.video_output.encoding import Encoding

# Between frames that are decoded before the first one is shown, at most.
LEAD_STEP: Final = Fraction(1, 24)


@dataclasses.dataclass(frozen=True, slots=True)
class StoredPacket:
    """One encoded frame in a segment: its bytes, when and how long it is shown, its kind."""

    size: int
    pts: int
    duration: int
    key: bool


@dataclasses.dataclass(frozen=True)
class VideoSettings:
    """All that an encoder needs to know; see `encoding.open_encoder`."""

    encoding: Encoding
    format: FrameFormat
    picture: Picture
    time_base: Fraction
    rate: Fraction

    def open(self, context: av.VideoCodecContext) -> None:
        """Opens a fresh context of the right encoder with these settings."""
        encoders.open_encoder(
            context, self.encoding, self.format, self.picture, self.time_base, self.rate
        )

    def encoder_frame(self, frame: VideoFrame, pts: int) -> av.VideoFrame:
        """What the encoder takes for `frame`, its samples in the stored format, shown at `pts`.

        Raises:
          ValueError: its planes are not those of `format`.
        """
        frame.check(self.format)
        encoded = to_av_frame(frame.planes, self.format)
        if self.encoding.pix_fmt != self.format.pixel_format:
            encoded = encoded.reformat(format=self.encoding.pix_fmt)
        encoded.pts, encoded.time_base = pts, self.time_base
        return encoded


def segment_path(folder: Path, number: int) -> Path:
    """Where segment `number` lies."""
    return folder / f"{number:06d}.segment"


class SegmentWriter:
    """Encodes the frames of one segment."""

    def __init__(self, path: Path, settings: VideoSettings) -> None:
        """Opens the encoder and the file beside `path`."""
        self.path = path
        self.count = 0
        self._settings = settings
        self._context = encoders.new_encoder(settings.encoding)
        settings.open(self._context)
        self._temporary = path.with_suffix(".tmp")
        self._file: IO[bytes] = self._temporary.open("wb")
        self._packets: list[StoredPacket] = []
        self._durations: dict[int, int] = {}
        self._first = 0
        self._last: VideoFrame | None = None

    def write(self, frame: VideoFrame) -> None:
        """Encodes one frame."""
        # Timestamps from 0 make a segment's bytes the same wherever it lies in the video.
        self._first = frame.pts if self.count == 0 else self._first
        encoded = self._settings.encoder_frame(frame, frame.pts - self._first)
        if self._last is not None:
            self._durations[self._last.pts] = frame.pts - self._last.pts
        self._durations[frame.pts] = frame.duration or self._durations.get(
            self._last.pts if self._last else frame.pts, 0
        )
        self._last = VideoFrame(frame.index, frame.pts, ())
        self._store(self._context.encode(encoded))
        self.count += 1

    def _store(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            pts = self._first + (packet.pts or 0)
            self._file.write(bytes(packet))
            self._packets.append(StoredPacket(packet.size, pts, 0, packet.is_keyframe))

    def finish(self) -> None:
        """Flushes the encoder and gives the file its name.

        Raises:
          OSError: the disk is full.
          RuntimeError: the encoder lost or invented a frame.
        """
        self._store(self._context.encode(None))
        if sorted(packet.pts for packet in self._packets) != sorted(self._durations):
            raise RuntimeError(
                f"{self.path.name}: {self.count} frames, {len(self._packets)} packets"
            )
        rows = [[p.size, p.pts, self._durations[p.pts], int(p.key)] for p in self._packets]
        listing = json.dumps(rows, separators=(",", ":")).encode()
        self._file.write(listing + len(listing).to_bytes(8, "little"))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._temporary, self.path)

    def discard(self) -> None:
        """Removes the unfinished file."""
        with contextlib.suppress(OSError):  # a full disk takes not even what is buffered
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def list_packets(path: Path) -> list[StoredPacket]:
    """The packets of a finished segment, in the order of decoding."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        end = file.tell()
        length = int.from_bytes(file.read(8), "little")
        file.seek(end - length)
        rows = json.loads(file.read(length))
    return [StoredPacket(size, pts, duration, bool(key)) for size, pts, duration, key in rows]


def read_packets(path: Path) -> Iterator[tuple[StoredPacket, bytes]]:
    """Yields the packets of a finished segment with their bytes."""
    packets = list_packets(path)
    with path.open("rb") as file:
        for packet in packets:
            yield packet, file.read(packet.size)


@dataclasses.dataclass(frozen=True)
class Joined:
    """The one video made of all segments.

    Attributes:
      path: an MP4 file, which keeps any time base exactly.
      codec: a key of `encoding.CODECS`.
      timescale: its ticks per second.
      first: timestamp of the first frame in seconds, to be added.
      lead: seconds from 0 to the first frame in the file, to be taken away.
      last, end: when the last frame is shown in the file, and until when, in seconds; None while
        it is not known.
    """

    path: Path
    codec: str
    timescale: int
    first: Fraction
    lead: Fraction = Fraction(0)
    last: Fraction | None = None
    end: Fraction | None = None


def timescale(time_base: Fraction) -> int:
    """Ticks per second of an MP4 track that can say every multiple of `time_base`.

    At least 10000, since the muxer would double it up to there by itself.
    """
    ticks = time_base.denominator
    while ticks < 10_000:
        ticks *= 2
    return ticks


def join(paths: list[Path], destination: Path, settings: VideoSettings) -> Joined:
    """Puts finished segments together, without encoding anything again.

    Args:
      paths: the segments in order.
      destination: the MP4 file to write.
      settings: those of the segments; the codec's header is made with them once more.
    """
    packets = [packet for path in paths for packet in list_packets(path)]
    order = np.array([packet.pts for packet in packets], np.int64)
    shown = np.sort(order)
    decoding = decoding_times(shown, order, int(LEAD_STEP / settings.time_base)) - shown[0]
    first = int(shown[0])
    ticks = timescale(settings.time_base)
    options = {
        "video_track_timescale": str(ticks),
        "movie_timescale": str(ticks),
        "fflags": "+bitexact",
    }
    with av.open(ffmpeg.url(destination), "w", format="mp4", options=options) as file:
        encoder = encoders.CODECS[settings.encoding.codec].encoder
        stream = cast(av.VideoStream, file.add_stream(encoder))
        settings.open(stream.codec_context)
        if settings.picture.display_matrix is not None:
            stream.set_display_matrix(settings.picture.display_matrix)
        stream.time_base = settings.time_base
        number = 0
        for path in paths:
            for stored, data in read_packets(path):
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, settings.time_base
                packet.pts, packet.dts = stored.pts - first, int(decoding[number])
                packet.duration, packet.is_keyframe = stored.duration, stored.key
                file.mux_one(packet)
                number += 1
    final = max(packets, key=lambda packet: packet.pts)
    last = (final.pts - first) * settings.time_base
    return Joined(
        path=destination,
        codec=settings.encoding.codec,
        timescale=ticks,
        first=first * settings.time_base,
        last=last,
        # Where nothing tells its duration the muxer's own guess has to do.
        end=last + final.duration * settings.time_base if final.duration else None,
    )


def decoding_times(shown: np.ndarray, order: np.ndarray, longest: int) -> np.ndarray:
    """Times at which to decode, for frames whose order of decoding is not that of showing.

    The encoders' own times would overlap where segments meet at a variable frame rate. Each frame
    is decoded when the frame `depth` places earlier is shown; `depth` is the least that works.

    Args:
      shown: all timestamps, rising, int64 [n].
      order: the same in the order of decoding.
      longest: ticks between two decodings before the first frame is shown, at most: it may be
        shown for minutes.

    Returns:
      Rising times, int64 [n], none later than its frame's timestamp in `order`.
    """
    depth = int(np.max(np.arange(len(order)) - np.searchsorted(shown, order)))
    step = max(1, min(int(shown[1] - shown[0]), longest)) if len(shown) > 1 else 1
    before = shown[0] - step * np.arange(depth, 0, -1)
    return np.concatenate([before, shown])[: len(shown)]
