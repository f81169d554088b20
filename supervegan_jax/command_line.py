"""How every command of the project starts and how it fails."""

import argparse
import ctypes
import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Command lines whose errors are one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        """Raises what `run` shows."""
        raise ValueError(message)


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
    try:
        sys.exit(command() or 0)
    except (ValueError, OSError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def keep_compiled_programs() -> None:
    """Lets JAX keep what it compiles in the user's cache, so that the next start needs not again.

    It goes to `JAX_COMPILATION_CACHE_DIR` if that is set; empty, nothing is kept. JAX reads the
    variable when it is first imported.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(home):  # a user without a home has no cache
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{home}/supervegan_jax/xla")


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
