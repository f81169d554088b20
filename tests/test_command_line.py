"""What every command does before it begins."""

import os

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
