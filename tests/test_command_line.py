"""What every command does before it begins."""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervegan_jax.command_line import Parser, keep_compiled_programs, read_names, read_seconds

NAME = "JAX_COMPILATION_CACHE_DIR"


@pytest.mark.parametrize(
    ("environment", "kept"),
    [
        ({"HOME": "/h"}, "/h/.cache/supervegan_jax/xla"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/supervegan_jax/xla"),
        ({"HOME": "/h", NAME: "/own"}, "/own"),
        ({"HOME": "/h", NAME: ""}, ""),
        ({"HOME": "", "XDG_CACHE_HOME": "relative"}, None),
    ],
)
def test_compiled_programs_are_kept_in_the_users_cache(monkeypatch, environment, kept):
    monkeypatch.setattr(os, "environ", dict(environment))
    keep_compiled_programs()
    assert os.environ.get(NAME) == kept


def _closed(path):
    raise PermissionError(13, "Permission denied", str(path))


def test_where_nothing_can_be_written_no_program_is_kept(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    monkeypatch.setattr(Path, "exists", _closed)
    for folder in (tmp_path / "file" / "deep", tmp_path / "shut" / "deep"):
        monkeypatch.setattr(os, "environ", {"HOME": "/h", NAME: str(folder)})
        keep_compiled_programs()
        assert os.environ[NAME] == ""
        told = f"note: {folder} cannot be written, so no program is kept\n"
        assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90.5", 90.5), ("0:01:30", 90), ("1:30.25", 90.25), ("10:00:00", 36_000), ("-1", -1)],
)
def test_times_are_ffmpegs(text, seconds):
    assert read_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1:2:3:4", "1:-2", "00:00:01:00", "1h"])
def test_other_times_are_refused(text):
    with pytest.raises(
        argparse.ArgumentTypeError, match=r"seconds are accepted, such as 90\.5, or"
    ):
        read_seconds(text)


def test_names_are_read_once_each():
    assert read_names(" one, other,,one,") == ("one", "other")


def test_behind_two_dashes_all_are_names():
    parser = Parser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("-x", action="store_true")
    options = parser.parse_intermixed_args(["a", "-x", "--", "-", "-x", "--"])
    assert (options.names, options.x) == (["a", "-", "./-x", "./--"], True)


# glibc's own count of the bytes it has mapped apart for large blocks, before and after `keep`.
_MAPPED = """
import ctypes
from supervegan_jax.command_line import keep_freed_memory

class Counts(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd".split()]
    _fields_ += [(name, ctypes.c_size_t) for name in "usm fsm uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Counts
libc.malloc.restype = ctypes.c_void_p
before = libc.mallinfo2().hblks
libc.malloc(100_000_000)
plain = libc.mallinfo2().hblks - before
keep_freed_memory()
libc.malloc(100_000_000)
print(plain, libc.mallinfo2().hblks - before - plain)
"""


@pytest.mark.parametrize(
    ("environment", "mapped"), [({}, "1 0"), ({"MALLOC_PERTURB_": "0"}, "1 1")]
)
def test_large_blocks_are_kept_unless_the_user_says_otherwise(environment, mapped):
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("the C library is not glibc 2.33 or later")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", _MAPPED]
    printed = subprocess.check_output(command, env=plain | environment, text=True)
    assert printed.split() == mapped.split()


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("lines", [3, 100_000])
def test_a_reader_that_has_enough_is_no_failure(lines, unbuffered):
    printing = f"run(lambda: [print(i) for i in range({lines})] and None)"
    program = f"from supervegan_jax.command_line import run; {printing}"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_the_end_that_help_asks_for_goes_through():
    program = (
        "from supervegan_jax.command_line import Parser, run; run(lambda: Parser().parse_args())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage:") and not done.stderr
