"""Frames into a video file, in segments that outlive an interruption, or into a pipe as Y4M."""

import contextlib
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from supervegan_jax.video import encoding as encoders
from supervegan_jax.video import fit, mux, partial_work, segments, y4m
from supervegan_jax.video.encoding import EncodeOptions
from supervegan_jax.video.frames import FrameFormat, VideoFrame
from supervegan_jax.video.media import StreamInfo
from supervegan_jax.video.mux import Plan
from supervegan_jax.video.segments import SegmentWriter, VideoSettings
from supervegan_jax.video.source import Source


class Sink(Protocol):
    """A video being written.

    Attributes:
      finished_frames: how many frames an earlier, interrupted run has safely encoded; `write`
        expects the frame with this index first.
      resumed: whether there was such a run.
      notes: what the output cannot keep although the picture and the sound do not need it, one
        line each, for the user to know.
    """

    finished_frames: int
    resumed: bool
    notes: tuple[str, ...]

    def __enter__(self) -> "Sink": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def write(self, frame: VideoFrame) -> None:
        """Takes the next frame; its planes may be reused afterwards."""
        ...

    def close(self) -> None:
        """Completes the output and gives it its name."""
        ...


def open_sink(
    path: str | os.PathLike[str],
    source: Source,
    scale: int,
    options: EncodeOptions | None = None,
    *,
    frame_format: FrameFormat | None = None,
    overwrite: bool = False,
    job: Mapping[str, Any] | None = None,
    drop: Sequence[int] = (),
) -> Sink:
    """Starts or resumes an output; everything that can be refused is refused here.

    Used as a context manager: `close` is called by hand at the end, an exception keeps the
    finished segments for the next run.

    Args:
      path: the file to make, its container told by the suffix; "-" for Y4M on standard output,
        which carries the video alone.
      source: what is being enhanced: its other streams and tags are copied.
      scale: the frames written are this many times as wide and high as the source's.
      options: codec, quality and so on.
      frame_format: of the frames to be written where it is not `source.format.scaled(scale)`.
      overwrite: whether an existing output may be replaced, and the work of an interrupted run
        with other options thrown away.
      job: whatever else decides the pixels (the model's checksum, strength, ...), as JSON; an
        interrupted run is resumed only if it is the same.
      drop: indices of streams to leave out.

    Raises:
      ValueError: the output exists, is the input, has no known suffix or folder, or cannot hold
        what the source has; or other work lies in the way.
      OSError: the folder cannot be written.
    """
    fmt = frame_format or source.format.scaled(scale)
    if os.fspath(path) == "-":
        return Y4mSink(sys.stdout.buffer, fmt, source)
    return FileSink(
        Path(path), source, fmt, options or EncodeOptions(), overwrite, dict(job or {}), drop
    )


def container_of(path: Path) -> str:
    """The container that a file name's suffix asks for, a key of `encoding.CONTAINERS`."""
    name = path.suffix.lstrip(".").lower()
    if name not in encoders.CONTAINERS:
        accepted = ", ".join(f".{c}" for c in encoders.CONTAINERS)
        raise ValueError(f"output {path}: the suffix must be one of {accepted}")
    return name


class FileSink:
    """Writes a video file through segments in "<output>.partial/"; see `open_sink`."""

    def __init__(
        self,
        path: Path,
        source: Source,
        fmt: FrameFormat,
        options: EncodeOptions,
        overwrite: bool,
        job: dict[str, Any],
        drop: Sequence[int],
    ) -> None:
        self.path = path
        self.folder = path.with_name(f"{path.name}.partial")
        container = container_of(path)
        check_target(path, source, overwrite)
        settings = VideoSettings(
            encoding=encoders.resolve(options, fmt, container),
            format=fmt,
            picture=source.picture,
            time_base=source.time_base,
            rate=source.rate,
        )
        kept = () if source.info is None else mux.copied_streams(source.info, drop)
        _check_pipe(source, kept)
        self._plan = Plan(
            source=source.path,
            info=source.info if source.path is not None else None,
            container=container,
            kept=kept,
            start=source.start,
            end=source.end,
            rate=source.rate,
        )
        self.notes = self._plan.notes() + _picture_notes(source, settings)
        manifest = partial_work.make_manifest(source, settings, job, drop)
        self.resumed, self._lock = partial_work.claim(
            self.folder, manifest, overwrite, source.path is None
        )
        try:
            # The number of threads belongs to the work that lies there already.
            threads = json.loads((self.folder / "manifest.json").read_text())["threads"]
            encoding = dataclasses.replace(settings.encoding, threads=threads)
            self._settings = dataclasses.replace(settings, encoding=encoding)
            self._done = partial_work.finished_segments(self.folder, encoding.segment_frames)
            if not self._done:
                fit.require(self._plan, self._settings, source, self.folder)
        except BaseException:
            self._release()
            raise
        self.finished_frames = len(self._done) * encoding.segment_frames
        self._next = self.finished_frames
        self._writer: SegmentWriter | None = None
        self._last_pts: int | None = None

    def __enter__(self) -> "FileSink":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
        self._release()

    def write(self, frame: VideoFrame) -> None:
        """Encodes the next frame.

        Raises:
          ValueError: it is not the next one, or has other planes than the format says.
          OSError: the disk is full.
        """
        if frame.index != self._next:
            raise ValueError(f"frame {frame.index} was written where {self._next} comes next")
        if self._last_pts is not None and frame.pts <= self._last_pts:
            raise ValueError(f"frame {frame.index}: timestamp {frame.pts} is not a later one")
        size = self._settings.encoding.segment_frames
        if self._writer is None:
            path = segments.segment_path(self.folder, frame.index // size)
            self._writer = SegmentWriter(path, self._settings)
        self._writer.write(frame)
        self._next, self._last_pts = frame.index + 1, frame.pts
        if self._next % size == 0:
            self._finish_segment()

    def _finish_segment(self) -> None:
        if self._writer is not None:
            self._writer.finish()
            self._done.append(self._writer.path)
            self._writer = None

    def close(self) -> None:
        """Puts the segments and the copied streams together and names the file.

        Raises:
          ValueError: no frame was written.
          VideoError: ffmpeg failed; the segments stay.
          OSError: the disk is full; the segments stay.
        """
        self._finish_segment()
        if not self._done:
            self._release()
            raise ValueError(f"{self.path}: no frame was written")
        video = segments.join(self._done, self.folder / "video.mp4", self._settings)
        finished = self.folder / f"finished{self.path.suffix}"
        mux.mux(self._plan, video, finished)
        with finished.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(finished, self.path)
        shutil.rmtree(self.folder)
        self._lock.close()

    def _release(self) -> None:
        """Lets go of the folder, and removes it if nothing in it is worth keeping."""
        self._lock.close()
        with contextlib.suppress(OSError):
            if not any(self.folder.glob("*.segment")):
                shutil.rmtree(self.folder)


def check_target(path: Path, source: Source, overwrite: bool) -> None:
    """Raises `ValueError` unless an output may be made at `path`."""
    if not path.parent.is_dir():
        raise ValueError(f"output {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise ValueError(f"output {path} is a folder")
    if source.path is not None and path.exists() and path.samefile(source.path):
        raise ValueError(f"output {path} is the input; choose another name")
    if path.exists() and not overwrite:
        raise ValueError(f"output {path} exists already; --overwrite replaces it")


def _picture_notes(source: Source, settings: VideoSettings) -> tuple[str, ...]:
    notes = [
        f"{name} metadata changes from frame to frame and is left out; the fixed HDR tags stay"
        for name in source.picture.dynamic_metadata
    ]
    location = settings.format.chroma_location
    if settings.encoding.codec == "vp9":
        if settings.format.subsampling == "420" and location != "left":
            notes.append(f"vp9 cannot say that chroma lies {location}; players will take left")
        if source.picture.mastering_display or source.picture.content_light:
            notes.append("vp9 cannot say what screen the video was mastered on; av1 can")
    return tuple(notes)


def _check_pipe(source: Source, kept: Sequence[StreamInfo]) -> None:
    if source.path is None and source.info is not None:
        others = [str(stream) for stream in kept if stream is not source.info.video]
        if others:
            raise ValueError(
                f"standard input also holds {' and '.join(others)}, which cannot be copied from a "
                "pipe; give a file, or leave it out (--drop)"
            )


class Y4mSink:
    """Writes frames to a pipe, each at once; see `open_sink`."""

    finished_frames = 0
    resumed = False
    notes: tuple[str, ...] = ()

    def __init__(self, file: IO[bytes], fmt: FrameFormat, source: Source) -> None:
        self._file, self._format = file, fmt
        self._head = y4m.header(fmt, source.rate, source.picture.sample_aspect_ratio)
        self._next = 0

    def __enter__(self) -> "Y4mSink":
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
        if frame.index != self._next:
            raise ValueError(f"frame {frame.index} was written where {self._next} comes next")
        frame.check(self._format)
        marker = (self._head if self._next == 0 else b"") + b"FRAME\n"
        y4m.write_frame(self._file, frame.planes, marker)
        self._next += 1

    def close(self) -> None:
        """Nothing is kept back, so nothing is left to do."""
        self._file.flush()
