"""The standard adversarial loss (Eq. 8), computed from logits so that no logarithm overflows."""

import jax
import jax.numpy as jnp


def generator_loss(fake_logits: jax.Array) -> jax.Array:
    """L_G = -log D(Y_AB): logits [b] -> scalar mean."""
    return jnp.mean(jax.nn.softplus(-fake_logits))


def discriminator_loss(real_logits: jax.Array, fake_logits: jax.Array) -> jax.Array:
    """L_D = -log D(Y) - log(1 - D(Y_AB)): two logits [b] -> scalar mean."""
    return jnp.mean(jax.nn.softplus(-real_logits)) + jnp.mean(jax.nn.softplus(fake_logits))
