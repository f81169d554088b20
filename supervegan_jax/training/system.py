"""What is trained: networks, losses, optimizer, all fixed while the program runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import optax
from flax import linen as nn

from supervegan_jax.losses.adversarial import AdversarialLoss
from supervegan_jax.training.optimizers import Schedule

# (frozen parameters, estimate, target, key) -> scalar
PerceptualLoss = Callable[[dict, jax.Array, jax.Array, jax.Array], jax.Array]
# (frozen parameters, images) -> what the discriminator is applied to
Shown = Callable[[dict, jax.Array], Any]


@dataclass(frozen=True)
class System:
    """A generator, an optional discriminator and how they learn.

    Attributes:
      generator: `apply({"params": p}, lr, stage=...)` gives the images by name.
      discriminator: what it is shown -> logits, or None.
      shown: what it is shown of images: these, or features of them.
      adversarial: what both networks want of the discriminator's logits.
      discriminator_crop: side of the random square it is shown of each patch; 0 is all.
      perceptual: the perceptual distance, given its frozen parameters.
      optimizer: gradients -> direction; the learning rate is multiplied in by the step.
      schedule: global step -> learning rate.
      discriminator_schedule: the same for the discriminator.
      ema_decay: of the generator's moving average.
      accumulate: micro-batches a step's gradient is averaged over.
      seed: of everything random inside a step.
    """

    generator: nn.Module
    discriminator: nn.Module | None
    shown: Shown
    adversarial: AdversarialLoss
    discriminator_crop: int
    perceptual: PerceptualLoss
    optimizer: optax.GradientTransformation
    schedule: Schedule
    discriminator_schedule: Schedule
    ema_decay: float
    accumulate: int
    seed: int
