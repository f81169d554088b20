"""Losses on several frames: TecoGAN's (Chu et al., SIGGRAPH 2020, Section 3) and MFQE 2.0's.

Of TecoGAN's, `TecoGAN` in lib/Teco.py of thunil/TecoGAN is where the means and sums are from.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from supervegan_jax.ops.warp import backward_warp

# lib/Teco.py: what brings each layer's distance to about `LAYER_RANGE`.
LAYER_NORMS = {"layer_0": 12.0, "layer_1": 14.0, "layer_2": 24.0, "layer_3": 100.0}
LAYER_RANGE = 0.02


def make_ping_pong(frames: jax.Array) -> jax.Array:
    """A sequence forth and back: [b, n, ...] -> [b, 2n - 1, ...], the last frame in the middle."""
    return jnp.concatenate([frames, frames[:, -2::-1]], axis=1)


def ping_pong(frames: jax.Array) -> jax.Array:
    """Mean absolute difference of what a frame becomes on the way forth and on the way back.

    Where nothing accumulates over time both are equal. L1 as in the code; the authors' frames lie
    in [-1, 1], so that their value is twice this one.

    Args:
      frames: generated from what `make_ping_pong` gives, [b, 2n - 1, h, w, c] in [0, 1].

    Returns:
      A scalar: the mean over the first n - 1 frames and their counterparts.

    Raises:
      ValueError: the number of frames is even, or below 3.
    """
    count = frames.shape[1]
    if frames.ndim != 5 or count % 2 == 0 or count < 3:
        raise ValueError(
            f"ping_pong of frames of shape {frames.shape}; [b, 2n - 1, h, w, c] is needed, n > 1"
        )
    half = count // 2
    return jnp.mean(jnp.abs(frames[:, :half] - frames[:, : -half - 1 : -1]))


def warp(lr: jax.Array, flows: jax.Array) -> jax.Array:
    """Squared error of each input frame moved onto the next, which trains the flow network.

    Args:
      lr: the input sequence, [b, t, h, w, c] in [0, 1].
      flows: [b, t - 1, h, w, 2] in its pixels, as `models.tecogan.TecoGan.sequence` gives them.

    Returns:
      A scalar: the sum over the channels, averaged over the pixels and the t - 1 pairs.

    Raises:
      ValueError: the flows are not those of the sequence.
    """
    if lr.ndim != 5 or lr.shape[1] < 2:
        raise ValueError(
            f"warp of a sequence of shape {lr.shape}; [b, t, h, w, c], t > 1 is needed"
        )
    b, t, h, w, c = lr.shape
    if flows.shape != (b, t - 1, h, w, 2):
        raise ValueError(f"warp of flows of shape {flows.shape} for a sequence of shape {lr.shape}")
    moved = backward_warp(lr[:, :-1].reshape(-1, h, w, c), flows.reshape(-1, h, w, 2))
    error = jnp.square(moved - lr[:, 1:].reshape(-1, h, w, c))
    return jnp.mean(jnp.sum(error, axis=-1))


def motion_compensation(moved: jax.Array, read: jax.Array) -> jax.Array:
    """Squared error of the frames moved onto the middle one: MFQE 2.0's L_MC.

    Guan, Xing et al., TPAMI 2019, Section 4.3; main_train_NP.py of ryanxingql/mfqev2.0 sums the
    mean squared errors of the two frames.

    Args:
      moved: the frames before and after, moved by the network, [b, 2, h, w, c].
      read: what it read, [b, 3, h, w, c]; the middle one is moved onto.

    Returns:
      A scalar.

    Raises:
      ValueError: the shapes are others.
    """
    b, frames, *rest = moved.shape
    if moved.ndim != 5 or frames != 2 or read.shape != (b, 3, *rest):
        raise ValueError(
            f"motion_compensation of shapes {moved.shape} and {read.shape}; [b, 2, h, w, c] and "
            "[b, 3, h, w, c] are needed"
        )
    return 2 * jnp.mean(jnp.square(moved - read[:, 1:2]))


def discriminator_layers(
    real: Mapping[str, jax.Array], generated: Mapping[str, jax.Array]
) -> jax.Array:
    """Distance of the discriminator's features: a perceptual loss that learns along.

    Args:
      real: "layer_0" to "layer_3" of real triplets, [b, h, w, c], from
        `models.tecogan_discriminator.TecoGanDiscriminator.judge`.
      generated: of generated ones.

    Returns:
      A float32 scalar: the absolute differences, summed over the channels and averaged over the
      positions, each layer weighed by the authors' constants, and summed.

    Raises:
      ValueError: the layers are not those four.
    """
    if set(real) != set(LAYER_NORMS) or set(generated) != set(LAYER_NORMS):
        raise ValueError(
            f"layers {sorted(real)} and {sorted(generated)}; {sorted(LAYER_NORMS)} are needed"
        )
    total = jnp.zeros((), jnp.float32)
    for name, norm in LAYER_NORMS.items():
        difference = real[name].astype(jnp.float32) - generated[name].astype(jnp.float32)
        distance = jnp.mean(jnp.sum(jnp.abs(difference), axis=-1))
        total = total + LAYER_RANGE / norm * distance
    return total
