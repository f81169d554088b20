"""What an exported file computes, whatever its format."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from supervegan_jax.models.single_stage import as_variables

# What a file is tried on: windows and their sides, one of them odd.
_TRIAL = (2, 17, 22)
LARGEST_DIFFERENCE = 1e-4


def network_function(generator: nn.Module, params: Any, stage: str) -> Callable[[Any], jax.Array]:
    """The function that is exported: windows [b, t, h, w, 3] in [0, 1] -> their centres enlarged.

    Args:
      generator: computes in its own dtype.
      params: become part of the function.
      stage: "a" gives bicubic2x(Y_A), "b" gives Y_B.
    """

    def one(frames: jax.Array) -> jax.Array:
        y: Any = generator.apply(as_variables(params), frames, stage, method="enhance")
        return y[0]

    return jax.vmap(one)


def difference(call: Callable[[Any], Any], generator: nn.Module, params: Any, stage: str) -> float:
    """The largest difference between a file's network and the generator's `apply`.

    Raises:
      ValueError: the shapes differ, or the difference is above `LARGEST_DIFFERENCE`.
    """
    function = jax.jit(network_function(generator, params, stage))
    network: Any = generator
    count, *sides = _TRIAL
    windows = np.random.default_rng(0).random((count, network.frames, *sides, 3), np.float32)
    with jax.default_matmul_precision("float32"):
        wanted = np.asarray(function(jnp.asarray(windows)))
    got = np.asarray(call(windows))
    if got.shape != wanted.shape:
        raise ValueError(f"the exported network gives {got.shape}, not {wanted.shape}")
    largest = float(np.abs(got - wanted).max())
    if not largest <= LARGEST_DIFFERENCE:
        raise ValueError(
            f"the exported network differs by {largest:.2g} from the one it was made of; at most "
            f"{LARGEST_DIFFERENCE:g} is accepted"
        )
    return largest
