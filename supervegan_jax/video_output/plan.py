"""What goes into the output: which streams and tags of the source, and when.

How ffmpeg is told is in `mux`.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

from supervegan_jax.video_input.media import MediaInfo, StreamInfo
from supervegan_jax.video_output import mp4_times

BRANDS: Final = ("major_brand", "minor_version", "compatible_brands")
# What the MP4 muxer writes in its usual way; other tags need its free-form list.
MP4_TAGS: Final = {
    *("title", "artist", "album_artist", "composer", "album", "date"),
    *("comment", "genre", "copyright", "grouping", "lyrics", "description"),
    *("synopsis", "show", "episode_id", "network", "keywords", "episode_sort"),
    *("season_number", "media_type", "hd_video", "gapless_playback", "compilation", "track"),
    *("disc", "encoder", "encoding_tool", "location", "creation_time", "timecode"),
    *BRANDS,
}
MP4_LIKE: Final = ("mp4", "m4v", "mov")
# Demuxers of clocks that start anew.
WRAPPING: Final = ("mpegts", "mpeg")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What goes into the output.

    Attributes:
      source: the file that streams are copied from; None for video alone.
      info: what is in the source; None for bare samples.
      container: a key of `encoding.CONTAINERS`.
      kept: the streams to copy, and the video, in the order of the source.
      start, end: the selection in seconds on the source's clock, None for no bound.
      rate: nominal frames per second.
      piped: whether the output is a pipe, in which nothing can be mended at the end.
    """

    source: Path | None
    info: MediaInfo | None
    container: str
    kept: tuple[StreamInfo, ...]
    start: Fraction | None = None
    end: Fraction | None = None
    rate: Fraction | None = None
    piped: bool = False

    @property
    def trimmed(self) -> bool:
        """Whether only a part of the source is wanted."""
        return self.start is not None or self.end is not None

    def covers(self) -> list[StreamInfo]:
        """Cover art among the streams."""
        return [s for s in self.kept if "attached_pic" in s.dispositions]

    def other_videos(self) -> list[StreamInfo]:
        """Videos among the streams that are copied."""
        own = None if self.info is None else self.info.video
        return [s for s in self.kept if s.kind == "video" and s not in (own, *self.covers())]

    @property
    def free_form(self) -> bool:
        """Whether MP4's free-form list is to be written, which displaces the usual one."""
        tags = {} if self.info is None else self.info.metadata
        free = any(tag_name(key) not in MP4_TAGS for key in tags)
        return self.container in MP4_LIKE and free and not self.covers()

    @property
    def created(self) -> int | None:
        """The time of creation that has to be written by hand, see `mp4_times`; None for none."""
        if self.info is None or not self.free_form or self.piped:
            return None
        return mp4_times.seconds(self.info.metadata.get("creation_time", ""))

    @property
    def delay(self) -> int:
        """Whole seconds, exact in every time base, that bring a clock from below 0 up to it.

        The 33 bits of a transport stream's clock start anew within a day, perhaps soon after the
        first frame; those before would be lost in a container whose time begins at 0.
        """
        if self.info is None or self.source is None or self.trimmed:
            return 0
        if self.info.container[0] not in WRAPPING:
            return 0
        return max(0, math.ceil(-self.info.start_time))


def tag_name(key: str) -> str:
    """A tag's name without its language ("BPS-eng", "location-eng"), in small letters."""
    return re.sub(r"-[a-z]{3}$", "", key).lower()


def copied_streams(info: MediaInfo, drop: Sequence[int] = ()) -> tuple[StreamInfo, ...]:
    """The streams that belong into the output, the video among them.

    Args:
      info: the source's.
      drop: indices of streams that the user gives up.

    Raises:
      ValueError: an index that is none, or the video's own.
    """
    for index in drop:
        if index == info.video.index or not 0 <= index < len(info.streams):
            others = ", ".join(str(stream) for stream in info.others) or "none"
            raise ValueError(f"stream {index} cannot be dropped; those that can are: {others}")
    return tuple(s for s in info.streams if s.index not in drop and not _is_rewritten(s, info))


def _is_rewritten(stream: StreamInfo, info: MediaInfo) -> bool:
    if stream.kind != "data" or "mov" not in info.container:
        return False
    if stream.metadata.get("timecode") is not None:
        return True
    return stream.codec in ("bin_data", "none", "unknown") and bool(info.chapters)
