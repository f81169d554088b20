import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.ops.dynamic_filter import (
    apply_dynamic_filters,
    bilinear_filter_logits,
    extract_patches,
)
from supervegan_jax.ops.space import depth_to_space


def equation_4(x: np.ndarray, filters: np.ndarray, r: int) -> np.ndarray:
    """U_X(y r + v, x r + u) = sum_ji F[y, x, v, u](j + 2, i + 2) X(y + j, x + i), in loops."""
    h, w, c = x.shape
    out = np.zeros((h * r, w * r, c))
    for y in range(h):
        for x_ in range(w):
            for v in range(r):
                for u in range(r):
                    for j in range(-2, 3):
                        for i in range(-2, 3):
                            weight = filters[y, x_, v, u, j + 2, i + 2]
                            pixel = x[np.clip(y + j, 0, h - 1), np.clip(x_ + i, 0, w - 1)]
                            out[y * r + v, x_ * r + u] += weight * pixel
    return out


@pytest.mark.parametrize("r", [1, 2])
def test_filters_equal_loops_written_from_equation_4(r):
    rng = np.random.default_rng(0)
    x = rng.random((6, 7, 3), np.float32)
    filters = rng.random((6, 7, r, r, 5, 5), np.float32)
    flat = jnp.asarray(filters.reshape(1, 6, 7, r * r, 25))
    ours = apply_dynamic_filters(jnp.asarray(x[None]), flat)
    np.testing.assert_allclose(ours[0], equation_4(x, filters, r), rtol=1e-5)


def test_gradient_to_a_filter_is_the_pixel_under_its_tap():
    x = jnp.asarray(np.random.default_rng(1).random((1, 5, 5, 1), np.float32))
    filters = jnp.zeros((1, 5, 5, 1, 25))
    gradient = jax.grad(lambda f: apply_dynamic_filters(x, f)[0, 2, 2, 0])(filters)
    np.testing.assert_array_equal(gradient[0, 2, 2, 0], x[0, :, :, 0].reshape(25))
    assert not gradient[0, 1, 1].any()


def test_centre_tap_is_the_identity():
    x = jnp.asarray(np.random.default_rng(2).random((2, 4, 5, 3), np.float32))
    filters = jnp.zeros((2, 4, 5, 1, 25)).at[..., 12].set(1)
    np.testing.assert_array_equal(apply_dynamic_filters(x, filters), x)
    np.testing.assert_array_equal(extract_patches(x)[..., 12, :], x)


def test_bilinear_logits_upsample_a_ramp_to_a_ramp():
    ramp = jnp.broadcast_to(jnp.arange(12.0)[None, None, :, None], (1, 8, 12, 1))
    weights = jax.nn.softmax(bilinear_filter_logits(2, floor=1e-9).reshape(4, 25), axis=-1)
    filters = jnp.broadcast_to(weights, (1, 8, 12, 4, 25))
    y = apply_dynamic_filters(ramp, filters)
    expected = (np.arange(24) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(y[0, 8, 4:-4, 0], expected[4:-4], atol=1e-4)


def test_wrong_filters_are_refused():
    with pytest.raises(ValueError, match=r"filters of shape \(1, 4, 4, 3, 25\) do not fit"):
        apply_dynamic_filters(jnp.zeros((1, 4, 4, 3)), jnp.zeros((1, 4, 4, 3, 25)))


def test_depth_to_space_places_channels_row_by_row():
    x = jnp.arange(8.0).reshape(1, 1, 1, 8)
    expected = np.array([[[0, 1], [2, 3]], [[4, 5], [6, 7]]], np.float32)
    np.testing.assert_array_equal(depth_to_space(x, 2)[0], expected)
    with pytest.raises(ValueError, match="6 channels cannot fill blocks of 2x2"):
        depth_to_space(jnp.zeros((1, 1, 1, 6)), 2)
