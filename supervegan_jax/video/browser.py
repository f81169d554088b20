"""Videos that a browser plays and an eye cannot tell from what they were made of."""

import dataclasses
import math
import os
import re
from pathlib import Path
from typing import Final

from supervegan_jax.video import ffmpeg, probe
from supervegan_jax.video.colour import BT709_TAGS
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.writer import temporary_name

# Suffix -> encoder. One thread each, as in `encoder`: the bytes are the same on every run. A key
# frame every second lets a player go back to the beginning without a pause.
FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "mp4": (
        *("-c:v", "libx264", "-preset", "medium", "-profile:v", "high", "-threads", "1"),
        *("-movflags", "+faststart", "-f", "mp4"),
    ),
    "webm": (
        *("-c:v", "libvpx-vp9", "-b:v", "0", "-deadline", "good", "-cpu-used", "4"),
        *("-threads", "1", "-f", "webm"),
    ),
}
CRF_RANGES: Final = {"mp4": 51, "webm": 63}


@dataclasses.dataclass(frozen=True)
class Window:
    """A part of the picture, in pixels; all four are even, as 4:2:0 needs."""

    left: int
    top: int
    width: int
    height: int

    def __post_init__(self) -> None:
        numbers = (self.left, self.top, self.width, self.height)
        if any(number % 2 for number in numbers) or min(numbers) < 0 or min(numbers[2:]) < 2:
            raise ValueError(
                f"window {self.width}x{self.height} at {self.left},{self.top}; even numbers are "
                "accepted"
            )

    @property
    def crop(self) -> str:
        """As an ffmpeg filter."""
        return f"crop={self.width}:{self.height}:{self.left}:{self.top}"


def encode_for_browser(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    crf: int,
    window: Window,
) -> float:
    """Encodes a part of the picture of a whole video, without sound.

    Args:
      source: BT.709 limited-range yuv420p of constant frame rate, as `LosslessWriter` and
        `encode_at_bitrate` write it.
      destination: its suffix, .mp4 (H.264) or .webm (VP9), decides; it appears only when complete.
      crf: the encoder's constant quality, less is better.
      window: what is kept.

    Returns:
      The PSNR of luma over all frames, in dB, against the same part of `source`.

    Raises:
      ValueError: another suffix, or a window outside the picture.
      VideoError: ffmpeg failed, or the encode has another number of frames than the source.
    """
    destination = Path(destination)
    suffix = destination.suffix.removeprefix(".")
    check_quality(suffix, crf)
    info = probe.probe(source, count_frames=True)
    if info.pixel_format != "yuv420p" or info.matrix != "bt709" or info.range != "tv":
        raise VideoError(f"{source}: BT.709 limited-range yuv420p is needed")
    if window.left + window.width > info.width or window.top + window.height > info.height:
        raise ValueError(
            f"{source} has {info.width}x{info.height} pixels; the window of {window.width}x"
            f"{window.height} at {window.left},{window.top} leaves it"
        )
    temporary = temporary_name(destination)
    command = ["-y", "-i", ffmpeg.url(source), "-map", "0:V:0", "-an"]
    command += ["-vf", f"{window.crop},{BT709_TAGS}bt709", "-fps_mode", "passthrough"]
    command += ["-crf", str(crf), "-g", str(max(1, round(info.fps))), "-pix_fmt", "yuv420p"]
    command += ["-fflags", "+bitexact", "-map_metadata", "-1", *FORMATS[suffix]]
    try:
        ffmpeg.run([*command, ffmpeg.url(temporary)], source)
        psnr = luma_psnr(temporary, source, info.frame_count or 0, window.crop)
        os.replace(temporary, destination)
    finally:
        temporary.unlink(missing_ok=True)
    return psnr


def check_quality(suffix: str, crf: int) -> None:
    """Raises `ValueError` for a format or quality that there is not."""
    if suffix not in FORMATS:
        raise ValueError(f"video format {suffix!r}; accepted: {', '.join(FORMATS)}")
    if not 0 <= crf <= CRF_RANGES[suffix]:
        raise ValueError(f"crf {crf}; 0 to {CRF_RANGES[suffix]} is accepted for {suffix}")


def luma_psnr(
    made: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    frame_count: int,
    filters: str = "null",
) -> float:
    """The PSNR of luma over all frames of two videos, in dB; infinite if they are equal.

    Args:
      made: a video of 8 bits.
      truth: another of the same range and, after `filters`, of the same size.
      frame_count: that both have.
      filters: what ffmpeg does with `truth` first.

    Raises:
      VideoError: a video cannot be read, or they have other numbers of frames.
    """
    # Times are replaced by frame numbers: containers round theirs differently.
    numbered = "settb=1/25,setpts=N"
    graph = f"[0:V:0]{numbered}[made];[1:V:0]{filters},{numbered}[truth];"
    graph += "[made][truth]psnr=stats_file=-:shortest=0:repeatlast=0"
    said = ffmpeg.run(
        ["-i", ffmpeg.url(made), "-i", ffmpeg.url(truth), "-lavfi", graph, "-f", "null", "-"], made
    )
    errors = [float(value) for value in re.findall(r"\bmse_y:(\S+)", said)]
    if len(errors) != frame_count:
        raise VideoError(f"{made}: {len(errors)} frames were written of {frame_count}")
    mean = math.fsum(errors) / len(errors)
    return math.inf if mean == 0 else 10 * math.log10(255**2 / mean)
