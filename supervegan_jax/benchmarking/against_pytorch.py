"""Ours and PyTorch's in turns: the same layers and weights, the same numbers to 1e-4."""

import dataclasses
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from supervegan_jax.benchmarking.timing import in_turns
from supervegan_jax.models.supervegan import FRAMES
from supervegan_jax.ops.resize import downsample_bilinear
from supervegan_jax.training.parallel import Parallel
from supervegan_jax.weights.model_file import LoadedModel

LARGEST_DIFFERENCE = 1e-4
_TRAINED = (8, 48)  # windows and input pixels of a step


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Seconds of each, measured in turns.

    Attributes:
      ours: of the program.
      eager: PyTorch's, layer by layer.
      compiled: PyTorch's through torch.compile.
    """

    ours: float
    eager: float
    compiled: float

    @property
    def ratio(self) -> float:
        """The better of PyTorch's times over ours: above 1, ours is faster."""
        return min(self.eager, self.compiled) / self.ours


def load_twin() -> Any:
    """The module of PyTorch's layers.

    Raises:
      ValueError: PyTorch or the checkout is missing.
    """
    try:
        import torch

        from benchmarks import pytorch_twin
    except ImportError as error:
        raise ValueError(
            "--against-pytorch needs PyTorch (the extra pytorch) and the folder benchmarks/, so "
            f"run it in a checkout ({error})"
        ) from error
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return pytorch_twin


def compare_forward(
    model: LoadedModel, run: Any, frames: int, size: tuple[int, int], seconds: float
) -> Comparison:
    """Times a frame of stage B: our program as `enhance` runs it, and the twin on its windows.

    Args:
      model: the network.
      run: computes `frames` frames with ours.
      frames: the twin gets as many windows.
      size: height and width of the input.
      seconds: for each.

    Raises:
      ValueError: PyTorch is missing, or the twin's numbers differ.
    """
    module = load_twin()
    twin = module.Twin(model.generator, model.params)
    rng = np.random.default_rng(0)
    small = rng.random((1, FRAMES, 24, 32, 3), np.float32)
    wanted: Any = model.generator.apply({"params": model.params}, jnp.asarray(small))
    got = module.forward_functions(twin, small)["eager"]()[1].numpy()
    difference = float(np.abs(np.moveaxis(got, 1, -1) - wanted["stage_b"]).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise ValueError(f"PyTorch's numbers differ from ours by {difference:.2g}")
    windows = rng.random((frames, FRAMES, *size, 3), np.float32)
    theirs = module.forward_functions(twin, windows)
    taken = in_turns([run, theirs["eager"], theirs["compiled"]], seconds)
    return Comparison(*(t / frames for t in taken))


def compare_training(model: LoadedModel, seconds: float) -> Comparison:
    """Times a step of the generator alone: both stages' squared errors, backward, Adam."""
    module = load_twin()
    count, side = _TRAINED
    rng = np.random.default_rng(0)
    windows = rng.random((count, FRAMES, side, side, 3), np.float32)
    full = rng.random((count, model.scale * side, model.scale * side, 3), np.float32)
    half = np.asarray(downsample_bilinear(jnp.asarray(full), 2))
    theirs = module.training_functions(
        lambda: module.Twin(model.generator, model.params), windows, half, full
    )
    optimizer = optax.adam(1e-4)

    def loss(params: Any, batch: dict[str, jax.Array]) -> jax.Array:
        y: Any = model.generator.apply({"params": params}, batch["windows"])
        error_a, error_b = y["stage_a"] - batch["half"], y["stage_b"] - batch["full"]
        return jnp.mean(error_a**2) + jnp.mean(error_b**2)

    def step(state: Any, batch: dict[str, jax.Array], frozen: Any, axis_name: str) -> Any:
        del frozen
        params, moments = state
        value, gradient = lax.pmean(jax.value_and_grad(loss)(params, batch), axis_name)
        updates, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(params, updates), moments), value

    parallel = Parallel("pmap")  # on all devices, as training is
    batch = {"windows": windows, "half": half, "full": full}
    held = [parallel.place_state((model.params, optimizer.init(model.params)))]
    compiled, _ = parallel.compile(step, held[0], parallel.place_batch(batch), ())

    def ours() -> Any:
        held[0], value = compiled(held[0], parallel.place_batch(batch), ())
        return value

    return Comparison(*in_turns([ours, theirs["eager"], theirs["compiled"]], seconds))
