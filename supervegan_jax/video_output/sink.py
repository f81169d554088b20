"""Where frames go: a video file, a video through a pipe, or bare samples through one."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.video_input.media import StreamInfo
from supervegan_jax.video_input.source import Source
from supervegan_jax.video_output import encoding as encoders
from supervegan_jax.video_output import partial_work
from supervegan_jax.video_output.encoding import EncodeOptions
from supervegan_jax.video_output.file_sink import FileSink
from supervegan_jax.video_output.pipe_sink import SAMPLE_FORMATS, SampleSink, StreamSink
from supervegan_jax.video_output.plan import Plan, copied_streams
from supervegan_jax.video_output.segments import VideoSettings

# What ffmpeg calls the formats that have another name here.
OTHER_NAMES: Final = {"yuv4mpegpipe": "y4m", "matroska": "mkv", "mpegts": "ts"}


class Sink(Protocol):
    """A video being written.

    Attributes:
      finished_frames: how many frames an earlier, interrupted run has safely encoded; `write`
        expects the frame with this index first.
      kept_frames: how many are safely encoded now, for a later run to go on with.
      notes: what the output cannot keep although the picture and the sound do not need it, one
        line each, for the user to know; `write` and `close` may add to them.
    """

    finished_frames: int
    notes: tuple[str, ...]

    @property
    def kept_frames(self) -> int:
        """Frames that are safe on the disk."""
        ...

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
    output_format: str | None = None,
    overwrite: bool = False,
    job: Mapping[str, Any] | None = None,
    drop: Sequence[int] = (),
) -> Sink:
    """Starts or resumes an output; everything that can be refused is refused here.

    Used as a context manager: `close` is called by hand at the end, an exception keeps the
    finished segments for the next run.

    Args:
      path: the file to make, or a link that leads to it; "-" for standard output.
      source: what is being enhanced: its other streams and tags are copied.
      scale: the frames written are this many times as wide and high as the source's.
      options: codec, quality and so on.
      frame_format: of the frames to be written where it is not `source.format.scaled(scale)`.
      output_format: a container of `encoding.CONTAINERS` or, for standard output, "y4m" (its
        default) or "rawvideo", which carry the video alone; ffmpeg's names are known too. None
        tells a file's from its suffix.
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
    options = options or EncodeOptions()
    kind = format_of(path, output_format)
    piped = os.fspath(path) == "-"
    if piped and sys.stdout is None:  # so it is where a program was started with it closed
        raise ValueError("standard output is closed")
    if kind in SAMPLE_FORMATS:
        return SampleSink(sys.stdout.buffer, kind, fmt, source, options, drop)
    target = Path(path) if piped else check_target(Path(path), source, overwrite)
    settings = VideoSettings(
        encoding=encoders.resolve(options, fmt, kind),
        format=fmt,
        picture=source.picture,
        time_base=source.time_base,
        rate=source.rate,
    )
    plan = _plan(source, kind, drop, piped)
    notes = _clock_notes(plan) + _picture_notes(source, settings)
    if piped:
        return StreamSink(sys.stdout.buffer, plan, settings, source, notes)
    return FileSink(target, plan, settings, source, overwrite, job or {}, drop, notes)


def _plan(source: Source, container: str, drop: Sequence[int], piped: bool) -> Plan:
    """What is copied beside the video: tags alone from a pipe, which can be read only once."""
    kept = () if source.info is None else copied_streams(source.info, drop)
    _check_pipe(source, kept)
    plan = Plan(
        source=None if source.info is None else source.path,
        info=source.info,
        container=container,
        kept=kept,
        start=source.start,
        end=source.end,
        rate=source.rate,
        piped=piped,
    )
    for stream in () if source.start is None else plan.other_videos():
        raise ValueError(
            f"{stream} is copied and could not begin at --start, between two of its key frames; "
            f"leave it out (--drop {stream.index})"
        )
    return plan


def format_of(path: str | os.PathLike[str], output_format: str | None = None) -> str:
    """The container to write, a key of `encoding.CONTAINERS`, or one of `SAMPLE_FORMATS`.

    Args:
      path: of the output, whose suffix tells; "-" is Y4M.
      output_format: what was asked for instead, if anything.

    Raises:
      ValueError: no such format, or one that a file does not get.
    """
    piped = os.fspath(path) == "-"
    if output_format is None:
        name = "y4m" if piped else Path(path).suffix.lstrip(".").lower()
        if not piped and name not in encoders.CONTAINERS:
            accepted = ", ".join(f".{c}" for c in encoders.CONTAINERS)
            raise ValueError(f"output {path}: the suffix must be one of {accepted}")
        return name
    name = OTHER_NAMES.get(output_format, output_format)
    accepted = ", ".join([*encoders.CONTAINERS, *SAMPLE_FORMATS])
    if name not in (*encoders.CONTAINERS, *SAMPLE_FORMATS):
        raise ValueError(f"output-format {output_format!r}: must be one of {accepted}")
    if name in SAMPLE_FORMATS and not piped:
        raise ValueError(f"output-format {output_format} is for standard output: give - as OUTPUT")
    return name


def check_target(path: Path, source: Source, overwrite: bool) -> Path:
    """The file that an output at `path` would become, which a link leads to.

    Raises:
      ValueError: no output may be made there.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if not target.parent.is_dir():
        raise ValueError(f"output {path}: there is no folder {target.parent}")
    if path.is_dir():
        raise ValueError(f"output {path} is a folder")
    if path.exists() and not path.is_file():
        raise ValueError(f"output {path} is a pipe or a device; - writes standard output")
    if source.path is not None and path.exists() and path.samefile(source.path):
        raise ValueError(f"output {path} is the input; choose another name")
    if path.exists() and not overwrite:
        raise ValueError(f"output {path} exists already; --overwrite replaces it")
    partial_work.check(partial_work.folder_of(target))
    return target


def _clock_notes(plan: Plan) -> tuple[str, ...]:
    if not plan.delay:
        return ()
    return (f"the input's clock begins below 0; all streams are shown {plan.delay} s later",)


def _picture_notes(source: Source, settings: VideoSettings) -> tuple[str, ...]:
    notes = list(source.picture.left_out)
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
