"""The networks that are measured, by name."""

import dataclasses
import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from supervegan_jax.models import PUBLISHED, build_generator
from supervegan_jax.models.supervegan import VARIANTS
from supervegan_jax.weights.load import list_models, load_model
from supervegan_jax.weights.model_file import LoadedModel, parameter_shapes


def known_names() -> tuple[str, ...]:
    """Those shipped and the published ones of every system."""
    return tuple(dict.fromkeys((*list_models(), *PUBLISHED)))


def own_names() -> tuple[str, ...]:
    """Those shipped and SUPERVEGAN's published ones."""
    return tuple(dict.fromkeys((*list_models(), *VARIANTS)))


def load_network(name: str) -> LoadedModel:
    """A shipped network, one of `PUBLISHED` with random parameters, or what `load_model` takes.

    Raises:
      ValueError: there is none of that name.
    """
    if name not in known_names() and not Path(name).exists():
        raise ValueError(
            f"no model {name!r}: accepted are {', '.join(known_names())}, a training workdir, and "
            "an exported folder or file with its card"
        )
    if name in list_models() or name not in PUBLISHED:
        model = load_model(name)
        return dataclasses.replace(model, card={**model.card, "name": name})
    return random_network(name, PUBLISHED[name])


def random_network(name: str, fields: Mapping[str, Any]) -> LoadedModel:
    """A network with random parameters, for what does not depend on them.

    Args:
      name: for its card.
      fields: what `build_generator` takes.
    """
    generator = build_generator(**fields)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: _random(rng, leaf.shape), parameter_shapes(generator))
    card = {"name": name, "generator": dict(fields)}
    return LoadedModel(generator, params, fields["scale"], card)


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Of a size that keeps features near 1; drawing a network's own takes longer to compile."""
    return rng.standard_normal(shape, np.float32) / np.float32(max(1, math.prod(shape[:-1])) ** 0.5)


def config_file(name: str) -> Path | None:
    """The configuration that trains the network of that name, if there is one."""
    spec = importlib.util.find_spec("configs")
    if spec is None or spec.origin is None or not name.isidentifier():
        return None
    path = Path(spec.origin).with_name(f"{name}.py")
    return path if path.is_file() else None
