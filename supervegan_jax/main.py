"""Trains a network: python -m supervegan_jax.main --config configs/X.py --workdir DIR.

Any field of the config can be changed: --config.data.batch_size=8. Run the same command again to go
on after an interruption.
"""

import itertools
import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from supervegan_jax.command_line import run

_CONFIG = config_flags.DEFINE_config_file("config", None, "The configuration, a file of configs/.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Where checkpoints, logs and pictures go.")


def main() -> int | None:
    """Parses the flags and trains; returns an exit code."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        for flag in (_CONFIG, _WORKDIR):
            print(f"  --{flag.name}: {flags.FLAGS[flag.name].help}")
        return None
    _check_config_file(sys.argv[1:])
    try:
        rest = flags.FLAGS(sys.argv)
    except (AttributeError, KeyError) as error:
        if "get_config" in str(error):
            raise ValueError("the file given as --config has no function get_config") from error
        # ml_collections names the nearest field that exists, quoted twice over two lines.
        words = str(error.args[0]).replace("\\n", "; ").replace("\\'", "").strip("'")
        raise ValueError(f"unknown config field {words}") from error
    except SyntaxError as error:
        raise ValueError(f"the file given as --config is not Python: {error}") from error
    except (flags.Error, TypeError) as error:
        raise ValueError(str(error)) from error
    if len(rest) > 1:
        raise ValueError(f"unexpected argument {rest[1]!r}; accepted: --config FILE --workdir DIR")
    if not _CONFIG.value or not _WORKDIR.value:
        missing = "--workdir" if _CONFIG.value else "--config"
        raise ValueError(f"{missing} is missing; use --config configs/quickstart.py --workdir DIR")

    from supervegan_jax.config_check import check_config
    from supervegan_jax.job import train  # after the flags: their errors should come at once
    from supervegan_jax.training.loop import Terminated
    from supervegan_jax.training.parallel import share_cores
    from supervegan_jax.training.workdir import locked

    check_config(_CONFIG.value)
    share_cores(_CONFIG.value.data.batch_size, _CONFIG.value.optimizer.accumulate)
    workdir = Path(_WORKDIR.value)
    with locked(workdir):
        try:
            train(_CONFIG.value, workdir)
        except Terminated as stop:
            print(f"{stop}; the same command goes on from there", file=sys.stderr)
            return stop.exit_code
    return None


def _check_config_file(arguments: list[str]) -> None:
    """Raises `ValueError` if --config names no file; ml_collections would say so in three lines."""
    for argument, following in itertools.pairwise([*arguments, ""]):
        flag, _, name = argument.partition("=")
        if flag.lstrip("-") == "config":
            path = Path(name or following)
            if not path.is_file():
                raise ValueError(f"--config {str(path)!r}: there is no such file; see configs/")


if __name__ == "__main__":
    run(main)
