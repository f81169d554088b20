"""What every command does before it begins."""

import ctypes
import os
import subprocess
import sys

import pytest

from supervegan_jax.command_line import keep_compiled_programs

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
