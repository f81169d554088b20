"""The weights of Real-ESRGAN's compact networks, from the tensors of their published .pth files.

realesr-animevideov3.pth, realesr-general-x4v3.pth and realesr-general-wdn-x4v3.pth hold them under
"params", for RGB in [0, 1].
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from supervegan_jax.models.srvgg import SCALES
from supervegan_jax.pretrained.state_dict import StateDict, from_pixel_shuffle, shuffled_scale


def srvgg_variables(tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Turns a published SRVGGNetCompact with PReLU into ours.

    Args:
      tensors: the state dict's names -> arrays: body.0.weight, body.0.bias, body.1.weight (the
        slopes), body.2.weight and so on.

    Returns:
      The fields of `models.srvgg.Srvgg`, "name" included, and its variables {"params": ...}, NumPy
      float32.

    Raises:
      ValueError: a tensor is missing, left over, misshapen or not finite.
    """
    state = StateDict(tensors)
    width = state.sides("body.0.weight")[0]
    # A convolution and its slopes in turn, at least one pair; then the last convolution.
    pairs = max(state.count("body.") // 2, 1)
    last = f"body.{2 * pairs}"
    scale = shuffled_scale(state, last, SCALES)
    params: dict[str, Any] = {}
    for i in range(pairs):
        inputs = 3 if i == 0 else width
        params[f"conv_{i}"] = {"conv": state.conv(f"body.{2 * i}", inputs, width)}
        params[f"prelu_{i}"] = {"slope": state.take(f"body.{2 * i + 1}.weight", (width,))}
    output = state.conv(last, width, 3 * scale**2)
    params["output"] = {"conv": from_pixel_shuffle(output, scale)}
    state.finish()
    fields = {"name": "srvgg", "scale": scale, "width": width, "layers": pairs - 1}
    return fields, {"params": params}
