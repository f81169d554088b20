"""Four CPU devices for every test, and the tiny system the training tests share.

Most tests do little else than compile, so their programs are compiled quickly. What users run,
tests of the commands run as it is.
"""

import atexit
import os
import shutil
import tempfile

from quick_compiler import QUICK_COMPILER

os.environ["XLA_FLAGS"] = (
    f"{QUICK_COMPILER} --xla_force_host_platform_device_count=4 {os.environ.get('XLA_FLAGS', '')}"
).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What one test or command compiles the others need not; the user's own cache stays out of it.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="supervegan_jax_tests_")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import jax
import numpy as np
import pytest
from flax import linen as nn

from supervegan_jax.losses.adversarial import ADVERSARIAL_LOSSES
from supervegan_jax.losses.perceptual import perceptual_loss
from supervegan_jax.models.discriminator import Discriminator
from supervegan_jax.models.supervegan import SuperVegan, uniform_widths
from supervegan_jax.ops.resize import upsample_nearest
from supervegan_jax.training.optimizers import make_optimizer, make_schedule
from supervegan_jax.training.phases import Phase, make_phases
from supervegan_jax.training.system import System

BOTH = ("stage_a", "stage_b")
WEIGHTS = {"mse_a": 1.0, "mse": 1.0, "adversarial": 1e-3, "perceptual": 6e-3}
PHASES = {
    "stage_a": {
        "steps": 3,
        "trains": ("stage_a",),
        "alpha": (0.0, 0.0),
        "weights": {"mse_a": 1.0},
    },
    "blend": {"steps": 4, "trains": BOTH, "alpha": (0.0, 1.0), "weights": WEIGHTS},
    "full": {"steps": 3, "trains": BOTH, "alpha": (1.0, 1.0), "weights": WEIGHTS},
}


@pytest.fixture(scope="session")
def phases() -> tuple[Phase, ...]:
    """Three short phases as in the paper."""
    return make_phases(tuple(PHASES), PHASES)


def make_system(phases: tuple[Phase, ...], **changes: object) -> System:
    """A system of a few thousand parameters; its perceptual network is one fixed 1x1 layer."""
    schedule = make_schedule(phases, kind="drop", learning_rate=1e-3, final_learning_rate=1e-4)
    fields = {
        "generator": SuperVegan(
            **uniform_widths(4),
            trunk_blocks=1,
            filter_blocks=0,
            residual_blocks=0,
            outer_blocks=0,
            inner_blocks=0,
        ),
        "discriminator": Discriminator(width=2),
        "features": lambda frozen, images: {"layer": images @ frozen["kernel"]},
        "shown": lambda features, images, outputs: images,
        "adversarial": ADVERSARIAL_LOSSES["standard"],
        "discriminator_crop": 0,
        "ping_pong": False,
        "perceptual": perceptual_loss,
        "perceptual_crop": 0,
        "optimizer": make_optimizer(0.9, 0.999, 0.0),
        "schedule": schedule,
        "discriminator_schedule": schedule,
        "ema_decay": 0.9,
        "accumulate": 1,
        "seed": 0,
    }
    return System(**{**fields, **changes})


@pytest.fixture(scope="session")
def system(phases: tuple[Phase, ...]) -> System:
    """The tiny system with its default fields."""
    return make_system(phases)


@pytest.fixture(scope="session")
def frozen() -> dict[str, np.ndarray]:
    """Parameters of the stand-in perceptual network."""
    return {"kernel": np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)}


def random_batch(step: int, size: int = 4, patch: int = 8) -> dict[str, np.ndarray]:
    """A batch that depends on the step alone."""
    rng = np.random.default_rng([7, step])
    return {
        "lr": rng.integers(0, 256, (size, 5, patch, patch, 3), dtype=np.uint8),
        "hr": rng.integers(0, 256, (size, 4 * patch, 4 * patch, 3), dtype=np.uint8),
    }


class SmallGenerator(nn.Module):
    """The generator's two groups with one layer each, for tests of what happens around a step."""

    frames = 5
    channels = 3
    reading = "window"

    @nn.compact
    def __call__(self, x: jax.Array, stage: str = "b") -> dict[str, jax.Array]:
        y_a = upsample_nearest(nn.Dense(3, name="stage_a")(x[:, 2]), 2)
        return {"stage_a": y_a, "stage_b": upsample_nearest(nn.Dense(3, name="stage_b")(y_a), 2)}

    def outputs(self, x: jax.Array, stage: str = "b", train: bool = False) -> dict[str, jax.Array]:
        return self(x, stage)


class SmallDiscriminator(nn.Module):
    """One logit from the mean colour."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        return nn.Dense(1)(x.mean(axis=(1, 2)))[:, 0]


def make_small_system(phases: tuple[Phase, ...], **changes: object) -> System:
    """A system that compiles in a moment."""
    networks = {"generator": SmallGenerator(), "discriminator": SmallDiscriminator()}
    return make_system(phases, **{**networks, **changes})
