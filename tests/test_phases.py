import jax.numpy as jnp
import numpy as np
import pytest
from conftest import PHASES

from supervegan_jax.training.optimizers import make_optimizer, make_schedule
from supervegan_jax.training.phases import make_phases, phase_at


def test_phases_follow_one_another(phases):
    assert [(p.name, p.first_step, p.end) for p in phases] == [
        ("stage_a", 0, 3),
        ("blend", 3, 7),
        ("full", 7, 10),
    ]
    assert [phase_at(phases, step).name for step in (0, 2, 3, 6, 7, 9)] == [
        "stage_a",
        "stage_a",
        "blend",
        "blend",
        "full",
        "full",
    ]
    assert [p.adversarial for p in phases] == [False, True, True]
    assert [p.stage for p in phases] == ["a", "b", "b"]
    with pytest.raises(ValueError, match="step 10 lies outside the 10 steps"):
        phase_at(phases, 10)


def test_alpha_rises_linearly_over_the_second_phase_per_step(phases):
    _, blend, full = phases
    values = [float(blend.blend_alpha(step)) for step in range(3, 7)]
    np.testing.assert_allclose(values, [0, 0.25, 0.5, 0.75])
    assert float(full.blend_alpha(7)) == 1.0
    assert float(phases[0].blend_alpha(1)) == 0.0


def test_groups_are_trained_since_the_first_phase_that_has_them(phases):
    since = [{group: p.trained_since(group) for group in p.trains} for p in phases]
    assert since == [{"stage_a": 0}, *[{"stage_a": 0, "stage_b": 3}] * 2]


def test_ablations():
    (only,) = make_phases(tuple(PHASES), PHASES, "no_prog")
    assert (only.name, only.first_step, only.steps, only.alpha) == ("full", 0, 10, (1.0, 1.0))
    assert dict(only.weights)["adversarial"] == 1e-3
    # Of a recipe whose last phase leaves stage A alone, stage A is trained all the same.
    narrow = {
        "first": {"steps": 4, "trains": ("stage_a",), "alpha": (0, 0), "weights": {"mse_a": 2.0}},
        "last": {
            "steps": 6,
            "trains": ("stage_b",),
            "alpha": (1, 1),
            "weights": {"mse_a": 0.0, "mse": 1.0, "perceptual": 0.5},
        },
    }
    (only,) = make_phases(tuple(narrow), narrow, "no_prog")
    assert (only.trains, only.end) == (("stage_a", "stage_b"), 10)
    assert dict(only.weights) == {"mse_a": 2.0, "mse": 1.0, "perceptual": 0.5}
    assert only.trained_since("stage_b") == 0
    weights = [dict(p.weights).get("mse_a") for p in make_phases(tuple(PHASES), PHASES, "no_mse_a")]
    assert weights == [1.0, 0.0, 0.0]


def test_wrong_phases_are_refused():
    with pytest.raises(ValueError, match="ablation 'no_gan'; accepted are '', 'no_prog'"):
        make_phases(tuple(PHASES), PHASES, "no_gan")
    with pytest.raises(ValueError, match="phase 'warm' is not defined"):
        make_phases(("warm",), PHASES)
    none = {name: {**fields, "steps": 0} for name, fields in PHASES.items()}
    with pytest.raises(ValueError, match="no steps at all"):
        make_phases(tuple(none), none)


def test_a_phase_without_steps_is_skipped():
    fields = {**PHASES, "blend": {**PHASES["blend"], "steps": 0}}
    assert [p.name for p in make_phases(tuple(fields), fields)] == ["stage_a", "full"]


def test_learning_rate_drops_halfway_through_the_last_phase(phases):
    schedule = make_schedule(phases, kind="drop", learning_rate=1e-4, final_learning_rate=1e-5)
    rates = [float(schedule(jnp.int32(step))) for step in range(10)]
    np.testing.assert_allclose(rates, [1e-4] * 8 + [1e-5] * 2, rtol=1e-6)


def test_cosine_and_warmup_by_hand(phases):
    schedule = make_schedule(
        phases, kind="cosine", learning_rate=1.0, final_learning_rate=0.1, warmup_steps=2
    )
    assert float(schedule(jnp.int32(0))) == pytest.approx(0.5)
    assert float(schedule(jnp.int32(5))) == pytest.approx(0.55)
    # The second phase begins at step 3: 0.1 + 0.9 * (1 + cos(0.3 pi)) / 2, halved.
    assert float(schedule(jnp.int32(3))) == pytest.approx(0.40725, rel=1e-4)
    assert float(schedule(jnp.int32(10))) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="schedule 'linear'; accepted are drop, cosine, constant"):
        make_schedule(phases, kind="linear", learning_rate=1.0, final_learning_rate=1.0)
    with pytest.raises(ValueError, match="both must be positive"):
        make_schedule(phases, kind="drop", learning_rate=0.0, final_learning_rate=1.0)


def test_first_adam_direction_is_the_sign_and_long_gradients_are_scaled():
    optimizer = make_optimizer(0.9, 0.999, 0.0)
    params = {"w": jnp.array([0.0, 0.0])}
    direction, _ = optimizer.update({"w": jnp.array([3.0, -0.5])}, optimizer.init(params), params)
    np.testing.assert_allclose(direction["w"], [1, -1], rtol=1e-5)
    clipped = make_optimizer(0.9, 0.999, 1.0)
    _, state = clipped.update({"w": jnp.array([3.0, 4.0])}, clipped.init(params), params)
    np.testing.assert_allclose(state[1].mu["w"], [0.06, 0.08], rtol=1e-5)
