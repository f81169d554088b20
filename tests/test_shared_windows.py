"""Inference on frames in a row against the network on separate windows."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from enhancement_samples import small_model

from supervegan_jax.ops.dynamic_filter import (
    apply_dynamic_filters,
    apply_filter_logits,
    apply_softmax_filters,
)
from supervegan_jax.ops.shared_windows import consecutive_windows, conv3d_windows
from supervegan_jax.ops.temporal import conv3d


@pytest.mark.parametrize("count", [1, 2, 6])
@pytest.mark.parametrize("stride", [1, 2])
def test_two_layers_equal_the_plain_convolutions(count, stride):
    rng = np.random.default_rng(count)
    frames = jnp.asarray(rng.normal(size=(count + 4, 8, 10, 3)).astype(np.float32))
    first = jnp.asarray(rng.normal(size=(3, 3, 3, 3, 9)).astype(np.float32))
    second = jnp.asarray(rng.normal(size=(3, 3, 3, 9, 4)).astype(np.float32))
    separate = jnp.stack([frames[i : i + 5] for i in range(count)])
    expected = conv3d(separate, first, pad_time=True, spatial_stride=stride)
    reduced = conv3d(expected, second, pad_time=False)

    windows = conv3d_windows(
        consecutive_windows(frames, 5), first, pad_time=True, spatial_stride=stride
    )
    for place in range(5):
        np.testing.assert_allclose(windows.place(place), expected[:, place], atol=1e-5)
    # The interior of neighbouring windows is one tensor, each end one of its own.
    assert sorted(t.shape[0] for t in windows.tensors) == [count, count, count + 2]
    after = conv3d_windows(windows, second, pad_time=False)
    for place in range(3):
        np.testing.assert_allclose(after.place(place), reduced[:, place], atol=2e-4)


@pytest.mark.parametrize("r", [1, 2])
def test_filters_without_patches_equal_those_with(r):
    rng = np.random.default_rng(r)
    x = jnp.asarray(rng.uniform(size=(2, 6, 7, 3)).astype(np.float32))
    logits = jnp.asarray(9 * rng.normal(size=(2, 6, 7, r * r, 25)).astype(np.float32))
    expected = apply_dynamic_filters(x, jax.nn.softmax(logits, axis=-1))
    np.testing.assert_allclose(apply_filter_logits(x, logits), expected, atol=1e-6)
    np.testing.assert_allclose(apply_softmax_filters(x, logits), expected, atol=1e-6)


def test_gradient_of_softmax_filters():
    rng = np.random.default_rng(3)
    x = jnp.asarray(rng.uniform(size=(1, 5, 6, 3)).astype(np.float32))
    logits = jnp.asarray(3 * rng.normal(size=(1, 5, 6, 4, 25)).astype(np.float32))
    weights = jnp.asarray(rng.normal(size=(1, 10, 12, 3)).astype(np.float32))

    def through_softmax(logits):
        return jnp.sum(weights * apply_dynamic_filters(x, jax.nn.softmax(logits, axis=-1)))

    found = jax.grad(lambda logits: jnp.sum(weights * apply_softmax_filters(x, logits)))(logits)
    np.testing.assert_allclose(found, jax.grad(through_softmax)(logits), atol=1e-6)


@pytest.mark.parametrize(("scale", "size"), [(4, (9, 12)), (2, (11, 14))])
def test_enhance_equals_the_network_on_windows(scale, size):
    model = small_model(scale)
    frames = jax.random.uniform(jax.random.key(5), (9, *size, 3))
    windows = jnp.stack([frames[i : i + 5] for i in range(5)])
    variables = {"params": model.params}
    expected = jax.jit(model.generator.apply)(variables, windows)["stage_b"]
    for one_by_one in (False, True):
        enhance = partial(model.generator.apply, one_by_one=one_by_one, method="enhance")
        found = jax.jit(enhance)(variables, frames)
        assert found.shape == expected.shape == (5, scale * size[0], scale * size[1], 3)
        np.testing.assert_allclose(found, expected, atol=2e-5)
    for wrong, message in [(frames[:4], "needed"), (windows, "needed")]:
        with pytest.raises(ValueError, match=message):
            model.generator.apply(variables, wrong, method="enhance")
