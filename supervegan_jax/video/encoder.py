"""Whole clips encoded at a target bitrate with one of five codecs in one pass, or as prescribed.

H.264's arguments stand for the paper's GStreamer encoder with only its bitrate set. The other
codecs get the nearest they have: the same rate, buffer and key frame distance, in the mode that
held 250 kbit/s on clips of 5 s (VP9 and AV1 need their constant-bitrate mode for that; SVT-AV1
missed by 21 %, libaom's realtime mode by 1 %). H.264 and H.265 with a rate buffer give other bytes
on every run when they use several threads, so each encode has one; run several at a time instead.
"""

import dataclasses
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from supervegan_jax.video import colour, ffmpeg, probe
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.writer import temporary_name

CODECS: Final[dict[str, tuple[str, ...]]] = {
    "h264": ("-c:v", "libx264", "-preset", "medium", "-threads", "1"),
    "h265": (
        *("-c:v", "libx265", "-preset", "medium"),
        *("-x265-params", "log-level=error:frame-threads=1:pools=none:wpp=0"),
    ),
    "vp8": (
        *("-c:v", "libvpx", "-deadline", "good", "-cpu-used", "2"),
        *("-auto-alt-ref", "0", "-threads", "1"),
    ),
    "vp9": ("-c:v", "libvpx-vp9", "-deadline", "good", "-cpu-used", "4", "-threads", "1"),
    "av1": (
        *("-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "7"),
        *("-lag-in-frames", "0", "-threads", "1"),
    ),
}
CONSTANT_BITRATE: Final = ("vp9", "av1")
BUFFER_SECONDS: Final = 0.6
KEY_FRAME_SECONDS: Final = 10


@dataclasses.dataclass(frozen=True)
class Encode:
    """What an encode turned out to be.

    Attributes:
      path: the Matroska file.
      codec: a key of `CODECS`, or an encoding's name.
      width, height: in pixels.
      target_kbps: what was asked for; None if that was a quality.
      measured_kbps: bytes of all video packets over the playing time, in kbit/s.
      frame_count: frames, the same as the source's.
      command: the ffmpeg arguments, with file names in place of paths; "&&" between passes.
    """

    path: Path
    codec: str
    width: int
    height: int
    target_kbps: int | None
    measured_kbps: float
    frame_count: int
    command: list[str]


def codec_arguments(codec: str, bitrate_kbps: int, fps: float) -> list[str]:
    """The encoder's arguments; `fps` sets the distance of key frames (10 s).

    Raises:
      ValueError: an unknown codec, or a bitrate below 1 kbit/s.
    """
    if codec not in CODECS:
        raise ValueError(f"codec {codec!r}: must be one of {', '.join(CODECS)}")
    if bitrate_kbps < 1:
        raise ValueError(f"bitrate_kbps {bitrate_kbps}: must be at least 1")
    rate = f"{bitrate_kbps}k"
    arguments = [*CODECS[codec], "-b:v", rate, "-maxrate", rate]
    if codec in CONSTANT_BITRATE:
        arguments += ["-minrate", rate]
    buffer = math.ceil(bitrate_kbps * BUFFER_SECONDS)
    return [*arguments, "-bufsize", f"{buffer}k", "-g", str(max(1, round(KEY_FRAME_SECONDS * fps)))]


def encode_at_bitrate(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    codec: str,
    bitrate_kbps: int,
    size: tuple[int, int] | None = None,
) -> Encode:
    """Encodes a whole video in one pass, tagged BT.709 limited range, into a Matroska file.

    VP8 can say BT.601 only, so its samples are converted to that matrix and tagged so.

    Args:
      source: a video of constant frame rate, such as a prepared clip.
      destination: the file to make; it appears only when complete and checked.
      codec: a key of `CODECS`.
      bitrate_kbps: the target, in kbit/s.
      size: width and height to downsample to bilinearly (a triangle filter as wide as the ratio);
        None keeps the source's size.

    Raises:
      ValueError: an unknown codec, or a size that is odd or larger than the source.
      VideoError: ffmpeg failed, or the encode has another number of frames than the source.
    """
    info = probe.probe(source, count_frames=True)
    size = _checked_size(info, size)
    arguments = codec_arguments(codec, bitrate_kbps, float(info.fps))
    # VP8's bitstream knows BT.601 alone, and every decoder believes it over the container.
    matrix = "bt470bg" if codec == "vp8" else "bt709"
    filters = colour.to_yuv420p(info, size, "bilinear", matrix)
    made = _run_passes(info, Path(destination), codec, filters, [arguments])
    return Encode(codec=codec, width=size[0], height=size[1], target_kbps=bitrate_kbps, **made)


@dataclasses.dataclass(frozen=True)
class Encoding:
    """An encode as a benchmark prescribes it.

    Attributes:
      name: how tables call it.
      encoder: ffmpeg's name of the encoder.
      passes: the encoder's arguments, once for each pass; it may leave files between them.
      kernel: swscale's name of the filter that makes the picture smaller.
      target_kbps: the bitrate that the arguments ask for; None where they ask for a quality.
    """

    name: str
    encoder: str
    passes: tuple[tuple[str, ...], ...]
    kernel: str = "bilinear"
    target_kbps: int | None = None


def encode(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    encoding: Encoding,
    size: tuple[int, int] | None = None,
) -> Encode:
    """Encodes a whole video as prescribed into a Matroska file; its YCbCr matrix is kept.

    Args:
      source: a video of constant frame rate.
      destination: the file to make; it appears only when complete and checked.
      encoding: what is prescribed.
      size: width and height to downsample to; None keeps the source's size.

    Raises:
      ValueError: a size that is odd or larger than the source.
      VideoError: ffmpeg lacks the encoder or failed, or frames were lost.
    """
    ffmpeg.require_encoder(encoding.encoder)
    info = probe.probe(source, count_frames=True)
    size = _checked_size(info, size)
    filters = colour.to_yuv420p(info, size, encoding.kernel, colour.matrix_tag(info))
    passes = [["-c:v", encoding.encoder, *arguments] for arguments in encoding.passes]
    made = _run_passes(info, Path(destination), encoding.name, filters, passes)
    target = encoding.target_kbps
    return Encode(codec=encoding.name, width=size[0], height=size[1], target_kbps=target, **made)


def _checked_size(info: probe.VideoInfo, size: tuple[int, int] | None) -> tuple[int, int]:
    size = size or (info.width, info.height)
    if size[0] > info.width or size[1] > info.height or size[0] % 2 or size[1] % 2 or min(size) < 2:
        raise ValueError(
            f"{info.path}: cannot encode {info.width}x{info.height} at {size[0]}x{size[1]}; "
            "width and height must be even and no larger than the source's"
        )
    return size


def _run_passes(
    info: probe.VideoInfo,
    destination: Path,
    codec: str,
    filters: str,
    passes: Sequence[Sequence[str]],
) -> dict[str, Any]:
    """Runs the passes over a video; returns the fields of `Encode` that only the file tells."""
    temporary = temporary_name(destination)
    # Absolute, since the passes run in a folder of their own.
    source, written = info.path.absolute(), temporary.absolute()
    commands = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for arguments in passes:
                command = ["-y", "-i", ffmpeg.url(source), "-map", "0:V:0"]
                command += ["-vf", filters, "-fps_mode", "passthrough", *arguments]
                command += ["-fflags", "+bitexact", "-f", "matroska", ffmpeg.url(written)]
                ffmpeg.run(command, info.path, folder=folder)
                commands.append(command)
        packets = probe.list_packets(temporary)
        if packets.count != info.frame_count:
            raise VideoError(
                f"{destination}: {codec} wrote {packets.count} frames of {info.frame_count}"
            )
        os.replace(temporary, destination)
    finally:
        temporary.unlink(missing_ok=True)
    names = {str(source): info.path.name, str(written): destination.name}
    recorded: list[str] = []
    for command in commands:
        recorded += ["&&"] * bool(recorded) + ffmpeg.recorded(["ffmpeg", *command], names)
    return {
        "path": destination,
        "measured_kbps": round(float(packets.size * 8 * info.fps / packets.count / 1000), 3),
        "frame_count": packets.count,
        "command": recorded,
    }
