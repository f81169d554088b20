"""Training cost counted in multiply-accumulates, and the steps that a budget of them buys."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from supervegan_jax import build
from supervegan_jax.ops.counting import count_macs
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.state import Params, state_shapes
from supervegan_jax.training.step import train_step
from supervegan_jax.training.system import System


def step_macs(config: ConfigDict) -> dict[str, int]:
    """Multiply-accumulates of one step of every phase: forward, backward, all losses' networks.

    Nothing is computed: the step that trains is traced and its convolutions and matrix products
    are counted, see `count_macs`.

    Raises:
      ValueError: the config describes no training.
    """
    phases = build.build_phases(config)
    system = build.build_system(config, phases)
    frozen = build.load_frozen(config, phases)
    shapes = {
        name: jax.ShapeDtypeStruct(shape, jnp.uint8)
        for name, shape in build.batch_shapes(config).items()
    }
    return {
        phase.name: macs_of_step(system, phase, shapes, frozen, config.model.scale)
        for phase in phases
    }


def macs_of_step(
    system: System, phase: Phase, batch: dict[str, Any], frozen: Params, scale: int
) -> int:
    """The multiply-accumulates of `train_step` in this phase.

    Args:
      system: what is trained.
      phase: of the training.
      batch: shapes of "lr" and "hr".
      frozen: parameters of the pretrained network.
      scale: the generator's upsampling factor.
    """
    state = state_shapes(system, scale=scale, frozen=frozen)
    return count_macs(partial(train_step, system=system, phase=phase), state, batch, frozen)


def total_macs(config: ConfigDict, macs: dict[str, int]) -> int:
    """What the whole training of a config costs.

    Args:
      config: of the training.
      macs: its `step_macs`.
    """
    return sum(phase.steps * macs[phase.name] for phase in build.build_phases(config))


def fit_steps(config: ConfigDict, macs: dict[str, int], budget: float) -> None:
    """Changes the phases' steps so that training costs the budget, their proportion kept.

    Steps are rounded down; a phase that the config has keeps at least one.

    Args:
      config: of the training; changed.
      macs: its `step_macs`.
      budget: multiply-accumulates.

    Raises:
      ValueError: the budget does not pay the phases, of which each takes at least a step.
    """
    share = budget / total_macs(config, macs)
    wanted = {name: config.phases[name].steps for name in config.phase_names}
    for name, steps in wanted.items():
        config.phases[name].steps = max(int(steps * share), min(steps, 1))
    if total_macs(config, macs) > budget:
        raise ValueError(
            f"a budget of {budget / 1e12:g} TMAC does not pay {config.model.name}'s phases; "
            f"{total_macs(config, macs) / 1e12:.3g} are needed for a step of each"
        )
