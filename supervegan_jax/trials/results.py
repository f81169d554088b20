"""From finished trials and the run that measured them to what an experiment found."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ml_collections import ConfigDict

from supervegan_jax import build
from supervegan_jax.benchmarking.counts import count_parameters, frame_macs
from supervegan_jax.experiments import (
    ablations,
    clean_input,
    codecs,
    equal_compute,
    plane,
    stages,
    training_bitrate,
)
from supervegan_jax.experiments.equal_compute import Cost
from supervegan_jax.experiments.outcome import Outcome
from supervegan_jax.rate_distortion.curves import Point
from supervegan_jax.trials.budget import total_macs
from supervegan_jax.trials.plan import Trial
from supervegan_jax.trials.training import Trained
from supervegan_jax.weights.load import load_model


def counted_cost(name: str, config: ConfigDict, macs: dict[str, int], budget: float) -> Cost:
    """What a budget would pay of a training that is not made.

    Args:
      name: of the row.
      config: of the training.
      macs: its `step_macs`.
      budget: multiply-accumulates.
    """
    per_step = total_macs(config, macs) / build.build_phases(config)[-1].end
    return _cost(name, config, int(budget / per_step), per_step, None)


def _cost(name: str, config: ConfigDict, steps: int, macs: float, seconds: float | None) -> Cost:
    generator = build.build_model(config)
    return Cost(
        name=name,
        scale=config.model.scale,
        parameters=count_parameters(generator),
        frame_macs=frame_macs(generator),
        patch_size=config.data.patch_size,
        batch_size=config.data.batch_size,
        steps=steps,
        macs=macs,
        seconds=seconds,
    )


def trained_cost(trained: Trained) -> Cost:
    """What a training took."""
    trial = trained.trial
    return _cost(trial.name, trial.config, trial.steps, trial.total_macs, trained.seconds)


def _equal_compute(
    config: ConfigDict, points: Sequence[Point], trained: Sequence[Trained], heavy: Sequence[Cost]
) -> Outcome:
    # One that changes no size, MFQE 2.0, may stand beside any.
    scales = sorted({one.trial.scale for one in trained} - {1})
    if len(scales) != 1:
        raise ValueError(f"networks of scales {scales}; equal_compute compares those of one")
    return equal_compute.describe(
        points,
        [*map(trained_cost, trained), *heavy],
        budget_tmacs=config.budget_tmacs,
        codec=config.codecs[0],
        kbps=table_kbps(config)[scales[0]],
        metrics=config.metrics,
    )


def _ablations(
    config: ConfigDict, points: Sequence[Point], trained: Sequence[Trained], heavy: Sequence[Cost]
) -> Outcome:
    variants: dict[tuple[str, int], list[str]] = {}
    for one in trained:
        key = one.trial.config.ablation, one.trial.scale
        variants.setdefault(key, []).append(one.trial.name)
    return ablations.describe(
        points,
        variants,
        config.seeds,
        codec=config.codecs[0],
        kbps=table_kbps(config),
        metrics=config.metrics,
    )


def _training_bitrate(
    config: ConfigDict, points: Sequence[Point], trained: Sequence[Trained], heavy: Sequence[Cost]
) -> Outcome:
    kbps = {one.trial.name: one.trial.trained_kbps for one in trained}
    rates = dict(sorted(kbps.items(), key=lambda pair: pair[1]))
    found = training_bitrate.effects(points, rates, codec=config.codecs[0], metrics=config.metrics)
    tables = training_bitrate.to_tables(found, rates)
    values: dict[str, Any] = {"effects": [vars(effect) for effect in found], "trained_kbps": rates}
    drawings = {"training_bitrate": partial(training_bitrate.draw, found, rates)}
    claims = training_bitrate.findings(points, found)
    values["findings"] = [claim.to_json() for claim in claims]
    return Outcome(tables, tuple(map(str, claims)), values, drawings)


def _clean_input(
    config: ConfigDict, points: Sequence[Point], trained: Sequence[Trained], heavy: Sequence[Cost]
) -> Outcome:
    return clean_input.describe(
        points,
        pairs([one.trial for one in trained]),
        codec=config.codecs[0],
        kbps=config.input_kbps,
        metrics=config.metrics,
    )


def pairs(trials: Sequence[Trial]) -> list[clean_input.Pair]:
    """The trainings of each scale, on compressed and on clean input.

    Raises:
      ValueError: as `clean_input.pair_up`.
    """
    return [
        clean_input.pair_up(scale, {t.name: t.trained_kbps for t in trials if t.scale == scale})
        for scale in sorted({t.scale for t in trials}, reverse=True)
    ]


def _codecs(
    config: ConfigDict, points: Sequence[Point], trained: Sequence[Trained], heavy: Sequence[Cost]
) -> Outcome:
    return codecs.describe(points, config.metrics)


def _stages(
    config: ConfigDict, points: Sequence[Point], trained: Sequence[Trained], heavy: Sequence[Cost]
) -> Outcome:
    return stages.describe(points, codec=config.codecs[0], metrics=config.metrics)


def _plane(
    config: ConfigDict, points: Sequence[Point], trained: Sequence[Trained], heavy: Sequence[Cost]
) -> Outcome:
    return plane.describe(
        points,
        codec=config.codecs[0],
        kbps=table_kbps(config),
        distortion=config.distortion,
        perception=config.perception,
    )


def table_kbps(config: ConfigDict) -> dict[int, int]:
    """The bitrate that tables are about, by scale."""
    return {4: config.kbps_4x, 2: config.kbps_2x}


def check(config: ConfigDict, trials: Sequence[Trial]) -> None:
    """Refuses what would be missed only after all is trained and measured.

    Raises:
      ValueError: there is no such network; `clean_input`'s are no pairs; a bitrate that tables
        are about, or a metric of a plane, is not measured; a plane's metrics are one; or it has
        no network that enlarges twice or four times.
    """
    scales = {trial.scale for trial in trials}
    if config.results == "clean_input":
        pairs(trials)
    models = {load_model(name).scale for name in config.models}
    if config.results == "plane":
        scales |= models
        if not scales & {2, 4}:
            raise ValueError(f"networks of scales {sorted(scales)}; a plane is of those of 2 and 4")
        plane.check_axes(config.distortion, config.perception)
        for name in ("distortion", "perception"):
            if config[name] not in config.metrics:
                known = ", ".join(config.metrics)
                raise ValueError(f"{name} {config[name]!r}; metrics are {known}")
    for scale in sorted(scales & {2, 4}):
        if table_kbps(config)[scale] not in config.input_kbps:
            known = ", ".join(map(str, config.input_kbps))
            raise ValueError(f"kbps_{scale}x {table_kbps(config)[scale]}; input_kbps are {known}")


Describe = Callable[[ConfigDict, Sequence[Point], Sequence[Trained], Sequence[Cost]], Outcome]
# A config's `results` -> what makes them.
RESULTS: dict[str, Describe] = {
    "equal_compute": _equal_compute,
    "ablations": _ablations,
    "training_bitrate": _training_bitrate,
    "clean_input": _clean_input,
    "codecs": _codecs,
    "stages": _stages,
    "plane": _plane,
}
