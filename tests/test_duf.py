from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.models.duf import FRAMES, VARIANTS, Duf
from supervegan_jax.ops.counting import count_macs
from supervegan_jax.ops.zero_border_filter import apply_zero_border_filters
from supervegan_jax.pretrained.duf_weights import duf_variables, read_duf_file

NARROW: dict[str, Any] = {
    "kept_blocks": 1,
    "width": 8,
    "growth": 4,
    "head_width": 12,
    "filter_width": 16,
}

# (row, column, channel) of the narrow network's output, as `test_golden_values` makes it.
GOLDEN = {
    (0, 0, 0): -0.015470,
    (3, 11, 1): -0.728230,
    (10, 5, 2): 0.871661,
    (17, 20, 0): 0.020769,
    (19, 23, 2): 0.094946,
}


@pytest.fixture(scope="module")
def twins() -> ModuleType:
    pytest.importorskip("torch")
    import torch_duf

    return torch_duf


def narrow_twin(twins: ModuleType, scale: int) -> Any:
    return twins.TorchDuf(scale, kept=1, growth=4, width=8, head=12, filters=16)


def tensors_of(twin: Any) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in twin.state_dict().items()}


def window(height: int, width: int, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(7).random((batch, FRAMES, height, width, 3), np.float32)


def run(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, compiled unoptimised: networks this deep take long to optimise."""
    options: Any = {"xla_backend_optimization_level": 0}
    return jax.jit(function).lower(*arguments).compile(options)(*arguments)


def build(fields: dict[str, Any]) -> Duf:
    assert fields["name"] == "duf"
    return Duf(**{name: value for name, value in fields.items() if name != "name"})


def twin_output(twin: Any, x: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return twin(torch.from_numpy(x)).numpy()


def assert_equals_twin(twin: Any, x: np.ndarray, fields: dict[str, Any]) -> None:
    wanted = twin_output(twin.eval(), x)
    read, variables = duf_variables(tensors_of(twin))
    assert build(read) == Duf(**fields)
    ours = run(Duf(**fields).apply, variables, x)
    assert ours.dtype == jnp.float32 and 0.3 < wanted.std() < 3
    np.testing.assert_allclose(ours, wanted, atol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_published_networks_equal_independent_ones(twins: ModuleType, name: str) -> None:
    fields = VARIANTS[name]
    twin = twins.TorchDuf(fields["scale"], fields["kept_blocks"], fields["growth"])
    assert_equals_twin(twin, window(5, 7), fields)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_scale_equals_an_independent_network(twins: ModuleType, scale: int) -> None:
    assert_equals_twin(narrow_twin(twins, scale), window(9, 7, 2), {**NARROW, "scale": scale})


def test_training_normalises_by_the_batch(twins: ModuleType) -> None:
    twin = narrow_twin(twins, 4)
    x = window(9, 7, 2)
    _, variables = duf_variables(tensors_of(twin))
    apply = partial(Duf(**NARROW).apply, train=True, mutable=["batch_stats"])
    ours, _ = run(apply, variables, x)
    np.testing.assert_allclose(ours, twin_output(twin.train(), x), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "scale", "parameters", "giga_macs"),
    [
        ("duf16", 4, 1_900_640, 280),  # 1.901 M
        ("duf28", 4, 2_118_432, 415),
        ("duf52", 4, 5_821_952, 1646),  # 5.822 M
        ("duf16", 3, 1_805_468, None),
        ("duf16", 2, 1_737_488, 1083),
    ],
)
def test_parameters_and_macs(name: str, scale: int, parameters: int, giga_macs: int | None) -> None:
    """Every learned number, biases included, and all of one 1280x720 frame from seven."""
    module = Duf(**{**VARIANTS[name], "scale": scale})
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, FRAMES, 8, 8, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == parameters
    if giga_macs is not None:
        shape = (1, FRAMES, 720 // scale, 1280 // scale, 3)
        macs = count_macs(module.apply, variables, jax.ShapeDtypeStruct(shape, jnp.float32))
        assert round(macs / 1e9) == giga_macs


def random_variables(fields: dict[str, Any]) -> dict[str, Any]:
    """The same on every machine; of a size that keeps features near 1."""
    rng = np.random.default_rng(11)

    def draw(path: Any, leaf: Any) -> np.ndarray:
        numbers = rng.standard_normal(leaf.shape, np.float32)
        kind = path[-1].key
        if kind == "kernel":
            return numbers * np.float32((2 / np.prod(leaf.shape[:-1])) ** 0.5)
        return numbers * np.float32(0.1) + np.float32(kind in ("scale", "var"))

    shapes = jax.eval_shape(Duf(**fields).init, jax.random.key(0), window(4, 4))
    return jax.tree_util.tree_map_with_path(draw, shapes)


def test_golden_values() -> None:
    y = run(Duf(**NARROW).apply, random_variables(NARROW), window(5, 6))
    assert y.shape == (1, 20, 24, 3)
    found = [y[0, row, column, channel] for row, column, channel in GOLDEN]
    np.testing.assert_allclose(found, list(GOLDEN.values()), atol=2e-5)


def test_every_parameter_takes_part() -> None:
    module = Duf(**NARROW)
    variables = random_variables(NARROW)

    def power(params: Any) -> jax.Array:
        y, _ = module.apply({**variables, "params": params}, window(6, 6), True, mutable=True)
        return jnp.mean(y**2)

    gradient = run(jax.grad(power), variables["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert bool(jnp.any(leaf != 0)), jax.tree_util.keystr(path)


def test_training_updates_the_running_statistics() -> None:
    module = Duf(**NARROW, momentum=0.75)
    variables = random_variables(NARROW)
    x = window(6, 5, 2)
    _, updated = run(partial(module.apply, train=True, mutable=["batch_stats"]), variables, x)
    # The first convolution's output by hand: what block 0 normalises first.
    conv = variables["params"]["input"]["conv"]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [(j, i) for j in range(3) for i in range(3)]
    features = conv["bias"] + sum(
        padded[:, :, j : j + 6, i : i + 5] @ conv["kernel"][j, i] for j, i in taps
    )
    before = variables["batch_stats"]["block_0"]["norm_0"]
    after = updated["batch_stats"]["block_0"]["norm_0"]
    axes = (0, 1, 2, 3)
    wanted = {"mean": features.mean(axes), "var": features.var(axes)}
    for kind, value in wanted.items():
        np.testing.assert_allclose(after[kind], 0.75 * before[kind] + 0.25 * value, atol=1e-5)


def test_flat_colour_stays_inside_the_image() -> None:
    """The filters sum to 1 and are the same for R, G and B."""
    variables = random_variables(NARROW)
    silent = jax.tree.map(np.zeros_like, variables["params"]["residual_1"])
    variables["params"]["residual_1"] = silent
    colour = np.array([0.25, 0.5, 1.0], np.float32)
    x = window(7, 8)
    x[:, FRAMES // 2] = colour
    y = run(Duf(**NARROW).apply, variables, x)
    np.testing.assert_allclose(y[:, 8:-8, 8:-8], np.broadcast_to(colour, (1, 12, 16, 3)), atol=1e-6)
    np.testing.assert_allclose(y / colour, np.repeat(y[..., 2:], 3, -1), atol=1e-6)
    assert float(y[0, 0, 0, 2]) < 0.9  # black is mixed in from beyond the border


def test_bfloat16_features_leave_float32_images_and_parameters() -> None:
    module = Duf(**NARROW, dtype=jnp.bfloat16)
    x = window(6, 6)
    created = jax.eval_shape(module.init, jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(created)} == {jnp.dtype("float32")}
    variables = random_variables(NARROW)
    y = run(module.apply, variables, x)
    exact = run(Duf(**NARROW).apply, variables, x)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, exact, atol=0.1)


def test_wrong_fields_and_inputs_are_refused() -> None:
    x = jnp.zeros((1, FRAMES, 8, 8, 3))
    with pytest.raises(ValueError, match="scale is 5; DUF is defined for 2, 3 and 4"):
        Duf(scale=5).init(jax.random.key(0), x)
    with pytest.raises(ValueError, match="kept_blocks is -1; 0 and more"):
        Duf(kept_blocks=-1).init(jax.random.key(0), x)
    for wrong in (x[:, :5], x[..., :2], x[0]):
        with pytest.raises(ValueError, match=r"input of shape .*; \[b, 7, h, w, 3\] is needed"):
            Duf().init(jax.random.key(0), wrong)


@pytest.mark.parametrize("r", [1, 2, 3])
def test_filters_equal_loops_with_zeros_beyond_the_border(r: int) -> None:
    rng = np.random.default_rng(0)
    h, w = 3, 6
    x = rng.random((h, w, 3), np.float32)
    logits = 2 * rng.standard_normal((h, w, 25, r * r)).astype(np.float32)
    weights = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    wanted = np.zeros((r * h, r * w, 3))
    for row in range(h):
        for column in range(w):
            for sub in range(r * r):
                for tap in range(25):
                    j, i = row + tap // 5 - 2, column + tap % 5 - 2
                    if 0 <= j < h and 0 <= i < w:
                        place = r * row + sub // r, r * column + sub % r
                        wanted[place] += weights[row, column, tap, sub] * x[j, i]
    ours = apply_zero_border_filters(jnp.asarray(x[None]), jnp.asarray(logits[None]))
    np.testing.assert_allclose(ours[0], wanted, atol=1e-6)


def test_filters_that_do_not_fit_are_refused() -> None:
    x = jnp.zeros((1, 4, 4, 3))
    for shape in ((1, 4, 4, 25, 3), (1, 4, 4, 4, 25), (1, 4, 5, 25, 4)):
        with pytest.raises(ValueError, match=r"filters of shape .* do not fit an image of shape"):
            apply_zero_border_filters(x, jnp.zeros(shape))


def authors_tensors() -> dict[str, np.ndarray]:
    """A network of NARROW's widths by the authors' names, from the list in nets.py."""
    rng = np.random.default_rng(5)
    shapes: dict[str, tuple[int, ...]] = {"conv1": (1, 3, 3, 3, 8)}
    width = 8
    for block in range(1, 5):
        shapes[f"Rbn{block}a"] = shapes[f"Rbn{block}b"] = (width,)
        shapes[f"Rconv{block}a"] = (1, 1, 1, width, width)
        shapes[f"Rconv{block}b"] = (3, 3, 3, width, 4)
        width += 4
    shapes |= {"fbn1": (24,), "conv2": (1, 3, 3, 24, 12), "rconv1": (1, 1, 1, 12, 12)}
    shapes |= {"rconv2": (1, 1, 1, 12, 48), "fconv1": (1, 1, 1, 12, 16)}
    shapes["fconv2"] = (1, 1, 1, 16, 400)
    tensors = {}
    for scope, shape in shapes.items():
        norm = ("gamma", "beta", "moving_mean", "moving_variance")
        for name in norm if len(shape) == 1 else ("W", "b"):
            side = shape if name == "W" else shape[-1:]
            tensors[f"G/{scope}/{name}:0"] = rng.standard_normal(side, np.float32)
    return tensors


def write_authors_file(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    """Their layout: underscores doubled, then slashes turned to underscores."""
    with h5py.File(path, "w") as file:
        group = file.create_group("params")
        for name, array in tensors.items():
            group[name.replace("_", "__").replace("/", "_")] = array
    return path


def test_an_authors_file_is_read_back(tmp_path: Path) -> None:
    tensors = authors_tensors()
    beside: dict[str, Any] = {
        "G/filter_localexpand_1:0": np.eye(25).reshape(5, 5, 1, 25),
        "G/Rbn1a/G/Rbn1a/moving_mean/biased:0": np.zeros(8),
        "G/Rbn1a/G/Rbn1a/moving_mean/local_step:0": np.float32(3),
        "G/conv1/W/Adam_1:0": np.zeros((1, 3, 3, 3, 8)),
    }
    read = read_duf_file(write_authors_file(tmp_path / "params.h5", {**tensors, **beside}))
    assert set(read) == set(tensors) | set(beside)
    for name, array in tensors.items():
        assert read[name].dtype == np.float32
        np.testing.assert_array_equal(read[name], array)
    fields, variables = duf_variables(read)
    assert fields == {"name": "duf", "scale": 4, **NARROW}
    shapes = jax.eval_shape(build(fields).init, jax.random.key(0), window(4, 4))
    found = jax.tree.map(lambda leaf: leaf.shape, variables)
    assert found == jax.tree.map(lambda leaf: leaf.shape, shapes)
    statistics = variables["batch_stats"]["block_3"]["norm_1"]
    np.testing.assert_array_equal(statistics["var"], tensors["G/Rbn4b/moving_variance:0"])
    kernel = variables["params"]["filters_1"]["conv"]["kernel"]
    np.testing.assert_array_equal(kernel, tensors["G/fconv2/W:0"][0])


def test_wrong_tensors_are_refused() -> None:
    tensors = authors_tensors()
    kernel = tensors["G/Rconv2b/W:0"]
    wrong: dict[str, dict[str, Any]] = {
        "G/Rbn3a/beta:0 is missing": {"G/Rbn3a/beta:0": None},
        "G/fconv1/W:0 is missing": {"G/fconv1/W:0": None},
        r"G/D/W:0 is left over \(1 tensors\)": {"G/D/W:0": kernel},
        r"G/Rconv2b/W:0 has shape \(1, 3, 3, 12, 4\); accepted: \(3, 3, 3, 12, 4\)": {
            "G/Rconv2b/W:0": kernel[:1]
        },
        r"G/conv2/W:0 has shape \(2, 2\); accepted: five": {"G/conv2/W:0": np.zeros((2, 2))},
        "G/Rconv2b/W:0 holds non-finite": {"G/Rconv2b/W:0": np.nan * kernel},
        "G/rconv2/W:0 has 40 features; accepted: 3 r r": {
            "G/rconv2/W:0": tensors["G/rconv2/W:0"][..., :40]
        },
        "2 dense blocks; accepted: 3 and more": {"G/Rconv3a/W:0": None},
    }
    for message, changes in wrong.items():
        changed = {**tensors, **changes}
        kept = {name: array for name, array in changed.items() if array is not None}
        with pytest.raises(ValueError, match=message):
            duf_variables(kept)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no DUF weights file"):
        read_duf_file(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.h5: damaged or not an HDF5 file"):
        read_duf_file(tmp_path / "text.h5")
    whole = write_authors_file(tmp_path / "whole.h5", authors_tensors()).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.h5: damaged or not an HDF5 file"):
        read_duf_file(tmp_path / "cut.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(ValueError, match='other\\.h5: no group "params"'):
        read_duf_file(tmp_path / "other.h5")
    for name, value in {"text": b"hello", "group": None, "link": h5py.SoftLink("/none")}.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            if value is None:
                file.create_group("params/G_conv1_W:0")
            else:
                file["params/G_conv1_W:0"] = value
        with pytest.raises(ValueError, match=r"'G_conv1_W:0' is no array of numbers"):
            read_duf_file(tmp_path / f"{name}.h5")
