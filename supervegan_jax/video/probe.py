"""What a video file holds, found with ffmpeg alone (the bundled package has no ffprobe)."""

import dataclasses
import os
import re
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from supervegan_jax.video import ffmpeg
from supervegan_jax.video.ffmpeg import VideoError

# Demuxers that read text, playlists, scripts or single pictures, which nobody means by a video;
# a playlist could also name any other file.
NOT_VIDEO = frozenset(
    ("tty", "image2", "bin", "xbin", "adf", "idf", "lavfi", "concat", "hls", "dash", "ffmetadata")
)
# What ffmpeg says of a video behind "Stream #0:".
VIDEO_STREAM = re.compile(r"\d+\S*: Video: (?!.*\((?:attached pic|timed thumbnails)\))")
# What the filter showinfo prints: sample format, chroma location, size, interlacing.
FIRST_FRAME = re.compile(r"\] n: +0 .* fmt:(\S+) (?:cl:(\S+) )?.*?\bs:(\d+)x(\d+) i:(\S)")


@dataclasses.dataclass(frozen=True)
class Unseen:
    """What PyAV does not tell of a video.

    Attributes:
      chroma_location: ffmpeg's name; "unknown" where the file does not tell.
      crop: columns at the left and right, rows at the top and bottom that the container hides.
    """

    chroma_location: str = "unknown"
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """The first video stream of a file, as it is decoded.

    Attributes:
      path: the file.
      width, height: in pixels, after the cropping and the rotation the file asks for; the pixel
        grid only, the pixel aspect ratio is ignored.
      fps: frames per second as the file declares them.
      pixel_format: ffmpeg's name, such as "yuv420p".
      range, matrix, primaries, transfer: ffmpeg's names of the colour tags; "unknown" where the
        file does not tell.
      interlaced: whether the first frame says that it is two fields.
      unseen: the rest of it.
      frame_count: the video packets counted, None unless asked for.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    pixel_format: str
    range: str
    matrix: str
    primaries: str
    transfer: str
    interlaced: bool
    unseen: Unseen
    frame_count: int | None = None

    @property
    def chroma_location(self) -> str:
        """Where a subsampled chroma sample lies; see `Unseen`."""
        return self.unseen.chroma_location


@dataclasses.dataclass(frozen=True)
class Packets:
    """The video packets of a file: how many, their bytes, and the mean rate of their times.

    Attributes:
      sizes: bytes of each, without the container's own, in the order they are shown.
      fps: (count - 1) / (last time - first time); None for fewer than two packets.
    """

    sizes: tuple[int, ...]
    fps: Fraction | None

    @property
    def count(self) -> int:
        """Packets, which are frames in every codec that this project writes."""
        return len(self.sizes)

    @property
    def size(self) -> int:
        """Bytes of all packets together."""
        return sum(self.sizes)


def probe(
    path: str | os.PathLike[str],
    *,
    count_frames: bool = False,
    input_options: Sequence[str] = (),
) -> VideoInfo:
    """Tells size, rate and colours of the first video stream (cover art is no video).

    Args:
      path: any file that ffmpeg reads.
      count_frames: also list all packets, which reads the whole file without decoding.
      input_options: of ffmpeg, for samples without a header (`ffmpeg.headerless_input`).

    Raises:
      VideoError: missing, empty, not a video, or nothing in it can be decoded.
    """
    ffmpeg.require_file(path)
    done = _show_first_frame([*input_options, "-i", ffmpeg.url(path)])
    text = done.stderr.decode(errors="replace")
    demuxer = re.search(r"^Input #0, (\S+), from ", text, re.MULTILINE)
    if demuxer is None:
        raise VideoError(f"{path} is not a video: {ffmpeg.first_complaint(text)}")
    names = demuxer[1].split(",")
    if names[0].endswith("_pipe") or set(names) & NOT_VIDEO:
        raise VideoError(f"{path} is not a video: ffmpeg takes it for {demuxer[1]}")
    if not any(map(VIDEO_STREAM.match, _streams(text))):
        raise VideoError(f"{path} has no video stream")
    frame = FIRST_FRAME.search(text)
    rate = re.search(r"config in time_base: \S+, frame_rate: (\d+)/(\d+)", text)
    if done.returncode or frame is None or rate is None:
        raise VideoError(f"{path}: no frame of its video can be decoded")
    tags = {name: _tag(text, name) for name in ("range", "space", "primaries", "trc")}
    return VideoInfo(
        path=Path(path),
        width=int(frame[3]),
        height=int(frame[4]),
        fps=Fraction(int(rate[1]), int(rate[2]) or 1),
        pixel_format=frame[1],
        range=tags["range"],
        matrix=tags["space"],
        primaries=tags["primaries"],
        transfer=tags["trc"],
        interlaced=frame[5] in "TB",
        unseen=_unseen(text, frame),
        frame_count=list_packets(path).count if count_frames else None,
    )


def look(beginning: bytes) -> Unseen:
    """What PyAV does not tell of a video of which only the beginning is there.

    Args:
      beginning: the bytes of a file, as many as its first frame needs; with fewer nothing is told.
    """
    text = _show_first_frame(["-i", "pipe:0"], beginning).stderr.decode(errors="replace")
    frame = FIRST_FRAME.search(text)
    return Unseen() if frame is None else _unseen(text, frame)


def _show_first_frame(
    source: Sequence[str], given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Lets ffmpeg say all that it knows; `source` are the words that open the video."""
    command = [ffmpeg.executable(), "-hide_banner", "-v", "info", *source]
    command += ["-map", "0:V:0", "-frames:v", "1", "-vf", "showinfo", "-f", "null", "-"]
    # Without input of its own ffmpeg would listen to the terminal.
    return subprocess.run(command, input=given or b"", capture_output=True, check=False)


def _streams(text: str) -> list[str]:
    return re.split(r"^ *Stream #0:", text, flags=re.MULTILINE)


def _unseen(text: str, frame: re.Match[str]) -> Unseen:
    location = "unknown" if frame[2] in (None, "unspecified") else frame[2]
    video = next(words for words in _streams(text) if VIDEO_STREAM.match(words))
    crop = re.search(r"^ *Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)", video, re.MULTILINE)
    if crop is None:
        return Unseen(location)
    return Unseen(location, (int(crop[1]), int(crop[2]), int(crop[3]), int(crop[4])))


def _tag(text: str, name: str) -> str:
    found = re.search(rf"color_{name}:(\S+)", text)
    return found[1] if found else "unknown"


def list_packets(path: str | os.PathLike[str]) -> Packets:
    """Counts the packets of the first video stream and adds up their bytes, without decoding.

    Raises:
      VideoError: the file cannot be read, or is damaged or cut off.
    """
    ffmpeg.require_file(path)
    listing = ffmpeg.run(
        ["-i", ffmpeg.url(path), "-map", "0:V:0", "-c", "copy", "-f", "framecrc", "-"], path
    )
    time_base = re.search(r"^#tb 0: (\d+)/(\d+)", listing, re.MULTILINE)
    rows = [line.split(",") for line in listing.splitlines() if not line.startswith("#")]
    if time_base is None or not rows:
        raise VideoError(f"{path}: its video stream is empty")
    times = sorted(int(row[2]) for row in rows)
    span = Fraction(times[-1] - times[0]) * Fraction(int(time_base[1]), int(time_base[2]))
    fps = Fraction(len(rows) - 1) / span if span > 0 else None
    shown = sorted(rows, key=lambda row: int(row[2]))
    return Packets(sizes=tuple(int(row[4]) for row in shown), fps=fps)


def constant_rate(path: str | os.PathLike[str], declared: Fraction) -> Fraction:
    """The declared frame rate, or the mean of the timestamps where that is more than 1 % off.

    Raises:
      VideoError: the file cannot be read, or is damaged or cut off.
    """
    measured = list_packets(path).fps
    if measured is None or abs(measured / declared - 1) <= Fraction(1, 100):
        return declared
    return measured.limit_denominator(1001)
