"""The weights of RLFN, from the tensors of bytedance/RLFN's .pth files (model_zoo).

The published networks take and give RGB in [0, 255] (test_demo.py). Ours work in [0, 1], so the
first kernel is multiplied and the last layer divided by 255: the same function.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from supervegan_jax.models.rlfn import ATTENTION_WIDTH, SCALES
from supervegan_jax.pretrained.state_dict import StateDict, from_pixel_shuffle, shuffled_scale

VALUE_RANGE = np.float32(255)


def rlfn_variables(tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Turns a published RLFN, RLFN-S or the network of the NTIRE 2022 challenge into ours.

    Args:
      tensors: the state dict's names -> arrays, of a network for RGB in [0, 255].

    Returns:
      The fields of `models.rlfn.Rlfn`, "name" included, and its variables {"params": ...}, NumPy
      float32.

    Raises:
      ValueError: a tensor is missing, left over, misshapen or not finite.
    """
    state = StateDict(tensors)
    width = state.sides("conv_1.weight")[0]
    inner = state.sides("block_1.c1_r.weight")[0]
    scale = shuffled_scale(state, "upsampler.0", SCALES)
    blocks = state.count("block_") - 1  # they are numbered from 1
    first = state.conv("conv_1", 3, width)
    params: dict[str, Any] = {
        "input": {"conv": {**first, "kernel": first["kernel"] * VALUE_RANGE}},
        "trunk": {"conv": state.conv("conv_2", width, width)},
    }
    for i in range(blocks):
        params[f"block_{i}"] = _block(state, f"block_{i + 1}", width, inner)
    output = from_pixel_shuffle(state.conv("upsampler.0", width, 3 * scale**2), scale)
    params["output"] = {"conv": {kind: array / VALUE_RANGE for kind, array in output.items()}}
    state.finish()
    fields = {
        "name": "rlfn",
        "scale": scale,
        "width": width,
        "inner_width": inner,
        "blocks": blocks,
    }
    return fields, {"params": params}


def _block(state: StateDict, name: str, width: int, inner: int) -> dict[str, Any]:
    attention = {
        "reduce": state.conv(f"{name}.esa.conv1", width, ATTENTION_WIDTH, 1),
        "down": state.conv(f"{name}.esa.conv2", ATTENTION_WIDTH, ATTENTION_WIDTH),
        "coarse": state.conv(f"{name}.esa.conv3", ATTENTION_WIDTH, ATTENTION_WIDTH),
        "fine": state.conv(f"{name}.esa.conv_f", ATTENTION_WIDTH, ATTENTION_WIDTH, 1),
        "expand": state.conv(f"{name}.esa.conv4", ATTENTION_WIDTH, width, 1),
    }
    return {
        "conv_0": {"conv": state.conv(f"{name}.c1_r", width, inner)},
        "conv_1": {"conv": state.conv(f"{name}.c2_r", inner, inner)},
        "conv_2": {"conv": state.conv(f"{name}.c3_r", inner, width)},
        "mix": {"conv": state.conv(f"{name}.c5", width, width, 1)},
        "attention": attention,
    }
