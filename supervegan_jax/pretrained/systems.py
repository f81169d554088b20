"""Published weights of other systems, from their authors' files to the form ours are kept in."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from supervegan_jax.models import build_generator
from supervegan_jax.models.single_stage import as_parameters
from supervegan_jax.pretrained.duf_weights import duf_variables, read_duf_file
from supervegan_jax.pretrained.edvr_weights import edvr_variables
from supervegan_jax.pretrained.esrgan_weights import esrgan_variables
from supervegan_jax.pretrained.fsrcnn_weights import fsrcnn_variables
from supervegan_jax.pretrained.rlfn_weights import rlfn_variables
from supervegan_jax.pretrained.srvgg_weights import srvgg_variables
from supervegan_jax.pretrained.torch_file import read_torch_file

Variables = Callable[[Mapping[str, np.ndarray]], tuple[dict[str, Any], dict[str, Any]]]

_HDF5_SUFFIXES = (".h5", ".hdf5")
# A tensor that only this system's files have, and what turns them into ours.
_TORCH: dict[str, tuple[str, Variables]] = {
    "EDVR": ("pcd_align.cas_dcnpack.weight", edvr_variables),
    "ESRGAN": ("conv_body.weight", esrgan_variables),
    "ESRGAN (first layout)": ("trunk_conv.weight", esrgan_variables),
    "RLFN": ("block_1.c1_r.weight", rlfn_variables),
    "SRVGG": ("body.1.weight", srvgg_variables),
}
_FSRCNN_TENSOR = "first_part.0.weight"

_DUF: Variables = duf_variables


def read_system(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads a published network; nothing in the file is executed.

    Args:
      path: a state dict of EDVR, ESRGAN, Real-ESRGAN, RLFN or FSRCNN (.pth, .pt), or DUF's .h5.
        FSRCNN's scale is read from the file's name.

    Returns:
      The generator's fields, as `models.build_generator` takes them, and its parameters by group,
      NumPy float32.

    Raises:
      ValueError: it is none of these, damaged, or an FSRCNN whose name tells no scale.
    """
    if path.suffix in _HDF5_SUFFIXES:
        tensors, variables_of = read_duf_file(path), _DUF
    else:
        tensors = read_torch_file(path)
        variables_of = _recognise(tensors, path)
    try:
        fields, variables = variables_of(tensors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return fields, as_parameters(build_generator(**fields), variables)


def _recognise(tensors: Mapping[str, np.ndarray], path: Path) -> Variables:
    for mark, variables_of in _TORCH.values():
        if mark in tensors:
            return variables_of
    if _FSRCNN_TENSOR in tensors:
        return partial(fsrcnn_variables, scale=_scale_of_name(path))
    systems = ", ".join(dict.fromkeys(name.split(" (")[0] for name in _TORCH))
    raise ValueError(
        f"{path}: its {len(tensors)} tensors are of no network that is known here; known are "
        f"{systems}, FSRCNN, and DUF's .h5 files"
    )


def _scale_of_name(path: Path) -> int:
    """The scale in names like fsrcnn_x3.pth and fsrcnn_x3-T91.pth."""
    found = set(re.findall(r"(?<![a-z0-9])x([234])(?![a-z0-9])", path.stem.lower()))
    if len(found) != 1:
        raise ValueError(
            f"{path}: the scale of an FSRCNN is read from its file's name, which must hold one of "
            "x2, x3 and x4 between other signs than letters and digits, as in fsrcnn_x2.pth"
        )
    return int(found.pop())
