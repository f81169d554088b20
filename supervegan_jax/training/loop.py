"""The training loop: phase after phase, any iterator of batches, resumable at every step."""

import signal
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
from supervegan_jax.training.state import (
    Params,
    TrainState,
    begin_phase,
    create_state,
    state_shapes,
)
from supervegan_jax.training.step import train_step
from supervegan_jax.training.system import System
from supervegan_jax.training.workdir import stop_flag

Batches = Callable[[Phase, int], Iterator[dict[str, np.ndarray]]]
Evaluate = Callable[[TrainState, Phase], dict[str, float]]


class Terminated(Exception):
    """A signal arrived and the state was saved.

    Attributes:
      exit_code: of a process that ends by that signal.
    """

    def __init__(self, signum: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}, saved at step {step}")
        self.exit_code = 128 + signum


class NotFinite(ValueError):
    """A loss is not finite; the last checkpoint is kept."""


@dataclass(frozen=True)
class LoopOptions:
    """How often the loop reports and saves, in steps; 0 means only at the end of a phase."""

    log_every: int = 20
    evaluate_every: int = 0
    checkpoint_every: int = 500
    keep_checkpoints: int = 2


def _is_due(step: int, phase: Phase, every: int) -> bool:
    """Whether what is done every so many steps, and at a phase's end, is done after this one."""
    return step == phase.end or bool(every and step % every == 0)


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
    load_initial: Callable[[], Params | None] = lambda: None,
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
      load_initial: gives the parameters that the generator of a new run starts from; None is
        random ones.

    Returns:
      The final state, on the devices.

    Raises:
      NotFinite: a loss is not finite.
      ValueError: a checkpoint is of another model, or of a step after the last phase.
      Terminated: SIGTERM or SIGINT arrived; the state is saved.
    """
    with closing(Checkpoints(workdir / "checkpoints", options.keep_checkpoints)) as checkpoints:
        state, step = _begin(checkpoints, system, scale, frozen, load_initial)
        if step > phases[-1].end:
            raise ValueError(
                f"{workdir} is at step {step}, after the {phases[-1].end} steps of the config's "
                "phases; take another --workdir for fewer"
            )
        frozen = parallel.place_state(frozen)
        save = partial(_save, checkpoints, metadata)
        with closing(MetricWriter(workdir, first_step=step)) as writer, stop_flag() as stopped:
            if step and not writer.scored(step):  # stopped between a checkpoint and its scores
                phase = phase_at(phases, step - 1)
                if _is_due(step, phase, options.evaluate_every):
                    scores = evaluate(parallel.place_state(state), phase)
                    writer.write_scores(step, phase.name, scores)
            while step < phases[-1].end and not stopped:
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
            if stopped:  # while the last scores were computed
                raise Terminated(stopped[0], step)
    return state


def _begin(
    checkpoints: Checkpoints,
    system: System,
    scale: int,
    frozen: dict[str, Any],
    load_initial: Callable[[], Params | None],
) -> tuple[TrainState, int]:
    """The newest checkpoint's state and step, or those of a new run."""
    if checkpoints.steps():
        state, step = checkpoints.restore(state_shapes(system, scale=scale, frozen=frozen))
        print(f"going on from the checkpoint of step {step} in {checkpoints.directory.parent}")
        return state, step
    initial = load_initial()
    state = create_state(system, scale=scale, seed=system.seed, initial=initial, frozen=frozen)
    return state, 0


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
        stopped: list[int],
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
                evaluating = _is_due(step, self.phase, self.options.evaluate_every)
                # Saved before evaluating too: a SIGTERM may leave no time to finish that.
                saving = evaluating or _is_due(step, self.phase, self.options.checkpoint_every)
                if saving or stopped:
                    last_log = self._report(*waiting, bar, last_log)
                    waiting = None
                    save(state, self.phase)
                    if stopped:
                        raise Terminated(stopped[0], step)
                if evaluating:
                    scores = self.evaluate(state, self.phase)
                    self.writer.write_scores(step, self.phase.name, scores)
        return state

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
        if not _is_due(step, self.phase, self.options.log_every):
            return last_log
        now = time.monotonic()
        rate = (step - last_log[0]) / max(now - last_log[1], 1e-9)
        self.writer.write(step, {"phase": self.phase.name, "steps_per_second": rate, **values})
        return step, now
