"""Starting ffmpeg: the binary, safe arguments, and what it says when it fails."""

import functools
import os
import re
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg

QUIET = ("-nostdin", "-hide_banner", "-v", "error")


class VideoError(ValueError):
    """A video cannot be read or written; the message is one line that names the file."""


@functools.cache
def executable() -> str:
    """The ffmpeg binary that imageio-ffmpeg carries, or the one `IMAGEIO_FFMPEG_EXE` names."""
    return imageio_ffmpeg.get_ffmpeg_exe()


def url(path: str | os.PathLike[str]) -> str:
    """`path` as ffmpeg takes it literally: no option, protocol or pattern is read into it."""
    return f"file:{os.fspath(path)}"


def require_file(path: str | os.PathLike[str]) -> None:
    """Raises `VideoError` unless `path` is a file with something in it."""
    file = Path(path)
    if file.is_dir():
        raise VideoError(f"{file} is a folder, not a video file")
    if not file.exists():
        raise VideoError(f"no such file: {file}")
    if not file.is_file():
        raise VideoError(f"{file} is a pipe or a device; - reads standard input")
    if file.stat().st_size == 0:
        raise VideoError(f"{file} is empty")


def first_complaint(stderr: bytes | str, replacing: Sequence[tuple[str, str]] = ()) -> str:
    """The first line ffmpeg wrote that tells a cause, without its "[part @ address]" marks."""
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else stderr
    for old, new in replacing:
        text = text.replace(old, new)
    lines = [re.sub(r"^(\[[^\]]*\] ?)+", "", line).strip() for line in text.splitlines()]
    return next((line for line in lines if line), "ffmpeg gave no reason")


def headerless_input(width: int, height: int, fps: Fraction) -> tuple[str, ...]:
    """The words before -i that say what a file of bare yuv420p samples holds."""
    rate = f"{fps.numerator}/{fps.denominator}"
    layout = ("-f", "rawvideo", "-pixel_format", "yuv420p", "-video_size", f"{width}x{height}")
    return (*layout, "-framerate", rate)


@functools.cache
def encoders() -> frozenset[str]:
    """The names of the encoders that the binary has."""
    command = [executable(), "-hide_banner", "-encoders"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    return frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", listed, re.MULTILINE))


def require_encoder(name: str) -> None:
    """Raises `VideoError` unless the binary has an encoder of this name."""
    if name not in encoders():
        raise VideoError(
            f"{executable()} has no encoder {name}; install imageio-ffmpeg's binary, or name an "
            "ffmpeg that has it with IMAGEIO_FFMPEG_EXE"
        )


def run(
    arguments: Sequence[str],
    about: str | os.PathLike[str],
    verbosity: str = "error",
    folder: str | None = None,
) -> str:
    """Runs ffmpeg to its end and returns what it wrote to stdout.

    Args:
      arguments: everything after the binary's name, each its own item (never a shell string).
      about: the file named in the error.
      verbosity: ffmpeg's -v level. At "error" anything it says is a failure, since it goes on
        after damaged input and still exits with 0.
      folder: where it runs, for encoders that leave files there; None is this process's.

    Raises:
      VideoError: with the first line of what ffmpeg said.
    """
    command = [executable(), "-nostdin", "-hide_banner", "-v", verbosity, *arguments]
    # SVT-AV1 tells what it does past ffmpeg's own level; 1 is errors alone.
    quiet = {**os.environ, "SVT_LOG": "1"}
    done = subprocess.run(command, capture_output=True, check=False, cwd=folder, env=quiet)
    if done.returncode or done.stderr.strip():
        raise VideoError(f"{os.fspath(about)}: {first_complaint(done.stderr)}")
    return done.stdout.decode(errors="replace")


def recorded(command: Sequence[str], names: dict[str, str]) -> list[str]:
    """`command` as it is kept beside its result: "ffmpeg", and file names that stay true later.

    Args:
      command: the full argument list that ran.
      names: path as it ran (a temporary name, say) -> the name to keep.
    """
    return ["ffmpeg", *(f"file:{names[a[5:]]}" if a[5:] in names else a for a in command[1:])]
