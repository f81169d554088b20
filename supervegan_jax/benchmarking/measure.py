"""One record a network, stage and size: everything that is measured of it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from supervegan_jax import build
from supervegan_jax.benchmarking import table
from supervegan_jax.benchmarking.against_pytorch import compare_forward, compare_training, load_twin
from supervegan_jax.benchmarking.counts import (
    OUTPUT_HEIGHT,
    OUTPUT_WIDTH,
    count_parameters,
    frame_macs,
)
from supervegan_jax.benchmarking.end_to_end import make_input, seconds_of_a_frame
from supervegan_jax.benchmarking.forward import Forward, prepare_forward
from supervegan_jax.benchmarking.limits import Limits, measure_limits
from supervegan_jax.benchmarking.networks import config_file
from supervegan_jax.benchmarking.training import time_step
from supervegan_jax.config_file import load_config
from supervegan_jax.enhancement.options import DTYPES, RunOptions, memory_budget, resolve
from supervegan_jax.models.supervegan import SuperVegan
from supervegan_jax.weights.model_file import LoadedModel

OUTPUT = (OUTPUT_HEIGHT, OUTPUT_WIDTH)
# Above it a frame takes a CPU seconds, and a batch of patches its memory: one is taken of each.
_HEAVY_MACS = 50e9


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is measured, and how long each.

    Attributes:
      outputs: heights and widths.
      stages: of "a" and "b".
      measures: of "forward", "end-to-end" and "training".
      against_pytorch: also time the twin.
      batch_size: frames enhanced together; None is what `enhance` takes.
      dtype: of features; None is the device's best.
      seconds: of each measurement.
      folder: for videos.
    """

    outputs: tuple[tuple[int, int], ...]
    stages: tuple[str, ...]
    measures: tuple[str, ...]
    against_pytorch: bool
    batch_size: int | None
    dtype: str | None
    seconds: float
    folder: Path


def count(model: LoadedModel) -> dict[str, Any]:
    """What is known without measuring: parameters and MACs of a frame of 1280x720."""
    return {
        "model": model.card["name"],
        "parameters": count_parameters(model.generator),
        "macs": frame_macs(model.generator, _stages(model)[-1]),
    }


def measure(
    models: Sequence[LoadedModel],
    plan: Plan,
    keep: Callable[[list[dict[str, Any]]], None] = lambda _: None,
) -> tuple[list[dict[str, Any]], Limits]:
    """Measures the machine and then the networks, and prints each record when it is there.

    Args:
      models: the networks.
      plan: what is measured.
      keep: gets all records so far whenever there is one more.

    Raises:
      ValueError: the plan does not fit a network, or the machine lacks the twin.
    """
    _check(models, plan)
    dtype = resolve(RunOptions(dtype=plan.dtype, batch_size=None)).dtype or "float32"
    limits = measure_limits(DTYPES[dtype], plan.seconds)
    print(
        f"{limits.macs / 1e9:.0f} GMAC/s in a {jnp.dtype(DTYPES[dtype]).name} matrix product, "
        f"{limits.bytes / 1e9:.1f} GB/s in a copy"
    )
    print(table.header())
    found: list[dict[str, Any]] = []
    for model in models:
        for record in records(model, plan, limits):
            record |= {"limit_gmacs": limits.macs / 1e9, "limit_gbytes": limits.bytes / 1e9}
            found.append(record)
            keep(found)
            print(table.line(record), flush=True)
    return found, limits


def _check(models: Sequence[LoadedModel], plan: Plan) -> None:
    """Refuses at once what would be told after minutes, or not at all."""
    for model in models:
        if not set(_stages(model)) & set(plan.stages):
            raise ValueError(
                f"--stage {' '.join(plan.stages)}: {model.card['name']} has stage "
                f"{' and '.join(_stages(model))} alone"
            )
    if "forward" not in plan.measures and OUTPUT not in plan.outputs:
        size = f"{OUTPUT_WIDTH}x{OUTPUT_HEIGHT}"
        raise ValueError(f"--measure {' '.join(plan.measures)} is of --output-size {size} alone")
    if plan.against_pytorch and any(_has_twin(m, s) for m in models for s in plan.stages):
        load_twin()


def _stages(model: LoadedModel) -> tuple[str, ...]:
    generator: Any = model.generator
    return generator.stages if model.exported is None else (model.exported.stage,)


def records(model: LoadedModel, plan: Plan, limits: Limits) -> Iterator[dict[str, Any]]:
    """Measures a network, record by record.

    Raises:
      ValueError: the plan does not fit the network.
    """
    for stage in plan.stages:
        if stage not in _stages(model):
            continue
        macs = frame_macs(model.generator, stage)
        for output in plan.outputs:
            size = output[0] // model.scale, output[1] // model.scale
            record = {
                "model": model.card["name"],
                "stage": stage,
                "size": f"{size[1]}x{size[0]}",
                "output": f"{output[1]}x{output[0]}",
                "device": jax.local_devices()[0].device_kind,
                "parameters": count_parameters(model.generator),
                "macs": macs,
                "macs_per_pixel": macs * model.scale**2 / (OUTPUT_HEIGHT * OUTPUT_WIDTH),
            }
            heavy = macs * output[0] * output[1] / (OUTPUT_HEIGHT * OUTPUT_WIDTH) > _HEAVY_MACS
            if "forward" in plan.measures:
                record |= _forward(model, stage, size, plan, limits, heavy)
            if output == OUTPUT:  # of the others there is no clip, and a patch has one size
                record |= _whole(model, stage, size, plan, record)
            yield record


def _forward(
    model: LoadedModel,
    stage: str,
    size: tuple[int, int],
    plan: Plan,
    limits: Limits,
    heavy: bool,
) -> dict[str, Any]:
    device = jax.local_devices()[0]
    single = 1 if heavy and device.platform == "cpu" else None
    forward = prepare_forward(model, stage, size, plan.batch_size or single, plan.dtype)
    peak = forward.peak_memory
    record: dict[str, Any] = {
        "batch_size": forward.frames,
        "compile_seconds": forward.compile_seconds,
        "peak_memory_mb": None if peak is None else peak / 1e6,
        "ms_per_frame": None,
    }
    if peak is not None and peak > memory_budget(device):
        return record  # `enhance` would cut it into tiles
    if plan.against_pytorch and _has_twin(model, stage):
        times = compare_forward(model, forward.run, forward.frames, size, plan.seconds)
        seconds = times.ours
        record |= {
            "pytorch_ratio": times.ratio,
            "pytorch_eager_ms": 1e3 * times.eager,
            "pytorch_compiled_ms": 1e3 * times.compiled,
        }
    else:
        seconds = forward.seconds(plan.seconds)
    return record | {"ms_per_frame": 1e3 * seconds} | _efficiency(forward, seconds, limits)


def _has_twin(model: LoadedModel, stage: str) -> bool:
    """Whether PyTorch's layers of it exist: of SUPERVEGAN, both stages together."""
    return stage == "b" and model.exported is None and isinstance(model.generator, SuperVegan)


def _efficiency(forward: Forward, seconds: float, limits: Limits) -> dict[str, Any]:
    if not forward.macs:
        return {}
    return {
        "gmacs_per_second": forward.macs / seconds / 1e9,
        "macs_per_byte": forward.macs / forward.bytes,
        "fraction_of_limit": limits.least_seconds(forward.macs, forward.bytes) / seconds,
    }


def _whole(
    model: LoadedModel, stage: str, size: tuple[int, int], plan: Plan, record: dict[str, Any]
) -> dict[str, Any]:
    """End to end, and the step of training."""
    measured: dict[str, Any] = {}
    if "end-to-end" in plan.measures:
        path = make_input(size, plan.folder)
        expected = record.get("ms_per_frame") or 1e3
        frames = min(125, max(8, round(1e3 * plan.seconds / expected)))
        options = RunOptions(
            stage=stage,
            dtype=plan.dtype,
            batch_size=plan.batch_size,
            devices=(jax.local_devices()[0],),
        )
        measured["end_to_end_ms"] = 1e3 * seconds_of_a_frame(model, options, path, frames)
    config_path = config_file(record["model"])
    if "training" in plan.measures and config_path is not None:
        config = load_config(config_path)
        if record["macs"] > _HEAVY_MACS and jax.local_devices()[0].platform == "cpu":
            config.data.batch_size = len(jax.local_devices())
        phases = build.build_phases(config)
        # The first phase that computes the stage alone, and the last, with all losses.
        phase = phases[0] if stage == "a" else phases[-1]
        measured["training_patches_per_second"] = time_step(config, phases, phase, plan.seconds)
        measured["training_batch_size"] = config.data.batch_size
        measured["training_patch_size"] = config.data.patch_size
        if plan.against_pytorch and _has_twin(model, stage):
            measured["pytorch_training_ratio"] = compare_training(model, plan.seconds).ratio
    return measured
