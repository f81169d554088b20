import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from single_image_samples import as_numpy, counts_at_720p, filled, random_frames, shapes

from supervegan_jax import export
from supervegan_jax.models.fsrcnn import VARIANTS, Fsrcnn
from supervegan_jax.ops.deconvolution import deconvolve
from supervegan_jax.pretrained import systems
from supervegan_jax.pretrained.fsrcnn_weights import fsrcnn_variables

SMALL = {"width": 10, "shrunk_width": 5, "mapping_layers": 2}


@pytest.mark.parametrize("padding", ["zeros", "edge"])
@pytest.mark.parametrize(("scale", "channels"), [(4, 3), (3, 1), (2, 1)])
def test_equals_the_network_in_pytorch(scale, channels, padding):
    torch = pytest.importorskip("torch")
    from torch_fsrcnn import TorchFsrcnn

    twin = TorchFsrcnn(scale, channels, 10, 5, 2, padding)
    fields, variables = fsrcnn_variables(as_numpy(twin), scale)
    assert fields.pop("name") == "fsrcnn"
    assert fields == {"scale": scale, "channels": channels, **SMALL, "padding": "zeros"}
    x = random_frames(5, 7, channels)
    with torch.no_grad():
        wanted = twin(torch.from_numpy(x[:, 0])).numpy()
    ours = jax.jit(Fsrcnn(**fields | {"padding": padding}).apply)(variables, x)
    assert ours.shape == (2, 5 * scale, 7 * scale, channels) and wanted.std() > 0.1
    np.testing.assert_allclose(ours, wanted, atol=1e-4)


def test_counts():
    # Dong et al. print 25 d + s d + 9 m s^2 + d s + 81 d = 12464 weights, each used once for an
    # input pixel; biases, slopes and the replicated border come on top.
    weights, pixels, bordered = 12_464, 320 * 180, 322 * 182
    others = (2 * 56 + 2 * 12) + 4 * 2 * 12 + 2 * 56 + 1
    paper = Fsrcnn(channels=1, padding="zeros")
    assert counts_at_720p(paper) == (weights + others, weights * pixels) == (12_809, 717_926_400)
    macs = weights * pixels + 81 * 56 * (bordered - pixels)
    assert counts_at_720p(Fsrcnn(channels=1)) == (12_809, macs) == (12_809, 722_480_544)
    # For RGB the first and the last layer are three times as large.
    rgb = counts_at_720p(Fsrcnn(**VARIANTS["fsrcnn"]))
    assert rgb == (12_809 + 2 * (106 * 56 + 1), macs + 2 * 56 * (25 * pixels + 81 * bordered))
    assert rgb == (24_683, 1_415_416_032)


@pytest.mark.parametrize(("scale", "size"), [(1, 3), (2, 9), (3, 9), (4, 9), (4, 3), (3, 6)])
def test_deconvolution_pixel_by_pixel(scale, size):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    kernel = rng.standard_normal((size, size, 5, 2)).astype(np.float32)
    wanted = np.zeros((2, 2 * scale + size, 3 * scale + size, 2))
    for i, j in np.ndindex(3, 4):
        rows, columns = (slice(n * scale, n * scale + size) for n in (i, j))
        wanted[:, rows, columns] += np.einsum("bc,klcf->bklf", x[:, i, j], kernel)
    wanted = np.pad(
        wanted, ((0, 0), (0, size + scale), (0, size + scale), (0, 0))
    )  # nothing lies behind
    for start in (0, size // 2, size):
        ours = jax.jit(deconvolve, static_argnums=(2, 3))(x, kernel, scale, start)
        there = wanted[:, start : start + 3 * scale, start : start + 4 * scale]
        np.testing.assert_allclose(ours, there, atol=1e-4)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_constant_image_stays_constant_up_to_the_border(scale):
    # What replicating is for: with the kernel of bilinear enlargement nothing darkens at the edge.
    module = Fsrcnn(scale, 1, width=1, shrunk_width=1, mapping_layers=0)
    x = jnp.full((1, 1, 4, 5, 1), 0.5)
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, "f4"), shapes(module, x)["params"])
    params["input"]["kernel"] += 1 / 25
    params["shrink"]["kernel"] += 1
    params["expand"]["kernel"] += 1
    line = np.maximum(1 - abs(np.arange(9) - 4) / scale, 0).astype(np.float32)
    params["kernel"] += np.outer(line, line).reshape(9, 9, 1, 1)
    np.testing.assert_allclose(jax.jit(module.apply)({"params": params}, x), 0.5, rtol=1e-5)
    zeros = jax.jit(module.clone(padding="zeros").apply)({"params": params}, x)
    assert float(zeros[0, 0, 0, 0]) < 0.3


def test_golden_values():
    x = random_frames(5, 6)
    module = Fsrcnn(**SMALL)
    y = jax.jit(module.apply)(filled(module, x), x)
    expected = [0.251798, -0.306937, 0.09497, -0.014899]
    places = y[1, (0, 3, 10, 19), (0, 20, 11, 23), (0, 1, 2, 0)]
    np.testing.assert_allclose(places, expected, atol=1e-4)


def test_bfloat16_features_leave_float32_images_and_parameters():
    x = random_frames(6, 6)
    module = Fsrcnn(**SMALL, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes(module, x))} == {jnp.dtype("float32")}
    variables = filled(module, x)
    y, exact = (jax.jit(m.apply)(variables, x) for m in (module, Fsrcnn(**SMALL)))
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, exact, atol=0.1)


def test_wrong_fields_and_frames_are_refused():
    x = jnp.zeros((1, 1, 8, 8, 3))
    with pytest.raises(ValueError, match="scale is 5; FSRCNN is defined for 2, 3 and 4"):
        shapes(Fsrcnn(scale=5), x)
    with pytest.raises(ValueError, match=r"channels is 2; 3 \(RGB\) and 1 \(luma\)"):
        shapes(Fsrcnn(channels=2), x)
    with pytest.raises(ValueError, match="padding 'reflect'; accepted: edge, zeros"):
        shapes(Fsrcnn(padding="reflect"), x)
    with pytest.raises(ValueError, match=r"\(1, 1, 8, 8, 3\); \[b, 1, h, w, 1\] is needed"):
        shapes(Fsrcnn(channels=1), x)


def state_dict(d=56, s=12, m=4, channels=1):
    def layer(part, number, inputs, features, size):
        return {
            f"{part}.{number}.weight": (features, inputs, size, size),
            f"{part}.{number}.bias": (features,),
            f"{part}.{number + 1}.weight": (features,),
        }

    tensors = layer("first_part", 0, channels, d, 5) | layer("mid_part", 0, d, s, 1)
    for i in range(m):
        tensors |= layer("mid_part", 2 + 2 * i, s, s, 3)
    tensors |= layer("mid_part", 2 + 2 * m, s, d, 1)
    tensors |= {"last_part.weight": (d, channels, 9, 9), "last_part.bias": (channels,)}
    return {name: np.zeros(shape, np.float32) for name, shape in tensors.items()}


def test_the_published_sizes_are_told_from_the_file():
    fields, variables = fsrcnn_variables(state_dict(), 3)
    assert fields.pop("name") == "fsrcnn"
    wanted = shapes(Fsrcnn(**fields), jnp.zeros((1, 1, 8, 8, 1)))
    assert Fsrcnn(**fields) == Fsrcnn(scale=3, channels=1, padding="zeros")
    found = jax.tree.map(lambda x: (x.shape, x.dtype), variables)
    assert found == jax.tree.map(lambda x: (x.shape, x.dtype), wanted)


def test_the_scale_is_told_by_the_name_of_the_file(monkeypatch):
    monkeypatch.setattr(systems, "read_torch_file", lambda path: state_dict(10, 5, 2))
    for name, scale in (("fsrcnn_x2", 2), ("FSRCNN-x3-T91-97a30bfb", 3), ("x4", 4)):
        fields, _ = systems.read_system(Path(f"{name}.pth"))
        assert fields["scale"] == scale
    for name in ("fsrcnn", "fsrcnn_x5", "fsrcnn_x2_x3", "fsrcnn_x24"):
        with pytest.raises(ValueError, match=rf"^{name}\.pth: the scale .* as in fsrcnn_x2\.pth"):
            systems.read_system(Path(f"{name}.pth"))


def test_the_export_of_a_published_file_names_no_step(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(systems, "read_torch_file", lambda path: state_dict(10, 5, 2))
    path = tmp_path / "fsrcnn_x2.pth"
    path.touch()
    export.main([str(path), str(tmp_path / "ours")])
    told = capsys.readouterr().out
    assert re.search(r"ours: \d+ parameters in \d\.\d\d MB, float16$", told, re.M)


def test_wrong_state_dicts_are_refused():
    good = state_dict(10, 5, 2)
    for name in ("first_part.1.weight", "mid_part.5.weight", "last_part.bias"):
        with pytest.raises(ValueError, match=rf"tensor {name} is missing"):
            fsrcnn_variables({key: x for key, x in good.items() if key != name}, 4)
    with pytest.raises(ValueError, match=r"last_part\.weight has shape .*; accepted: \(10, 1, 9"):
        fsrcnn_variables(good | {"last_part.weight": np.zeros((10, 1, 8, 8))}, 4)
    with pytest.raises(ValueError, match=r"tensor extra is left over"):
        fsrcnn_variables(good | {"extra": np.zeros(1)}, 4)
