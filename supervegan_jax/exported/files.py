"""Exported networks on disk: a file and, beside it, the card that says what it is."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from supervegan_jax.exported.network import difference
from supervegan_jax.exported.onnx_file import read_onnx, write_onnx
from supervegan_jax.exported.stablehlo import PLATFORMS, read_stablehlo, write_stablehlo
from supervegan_jax.weights.model_file import (
    CARD_VERSION,
    ExportedNetwork,
    LoadedModel,
    generator_from_fields,
    read_card,
    read_checked,
    write_file,
)


@dataclasses.dataclass(frozen=True)
class Format:
    """How a network is written and read.

    Attributes:
      suffix: of the file.
      write: (model, stage) -> content.
      read: content -> the network as a function.
      traceable: see `ExportedNetwork`.
      about: for the card.
    """

    suffix: str
    write: Callable[[LoadedModel, str], bytes]
    read: Callable[[bytes], Callable[[Any], Any]]
    traceable: bool
    about: dict[str, Any]


FORMATS = {
    "stablehlo": Format(
        ".stablehlo",
        write_stablehlo,
        read_stablehlo,
        True,
        {"format": "StableHLO, serialized by jax.export", "platforms": list(PLATFORMS)},
    ),
    "onnx": Format(".onnx", write_onnx, read_onnx, False, {"format": "ONNX, opset 18"}),
}


def card_path(path: Path) -> Path:
    """Where the card of an exported file lies: `X.onnx.json`."""
    return path.with_name(path.name + ".json")


def write_export(directory: Path, model: LoadedModel, name: str, stage: str) -> tuple[Path, float]:
    """Writes `model.SUFFIX` and its card; nothing is written unless what was read back is right.

    Args:
      directory: of the file, made if missing.
      model: computes in float32.
      name: a key of `FORMATS`.
      stage: "a" or "b".

    Returns:
      The file, and how far its network is from `apply` at most.

    Raises:
      ValueError: the network cannot be written so, or what was read back differs.
    """
    form = FORMATS[name]
    content = form.write(model, stage)
    # Read back from the disk, under another name until it is known to be right.
    path = directory / f"model{form.suffix}"
    trial = path.with_name(path.name + ".trial")
    directory.mkdir(parents=True, exist_ok=True)
    try:
        trial.write_bytes(content)
        largest = difference(form.read(trial.read_bytes()), model.generator, model.params, stage)
        generator: Any = model.generator
        frames = generator.frames
        sides = [f"{model.scale} * h", f"{model.scale} * w"]
        card = {
            **model.card,
            "version": CARD_VERSION,
            **form.about,
            "stage": stage,
            "input": ["b", frames, "h", "w", 3],
            "output": ["b", *sides, 3],
            "least_side": generator.least_side,
            "values": f"float32 RGB in [0, 1], {frames} frames in a row; the output is the middle "
            "one enlarged, and may leave [0, 1] slightly",
            "largest_difference": largest,
            "dtype": "float32",
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        write_file(card_path(path), (json.dumps(card, indent=2) + "\n").encode())
        os.replace(trial, path)
    finally:
        trial.unlink(missing_ok=True)
    return path, largest


def read_export(path: Path) -> LoadedModel:
    """Reads an exported file, checked against its card.

    Raises:
      ValueError: a file is missing or damaged, or they do not belong together.
    """
    form = next(form for form in FORMATS.values() if form.suffix == path.suffix)
    card = read_card(card_path(path))
    content = read_checked(path, card)
    try:
        call = form.read(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    network = ExportedNetwork(call, form.traceable, card["stage"], card["sha256"])
    generator: Any = generator_from_fields(card["generator"])
    return LoadedModel(generator, {}, int(generator.scale), card, network)
