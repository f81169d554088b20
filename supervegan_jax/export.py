"""Writes a network as files: python -m supervegan_jax.export MODEL DIRECTORY [--format ..].

`model.safetensors` with `card.json`, and for other programs `model.stablehlo` and `model.onnx`,
each with its card; `supervegan_jax.enhance --model` runs the folder and each of the files.
"""

import argparse
import dataclasses
from pathlib import Path

from supervegan_jax.command_line import Parser, read_names, run
from supervegan_jax.exported.files import FORMATS, card_path, write_export
from supervegan_jax.weights.interpolation import interpolate, set_detail
from supervegan_jax.weights.load import load_model, load_workdir
from supervegan_jax.weights.model_file import (
    CARD_FILE,
    MODEL_FILE,
    LoadedModel,
    save_model,
)

_FOLDER = "safetensors"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = Parser(prog="supervegan_jax.export", description="Exports a network.")
    add = parser.add_argument
    add("model", metavar="MODEL", help="a training run's folder, or what enhance --model takes")
    add("directory", type=Path, help="the folder to make")
    add(
        "--format",
        nargs="+",
        default=[_FOLDER],
        choices=(_FOLDER, *FORMATS),
        help="safetensors: parameters and card; stablehlo: jax.export's, for CPU, CUDA and TPU; "
        "onnx: needs the extra onnx (default: safetensors)",
    )
    add(
        "--dtype",
        default="float16",
        help="the numbers of the safetensors file: float16, bfloat16 or float32; the other "
        "formats are float32 (default: float16)",
    )
    add("--stage", default="b", choices=("a", "b"), help="of stablehlo and onnx (default: b)")
    add("--step", type=int, help="the run's checkpoint; the newest by default")
    add(
        "--interpolate-from",
        metavar="MODEL",
        help="write the network between this one and the first instead",
    )
    add("--alpha", type=float, help="the first one's share in it, 0 to 1; needed with the former")
    add(
        "--interpolate-groups",
        metavar="NAME,..",
        help="parameters that are mixed, such as stage_a; the others stay the first one's "
        "(default: all)",
    )
    add(
        "--detail-floor",
        type=float,
        metavar="CODES",
        help="shrink detail weaker than this, in 8-bit codes (default: the network's own)",
    )
    add(
        "--detail-gain",
        type=float,
        metavar="TIMES",
        help="make stage B's detail so many times as strong",
    )
    add("--overwrite", action="store_true", help="replace existing files")
    return parser.parse_args(arguments)


def _load(options: argparse.Namespace) -> LoadedModel:
    path = Path(options.model)
    if (path / "config.json").is_file():
        model = load_workdir(path, options.step)
    elif options.step is not None:
        raise ValueError(f"--step {options.step}: {path} is no training run")
    else:
        model = load_model(options.model)
    if model.exported is not None:
        raise ValueError(f"{path} is exported already; give the network it was made of")
    if options.interpolate_from is not None:
        groups = None
        if options.interpolate_groups is not None:
            groups = read_names(options.interpolate_groups)
        first = load_model(options.interpolate_from)
        model = interpolate(first, model, options.alpha, groups)
    name = options.directory.resolve().name
    changed = set_detail(model, options.detail_gain, options.detail_floor)
    return dataclasses.replace(changed, card={**changed.card, "name": name})


def _files(form: str) -> tuple[str, str]:
    """The names of what a format writes."""
    if form == _FOLDER:
        return MODEL_FILE, CARD_FILE
    model = f"model{FORMATS[form].suffix}"
    return model, card_path(Path(model)).name


def main(arguments: list[str] | None = None) -> int | None:
    """Exports; returns an exit code."""
    options = parse(arguments)
    directory: Path = options.directory
    if (options.interpolate_from is None) != (options.alpha is None):
        raise ValueError("--interpolate-from and --alpha are needed together")
    if options.interpolate_groups is not None and options.interpolate_from is None:
        raise ValueError("--interpolate-groups needs --interpolate-from and --alpha")
    if (directory / "checkpoints").is_dir():
        raise ValueError(f"{directory} is a training run's folder; give another one")
    if options.stage != "b" and not set(options.format) & set(FORMATS):
        raise ValueError(
            f"--stage {options.stage} is of --format {' and '.join(FORMATS)}; a safetensors file "
            f"holds both stages, and enhance --stage {options.stage} runs one"
        )
    files = [directory / file for name in options.format for file in _files(name)]
    taken = next((path for path in files if path.exists()), None)
    if taken is not None and not options.overwrite:
        raise ValueError(f"{taken} exists already; --overwrite replaces it")
    model = _load(options)
    if _FOLDER in options.format:
        card = {name: value for name, value in model.card.items() if name != "generator"}
        fields = model.card["generator"]
        written = save_model(directory, fields, model.params, card, options.dtype)
        size = (directory / "model.safetensors").stat().st_size
        of_step = f" of step {written['step']}" if "step" in written else ""
        print(
            f"{directory}: {written['parameters']} parameters{of_step} in {size / 1e6:.2f} MB, "
            f"{options.dtype}"
        )
    for name in sorted(set(options.format) & set(FORMATS)):
        path, largest = write_export(directory, model, name, options.stage)
        size = path.stat().st_size
        print(f"{path}: {size / 1e6:.2f} MB, differs by {largest:.1e} at most from apply")
    return None


if __name__ == "__main__":
    run(main)
