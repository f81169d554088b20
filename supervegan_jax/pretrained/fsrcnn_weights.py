"""The weights of FSRCNN, from the tensors of yjn870/FSRCNN-pytorch's .pth files.

Its authors published MATLAB files only; these, trained anew for luma in [0, 1], are the ones found
in PyTorch. Their layers pad with zeros, so the fields say so.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from supervegan_jax.models.fsrcnn import DECONVOLUTION_SIZE
from supervegan_jax.pretrained.state_dict import StateDict


def fsrcnn_variables(
    tensors: Mapping[str, np.ndarray], scale: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Turns such an FSRCNN into ours.

    Args:
      tensors: the state dict's names -> arrays.
      scale: 2, 3 or 4, as the file's name says; no tensor's shape tells it.

    Returns:
      The fields of `models.fsrcnn.Fsrcnn`, "name" included, and its variables {"params": ...},
      NumPy float32.

    Raises:
      ValueError: a tensor is missing, left over, misshapen or not finite.
    """
    state = StateDict(tensors)
    width, channels = state.sides("first_part.0.weight")[:2]
    shrunk = state.sides("mid_part.0.weight")[0]
    # A convolution and its slopes in turn: shrinking, mapping, expanding.
    mapping = state.count("mid_part.") // 2 - 2
    params: dict[str, Any] = {}

    def layer(ours: str, part: str, number: int, inputs: int, features: int, size: int) -> None:
        params[ours] = state.conv(f"{part}.{number}", inputs, features, size)
        slope = state.take(f"{part}.{number + 1}.weight", (features,))
        params[f"{ours}_prelu"] = {"slope": slope}

    layer("input", "first_part", 0, channels, width, 5)
    layer("shrink", "mid_part", 0, width, shrunk, 1)
    for i in range(mapping):
        layer(f"map_{i}", "mid_part", 2 * i + 2, shrunk, shrunk, 3)
    layer("expand", "mid_part", 2 * mapping + 2, shrunk, width, 1)
    size = DECONVOLUTION_SIZE
    kernel = state.take("last_part.weight", (width, channels, size, size))
    params["kernel"] = np.ascontiguousarray(kernel.transpose(2, 3, 0, 1))
    params["bias"] = state.take("last_part.bias", (channels,))
    state.finish()
    fields = {
        "name": "fsrcnn",
        "scale": scale,
        "channels": channels,
        "width": width,
        "shrunk_width": shrunk,
        "mapping_layers": mapping,
        "padding": "zeros",
    }
    return fields, {"params": params}
