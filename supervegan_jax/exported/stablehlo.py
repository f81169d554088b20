"""StableHLO through `jax.export`: one file for CPU, CUDA and TPU, sizes left open."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from supervegan_jax.exported.network import network_function
from supervegan_jax.weights.model_file import LoadedModel

PLATFORMS = ("cpu", "cuda", "tpu")


def write_stablehlo(model: LoadedModel, stage: str) -> bytes:
    """The network as `jax.export` serializes it, its parameters inside.

    Raises:
      ValueError: the network depends on its input's size in a way that cannot be left open.
    """
    generator: Any = model.generator
    least = generator.least_side
    constraints = [f"{side} >= {least}" for side in ("h", "w")] if least > 1 else []
    b, h, w = export.symbolic_shape("b, h, w", constraints=constraints)
    windows = jax.ShapeDtypeStruct((b, generator.frames, h, w, 3), jnp.float32)
    params = jax.tree.map(jnp.asarray, model.params)
    function = jax.jit(network_function(model.generator, params, stage))
    try:
        exported = export.export(function, platforms=PLATFORMS)(windows)
    except jax.errors.ConcretizationTypeError as error:
        raise ValueError(f"{model.card['name']} cannot be written with open sizes") from error
    return bytes(exported.serialize())


def read_stablehlo(content: bytes) -> Callable[[Any], Any]:
    """The network of a file's content.

    Raises:
      ValueError: it is none.
    """
    try:
        return export.deserialize(bytearray(content)).call
    except Exception as error:  # what the reader of the format raises is not documented
        raise ValueError(f"no StableHLO of jax.export ({error})") from error
