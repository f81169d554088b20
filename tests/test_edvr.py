from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.models import init_variables
from supervegan_jax.models.edvr import VARIANTS, DeformableConv, Edvr
from supervegan_jax.ops.counting import count_macs
from supervegan_jax.ops.pad import pad_to_multiple
from supervegan_jax.pretrained.edvr_weights import edvr_variables
from supervegan_jax.pretrained.torch_file import read_torch_file

NARROW = {"frames": 3, "width": 8, "groups": 2, "front_blocks": 1, "back_blocks": 2}

# (row, column, channel) of the narrow network's output, as `test_golden_values` makes it.
GOLDEN = {
    (0, 0, 0): -0.083599,
    (3, 11, 1): 0.330805,
    (10, 5, 2): 0.930595,
    (17, 20, 0): -0.792702,
    (19, 23, 2): 1.048817,
}


@pytest.fixture(scope="module")
def twins() -> ModuleType:
    pytest.importorskip("torch")
    import torch_edvr

    return torch_edvr


@pytest.fixture(scope="module")
def narrow_twin(twins: ModuleType) -> Any:
    return twins.TorchEdvr(frames=3, width=8, groups=2, front=1, back=2)


def tensors_of(twin: Any) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in twin.state_dict().items()}


def window(frames: int, height: int, width: int, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(7).random((batch, frames, height, width, 3), np.float32)


def run(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, compiled unoptimised: networks this deep take long to optimise."""
    options: Any = {"xla_backend_optimization_level": 0}
    return jax.jit(function).lower(*arguments).compile(options)(*arguments)


def build(fields: dict[str, Any]) -> Edvr:
    assert fields["name"] == "edvr"
    return Edvr(**{name: value for name, value in fields.items() if name != "name"})


def twin_output(twin: Any, x: np.ndarray) -> np.ndarray:
    """The twin's of the next larger window with sides it accepts, cut to the window's own."""
    import torch

    h, w = x.shape[2:4]
    widths = ((0, 0), (0, 0), (0, -h % 4), (0, -w % 4), (0, 0))
    with torch.no_grad():
        y = twin(torch.from_numpy(np.pad(x, widths, mode="edge"))).numpy()
    return y[:, : 4 * h, : 4 * w]


def assert_equals_twin(twin: Any, x: np.ndarray, fields: dict[str, Any]) -> None:
    wanted = twin_output(twin, x)
    read, variables = edvr_variables(tensors_of(twin))
    assert build(read) == Edvr(**fields)
    ours = run(Edvr(**fields).apply, variables, x)
    assert ours.dtype == jnp.float32 and 0.5 < wanted.std() < 3
    np.testing.assert_allclose(ours, wanted, atol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_published_networks_equal_independent_ones(twins: ModuleType, name: str) -> None:
    fields = VARIANTS[name]
    sizes = {"width": fields["width"], "back": fields["back_blocks"]}
    assert_equals_twin(twins.TorchEdvr(**sizes), window(5, 5, 7), fields)


@pytest.mark.parametrize("sides", [(12, 9), (1, 2)])
def test_every_size_equals_an_independent_network(narrow_twin: Any, sides: tuple[int, int]) -> None:
    assert_equals_twin(narrow_twin, window(3, *sides, batch=2), NARROW)


@pytest.mark.parametrize(
    ("name", "frames", "parameters", "giga_macs"),
    [
        ("edvr_m", 5, 3_300_131, 487),  # 3.300 M
        ("edvr_l", 5, 20_633_827, 2116),  # 20.634 M
        ("edvr_l", 7, 20_699_363, 2626),  # the one for Vimeo-90K
    ],
)
def test_parameters_and_macs(name: str, frames: int, parameters: int, giga_macs: int) -> None:
    """Every learned number, biases included, and all of one 1280x720 frame from the window.

    Every frame is aligned, the centre one to itself too. A deformable convolution counts as an
    ordinary one, beside the layer that gives its offsets; so do the inner products that compare
    frames (0.02 and 0.04 G). Sampling, resizing and products element by element do not count.
    """
    module = Edvr(**{**VARIANTS[name], "frames": frames})
    x = jax.ShapeDtypeStruct((1, frames, 180, 320, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == parameters
    assert round(count_macs(module.apply, variables, x) / 1e9) == giga_macs


def random_variables(fields: dict[str, Any]) -> dict[str, Any]:
    """The same on every machine; of a size that keeps features near 1."""
    rng = np.random.default_rng(11)

    def draw(path: Any, leaf: Any) -> np.ndarray:
        numbers = rng.standard_normal(leaf.shape, np.float32)
        if path[-1].key == "bias":
            return numbers * np.float32(0.1)
        return numbers * np.float32((2 / np.prod(leaf.shape[:-1])) ** 0.5)

    shapes = jax.eval_shape(Edvr(**fields).init, jax.random.key(0), window(3, 4, 4))
    return jax.tree_util.tree_map_with_path(draw, shapes)


def test_golden_values() -> None:
    y = run(Edvr(**NARROW).apply, random_variables(NARROW), window(3, 5, 6))
    assert y.shape == (1, 20, 24, 3)
    found = [y[0, row, column, channel] for row, column, channel in GOLDEN]
    np.testing.assert_allclose(found, list(GOLDEN.values()), atol=2e-5)


def test_every_parameter_takes_part() -> None:
    module = Edvr(**NARROW | {"back_blocks": 1})
    x = window(3, 8, 8)
    variables = random_variables({**NARROW, "back_blocks": 1})
    power = jax.grad(lambda variables: jnp.mean(module.apply(variables, x) ** 2))
    for path, leaf in jax.tree_util.tree_leaves_with_path(run(power, variables)):
        assert bool(jnp.any(leaf != 0)), jax.tree_util.keystr(path)


def test_silent_network_is_bilinear() -> None:
    """Without its last layer there is the enlarged centre frame, here a slope away from borders."""
    variables = jax.tree.map(np.zeros_like, random_variables(NARROW))
    x = window(3, 5, 6)
    x[0, 1] = np.arange(6, dtype=np.float32)[:, None] / 8
    y = run(Edvr(**NARROW).apply, variables, x)
    columns = ((np.arange(24) + 0.5) / 4 - 0.5) / 8
    wanted = np.broadcast_to(columns[2:-2, None], (20, 20, 3))
    np.testing.assert_allclose(y[0, :, 2:-2], wanted, atol=1e-6)
    np.testing.assert_allclose(y[0, 3, [0, 1], 0], 0, atol=1e-6)


def test_fresh_deformable_convolution_is_half_a_convolution() -> None:
    module = DeformableConv(groups=2)
    x = window(1, 6, 7)[0][..., [0, 1, 2, 0]]
    variables = init_variables(module, jax.random.key(3), x, x)
    y = run(module.apply, variables, x, 5 * x)
    kernel = variables["params"]["kernel"]
    plain = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(y, plain / 2, atol=1e-6)


def test_padding_repeats_the_border() -> None:
    x = np.random.default_rng(0).random((2, 5, 8, 3), np.float32)
    padded = pad_to_multiple(x, 4)
    assert padded.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(padded[:, :5], x)
    np.testing.assert_array_equal(padded[:, 5:], np.repeat(x[:, 4:], 3, axis=1))
    assert pad_to_multiple(jnp.asarray(x[:, :4]), 4).shape == (2, 4, 8, 3)


def test_bfloat16_features_leave_float32_images_and_parameters() -> None:
    module = Edvr(**NARROW, dtype=jnp.bfloat16)
    x = window(3, 5, 6)
    created = jax.eval_shape(module.init, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(created)} == {jnp.dtype("float32")}
    variables = random_variables(NARROW)
    y = run(module.apply, variables, x)
    exact = run(Edvr(**NARROW).apply, variables, x)
    assert y.dtype == jnp.float32
    assert float(jnp.abs(y - exact).mean()) < 0.02 * float(exact.std())


def test_wrong_fields_and_inputs_are_refused() -> None:
    x = jnp.zeros((1, 5, 8, 8, 3))
    wrong_fields: list[tuple[dict[str, int], str]] = [
        ({"scale": 2}, "scale is 2; EDVR is defined for 4"),
        ({"frames": 4}, "frames is 4; odd numbers are accepted"),
        ({"width": 12}, "width 12 in 8 groups; a multiple is needed"),
        ({"groups": 0}, "width 64 in 0 groups"),
        ({"back_blocks": -1}, "front_blocks, back_blocks are 5, -1; 0 and more"),
    ]
    for fields, message in wrong_fields:
        with pytest.raises(ValueError, match=message):
            Edvr(**fields).init(jax.random.key(0), x)
    for wrong in (x[:, :3], x[..., :2], x[0]):
        with pytest.raises(ValueError, match=r"input of shape .*; \[b, 5, h, w, 3\] is needed"):
            Edvr().init(jax.random.key(0), wrong)


def published_tensors() -> dict[str, np.ndarray]:
    """A network of NARROW's sizes by BasicSR's names, from the list in edvr_arch.py."""
    rng = np.random.default_rng(5)
    layers = {"conv_first": (8, 3, 3), "upconv1": (32, 8, 3), "upconv2": (256, 8, 3)}
    layers |= {"conv_hr": (64, 64, 3), "conv_last": (3, 64, 3)}
    plain = ["conv_l2_1", "conv_l2_2", "conv_l3_1", "conv_l3_2", "fusion.spatial_attn_l3"]
    plain += [f"fusion.{name}" for name in ("temporal_attn1", "temporal_attn2")]
    plain += [f"fusion.spatial_attn{i}" for i in (3, 5)]
    for blocks in ("feature_extraction.0", "reconstruction.0", "reconstruction.1"):
        plain += [f"{blocks}.conv1", f"{blocks}.conv2"]
    plain += [f"pcd_align.dcn_pack.l{i}" for i in (1, 2, 3)]
    plain += [f"pcd_align.offset_conv3.l{i}" for i in (1, 2)]
    plain += ["pcd_align.offset_conv2.l3", "pcd_align.cas_offset_conv2", "pcd_align.cas_dcnpack"]
    layers |= dict.fromkeys(plain, (8, 8, 3))
    joined = [f"pcd_align.offset_conv1.l{i}" for i in (1, 2, 3)]
    joined += [f"pcd_align.{name}.l{i}" for i in (1, 2) for name in ("offset_conv2", "feat_conv")]
    layers |= dict.fromkeys([*joined, "pcd_align.cas_offset_conv1"], (8, 16, 3))
    layers["fusion.spatial_attn_l2"] = (8, 16, 3)
    deformable = [f"dcn_pack.l{i}" for i in (1, 2, 3)] + ["cas_dcnpack"]
    layers |= {f"pcd_align.{name}.conv_offset": (54, 8, 3) for name in deformable}
    layers |= {f"fusion.{name}": (8, 24, 1) for name in ("feat_fusion", "spatial_attn1")}
    small = ("spatial_attn4", "spatial_attn_l1", "spatial_attn_add1", "spatial_attn_add2")
    layers |= {f"fusion.{name}": (8, 8, 1) for name in small}
    layers["fusion.spatial_attn2"] = (8, 16, 1)
    tensors = {}
    for name, (features, inputs, side) in layers.items():
        shape = (features, inputs, side, side)
        tensors[f"{name}.weight"] = rng.standard_normal(shape, np.float32)
        tensors[f"{name}.bias"] = rng.standard_normal(features, np.float32)
    return tensors


def test_published_names_fill_the_network() -> None:
    tensors = published_tensors()
    fields, variables = edvr_variables(tensors)
    assert fields == {"name": "edvr", "scale": 4, **NARROW}
    shapes = jax.eval_shape(build(fields).init, jax.random.key(0), window(3, 4, 4))
    found = jax.tree.map(lambda leaf: leaf.shape, variables)
    assert found == jax.tree.map(lambda leaf: leaf.shape, shapes)
    params = variables["params"]
    offset = params["pcd_align"]["l2"]["dcn_pack"]["conv_offset"]["conv"]["kernel"]
    wanted = tensors["pcd_align.dcn_pack.l2.conv_offset.weight"]
    np.testing.assert_array_equal(offset[2, 0, 5, 7], wanted[7, 5, 2, 0])
    # Feature 5 in the left column of the lower row: after PyTorch's 5 * 4 + 2, after ours 2 * 64.
    np.testing.assert_array_equal(
        params["upconv2"]["conv"]["bias"][2 * 64 + 5], tensors["upconv2.bias"][5 * 4 + 2]
    )


def test_files_of_both_layouts_are_read_back(
    twins: ModuleType, narrow_twin: Any, tmp_path: Any
) -> None:
    import torch

    state = narrow_twin.state_dict()
    fields, variables = edvr_variables(tensors_of(narrow_twin))
    renamed = {twins.first_name(name): tensor for name, tensor in state.items()}
    assert sum(name in state for name in renamed) < len(state) / 2
    for layout in (state, renamed):
        torch.save(layout, tmp_path / "edvr.pth")
        read_fields, read = edvr_variables(read_torch_file(tmp_path / "edvr.pth"))
        assert read_fields == fields
        jax.tree.map(np.testing.assert_array_equal, read, variables)


def test_wrong_tensors_are_refused() -> None:
    tensors = published_tensors()

    def refused(message: str, name: str, tensor: np.ndarray | None) -> None:
        changed = {key: array for key, array in tensors.items() if key != name}
        with pytest.raises(ValueError, match=message):
            edvr_variables(changed if tensor is None else {**changed, name: tensor})

    refused("neither conv_hr.weight .* nor HRconv.weight", "conv_hr.weight", None)
    for name in ("conv_first.weight", "fusion.feat_fusion.weight", "reconstruction.1.conv2.bias"):
        refused(f"tensor {name} is missing", name, None)
    zeros = np.zeros((8, 8, 3, 3), np.float32)
    refused("predeblur.conv_first.weight is left over", "predeblur.conv_first.weight", zeros)
    refused(r"conv_l2_1.weight has shape \(3, .* accepted: \(8,", "conv_l2_1.weight", zeros.T)
    refused("conv_last.bias holds non-finite", "conv_last.bias", np.full(3, np.nan))
    refused(
        "feat_fusion.weight has 16 inputs; accepted: 8 for each of an odd number of frames",
        "fusion.feat_fusion.weight",
        np.zeros((8, 16, 1, 1), np.float32),
    )
    refused(
        "conv_offset.weight has 81 features; accepted: 27 for each group of the 8 features",
        "pcd_align.cas_dcnpack.conv_offset.weight",
        np.zeros((81, 8, 3, 3), np.float32),
    )
