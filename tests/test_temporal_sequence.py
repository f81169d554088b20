import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.losses.temporal_sequence import (
    LAYER_NORMS,
    discriminator_layers,
    make_ping_pong,
    ping_pong,
    warp,
)


def frames_of(values, shape=(2, 2, 3)):
    """One sequence of flat frames [1, t, *shape]."""
    values = jnp.asarray(values, jnp.float32)
    return jnp.broadcast_to(values[None, :, None, None, None], (1, len(values), *shape))


def test_ping_pong_goes_forth_and_back():
    sequence = make_ping_pong(frames_of([1, 2, 3]))
    np.testing.assert_array_equal(sequence[0, :, 0, 0, 0], [1, 2, 3, 2, 1])
    np.testing.assert_array_equal(make_ping_pong(frames_of([4])), frames_of([4]))


def test_ping_pong_loss_by_hand():
    # Frames 0 and 4, 1 and 3 are the same moments: |0.1 - 0.4| and |0.2 - 0.3|, their mean 0.2.
    assert float(ping_pong(frames_of([0.1, 0.2, 9.0, 0.3, 0.4]))) == pytest.approx(0.2)
    assert float(ping_pong(make_ping_pong(frames_of([0.1, 0.7, 0.3])))) == 0


def test_ping_pong_pulls_both_ways():
    frames = frames_of([0.1, 0.2, 9.0, 0.3, 0.4], (1, 1, 1))
    gradient = jax.grad(ping_pong)(frames)[0, :, 0, 0, 0]
    np.testing.assert_allclose(gradient, [-0.5, -0.5, 0, 0.5, 0.5], rtol=1e-6)


def test_warp_loss_by_hand():
    # A ramp of 0.1 a pixel that moves one pixel to the right from frame to frame. Fetched from
    # one pixel to the left it fits but in the first column, where the border is held: there the
    # pixel itself is fetched and each of 3 channels is off by 0.1. Mean over 4 columns.
    ramp = 0.1 * np.arange(6, dtype=np.float32)
    rows = np.stack([ramp[2:], ramp[1:-1]])  # frame 1 shows at x what frame 0 shows at x - 1
    lr = jnp.broadcast_to(jnp.asarray(rows)[None, :, None, :, None], (1, 2, 3, 4, 3))
    flows = jnp.broadcast_to(jnp.asarray([-1.0, 0.0]), (1, 1, 3, 4, 2))
    assert float(warp(lr, flows)) == pytest.approx(3 * 0.1**2 / 4, rel=1e-5)
    # Without motion every pixel is off by 0.1.
    assert float(warp(lr, jnp.zeros_like(flows))) == pytest.approx(3 * 0.1**2, rel=1e-5)


def test_warp_loss_leads_the_flow_to_the_motion():
    ramp = 0.1 * np.arange(6, dtype=np.float32)
    rows = np.stack([ramp[2:], ramp[1:-1]])
    lr = jnp.broadcast_to(jnp.asarray(rows)[None, :, None, :, None], (1, 2, 3, 4, 3))
    flows = jnp.broadcast_to(jnp.asarray([-0.4, 0.0]), (1, 1, 3, 4, 2))
    gradient = jax.grad(warp, argnums=1)(lr, flows)
    assert (gradient[..., 1:, 0] > 0).all()  # further left is better
    assert not gradient[..., 1].any()  # rows are alike


def test_discriminator_layers_by_hand():
    real = {name: jnp.zeros((2, 3, 3, 4)) for name in LAYER_NORMS}
    generated = {name: jnp.full((2, 3, 3, 4), -norm) for name, norm in LAYER_NORMS.items()}
    # Four channels that differ by the layer's norm give 4 * 0.02 in each of the four layers.
    assert float(discriminator_layers(real, generated)) == pytest.approx(0.32)


def test_wrong_sequences_are_refused():
    for count in (1, 4):
        with pytest.raises(ValueError, match=r"\[b, 2n - 1, h, w, c\] is needed, n > 1"):
            ping_pong(frames_of(range(count)))
    lr = frames_of([1, 2])
    with pytest.raises(ValueError, match=r"warp of a sequence of shape \(1, 1, 2, 2, 3\)"):
        warp(lr[:, :1], jnp.zeros((1, 0, 2, 2, 2)))
    with pytest.raises(ValueError, match=r"warp of flows of shape \(1, 2, 2, 2, 2\)"):
        warp(lr, jnp.zeros((1, 2, 2, 2, 2)))
    with pytest.raises(ValueError, match=r"layers \['layer_0'\] and \['layer_0'\]"):
        discriminator_layers({"layer_0": lr}, {"layer_0": lr})
