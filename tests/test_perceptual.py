from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.losses.perceptual import perceptual_loss
from supervegan_jax.models.vgg import VGG
from supervegan_jax.ops.crop import crop, random_crop_position


def two_features(images: jax.Array) -> dict[str, jax.Array]:
    return {"whole": images, "red": 2.0 * images[..., :1]}


def tiny_vgg(layers: tuple[str, ...], dtype: Any = jnp.float32) -> Any:
    model = VGG(network="vgg16", layers=layers, widths=(4, 5, 6, 7, 8), dtype=dtype)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda a: rng.normal(0, 0.2, a.shape).astype(np.float32), shapes)
    normalization = {"mean": np.full(3, 0.5, np.float32), "std": np.full(3, 0.2, np.float32)}
    variables = {"params": params, "normalization": normalization}
    return jax.jit(lambda images: model.apply(variables, images))


def test_hand_computed() -> None:
    target = jnp.zeros((1, 2, 2, 3))
    estimate = target.at[0, 0, 0].set(jnp.array([1.0, 2.0, 0.0]))
    # Means of squares: (1 + 4) / 12 over all, (2 * 1)^2 / 4 over red.
    loss = perceptual_loss(two_features, target, estimate)
    assert float(loss) == pytest.approx(5 / 12 + 4 / 4)


def test_unit_length_by_hand() -> None:
    target = jnp.zeros((1, 1, 2, 3)).at[0, 0, 0].set(jnp.array([0.0, 30.0, 40.0]))
    estimate = jnp.zeros((1, 1, 2, 3)).at[0, 0, 0].set(jnp.array([300.0, 0.0, 400.0]))
    # (0, 3, 4) and (3, 0, 4), each times sqrt(3) / 5: squares 3 * (9 + 9) / 25 over 6 values. Where
    # both are 0 nothing is compared, and nothing is divided by 0.
    loss, slope = jax.value_and_grad(
        lambda x: perceptual_loss(lambda y: {"y": y}, target, x, unit_length=True)
    )(estimate)
    assert float(loss) == pytest.approx(3 * 18 / 25 / 6, rel=1e-5)
    assert bool(jnp.isfinite(slope).all())
    # Along the features themselves only their length changes.
    assert float(jnp.vdot(slope, estimate)) == pytest.approx(0.0, abs=1e-6)


def test_only_the_estimate_gets_a_gradient() -> None:
    features = tiny_vgg(("conv2_1",))
    target, estimate = jax.random.uniform(jax.random.key(1), (2, 1, 16, 16, 3))
    to_target, to_estimate = jax.grad(lambda t, e: perceptual_loss(features, t, e), argnums=(0, 1))(
        target, estimate
    )
    assert float(jnp.abs(to_target).max()) == 0
    assert float(jnp.abs(to_estimate).max()) > 0


def test_gradient_against_finite_differences() -> None:
    features = tiny_vgg(("conv2_2", "relu3_1"))
    target, estimate = jax.random.uniform(jax.random.key(1), (2, 2, 16, 16, 3))

    @jax.jit
    def loss(images: jax.Array) -> jax.Array:
        return perceptual_loss(features, target, images)

    gradient = jax.grad(loss)(estimate)
    step = 1e-2
    for seed in range(3):
        direction = jax.random.normal(jax.random.key(10 + seed), estimate.shape)
        # Aligned with the gradient, so that the slope is not lost in rounding.
        direction = gradient / jnp.linalg.norm(gradient) + direction / direction.size**0.5
        ahead, behind = loss(estimate + step * direction), loss(estimate - step * direction)
        slope = float(jnp.vdot(gradient, direction))
        assert float(ahead - behind) / (2 * step) == pytest.approx(slope, rel=5e-3)


def test_a_crop_is_the_square_at_its_position() -> None:
    images = jax.random.uniform(jax.random.key(1), (2, 9, 12, 3))
    np.testing.assert_array_equal(crop(images, (3, 7), 4), images[:, 3:7, 7:11])
    y, x = random_crop_position(jax.random.key(5), images.shape, 4)
    got = jax.jit(lambda y, x: crop(images, (y, x), 4))(y, x)
    np.testing.assert_array_equal(got, crop(images, (int(y), int(x)), 4))


def test_random_positions_cover_exactly_what_fits() -> None:
    keys = jax.random.split(jax.random.key(0), 300)
    y, x = jax.vmap(lambda key: random_crop_position(key, (1, 6, 8, 3), 4))(keys)
    assert set(np.asarray(y).tolist()) == {0, 1, 2}
    assert set(np.asarray(x).tolist()) == {0, 1, 2, 3, 4}


def test_bfloat16_features_are_compared_in_float32() -> None:
    target, estimate = jax.random.uniform(jax.random.key(1), (2, 1, 32, 32, 3))
    exact = perceptual_loss(tiny_vgg(("conv3_1",)), target, estimate)
    rough = perceptual_loss(tiny_vgg(("conv3_1",), jnp.bfloat16), target, estimate)
    assert rough.dtype == jnp.float32
    assert float(rough) == pytest.approx(float(exact), rel=0.05)


def test_errors() -> None:
    images = jnp.zeros((1, 8, 10, 3))
    with pytest.raises(ValueError, match="not equal"):
        perceptual_loss(two_features, images, images[:, :4])
    with pytest.raises(ValueError, match="crop_size 9 in images of 10x8; accepted: 1 to 8"):
        random_crop_position(jax.random.key(0), images.shape, 9)
    with pytest.raises(ValueError, match="crop position 5; accepted: 0 to 4"):
        crop(images, (5, 0), 4)
