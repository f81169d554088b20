"""The total loss: named terms, each weighted (Eq. 6)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import jax

from supervegan_jax.losses import pixel, temporal_sequence
from supervegan_jax.models.supervegan import blend_stages
from supervegan_jax.ops.resize import downsample_bilinear, upsample_bicubic


@dataclass(frozen=True)
class LossInputs:
    """What a term may look at.

    Attributes:
      outputs: the generator's images by name; "stage_a" [b, h/2, w/2, 3], "stage_b" [b, h, w, 3],
        or "output" [b, h, w, 3] of a network of one stage; [b, h, w, 1] where it works on luma.
      target: the ground truth Y, [b, h, w, 3], or its luma.
      alpha: the blending parameter of Eq. 5.
      adversarial: (estimate, target) -> the scalar the generator wants small.
      perceptual: (estimate, target) -> scalar distance of features.
      layers: (estimate, target) -> scalar distance of the discriminator's features.
      frames: so many of the b in a row are one clip's.
    """

    outputs: Mapping[str, jax.Array]
    target: jax.Array
    alpha: jax.Array | float
    adversarial: Callable[[jax.Array, jax.Array], jax.Array]
    perceptual: Callable[[jax.Array, jax.Array], jax.Array]
    layers: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    frames: int = 1

    @cached_property
    def estimate(self) -> jax.Array:
        """Y_AB of Eq. 5; one stage alone has nothing to blend."""
        if "output" in self.outputs:
            return self.outputs["output"]
        return blend_stages(self.outputs["stage_a"], self.outputs["stage_b"], self.alpha)

    @property
    def target_a(self) -> jax.Array:
        """Y^A: the ground truth halved with the kernel that made the input."""
        return downsample_bilinear(self.target, 2)

    @cached_property
    def stage_a_enlarged(self) -> jax.Array:
        """Stage A at full size, as Eq. 2 enlarges it."""
        return upsample_bicubic(self.outputs["stage_a"])


# A term's name is its weight's name in the config and its key in the log.
TERMS: dict[str, Callable[[LossInputs], jax.Array]] = {
    "mse_a": lambda x: pixel.mse(x.outputs["stage_a"], x.target_a),
    # Stage A as it is seen: the half-size picture that, enlarged as in Eq. 2, is nearest to Y. The
    # bilinear half of "mse_a" is softer than that.
    "mse_a_enlarged": lambda x: pixel.mse(x.stage_a_enlarged, x.target),
    "mse": lambda x: pixel.mse(x.estimate, x.target),
    "l1": lambda x: pixel.l1(x.estimate, x.target),
    "charbonnier": lambda x: pixel.charbonnier(x.estimate, x.target),
    "huber": lambda x: pixel.huber(x.estimate, x.target),
    "flat": lambda x: pixel.flat(x.estimate, x.target),
    "flicker": lambda x: pixel.flicker(x.estimate, x.target, x.frames),
    "flicker_a_enlarged": lambda x: pixel.flicker(x.stage_a_enlarged, x.target, x.frames),
    "grid": lambda x: pixel.grid(x.estimate, x.target),
    # Sub-pixel layers leave combs along single edges, too; over the window of "grid" they vanish.
    "edge_grid": lambda x: pixel.grid(x.estimate, x.target, period=4, cells=4),
    "adversarial": lambda x: x.adversarial(x.estimate, x.target),
    "discriminator_layers": lambda x: x.layers(x.estimate, x.target),  # type: ignore[misc]
    # Of a recurrent network: what it makes of a clip forth and back, and how it moves frames.
    "ping_pong": lambda x: temporal_sequence.ping_pong(
        x.estimate.reshape(-1, x.frames, *x.estimate.shape[1:])
    ),
    "warp": lambda x: temporal_sequence.warp(x.outputs["read"], x.outputs["flows"]),
    # Of a network that moves other frames onto the one it enhances, as MFQE 2.0's MC-subnet does.
    "motion_compensation": lambda x: temporal_sequence.motion_compensation(
        x.outputs["moved"], x.outputs["read"]
    ),
    "perceptual": lambda x: x.perceptual(x.estimate, x.target),
}


def total_loss(
    inputs: LossInputs, weights: Mapping[str, float]
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Sums weight * term over the terms whose weight is not 0; the others are not computed.

    Returns:
      The scalar loss, and each computed term unweighted by name.

    Raises:
      ValueError: a weight names no term, or one of what the generator has not computed.
    """
    unknown = sorted(set(weights) - set(TERMS))
    if unknown:
        raise ValueError(f"unknown loss terms {unknown}; known are {sorted(TERMS)}")
    terms = {}
    for name in (name for name, weight in weights.items() if weight):
        try:
            terms[name] = TERMS[name](inputs)
        except KeyError as error:
            computed = ", ".join(sorted(inputs.outputs))
            raise ValueError(
                f"loss term {name!r} looks at {error.args[0]!r}; computed are {computed}"
            ) from error
    if not terms:
        raise ValueError("every loss weight is 0: there is nothing to train on")
    return sum(weights[name] * value for name, value in terms.items()), terms  # type: ignore[return-value]
