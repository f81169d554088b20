"""A network's parameters and multiply-accumulates, counted without computing anything."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.single_stage import as_variables, input_shape
from supervegan_jax.ops.counting import count_macs
from supervegan_jax.weights.model_file import parameter_shapes

# The side lengths of what is counted as one frame.
OUTPUT_HEIGHT, OUTPUT_WIDTH = 720, 1280


def count_parameters(generator: nn.Module) -> int:
    """The numbers a generator learns."""
    learned = as_variables(parameter_shapes(generator))["params"]
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(learned))


def frame_macs(generator: Any, stage: str = "b") -> int:
    """`count_macs` of one window that becomes a frame of 1280x720, alone."""
    height, width = OUTPUT_HEIGHT // generator.scale, OUTPUT_WIDTH // generator.scale
    window = jax.ShapeDtypeStruct(input_shape(generator, height, width), jnp.float32)
    params = parameter_shapes(generator)

    def outputs(params: Any, x: jax.Array) -> Any:
        return generator.apply(as_variables(params), x, stage, method="outputs")

    return count_macs(outputs, params, window)
