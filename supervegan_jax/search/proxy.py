"""A candidate's short training, and its scores on held-out frames."""

import contextlib
import copy
import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from supervegan_jax import build, job
from supervegan_jax.data.records import read_preparation
from supervegan_jax.data.validation import ValidationClip, history, windows
from supervegan_jax.pretrained.packaged_weights import load_lpips_params
from supervegan_jax.search.space import Point, model_of, point_of
from supervegan_jax.training.evaluation import Evaluator
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.state import TrainState
from supervegan_jax.training.workdir import locked

# (step, PSNR, LPIPS), told while a candidate trains; may raise to stop it.
Report = Callable[[int, float, float], None]


def proxy_config(base: ConfigDict, point: Point, steps: int) -> ConfigDict:
    """The base's training made short, with a candidate's network.

    Every phase, and the warm-up at its beginning, is shortened by the same factor: equal steps for
    all candidates, the paper's unit. All see the same patches in the same order, and what a larger
    network takes longer is not counted twice, since time is an axis of its own.

    Args:
      base: of the full training.
      point: the candidate.
      steps: of the whole short training.

    Raises:
      ValueError: not a step for every phase.
    """
    config = copy.deepcopy(base)
    config.model.update(model_of(base.model.to_dict(), point))
    names = [name for name in config.phase_names if config.phases[name].steps]
    lengths = [config.phases[name].steps for name in names]
    ends = [round(steps * sum(lengths[: i + 1]) / sum(lengths)) for i in range(len(lengths))]
    for name, first, end in zip(names, [0, *ends], ends, strict=False):
        if end <= first:
            raise ValueError(f"--steps {steps} leaves the phase {name!r} none; take more")
        config.phases[name].steps = end - first
    config.optimizer.warmup_steps = round(base.optimizer.warmup_steps * steps / sum(lengths))
    rung = rungs(build.build_phases(config))[0]
    config.evaluate_every = rung
    config.checkpoint_every = rung
    config.keep_checkpoints = 1
    return config


def rungs(phases: tuple[Phase, ...]) -> tuple[int, ...]:
    """The steps at which a candidate may be stopped: half and all of the first phase."""
    first = phases[0].end
    return tuple(sorted({max(1, first // 2), first} - {phases[-1].end})) or (first,)


def key(point: Point) -> str:
    """A name for a candidate's folder."""
    return hashlib.sha256(json.dumps(point, sort_keys=True).encode()).hexdigest()[:16]


@dataclasses.dataclass
class Proxy:
    """Trains candidates one after the other.

    Attributes:
      base: the full training's configuration, with records.
      steps: of a candidate's training.
      frames: held-out frames scored, spread over all.
      workdir: gets `candidates/KEY/` with `log.txt`, `metrics.jsonl` and, while it trains,
        checkpoints.
    """

    base: ConfigDict
    steps: int
    frames: int
    workdir: Path

    def check(self) -> None:
        """Raises `ValueError` if the records or the number of steps do not serve, at no cost."""
        proxy_config(self.base, point_of(self.base.model), self.steps)
        preparation = read_preparation(self.base.data.records)
        preparation.check(scale=self.base.model.scale, patch_size=self.base.data.patch_size)
        if not preparation.validation:
            raise ValueError(f"{preparation.directory} holds no frames out (data_prep's --holdout)")

    @cached_property
    def clips(self) -> list[ValidationClip]:
        """The held-out frames that are scored."""
        records = Path(self.base.data.records)
        config = copy.deepcopy(self.base)
        config.evaluation_frames = -(-self.frames // len(read_preparation(records).validation))
        return spread(job.load_held_out(config, records), self.frames)

    @cached_property
    def _lpips_params(self) -> dict[str, Any]:
        return load_lpips_params("alexnet")

    def train(self, point: Point, report: Report) -> tuple[float, float]:
        """Trains a candidate, or goes on with one that was interrupted.

        Args:
          point: the candidate.
          report: is told the scores at every rung.

        Returns:
          PSNR (dB) and LPIPS of the last stage.

        Raises:
          NotFinite: the training diverged.
          Terminated: a signal arrived; the state is saved.
        """
        config = proxy_config(self.base, point, self.steps)
        phases = build.build_phases(config)
        system = build.build_system(config, phases)
        evaluator = Evaluator(system.generator, self._lpips_params)

        def score(state: TrainState, stage: str) -> tuple[float, float]:
            examples = ((history(clip), windows(clip), clip.hr) for clip in self.clips)
            scores = evaluator.evaluate(state.ema, examples, stage)
            return scores[f"stage_{stage}_psnr"], scores[f"stage_{stage}_lpips"]

        def evaluate(state: TrainState, phase: Phase) -> dict[str, float]:
            step = int(state.step)
            if step not in rungs(phases) or step == phases[-1].end:
                return {}
            psnr, lpips = score(state, phase.stage)
            report(step, psnr, lpips)
            return {"psnr": psnr, "lpips": lpips}

        folder = self.workdir / "candidates" / key(point)
        with locked(folder, wait=True), _quiet(folder / "log.txt"):
            records, metadata = Path(config.data.records), {"point": point}
            state = job.run_phases(config, folder, records, system, phases, evaluate, metadata)
            return score(state, "b")

    def forget(self, point: Point) -> None:
        """Removes a candidate's checkpoints, once nothing will go on from them."""
        folder = self.workdir / "candidates" / key(point)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def spread(clips: Sequence[ValidationClip], frames: int) -> list[ValidationClip]:
    """At most so many clips, evenly spread."""
    kept = np.linspace(0, len(clips) - 1, min(frames, len(clips))).round().astype(int)
    return [clips[index] for index in kept]


@contextlib.contextmanager
def _quiet(path: Path) -> Any:
    """Sends what training prints to a file: several candidates train at once."""
    with (
        path.open("a", encoding="utf-8") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        yield
