"""Trains a network: python -m supervegan_jax.main --config configs/X.py --workdir DIR.

Any field of the config can be changed: --config.data.batch_size=8. Run the same command again to go
on after an interruption.
"""

import sys
import time
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from supervegan_jax.command_line import run

_CONFIG = config_flags.DEFINE_config_file("config", None, "The configuration, a file of configs/.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Where checkpoints, logs and pictures go.")


def train(config: ConfigDict, workdir: Path) -> None:
    """Prepares data if the config asks for it, trains, evaluates and writes the summary."""
    from supervegan_jax import build, summary
    from supervegan_jax.data.records import read_preparation
    from supervegan_jax.data.validation import load_validation, windows
    from supervegan_jax.pretrained.packaged_weights import load_lpips_params
    from supervegan_jax.training import loop
    from supervegan_jax.training.evaluation import Evaluator
    from supervegan_jax.training.parallel import Parallel
    from supervegan_jax.training.phases import Phase
    from supervegan_jax.training.state import TrainState
    from supervegan_jax.training.workdir import git_revision, write_json

    start = time.monotonic()
    metadata = {"config": config.to_dict(), "git_revision": git_revision()}
    write_json(workdir / "config.json", metadata)
    phases = build.build_phases(config)
    system = build.build_system(config, phases)
    parallel = Parallel(config.parallel)
    parallel.check_batch_size(config.data.batch_size, config.optimizer.accumulate)

    records = prepare_records(config, workdir)
    preparation = read_preparation(records)
    preparation.check(scale=config.model.scale, patch_size=config.data.patch_size)
    clips = load_validation(records, config.evaluation_frames)
    evaluator = Evaluator(system.generator, load_lpips_params("alexnet"))

    def evaluate(state: TrainState, phase: Phase) -> dict[str, float]:
        examples = ((w, hr) for clip in clips for w, hr in zip(windows(clip), clip.hr, strict=True))
        return evaluator.evaluate(state.ema, examples, phase.stage)

    state = loop.train(
        workdir,
        system,
        phases,
        parallel,
        build.load_frozen(config, phases),
        build.build_batches(config, records),
        evaluate,
        loop.LoopOptions(
            config.log_every,
            config.evaluate_every,
            config.checkpoint_every,
            config.keep_checkpoints,
        ),
        scale=config.model.scale,
        metadata=metadata,
    )
    rows = summary.summarize(evaluator, state.ema, clips, workdir)
    kbps = sum(clip.measured_kbps for clip in clips) / len(clips)
    seconds = time.monotonic() - start
    write_json(
        workdir / "summary.json",
        {"rows": rows, "input_kbps": round(kbps, 2), "seconds": round(seconds, 1)},
    )
    print(summary.format_table(rows))
    print(f"input measured at {kbps:.0f} kbit/s; {seconds:.0f} s in all")
    print(f"look at {workdir / 'side_by_side.png'}; scores in {workdir / 'summary.json'}")


def prepare_records(config: ConfigDict, workdir: Path) -> Path:
    """The folder of the records: the config's, or made in the workdir from the config's videos.

    Raises:
      ValueError: the config names neither records nor videos.
    """
    if config.data.records:
        return Path(config.data.records)
    if not config.data.videos:
        raise ValueError(
            "the config names no data: set --config.data.records=DIR (made by python -m "
            "data_prep.prepare) or --config.data.videos=FILE_OR_FOLDER"
        )
    from data_prep.clips import embedded_clip
    from data_prep.prepare import prepare

    videos = config.data.videos
    names = (videos,) if isinstance(videos, str) else videos
    return prepare(
        [embedded_clip() if name == "embedded" else Path(name) for name in names],
        workdir / "data",
        scale=config.model.scale,
        patch_size=config.data.patch_size,
        seed=config.seed,
        **config.prepare.to_dict(),
    )


def main() -> int | None:
    """Parses the flags and trains; returns an exit code."""
    try:
        rest = flags.FLAGS(sys.argv)
    except KeyError as error:  # ml_collections adds the nearest name that exists
        raise ValueError(f"unknown config field {error.args[0]}") from error
    except AttributeError as error:
        raise ValueError(f"the config file needs a function get_config: {error}") from error
    except (flags.Error, TypeError) as error:
        raise ValueError(str(error)) from error
    if len(rest) > 1:
        raise ValueError(f"unexpected argument {rest[1]!r}; accepted: --config FILE --workdir DIR")
    if not _CONFIG.value or not _WORKDIR.value:
        missing = "--workdir" if _CONFIG.value else "--config"
        raise ValueError(f"{missing} is missing; use --config configs/quickstart.py --workdir DIR")

    from supervegan_jax.training.loop import Terminated
    from supervegan_jax.training.workdir import locked

    workdir = Path(_WORKDIR.value)
    with locked(workdir):
        try:
            train(_CONFIG.value, workdir)
        except Terminated as stop:
            print(f"{stop}; the same command goes on from there", file=sys.stderr)
            return 143
    return None


if __name__ == "__main__":
    run(main)
