"""The networks, by name."""

from typing import Any

import jax
from flax import linen as nn

from supervegan_jax.models import duf, edvr, esrgan, fsrcnn, mfqe, rlfn, srvgg, supervegan, tecogan

# A generator's class: its fields, with the name, describe a network.
GENERATORS: dict[str, type[nn.Module]] = {
    "supervegan": supervegan.SuperVegan,
    "duf": duf.Duf,
    "edvr": edvr.Edvr,
    "esrgan": esrgan.Esrgan,
    "tecogan": tecogan.TecoGan,
    "mfqe": mfqe.Mfqe2,
    "srvgg": srvgg.Srvgg,
    "rlfn": rlfn.Rlfn,
    "fsrcnn": fsrcnn.Fsrcnn,
}

_VARIANTS = {
    "supervegan": supervegan.VARIANTS,
    "duf": duf.VARIANTS,
    "edvr": edvr.VARIANTS,
    "esrgan": esrgan.VARIANTS,
    "tecogan": tecogan.VARIANTS,
    "mfqe": mfqe.VARIANTS,
    "srvgg": srvgg.VARIANTS,
    "rlfn": rlfn.VARIANTS,
    "fsrcnn": fsrcnn.VARIANTS,
}

# The published networks: name -> what `build_generator` takes.
PUBLISHED: dict[str, dict[str, Any]] = {
    name: {"name": generator, **fields}
    for generator, variants in _VARIANTS.items()
    for name, fields in variants.items()
}


def build_generator(name: str, **fields: Any) -> nn.Module:
    """Makes a generator from its name and its fields.

    Raises:
      ValueError: the name is unknown or a field does not exist.
    """
    if name not in GENERATORS:
        raise ValueError(f"unknown model {name!r}; known are {', '.join(sorted(GENERATORS))}")
    try:
        return GENERATORS[name](**fields)
    except TypeError as error:
        raise ValueError(f"model {name!r}: {error}") from error


def init_variables(module: nn.Module, key: jax.Array, *args: Any) -> dict[str, Any]:
    """`module.init(key, *args)`, compiled unoptimised.

    It runs once, and optimising the drawing of random numbers takes several times longer than
    drawing them.
    """
    options: Any = {"xla_backend_optimization_level": 0}
    return jax.jit(module.init).lower(key, *args).compile(options)(key, *args)
