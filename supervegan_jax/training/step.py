"""One training step, pure: the same state, batch and phase give the same next state."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import optax

from supervegan_jax.losses.total import LossInputs, total_loss
from supervegan_jax.ops.color import to_float
from supervegan_jax.ops.crop import crop, random_crop_position
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.state import Params, TrainState
from supervegan_jax.training.system import System

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


class _Once:
    """A function that computes the same array's value only once; for one trace of one step.

    The pretrained network is most of a step's work, and what the compiler finds to be the same
    work of two losses it still differentiates twice.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._known: dict[tuple[Any, ...], tuple[jax.Array, Any]] = {}

    def __call__(self, array: jax.Array, *rest: Any) -> Any:
        known = id(array), *rest
        if known not in self._known:
            # The array is kept too: its id must not become another one's.
            self._known[known] = array, self._function(array, *rest)
        return self._known[known][1]


def _random_square(key: jax.Array, images: jax.Array, size: int) -> jax.Array:
    """A square of the images, at the same place for the same key and size; 0 is all of them."""
    if not size:
        return images
    return crop(images, random_crop_position(key, images.shape, size), size)


def _gradients(
    state: TrainState, batch: Batch, frozen: Params, key: jax.Array, system: System, phase: Phase
) -> tuple[Params, Params, Metrics]:
    """Gradients of both networks on one micro-batch, and the losses."""
    lr, hr = to_float(batch["lr"]), to_float(batch["hr"])
    alpha = phase.blend_alpha(state.step)
    square = _Once(partial(_random_square, key))
    features = _Once(partial(system.features, frozen))

    def shown(images: jax.Array) -> Any:
        return system.shown(features, square(images, system.discriminator_crop))

    def discriminate(params: Params, shown: Any) -> jax.Array:
        if system.discriminator is None:
            raise ValueError(f"phase {phase.name!r} is adversarial, but there is no discriminator")
        return cast(jax.Array, system.discriminator.apply({"params": params}, shown))

    def loss_of_generator(trained: Params) -> tuple[jax.Array, tuple[Metrics, Any]]:
        params = {**state.params, **trained}
        outputs: Any = system.generator.apply({"params": params}, lr, stage=phase.stage)
        inputs = LossInputs(
            outputs,
            hr,
            alpha,
            adversarial=lambda fake, real: system.adversarial.generator(
                *(discriminate(state.discriminator, shown(images)) for images in (real, fake))
            ),
            perceptual=lambda estimate, target: system.perceptual(
                features,
                square(target, system.perceptual_crop),
                square(estimate, system.perceptual_crop),
            ),
        )
        total, terms = total_loss(inputs, dict(phase.weights))
        judged = (shown(hr), shown(inputs.estimate)) if phase.adversarial else None
        return total, ({"total": total, **terms}, judged)

    trained = {group: state.params[group] for group in phase.trains}
    grads, (metrics, judged) = jax.grad(loss_of_generator, has_aux=True)(trained)
    if not phase.adversarial:
        return grads, {}, metrics

    def loss_of_discriminator(params: Params) -> tuple[jax.Array, Metrics]:
        real, false = (discriminate(params, shown) for shown in judged)
        loss = system.adversarial.discriminator(real, false)
        means = {
            "d_real": jnp.mean(jax.nn.sigmoid(real)),
            "d_fake": jnp.mean(jax.nn.sigmoid(false)),
            "d_ranked": jnp.mean(real > false),
        }
        return loss, {"discriminator": loss, **means}

    d_grads, d_metrics = jax.grad(loss_of_discriminator, has_aux=True)(state.discriminator)
    return grads, d_grads, {**metrics, **d_metrics}


def _accumulated_gradients(
    state: TrainState, batch: Batch, frozen: Params, key: jax.Array, system: System, phase: Phase
) -> tuple[Params, Params, Metrics]:
    """Averages `_gradients` over `system.accumulate` equal parts of the batch."""
    parts = system.accumulate
    if parts == 1:
        return _gradients(state, batch, frozen, key, system, phase)
    size = batch["lr"].shape[0]
    if size % parts:
        raise ValueError(f"a batch of {size} per device cannot be split into {parts} equal parts")
    split = jax.tree.map(lambda x: x.reshape(parts, size // parts, *x.shape[1:]), batch)

    def add(total: Any, part: Batch) -> tuple[Any, None]:
        values = _gradients(state, part, frozen, key, system, phase)
        return jax.tree.map(jnp.add, total, values), None

    first = jax.tree.map(lambda x: x[0], split)
    zeros = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype),
        jax.eval_shape(lambda: _gradients(state, first, frozen, key, system, phase)),
    )
    total, _ = jax.lax.scan(add, zeros, split)
    return jax.tree.map(lambda x: x / parts, total)


def _apply_updates(
    params: Params, grads: Params, moments: Any, system: System, rate: jax.Array
) -> tuple[Params, Any]:
    direction, moments = system.optimizer.update(grads, moments, params)
    return jax.tree.map(lambda p, d: p - rate * d, params, direction), moments


def train_step(
    state: TrainState,
    batch: Batch,
    frozen: Params,
    *,
    system: System,
    phase: Phase,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """Trains the phase's parameter groups, and the discriminator if the phase is adversarial.

    Both networks' gradients are taken at the same point, from one forward pass of the generator.

    Args:
      state: before the step.
      batch: "lr" uint8 [b, 5, h, w, 3], "hr" uint8 [b, r*h, r*w, 3]; this device's part.
      frozen: parameters of the pretrained network.
      system: networks, losses, optimizer (static).
      phase: static; what lies outside its `trains` does not change by a bit.
      axis_name: the mapped axis to average gradients over, under `jax.pmap`.

    Returns:
      The state after the step and the scalar metrics: each loss term, "total", "alpha",
      "learning_rate", "gradient_norm" and in adversarial phases "discriminator", "d_real",
      "d_fake" and "d_ranked", the share of patches whose truth it ranks above the estimate.
    """
    key = jax.random.fold_in(jax.random.key(system.seed), state.step)
    grads, d_grads, metrics = _accumulated_gradients(state, batch, frozen, key, system, phase)
    if axis_name is not None:
        grads, d_grads, metrics = jax.lax.pmean((grads, d_grads, metrics), axis_name)

    rate = system.schedule(state.step)
    params, moments = dict(state.params), dict(state.moments)
    for group in phase.trains:
        params[group], moments[group] = _apply_updates(
            params[group], grads[group], moments[group], system, rate
        )
    # The average forgets faster at first, so that it is never mostly the initial weights.
    decay = jnp.minimum(system.ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema = {
        group: optax.incremental_update(params[group], state.ema[group], 1 - decay)
        if group in phase.trains
        else state.ema[group]
        for group in params
    }
    discriminator, d_moments = state.discriminator, state.discriminator_moments
    if phase.adversarial:
        discriminator, d_moments = _apply_updates(
            discriminator, d_grads, d_moments, system, system.discriminator_schedule(state.step)
        )
    metrics |= {
        "alpha": phase.blend_alpha(state.step),
        "learning_rate": rate,
        "gradient_norm": optax.tree.norm(grads),
    }
    return TrainState(state.step + 1, params, ema, moments, discriminator, d_moments), metrics
