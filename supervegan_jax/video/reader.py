"""Frames out of a video file: decoded by ffmpeg, streamed through a pipe, none lost or doubled.

Colours: the file's own matrix and range tags lead to 8-bit full-range RGB. An untagged file is
taken for BT.709 from 720 lines on and for BT.601 below, and for limited range. Chroma is
interpolated bilinearly at its stored position (`colour.to_rgb`). No nominal frame rate is used:
what the decoder gives is what comes out (-fps_mode passthrough).
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, cast

import numpy as np

from supervegan_jax.video import colour, ffmpeg
from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video.probe import VideoInfo, probe


def read_frames(
    path: str | os.PathLike[str],
    first_frame: int = 0,
    frame_count: int | None = None,
    *,
    info: VideoInfo | None = None,
) -> Iterator[np.ndarray]:
    """Yields the frames of a video one by one, in the order they are shown.

    Args:
      path: the video.
      first_frame: index of the first frame to yield.
      frame_count: how many to yield; None reads to the end.
      info: what `probe(path)` said, to save asking again.

    Yields:
      uint8 RGB, [h, w, 3].

    Raises:
      VideoError: not a video, damaged (told with ffmpeg's words and the frames read so far), or
        fewer than `frame_count` frames.
    """
    info = info or probe(path)
    filters = colour.to_rgb(info)
    if first_frame or frame_count is not None:
        # Both bounds count decoded frames, so no seek table or timestamp can shift them.
        end = "" if frame_count is None else f":end_frame={first_frame + frame_count}"
        filters = f"trim=start_frame={first_frame}{end},{filters}"
    shape = (info.height, info.width, 3)
    count = 0
    for data in read_raw(path, filters, "rgb24", info.height * info.width * 3):
        yield np.frombuffer(data, np.uint8).reshape(shape)
        count += 1
    if frame_count is not None and count != frame_count:
        raise VideoError(
            f"{path} has {first_frame + count} frames; asked for frames "
            f"{first_frame} to {first_frame + frame_count - 1}"
        )


def read_clip(
    path: str | os.PathLike[str], first_frame: int = 0, frame_count: int | None = None
) -> np.ndarray:
    """All frames of a short video at once: uint8 RGB [n, h, w, 3]; see `read_frames`."""
    frames = list(read_frames(path, first_frame, frame_count))
    if not frames:
        raise VideoError(f"{path} has no frame from {first_frame} on")
    return np.stack(frames)


def read_raw(
    path: str | os.PathLike[str],
    filters: str,
    pixel_format: str,
    frame_bytes: int,
    input_options: Sequence[str] = (),
) -> Iterator[bytes]:
    """Yields raw frames of `frame_bytes` bytes in `pixel_format` after `filters`.

    Args:
      path: the video.
      filters: of ffmpeg.
      pixel_format: ffmpeg's name.
      frame_bytes: of one frame in it.
      input_options: of ffmpeg, for samples without a header (`ffmpeg.headerless_input`).

    Raises:
      VideoError: ffmpeg failed or complained, or the last frame is incomplete.
    """
    ffmpeg.require_file(path)
    command = [ffmpeg.executable(), *ffmpeg.QUIET, *input_options, "-i", ffmpeg.url(path)]
    command += ["-map", "0:V:0", "-vf", filters, "-fps_mode", "passthrough"]
    command += ["-f", "rawvideo", "-pix_fmt", pixel_format, "-"]
    count = 0
    # A file takes ffmpeg's complaints, however many: a pipe that nobody reads would block it.
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints)
        pipe = cast(IO[bytes], process.stdout)
        try:
            while data := pipe.read(frame_bytes):
                if len(data) != frame_bytes:
                    break
                yield data
                count += 1
            failed = process.wait() != 0
        finally:
            process.kill()
            process.wait()
            pipe.close()
        complaints.seek(0)
        said = complaints.read()
    if failed or said.strip() or data:
        raise VideoError(f"{path}: {ffmpeg.first_complaint(said)} (after {count} frames)")
