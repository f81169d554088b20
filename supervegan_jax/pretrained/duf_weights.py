"""DUF's published weights: HDF5 files with the authors' TensorFlow variables.

The files of yhjo09/VSR-DUF are params_16L_x2.h5, params_16L_x3.h5, params_16L_x4.h5,
params_28L_x4.h5 and params_52L_x4.h5. Their group "params" holds one array a variable of scope "G";
`LoadParams` in utils.py says how its name is written there: an underscore for the slash between
scopes, two for an underscore of the name itself.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from supervegan_jax.models.duf import REDUCING_BLOCKS, SCALES
from supervegan_jax.ops.dynamic_filter import TAPS

# What training in TensorFlow and `DynFilter3D` keep in the same scope beside the weights: the
# terms of bias-corrected averages, the optimizer's moments and the identity that gathers a patch.
_BOOKKEEPING = re.compile(r"/(biased|local_step|Adam(_\d+)?|filter_localexpand(_\d+)?):0$")
_NAMES = {
    "norm": {"gamma": "scale", "beta": "bias"},
    "statistics": {"moving_mean": "mean", "moving_variance": "var"},
    "convolution": {"W": "kernel", "b": "bias"},
}

# One of the authors' scopes: (its name, our module's path, the shape of W or of gamma).
_Scope = tuple[str, tuple[str, ...], tuple[int, ...]]


def read_duf_file(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads one of the authors' files.

    Args:
      path: an HDF5 file as `LoadParams` reads it.

    Returns:
      TensorFlow's names ("G/Rbn1a/moving_mean:0") -> float32 arrays.

    Raises:
      ValueError: h5py is not installed, or the file is missing, damaged, or of another layout.
    """
    try:
        import h5py
    except ImportError as error:
        raise ValueError(f"reading {os.fspath(path)} needs: pip install h5py") from error
    if not Path(path).is_file():
        raise ValueError(f"no DUF weights file {os.fspath(path)}")
    arrays: dict[str, np.ndarray | None] | None = None
    try:
        with h5py.File(path, "r") as file:
            group = file.get("params")
            if isinstance(group, h5py.Group):
                arrays = {str(name): _read_numbers(group.get(name)) for name in group}
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError) as error:
        detail = " ".join(str(error).split())
        raise ValueError(f"{os.fspath(path)}: damaged or not an HDF5 file: {detail}") from error
    if arrays is None:
        raise ValueError(f'{os.fspath(path)}: no group "params", which DUF\'s files have')
    tensors = {}
    for name, array in arrays.items():
        if array is None:
            raise ValueError(f"{os.fspath(path)}: {name!r} is no array of numbers")
        tensors[_plain_name(name)] = array
    return tensors


def _read_numbers(item: Any) -> np.ndarray | None:
    """An HDF5 dataset's numbers; None if it is a group, a broken link or has no numbers."""
    if not hasattr(item, "shape") or item.dtype.kind not in ("f", "i", "u"):
        return None
    return np.asarray(item[()], np.float32)


def _plain_name(name: str) -> str:
    """G_Rbn1a_moving__mean:0 -> G/Rbn1a/moving_mean:0, as `LoadParams` does."""
    return re.sub("(?<=[^_])_(?=[^_])", "/", name).replace("__", "_")


def duf_variables(tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Turns the authors' variables into ours.

    Their arrays are laid out as ours; only the names and the 1x1 and 1x3x3 kernels' leading time
    axis differ. The filters' and the residual's channel orders are kept.

    Args:
      tensors: TensorFlow's names -> arrays, as `read_duf_file` gives them; any depth and width.

    Returns:
      The fields of `models.duf.Duf`, "name" included, and its variables {"params": ...,
      "batch_stats": ...}, NumPy float32.

    Raises:
      ValueError: a tensor is missing, left over, misshapen or not finite.
    """
    left = {name: tensors[name] for name in tensors if not _BOOKKEEPING.search(name)}
    fields = _fields(left)
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for scope, path, shape in _scopes(fields):
        kinds = ("norm", "statistics") if len(shape) == 1 else ("convolution",)
        for kind in kinds:
            collection = "batch_stats" if kind == "statistics" else "params"
            module = variables[collection]
            for part in path:
                module = module.setdefault(part, {})
            for theirs, ours in _NAMES[kind].items():
                expected = shape if theirs == "W" else shape[-1:]
                array = _take(left, f"G/{scope}/{theirs}:0", expected)
                # A Conv is 2-D; a Conv3D, the one kernel over 3 frames, keeps its time axis.
                module[ours] = array[0] if theirs == "W" and shape[0] == 1 else array
    if left:
        name = min(left)
        raise ValueError(f"{name} is left over ({len(left)} tensors): it belongs to no DUF network")
    return fields, variables


def _find(tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in tensors:
        raise ValueError(f"{name} is missing; accepted: the variables of the authors' networks")
    return tensors[name]


def _take(tensors: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Removes a tensor from `tensors`, checked."""
    array = np.ascontiguousarray(_find(tensors, name), np.float32)
    del tensors[name]
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; accepted: {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds non-finite numbers")
    return array


def _fields(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Reads depth, widths and scale from which kernels there are and from their last side."""

    def features(scope: str) -> int:
        kernel = _find(tensors, f"G/{scope}/W:0")
        if kernel.ndim != 5:
            raise ValueError(f"G/{scope}/W:0 has shape {kernel.shape}; accepted: five sides")
        return kernel.shape[-1]

    blocks = 0
    while f"G/Rconv{blocks + 1}a/W:0" in tensors:
        blocks += 1
    if blocks < REDUCING_BLOCKS:
        raise ValueError(f"{blocks} dense blocks; accepted: {REDUCING_BLOCKS} and more")
    scale = round((features("rconv2") / 3) ** 0.5)
    if scale not in SCALES or features("rconv2") != 3 * scale**2:
        raise ValueError(
            f"G/rconv2/W:0 has {features('rconv2')} features; accepted: 3 r r for r = 2, 3 or 4"
        )
    return {
        "name": "duf",
        "scale": scale,
        "kept_blocks": blocks - REDUCING_BLOCKS,
        "width": features("conv1"),
        "growth": features("Rconv1b"),
        "head_width": features("conv2"),
        "filter_width": features("fconv1"),
    }


def _scopes(fields: Mapping[str, Any]) -> Iterator[_Scope]:
    """The authors' variable scopes below "G", in the order of nets.py."""
    width, growth, head = fields["width"], fields["growth"], fields["head_width"]
    yield "conv1", ("input", "conv"), (1, 3, 3, 3, width)
    for i in range(fields["kept_blocks"] + REDUCING_BLOCKS):
        number, block = i + 1, f"block_{i}"
        yield f"Rbn{number}a", (block, "norm_0"), (width,)
        yield f"Rconv{number}a", (block, "mix", "conv"), (1, 1, 1, width, width)
        yield f"Rbn{number}b", (block, "norm_1"), (width,)
        yield f"Rconv{number}b", (block, "grow"), (3, 3, 3, width, growth)
        width += growth
    sub_pixels, filters = fields["scale"] ** 2, fields["filter_width"]
    yield "fbn1", ("norm",), (width,)
    yield "conv2", ("head", "conv"), (1, 3, 3, width, head)
    yield "rconv1", ("residual_0", "conv"), (1, 1, 1, head, head)
    yield "rconv2", ("residual_1", "conv"), (1, 1, 1, head, 3 * sub_pixels)
    yield "fconv1", ("filters_0", "conv"), (1, 1, 1, head, filters)
    yield "fconv2", ("filters_1", "conv"), (1, 1, 1, filters, TAPS * sub_pixels)
