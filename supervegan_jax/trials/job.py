"""A whole experiment: train what is missing, measure all, write what was found."""

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from supervegan_jax.evaluation.results import format_columns, write_whole
from supervegan_jax.evaluation.scoring import read_metrics
from supervegan_jax.experiments import runtime
from supervegan_jax.experiments.equal_compute import Cost
from supervegan_jax.experiments.outcome import Outcome, to_markdown
from supervegan_jax.metrics.ma_score import load_ma_model
from supervegan_jax.rate_distortion.job import run_rate_distortion
from supervegan_jax.rate_distortion.references import make_references
from supervegan_jax.rate_distortion.settings import Settings
from supervegan_jax.rate_distortion.tables import read_points
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.training.parallel import share_cores
from supervegan_jax.trials.plan import KINDS, Trial, count_steps, plan_trials, training_key
from supervegan_jax.trials.results import RESULTS, check, counted_cost
from supervegan_jax.trials.runtimes import check_networks, time_networks
from supervegan_jax.trials.training import train_all
from supervegan_jax.video import probe

DEFAULT_RATE = 40e9  # multiply-accumulates a second of training on two CPU cores
RUNTIME = "runtime"  # the one of a config's `results` that measures no clips


def dry_run(
    config: ConfigDict,
    records: Sequence[Path],
    clips: Sequence[Path],
    workdir: Path,
    only: Sequence[str] = (),
    rate: float = DEFAULT_RATE,
) -> str:
    """What would be trained, for how long, and what would be measured, as text; nothing is done.

    Args:
      config, records, clips, workdir, only: as in `run_experiment`.
      rate: multiply-accumulates a second, for the estimate of the time.

    Raises:
      ValueError: the config, the records, the clips or the rate cannot be used.
    """
    if not rate > 0:
        raise ValueError(f"{rate / 1e9:g} GMAC/s; more than 0 is accepted")
    _check_results(config)
    if config.results == RUNTIME:
        check_networks(config)
        return f"timed: {', '.join(config.models)}; {config.seconds:g} s a stage"
    with tempfile.TemporaryDirectory() as elsewhere:
        workspace = Workspace(workdir if workdir.exists() else Path(elsewhere), KINDS)
        with workspace.locked():
            trials, heavy, _ = _plan(config, records, clips, workspace, only)
            done = [_is_done(workspace, trial) for trial in trials]
    lines = []
    for trial, finished in zip(trials, done, strict=True):
        step = trial.total_macs / trial.steps
        cells = [f"{trial.steps:,}", f"{trial.patches:,}", f"{step / 1e9:.1f}"]
        minutes = "trained" if finished else f"{trial.total_macs / rate / 60:.0f}"
        lines.append([trial.name, *cells, f"{trial.total_macs / 1e12:.2f}", minutes])
    for cost in heavy:
        said = f"{cost.steps:,}", f"{cost.steps * cost.batch_size:,}", f"{cost.macs / 1e9:.1f}"
        lines.append([cost.name, *said, "-", "too heavy, counted only"])
    header = ["network", "steps", "patches", "GMAC a step", "TMAC"]
    table = format_columns([*header, f"minutes at {rate / 1e9:g} GMAC/s"], lines)
    return "\n".join([*([table] if lines else []), _measuring(config)])


def _measuring(config: ConfigDict) -> str:
    """What comes after training, in a line."""
    models = ", ".join([*config.models, *(["what is trained"] if config.trials else [])])
    inputs, ladder = (" ".join(map(str, of)) for of in (config.input_kbps, config.reference_kbps))
    most = f" of the first {config.max_frames}" if config.max_frames else ""
    return (
        f"measured: {models}; {' '.join(config.codecs)} at {inputs} kbit/s, at full size {ladder}; "
        f"{' '.join(config.metrics)} of one frame in {config.frame_step}{most}"
    )


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
      Terminated: a signal arrived while training; the state is saved.
    """
    _check_results(config)
    share_cores(*_shared_sizes(config))
    workspace = Workspace(workdir, KINDS)
    if config.results == RUNTIME:
        with workspace.locked():
            outcome = runtime.describe(time_networks(config, workspace))
    else:
        outcome = _compare(config, records, clips, workspace, only)
    return _write(config, outcome, workdir)


def _check_results(config: ConfigDict) -> None:
    if config.results not in (*RESULTS, RUNTIME):
        known = ", ".join((*RESULTS, RUNTIME))
        raise ValueError(f"results {config.results!r}; accepted are {known}")
    read_metrics(config.metrics)


def _compare(
    config: ConfigDict,
    records: Sequence[Path],
    clips: Sequence[Path],
    workspace: Workspace,
    only: Sequence[str],
) -> Outcome:
    """Trains and measures, and puts together what was found."""
    run = Workspace(workspace.root / "rd")
    with workspace.locked():
        trials, heavy, settings = _plan(config, records, clips, workspace, only)
        with run.locked():  # kept for the run; a clip that does not suit is told before training
            make_references(run, settings.clips, settings.max_frames)
        trained = train_all(workspace, trials)
    run_rate_distortion(settings, run.root)
    points = read_points(run.root / "rd.json")
    return RESULTS[config.results](config, points, trained, heavy)


def _plan(
    config: ConfigDict,
    records: Sequence[Path],
    clips: Sequence[Path],
    workspace: Workspace,
    only: Sequence[str],
) -> tuple[list[Trial], list[Cost], Settings]:
    """What is trained, counted and measured; what cannot be measured is told before training."""
    for clip in clips:
        probe.probe(clip)
    trials = plan_trials(config, records, workspace, only)
    heavy = _count_heavy(config, workspace)
    check(config, trials)
    settings = _settings(config, trials, clips, workspace.root)
    if "pi" in settings.metrics:
        load_ma_model(settings.ma_model)
    return trials, heavy, settings


def _write(config: ConfigDict, outcome: Outcome, workdir: Path) -> str:
    """Writes results.md, results.json and the pictures; returns the first's content."""
    text = to_markdown(outcome)
    about = {"version": 1, "experiment": config.results, "config": config.to_dict()}
    content: dict[str, Any] = about | outcome.values
    text_json = json.dumps(content, indent=1, default=str, allow_nan=False) + "\n"
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
        ma_model=Path(config.ma_model) if config.ma_model else None,
    )
