"""One training step, pure: the same state, batch and phase give the same next state."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from supervegan_jax.losses.temporal_sequence import discriminator_layers, make_ping_pong
from supervegan_jax.losses.total import LossInputs, total_loss
from supervegan_jax.models.single_stage import (
    as_variables,
    images_for,
    split_variables,
    with_statistics,
)
from supervegan_jax.ops.color import to_float
from supervegan_jax.ops.crop import crop, random_crop_position
from supervegan_jax.training.phases import Phase
from supervegan_jax.training.state import Params, TrainState
from supervegan_jax.training.system import System

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


class _Found(NamedTuple):
    """What a batch says: both networks' gradients and measured statistics, and the metrics."""

    grads: Params
    d_grads: Params
    measured: Params
    d_measured: Params
    metrics: Metrics


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
    if size in (0, *images.shape[1:2]):
        return images
    return crop(images, random_crop_position(key, images.shape, size), size)


def _examples(lr: jax.Array, hr: jax.Array, system: System) -> tuple[jax.Array, jax.Array, int]:
    """What the generator reads, its ground truth clip after clip, and the frames of a clip.

    Args:
      lr: [b, t + k - 1, h, w, 3], or luma, [.., 1].
      hr: the k middle frames, [b, k, r*h, r*w, 3], or [b, r*h, r*w, 3] for k = 1, or their luma.
      system: whose generator reads windows or sequences.

    Returns:
      Windows [b * k, t, h, w, 3] or clips [b, k, h, w, 3]; [b * k, r*h, r*w, 3]; and k. With
      ping-pong the k frames are 2 k - 1.
    """
    generator: Any = system.generator
    if hr.ndim == 4:
        return lr, hr, 1
    if system.ping_pong:
        lr, hr = make_ping_pong(lr), make_ping_pong(hr)
    frames = hr.shape[1]
    if generator.reading == "sequence":
        return lr, hr.reshape(-1, *hr.shape[2:]), frames
    size = lr.shape[1] - frames + 1
    windows = jnp.stack([lr[:, i : i + size] for i in range(frames)], axis=1)
    return windows.reshape(-1, *windows.shape[2:]), hr.reshape(-1, *hr.shape[2:]), frames


def _gradients(
    state: TrainState, batch: Batch, frozen: Params, key: jax.Array, system: System, phase: Phase
) -> _Found:
    """Gradients of both networks on one micro-batch, and the losses."""
    lr, hr = (images_for(system.generator, to_float(batch[name])) for name in ("lr", "hr"))
    lr, hr, frames = _examples(lr, hr, system)
    alpha = phase.blend_alpha(state.step)
    square = _Once(partial(_random_square, key))
    features = _Once(partial(system.features, frozen))

    def shown(images: jax.Array, outputs: Any) -> Any:
        return system.shown(features, square(images, system.discriminator_crop), outputs)

    def loss_of_generator(trained: Params) -> tuple[jax.Array, tuple[Metrics, Any, Params]]:
        variables = as_variables({**state.params, **trained})
        outputs, measured = cast(
            tuple[Any, Any],
            system.generator.apply(
                variables, lr, phase.stage, train=True, method="outputs", mutable=["batch_stats"]
            ),
        )

        def judge(images: jax.Array, method: str = "__call__") -> Any:
            return _judge(system, state.discriminator, shown(images, outputs), method)[0]

        inputs = LossInputs(
            outputs,
            hr,
            alpha,
            adversarial=lambda fake, real: system.adversarial.generator(
                *(judge(images) for images in (real, fake))
            ),
            layers=lambda fake, real: discriminator_layers(
                *(judge(images, "judge")[1] for images in (real, fake))
            ),
            perceptual=lambda estimate, target: system.perceptual(
                features,
                square(target, system.perceptual_crop),
                square(estimate, system.perceptual_crop),
            ),
            frames=frames,
        )
        total, terms = total_loss(inputs, dict(phase.weights))
        images = (hr, inputs.estimate) if phase.adversarial else ()
        judged = [shown(image, outputs) for image in images]
        return total, ({"total": total, **terms}, judged, measured.get("batch_stats", {}))

    trained = {group: state.params[group] for group in phase.trains}
    grads, (metrics, judged, measured) = jax.grad(loss_of_generator, has_aux=True)(trained)
    if not phase.adversarial:
        return _Found(grads, {}, measured, {}, metrics)
    d_grads, d_measured, d_metrics = _discriminator_gradients(system, state.discriminator, judged)
    return _Found(grads, d_grads, measured, d_measured, {**metrics, **d_metrics})


def _judge(
    system: System, params: Params, shown: Any, method: str = "__call__"
) -> tuple[Any, Params]:
    """What the discriminator says of what it is shown, and the statistics it has measured."""
    if system.discriminator is None:
        raise ValueError("a phase is adversarial, but there is no discriminator")
    said, measured = cast(
        tuple[Any, Any],
        system.discriminator.apply(
            split_variables(params), shown, train=True, mutable=["batch_stats"], method=method
        ),
    )
    return said, measured.get("batch_stats", {})


def _discriminator_gradients(
    system: System, params: Params, judged: Sequence[Any]
) -> tuple[Params, Params, Metrics]:
    """Its gradients on what it is shown of real and of generated images, statistics and metrics."""

    def loss_of_discriminator(params: Params) -> tuple[jax.Array, tuple[Params, Metrics]]:
        (real, _), (false, measured) = (_judge(system, params, shown) for shown in judged)
        loss = system.adversarial.discriminator(real, false)
        means = {
            "d_real": jnp.mean(jax.nn.sigmoid(real)),
            "d_fake": jnp.mean(jax.nn.sigmoid(false)),
            "d_ranked": jnp.mean(real > false),
        }
        return loss, (measured, {"discriminator": loss, **means})

    grads, (measured, metrics) = jax.grad(loss_of_discriminator, has_aux=True)(params)
    return grads, measured, metrics


def _accumulated_gradients(
    state: TrainState, batch: Batch, frozen: Params, key: jax.Array, system: System, phase: Phase
) -> _Found:
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


def _steps_key(seed: int) -> jax.Array:
    """The steps' own key: the seed's first two begin the networks (`state.create_state`)."""
    return jax.random.fold_in(jax.random.key(seed), 2)


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
      batch: "lr" uint8 [b, t, h, w, 3], "hr" uint8 [b, r*h, r*w, 3]; this device's part. With the
        ground truth of k frames in a row, "hr" is [b, k, r*h, r*w, 3] and "lr" k - 1 frames longer.
      frozen: parameters of the pretrained network.
      system: networks, losses, optimizer (static).
      phase: static; what lies outside its `trains` does not change by a bit.
      axis_name: the mapped axis to average gradients over, under `jax.pmap`.

    Returns:
      The state after the step and the scalar metrics: each loss term, "total", "alpha",
      "learning_rate", "gradient_norm" and in adversarial phases "discriminator", "d_real",
      "d_fake" and "d_ranked", the share of patches whose truth it ranks above the estimate.
    """
    key = jax.random.fold_in(_steps_key(system.seed), state.step)
    found = _accumulated_gradients(state, batch, frozen, key, system, phase)
    if axis_name is not None:
        found = jax.lax.pmean(found, axis_name)
    grads, d_grads, measured, d_measured, metrics = found

    rate = system.schedule(state.step)
    params, moments = dict(state.params), dict(state.moments)
    for group in phase.trains:
        params[group], moments[group] = _apply_updates(
            params[group], grads[group], moments[group], system, rate
        )
    params = with_statistics(params, measured)
    ema = dict(state.ema)
    for group in phase.trains:
        # The average forgets faster at first, so that it is never mostly the initial weights.
        done = state.step - phase.trained_since(group)
        decay = jnp.minimum(system.ema_decay, (1.0 + done) / (10.0 + done))
        ema[group] = optax.incremental_update(params[group], state.ema[group], 1 - decay)
    discriminator, d_moments = state.discriminator, state.discriminator_moments
    if phase.adversarial:
        discriminator, d_moments = _apply_updates(
            discriminator, d_grads, d_moments, system, system.discriminator_schedule(state.step)
        )
        discriminator = with_statistics(discriminator, d_measured)
    metrics |= {
        "alpha": phase.blend_alpha(state.step),
        "learning_rate": rate,
        "gradient_norm": optax.tree.norm(grads),
    }
    return TrainState(state.step + 1, params, ema, moments, discriminator, d_moments), metrics
