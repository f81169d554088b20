"""Finding a network: a shipped name, a training workdir, or a file with its card."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from supervegan_jax.weights.model_file import (
    CARD_FILE,
    MODEL_FILE,
    LoadedModel,
    generator_from_fields,
    parameter_shapes,
    read_card,
    read_model,
)

SHIPPED = Path(__file__).parent
EXPORTED_SUFFIXES = (".stablehlo", ".onnx")
PUBLISHED_SUFFIXES = (".pth", ".pt", ".h5", ".hdf5")
_COLOUR = "RGB in [0, 1]; Y'CbCr is converted by the matrix its stream is tagged with"


def list_models(directory: Path = SHIPPED) -> dict[str, dict[str, Any]]:
    """The shipped models: name -> card."""
    cards = sorted(directory.glob(f"*/{CARD_FILE}"))
    return {card.parent.name: read_card(card) for card in cards}


def load_model(name: str, dtype: str | None = None, *, shipped: Path = SHIPPED) -> LoadedModel:
    """Loads a network.

    Args:
      name: a shipped name; the path of a training workdir (its newest checkpoint's averaged
        parameters), of a folder made by `save_model`, of a .safetensors file with its card
        beside it (`X.json`, or `card.json`), of a .onnx or .stablehlo file with its card
        (`X.onnx.json`), or of a published file of another system (`pretrained.systems`).
      dtype: "float32" or "bfloat16" to compute in; None leaves float32, which `enhance_frames`
        replaces with the device's best.
      shipped: the folder of the shipped models.

    Raises:
      ValueError: there is no such model, or it is damaged.
    """
    model = _find(name, shipped)
    if dtype is None:
        return model
    from supervegan_jax.enhancement.options import DTYPES

    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r}; accepted are {', '.join(DTYPES)}")
    if model.exported is not None and dtype != "float32":
        raise ValueError(f"model {name!r} computes in float32, as it was exported; not {dtype}")
    return dataclasses.replace(model, generator=model.generator.clone(dtype=DTYPES[dtype]))


def _find(name: str, shipped: Path) -> LoadedModel:
    known = sorted(card.parent.name for card in shipped.glob(f"*/{CARD_FILE}"))
    if name in known:
        return read_model(shipped / name / MODEL_FILE, shipped / name / CARD_FILE)
    path = Path(name)
    if path.is_dir() and (path / CARD_FILE).is_file():
        return read_model(path / MODEL_FILE, path / CARD_FILE)
    if path.is_dir() and (path / "config.json").is_file():
        return load_workdir(path)
    if path.suffix == ".safetensors" and path.is_file():
        own = path.with_suffix(".json")
        return read_model(path, own if own.is_file() else path.with_name(CARD_FILE))
    if path.suffix in EXPORTED_SUFFIXES and path.is_file():
        from supervegan_jax.exported.files import read_export

        return read_export(path)
    if path.suffix in PUBLISHED_SUFFIXES and path.is_file():
        return _load_published(path)
    if name and path.is_dir():
        raise ValueError(f"model {name!r} is a folder with neither {CARD_FILE} nor config.json")
    if path.is_file():
        raise ValueError(
            f"model {name!r} is a file, but not a .safetensors, "
            f"{', '.join((*EXPORTED_SUFFIXES, *PUBLISHED_SUFFIXES))} one"
        )
    shipped_names = f"shipped are {', '.join(known)}" if known else "none is shipped"
    raise ValueError(
        f"no model {name!r}: {shipped_names}; a training workdir, an exported folder or "
        "file with its card and a published .pth or .h5 file are accepted too"
    )


def _load_published(path: Path) -> LoadedModel:
    """Another system's weights as their authors publish them."""
    from supervegan_jax.pretrained.systems import read_system

    fields, params = read_system(path)
    card = {
        "name": path.stem,
        "generator": fields,
        "colour": _COLOUR,
        "source": path.name,
    }
    return LoadedModel(generator_from_fields(fields), params, int(fields["scale"]), card)


def _scores(workdir: Path, step: int, newest: bool) -> dict[str, Any]:
    """What `summary.json` says, if it is of that step; one that tells none is of the newest."""
    path = workdir / "summary.json"
    if not path.is_file():
        return {}
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        of_it = summary["step"] == step if "step" in summary else newest
        if not of_it or "rows" not in summary:  # without "rows" no frames were held out
            return {}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged; train again, or remove it") from error
    what = "means over the held-out frames when the run ended, of input at so many kbit/s"
    kept = {"what": what, "input_kbps": summary["input_kbps"], "rows": summary["rows"]}
    return {"scores": kept}


def read_run_config(path: Path) -> dict[str, Any]:
    """What a training run's config.json holds: "config", and "git_revision" of the program.

    Raises:
      ValueError: it is not one.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "name" not in content["config"]["model"]:
            raise KeyError("name")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a training run's config") from error
    return content


def load_workdir(workdir: Path, step: int | None = None) -> LoadedModel:
    """Loads the averaged parameters of a training run's newest checkpoint, or of `step`.

    It only reads, so the run may be going on.

    Raises:
      ValueError: there is no checkpoint, or the config is not one.
    """
    from supervegan_jax.training.checkpoints import Checkpoints

    metadata = read_run_config(workdir / "config.json")
    fields = metadata["config"]["model"]
    generator = generator_from_fields(fields)
    directory = workdir / "checkpoints"
    if not directory.is_dir():
        raise ValueError(f"{workdir} has no checkpoint yet")
    checkpoints = Checkpoints(directory, read_only=True)
    try:
        params, found = checkpoints.restore(parameter_shapes(generator), step, group="ema")
        # The config of the steps up to it: the file's may be a later one's.
        metadata |= checkpoints.metadata(found)
    finally:
        checkpoints.close()
    card = {
        "name": workdir.resolve().name,
        "generator": fields,
        "colour": _COLOUR,
        "step": found,
        "training": {"config": metadata["config"], **_scores(workdir, found, step is None)},
        "git_revision": metadata.get("git_revision", ""),
    }
    return LoadedModel(generator, params, int(fields["scale"]), card)
