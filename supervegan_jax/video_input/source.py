"""Where frames come from: a file, a pipe, headerless samples; what every such source offers."""

import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol

from supervegan_jax.video import ffmpeg, probe
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.probe import Unseen
from supervegan_jax.video_input import y4m
from supervegan_jax.video_input.container import ContainerSource
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.video_input.media import MediaInfo, Picture
from supervegan_jax.video_input.samples import Layout, Pipe, RawVideo, SampleSource, Span

# Some 30 years, within what every container's timestamps can say.
LONGEST_SECONDS: Final = 1_000_000_000


class Source(Protocol):
    """A video to read frames from.

    Attributes:
      path: the file, None for standard input.
      name: what errors call it.
      format: of the frames.
      time_base: seconds per unit of `VideoFrame.pts`.
      picture: how the frames are to be shown.
      info: the streams and tags of the file; None for bare samples, which have none.
      rate: frames per second as declared, for encoders and progress bars; never used for timing.
      frame_count: an estimate; None where nothing tells.
      start, end: the selection in seconds on the file's own clock; None for no bound.
      notes: what `frames` has come upon that the user should know, one line each.
    """

    path: Path | None
    name: str
    format: FrameFormat
    time_base: Fraction
    picture: Picture
    info: MediaInfo | None
    rate: Fraction
    frame_count: int | None
    start: Fraction | None
    end: Fraction | None
    notes: list[str]

    def frames(self, first: int = 0) -> Iterator[VideoFrame]:
        """Yields the frames from the one with index `first` on.

        Raises:
          BrokenStream: after the last readable frame of a damaged or cut-off file.
        """
        ...

    def measure_kbps(self) -> float | None:
        """The bitrate of the video alone in kbit/s, over its first half minute.

        None where it cannot be told: bare samples have none, and a pipe can be read only once.
        """
        ...


def open_source(
    path: str | os.PathLike[str],
    start: float | Fraction | None = None,
    duration: float | Fraction | None = None,
    raw: RawVideo | None = None,
) -> Source:
    """Opens a video.

    Args:
      path: any file that ffmpeg reads, or "-" for standard input: Y4M, or any container or
        elementary stream that can be read without seeking.
      start: seconds after the file's beginning; frames shown earlier are left out.
      duration: seconds; frames shown at `start` + `duration` or later are left out.
      raw: what samples without a header consist of; None for everything else.

    Raises:
      VideoError: missing, no video, nothing decodable, or samples of an unsupported kind.
      ValueError: a negative start, a duration that is not positive, or one without end.
    """
    # Written so that what is no number is refused too.
    if start is not None and not 0 <= start <= LONGEST_SECONDS:
        raise ValueError(f"start {start}: must be 0 or more seconds, {LONGEST_SECONDS} at most")
    if duration is not None and not 0 < duration <= LONGEST_SECONDS:
        raise ValueError(
            f"duration {duration}: must be more than 0 seconds, {LONGEST_SECONDS} at most"
        )
    span = (_seconds(start), _seconds(duration))
    layout = None if raw is None else raw.layout()
    if os.fspath(path) == "-":
        return _open_pipe(span, layout)
    ffmpeg.require_file(path)
    if layout is not None:
        return SampleSource(Path(path), layout, span)
    # Asked first because it tells every kind of unreadable file apart.
    return ContainerSource(Path(path), probe.probe(path).unseen, span)


def _seconds(value: float | Fraction | None) -> Fraction | None:
    # 0.1 means a tenth, not the nearest binary number.
    return None if value is None else Fraction(str(value))


def _open_pipe(span: Span, layout: Layout | None) -> Source:
    if sys.stdin is None:  # so it is where a program was started with it closed
        raise VideoError("standard input is closed")
    pipe = Pipe(sys.stdin.fileno())
    if not pipe.peek(1):
        raise VideoError("standard input is empty")
    if layout is not None:
        return SampleSource(pipe, layout, span)
    if pipe.peek(len(y4m.MAGIC)) == y4m.MAGIC:
        return SampleSource(pipe, y4m.read_header(pipe.read_line()), span)
    return ContainerSource(None, Unseen(), span, pipe)
