import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.metrics.tint import tint


def test_tint_is_the_channel_that_shifted_most():
    reference = np.random.default_rng(0).random((2, 6, 8, 3), np.float32)
    estimate = reference.copy()
    estimate[0] += np.array([1, -2, 0.5], np.float32) / 255
    # Half the pixels up and half of them down is no shift.
    estimate[1, :3] += 0.1
    estimate[1, 3:] -= 0.1
    np.testing.assert_allclose(
        tint(jnp.asarray(estimate), jnp.asarray(reference)), [2, 0], atol=1e-3
    )
    with pytest.raises(ValueError, match="tint of shapes"):
        tint(jnp.asarray(estimate), jnp.asarray(reference[:1]))
