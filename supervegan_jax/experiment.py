"""Trains and compares networks: python -m supervegan_jax.experiment --config FILE --workdir DIR ..

One file of configs/experiments/ is one experiment: which networks are trained, for how long, with
which seeds, on what they are measured and which tables come of it. Run the same command again to
go on after an interruption; what is trained and measured already is kept.
"""

import argparse
import sys
from pathlib import Path

from supervegan_jax.command_line import Parser, read_names, run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    description = (__doc__ or "").split("\n\n")[1]
    parser = Parser(prog="supervegan_jax.experiment", description=description)
    add = parser.add_argument
    add("--config", type=Path, required=True, metavar="FILE", help="of configs/experiments/")
    add("--workdir", type=Path, required=True, metavar="DIR", help="keeps everything")
    add(
        "--records",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="made by data_prep; each network reads the one of its scale",
    )
    add("--clips", nargs="+", type=Path, metavar="VIDEO", help="default: the embedded clip")
    add("--only", default="", metavar="NAME,..", help="train and compare these alone")
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=VALUE",
        help="change the config: budget_tmacs=2 trials.srvgg.data.batch_size=4",
    )
    add("--dry-run", action="store_true", help="say what would be done, and how long it trains")
    add(
        "--gmacs-per-second",
        type=float,
        default=40.0,
        metavar="RATE",
        help="of this machine in training, for --dry-run (default: 40, two CPU cores)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int | None:
    """Runs an experiment; returns an exit code."""
    options = parse(arguments)

    # After the flags: their errors should come at once.
    from data_prep.clips import embedded_clip
    from supervegan_jax.config_file import load_config
    from supervegan_jax.training.loop import Terminated
    from supervegan_jax.trials.job import dry_run, run_experiment
    from supervegan_jax.trials.plan import set_field

    config = load_config(options.config)
    if "trials" not in config:
        raise ValueError(f"{options.config} is no experiment; see configs/experiments/")
    for text in options.set:
        set_field(config, text)
    only = read_names(options.only)
    clips = options.clips or [embedded_clip()]
    if options.dry_run:
        rate = 1e9 * options.gmacs_per_second
        print(dry_run(config, options.records, clips, options.workdir, only, rate))
        return None
    try:
        print(run_experiment(config, options.records, clips, options.workdir, only))
    except Terminated as stop:
        print(f"{stop}; the same command goes on from there", file=sys.stderr)
        return stop.exit_code
    print(f"written: {options.workdir / 'results.md'}, .json and pictures beside them")
    return None


if __name__ == "__main__":
    run(main)
