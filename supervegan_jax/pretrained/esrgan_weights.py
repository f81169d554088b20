"""The weights of ESRGAN and Real-ESRGAN, from the tensors of their published .pth files.

Two layouts of the generator exist: BasicSR's, in which Real-ESRGAN is published (its files hold it
under "params_ema" or "params"), and the one of xinntao/ESRGAN's RRDBNet_arch.py, in which
RRDB_ESRGAN_x4.pth and RRDB_PSNR_x4.pth are. Both are for RGB in [0, 1].
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from supervegan_jax.models.esrgan import BLOCKS
from supervegan_jax.models.esrgan_discriminators import HIDDEN
from supervegan_jax.pretrained.state_dict import StateDict

# The layer that tells the layout, and how its layers are called: a dense block's convolutions
# behind the trunk's prefix, and ours outside of it.
_LAYOUTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "conv_body": (
        "body.",
        "{}.rdb{}.conv{}",
        {"trunk": "conv_body", "up_0": "conv_up1", "up_1": "conv_up2", "detail": "conv_hr"},
    ),
    "trunk_conv": (
        "RRDB_trunk.",
        "{}.RDB{}.conv{}",
        {"trunk": "trunk_conv", "up_0": "upconv1", "up_1": "upconv2", "detail": "HRconv"},
    ),
}


def esrgan_variables(tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Turns a published generator into ours.

    Args:
      tensors: the state dict's names -> arrays, in either layout.

    Returns:
      The fields of `models.esrgan.Esrgan`, "name" included, and its variables {"params": ...},
      NumPy float32.

    Raises:
      ValueError: the layout is unknown, or a tensor is missing, left over, misshapen or not finite.
    """
    state = StateDict(tensors)
    layout = next((key for key in _LAYOUTS if f"{key}.weight" in state), None)
    if layout is None:
        raise ValueError(
            "neither conv_body.weight (BasicSR) nor trunk_conv.weight (xinntao/ESRGAN) is there; "
            "accepted: the generators of ESRGAN and Real-ESRGAN"
        )
    prefix, pattern, names = _LAYOUTS[layout]
    width, inputs = state.sides("conv_first.weight")[:2]
    scale = next((s for s, block in BLOCKS.items() if inputs == 3 * block**2), None)
    if scale is None:
        raise ValueError(f"tensor conv_first.weight has {inputs} inputs; accepted: 3, 12, 48")
    growth = state.sides(f"{prefix}{pattern.format(0, 1, 1)}.weight")[0]
    blocks = state.count(prefix)
    params: dict[str, Any] = {"input": {"conv": _first(state, inputs, width)}}
    for i in range(blocks):
        params[f"block_{i}"] = {
            f"dense_{j}": _dense_block(state, prefix + pattern, (i, j + 1), width, growth)
            for j in range(3)
        }
    for ours, theirs in names.items():
        params[ours] = {"conv": state.conv(theirs, width, width)}
    params["output"] = {"conv": state.conv("conv_last", width, 3)}
    state.finish()
    fields = {"name": "esrgan", "scale": scale, "width": width, "growth": growth, "blocks": blocks}
    return fields, {"params": params}


def _first(state: StateDict, inputs: int, width: int) -> dict[str, Any]:
    """The first convolution, whose inputs BasicSR's pixel_unshuffle orders (c, row, column)."""
    conv = state.conv("conv_first", inputs, width)
    block = round((inputs / 3) ** 0.5)
    kernel = conv["kernel"].reshape(3, 3, 3, block, block, width).transpose(0, 1, 3, 4, 2, 5)
    return {**conv, "kernel": np.ascontiguousarray(kernel).reshape(3, 3, inputs, width)}


def _dense_block(
    state: StateDict, pattern: str, place: tuple[int, int], width: int, growth: int
) -> dict[str, Any]:
    params = {}
    for k in range(5):
        features = growth if k < 4 else width
        conv = state.conv(pattern.format(*place, k + 1), width + k * growth, features)
        params[f"conv_{k}"] = {"conv": conv}
    return params


def vgg_discriminator_variables(
    tensors: Mapping[str, np.ndarray],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Turns BasicSR's VGGStyleDiscriminator into ours.

    Args:
      tensors: the state dict's names -> arrays.

    Returns:
      The fields of `models.esrgan_discriminators.VggDiscriminator` and its variables {"params":
      ..., "batch_stats": ...}, NumPy float32.

    Raises:
      ValueError: a tensor is missing, left over, misshapen or not finite.
    """
    state = StateDict(tensors)
    width = state.sides("conv0_0.weight")[0]
    pairs = 6 if "conv5_0.weight" in state else 5
    params: dict[str, Any] = {"input": {"conv": state.conv("conv0_0", 3, width)}}
    statistics: dict[str, Any] = {}
    inputs = width
    for i in range(pairs):
        features = width * min(2**i, 8)
        for j, name, size in ((0, "keep", 3), (1, "down", 4)):
            if (i, j) == (0, 0):
                continue
            params[f"{name}_{i}"] = state.conv(f"conv{i}_{j}", inputs, features, size, bias=False)
            params[f"{name}_{i}_norm"] = {
                "scale": state.take(f"bn{i}_{j}.weight", (features,)),
                "bias": state.take(f"bn{i}_{j}.bias", (features,)),
            }
            statistics[f"{name}_{i}_norm"] = {
                "mean": state.take(f"bn{i}_{j}.running_mean", (features,)),
                "var": state.take(f"bn{i}_{j}.running_var", (features,)),
            }
            state.skip(f"bn{i}_{j}.num_batches_tracked")
            inputs = features
    hidden = state.take("linear1.weight", (HIDDEN, inputs * 16)).reshape(HIDDEN, inputs, 4, 4)
    # PyTorch flattens (c, row, column), we (row, column, c).
    kernel = np.ascontiguousarray(hidden.transpose(2, 3, 1, 0)).reshape(-1, HIDDEN)
    params["hidden"] = {"kernel": kernel, "bias": state.take("linear1.bias", (HIDDEN,))}
    logit = np.ascontiguousarray(state.take("linear2.weight", (1, HIDDEN)).T)
    params["logit"] = {"kernel": logit, "bias": state.take("linear2.bias", (1,))}
    state.finish()
    return {"size": 2 ** (pairs + 2), "width": width}, {"params": params, "batch_stats": statistics}


def unet_discriminator_variables(
    tensors: Mapping[str, np.ndarray],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Turns Real-ESRGAN's UNetDiscriminatorSN (RealESRGAN_x4plus_netD.pth) into ours.

    Args:
      tensors: the state dict's names -> arrays.

    Returns:
      The fields of `models.esrgan_discriminators.UNetDiscriminator` and its variables {"params":
      ..., "batch_stats": ...}, NumPy float32.

    Raises:
      ValueError: a tensor is missing, left over, misshapen or not finite.
    """
    state = StateDict(tensors)
    width = state.sides("conv0.weight")[0]
    params: dict[str, Any] = {"input": {"conv": state.conv("conv0", 3, width)}}
    statistics: dict[str, Any] = {}
    # Our layer, its inputs, features (in units of `width`) and kernel size: conv1 to conv8.
    layers = [(f"down_{i}", 2**i, 2 ** (i + 1), 4) for i in range(3)]
    layers += [(f"up_{i}", 2 ** (i + 1), 2**i, 3) for i in (2, 1, 0)]
    layers += [(f"join_{i}", 1, 1, 3) for i in range(2)]
    for number, (ours, inputs, features, size) in enumerate(layers, start=1):
        shape = (width * features, width * inputs, size, size)
        kernel = state.take(f"conv{number}.weight_orig", shape)
        params[ours] = {"kernel": np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))}
        v = state.take(f"conv{number}.weight_v", (shape[1] * size * size,)).reshape(shape[1:])
        statistics[ours] = {
            "u": state.take(f"conv{number}.weight_u", shape[:1]),
            "v": np.ascontiguousarray(v.transpose(1, 2, 0)),
        }
    params["logits"] = {"conv": state.conv("conv9", width, 1)}
    state.finish()
    return {"width": width}, {"params": params, "batch_stats": statistics}
