import jax
import jax.numpy as jnp
import numpy as np
import pytest
from single_image_samples import as_numpy, counts_at_720p, filled, random_frames, shapes

from supervegan_jax.models.rlfn import VARIANTS, Rlfn, SpatialAttention
from supervegan_jax.pretrained.rlfn_weights import rlfn_variables

SMALL = {"width": 8, "inner_width": 6, "blocks": 2}


@pytest.mark.parametrize(
    ("scale", "width", "inner", "blocks", "size"),
    [(4, 8, 6, 2, (17, 33)), (3, 8, 8, 1, (15, 16)), (2, 46, 48, 1, (24, 19))],
)
def test_equals_the_network_in_pytorch(scale, width, inner, blocks, size):
    torch = pytest.importorskip("torch")
    from torch_rlfn import TorchRlfn

    twin = TorchRlfn(scale, width, inner, blocks)
    fields, variables = rlfn_variables(as_numpy(twin))
    wanted = {"scale": scale, "width": width, "inner_width": inner, "blocks": blocks}
    assert fields == {"name": "rlfn", **wanted}
    x = random_frames(*size)
    with torch.no_grad():  # the published networks work in [0, 255]
        wanted_image = twin(torch.from_numpy(255 * x[:, 0])).numpy() / 255
    ours = jax.jit(Rlfn(**wanted).apply)(variables, x)
    assert ours.shape == (2, size[0] * scale, size[1] * scale, 3) and wanted_image.std() > 0.1
    np.testing.assert_allclose(ours, wanted_image, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "parameters", "macs"),
    [
        # Kong et al. print 543 K, 29.8 G and 527 K, 115.4 G.
        (VARIANTS["rlfn"], 543_740, 29_821_533_696),
        (VARIANTS["rlfn"] | {"scale": 2}, 526_856, 115_416_451_584),
        (VARIANTS["rlfn_s"], 470_208, 25_593_463_296),
        # bytedance/RLFN prints 0.317 M.
        ({"width": 46, "inner_width": 48, "blocks": 4}, 317_218, 17_276_926_464),
    ],
)
def test_counts(fields, parameters, macs):
    # With biases; interpolation and pooling are not counted. 1280x720 pixels come out.
    assert counts_at_720p(Rlfn(**fields)) == (parameters, macs)


def test_counts_by_hand():
    c, full, half, pooled = 52, 320 * 180, 159 * 89, 51 * 28
    block = full * (3 * 9 * c * c + c * c + 2 * c * 16 + 16 * 16) + 9 * 16 * 16 * (half + pooled)
    assert full * 9 * c * (3 + c + 48) + 6 * block == 29_821_533_696


def test_golden_values():
    x = random_frames(16, 15)
    module = Rlfn(**SMALL)
    y = jax.jit(module.apply)(filled(module, x), x)
    expected = [2.360725, -0.272968, -0.131881, 0.322266]
    places = y[1, (0, 3, 10, 63), (0, 20, 11, 59), (0, 1, 2, 0)]
    np.testing.assert_allclose(places, expected, atol=1e-4)


def test_attention_by_hand():
    x = jnp.full((1, 15, 15, 2), 2.0)
    module = SpatialAttention()
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes(module, x)["params"])
    # Everything is 0 but the last bias: half of x, but for sigmoid(1) in the second feature.
    params["expand"]["bias"] = jnp.asarray([0.0, 1.0])
    y = jax.jit(module.apply)({"params": params}, x)
    np.testing.assert_allclose(y[0, 7, 3], [1.0, 2 / (1 + np.exp(-1))], rtol=1e-6)
    # Of 15 pixels, the one coarse cell sees all.
    params["reduce"]["kernel"] = params["reduce"]["kernel"].at[..., 0, 0].set(1.0)
    for name, where in (("down", (1, 1, 0, 0)), ("coarse", (1, 1, 0, 0)), ("expand", (0, 0, 0, 0))):
        params[name]["kernel"] = params[name]["kernel"].at[where].set(1.0)
    y = jax.jit(module.apply)({"params": params}, x.at[0, 13, 13, 0].set(9.0))
    np.testing.assert_allclose(y[0, 0, 0, 0], 2 / (1 + np.exp(-9.0)), rtol=1e-6)


def test_bfloat16_features_leave_float32_images_and_parameters():
    x = random_frames(16, 16)
    module = Rlfn(**SMALL, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes(module, x))} == {jnp.dtype("float32")}
    variables = filled(module, x)
    y, exact = (jax.jit(m.apply)(variables, x) for m in (module, Rlfn(**SMALL)))
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, exact, atol=0.2)
    assert float(abs(y - exact).mean()) < 0.02


def test_wrong_fields_and_frames_are_refused():
    with pytest.raises(ValueError, match="scale is 1; 2, 3 and 4 are accepted"):
        shapes(Rlfn(scale=1), jnp.zeros((1, 1, 16, 16, 3)))
    with pytest.raises(ValueError, match=r"input of shape \(1, 1, 16, 16, 1\); \[b, 1, h, w, 3\]"):
        shapes(Rlfn(), jnp.zeros((1, 1, 16, 16, 1)))
    with pytest.raises(ValueError, match="input of 14x40 pixels; RLFN needs at least 15x15"):
        shapes(Rlfn(), jnp.zeros((1, 1, 14, 40, 3)))


def state_dict(width=52, inner=52, blocks=6, features=48):
    def conv(inputs, outputs, size):
        return {"weight": (outputs, inputs, size, size), "bias": (outputs,)}

    layers = {"conv_1": conv(3, width, 3), "conv_2": conv(width, width, 3)}
    layers["upsampler.0"] = conv(width, features, 3)
    for i in range(1, blocks + 1):
        layers[f"block_{i}.c1_r"] = conv(width, inner, 3)
        layers[f"block_{i}.c2_r"] = conv(inner, inner, 3)
        layers[f"block_{i}.c3_r"] = conv(inner, width, 3)
        layers[f"block_{i}.c5"] = conv(width, width, 1)
        for name, shape in (
            *(("conv1", (width, 16, 1)), ("conv_f", (16, 16, 1)), ("conv2", (16, 16, 3))),
            *(("conv3", (16, 16, 3)), ("conv4", (16, width, 1))),
        ):
            layers[f"block_{i}.esa.{name}"] = conv(*shape)
    return {f"{n}.{k}": np.zeros(s, np.float32) for n, v in layers.items() for k, s in v.items()}


def test_the_published_sizes_are_told_from_the_file():
    fields, variables = rlfn_variables(state_dict())
    assert fields == {"name": "rlfn", "scale": 4, "width": 52, "inner_width": 52, "blocks": 6}
    wanted = shapes(Rlfn(), jnp.zeros((1, 1, 16, 16, 3)))
    found = jax.tree.map(lambda x: (x.shape, x.dtype), variables)
    assert found == jax.tree.map(lambda x: (x.shape, x.dtype), wanted)


def test_wrong_state_dicts_are_refused():
    good = state_dict(8, 6, 2)
    with pytest.raises(ValueError, match=r"tensor conv_1\.weight is missing"):
        rlfn_variables({})
    cut = {name: x for name, x in good.items() if name != "block_1.esa.conv_f.bias"}
    with pytest.raises(ValueError, match=r"tensor block_1\.esa\.conv_f\.bias is missing"):
        rlfn_variables(cut)
    with pytest.raises(ValueError, match=r"conv_2\.bias has shape \(9,\); accepted: \(8,\)"):
        rlfn_variables(good | {"conv_2.bias": np.zeros(9)})
    with pytest.raises(ValueError, match=r"upsampler\.0\.weight has 3 features; accepted: 12, 27"):
        rlfn_variables(state_dict(8, 6, 2, features=3))
    with pytest.raises(ValueError, match=r"tensor block_1\.esa\.conv_max\.bias is left over"):
        rlfn_variables(good | {"block_1.esa.conv_max.bias": np.zeros(16)})
