import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.losses.adversarial import ADVERSARIAL_LOSSES

RELATIVISTIC_AVERAGE = ADVERSARIAL_LOSSES["relativistic_average"]
REAL, FAKE = jnp.asarray([2.0, -1.0]), jnp.asarray([0.5, -3.5])


def test_by_hand():
    # Means 0.5 and -1.5: real lies 3.5 and 0.5 above the fake mean, fake 0 and -4 from the real's.
    above_fake, above_real = np.array([3.5, 0.5]), np.array([0.0, -4.0])
    discriminator = (np.log1p(np.exp(-above_fake)) + np.log1p(np.exp(above_real))).mean() / 2
    assert discriminator == pytest.approx((0.029750 + 0.474077 + 0.693147 + 0.018150) / 4, abs=1e-5)
    generator = (np.log1p(np.exp(above_fake)) + np.log1p(np.exp(-above_real))).mean() / 2
    assert float(RELATIVISTIC_AVERAGE.discriminator(REAL, FAKE)) == pytest.approx(discriminator)
    assert float(RELATIVISTIC_AVERAGE.generator(REAL, FAKE)) == pytest.approx(generator)


def test_gradient_by_hand():
    # Of (softplus(r - f) + softplus(r - f)) / 2 for one pair: sigmoid(r - f).
    real, fake = jnp.asarray([1.0]), jnp.asarray([0.25])
    gradient = jax.grad(RELATIVISTIC_AVERAGE.generator, argnums=(0, 1))(real, fake)
    np.testing.assert_allclose(gradient[0], 1 / (1 + np.exp(-0.75)), rtol=1e-6)
    np.testing.assert_allclose(gradient[1], -1 / (1 + np.exp(-0.75)), rtol=1e-6)


def test_alike_pairs_give_the_relativistic_loss():
    real, fake = jnp.full((2, 3, 4), 0.7), jnp.full((2, 3, 4), -0.2)
    paired = ADVERSARIAL_LOSSES["relativistic"]
    for ours, theirs in zip(RELATIVISTIC_AVERAGE, paired, strict=True):
        assert float(ours(real, fake)) == pytest.approx(float(theirs(real, fake)), rel=1e-6)


def test_only_differences_count_and_nothing_overflows():
    value = float(RELATIVISTIC_AVERAGE.discriminator(REAL, FAKE))
    shifted = float(RELATIVISTIC_AVERAGE.discriminator(REAL + 5, FAKE + 5))
    assert shifted == pytest.approx(value, rel=1e-5)
    high, low = jnp.asarray([400.0]), jnp.asarray([-400.0])
    assert float(RELATIVISTIC_AVERAGE.generator(high, low)) == pytest.approx(800)
    assert float(RELATIVISTIC_AVERAGE.generator(low, high)) == pytest.approx(0)
