"""TecoGAN's spatio-temporal discriminator, and what it is shown.

Chu et al., SIGGRAPH 2020, Section 3.1; `discriminator_F` and the `*_Tdiscriminator` parts of
lib/Teco.py of thunil/TecoGAN, which decide what the paper leaves open.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.models.layers import Conv, lrelu
from supervegan_jax.models.tecogan import SCALE, XAVIER, upsample_flow
from supervegan_jax.ops.corner_resize import upsample_bilinear_corner
from supervegan_jax.ops.warp import backward_warp

TRIPLET = 3
WIDTHS = (64, 64, 128, 256)
EPSILON = 1e-3  # of the batch normalisation
SHOWN_CHANNELS = 27  # 3 frames of 3 colours as they are, warped, and of the enlarged input


class TecoGanDiscriminator(nn.Module):
    """Says how real three frames in a row look and how they move, place by place.

    Its batch normalisation always takes the statistics of the batch it is shown, as the authors'
    does (`is_training=True`), so that there is no state to keep: real and generated triplets are
    judged by calls of their own.

    Attributes:
      widths: features of the layers that halve the image.
      dtype: of the features.
    """

    widths: tuple[int, ...] = WIDTHS
    dtype: Any = jnp.float32

    def __call__(self, shown: jax.Array, train: bool = True) -> jax.Array:
        """Judges what `show_triplets` gives.

        Args:
          shown: float32 [b, h, w, 27].

        Returns:
          Logits, float32 [b, h / 16, w / 16], rounded up; the authors' output is their sigmoid.

        Raises:
          ValueError: shown has another shape.
        """
        return self.judge(shown)[0]

    @nn.compact
    def judge(self, shown: jax.Array, train: bool = True) -> tuple[jax.Array, dict[str, jax.Array]]:
        """`__call__` with the features of the four layers, which the layer loss compares.

        Args:
          shown: float32 [b, h, w, 27].

        Returns:
          The logits, and "layer_0" to "layer_3": [b, h / 2, w / 2, 64] to [b, h / 16, w / 16, 256].

        Raises:
          ValueError: shown has another shape.
        """
        if shown.ndim != 4 or shown.shape[-1] != SHOWN_CHANNELS:
            raise ValueError(
                f"triplets of shape {shown.shape}; [b, h, w, {SHOWN_CHANNELS}] is needed"
            )
        y = Conv(self.widths[0], kernel_init=XAVIER, dtype=self.dtype, name="input")(shown)
        y = lrelu(y)
        layers = {}
        for i, width in enumerate(self.widths):
            y = nn.Conv(
                width,
                (4, 4),
                strides=(2, 2),
                use_bias=False,
                kernel_init=XAVIER,
                dtype=self.dtype,
                name=f"down_{i}",
            )(y)
            bias = self.param(f"norm_{i}_bias", nn.initializers.zeros_init(), (width,))
            y = lrelu(normalize_by_batch(y) + bias.astype(y.dtype))
            layers[f"layer_{i}"] = y
        logits = nn.Dense(1, kernel_init=XAVIER, name="logits")(y.astype(jnp.float32))
        return logits[..., 0], layers


def normalize_by_batch(x: jax.Array) -> jax.Array:
    """Takes the mean and the deviation of each channel's [b, h, w] values from x [b, h, w, c]."""
    y = x.astype(jnp.float32)
    mean = jnp.mean(y, axis=(0, 1, 2))
    variance = jnp.mean(jnp.square(y - mean), axis=(0, 1, 2))
    return ((y - mean) * jax.lax.rsqrt(variance + EPSILON)).astype(x.dtype)


def ping_pong_flows(flows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The flows onto each triplet's middle frame, of a sequence that goes forth and back.

    Coming back the frames pass in the other order, so the flows backward are there already.

    Args:
      flows: [b, 2n - 2, h, w, 2] of the 2n - 1 frames, from each onto the next.

    Returns:
      For the (2n - 1) // 3 triplets, [b, triplets, h, w, 2] twice: from the first and from the last
      of the three onto the middle one.

    Raises:
      ValueError: the number of flows is odd, or below 2.
    """
    count = flows.shape[1]
    if count % 2 or count < 2:
        raise ValueError(f"{count} flows of a ping-pong sequence; an even number is needed")
    used = (count + 1) // TRIPLET * TRIPLET
    return flows[:, 0:used:TRIPLET], flows[:, ::-1][:, 1:used:TRIPLET]


def show_triplets(
    lr: jax.Array, frames: jax.Array, flows: tuple[jax.Array, jax.Array], kept: float = 0.75
) -> jax.Array:
    """What the discriminator is shown of a sequence; frames over a whole number of 3 are left out.

    Of every triplet: the frames, the same moved onto the middle one, and the enlarged input. No
    gradient goes to the flows. The moved frames have a margin blanked, where much comes from
    outside.

    Args:
      lr: the network's input, float32 [b, t, h, w, 3] in [0, 1].
      frames: generated or real, float32 [b, t, 4h, 4w, 3] in [0, 1].
      flows: from the first and the last of each triplet onto its middle frame, in input pixels,
        [b, t // 3, h, w, 2] each: as from `ping_pong_flows`.
      kept: share of the sides of the moved frames that is not blanked, centred.

    Returns:
      float32 [b * (t // 3), 4h, 4w, 27]; frames in [-1, 1] and the input in [0, 1], as theirs.

    Raises:
      ValueError: the shapes do not fit, or `kept` is not in (0, 1].
    """
    b, t, h, w, _ = lr.shape
    count = t // TRIPLET
    flow_shape = (b, count, h, w, 2)
    if not count or frames.shape != (b, t, SCALE * h, SCALE * w, 3):
        raise ValueError(f"triplets of input of shape {lr.shape} and frames of {frames.shape}")
    if any(flow.shape != flow_shape for flow in flows):
        shapes = " and ".join(str(flow.shape) for flow in flows)
        raise ValueError(f"flows of shapes {shapes}; {flow_shape} is needed")
    if not 0 < kept <= 1:
        raise ValueError(f"kept is {kept}; more than 0 and at most 1 is accepted")

    def split(x: jax.Array) -> jax.Array:
        return x[:, : count * TRIPLET].reshape(b * count, TRIPLET, *x.shape[2:])

    before, after = (
        upsample_flow(jax.lax.stop_gradient(flow).reshape(b * count, h, w, 2)) for flow in flows
    )
    images = 2 * split(frames) - 1
    moved = (
        backward_warp(images[:, 0], before),
        images[:, 1],
        backward_warp(images[:, 2], after),
    )
    margin = _margin(SCALE * h, kept), _margin(SCALE * w, kept)
    enlarged = upsample_bilinear_corner(_join(split(lr)), SCALE)
    blanked = _blank_margin(_join(jnp.stack(moved, axis=1)), margin)
    return jnp.concatenate([_join(images), blanked, enlarged], axis=-1)


def _join(triplets: jax.Array) -> jax.Array:
    """[b, 3, h, w, c] -> [b, h, w, 3c], the three frames of a colour side by side."""
    b, t, h, w, c = triplets.shape
    return triplets.transpose(0, 2, 3, 4, 1).reshape(b, h, w, c * t)


def _margin(size: int, kept: float) -> int:
    return (size - int(size * kept)) // 2


def _blank_margin(x: jax.Array, margin: tuple[int, int]) -> jax.Array:
    """Sets [b, h, w, c] to 0 but for what lies the margins inside."""
    rows, columns = margin
    inside = x[:, rows : x.shape[1] - rows, columns : x.shape[2] - columns]
    return jnp.pad(inside, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
