"""Everything training changes, as one pytree."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from supervegan_jax.models import init_variables
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.system import System

Params = dict[str, Any]


class TrainState(NamedTuple):
    """What a checkpoint holds.

    Attributes:
      step: int32 scalar array, the number of finished steps.
      params: the generator's parameters, by group ("stage_a", "stage_b").
      ema: their exponential moving average, used for evaluation and export.
      moments: the optimizer's state of each group, begun when a phase first trains the group.
      discriminator: the discriminator's parameters ({} without one).
      discriminator_moments: its optimizer's state.
    """

    step: jax.Array
    params: Params
    ema: Params
    moments: dict[str, Any]
    discriminator: Params
    discriminator_moments: Any


def create_state(
    system: System,
    *,
    scale: int,
    seed: int,
    initial: Params | None = None,
    frozen: Params | None = None,
) -> TrainState:
    """Initialises a state; the same seed gives the same numbers.

    Args:
      system: the networks and optimizers.
      scale: the generator's upsampling factor.
      seed: of the initial weights.
      initial: parameters the generator starts from instead.
      frozen: parameters of the pretrained network, if the discriminator is shown its features.
    """
    key_generator, key_discriminator = jax.random.split(jax.random.key(seed))
    lr = jnp.zeros((1, 5, 16, 16, 3))
    params = initial or init_variables(system.generator, key_generator, lr)["params"]
    params = jax.tree.map(jnp.asarray, params)
    discriminator: Params = {}
    if system.discriminator is not None:
        # The fully connected layer sees 6x6 cells whatever the size, so any size will do here.
        hr = jnp.zeros((1, 16 * scale, 16 * scale, 3)) if scale > 2 else jnp.zeros((1, 64, 64, 3))
        shown = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype),
            jax.eval_shape(partial(system.shown, partial(system.features, frozen or {})), hr),
        )
        discriminator = init_variables(system.discriminator, key_discriminator, shown)["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.copy, params),
        moments={group: system.optimizer.init(values) for group, values in params.items()},
        discriminator=discriminator,
        discriminator_moments=system.optimizer.init(discriminator),
    )


def begin_phase(system: System, state: TrainState, phase: Phase) -> TrainState:
    """The state a phase begins with: its optimizer forgets the losses of the phase before.

    Adam divides by the size of past gradients. New, larger losses would make its first steps
    several times the learning rate, enough to undo what stage A has learned.

    Args:
      system: has the optimizer.
      state: as the phase before left it.
      phase: the one that begins; the state of a run resumed within it is returned as it is.
    """
    if int(state.step) != phase.first_step:
        return state
    trained = {group: system.optimizer.init(state.params[group]) for group in phase.trains}
    return state._replace(moments={**state.moments, **trained})
