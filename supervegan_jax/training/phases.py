"""The phases of progressive training (III-B): what is trained, on which losses, how blended."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

ABLATIONS = ("", "no_prog", "no_mse_a")


@dataclass(frozen=True)
class Phase:
    """One phase, static while it runs: each phase compiles its own step.

    Attributes:
      name: shown in the progress bar and in every log line.
      first_step: the global step it begins at.
      steps: how many steps it lasts.
      trains: the generator's parameter groups it changes.
      alpha: the blending parameter at its first step and the value it moves to (Eq. 5).
      weights: (term, weight) pairs of the generator's loss (Eq. 6).
      since: the global step from which on each group of `trains` has been trained, by this phase
        or one before it; () is `first_step` for all.
    """

    name: str
    first_step: int
    steps: int
    trains: tuple[str, ...]
    alpha: tuple[float, float]
    weights: tuple[tuple[str, float], ...]
    since: tuple[int, ...] = ()

    def trained_since(self, group: str) -> int:
        """The global step from which on a group of `trains` has been trained."""
        return dict(zip(self.trains, self.since, strict=False)).get(group, self.first_step)

    @property
    def end(self) -> int:
        """The global step after its last."""
        return self.first_step + self.steps

    @property
    def adversarial(self) -> bool:
        """Whether the discriminator takes part."""
        return dict(self.weights).get("adversarial", 0.0) != 0.0

    @property
    def stage(self) -> str:
        """The last stage the generator has to compute."""
        return "a" if self.trains == ("stage_a",) else "b"

    def blend_alpha(self, step: jax.Array | int) -> jax.Array:
        """The blending parameter at a global step: linear over the phase, float32 scalar."""
        start, end = self.alpha
        done = (jnp.asarray(step) - self.first_step).astype(jnp.float32) / max(self.steps, 1)
        return jnp.float32(start) + jnp.float32(end - start) * jnp.clip(done, 0.0, 1.0)


def make_phases(
    names: Sequence[str], fields: Mapping[str, Mapping[str, Any]], ablation: str = ""
) -> tuple[Phase, ...]:
    """Lays the phases one after the other.

    Args:
      names: the order of the phases.
      fields: for each name `steps`, `trains`, `alpha` (start, end) and `weights` by term.
      ablation: "no_prog" trains everything with all losses from step 0 and no blending, for as
        many steps in all (V-F1); a loss that several phases have weighs as in the last of them.
        "no_mse_a" drops the loss on stage A after the first phase.

    Raises:
      ValueError: a name without fields, a negative length, no step at all, nothing to train, a
        blending parameter outside of 0 to 1, a negative weight or an unknown ablation.
    """
    if ablation not in ABLATIONS:
        raise ValueError(f"ablation {ablation!r}; accepted are {', '.join(map(repr, ABLATIONS))}")
    phases: list[Phase] = []
    since: dict[str, int] = {}
    step = 0
    for name in names:
        if name not in fields:
            raise ValueError(f"phase {name!r} is not defined; defined are {sorted(fields)}")
        values = fields[name]
        _check(name, values)
        weights = dict(values["weights"])
        if ablation == "no_mse_a" and phases:
            weights |= dict.fromkeys(("mse_a", "mse_a_enlarged", "flicker_a_enlarged"), 0.0)
        trains = tuple(values["trains"])
        for group in trains:
            since.setdefault(group, step)
        phase = Phase(
            name,
            step,
            int(values["steps"]),
            trains,
            (float(values["alpha"][0]), float(values["alpha"][1])),
            tuple(sorted((term, float(weight)) for term, weight in weights.items())),
            tuple(since[group] for group in trains),
        )
        phases.append(phase)
        step = phase.end
    if step == 0:
        raise ValueError("the phases have no steps at all")
    phases = [phase for phase in phases if phase.steps]
    return (_all_at_once(phases),) if ablation == "no_prog" else tuple(phases)


def _all_at_once(phases: Sequence[Phase]) -> Phase:
    """One phase as long as all, with everything they train and all their losses."""
    weights: dict[str, float] = {}
    for phase in phases:
        for term, weight in phase.weights:
            weights[term] = weight or weights.get(term, 0.0)
    return Phase(
        phases[-1].name,
        0,
        phases[-1].end,
        tuple(dict.fromkeys(group for phase in phases for group in phase.trains)),
        (1.0, 1.0),
        tuple(sorted(weights.items())),
    )


def _check(name: str, values: Mapping[str, Any]) -> None:
    if values["steps"] < 0:
        raise ValueError(f"phase {name!r} has {values['steps']} steps; 0 or more are accepted")
    if not values["trains"]:
        raise ValueError(f"phase {name!r} trains nothing; name groups of the generator")
    alpha = tuple(values["alpha"])
    numbers = all(isinstance(value, int | float) for value in alpha)
    if len(alpha) != 2 or not numbers or not all(0 <= value <= 1 for value in alpha):
        raise ValueError(f"alpha of phase {name!r} is {alpha}; two numbers of 0 to 1 are accepted")
    for term, weight in values["weights"].items():
        if not 0 <= weight < math.inf:
            raise ValueError(
                f"weight {term!r} of phase {name!r} is {weight}; 0 or more is accepted"
            )


def phase_at(phases: Sequence[Phase], step: int) -> Phase:
    """The phase a global step belongs to.

    Raises:
      ValueError: the step lies outside every phase.
    """
    for phase in phases:
        if phase.first_step <= step < phase.end:
            return phase
    raise ValueError(f"step {step} lies outside the {phases[-1].end} steps of training")
