"""Everything training changes, as one pytree."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from supervegan_jax.models import init_variables
from supervegan_jax.models.single_stage import (
    as_parameters,
    as_variables,
    input_shape,
    join_variables,
)
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.system import System

Params = dict[str, Any]


class TrainState(NamedTuple):
    """What a checkpoint holds.

    Attributes:
      step: int32 scalar array, the number of finished steps.
      params: the generator's parameters, by group ("stage_a", "stage_b").
      ema: their exponential moving average, used for evaluation and export.
      moments: the optimizer's state of each group, begun anew by every phase that trains it.
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
    generator: Any = system.generator
    lr = jnp.zeros(input_shape(generator, 16, 16))
    params = initial or as_parameters(generator, init_variables(generator, key_generator, lr))
    params = jax.tree.map(jnp.asarray, params)
    discriminator: Params = {}
    if system.discriminator is not None:
        shapes = _shown_shapes(system, params, frozen or {}, scale)
        shown = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        variables = init_variables(system.discriminator, key_discriminator, shown)
        discriminator = join_variables(variables)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.copy, params),
        moments={group: system.optimizer.init(values) for group, values in params.items()},
        discriminator=discriminator,
        discriminator_moments=system.optimizer.init(discriminator),
    )


def state_shapes(system: System, *, scale: int, frozen: Params | None = None) -> TrainState:
    """The shapes of `create_state`'s arrays, without computing any; the arguments are its own."""
    generator: Any = system.generator
    key = jax.random.key(0)
    lr = jax.ShapeDtypeStruct(input_shape(generator, 16, 16), jnp.float32)
    params = as_parameters(generator, jax.eval_shape(generator.init, key, lr))
    discriminator: Params = {}
    if system.discriminator is not None:
        shown = _shown_shapes(system, params, frozen or {}, scale)
        discriminator = join_variables(jax.eval_shape(system.discriminator.init, key, shown))
    moments = {
        group: jax.eval_shape(system.optimizer.init, values) for group, values in params.items()
    }
    return TrainState(
        step=jax.eval_shape(partial(jnp.zeros, (), jnp.int32)),
        params=params,
        ema=params,
        moments=moments,
        discriminator=discriminator,
        discriminator_moments=jax.eval_shape(system.optimizer.init, discriminator),
    )


def _shown_shapes(system: System, params: Params, frozen: Params, scale: int) -> Any:
    side = system.discriminator_crop or 64  # without a crop, any size will do
    return jax.eval_shape(partial(_shown, system, side=side, scale=scale), params, frozen)


def _shown(system: System, params: Params, frozen: Params, side: int, scale: int) -> Any:
    """What the discriminator would be shown of black images."""
    generator: Any = system.generator
    count = 3 if generator.reading == "sequence" else 1
    shape = list(input_shape(generator, side // scale, side // scale))
    shape[1] = max(shape[1], count)
    outputs = generator.apply(as_variables(params), jnp.zeros(shape), method="outputs")
    images = jnp.zeros((count, side, side, 3))
    return system.shown(partial(system.features, frozen), images, outputs)


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
