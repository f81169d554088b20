"""Measures networks beside what the machine can do: python -m supervegan_jax.benchmark.

A line for every network, stage and size, and with --json a record: parameters, multiply-accumulates
an input pixel, the network alone, its share of the measured limits, a video end to end, patches a
second in training, memory, compiling. --config measures a configuration's input pipeline and every
phase's step instead.
"""

import argparse
import math
import tempfile
from pathlib import Path
from typing import Any

from supervegan_jax.command_line import Parser, read_names, run

_BATCH_SIZE = 8  # a divisor of that of every configuration
_OF_NETWORKS = (  # flags that --config has no use for
    *("models", "count_only", "measure", "stage", "output_size", "against_pytorch", "dtype"),
    *("json", "plot"),
)
_MEASURES = ("forward", "end-to-end", "training")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    description = (__doc__ or "").split("\n\n")[1]
    parser = Parser(prog="supervegan_jax.benchmark", description=description)
    add = parser.add_argument
    add(
        "--models",
        help="names, with commas, or exported files (default: SUPERVEGAN's, all to count)",
    )
    add("--count-only", action="store_true", help="parameters and MACs, nothing is timed")
    add(
        "--measure",
        nargs="+",
        choices=_MEASURES,
        default=_MEASURES,
        help="default: all; end-to-end and training at 1280x720 alone",
    )
    add("--stage", nargs="+", choices=("a", "b"), default=("a", "b"), help="default: both")
    add(
        "--output-size",
        nargs="+",
        metavar="WxH",
        default=("1280x720", "1920x1080", "3840x2160"),
        help="default: 1280x720 1920x1080 3840x2160",
    )
    add("--against-pytorch", action="store_true", help="time the same layers in PyTorch, in turns")
    add("--batch-size", type=int, help="frames enhanced together; patches a step with --config")
    add("--dtype", help="float32 or bfloat16 (default: the device's best)")
    add("--seconds", type=float, default=3.0, help="of each measurement (default: 3)")
    add("--json", type=Path, metavar="FILE", help="write the records")
    add("--plot", type=Path, metavar="FILE", help="draw the rooflines, a PNG")
    add("--config", help="a file of configs/: measure its sources and steps")
    add("--records", type=Path, help="for --config; default: the embedded clip's")
    options = parser.parse_args(arguments)
    if options.config is not None:
        given = [
            name for name in _OF_NETWORKS if getattr(options, name) != parser.get_default(name)
        ]
        if given:
            parser.error(f"--{given[0].replace('_', '-')} is not of --config, which prints alone")
    if options.count_only and options.plot is not None:
        parser.error("--plot needs times, and --count-only takes none")
    return options


def main(arguments: list[str] | None = None) -> int | None:
    """Measures what the flags say."""
    options = parse(arguments)
    outputs = tuple(_size(text) for text in options.output_size)
    if not 0 < options.seconds < math.inf:
        raise ValueError(f"--seconds {options.seconds:g}; more than 0 is accepted")
    if options.batch_size is not None and options.batch_size < 1:
        raise ValueError(f"--batch-size {options.batch_size}; at least 1 is accepted")
    from supervegan_jax.evaluation.results import check_outputs

    check_outputs([path for path in (options.json, options.plot) if path is not None], [])
    import jax

    from supervegan_jax.training.parallel import share_cores

    # What a cache keeps is not compiled, and its seconds are asked for.
    jax.config.update("jax_enable_compilation_cache", False)
    if options.config is not None:
        from supervegan_jax.benchmarking.training import measure_config

        measure_config(options.config, options.records, options.batch_size, options.seconds)
        return None
    share_cores(_BATCH_SIZE)  # as training does
    from supervegan_jax.benchmarking import table
    from supervegan_jax.benchmarking.measure import Plan, count, measure
    from supervegan_jax.benchmarking.networks import known_names, load_network, own_names
    from supervegan_jax.training.workdir import write_json

    default = known_names() if options.count_only else own_names()
    names = read_names(options.models or "") or default
    models = [load_network(name) for name in names]

    def keep(found: list[dict[str, Any]]) -> None:
        if options.json is not None:
            write_json(options.json, found)

    if options.count_only:
        print(table.header(counted=True))
        found: list[dict[str, Any]] = [count(model) for model in models]
        print("\n".join(table.line(record, counted=True) for record in found))
    else:
        with tempfile.TemporaryDirectory() as folder:
            plan = Plan(
                outputs,
                tuple(options.stage),
                tuple(options.measure),
                options.against_pytorch,
                options.batch_size,
                options.dtype,
                options.seconds,
                Path(folder),
            )
            found, limits = measure(models, plan, keep)
        if options.plot is not None:
            table.draw_roofline(found, limits, options.plot)
    keep(found)
    return None


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    numbers = width.isdecimal() and height.isdecimal()
    if not numbers or int(width) % 8 or int(height) % 8 or not int(width) * int(height):
        raise ValueError(f"--output-size {text}: WxH with multiples of 8 is accepted")
    return int(height), int(width)


if __name__ == "__main__":
    run(main)
