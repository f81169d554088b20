"""The training step: what changes, by how much, and that it does so the same on every device."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import make_small_system, make_system, random_batch

from supervegan_jax.losses.adversarial import ADVERSARIAL_LOSSES
from supervegan_jax.models.discriminator import Discriminator, FeatureDiscriminator
from supervegan_jax.models.supervegan import blend_stages
from supervegan_jax.ops.color import to_float
from supervegan_jax.ops.resize import downsample_bilinear
from supervegan_jax.training.parallel import Parallel
from supervegan_jax.training.state import begin_phase, create_state
from supervegan_jax.training.step import _steps_key, train_step


@pytest.fixture(scope="module")
def state(system):
    return create_state(system, scale=4, seed=0)


@pytest.fixture(scope="module")
def steps(system, phases):
    """The step of each phase on one device, compiled once."""
    return [jax.jit(partial(train_step, system=system, phase=phase)) for phase in phases]


def equal(x, y):
    return all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
    )


def test_phase_1_changes_stage_a_and_nothing_else_by_a_bit(state, steps, frozen):
    new = state
    for step in range(3):
        new, metrics = steps[0](new, random_batch(step), frozen)
    assert int(new.step) == 3
    assert not equal(new.params["stage_a"], state.params["stage_a"])
    assert equal(new.params["stage_b"], state.params["stage_b"])
    assert equal(new.ema["stage_b"], state.ema["stage_b"])
    assert equal(new.moments["stage_b"], state.moments["stage_b"])
    assert equal(new.discriminator, state.discriminator)
    assert equal(new.discriminator_moments, state.discriminator_moments)
    assert set(metrics) == {"total", "mse_a", "alpha", "learning_rate", "gradient_norm"}


def test_frames_in_a_row_are_windows_of_their_own(phases, frozen):
    """A clip of three frames with ground truth trains like a batch of its three windows."""
    weights = {"mse_a": 1.0, "mse": 1.0, "flicker": 2.0}
    phase = dataclasses.replace(phases[1], weights=tuple(weights.items()))
    system = make_small_system(phases)
    state = create_state(system, scale=4, seed=0)
    rng = np.random.default_rng(1)
    lr = rng.integers(0, 256, (2, 7, 8, 8, 3), np.uint8)
    hr = rng.integers(0, 256, (2, 3, 32, 32, 3), np.uint8)
    clips = {"lr": lr, "hr": hr}
    step = partial(train_step, system=system, frozen=frozen)
    _, metrics = step(state, clips, phase=phase)
    alone = dataclasses.replace(phase, weights=tuple({**weights, "flicker": 0.0}.items()))
    windows = {
        "lr": np.stack([clip[i : i + 5] for clip in lr for i in range(3)]),
        "hr": hr.reshape(6, 32, 32, 3),
    }
    _, expected = step(state, windows, phase=alone)
    for name in ("mse_a", "mse"):
        np.testing.assert_allclose(metrics[name], expected[name], rtol=1e-6)
    out = system.generator.apply({"params": state.params}, to_float(windows["lr"]))
    estimate = blend_stages(out["stage_a"], out["stage_b"], float(metrics["alpha"]))
    change, wanted = (
        np.diff(np.asarray(x).reshape(2, 3, 32, 32, 3), axis=1)
        for x in (estimate, to_float(windows["hr"]))
    )
    weight = (2 / 255) ** 2 / ((2 / 255) ** 2 + np.square(wanted).mean(-1))
    flicker = (weight * np.square(change - wanted).mean(-1)).mean()
    np.testing.assert_allclose(metrics["flicker"], flicker, rtol=1e-5)
    with pytest.raises(ValueError, match="clips of 1 frame"):
        step(state, windows, phase=phase)


def test_later_phases_change_everything(state, steps, frozen):
    start = state._replace(step=jnp.int32(4))
    new, metrics = steps[1](start, random_batch(0), frozen)
    for group in ("stage_a", "stage_b"):
        assert not equal(new.params[group], state.params[group])
    assert not equal(new.discriminator, state.discriminator)
    assert {"adversarial", "perceptual", "mse", "mse_a", "discriminator"} <= set(metrics)
    assert float(metrics["alpha"]) == 0.25


def test_first_update_is_adams_on_the_hand_written_gradient(system, state, steps, frozen):
    batch = random_batch(0)
    lr, hr = to_float(batch["lr"]), to_float(batch["hr"])

    def loss(stage_a):
        params = {**state.params, "stage_a": stage_a}
        y_a = system.generator.apply({"params": params}, lr)["stage_a"]
        return jnp.mean((y_a - downsample_bilinear(hr, 2)) ** 2)

    gradient = jax.jit(jax.grad(loss))(state.params["stage_a"])
    new, _ = steps[0](state, batch, frozen)
    # Adam's first direction is g / (|g| + eps).
    expected = jax.tree.map(
        lambda p, g: p - 1e-3 * g / (jnp.abs(g) + 1e-8), state.params["stage_a"], gradient
    )
    for ours, theirs in zip(
        jax.tree.leaves(new.params["stage_a"]), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_discriminator_learns_to_tell_the_blend_from_the_truth(system, state, steps, frozen):
    batch = random_batch(0)
    start = state._replace(step=jnp.int32(7))
    new, metrics = steps[2](start, batch, frozen)
    hr = to_float(batch["hr"])
    generate, judge = jax.jit(system.generator.apply), jax.jit(system.discriminator.apply)
    y_b = generate({"params": state.params}, to_float(batch["lr"]))["stage_b"]
    judged = [judge({"params": state.discriminator}, images) for images in (hr, y_b)]
    expected = ADVERSARIAL_LOSSES["standard"].discriminator(*judged)
    assert float(metrics["discriminator"]) == pytest.approx(float(expected), rel=1e-4)
    assert float(metrics["d_ranked"]) == float(jnp.mean(judged[0] > judged[1]))
    _, after = steps[2](new._replace(params=state.params), batch, frozen)
    assert float(after["discriminator"]) < float(expected)


def test_the_relativistic_loss_looks_at_the_truth_of_the_same_patch(phases, state, frozen):
    paired = make_system(phases, adversarial=ADVERSARIAL_LOSSES["relativistic"])
    step = jax.jit(partial(train_step, system=paired, phase=phases[2]))
    batch = random_batch(0)
    start = state._replace(step=jnp.int32(7))
    _, metrics = step(start, batch, frozen)
    estimate = jax.jit(paired.generator.apply)({"params": state.params}, to_float(batch["lr"]))
    judge = jax.jit(partial(paired.discriminator.apply, {"params": state.discriminator}))
    lead = np.asarray(judge(to_float(batch["hr"])) - judge(estimate["stage_b"]), np.float64)
    assert float(metrics["discriminator"]) == pytest.approx(np.log1p(np.exp(-lead)).mean(), 1e-4)
    assert float(metrics["adversarial"]) == pytest.approx(np.log1p(np.exp(lead)).mean(), 1e-4)


def test_a_discriminator_of_features_judges_what_the_fixed_network_makes_of_images(
    phases, state, frozen
):
    judge = FeatureDiscriminator(width=2)
    seen = make_system(
        phases,
        discriminator=judge,
        features=lambda frozen, images: {"layer": images[:, ::2, ::2] @ frozen["kernel"]},
        shown=lambda features, images, outputs: features(images),
    )
    start = create_state(seen, scale=4, seed=0, frozen=frozen)._replace(step=jnp.int32(7))
    batch = random_batch(0)
    step = jax.jit(partial(train_step, system=seen, phase=phases[2]))
    _, metrics = step(start, batch, frozen)
    y_b = jax.jit(seen.generator.apply)({"params": start.params}, to_float(batch["lr"]))["stage_b"]
    judged = [
        jax.jit(judge.apply)(
            {"params": start.discriminator}, {"layer": images[:, ::2, ::2] @ frozen["kernel"]}
        )
        for images in (to_float(batch["hr"]), y_b)
    ]
    assert judged[0].shape[1:] == (judged[0].shape[1], judged[0].shape[1], 1)
    expected = ADVERSARIAL_LOSSES["standard"].discriminator(*judged)
    assert float(metrics["discriminator"]) == pytest.approx(float(expected), rel=1e-4)


def test_discriminator_is_shown_one_square_of_both(phases, state, frozen):
    shapes = []
    judge = Discriminator(width=2).apply

    class Watched:
        def apply(self, variables, images, **options):
            shapes.append(images.shape[1:3])
            return judge(variables, images, **options)

    watched = make_system(phases, discriminator_crop=32, discriminator=Watched())
    start = state._replace(step=jnp.int32(7))
    batch = random_batch(0)
    jax.eval_shape(partial(train_step, system=watched, phase=phases[2]), start, batch, frozen)
    assert set(shapes) == {(32, 32)}


@pytest.mark.parametrize(("crop", "times"), [(32, 2), (16, 4)])
def test_features_of_an_image_are_computed_once_for_both_losses(phases, frozen, crop, times):
    sizes = []

    def features(frozen, images):
        sizes.append(images.shape[1])
        return {"layer": images @ frozen["kernel"]}

    system = make_system(
        phases,
        discriminator=FeatureDiscriminator(width=2),
        features=features,
        shown=lambda features, images, outputs: features(images),
        discriminator_crop=32,
        perceptual_crop=crop,
    )
    start = create_state(system, scale=4, seed=0, frozen=frozen)._replace(step=jnp.int32(7))
    sizes.clear()
    step = partial(train_step, system=system, phase=phases[2])
    jax.eval_shape(step, start, random_batch(0), frozen)
    # Of the truth and of the estimate; squares of two sizes have nothing in common.
    assert len(sizes) == times and set(sizes) == {32, crop}


def test_a_phase_begins_without_the_moments_of_the_one_before(system, phases, state, steps, frozen):
    before = state
    for step in range(3):
        before, _ = steps[0](before, random_batch(step), frozen)
    begun = begin_phase(system, before, phases[1])
    assert equal(begun.params, before.params)
    assert equal(begun.moments, state.moments)
    assert begin_phase(system, before, phases[0]) is before
    # So the first step of the phase moves no parameter by more than the learning rate.
    after, _ = steps[1](begun, random_batch(3), frozen)
    for x, y in zip(jax.tree.leaves(after.params), jax.tree.leaves(begun.params), strict=True):
        assert float(jnp.abs(x - y).max()) < 1.01e-3


def test_ema_is_the_weighted_mean(state, steps, frozen):
    new, _ = steps[0](state, random_batch(0), frozen)
    # At step 0 the decay is min(0.9, 1 / 10).
    expected = jax.tree.map(
        lambda old, p: 0.1 * old + 0.9 * p, state.ema["stage_a"], new.params["stage_a"]
    )
    for ours, theirs in zip(
        jax.tree.leaves(new.ema["stage_a"]), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_the_average_of_a_group_warms_up_when_its_training_begins(phases, frozen):
    system = make_small_system(phases)
    state = create_state(system, scale=4, seed=0)
    late = dataclasses.replace(phases[1], first_step=5_000, since=(0, 5_000))
    assert late.trains == ("stage_a", "stage_b")
    start = state._replace(step=jnp.int32(5_000))
    new, _ = train_step(start, random_batch(0), frozen, system=system, phase=late)
    for group, decay in (("stage_a", 0.9), ("stage_b", 0.1)):  # the system's, and 1 / 10
        expected = jax.tree.map(
            lambda old, p, d=decay: d * old + (1 - d) * p, state.ema[group], new.params[group]
        )
        for ours, theirs in zip(
            jax.tree.leaves(new.ema[group]), jax.tree.leaves(expected), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_steps_draw_with_other_keys_than_the_networks_begin_with():
    begun = jax.random.key_data(jax.random.split(jax.random.key(3)))
    keys = jax.vmap(lambda step: jax.random.fold_in(_steps_key(3), step))(jnp.arange(100))
    drawn = jax.random.key_data(keys)
    assert not any(np.array_equal(a, b) for a in begun for b in drawn)


def test_accumulated_gradients_equal_the_whole_batch(phases, state, steps, frozen):
    start = state._replace(step=jnp.int32(4))
    whole, metrics = steps[1](start, random_batch(0), frozen)
    halves = make_system(phases, accumulate=2)
    step = jax.jit(partial(train_step, system=halves, phase=phases[1]))
    split, split_metrics = step(start, random_batch(0), frozen)
    for name in metrics:
        np.testing.assert_allclose(metrics[name], split_metrics[name], rtol=1e-3, err_msg=name)
    # Adam's first moment is a tenth of the gradient.
    for group in ("stage_a", "stage_b"):
        ours, theirs = (jax.tree.leaves(s.moments[group].mu) for s in (split, whole))
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(x, y, atol=1e-3 * float(jnp.abs(y).max()))
    three = make_system(phases, accumulate=3)
    with pytest.raises(ValueError, match="a batch of 4 per device cannot be split into 3"):
        train_step(start, random_batch(0), frozen, system=three, phase=phases[1])


@pytest.mark.parametrize("strategy", ["pmap", "jit"])
def test_four_devices_equal_one(system, phases, state, steps, frozen, strategy):
    assert len(jax.local_devices()) == 4
    parallel = Parallel(strategy)
    # A compiled step donates its state; the shared one must survive.
    placed = parallel.place_state(jax.device_get(state))
    frozen_placed = parallel.place_state(frozen)
    one = state
    for index, phase in enumerate(phases[:2]):
        first = phase.first_step
        placed = placed._replace(step=parallel.place_state(jnp.int32(first)))
        one = one._replace(step=jnp.int32(first))
        batch = parallel.place_batch(random_batch(first))
        step = partial(train_step, system=system, phase=phase)
        compiled, _ = parallel.compile(step, placed, batch, frozen_placed)
        for number in range(first, first + 2):
            batch = parallel.place_batch(random_batch(number))
            placed, metrics = compiled(placed, batch, frozen_placed)
            one, expected = steps[index](one, random_batch(number), frozen)
        for name in expected:
            np.testing.assert_allclose(metrics[name], expected[name], rtol=1e-3, err_msg=name)
    for ours, theirs in zip(jax.tree.leaves(placed), jax.tree.leaves(one), strict=True):
        assert ours.shape == theirs.shape
        assert float(np.mean(np.abs(np.asarray(ours, np.float32) - theirs))) < 1e-5


def test_means_over_the_whole_batch_are_the_same_on_four_devices(phases, frozen):
    system = make_small_system(phases, adversarial=ADVERSARIAL_LOSSES["relativistic_average"])
    state = create_state(system, scale=4, seed=0)
    step = partial(train_step, system=system, phase=phases[2])
    _, expected = step(state, random_batch(0), frozen)
    parallel = Parallel("jit")
    placed = [parallel.place_state(jax.device_get(x)) for x in (state, frozen)]
    batch = parallel.place_batch(random_batch(0))
    compiled, _ = parallel.compile(step, placed[0], batch, placed[1])
    _, metrics = compiled(placed[0], batch, placed[1])
    for name in ("adversarial", "discriminator"):
        np.testing.assert_allclose(metrics[name], expected[name], rtol=1e-6)


@pytest.mark.parametrize("strategy", ["pmap", "jit"])
def test_what_a_step_of_the_whole_batch_costs_is_counted(strategy):
    def step(state, batch, frozen, *, axis_name):
        return state, batch["x"] @ frozen

    parallel = Parallel(strategy)
    state, frozen = (parallel.place_state(jnp.ones((32, 48))) for _ in range(2))
    batch = parallel.place_batch({"x": np.ones((64, 32), np.float32)})
    assert len(parallel.devices) == 4
    assert parallel.compile(step, state, batch, frozen)[1] == 64 * 32 * 48


def test_unequal_batches_are_refused():
    with pytest.raises(ValueError, match="parallel 'pjit'; accepted are pmap, jit"):
        Parallel("pjit")
    with pytest.raises(ValueError, match="batch_size 6 is not a multiple of 4"):
        Parallel("pmap").check_batch_size(6, 1)
