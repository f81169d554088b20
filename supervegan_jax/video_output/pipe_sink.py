"""Frames into standard output while they come: as bare samples, or encoded in a container."""

import subprocess
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Final, cast

import av
import numpy as np

from supervegan_jax.video_input import y4m
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.video_input.pixels import converted, in_samples, usual_matrix
from supervegan_jax.video_input.samples import PIXEL_FORMATS
from supervegan_jax.video_input.source import Source
from supervegan_jax.video_output import encoding as encoders
from supervegan_jax.video_output import fit, mux, segments
from supervegan_jax.video_output.encoding import CONTAINERS, EncodeOptions
from supervegan_jax.video_output.plan import Plan, copied_streams
from supervegan_jax.video_output.segments import Joined, VideoSettings

SAMPLE_FORMATS: Final = ("y4m", "rawvideo")
# ISO/IEC 23001-8 table 3.
HDR_TRANSFERS: Final = {16: "PQ", 18: "HLG"}
# Containers such as Matroska round the times of an even rate to this.
ROUNDED_SECONDS: Final = Fraction(1, 1000)


class SampleSink:
    """Writes frames as YUV4MPEG2 or as raw video, each at once; see `sink.open_sink`."""

    finished_frames = 0
    kept_frames = 0

    def __init__(
        self,
        file: IO[bytes],
        kind: str,
        fmt: FrameFormat,
        source: Source,
        options: EncodeOptions,
        drop: Sequence[int] = (),
    ) -> None:
        """Writes nothing yet.

        Args:
          file: the pipe.
          kind: one of `SAMPLE_FORMATS`.
          fmt: of the frames to be written.
          source: for its rate and the shape of its samples.
          options: of which only `pix_fmt` may be given.
          drop: indices of streams that the user gives up.

        Raises:
          ValueError: options of an encoder, or a sample format that `kind` does not have.
        """
        for name in ("codec", "crf", "preset"):
            if getattr(options, name) is not None:
                raise ValueError(
                    f"{name} {getattr(options, name)}: {kind} is not encoded; "
                    "--output-format matroska is"
                )
        self._file, self._format, self._next = file, fmt, 0
        self._stored = _sample_format(kind, fmt, options.pix_fmt)
        self._head = self._marker = b""
        if kind == "y4m":
            stored = in_samples(fmt, self._stored)
            self._head = y4m.header(stored, source.rate, source.picture.sample_aspect_ratio)
            self._marker = y4m.FRAME
        self.notes = _sample_notes(kind, fmt, source, self._stored, drop)
        self._kind, self._rate, self._time_base = kind, source.rate, source.time_base
        self._first = self._last = 0
        self._even = True

    def __enter__(self) -> "SampleSink":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leaves the pipe to whoever opened it."""

    def write(self, frame: VideoFrame) -> None:
        """Writes the next frame.

        Raises:
          ValueError: it is not the next one, or has other planes than the format says.
          BrokenPipeError: nobody reads any more.
        """
        frame.check_turn(self._next)
        frame.check(self._format)
        self._check_time(frame)
        self._file.write((self._head if self._next == 0 else b"") + self._marker)
        for plane in converted(frame.planes, self._format, self._stored):
            little_endian = plane.astype(plane.dtype.newbyteorder("<"), copy=False)
            self._file.write(np.ascontiguousarray(little_endian).data)
        self._file.flush()
        self._next += 1

    def _check_time(self, frame: VideoFrame) -> None:
        """Notes the first frame that is not shown when a player that counts frames shows it."""
        if self._next == 0:
            self._first = frame.pts
        else:
            step = abs((frame.pts - self._last) * self._time_base - 1 / self._rate)
            passed = (frame.pts - self._first) * self._time_base
            drift = abs(passed - self._next / self._rate)
            even = step <= max(self._time_base, ROUNDED_SECONDS) and drift <= 1 / self._rate / 2
            if self._even and not even:
                self._even = False
                self.notes += (
                    f"{self._kind} has no timestamps: from {float(frame.pts * self._time_base):.3f}"
                    f" s on frames are not {float(self._rate):.6g} a second as it says; "
                    "--output-format matroska keeps their times",
                )
        self._last = frame.pts

    def close(self) -> None:
        """Nothing is kept back, so nothing is left to do."""
        self._file.flush()


def _sample_format(kind: str, fmt: FrameFormat, wanted: str | None) -> str:
    accepted = [name for name in PIXEL_FORMATS if not name.startswith("yuvj")]
    if kind == "y4m":
        accepted.remove("rgb24")
    if wanted is not None and wanted not in accepted:
        raise ValueError(f"pix_fmt {wanted}: {kind} stores {', '.join(accepted)}")
    return wanted or fmt.pixel_format


def _sample_notes(
    kind: str, fmt: FrameFormat, source: Source, stored: str, drop: Sequence[int]
) -> tuple[str, ...]:
    notes = []
    kept = () if source.info is None else copied_streams(source.info, drop)
    others = [str(stream) for stream in kept if source.info and stream is not source.info.video]
    if others:
        notes.append(f"{kind} holds the video alone; left out: {', '.join(others)}")
    if source.picture.display_matrix is not None:
        notes.append(f"{kind} cannot say that the video is to be turned or flipped for showing")
    if kind == "rawvideo":
        rate = f"{float(source.rate):.6g}"
        notes.append(f"standard output is {fmt.width}x{fmt.height} {stored}, {rate} frames/s")
    usual = usual_matrix(fmt.width, fmt.height)
    if stored not in ("rgb24", "gray") and fmt.subsampling != "gray" and fmt.matrix != usual:
        notes.append(
            f"{kind} cannot say that its colours are {fmt.matrix}; players may take {usual} at "
            "this size"
        )
    if source.picture.transfer in HDR_TRANSFERS:
        notes.append(f"{kind} cannot say that it is HDR ({HDR_TRANSFERS[source.picture.transfer]})")
    taken = y4m.chroma_location(fmt) if kind == "y4m" else "left"
    if stored == fmt.pixel_format and fmt.subsampling == "420" and fmt.chroma_location != taken:
        notes.append(
            f"{kind} cannot say that chroma lies {fmt.chroma_location}; players will take {taken}"
        )
    if kind == "rawvideo" and fmt.full_range:
        notes.append("rawvideo cannot say that its samples are of full range")
    return tuple(notes)


class StreamSink:
    """Encodes frames and sends them off in a container, among the streams copied from the source.

    ffmpeg puts the container together: it reads the encoded video from a pipe as MP4 in pieces of
    one frame. See `sink.open_sink`.
    """

    finished_frames = 0
    kept_frames = 0

    def __init__(
        self,
        file: IO[bytes],
        plan: Plan,
        settings: VideoSettings,
        source: Source,
        notes: tuple[str, ...] = (),
    ) -> None:
        """Opens the encoder and tries out whether the container suits; writes nothing yet."""
        self.notes = notes
        self._file, self._plan, self._settings = file, plan, settings
        self._folder = tempfile.TemporaryDirectory(prefix="supervegan-enhance-")
        try:
            self.notes += fit.require(plan, settings, source, Path(self._folder.name))
            self._context = encoders.new_encoder(settings.encoding)
            settings.open(self._context)
        except BaseException:
            self._folder.cleanup()
            raise
        self._next, self._first = 0, 0
        self._durations: dict[int, int] = {}
        self._muxer: _Muxer | None = None

    def __enter__(self) -> "StreamSink":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._muxer is not None:
            self._muxer.stop()
        self._folder.cleanup()

    def write(self, frame: VideoFrame) -> None:
        """Encodes the next frame and sends off what the encoder gives.

        Raises:
          ValueError: it is not the next one, or has other planes than the format says.
          BrokenPipeError: nobody reads any more.
        """
        frame.check_turn(self._next)
        self._first = frame.pts if self._next == 0 else self._first
        pts = frame.pts - self._first
        self._durations[pts] = frame.duration
        self._send(self._context.encode(self._settings.encoder_frame(frame, pts)))
        self._next += 1

    def _send(self, packets: Sequence[av.Packet]) -> None:
        for packet in packets:
            if self._muxer is None:
                # The first packet tells how long before its showing a frame is decoded.
                lead = max(0, -(packet.dts or 0))
                folder = Path(self._folder.name)
                self._muxer = _Muxer(
                    self._file, self._plan, self._settings, folder, self._first, lead
                )
            packet.duration = self._durations.pop(packet.pts or 0, 0)
            self._muxer.write(packet)

    def close(self) -> None:
        """Sends off what the encoder holds and ends the container.

        Raises:
          ValueError: no frame was written.
          VideoError: ffmpeg failed.
          OSError: standard output takes no more.
        """
        if self._next == 0:
            raise ValueError("standard output: no frame was written")
        self._send(self._context.encode(None))
        if self._muxer is not None:
            self._muxer.close()


class _Muxer:
    """An ffmpeg that reads encoded frames and writes a container."""

    def __init__(
        self,
        file: IO[bytes],
        plan: Plan,
        settings: VideoSettings,
        folder: Path,
        first: int,
        lead: int,
    ) -> None:
        """Starts ffmpeg.

        Args:
          file: what it writes to.
          plan: what goes into the container.
          settings: of the video.
          folder: for small files on the way.
          first: timestamp of the first frame.
          lead: ticks by which frames are shown later than their packets say.
        """
        self._lead = lead
        base, ticks = settings.time_base, segments.timescale(settings.time_base)
        codec = settings.encoding.codec
        video = Joined(Path("-"), codec, ticks, first * base, Fraction(lead * base))
        words = mux.command(plan, video, folder, ["-f", "mp4", "-i", "pipe:0"])
        words += ["-f", CONTAINERS[plan.container][0], "pipe:1"]
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as ffmpeg
        file.flush()
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=file.fileno(), stderr=self._complaints
        )
        self._pipe = cast(IO[bytes], self._process.stdin)
        options = {
            "video_track_timescale": str(ticks),
            "movie_timescale": str(ticks),
            "movflags": "empty_moov+frag_every_frame+default_base_moof",
            "fflags": "+bitexact",
        }
        self._container = av.open(_Writer(self._pipe), "w", format="mp4", options=options)
        stream = self._container.add_stream(encoders.CODECS[codec].encoder)
        self._stream = cast(av.VideoStream, stream)
        settings.open(self._stream.codec_context)
        if settings.picture.display_matrix is not None:
            self._stream.set_display_matrix(settings.picture.display_matrix)
        self._stream.time_base = self._base = base

    def write(self, packet: av.Packet) -> None:
        """Sends one packet."""
        packet.stream, packet.time_base = self._stream, self._base
        packet.pts = (packet.pts or 0) + self._lead
        packet.dts = (packet.dts or 0) + self._lead
        try:
            self._container.mux_one(packet)
        except BrokenPipeError:
            raise self._failure() from None

    def close(self) -> None:
        """Ends the container and waits for ffmpeg."""
        try:
            self._container.close()
            self._pipe.close()
        except BrokenPipeError:
            raise self._failure() from None
        if self._process.wait() != 0:
            raise self._failure()

    def _failure(self) -> Exception:
        code = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace")
        return mux.failure(code, said, "standard output")

    def stop(self) -> None:
        """Ends ffmpeg if it still runs."""
        self._process.kill()
        self._process.wait()
        self._complaints.close()


class _Writer:
    """The one thing that PyAV needs of a pipe it writes to; it cannot seek."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> int:
        """Sends all of `data` at once."""
        self._pipe.write(data)
        self._pipe.flush()
        return len(data)
