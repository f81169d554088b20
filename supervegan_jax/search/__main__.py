"""Searches for better networks: python -m supervegan_jax.search --trials N --workdir DIR.

Mutates widths, block counts and kernels of a small SUPERVEGAN. Each candidate is trained shortly,
scored on held-out frames and timed; the Pareto front of PSNR, LPIPS and time breeds the next ones.
Run the same command again to go on, or beside itself to take part; docs/search.md has the rest.
"""

import argparse
import os
import sys
from pathlib import Path

from supervegan_jax.command_line import Parser, run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    description = (__doc__ or "").split("\n\n")[1]
    parser = Parser(prog="supervegan_jax.search", description=description)
    add = parser.add_argument
    add("--trials", type=int, required=True, metavar="N", help="finished ones in all")
    add("--workdir", type=Path, required=True, metavar="DIR", help="of the study and the results")
    add(
        "--config",
        default="configs/supervegan4_small.py",
        metavar="FILE",
        help="of the base network and its full training (default: %(default)s)",
    )
    add("--records", type=Path, metavar="DIR", help="made by data_prep (default: the config's)")
    add("--workers", type=int, default=1, help="processes that share the cores (default: 1)")
    add("--steps", type=int, default=400, help="of a short training (default: %(default)s)")
    add("--batch-size", type=int, metavar="N", help="of it (default: the config's)")
    add("--patch-size", type=int, metavar="N", help="of it (default: the config's)")
    add("--frames", type=int, default=12, help="held-out ones scored (default: %(default)s)")
    add("--cost", default="ms", help="the front's third axis, ms or macs (default: %(default)s)")
    add("--max-ms", type=float, default=0.0, metavar="MS", help="slower ones are not trained")
    add("--max-macs", type=float, default=0.0, metavar="N", help="larger ones are not trained")
    add("--timing-seconds", type=float, default=8.0, help="of each network (default: %(default)s)")
    add("--seed", type=int, default=0, help="of everything random (default: %(default)s)")
    add("--choose", type=int, metavar="TRIAL", help="for chosen.py (default: best at equal cost)")
    add("--storage", metavar="URL", help="of the database (default: SQLite in the workdir)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int | None:
    """Searches as the flags say; returns an exit code."""
    options = parse(arguments)
    for name in ("trials", "workers", "batch_size", "patch_size"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} {value}; at least 1 is accepted")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the search needs the package {error.name}: pip install 'supervegan_jax[search]'"
        ) from error
    from supervegan_jax.config_file import load_config
    from supervegan_jax.job import prepare_records
    from supervegan_jax.search.runner import search
    from supervegan_jax.search.settings import Settings
    from supervegan_jax.search.trials import Interrupted
    from supervegan_jax.training.workdir import locked

    workdir: Path = options.workdir
    config = load_config(options.config)
    if options.records is not None:
        config.data.records = str(options.records)
    with locked(workdir / "beginning", wait=True):
        records = prepare_records(config, workdir)
    settings = Settings(
        options.config,
        str(records.resolve()),
        options.steps,
        options.batch_size or 0,
        options.patch_size or 0,
        options.frames,
        options.seed,
        options.cost,
        options.max_ms,
        options.max_macs,
        options.timing_seconds,
    )
    url = options.storage or f"sqlite:///{workdir.resolve() / 'study.db'}"
    try:
        search(settings, workdir, url, options.trials, options.workers, options.choose)
    except Interrupted as stop:
        print(f"{stop}; the same command goes on from there", file=sys.stderr)
        return stop.exit_code
    return None


if __name__ == "__main__":
    run(main)
