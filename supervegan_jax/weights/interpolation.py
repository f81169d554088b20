"""Networks made of trained ones without training: between two, and with stronger detail."""

from collections.abc import Collection
from typing import Any

import jax
import numpy as np

from supervegan_jax.weights.model_file import LoadedModel


def interpolate(
    first: LoadedModel, second: LoadedModel, alpha: float, groups: Collection[str] | None = None
) -> dict[str, Any]:
    """(1 - alpha) `first` + alpha `second`, parameter by parameter (ESRGAN, section 3.4).

    Between a network and what an adversarial loss made of it lies less invented texture at nearly
    all of the gain.

    Args:
      first: a network.
      second: one trained on from it.
      alpha: 0 to 1.
      groups: of parameters that are mixed, such as "stage_a"; the others stay `second`'s. None is
        all of them.

    Returns:
      float32 parameters; for either's `detail_floor`.

    Raises:
      ValueError: alpha is outside, the two are not the same network, or it has no such group.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha}; 0 to 1 is accepted")
    # The floor is not learnt, and may be set when training is over.
    if first.generator.clone(detail_floor=0.0) != second.generator.clone(detail_floor=0.0):
        raise ValueError(
            f"{first.card['name']} and {second.card['name']} are not the same network: "
            f"{first.card['generator']} and {second.card['generator']}"
        )
    groups = second.params.keys() if groups is None else groups
    unknown = sorted(set(groups) - set(second.params))
    if unknown:
        raise ValueError(
            f"{second.card['name']} has no parameters {', '.join(unknown)}; accepted are "
            f"{', '.join(sorted(second.params))}"
        )

    def mix(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.float32(1 - alpha) * x + np.float32(alpha) * y

    mixed = {name: jax.tree.map(mix, first.params[name], second.params[name]) for name in groups}
    return {**second.params, **mixed}


def amplify_detail(params: dict[str, Any], gain: float) -> dict[str, Any]:
    """SUPERVEGAN's parameters with stage B's detail `gain` times as strong.

    Averaged weights are tamer than each of those they are the mean of. A `detail_floor` stays in
    codes; for `gain` times the picture's detail it has to be as many times as high.

    Raises:
      ValueError: the gain is not above 0, or it is no network of two stages.
    """
    if not 0 < gain < np.inf:
        raise ValueError(f"detail gain {gain}; above 0 is accepted")
    if "stage_b" not in params:
        raise ValueError("the network has no stage B, and so no detail to amplify")
    last = jax.tree.map(lambda x: np.float32(gain) * x, params["stage_b"]["residual"])
    return {**params, "stage_b": {**params["stage_b"], "residual": last}}
