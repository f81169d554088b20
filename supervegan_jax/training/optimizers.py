"""Adam and the learning rate over the whole run (networks' defaults, III-B)."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from supervegan_jax.training.phases import Phase

Schedule = Callable[[jax.Array], jax.Array]
SCHEDULES = ("drop", "cosine", "constant")


def make_schedule(
    phases: Sequence[Phase],
    *,
    kind: str,
    learning_rate: float,
    final_learning_rate: float,
    warmup_steps: int = 0,
    drop_step: int | None = None,
) -> Schedule:
    """The learning rate as a function of the global step.

    Args:
      phases: the phases of the run.
      kind: "drop" falls to the final rate at `drop_step`; "cosine" falls along a half cosine over
        the run; "constant" never falls.
      learning_rate: after the warm-up.
      final_learning_rate: where it falls to.
      warmup_steps: linear rise from 0 at the beginning of every phase.
      drop_step: None is halfway through the last phase.

    Raises:
      ValueError: an unknown kind or a rate that is not positive.
    """
    if kind not in SCHEDULES:
        raise ValueError(f"learning rate schedule {kind!r}; accepted are {', '.join(SCHEDULES)}")
    if not (0 < learning_rate < math.inf and 0 < final_learning_rate < math.inf):
        raise ValueError(
            f"learning rates {learning_rate} and {final_learning_rate}; both must be positive"
        )
    end = phases[-1].end
    drop = halfway(phases[-1]) if drop_step is None else drop_step
    starts = np.array([phase.first_step for phase in phases])

    def schedule(step: jax.Array) -> jax.Array:
        s = step.astype(jnp.float32)
        if kind == "drop":
            rate = jnp.where(step < drop, learning_rate, final_learning_rate)
        elif kind == "cosine":
            fall = 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(s / end, 0, 1)))
            rate = final_learning_rate + (learning_rate - final_learning_rate) * fall
        else:
            rate = jnp.asarray(learning_rate)
        begun = jnp.max(jnp.where(step >= starts, starts, 0))
        rise = jnp.minimum(1.0, (step - begun + 1) / max(warmup_steps, 1))
        return (rate * rise).astype(jnp.float32)

    return schedule


def halfway(phase: Phase) -> int:
    """The global step in the middle of a phase."""
    return phase.first_step + phase.steps // 2


def make_optimizer(b1: float, b2: float, max_gradient_norm: float) -> optax.GradientTransformation:
    """Adam's direction, without the learning rate, which the step multiplies in.

    Args:
      b1, b2: Adam's decays.
      max_gradient_norm: gradients longer than this are scaled down to it, those of each group of
        parameters by itself; 0 leaves them.
    """
    adam = optax.scale_by_adam(b1, b2)
    if max_gradient_norm:
        return optax.chain(optax.clip_by_global_norm(max_gradient_norm), adam)
    return adam
