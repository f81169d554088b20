"""The command as a user types it: each run is a process of its own, with a tiny network."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from enhance_samples import X264, make
from enhancement_samples import small_model

from supervegan_jax.weights import save_model


def _save(folder: Path, params: dict) -> Path:
    model = small_model(2)
    fields = {
        name: getattr(model.generator, name)
        for name in (field.name for field in dataclasses.fields(model.generator))
        if name not in ("parent", "name", "dtype")
    }
    save_model(folder, {"name": "supervegan", **fields}, params, {}, "float32")
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Holds the networks and what the compiler made for them, so that it works once."""
    return tmp_path_factory.mktemp("acceptance")


@pytest.fixture(scope="session")
def tiny(folder) -> Path:
    """A network of random numbers."""
    return _save(folder / "tiny", small_model(2).params)


@pytest.fixture(scope="session")
def same(folder) -> Path:
    """A network whose stage A gives its input back."""
    params = small_model(2).params
    for name in ("filters", "residual"):
        params["stage_a"][name] = jax.tree.map(np.zeros_like, params["stage_a"][name])
    params["stage_a"]["filters"]["conv"]["bias"].reshape(4, 25)[:, 12] = 50.0
    return _save(folder / "same", params)


@pytest.fixture(scope="session")
def command(folder, tiny):
    """Makes the arguments and the environment of a run."""
    kept = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    environment = {
        **kept,
        "PYTHONPATH": os.fspath(Path(__file__).parent.parent),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": os.fspath(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def build(*words, model=tiny, fast=True) -> dict:
        start = [sys.executable, "-m", "supervegan_jax.enhance", *map(str, words)]
        start += ["--model", os.fspath(model)] if model else []
        start += ["--preset", "ultrafast"] if fast else []
        return {"args": start, "env": environment}

    return build


@pytest.fixture(scope="session")
def run(command):
    """Runs the command; gives back what it printed."""

    def start(*words, code=0, **more) -> subprocess.CompletedProcess[str]:
        chosen = {key: more.pop(key) for key in ("model", "fast") if key in more}
        done = subprocess.run(
            **command(*words, **chosen), capture_output=True, text=True, check=False, **more
        )
        assert done.returncode == code, done.stderr
        return done

    return start


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """20 frames without sound."""
    return make(tmp_path_factory.mktemp("clip") / "a.mkv", *X264, "-qp", "8", frames=20)
