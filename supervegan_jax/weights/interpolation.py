"""Networks made of trained ones without training: between two, and with stronger detail."""

import dataclasses
from collections.abc import Collection
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from supervegan_jax.weights.model_file import LoadedModel, generator_from_fields

# What a card says of the network that another one was made of.
_MEASURED = ("scores", "limits")


def interpolate(
    first: LoadedModel, second: LoadedModel, alpha: float, groups: Collection[str] | None = None
) -> LoadedModel:
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
      The network with `second`'s `detail_floor`, and what it was made of in its card.

    Raises:
      ValueError: alpha is outside, the two are not the same network, it has no such group, or a
        file holds it as a program.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha}; 0 to 1 is accepted")
    for model in (first, second):
        if model.exported is not None:
            raise ValueError(
                f"{model.card['name']} is exported already; give the network it was made of"
            )
    if _learnt(first.generator) != _learnt(second.generator):
        raise ValueError(
            f"{first.card['name']} and {second.card['name']} are not the same network: "
            f"{first.card['generator']} and {second.card['generator']}"
        )
    mixed = second.params.keys() if groups is None else groups
    unknown = sorted(set(mixed) - set(second.params))
    if unknown or not mixed:
        raise ValueError(
            f"{second.card['name']} has no parameters {', '.join(unknown) or repr('')}; accepted "
            f"are {', '.join(sorted(second.params))}"
        )

    def mix(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.float32(1 - alpha) * x + np.float32(alpha) * y

    made_of: dict[str, Any] = {"first": first.card["name"], "alpha": alpha}
    made_of |= {} if groups is None else {"groups": list(groups)}
    params = {name: jax.tree.map(mix, first.params[name], second.params[name]) for name in mixed}
    return _changed(second, {**second.params, **params}, {"interpolation": made_of})


def _learnt(generator: nn.Module) -> nn.Module:
    """Without the floor of the detail, which is not learnt and may be set when training is over."""
    return generator.clone(detail_floor=0.0) if hasattr(generator, "detail_floor") else generator


def set_detail(
    model: LoadedModel, gain: float | None = None, floor: float | None = None
) -> LoadedModel:
    """SUPERVEGAN with stage B's detail `gain` times as strong, or with another `detail_floor`.

    Averaged weights are tamer than each of those they are the mean of. The floor stays in codes;
    for `gain` times the picture's detail it has to be as many times as high.

    Args:
      model: the network.
      gain: None leaves the detail as it is.
      floor: in 8-bit codes; None leaves it as it is.

    Returns:
      The network, with what was changed in its card.

    Raises:
      ValueError: the gain is not above 0, or it is no network of two stages.
    """
    if gain is not None:
        if not 0 < gain < np.inf:
            raise ValueError(f"detail gain {gain}; above 0 is accepted")
        if "stage_b" not in model.params:
            raise ValueError("the network has no stage B, and so no detail to amplify")
        last = jax.tree.map(lambda x: np.float32(gain) * x, model.params["stage_b"]["residual"])
        params = {**model.params, "stage_b": {**model.params["stage_b"], "residual": last}}
        model = _changed(model, params, {"detail_gain": gain * model.card.get("detail_gain", 1)})
    if floor is not None:
        if not hasattr(model.generator, "detail_floor"):
            raise ValueError("the network has no stage B, and so no detail to shrink")
        fields = {**model.card["generator"], "detail_floor": floor}
        model = _changed(model, model.params, {"generator": fields})
        model = dataclasses.replace(model, generator=generator_from_fields(fields))
    return model


def _changed(model: LoadedModel, params: dict[str, Any], told: dict[str, Any]) -> LoadedModel:
    card = {name: value for name, value in model.card.items() if name not in _MEASURED}
    training = card.get("training")
    if isinstance(training, dict):
        card["training"] = {name: x for name, x in training.items() if name not in _MEASURED}
    return dataclasses.replace(model, params=params, card={**card, **told})
