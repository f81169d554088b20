"""What the trials of a study say: the front, the correlations, the network to choose."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from supervegan_jax.experiments.pareto import pareto_front
from supervegan_jax.search.space import Point

COSTS: Final = ("ms", "macs")
# Two timings of one network beside itself differed by so much, and by more on a busy machine.
_TIMING_NOISE: Final = 1.02


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A network that was trained to the end of its short training.

    Attributes:
      number: of its trial.
      point: its searched fields.
      psnr: dB, of held-out frames.
      lpips: of the same.
      ms: a frame of 1280x720 takes, on the scale of the base network's.
      macs: of that frame.
      parameters: it learns.
      seed: whether the search began with it.
      rungs: PSNR and LPIPS at the steps where hopeless candidates are stopped.
    """

    number: int
    point: Point
    psnr: float
    lpips: float
    ms: float
    macs: int
    parameters: int
    seed: bool
    rungs: dict[int, tuple[float, float]]

    def axes(self, cost: str) -> tuple[float, float, float]:
        """What the front is of, larger being better; `cost` is "ms" or "macs"."""
        return self.psnr, -self.lpips, -float(getattr(self, cost))


def candidates(trials: Sequence[FrozenTrial]) -> list[Candidate]:
    """The completed ones of a study's trials."""
    return [_read(trial) for trial in trials if trial.state == TrialState.COMPLETE]


def _read(trial: FrozenTrial) -> Candidate:
    psnr, lpips, ms = trial.values
    known: dict[str, Any] = trial.user_attrs
    rungs = {int(step): (x, y) for step, (x, y) in known.get("rungs", {}).items()}
    return Candidate(
        trial.number,
        trial.params,
        psnr,
        lpips,
        ms,
        known["macs"],
        known["parameters"],
        known.get("seed", False),
        rungs,
    )


def pool(found: Sequence[Candidate], cost: str) -> list[Candidate]:
    """Those on the Pareto front of PSNR, LPIPS and cost."""
    on_front = pareto_front([candidate.axes(cost) for candidate in found])
    return [candidate for candidate, is_on in zip(found, on_front, strict=True) if is_on]


def correlations(found: Sequence[Candidate]) -> dict[str, dict[str, float | None]]:
    """Pearson's coefficient of every searched field with PSNR, LPIPS and ms.

    Returns:
      {field: {"psnr": .., "lpips": .., "ms": ..}}; None where either does not vary.
    """
    fields = list(found[0].point) if found else []
    return {
        field: {
            measure: pearson(
                [candidate.point[field] for candidate in found],
                [getattr(candidate, measure) for candidate in found],
            )
            for measure in ("psnr", "lpips", "ms")
        }
        for field in fields
    }


def pearson(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Pearson's correlation coefficient; None if either is constant."""
    a, b = (np.asarray(values, float) - np.mean(values) for values in (x, y))
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size else None


def choose(found: Sequence[Candidate], base: Point, cost: str) -> Candidate | None:
    """The network to train fully: better than the base network at its cost.

    Of the front's networks that cost no more than the base network (ms: 2 % more, as much as
    timings differ) and have no lower PSNR, the one with the lowest LPIPS. That may be the base
    itself. If that did not complete, the front's lowest LPIPS.
    """
    front = pool(found, cost)
    before = next((candidate for candidate in found if candidate.point == base), None)
    if before is not None:
        limit = getattr(before, cost) * (_TIMING_NOISE if cost == "ms" else 1)
        front = [c for c in front if getattr(c, cost) <= limit and c.psnr >= before.psnr]
        front = front or [before]
    return min(front, key=lambda candidate: candidate.lpips, default=None)
