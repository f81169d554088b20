"""How every command of the project starts and how it fails."""

import argparse
import ctypes
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

_READER_LEFT = 128 + 13  # as a shell tells SIGPIPE


class Parser(argparse.ArgumentParser):
    """Command lines whose errors are one line, like every other error."""

    def parse_intermixed_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Reads options and names in any order; behind "--" all are names of files."""
        words = list(sys.argv[1:] if args is None else args)
        if "--" in words:
            at = words.index("--")
            names = [f"./{w}" if w.startswith("-") and w != "-" else w for w in words[at + 1 :]]
            words = [*words[:at], *names]
        return super().parse_intermixed_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises what `run` shows."""
        raise ValueError(message)


def read_names(text: str) -> tuple[str, ...]:
    """The names of "one,other", each once."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def read_seconds(text: str) -> float:
    """A time as ffmpeg takes it: seconds, or [HOURS:]MINUTES:SECONDS, with a fraction or without.

    Raises:
      argparse.ArgumentTypeError: it is none.
    """
    clock = re.fullmatch(r"(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)", text)
    if clock is not None:
        return 3600 * int(clock[1] or 0) + 60 * int(clock[2]) + float(clock[3])
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: seconds are accepted, such as 90.5, or HOURS:MINUTES:SECONDS"
        ) from None


def run(command: Callable[[], int | None]) -> None:
    """Runs `command` and exits; wrong input or a full disk is one line on stderr and exit code 2.

    Args:
      command: takes nothing, returns an exit code or None for success. `ValueError` and `OSError`
        are the user's to mend, so they are shown without a traceback; anything else is a defect
        of ours and keeps its traceback.
    """
    keep_compiled_programs()
    keep_freed_memory()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name may be any bytes, which are told even where they are no text.
            stream.reconfigure(errors="backslashreplace")
    code = _exit_code(command)
    sys.exit(_READER_LEFT if _reader_left() and not code else code)


def _exit_code(command: Callable[[], int | None]) -> int | str:
    try:
        return command() or 0
    except SystemExit as end:  # of --help
        return end.code or 0
    except BrokenPipeError:  # of standard output: other pipes' are told by name
        _reader_left()
        return _READER_LEFT
    except (ValueError, OSError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _reader_left() -> bool:
    """Whether nobody takes what is still to be printed, as behind `| head`: no failure of ours."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # It goes nowhere, or Python would complain when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def keep_compiled_programs() -> None:
    """Lets JAX keep what it compiles in the user's cache, so that the next start needs not again.

    It goes to `JAX_COMPILATION_CACHE_DIR` if that is set; empty, or where nothing can be written,
    nothing is kept. JAX reads the variable when it is first imported.
    """
    name = "JAX_COMPILATION_CACHE_DIR"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(home):  # a user without a home has no cache
        os.environ.setdefault(name, f"{home}/supervegan_jax/xla")
    if folder := os.environ.get(name):
        # The nearest that can be seen: what lies behind a closed door is not there.
        places = (Path(folder).absolute(), *Path(folder).absolute().parents)
        nearest = next(place for place in places if os.path.exists(place))
        if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
            # JAX would complain of every program.
            print(f"note: {folder} cannot be written, so no program is kept", file=sys.stderr)
            os.environ[name] = ""


_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # of glibc's malloc.h
_ARENAS = 2


def keep_freed_memory() -> None:
    """Tells glibc to keep what a program frees for its next run, which takes as much again.

    Otherwise every step of training and every batch of frames gets fresh pages from the kernel,
    touched and zeroed anew: a tenth of the time, see docs/performance.md. More arenas would each
    keep their own. Nothing is changed where another C library is used or `MALLOC_..` variables
    say what is wanted.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_ARENA_MAX, _ARENAS)
