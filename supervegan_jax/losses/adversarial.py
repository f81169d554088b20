"""Adversarial losses, computed from logits so that no logarithm overflows."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Loss = Callable[[jax.Array, jax.Array], jax.Array]


class AdversarialLoss(NamedTuple):
    """What each network wants, as scalars of the logits of real and of generated images.

    The two have one shape, [b] or [b, h, w] or, of several layers, [b, h, w, n]; logits of one
    index are of the same place.
    """

    generator: Loss
    discriminator: Loss


def standard_generator_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """L_G = -log D(Y_AB) (Eq. 8); `real` is not looked at."""
    del real
    return jnp.mean(jax.nn.softplus(-fake))


def standard_discriminator_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """L_D = -log D(Y) - log(1 - D(Y_AB))."""
    return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))


def relativistic_generator_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """-log of the probability that Y_AB is more real than the Y of the same patch."""
    return jnp.mean(jax.nn.softplus(real - fake))


def relativistic_discriminator_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """-log of the probability that Y is more real than the Y_AB of the same patch."""
    return jnp.mean(jax.nn.softplus(fake - real))


def relativistic_average_generator_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """(-log(1 - D_Ra(Y, Y_AB)) - log D_Ra(Y_AB, Y)) / 2, means over all logits (ESRGAN, Eq. 2).

    D_Ra(a, b) is the sigmoid of a less the mean of b. The terms are averaged, as in BasicSR's
    esrgan_model.py, whose weight for it is 5e-3; the paper's equations add them.
    """
    above_fake, above_real = real - jnp.mean(fake), fake - jnp.mean(real)
    return (jnp.mean(jax.nn.softplus(above_fake)) + jnp.mean(jax.nn.softplus(-above_real))) / 2


def relativistic_average_discriminator_loss(real: jax.Array, fake: jax.Array) -> jax.Array:
    """(-log D_Ra(Y, Y_AB) - log(1 - D_Ra(Y_AB, Y))) / 2, means over all logits."""
    return relativistic_average_generator_loss(fake, real)


# "relativistic": Jolicoeur-Martineau 2018 (RSGAN), each pair by itself; "relativistic_average": the
# same author's RaSGAN, each image against the mean of the others.
ADVERSARIAL_LOSSES = {
    "standard": AdversarialLoss(standard_generator_loss, standard_discriminator_loss),
    "relativistic": AdversarialLoss(relativistic_generator_loss, relativistic_discriminator_loss),
    "relativistic_average": AdversarialLoss(
        relativistic_average_generator_loss, relativistic_average_discriminator_loss
    ),
}
