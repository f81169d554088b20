"""Frames out of a video exactly as it stores them, each once, in order, with its own timestamp.

Decoding uses one thread's order of work (slices, not frames, are shared between threads), so that
damaged pictures come out the same on every run.
"""

import contextlib
import dataclasses
import math
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
from av.codec.context import Flags, ThreadType
from av.stream import Discard

from supervegan_jax.video import ffmpeg, probe
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.probe import Unseen
from supervegan_jax.video_input import media, truncation
from supervegan_jax.video_input.frames import VideoFrame
from supervegan_jax.video_input.media import MediaInfo
from supervegan_jax.video_input.pixels import PlanarReader
from supervegan_jax.video_input.samples import Pipe
from supervegan_jax.video_input.truncation import BrokenStream

# Seeking lands this much before the wanted start; the frames in between are decoded and left out.
SEEK_MARGIN_SECONDS: Final = 10
SEEKABLE: Final = ("mov", "matroska")
# Elementary streams have no timestamps: their frames are counted at the rate they declare.
WITHOUT_TIMESTAMPS: Final = ("h264", "hevc", "m4v", "mpegvideo", "vvc", "av1", "obu", "ivf_raw")
# AVI keeps a frame's place in the order of decoding only.
DECODING_ORDER_ONLY: Final = ("avi",)
# Streams that may be put one behind the other as they are, each with a clock of its own.
JOINABLE: Final = ("mpegts", "mpeg")
# A clock that goes back by less is a faulty timestamp.
RESTART_SECONDS: Final = Fraction(1, 2)
ALLOWED_PROTOCOLS: Final = {"protocol_whitelist": "file,pipe,crypto,data"}
# Of the beginning, so that the bitrate of a long film is known at once.
MEASURED_SECONDS: Final = 30
# Up to here a refusal costs little; later on so much work is done that a note has to do.
FRAMES_REFUSED_IF_INTERLACED: Final = 120


@dataclasses.dataclass
class _Marks:
    """Where something was met, such as damage: the first time, and how often."""

    first: Fraction | None = None
    count: int = 0

    def note(self, timestamp: Fraction) -> None:
        self.count += 1
        self.first = timestamp if self.first is None else min(self.first, timestamp)

    def frames_from(self) -> str:
        """For notes on frames that go on like that."""
        return f"{self.count} frame{'s' * (self.count > 1)} from {float(self.first or 0):.3f} s on"

    def __str__(self) -> str:
        return f"{float(self.first or 0):.3f} s ({self.count} place{'s' * (self.count > 1)})"


def _end(stream: av.VideoStream) -> int | None:
    """When a stream says that it ends, in its ticks; None where it does not tell."""
    if stream.start_time is None or not stream.duration:
        return None
    return stream.start_time + stream.duration


def _index_is_behind(pipe: Pipe) -> bool:
    """Whether this is an MP4 or MOV (ISO/IEC 14496-12) with its frames before its index."""
    if pipe.peek(8)[4:] != b"ftyp":
        return False
    head, position = pipe.peek(4096), 0
    while (kind := head[position + 4 : position + 8]) not in (b"mdat", b"moov", b""):
        position += max(8, int.from_bytes(head[position : position + 4], "big"))
    return kind == b"mdat"


class ContainerSource:
    """A video in a container, read with PyAV; see `supervegan_jax.video_input.source.Source`."""

    def __init__(
        self,
        path: Path | None,
        unseen: Unseen,
        span: tuple[Fraction | None, Fraction | None] = (None, None),
        pipe: Pipe | None = None,
    ) -> None:
        """Opens the file and decodes its first frame.

        Args:
          path: the file; None reads `pipe`.
          unseen: of the file; a pipe's is found here.
          span: start and duration in seconds from the file's beginning.
          pipe: an open stream that cannot seek; it can be read once.
        """
        self.path = path
        self.name = str(path) if path else "standard input"
        self.notes: list[str] = []
        self._pipe = pipe
        if pipe is not None:
            pipe.record = bytearray()
        self._index_is_behind = pipe is not None and _index_is_behind(pipe)
        self._opened: tuple[av.container.InputContainer, Iterator[av.VideoFrame]] | None = None
        container = self._open()
        self._info = media.describe(container, self.name)
        self.info: MediaInfo | None = self._info
        start, duration = span
        self.start = None if start is None else self._info.start_time + start
        begin = self._info.start_time if self.start is None else self.start
        self.end = None if duration is None else begin + duration
        stream = self._video(container)
        self._damage, self._restarts, self._offset = _Marks(), _Marks(), 0
        decoded = self._decode(container, stream)
        try:
            first = next(decoded, None)
        except BrokenStream as error:
            raise VideoError(self._undecodable()) from error
        if first is None:
            raise VideoError(self._undecodable())
        if pipe is not None and pipe.record is not None:
            unseen, pipe.record = probe.look(bytes(pipe.record)), None
        self._reader = PlanarReader(self.name, first, stream.codec_context, unseen)
        self.format = self._reader.format
        self.picture = media.describe_picture(stream, first)
        self._counted = self._info.container[0] in WITHOUT_TIMESTAMPS
        self.rate = self._declared_rate(stream)
        self.time_base = 1 / self.rate if self._counted else Fraction(stream.time_base or 1)
        self.frame_count = self._estimate(stream.frames)
        self._last_end = _end(stream)
        if pipe is not None:
            self._opened = (container, _chain(first, decoded))
        else:
            decoded.close()
            container.close()
            self._refuse_restarts()

    def _undecodable(self) -> str:
        if self._index_is_behind:
            return (
                f"{self.name}: this MP4 or MOV has its index behind its frames, where a pipe does "
                "not come back from; give the file, or write it with ffmpeg's -movflags faststart"
            )
        return f"{self.name}: no frame of its video can be decoded"

    def _open(self) -> av.container.InputContainer:
        file = self._pipe or ffmpeg.url(self.path or "")
        try:
            return av.open(file, "r", options=ALLOWED_PROTOCOLS, metadata_errors="replace")
        except (av.error.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it has no known format"
            raise VideoError(f"{self.name} is not a video: {reason}") from error

    def _video(self, container: av.container.InputContainer) -> av.VideoStream:
        stream = media.find_video(container)
        if stream is None or stream.codec_context is None:
            raise VideoError(f"{self.name}: no decoder for its video")
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
        stream.thread_type = ThreadType.SLICE
        # A frame then brings along what `_decoded` says of its packet.
        stream.codec_context.flags |= Flags.copy_opaque
        if stream.metadata.get("alpha_mode") == "1":
            raise VideoError(
                f"{self.name}: its pictures have transparency, which would be lost; "
                "convert them to yuv420p first"
            )
        return stream

    def _declared_rate(self, stream: av.VideoStream) -> Fraction:
        rate = stream.average_rate or stream.guessed_rate
        if self._counted:
            # The average is the demuxer's own default; the decoder has read the stream's headers.
            # In MPEG-4 those tell the ticks of a second, which need not be its frames.
            is_mpeg4 = self._info.container[0] == "m4v"
            declared = stream.guessed_rate if is_mpeg4 else stream.codec_context.framerate
            rate = declared or rate
        return rate or Fraction(25)

    def _estimate(self, stored: int) -> int | None:
        if self.start is None and self.end is None and stored:
            return stored
        length = self._info.duration
        if length is None:
            return None if self.end is None else round((self.end - (self.start or 0)) * self.rate)
        last = self._info.start_time + length
        end = last if self.end is None else min(last, self.end)
        begin = self._info.start_time if self.start is None else self.start
        return max(0, round((end - begin) * self.rate))

    def frames(self, first: int = 0) -> Iterator[VideoFrame]:
        """Yields the selected frames from index `first` on; see `Source.frames`."""
        if self._pipe is not None:
            if self._opened is None:
                raise VideoError("standard input can be read only once")
            container, decoded = self._opened
            self._opened = None
        else:
            container = self._open()
            decoded = self._decode(container, self._video(container))
        self._damage, self._restarts, self._offset = _Marks(), _Marks(), 0
        with contextlib.closing(container):
            yield from self._selected(decoded, first)

    def measure_kbps(self) -> float | None:
        """The bitrate of the video alone; see `Source.measure_kbps`."""
        if self._pipe is not None:
            return None
        most, count, size = round(MEASURED_SECONDS * self.rate), 0, 0
        with contextlib.closing(self._open()) as container, _until_damage():
            for packet in container.demux(self._video(container)):
                count, size = count + bool(packet.size), size + packet.size
                if count == most:
                    break
        return float(size * 8 * self.rate / count / 1000) if count else None

    def _selected(self, decoded: Iterator[av.VideoFrame], first: int) -> Iterator[VideoFrame]:
        low = None if self.start is None else self.start / self.time_base
        high = None if self.end is None else self.end / self.time_base
        index, last, broken = 0, None, None
        fields, colours = _Marks(), _Marks()
        for count, frame in enumerate(decoded):
            pts = self._timestamp(frame, count, last)
            last = pts
            if high is not None and pts >= high:
                break
            if low is not None and pts < low:
                continue
            if frame.is_corrupt:
                self._damage.note(pts * self.time_base)
            if frame.interlaced_frame:
                fields.note(pts * self.time_base)
                self._refuse_fields(fields, index)
            if self._reader.other_colours(frame):
                colours.note(pts * self.time_base)
            if index >= first:
                duration = 1 if self._counted else self._duration(frame, pts)
                try:
                    planes = self._reader.planes(frame)
                except VideoError as error:
                    at = pts * self.time_base
                    message = f"{error} (at {float(at):.3f} s)"
                    if index == 0:
                        raise VideoError(message) from None
                    broken = BrokenStream(f"{message}; the frames from there on are left out", at)
                    break
                size = cast(int, frame.opaque or 0)
                yield VideoFrame(index, pts, planes, duration, frame.is_corrupt, size)
            index += 1
        if index == 0:
            raise VideoError(f"{self.name}: no frame lies in the selected time")
        if fields.first is not None:
            self.notes.append(
                f"{fields.frames_from()} are marked as interlaced and were enhanced as whole "
                "pictures"
            )
        if colours.first is not None:
            self.notes.append(
                f"{colours.frames_from()} are tagged with other colours than "
                f"{self.format.matrix}, in which all of them are kept"
            )
        if self._restarts.first is not None:
            self.notes.append(
                f"its clock restarts at {self._restarts} and was made to go on without a break"
            )
        if broken is not None:
            raise broken
        if self._damage.first is not None:
            raise BrokenStream(f"{self.name}: damaged at {self._damage}", self._damage.first)

    def _duration(self, frame: av.VideoFrame, pts: int) -> int:
        """Its own, not beyond the end of the stream or the selection.

        MP4 keeps when frames are decoded: one that comes after a gap is read as if it were shown as
        long as the gap.
        """
        selected = None if self.end is None else math.ceil(self.end / self.time_base)
        ends = (selected, None if self._offset else self._last_end)
        left = [end - pts for end in ends if end is not None and end > pts]
        return min([frame.duration or 0, *left])

    def _refuse_fields(self, fields: _Marks, index: int) -> None:
        if fields.first is not None and index < FRAMES_REFUSED_IF_INTERLACED:
            raise VideoError(media.interlaced(self.name, fields.first))

    def _timestamp(self, frame: av.VideoFrame, count: int, last: int | None) -> int:
        if self._counted:
            return count
        step = max(1, round(1 / self.rate / self.time_base))
        pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None:
            return 0 if last is None else last + step
        pts += self._offset
        if last is None or pts > last:
            return pts
        if (last - pts) * self.time_base >= RESTART_SECONDS:
            self._offset += last + step - pts
            self._restarts.note((last + step) * self.time_base)
            return last + step
        # Only a faulty file shows two frames at once; the later one moves by the least there is.
        return last + 1

    def _refuse_restarts(self) -> None:
        """Looks through the packets: those of sound are copied and would not follow the frames."""
        timed = any(stream.kind != "attachment" for stream in self._info.others)
        if self._info.container[0] not in JOINABLE or not timed:
            return
        last, shown = None, self._info.start_time
        with contextlib.closing(self._open()) as container:
            for at, pts in self._packet_times(container):
                if self.end is not None and at >= self.end:
                    return
                if last is not None and last - at >= RESTART_SECONDS:
                    raise VideoError(
                        f"{self.name}: its clock restarts after {float(shown):.3f} s, where its "
                        "other streams would part from the frames; mend it first (ffmpeg -i IN "
                        "-map 0 -c copy OUT.ts)"
                    )
                last, shown = at, max(shown, pts)

    def _packet_times(
        self, container: av.container.InputContainer
    ) -> Iterator[tuple[Fraction, Fraction]]:
        """Yields when each packet is decoded and shown, in seconds."""
        with _until_damage():
            for packet in container.demux(self._video(container)):
                if packet.dts is not None:
                    pts = packet.dts if packet.pts is None else packet.pts
                    yield packet.dts * self.time_base, pts * self.time_base

    def _decode(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Generator[av.VideoFrame, None, None]:
        """Yields decoded frames, then raises `BrokenStream` if the file ends too early."""
        reordered = self._info.container[0] in DECODING_ORDER_ONLY
        if self._may_seek():
            wanted = (self.start or Fraction(0)) - SEEK_MARGIN_SECONDS
            container.seek(int(wanted / (stream.time_base or 1)), stream=stream)
        times: list[int] = []
        packets, behind, position, failure = 0, 0, self._info.start_time, None
        shown = False
        demuxed = container.demux(stream)
        packet: av.Packet | None
        while True:
            try:
                packet = next(demuxed, None)
            except av.error.FFmpegError as error:
                # The empty packet makes the decoder give what it still holds.
                failure, packet = error.strerror, av.Packet()
                packet.stream = stream
            if packet is None:
                break
            packets += bool(packet.size)
            if reordered and packet.size and packet.dts is not None:
                times.append(packet.dts)
                behind = packet.dts + 1
            for frame in self._decoded(packet, position if shown else None):
                shown = True
                if reordered:
                    frame.pts = _queued_time(frame, times, stream.codec_context.has_b_frames)
                yield frame
                if frame.pts is not None:
                    ticks = frame.pts + self._offset + frame.duration
                    position = ticks * Fraction(stream.time_base or 1)
        if failure is None and not self._may_seek():
            # An MP4's index lacks what its edit list leaves out; in AVI a frame may have no packet.
            promised = len(stream.index_entries) if "mov" in self._info.container else stream.frames
            found = behind if reordered else packets
            failure = truncation.shortfall(self.path, self._info.container, promised, found)
        if failure is not None:
            at = float(position)
            raise BrokenStream(f"{self.name}: breaks off at {at:.3f} s: {failure}", position)

    def _may_seek(self) -> bool:
        far = self.start is not None and self.start > self._info.start_time + SEEK_MARGIN_SECONDS
        return bool(far and self.path and self._info.container[0] in SEEKABLE)

    def _decoded(self, packet: av.Packet, position: Fraction | None) -> list[av.VideoFrame]:
        packet.opaque = packet.size
        try:
            return packet.decode()
        except av.error.FFmpegError:
            # The decoder goes on with the next packet; what this one held is lost or concealed.
            # A recording that begins between two key frames has nothing to show before the second.
            if position is not None:
                self._damage.note(position)
            return []


def _until_damage() -> contextlib.AbstractContextManager[None]:
    """For looks ahead: damage is met again, and told of, when the frames are read."""
    return contextlib.suppress(av.error.FFmpegError)


def _queued_time(frame: av.VideoFrame, times: list[int], delayed: bool) -> int | None:
    """When a frame is shown, by the `times` of the packets that have been read so far."""
    if delayed or frame.dts is None:
        return times.pop(0) if times else frame.pts
    # A packet may hold no picture; its time must not become that of the next one's.
    times[:] = [time for time in times if time > frame.dts]
    return frame.dts


def _chain(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    yield from rest
