"""A whole experiment: train what is missing, measure all, write what was found."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from supervegan_jax.evaluation.results import format_columns, write_whole
from supervegan_jax.evaluation.scoring import read_metrics
from supervegan_jax.experiments.equal_compute import Cost
from supervegan_jax.experiments.outcome import to_markdown
from supervegan_jax.rate_distortion.job import run_rate_distortion
from supervegan_jax.rate_distortion.settings import Settings
from supervegan_jax.rate_distortion.tables import read_points
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.training.parallel import share_cores
from supervegan_jax.trials.plan import KINDS, Trial, count_steps, plan_trials, training_key
from supervegan_jax.trials.results import RESULTS, check_kbps, counted_cost
from supervegan_jax.trials.training import train_all
from supervegan_jax.video import probe

DEFAULT_RATE = (
    40e9  # multiply-accumulates a second, assumed for two CPU cores; only estimates use it
)


def dry_run(
    config: ConfigDict, records: Sequence[Path], workdir: Path, only: Sequence[str] = ()
) -> str:
    """What would be trained, and for how long, as text; nothing is trained.

    Raises:
      ValueError: as `plan_trials`.
    """
    workspace = Workspace(workdir, KINDS)
    with workspace.locked():
        trials = plan_trials(config, records, workspace, only)
        heavy = _count_heavy(config, workspace)
        done = [_is_done(workspace, trial) for trial in trials]
    lines = []
    for trial, finished in zip(trials, done, strict=True):
        step = trial.total_macs / trial.steps
        cells = [f"{trial.steps:,}", f"{trial.patches:,}", f"{step / 1e9:.1f}"]
        minutes = "trained" if finished else f"{trial.total_macs / DEFAULT_RATE / 60:.0f}"
        lines.append([trial.name, *cells, f"{trial.total_macs / 1e12:.2f}", minutes])
    for cost in heavy:
        said = f"{cost.steps:,}", f"{cost.steps * cost.batch_size:,}", f"{cost.macs / 1e9:.1f}"
        lines.append([cost.name, *said, "-", "too heavy, counted only"])
    minutes = f"minutes at {DEFAULT_RATE / 1e9:.0f} GMAC/s"
    header = ["network", "steps", "patches", "GMAC a step", "TMAC", minutes]
    return format_columns(header, lines)


def run_experiment(
    config: ConfigDict,
    records: Sequence[Path],
    clips: Sequence[Path],
    workdir: Path,
    only: Sequence[str] = (),
) -> str:
    """Trains what is not trained, measures the networks and writes results.md, .json and .png.

    Args:
      config: the experiment's, see configs/experiments/base.py.
      records: folders; each network reads the one that fits it.
      clips: that the networks are measured on.
      workdir: keeps everything; the same command goes on after an interruption.
      only: names of the config's trials; none are all.

    Returns:
      The content of results.md.

    Raises:
      ValueError: the config, the records or the clips cannot be used.
      OSError: the folder cannot be written.
      Terminated: SIGTERM arrived while training; the state is saved.
    """
    if config.results not in RESULTS:
        raise ValueError(f"results {config.results!r}; accepted are {', '.join(RESULTS)}")
    read_metrics(config.metrics)
    for clip in clips:
        probe.probe(clip)  # a mistyped name should not be told after hours of training
    share_cores(*_shared_sizes(config))
    workspace = Workspace(workdir, KINDS)
    with workspace.locked():
        trials = plan_trials(config, records, workspace, only)
        heavy = _count_heavy(config, workspace)
        check_kbps(config, trials)
        settings = _settings(config, trials, clips, workdir)
        trained = train_all(workspace, trials)
    run_rate_distortion(settings, workdir / "rd")
    points = read_points(workdir / "rd" / "rd.json")
    outcome = RESULTS[config.results](config, points, trained, heavy)
    text = to_markdown(outcome)
    about = {"version": 1, "experiment": config.results, "config": config.to_dict()}
    content: dict[str, Any] = about | outcome.values
    text_json = json.dumps(content, indent=1, default=str) + "\n"
    write_whole(workdir / "results.json", text_json)
    write_whole(workdir / "results.md", text)
    for name, draw in outcome.drawings.items():
        draw(workdir / f"{name}.png")
    return text


def _count_heavy(config: ConfigDict, workspace: Workspace) -> list[Cost]:
    if config.counted and not config.budget_tmacs:
        raise ValueError("networks are counted against a budget; budget_tmacs is 0")
    budget = config.budget_tmacs * 1e12
    return [
        counted_cost(name, training, count_steps(workspace, training), budget)
        for name, training in config.counted.items()
    ]


def _is_done(workspace: Workspace, trial: Trial) -> bool:
    return workspace.read("trainings", training_key(workspace, trial)) is not None


def _shared_sizes(config: ConfigDict) -> tuple[int, int]:
    """A batch size and parts of it that every training's can be split as."""
    trainings = config.trials.values()
    sizes = [training.data.batch_size for training in trainings] or [1]
    parts = [training.optimizer.accumulate for training in trainings] or [1]
    return math.gcd(*sizes), math.lcm(*parts)


def _settings(
    config: ConfigDict, trials: Sequence[Trial], clips: Sequence[Path], workdir: Path
) -> Settings:
    folders = [str(workdir / "models" / trial.name) for trial in trials]
    return Settings(
        clips=tuple(clips),
        models=(*config.models, *folders),
        codecs=tuple(config.codecs),
        input_kbps=tuple(config.input_kbps),
        reference_kbps=tuple(config.reference_kbps),
        metrics=tuple(config.metrics),
        max_frames=config.max_frames or None,
        frame_step=config.frame_step,
    )
