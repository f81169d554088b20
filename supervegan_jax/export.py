"""Writes a trained network as a model folder: python -m supervegan_jax.export WORKDIR DIRECTORY.

The folder holds `model.safetensors` and `card.json`; `supervegan_jax.enhance --model` reads it.
"""

import argparse
from pathlib import Path

from supervegan_jax.command_line import Parser, run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = Parser(prog="supervegan_jax.export", description="Exports a trained network.")
    parser.add_argument("workdir", type=Path, help="a training run's folder")
    parser.add_argument("directory", type=Path, help="the folder to make")
    parser.add_argument(
        "--dtype", default="float16", help="the numbers' type: float16, bfloat16 or float32"
    )
    parser.add_argument("--step", type=int, help="the checkpoint; the newest by default")
    parser.add_argument(
        "--interpolate-from",
        metavar="MODEL",
        help="write the network between this one and the workdir's instead",
    )
    parser.add_argument(
        "--alpha", type=float, help="the workdir's share in it, 0 to 1; needed with the former"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing model")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int | None:
    """Exports; returns an exit code."""
    options = parse(arguments)
    from supervegan_jax.weights.interpolation import interpolate
    from supervegan_jax.weights.load import load_model, load_workdir
    from supervegan_jax.weights.model_file import CARD_FILE, save_model

    if not (options.workdir / "config.json").is_file():
        raise ValueError(f"{options.workdir} is no training run: it has no config.json")
    if (options.directory / CARD_FILE).exists() and not options.overwrite:
        raise ValueError(f"{options.directory} holds a model already; --overwrite replaces it")
    if (options.interpolate_from is None) != (options.alpha is None):
        raise ValueError("--interpolate-from and --alpha are needed together")
    model = load_workdir(options.workdir, options.step)
    card, params = {**model.card, "name": options.directory.resolve().name}, model.params
    if options.interpolate_from is not None:
        first = load_model(options.interpolate_from)
        params = interpolate(first, model, options.alpha)
        card["interpolation"] = {"first": first.card["name"], "alpha": options.alpha}
    fields = card.pop("generator")
    written = save_model(options.directory, fields, params, card, options.dtype)
    size = (options.directory / "model.safetensors").stat().st_size
    print(
        f"{options.directory}: {written['parameters']} parameters of step {written['step']} "
        f"in {size / 1e6:.2f} MB, {options.dtype}"
    )
    return None


if __name__ == "__main__":
    run(main)
