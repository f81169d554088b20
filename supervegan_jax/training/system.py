"""What is trained: networks, losses, optimizer, all fixed while the program runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import optax
from flax import linen as nn

from supervegan_jax.losses.adversarial import AdversarialLoss
from supervegan_jax.training.optimizers import Schedule

# (frozen parameters, images) -> features by layer
Features = Callable[[dict[str, Any], jax.Array], Mapping[str, jax.Array]]
# The same with the parameters filled in, then target and estimate -> scalar
FeaturesOf = Callable[[jax.Array], Mapping[str, jax.Array]]
PerceptualLoss = Callable[[FeaturesOf, jax.Array, jax.Array], jax.Array]
# (features of images, images, the generator's outputs) -> what the discriminator is applied to
Shown = Callable[[FeaturesOf, jax.Array, Mapping[str, jax.Array]], Any]


@dataclass(frozen=True)
class System:
    """A generator, an optional discriminator and how they learn.

    Attributes:
      generator: its method `outputs` gives the images by name.
      discriminator: what it is shown -> logits, or None.
      features: (frozen parameters, images) -> features of the pretrained network, by layer.
      shown: what the discriminator is shown of images: these, their features, or how they move.
      adversarial: what both networks want of the discriminator's logits.
      discriminator_crop: side of the random square it is shown of each patch; 0 is all.
      perceptual: the distance of two images' features.
      perceptual_crop: side of the random square whose features are compared; 0 is all. Squares of
        one size are at one place.
      ping_pong: clips are read forth and back, the ground truth too.
      optimizer: gradients -> direction; the learning rate is multiplied in by the step.
      schedule: global step -> learning rate.
      discriminator_schedule: the same for the discriminator.
      ema_decay: of the generator's moving average.
      accumulate: micro-batches a step's gradient is averaged over.
      seed: of everything random inside a step.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    features: Features
    shown: Shown
    adversarial: AdversarialLoss
    discriminator_crop: int
    perceptual: PerceptualLoss
    perceptual_crop: int
    ping_pong: bool
    optimizer: optax.GradientTransformation
    schedule: Schedule
    discriminator_schedule: Schedule
    ema_decay: float
    accumulate: int
    seed: int
