"""Networks between two trained ones (Wang et al. 2018, ESRGAN, section 3.4)."""

from typing import Any

import jax
import numpy as np

from supervegan_jax.weights.model_file import LoadedModel


def interpolate(first: LoadedModel, second: LoadedModel, alpha: float) -> dict[str, Any]:
    """(1 - alpha) `first` + alpha `second`, parameter by parameter.

    Between a network and what an adversarial loss made of it lies less invented texture at nearly
    all of the gain.

    Args:
      first: a network.
      second: one trained on from it.
      alpha: 0 to 1.

    Returns:
      float32 parameters; for either's `detail_floor`.

    Raises:
      ValueError: alpha is outside, or the two are not the same network.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha}; 0 to 1 is accepted")
    # The floor is not learnt, and may be set when training is over.
    if first.generator.clone(detail_floor=0.0) != second.generator.clone(detail_floor=0.0):
        raise ValueError(
            f"{first.card['name']} and {second.card['name']} are not the same network: "
            f"{first.card['generator']} and {second.card['generator']}"
        )

    def mix(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.float32(1 - alpha) * x + np.float32(alpha) * y

    return jax.tree.map(mix, first.params, second.params)
