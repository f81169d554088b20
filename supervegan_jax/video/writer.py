"""A lossless writer for clips: frames through a pipe to ffmpeg, the file named when complete."""

import contextlib
import os
import secrets
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, cast

import numpy as np

from supervegan_jax.video import ffmpeg
from supervegan_jax.video.colour import BT709_TAGS


def temporary_name(path: Path) -> Path:
    """A hidden name beside `path` that no other process uses; renamed to `path` when complete."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


class LosslessWriter:
    """Writes frames into a Matroska file that decodes to exactly the same samples.

    Used as a context manager: leaving it normally names the file, an exception removes it.

        with LosslessWriter(path, width=1280, height=720, fps=Fraction(25)) as writer:
            writer.write(frame)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        width: int,
        height: int,
        fps: Fraction,
        pixel_format: str = "yuv420p",
        matrix: str = "bt709",
    ) -> None:
        """Starts ffmpeg.

        Args:
          path: the file to make, usually *.mkv.
          width, height: of the frames, in pixels; both even for "yuv420p".
          fps: frames per second written into the file.
          pixel_format: "yuv420p" takes raw limited-range planes (H.264, -qp 0, tagged), "rgb24"
            takes RGB frames (H.264 in RGB, -qp 0).
          matrix: ffmpeg's tag of the planes' YCbCr matrix; not read with "rgb24".

        Raises:
          OSError: the folder cannot be written.
          ValueError: another pixel format, or an odd size with "yuv420p".
        """
        if pixel_format not in ("yuv420p", "rgb24"):
            raise ValueError(f"pixel format {pixel_format}: must be yuv420p or rgb24")
        if pixel_format == "yuv420p" and (width % 2 or height % 2):
            raise ValueError(f"{width}x{height}: yuv420p needs an even width and height")
        self.path = Path(path)
        self.frame_count = 0
        samples = width * height * 3
        self._frame_bytes = samples // 2 if pixel_format == "yuv420p" else samples
        self._temporary = temporary_name(self.path)
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as ffmpeg
        command = [ffmpeg.executable(), *ffmpeg.QUIET[1:], "-y"]
        command += ["-f", "rawvideo", "-pix_fmt", pixel_format, "-video_size", f"{width}x{height}"]
        command += ["-framerate", f"{fps.numerator}/{fps.denominator}", "-i", "pipe:0"]
        command += [*_codec(pixel_format, matrix), "-fflags", "+bitexact", "-f", "matroska"]
        command.append(ffmpeg.url(self._temporary))
        self.command = ffmpeg.recorded(command, {str(self._temporary): self.path.name})
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._complaints
        )
        self._pipe = cast(IO[bytes], self._process.stdin)

    def __enter__(self) -> "LosslessWriter":
        return self

    def write(self, frame: np.ndarray | bytes) -> None:
        """Appends one frame.

        Args:
          frame: uint8 [h, w, 3] for "rgb24", or the frame's raw bytes in the pixel format.

        Raises:
          OSError: ffmpeg stopped (a full disk, say).
          ValueError: not the size of one frame.
        """
        data = frame if isinstance(frame, bytes) else np.ascontiguousarray(frame).tobytes()
        if len(data) != self._frame_bytes:
            raise ValueError(f"a frame of {len(data)} bytes; this video's have {self._frame_bytes}")
        try:
            self._pipe.write(data)
        except BrokenPipeError:
            raise self._failure() from None
        self.frame_count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            self._pipe.close()
        except BrokenPipeError:
            raise self._failure() from None
        if self._process.wait() != 0:
            raise self._failure()
        self._complaints.close()
        os.replace(self._temporary, self.path)

    def _failure(self) -> OSError:
        self._process.wait()
        self._complaints.seek(0)
        said = ffmpeg.first_complaint(self._complaints.read())
        self._discard()
        return OSError(f"{self.path}: {said} (after {self.frame_count} frames)")

    def _discard(self) -> None:
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._pipe.close()
        self._complaints.close()
        self._temporary.unlink(missing_ok=True)


def _codec(pixel_format: str, matrix: str) -> list[str]:
    # -qp 0 is H.264's lossless mode; the fixed number of threads makes the bytes repeatable.
    lossless = ["-preset", "veryfast", "-qp", "0", "-threads", "4"]
    if pixel_format == "rgb24":
        return ["-c:v", "libx264rgb", *lossless]
    return ["-vf", f"{BT709_TAGS}{matrix}", "-c:v", "libx264", *lossless]
