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


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """The first video stream of a file, as it is decoded.

    Attributes:
      path: the file.
      width, height: in pixels, after the rotation the file asks for; the pixel grid only, the
        pixel aspect ratio is ignored.
      fps: frames per second as the file declares them.
      pixel_format: ffmpeg's name, such as "yuv420p".
      range, matrix, primaries, transfer, chroma_location: ffmpeg's names of the colour tags;
        "unknown" where the file does not tell.
      interlaced: whether the first frame says that it is two fields.
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
    chroma_location: str
    interlaced: bool
    frame_count: int | None = None


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
    command = [ffmpeg.executable(), "-nostdin", "-hide_banner", "-v", "info", *input_options]
    command += ["-i", ffmpeg.url(path), "-map", "0:V:0", "-frames:v", "1", "-vf", "showinfo"]
    done = subprocess.run([*command, "-f", "null", "-"], capture_output=True, check=False)
    text = done.stderr.decode(errors="replace")
    demuxer = re.search(r"^Input #0, (\S+), from ", text, re.MULTILINE)
    if demuxer is None:
        raise VideoError(f"{path} is not a video: {ffmpeg.first_complaint(text)}")
    names = demuxer[1].split(",")
    if names[0].endswith("_pipe") or set(names) & NOT_VIDEO:
        raise VideoError(f"{path} is not a video: ffmpeg takes it for {demuxer[1]}")
    if not re.search(r"^ *Stream #0:.*: Video: (?!.*\(attached pic\))", text, re.MULTILINE):
        raise VideoError(f"{path} has no video stream")
    frame = re.search(r"\] n: +0 .* fmt:(\S+) (?:cl:(\S+) )?.*?\bs:(\d+)x(\d+) i:(\S)", text)
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
        chroma_location="unknown" if frame[2] in (None, "unspecified") else frame[2],
        interlaced=frame[5] in "TB",
        frame_count=list_packets(path).count if count_frames else None,
    )


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


def measure_bitrate_kbps(path: str | os.PathLike[str], fps: Fraction | None = None) -> float:
    """The bitrate of the video alone in kbit/s: bytes of all packets over their playing time.

    Args:
      path: a video of constant frame rate.
      fps: its frame rate; None takes the file's own.

    Raises:
      VideoError: the file cannot be read.
    """
    packets = list_packets(path)
    seconds = packets.count / (fps or probe(path).fps)
    return float(packets.size * 8 / seconds / 1000)
