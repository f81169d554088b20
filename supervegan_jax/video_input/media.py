"""What a video file holds beside its pictures: streams, tags and how the picture is meant."""

import dataclasses
import struct
from fractions import Fraction
from typing import Final, cast

import av
from av.sidedata.sidedata import SideDataContainer, Type
from av.stream import Disposition

from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.probe import NOT_VIDEO

# ISO/IEC 23001-8 table 4, under ffmpeg's names.
MATRIX_NAMES: Final = {
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020nc",
}
UNSPECIFIED: Final = 2
NOT_THE_VIDEO: Final = Disposition.attached_pic | Disposition.timed_thumbnails
_DYNAMIC: Final = (
    "{} metadata changes from frame to frame and is left out; the fixed HDR tags stay".format
)
# What pictures carry that no encoder here writes, and what is said of it.
UNWRITTEN: Final = {
    Type.DYNAMIC_HDR_PLUS: _DYNAMIC("HDR10+"),
    Type.DYNAMIC_HDR_VIVID: _DYNAMIC("HDR Vivid"),
    Type.DOVI_METADATA: _DYNAMIC("Dolby Vision"),
    Type.DOVI_RPU_BUFFER: _DYNAMIC("Dolby Vision"),
    Type.A53_CC: "the closed captions within the pictures (CEA-608, CEA-708) are left out",
    Type.SPHERICAL: "that the picture is a projection of a sphere (360 degrees) is left out",
    Type.STEREO3D: "that the picture is two, one for each eye (3D), is left out",
}


@dataclasses.dataclass(frozen=True)
class StreamInfo:
    """One stream of a file.

    Attributes:
      index: its place in the file.
      kind: "video", "audio", "subtitle", "data" or "attachment".
      codec: ffmpeg's name of the codec, of an attachment its type; "unknown" without one.
      time_base: seconds per tick of its timestamps.
      dispositions: ffmpeg's names, such as ("default", "forced").
      metadata: its tags (language, title, ...).
    """

    index: int
    kind: str
    codec: str
    time_base: Fraction
    dispositions: tuple[str, ...]
    metadata: dict[str, str]

    def __str__(self) -> str:
        language = self.metadata.get("language")
        return f"stream #{self.index} ({self.kind}, {self.codec}{f', {language}' * bool(language)})"


@dataclasses.dataclass(frozen=True)
class Picture:
    """How the stored samples are to be shown, as far as `FrameFormat` does not say it.

    Attributes:
      sample_aspect_ratio: width : height of one sample; None where the file does not tell.
      primaries, transfer: ISO/IEC 23001-8 numbers; 2 is "unspecified".
      display_matrix: the nine numbers of the rotation or flip; None for none.
      mastering_display: the mastering screen as x265 takes it, in units of 0.00002 and of
        0.0001 cd/m2: "G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)"; None for none.
      content_light: MaxCLL and MaxFALL in cd/m2; None for none.
      left_out: what is said of that which the pictures carry and no encoder here writes.
      interlaced: whether a frame is two fields.
    """

    sample_aspect_ratio: Fraction | None = None
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    display_matrix: tuple[int, ...] | None = None
    mastering_display: str | None = None
    content_light: tuple[int, int] | None = None
    left_out: tuple[str, ...] = ()
    interlaced: bool = False


@dataclasses.dataclass(frozen=True)
class MediaInfo:
    """A file as a whole.

    Attributes:
      container: the demuxer's names, such as ("matroska", "webm").
      streams: all of them, in the file's order.
      video: the one to be enhanced: the first video stream that is no cover art.
      metadata: the container's tags.
      chapters: as (start, end, tags), in seconds.
      start_time: of the earliest stream, in seconds.
      duration: in seconds, None where the file does not tell.
    """

    container: tuple[str, ...]
    streams: tuple[StreamInfo, ...]
    video: StreamInfo
    metadata: dict[str, str]
    chapters: tuple[tuple[Fraction, Fraction, dict[str, str]], ...]
    start_time: Fraction
    duration: Fraction | None

    @property
    def others(self) -> tuple[StreamInfo, ...]:
        """Every stream but the video."""
        return tuple(stream for stream in self.streams if stream is not self.video)


def describe(container: av.container.InputContainer, name: str) -> MediaInfo:
    """Lists what an open file holds.

    Args:
      container: open for reading.
      name: the file's name in errors.

    Raises:
      VideoError: there is no video in it.
    """
    formats = tuple(container.format.name.split(","))
    if NOT_VIDEO & set(formats) or formats[0].endswith("_pipe"):
        raise VideoError(f"{name} is not a video: it is taken for {container.format.name}")
    streams = tuple(_describe_stream(stream) for stream in container.streams)
    video = find_video(container)
    if video is None:
        raise VideoError(f"{name} has no video stream")
    duration = container.duration
    # The container's own field is rounded to microseconds, past the first frame perhaps.
    starts = [_start_time(stream) for stream in container.streams]
    chapters = [
        (c["start"] * base, c["end"] * base, dict(c["metadata"]))
        for c in container.chapters()
        if (base := c["time_base"]) is not None
    ]
    return MediaInfo(
        container=formats,
        streams=streams,
        video=streams[video.index],
        metadata=dict(container.metadata),
        chapters=tuple(chapters),
        start_time=min((start for start in starts if start is not None), default=Fraction(0)),
        duration=None if duration is None else Fraction(duration, 1_000_000),
    )


def find_video(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first video stream that is neither cover art nor a row of thumbnails."""
    videos = (s for s in container.streams.video if not s.disposition & NOT_THE_VIDEO)
    return next(videos, None)


def _start_time(stream: av.stream.Stream) -> Fraction | None:
    """In seconds; None for data and pictures, which have no time of their own and say 0."""
    if stream.type not in ("video", "audio") or stream.disposition & NOT_THE_VIDEO:
        return None
    if stream.start_time is None or stream.time_base is None:
        return None
    return stream.start_time * stream.time_base


def _describe_stream(stream: av.stream.Stream) -> StreamInfo:
    if (context := stream.codec_context) is not None:
        codec = context.codec.canonical_name
    elif stream.type == "attachment":
        codec = stream.metadata.get("mimetype", "unknown")
    else:
        codec = (stream.type == "data" and stream.name) or "unknown"
    return StreamInfo(
        index=stream.index,
        kind=stream.type,
        codec=codec,
        time_base=stream.time_base or Fraction(1),
        dispositions=tuple(flag.name or "" for flag in stream.disposition),
        metadata=dict(stream.metadata),
    )


def describe_picture(stream: av.VideoStream, frame: av.VideoFrame) -> Picture:
    """How `frame`, the first one of `stream`, is to be shown."""
    context = stream.codec_context
    side_data = {entry.type: bytes(entry) for entry in cast(SideDataContainer, frame.side_data)}
    content_light = side_data.get(Type.CONTENT_LIGHT_LEVEL)
    matrix = side_data.get(Type.DISPLAYMATRIX)
    mastering = side_data.get(Type.MASTERING_DISPLAY_METADATA)
    left_out = {words for kind, words in UNWRITTEN.items() if kind in side_data}
    return Picture(
        sample_aspect_ratio=stream.sample_aspect_ratio or context.sample_aspect_ratio,
        primaries=_first_specified(frame.color_primaries, context.color_primaries),
        transfer=_first_specified(frame.color_trc, context.color_trc),
        display_matrix=None if matrix is None else struct.unpack("=9i", matrix[:36]),
        mastering_display=None if mastering is None else mastering_display(mastering),
        content_light=None if content_light is None else struct.unpack("=2I", content_light[:8]),
        left_out=tuple(sorted(left_out)),
        interlaced=frame.interlaced_frame,
    )


def _first_specified(*tags: int) -> int:
    return next((int(tag) for tag in tags if tag not in (0, UNSPECIFIED)), UNSPECIFIED)


def mastering_display(data: bytes) -> str | None:
    """Turns ffmpeg's AVMasteringDisplayMetadata into x265's text; None if it is incomplete."""
    numbers = struct.unpack("=20i2i", data[:88])
    if not (numbers[20] and numbers[21]):
        return None
    values = [Fraction(numbers[i], numbers[i + 1] or 1) for i in range(0, 20, 2)]
    red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y = (
        round(value * 50_000) for value in values[:8]
    )
    least, most = (round(value * 10_000) for value in values[8:])
    return (
        f"G({green_x},{green_y})B({blue_x},{blue_y})R({red_x},{red_y})"
        f"WP({white_x},{white_y})L({most},{least})"
    )


def interlaced(name: str, at: Fraction = Fraction(0)) -> str:
    """Why a video of two fields a frame is refused, and what to do."""
    since = f" from {float(at):.3f} s on" if at > 0 else ""
    return (
        f"{name}: its frames are interlaced{since}, which would be enhanced into combs; "
        "deinterlace it first (ffmpeg's filter bwdif; setfield=prog if only its tags are wrong)"
    )
