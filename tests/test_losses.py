import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.losses.adversarial import ADVERSARIAL_LOSSES
from supervegan_jax.losses.pixel import charbonnier, flat, flicker, grid, huber, l1, mse
from supervegan_jax.losses.total import TERMS, LossInputs, total_loss
from supervegan_jax.ops.resize import downsample_bilinear


def inputs(**changes):
    fields = {
        "outputs": {
            "stage_a": jnp.full((1, 2, 2, 3), 0.5),
            "stage_b": jnp.full((1, 4, 4, 3), 0.75),
        },
        "target": jnp.full((1, 4, 4, 3), 0.25),
        "alpha": 1.0,
        "adversarial": lambda estimate, target: jnp.float32(np.log(2)),
        "perceptual": lambda x, y: jnp.float32(2.0),
    }
    return LossInputs(**fields | changes)


def test_mse_by_hand():
    x, y = jnp.array([[[[0.0, 1.0, 0.5]]]]), jnp.array([[[[0.0, 0.0, 0.0]]]])
    assert float(mse(x, y)) == pytest.approx((1 + 0.25) / 3)
    gradient = jax.grad(mse)(x, y)
    np.testing.assert_allclose(gradient[0, 0, 0], [0, 2 / 3, 1 / 3], rtol=1e-6)
    with pytest.raises(ValueError, match="mse of shapes"):
        mse(x, y[:, :, :, :2])


@pytest.mark.parametrize(
    ("loss", "expected", "slopes"),
    [
        (l1, (0 + 0.004 + 0.5) / 3, (1, 1, -1)),
        (
            charbonnier,
            (1e-3 + (0.004**2 + 1e-6) ** 0.5 + (0.25 + 1e-6) ** 0.5) / 3,
            (0, 0.004 / (0.004**2 + 1e-6) ** 0.5, -0.5 / (0.25 + 1e-6) ** 0.5),
        ),
        (huber, (0 + 0.004**2 / 2 + 0.01 * (0.5 - 0.005)) / 3, (0, 0.004, -0.01)),
    ],
)
def test_robust_losses_by_hand(loss, expected, slopes):
    target = jnp.array([[[[0.5, 0.5, 0.5]]]])
    estimate = target + jnp.array([0.0, 0.004, -0.5])
    assert float(loss(estimate, target)) == pytest.approx(expected, rel=1e-5)
    gradient = jax.grad(loss)(estimate, target)[0, 0, 0]
    np.testing.assert_allclose(gradient, np.array(slopes) / 3, rtol=1e-4, atol=1e-7)
    with pytest.raises(ValueError, match=f"{loss.__name__} of shapes"):
        loss(estimate, target[..., :2])


def test_only_what_repeats_counts_as_a_grid():
    rng = np.random.default_rng(0)
    target = jnp.asarray(rng.random((2, 70, 133, 3), np.float32))
    # Columns of height 0.1, every fourth: mean square 0.1^2 (1/4 - 1/16) about their mean.
    stripes = target.at[:, :, ::4].add(0.1)
    assert float(grid(stripes, target)) == pytest.approx(0.01 * 3 / 16, rel=1e-3)
    # A brighter picture has no pattern, a ramp that of its steps in a cell, (8^2 - 1) / 12 slope^2;
    # noise leaves 1/64 of itself.
    assert float(grid(target + 0.1, target)) < 1e-9
    ramp = jnp.linspace(0, 0.1, 133)[None, None, :, None]
    assert float(grid(target + ramp, target)) == pytest.approx(63 / 12 * (0.1 / 132) ** 2, rel=1e-3)
    noise = target + 0.1 * jnp.asarray(rng.standard_normal(target.shape, np.float32))
    assert float(grid(noise, target)) == pytest.approx(0.01 / 64 * 63 / 64, rel=0.1)
    with pytest.raises(ValueError, match="133x63 are smaller than a window of 64x64"):
        grid(target[:, :63], target[:, :63])
    with pytest.raises(ValueError, match="grid of shapes"):
        grid(target, target[:1])


def test_the_edge_grid_sees_a_comb_that_is_only_on_an_edge():
    target = jnp.zeros((1, 64, 64, 3))
    # Teeth of 0.1, four wide spaced and four long, in one of sixteen windows of 16x16: a fourth of
    # its cells have them, one of four columns, so 0.025^2 (1/4 - 1/16) about the mean.
    comb = target.at[:, 4:8, :16:4].add(0.1)
    images = inputs(outputs={"output": comb}, target=target)
    _, terms = total_loss(images, {"edge_grid": 1.0, "grid": 1.0})
    assert float(terms["edge_grid"]) == pytest.approx(0.025**2 * 3 / 16 / 16, rel=1e-4)
    # In one window of 8x8 cells of 8x8: two of them, 1 of 8 pixels, 0.1 / 32 high.
    assert float(terms["grid"]) == pytest.approx((0.1 / 32) ** 2 * (1 / 8 - 1 / 64), rel=1e-4)


def test_flicker_is_the_change_that_the_target_does_not_have_where_it_stands_still():
    # Two clips of three frames, one pixel: still; moving by half the range at one step.
    target = np.full((6, 1, 1, 3), 0.25, np.float32)
    target[5:] = 0.75
    estimate = target + 0.5  # a lasting error does not flicker
    assert float(flicker(jnp.asarray(estimate), jnp.asarray(target), 3)) == 0
    estimate[1] += 0.125  # comes and goes: two changes of 1/8 in the still clip
    moving = 1 / (1 + (0.5 * 255 / 2) ** 2)
    estimate[5] += 0.125
    expected = 0.125**2 * (1 + 1 + 0 + moving) / 4
    assert float(flicker(jnp.asarray(estimate), jnp.asarray(target), 3)) == pytest.approx(expected)
    gradient = jax.grad(lambda x: flicker(x, jnp.asarray(target), 3))(jnp.asarray(estimate))
    # d/dx of ((x1 - x0)^2 + (x2 - x1)^2) / (4 steps * 3 channels)
    by_hand = 0.125 * np.array([-2, 4, -2]) / 12
    np.testing.assert_allclose(gradient[:3, 0, 0, 0], by_hand, rtol=1e-6)
    with pytest.raises(ValueError, match="clips of 1 frame; at least 2"):
        flicker(jnp.asarray(estimate), jnp.asarray(target), 1)
    with pytest.raises(ValueError, match="flicker of shapes"):
        flicker(jnp.asarray(estimate[:3]), jnp.asarray(target), 3)


def test_errors_on_flat_areas_count_and_those_in_texture_do_not():
    target = np.full((1, 8, 27, 3), 0.5, np.float32)
    # The second cell alternates by 3/255 about its mean, the third by half the range.
    target[:, :, 8:16] += 3 / 255 * (-1) ** np.arange(8)[:, None]
    target[:, :, 16:24] += 0.5 * (-1) ** np.arange(8)[:, None]
    error = np.zeros_like(target)
    for cell, expected in enumerate((1.0, 0.5, 1 / (1 + (0.5 * 85) ** 2))):
        error[:] = 0
        error[:, :, 8 * cell : 8 * cell + 8] = 0.1
        value = float(flat(jnp.asarray(target + error), jnp.asarray(target)))
        assert value == pytest.approx(expected * 0.01 / 3, rel=1e-3)
    with pytest.raises(ValueError, match="flat of shapes"):
        flat(jnp.asarray(target), jnp.asarray(target[:, :4]))


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


REAL, FAKE = np.array([2.0, -1.0]), np.array([0.5, -3.0])


@pytest.mark.parametrize(
    ("name", "generator", "discriminator"),
    [
        # Eq. 8
        (
            "standard",
            -np.log(sigmoid(FAKE)).mean(),
            -np.log(sigmoid(REAL)).mean() - np.log(1 - sigmoid(FAKE)).mean(),
        ),
        # Jolicoeur-Martineau 2018, Eq. 2 and 3
        (
            "relativistic",
            -np.log(sigmoid(FAKE - REAL)).mean(),
            -np.log(sigmoid(REAL - FAKE)).mean(),
        ),
    ],
)
def test_adversarial_losses_equal_their_formulas(name, generator, discriminator):
    loss = ADVERSARIAL_LOSSES[name]
    logits = jnp.asarray(REAL), jnp.asarray(FAKE)
    np.testing.assert_allclose(loss.generator(*logits), generator, rtol=1e-6)
    np.testing.assert_allclose(loss.discriminator(*logits), discriminator, rtol=1e-6)


def test_adversarial_losses_stay_finite_where_probabilities_round():
    low, high, none = jnp.array([-200.0]), jnp.array([200.0]), jnp.array([0.0])
    standard, relativistic = ADVERSARIAL_LOSSES["standard"], ADVERSARIAL_LOSSES["relativistic"]
    assert float(standard.generator(none, low)) == pytest.approx(200)
    assert float(standard.discriminator(low, high)) == pytest.approx(400)
    assert float(relativistic.discriminator(low, high)) == pytest.approx(400)
    # d/dlogit of -log D is D - 1
    gradient = jax.grad(lambda x: standard.generator(none, x))(none)
    assert float(gradient[0]) == pytest.approx(-0.5)


def test_total_is_equation_6():
    weights = {"mse_a": 1.0, "mse": 1.0, "adversarial": 0.001, "perceptual": 0.006}
    weights |= {"grid": 1.0, "edge_grid": 1.0, "flat": 2.0, "mse_a_enlarged": 0.5}
    weights |= {"flicker": 3.0, "flicker_a_enlarged": 2.0}
    weights |= {"l1": 1.0, "charbonnier": 1.0, "huber": 1.0, "discriminator_layers": 0.5}
    images = {"stage_a": jnp.full((2, 32, 32, 3), 0.5), "stage_b": jnp.full((2, 64, 64, 3), 0.75)}
    images["stage_b"] = images["stage_b"].at[:, ::2].add(0.25).at[:, 1::2].add(-0.25)
    target = jnp.full((2, 64, 64, 3), 0.25)
    layers = {"layers": lambda x, y: jnp.float32(3.0)}
    total, terms = total_loss(inputs(outputs=images, target=target, frames=2, **layers), weights)
    # Y^A is 0.25 too: 0.25^2; Y_AB = Y_B: 0.5^2 and rows of 0.25^2, which repeat;
    # D = 1/2: log 2; the perceptual stub: 2.
    expected = {"mse_a": 0.0625, "mse": 0.3125, "adversarial": np.log(2), "perceptual": 2.0}
    # A flat target hides nothing, and a flat picture enlarged is the same. Nothing changes.
    expected |= {"grid": 0.0625, "edge_grid": 0.0625, "flat": 0.3125, "mse_a_enlarged": 0.0625}
    expected |= {"flicker": 0.0, "flicker_a_enlarged": 0.0}
    # Rows of 0.75 and 0.25.
    expected |= {"l1": 0.5, "charbonnier": 0.5, "huber": 0.01 * (0.5 - 0.005)}
    expected |= {"discriminator_layers": 3.0}
    other = {"ping_pong", "warp", "motion_compensation"}  # of other networks' outputs
    assert set(terms) == set(expected) == set(TERMS) - other
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(value, rel=1e-5), name
    assert float(total) == pytest.approx(sum(weights[n] * v for n, v in expected.items()), rel=1e-5)


def test_flicker_of_stage_a_is_that_of_its_enlargement_and_not_of_stage_b():
    # A still clip of two frames; stage A becomes lighter by 1/8 as a whole, stage B by 1/2.
    stage_a = jnp.full((2, 4, 4, 3), 0.25).at[1].add(0.125)
    stage_b = jnp.full((2, 8, 8, 3), 0.25).at[1].add(0.5)
    clip = inputs(
        outputs={"stage_a": stage_a, "stage_b": stage_b},
        target=jnp.full((2, 8, 8, 3), 0.75),
        frames=2,
    )
    _, terms = total_loss(clip, {"flicker": 1.0, "flicker_a_enlarged": 1.0})
    assert float(terms["flicker_a_enlarged"]) == pytest.approx(0.125**2, rel=1e-5)
    assert float(terms["flicker"]) == pytest.approx(0.5**2, rel=1e-5)


def test_terms_of_clips_forth_and_back():
    # One clip of 3 frames, the last of which is unlike the first by 0.5.
    frames = jnp.zeros((3, 16, 16, 3)).at[2].add(0.5)
    read = jnp.zeros((1, 3, 4, 4, 3)).at[:, 1].add(0.5)
    images = {"output": frames, "read": read, "flows": jnp.zeros((1, 2, 4, 4, 2))}
    clip = inputs(outputs=images, target=jnp.zeros((3, 16, 16, 3)), frames=3)
    _, terms = total_loss(clip, {"ping_pong": 1.0, "warp": 1.0, "mse": 1.0})
    assert float(terms["ping_pong"]) == pytest.approx(0.5)
    assert float(terms["warp"]) == pytest.approx(3 * 0.25)  # summed over the colours
    assert float(terms["mse"]) == pytest.approx(0.25 / 3)


def test_blending_moves_the_estimate_not_stage_a():
    _, terms = total_loss(inputs(alpha=0.25), {"mse_a": 1.0, "mse": 1.0})
    # Y_AB = 0.75 * 0.5 + 0.25 * 0.75 = 0.5625
    assert float(terms["mse"]) == pytest.approx(0.3125**2)
    assert float(terms["mse_a"]) == pytest.approx(0.0625)


def test_target_of_stage_a_is_the_ground_truth_halved_bilinearly():
    target = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    line = np.array([1, 3, 3, 1]) / 8
    middle = np.einsum("h,w,hwc->c", line, line, target[0, 1:5, 1:5])
    np.testing.assert_allclose(
        inputs(target=jnp.asarray(target)).target_a[0, 1, 1], middle, rtol=1e-5
    )


def test_a_sharper_half_than_the_bilinear_one_is_nearer_to_the_truth_enlarged():
    edge = jnp.zeros((1, 16, 16, 3)).at[:, :, 8:].set(1.0)
    half = downsample_bilinear(edge, 2)
    area = edge.reshape(1, 8, 2, 8, 2, 3).mean((2, 4))

    def term(stage_a, target, name="mse_a_enlarged"):
        outputs = {"stage_a": stage_a, "stage_b": target}
        return float(total_loss(inputs(outputs=outputs, target=target), {name: 1.0})[0])

    assert term(half, edge, "mse_a") == pytest.approx(0.0, abs=1e-9)
    # Keys' weights at distances of 1/4, 3/4, 5/4 and 7/4: 111, 29, -9 and -3 of 128.
    errors = np.array([1 - (111 - 9) / 128, 9 / 128, 3 / 128])
    assert term(area, edge) == pytest.approx(2 * np.sum(errors**2) / 16, rel=1e-5)
    assert term(area, edge) < term(half, edge)


def test_terms_of_weight_0_are_not_computed():
    def never(*_):
        raise AssertionError("computed")

    _, terms = total_loss(
        inputs(outputs={"stage_a": jnp.zeros((1, 2, 2, 3))}, adversarial=never, perceptual=never),
        {"mse_a": 1.0, "mse": 0.0, "adversarial": 0.0, "perceptual": 0.0},
    )
    assert set(terms) == {"mse_a"}


def test_wrong_weights_are_refused():
    with pytest.raises(ValueError, match=r"unknown loss terms \['style'\]"):
        total_loss(inputs(), {"style": 1.0})
    with pytest.raises(ValueError, match="every loss weight is 0"):
        total_loss(inputs(), {"mse": 0.0})
