"""The weights of EDVR, from the tensors of its published .pth files.

Two layouts exist, with the same layers by other names: XPixelGroup/BasicSR's, in which
EDVR_M_x4_SR_REDS_official and its like are, and the one of xinntao/EDVR's EDVR_arch.py, in which
the same weights were published first (EDVR_REDS_SR_M.pth). `convert_edvr` of BasicSR's
scripts/model_conversion/convert_models.py says which layer is which. Both are for RGB in [0, 1].
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from supervegan_jax.models.edvr import HEAD_WIDTH, KERNEL_SIDE, SCALE
from supervegan_jax.pretrained.state_dict import StateDict, from_pixel_shuffle

# From BasicSR's names to those of xinntao/EDVR.
_FIRST_NAMES = (
    (r"^conv_l(\d)_(\d)", r"fea_L\1_conv\2"),
    (r"^pcd_align\.offset_conv(\d)\.l(\d)", r"pcd_align.L\2_offset_conv\1"),
    (r"^pcd_align\.dcn_pack\.l(\d)", r"pcd_align.L\1_dcnpack"),
    (r"^pcd_align\.feat_conv\.l(\d)", r"pcd_align.L\1_fea_conv"),
    (r"\.conv_offset$", ".conv_offset_mask"),
    (r"^fusion\.temporal_attn1", "tsa_fusion.tAtt_2"),
    (r"^fusion\.temporal_attn2", "tsa_fusion.tAtt_1"),
    (r"^fusion\.feat_fusion", "tsa_fusion.fea_fusion"),
    (r"^fusion\.spatial_attn_add(\d)", r"tsa_fusion.sAtt_add_\1"),
    (r"^fusion\.spatial_attn_l(\d)", r"tsa_fusion.sAtt_L\1"),
    (r"^fusion\.spatial_attn(\d)", r"tsa_fusion.sAtt_\1"),
    (r"^reconstruction", "recon_trunk"),
    (r"^conv_hr", "HRconv"),
)

# One convolution: (BasicSR's name, inputs, features, side of the kernel).
_Layer = tuple[str, int, int, int]
_LEVELS = ("l1", "l2", "l3")


def edvr_variables(tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Turns a published generator for super-resolution into ours.

    Args:
      tensors: the state dict's names -> arrays, in either layout; any width and depth, with TSA
        fusion and without the module that removes blur first.

    Returns:
      The fields of `models.edvr.Edvr`, "name" included, and its variables {"params": ...}, NumPy
      float32.

    Raises:
      ValueError: the layout is unknown, or a tensor is missing, left over, misshapen or not finite.
    """
    state = StateDict(tensors)
    named = _naming(state)
    fields = _fields(state, named)
    params: dict[str, Any] = {}
    for name, inputs, features, side in _layers(fields):
        conv = state.conv(named(name), inputs, features, side)
        if name.startswith("upconv"):
            conv = from_pixel_shuffle(conv, 2)
        module = params
        for part in _path(name):
            module = module.setdefault(part, {})
        module.update(conv)
    state.finish()
    return fields, {"params": params}


def _naming(state: StateDict) -> Callable[[str], str]:
    """From BasicSR's name of a layer to the file's."""
    if "conv_hr.weight" in state:
        return str
    if "HRconv.weight" not in state:
        raise ValueError(
            "neither conv_hr.weight (BasicSR) nor HRconv.weight (xinntao/EDVR) is there; "
            "accepted: the generators of EDVR"
        )

    def first_name(name: str) -> str:
        for pattern, replacement in _FIRST_NAMES:
            name = re.sub(pattern, replacement, name)
        return name

    return first_name


def _fields(state: StateDict, named: Callable[[str], str]) -> dict[str, Any]:
    """Reads width, depths, frames and groups from the shapes."""
    width = state.sides(f"{named('conv_first')}.weight")[0]
    fusion, offsets = named("fusion.feat_fusion"), named("pcd_align.cas_dcnpack.conv_offset")
    stacked, coordinates = state.sides(f"{fusion}.weight")[1], state.sides(f"{offsets}.weight")[0]
    frames, groups = stacked // width, coordinates // (3 * KERNEL_SIDE**2)
    if frames % 2 == 0:
        raise ValueError(
            f"tensor {fusion}.weight has {stacked} inputs; accepted: {width} for each of an odd "
            "number of frames"
        )
    if groups == 0 or width % groups:
        raise ValueError(
            f"tensor {offsets}.weight has {coordinates} features; accepted: "
            f"{3 * KERNEL_SIDE**2} for each group of the {width} features"
        )
    return {
        "name": "edvr",
        "scale": SCALE,
        "frames": frames,
        "width": width,
        "groups": groups,
        "front_blocks": state.count(f"{named('feature_extraction')}."),
        "back_blocks": state.count(f"{named('reconstruction')}."),
    }


def _path(name: str) -> list[str]:
    """Where our parameters hold the layer with BasicSR's name."""
    first, *rest = name.split(".")
    if rest and rest[0].isdigit():
        rest = [f"block_{rest[0]}_{rest[1]}"]
    if len(rest) > 1 and rest[1] in _LEVELS:
        rest[:2] = rest[1], rest[0]
    deformable = rest and rest[-1] in ("dcn_pack", "cas_dcnpack")
    return [first, *rest] if deformable else [first, *rest, "conv"]


def _layers(fields: Mapping[str, Any]) -> Iterator[_Layer]:
    """Every convolution of the network."""
    width = fields["width"]
    yield "conv_first", 3, width, 3
    blocks = {"feature_extraction": "front_blocks", "reconstruction": "back_blocks"}
    for name, count in blocks.items():
        for i in range(fields[count]):
            yield f"{name}.{i}.conv1", width, width, 3
            yield f"{name}.{i}.conv2", width, width, 3
    for name in ("conv_l2_1", "conv_l2_2", "conv_l3_1", "conv_l3_2"):
        yield name, width, width, 3
    for name, inputs in _alignment_layers():
        features = 3 * KERNEL_SIDE**2 * fields["groups"] if "conv_offset" in name else width
        yield f"pcd_align.{name}", inputs * width, features, 3
    for name, (inputs, side) in _fusion_layers(fields["frames"]).items():
        yield f"fusion.{name}", inputs * width, width, side
    yield "upconv1", width, 4 * width, 3
    yield "upconv2", width, 4 * HEAD_WIDTH, 3
    yield "conv_hr", HEAD_WIDTH, HEAD_WIDTH, 3
    yield "conv_last", HEAD_WIDTH, 3, 3


def _alignment_layers() -> Iterator[tuple[str, int]]:
    """The names and how many features' widths each layer gets."""
    for level in _LEVELS:
        coarsest = level == "l3"
        yield f"offset_conv1.{level}", 2
        yield f"offset_conv2.{level}", 1 if coarsest else 2
        if not coarsest:
            yield f"offset_conv3.{level}", 1
            yield f"feat_conv.{level}", 2
        yield f"dcn_pack.{level}", 1
        yield f"dcn_pack.{level}.conv_offset", 1
    yield "cas_offset_conv1", 2
    yield "cas_offset_conv2", 1
    yield "cas_dcnpack", 1
    yield "cas_dcnpack.conv_offset", 1


def _fusion_layers(frames: int) -> dict[str, tuple[int, int]]:
    """The names, with how many features' widths each layer gets and the side of its kernel."""
    return {
        "temporal_attn1": (1, 3),
        "temporal_attn2": (1, 3),
        "feat_fusion": (frames, 1),
        "spatial_attn1": (frames, 1),
        "spatial_attn2": (2, 1),
        "spatial_attn3": (1, 3),
        "spatial_attn4": (1, 1),
        "spatial_attn5": (1, 3),
        "spatial_attn_l1": (1, 1),
        "spatial_attn_l2": (2, 3),
        "spatial_attn_l3": (1, 3),
        "spatial_attn_add1": (1, 1),
        "spatial_attn_add2": (1, 1),
    }
