"""Frames, numbers and counts for the tests of the networks that enlarge single images."""

import math
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from supervegan_jax.benchmarking.counts import count_parameters, frame_macs


def random_frames(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Two frames, [2, 1, height, width, channels] float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    return rng.random((2, 1, height, width, channels), np.float32)


def shapes(module: nn.Module, *inputs: Any) -> Any:
    """The module's variables, shapes in place of numbers."""
    return jax.eval_shape(module.init, jax.random.key(0), *inputs)


def filled(module: nn.Module, *inputs: Any, seed: int = 0) -> Any:
    """Variables of NumPy's numbers, the same on every machine, with which each layer matters."""
    rng = np.random.default_rng(seed)

    def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        numbers = rng.standard_normal(leaf.shape)
        if path[-1].key == "kernel":
            fan_in = math.prod(leaf.shape) / leaf.shape[-1]
            return np.float32(numbers * np.sqrt(2 / fan_in))
        return np.float32(0.1 * numbers + (0.25 if path[-1].key == "slope" else 0))

    return jax.tree_util.tree_map_with_path(draw, shapes(module, *inputs))


def as_numpy(twin: Any) -> dict[str, np.ndarray]:
    """The state dict of a module of PyTorch."""
    return {name: tensor.numpy().copy() for name, tensor in twin.state_dict().items()}


def counts_at_720p(module: nn.Module) -> tuple[int, int]:
    """Parameters, and multiply-accumulates of one frame that becomes 1280x720."""
    return count_parameters(module), frame_macs(module)
