"""The training loop: phase after phase, any iterator of batches, resumable at every step."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from supervegan_jax.training.checkpoints import Checkpoints
from supervegan_jax.training.metric_writer import MetricWriter
from supervegan_jax.training.parallel import Parallel
from supervegan_jax.training.phases import Phase, phase_at
from supervegan_jax.training.state import Params, TrainState, begin_phase, create_state
from supervegan_jax.training.step import train_step
from supervegan_jax.training.system import System
from supervegan_jax.training.workdir import stop_flag

Batches = Callable[[Phase, int], Iterator[dict[str, np.ndarray]]]
Evaluate = Callable[[TrainState, Phase], dict[str, float]]


class Terminated(Exception):
    """SIGTERM arrived; the state was saved."""


class NotFinite(ValueError):
    """A loss is not finite; the last checkpoint is kept."""


@dataclass(frozen=True)
class LoopOptions:
    """How often the loop reports and saves, in steps; 0 means only at the end of a phase."""

    log_every: int = 20
    evaluate_every: int = 0
    checkpoint_every: int = 500
    keep_checkpoints: int = 2


def train(
    workdir: Path,
    system: System,
    phases: tuple[Phase, ...],
    parallel: Parallel,
    frozen: dict[str, Any],
    batches: Batches,
    evaluate: Evaluate,
    options: LoopOptions,
    *,
    scale: int,
    metadata: dict[str, Any],
    initial: Params | None = None,
) -> TrainState:
    """Trains to the end of the last phase, going on from the newest checkpoint.

    Args:
      workdir: gets `checkpoints/` and `metrics.jsonl`.
      system: what is trained.
      phases: in their order.
      parallel: the devices.
      frozen: parameters of the pretrained network.
      batches: (phase, first step) -> iterator of NumPy batches; the batch of a step must not
        depend on where the iterator began.
      evaluate: (state, phase) -> scores on held-out frames.
      options: how often things happen.
      scale: the generator's upsampling factor.
      metadata: JSON values kept beside every checkpoint.
      initial: parameters the generator of a new run starts from; None is random ones.

    Returns:
      The final state, on the devices.

    Raises:
      NotFinite: a loss is not finite.
      ValueError: a checkpoint is of another model.
      Terminated: SIGTERM arrived; the state is saved.
    """
    checkpoints = Checkpoints(workdir / "checkpoints", options.keep_checkpoints)
    state = create_state(system, scale=scale, seed=system.seed, initial=initial, frozen=frozen)
    step = 0
    if checkpoints.steps():
        state, step = checkpoints.restore(state)
        print(f"going on from the checkpoint of step {step} in {workdir}")
    frozen = parallel.place_state(frozen)
    writer = MetricWriter(workdir, first_step=step)

    with closing(checkpoints), closing(writer), stop_flag() as stopped:
        save = partial(_save, checkpoints, metadata)
        while step < phases[-1].end:
            phase = phase_at(phases, step)
            title = f"phase {phases.index(phase) + 1}/{len(phases)} {phase.name}"
            run = _PhaseRun(phase, title, system, parallel, frozen, writer, evaluate, options)
            source = batches(phase, step)
            state = parallel.place_state(begin_phase(system, state, phase))
            try:
                state = run.train(state, step, source, save, stopped)
            finally:
                _close(source)
            step = phase.end
    return state


def _close(source: Iterator[Any]) -> None:
    """Ends a source that works ahead in a thread; a plain iterator has nothing to end."""
    if hasattr(source, "close"):
        source.close()


def _save(
    checkpoints: Checkpoints, metadata: dict[str, Any], state: TrainState, phase: Phase
) -> None:
    step = int(state.step)
    checkpoints.save(state, step, {**metadata, "phase": phase.name})


@dataclass
class _PhaseRun:
    """One phase of one run: compiles its step once, then takes it again and again."""

    phase: Phase
    title: str
    system: System
    parallel: Parallel
    frozen: dict[str, Any]
    writer: MetricWriter
    evaluate: Evaluate
    options: LoopOptions

    def train(
        self,
        state: TrainState,
        first_step: int,
        source: Iterator[dict[str, np.ndarray]],
        save: Callable[[TrainState, Phase], None],
        stopped: list[bool],
    ) -> TrainState:
        """Takes the phase's steps from `first_step` on, and saves at its end."""
        batch = self.parallel.place_batch(next(source))
        step_fn = self._compile(state, batch, first_step)
        bar = tqdm(
            desc=self.title,
            total=self.phase.steps,
            initial=first_step - self.phase.first_step,
            unit="step",
            file=sys.stderr,
        )
        waiting: tuple[int, dict[str, jax.Array]] | None = None
        last_log = (first_step, time.monotonic())
        with bar:
            for step in range(first_step + 1, self.phase.end + 1):
                state, metrics = step_fn(state, batch, self.frozen)
                if step < self.phase.end:
                    batch = self.parallel.place_batch(next(source))
                # The losses of the step before are ready while this step runs.
                if waiting is not None:
                    last_log = self._report(*waiting, bar, last_log)
                waiting = (step, metrics)
                bar.update()
                evaluating = self._due(step, self.options.evaluate_every)
                # Saved before evaluating too: a SIGTERM may leave no time to finish that.
                if evaluating or self._due(step, self.options.checkpoint_every) or stopped:
                    last_log = self._report(*waiting, bar, last_log)
                    waiting = None
                    save(state, self.phase)
                    if stopped:
                        raise Terminated(f"stopped by SIGTERM, saved at step {step}")
                if evaluating:
                    scores = self.evaluate(state, self.phase)
                    self.writer.write(step, {"phase": self.phase.name, **scores})
        return state

    def _due(self, step: int, every: int) -> bool:
        return step == self.phase.end or bool(every and step % every == 0)

    def _compile(self, state: TrainState, batch: Any, step: int) -> Any:
        start = time.monotonic()
        pure = partial(train_step, system=self.system, phase=self.phase)
        compiled, macs = self.parallel.compile(pure, state, batch, self.frozen)
        seconds = time.monotonic() - start
        print(f"{self.title}: compiled in {seconds:.1f} s, {macs / 1e9:.1f} GMAC a step")
        record = {"phase": self.phase.name, "compile_seconds": seconds, "macs_per_step": macs}
        self.writer.write(step, record)
        return compiled

    def _report(
        self,
        step: int,
        metrics: dict[str, jax.Array],
        bar: Any,
        last_log: tuple[int, float],
    ) -> tuple[int, float]:
        """Checks one step's losses, shows them and logs them when due; returns the last log."""
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        bad = [name for name, value in values.items() if not np.isfinite(value)]
        if bad:
            raise NotFinite(
                f"{', '.join(sorted(bad))} is not finite at step {step} of phase "
                f"{self.phase.name!r}; the last checkpoint is kept"
            )
        # tqdm's own refresh interval keeps the terminal quiet.
        shown = [n for n in values if n not in ("learning_rate", "gradient_norm", "total")]
        bar.set_postfix({name: f"{values[name]:.3g}" for name in shown}, refresh=False)
        if not self._due(step, self.options.log_every):
            return last_log
        now = time.monotonic()
        rate = (step - last_log[0]) / max(now - last_log[1], 1e-9)
        self.writer.write(step, {"phase": self.phase.name, "steps_per_second": rate, **values})
        return step, now
