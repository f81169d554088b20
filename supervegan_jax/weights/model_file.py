"""A network in a folder: `model.safetensors` and `card.json`, which says what it is."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from safetensors import SafetensorError, deserialize
from safetensors.flax import save as save_tensors

from supervegan_jax.models import build_generator
from supervegan_jax.models.single_stage import as_parameters, input_shape

MODEL_FILE, CARD_FILE = "model.safetensors", "card.json"
STORAGE_DTYPES: dict[str, Any] = {
    "float16": jnp.float16,
    "bfloat16": jnp.bfloat16,
    "float32": jnp.float32,
}
# The format's names of them; its NumPy reader knows no bfloat16.
_FILE_DTYPES = {"F16": np.float16, "BF16": jnp.bfloat16, "F32": np.float32}
CARD_VERSION = 1


@dataclasses.dataclass(frozen=True)
class ExportedNetwork:
    """A network that a file holds as a program: [b, 5, h, w, 3] -> [b, scale h, scale w, 3].

    Attributes:
      call: computes it, in float32.
      traceable: whether `call` may be part of a compiled program; if not it takes and gives NumPy
        arrays.
      stage: "a" or "b", which it was written for.
      sha256: of the file.
    """

    call: Callable[[Any], Any]
    traceable: bool
    stage: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A network ready to enhance.

    Attributes:
      generator: its structure; computes in float32 unless cloned with another dtype.
      params: float32 NumPy arrays, by group ("stage_a", "stage_b"); {} if it was exported.
      scale: how much wider and higher its output is.
      card: what is known of it; "name" is always there.
      exported: what computes it instead of the generator, which then only tells its structure.
    """

    generator: nn.Module
    params: dict[str, Any]
    scale: int
    card: dict[str, Any]
    exported: ExportedNetwork | None = None

    def digest(self) -> str:
        """SHA-256 of the parameters, names included, or of the exported file; in hexadecimal."""
        if self.exported is not None:
            return self.exported.sha256
        digest = hashlib.sha256()
        for path, leaf in jax.tree_util.tree_flatten_with_path(self.params)[0]:
            digest.update(jax.tree_util.keystr(path).encode())
            digest.update(np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()


def generator_from_fields(fields: dict[str, Any]) -> nn.Module:
    """The generator of the JSON fields {"name": "supervegan", "scale": 4, ...}, in float32.

    Raises:
      ValueError: a field is unknown or missing.
    """
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    if "name" not in values:
        raise ValueError("the generator's fields lack its name")
    return build_generator(**values)


def parameter_shapes(generator: nn.Module) -> Any:
    """The parameters' structure with shapes in place of numbers."""
    window = jax.ShapeDtypeStruct(input_shape(generator, 16, 16), jnp.float32)
    return as_parameters(generator, jax.eval_shape(generator.init, jax.random.key(0), window))


def _flatten(params: Any) -> dict[str, jax.Array]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): leaf for p, leaf in leaves}


def write_file(path: Path, content: bytes) -> None:
    """Writes beside and renames, so that a file is whole or not there."""
    beside = path.with_name(path.name + ".tmp")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def save_model(
    directory: Path,
    fields: dict[str, Any],
    params: Any,
    card: dict[str, Any],
    dtype: str = "float16",
) -> dict[str, Any]:
    """Writes a network's folder, made if missing.

    Args:
      directory: gets `model.safetensors` and `card.json`.
      fields: the generator's, as `generator_from_fields` takes them.
      params: its parameters.
      card: JSON values worth knowing (training data, scores, licence).
      dtype: the numbers are stored in; a key of `STORAGE_DTYPES`.

    Returns:
      The card as written, with the generator's fields, the storage dtype, the number of
      parameters, the file's SHA-256 and the largest change that storing makes to a parameter.

    Raises:
      ValueError: the parameters are not the generator's, not finite, or too large for the dtype.
    """
    if dtype not in STORAGE_DTYPES:
        raise ValueError(f"dtype {dtype!r}; accepted are {', '.join(STORAGE_DTYPES)}")
    flat = {name: jnp.asarray(x, jnp.float32) for name, x in _flatten(params).items()}
    generator = generator_from_fields(fields)
    _check_shapes(flat, generator, str(directory))
    stored = {name: x.astype(STORAGE_DTYPES[dtype]) for name, x in flat.items()}
    change = 0.0
    for name, x in flat.items():
        difference = float(jnp.abs(stored[name].astype(jnp.float32) - x).max())
        if not np.isfinite(difference):
            raise ValueError(f"parameter {name!r} has values that {dtype} cannot hold")
        change = max(change, difference)
    content = save_tensors(stored)
    directory.mkdir(parents=True, exist_ok=True)
    card = {
        "version": CARD_VERSION,
        "name": directory.name,
        **card,
        "generator": json.loads(json.dumps(fields)),
        "dtype": dtype,
        "parameters": sum(int(x.size) for x in flat.values()),
        "largest_rounding": change,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    write_file(directory / MODEL_FILE, content)
    write_file(directory / CARD_FILE, (json.dumps(card, indent=2) + "\n").encode())
    return card


def read_card(path: Path) -> dict[str, Any]:
    """Reads a model's card.

    Raises:
      ValueError: it is missing, not JSON, of a later version or lacks a field.
    """
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: a model is read with its card") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no model card ({error})") from error
    missing = {"version", "name", "generator", "sha256"} - set(card if type(card) is dict else ())
    if missing:
        raise ValueError(f"{path} is no model card: it lacks {', '.join(sorted(missing))}")
    if card["version"] != CARD_VERSION:
        raise ValueError(f"{path}: version {card['version']}; this program reads {CARD_VERSION}")
    return dict(card)


def read_checked(path: Path, card: dict[str, Any]) -> bytes:
    """A file's content.

    Raises:
      ValueError: it is missing, or not what its card was written for.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card["sha256"]:
        raise ValueError(f"{path}: SHA-256 is {digest}, its card says {card['sha256']}")
    return content


def read_model(model_file: Path, card_file: Path) -> LoadedModel:
    """Reads a network, checked against its card.

    Raises:
      ValueError: a file is missing or damaged, or they do not belong together.
    """
    card = read_card(card_file)
    content = read_checked(model_file, card)
    try:
        tensors = {
            name: np.frombuffer(value["data"], _FILE_DTYPES[value["dtype"]]).reshape(value["shape"])
            for name, value in deserialize(content)
        }
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{model_file} is no safetensors file ({error})") from error
    generator = generator_from_fields(card["generator"])
    _check_shapes(tensors, generator, str(model_file))
    shapes = parameter_shapes(generator)
    leaves = [np.asarray(tensors[name], np.float32) for name in _flatten(shapes)]
    params = jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(shapes), leaves)
    return LoadedModel(generator, params, int(card["generator"]["scale"]), card)


def _check_shapes(flat: dict[str, Any], generator: nn.Module, about: str) -> None:
    shapes = _flatten(parameter_shapes(generator))
    expected = {name: tuple(leaf.shape) for name, leaf in shapes.items()}
    found = {name: tuple(x.shape) for name, x in flat.items()}
    for name in sorted(set(expected) | set(found)):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"{about}: parameter {name!r} has shape {found.get(name)}, the card's generator "
                f"has {expected.get(name)}"
            )
