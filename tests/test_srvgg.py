import jax
import jax.numpy as jnp
import numpy as np
import pytest
from single_image_samples import as_numpy, counts_at_720p, filled, random_frames, shapes

from supervegan_jax.models import init_variables
from supervegan_jax.models.layers import PReLU
from supervegan_jax.models.srvgg import VARIANTS, Srvgg
from supervegan_jax.ops.resize import upsample_nearest
from supervegan_jax.pretrained.srvgg_weights import srvgg_variables

SMALL = {"width": 8, "layers": 2}


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_equals_the_network_in_pytorch(scale):
    torch = pytest.importorskip("torch")
    from torch_srvgg import TorchSrvgg

    twin = TorchSrvgg(scale, 8, 2)
    fields, variables = srvgg_variables(as_numpy(twin))
    assert fields == {"name": "srvgg", "scale": scale, **SMALL}
    x = random_frames(7, 9)
    with torch.no_grad():
        wanted = twin(torch.from_numpy(x[:, 0])).numpy()
    ours = jax.jit(Srvgg(scale, **SMALL).apply)(variables, x)
    assert ours.shape == (2, 7 * scale, 9 * scale, 3) and wanted.std() > 0.1
    np.testing.assert_allclose(ours, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [("srvgg", 621_424, 35_665_920_000), ("srvgg_general", 1_213_296, 69_639_782_400)],
)
def test_counts(name, parameters, macs):
    # With biases and slopes; every convolution runs at 320x180.
    assert counts_at_720p(Srvgg(**VARIANTS[name])) == (parameters, macs)
    layers = VARIANTS[name]["layers"]
    assert macs == 320 * 180 * 9 * 64 * (3 + layers * 64 + 48)


def test_golden_values():
    x = random_frames(5, 6)
    module = Srvgg(**SMALL)
    y = jax.jit(module.apply)(filled(module, x), x)
    expected = [-0.086966, 0.137864, 1.149122, 0.232525]
    places = y[1, (0, 3, 10, 19), (0, 20, 11, 23), (0, 1, 2, 0)]
    np.testing.assert_allclose(places, expected, atol=1e-4)


def test_fresh_network_is_close_to_nearest_neighbour():
    x = random_frames(6, 5)
    module = Srvgg(**SMALL)
    y = jax.jit(module.apply)(init_variables(module, jax.random.key(0), x), x)
    np.testing.assert_allclose(y, upsample_nearest(x[:, 0], 4), atol=0.05)


def test_prelu_by_hand():
    x = jnp.asarray([[-2.0, -2.0, 3.0]])
    slopes = {"params": {"slope": jnp.asarray([0.25, -1.0, 0.5])}}
    np.testing.assert_array_equal(PReLU().apply(slopes, x), [[-0.5, 2.0, 3.0]])
    gradient = jax.grad(lambda v: PReLU().apply(v, x).sum())(slopes)
    np.testing.assert_array_equal(gradient["params"]["slope"], [-2.0, -2.0, 0.0])


def test_bfloat16_features_leave_float32_images_and_parameters():
    x = random_frames(6, 6)
    module = Srvgg(**SMALL, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes(module, x))} == {jnp.dtype("float32")}
    variables = filled(module, x)
    y, exact = (jax.jit(m.apply)(variables, x) for m in (module, Srvgg(**SMALL)))
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, exact, atol=0.1)


def test_wrong_fields_and_frames_are_refused():
    with pytest.raises(ValueError, match="scale is 5; 1, 2, 3 and 4 are accepted"):
        shapes(Srvgg(scale=5), jnp.zeros((1, 1, 8, 8, 3)))
    with pytest.raises(ValueError, match=r"input of shape \(1, 8, 8, 3\); \[b, 1, h, w, 3\]"):
        shapes(Srvgg(), jnp.zeros((1, 8, 8, 3)))


def state_dict(layers=16, width=64, features=48):
    tensors = {}
    for i in range(layers + 1):
        tensors[f"body.{2 * i}.weight"] = np.zeros((width, width if i else 3, 3, 3), np.float32)
        tensors[f"body.{2 * i}.bias"] = np.zeros(width, np.float32)
        tensors[f"body.{2 * i + 1}.weight"] = np.zeros(width, np.float32)
    last = f"body.{2 * layers + 2}"
    tensors[f"{last}.weight"] = np.zeros((features, width, 3, 3), np.float32)
    return tensors | {f"{last}.bias": np.zeros(features, np.float32)}


def test_the_published_sizes_are_told_from_the_file():
    for name in VARIANTS:
        layers = VARIANTS[name]["layers"]
        fields, variables = srvgg_variables(state_dict(layers))
        assert fields == {"name": "srvgg", "scale": 4, "width": 64, "layers": layers}
        wanted = shapes(Srvgg(**VARIANTS[name]), jnp.zeros((1, 1, 8, 8, 3)))
        found = jax.tree.map(lambda x: (x.shape, x.dtype), variables)
        assert found == jax.tree.map(lambda x: (x.shape, x.dtype), wanted)


def test_wrong_state_dicts_are_refused():
    good = state_dict(2, 8)
    with pytest.raises(ValueError, match=r"tensor body\.0\.weight is missing"):
        srvgg_variables({})
    for name in ("body.3.weight", "body.6.bias"):
        cut = {key: x for key, x in good.items() if key != name}
        with pytest.raises(ValueError, match=rf"tensor {name} is missing"):
            srvgg_variables(cut)
    with pytest.raises(ValueError, match=r"tensor body\.6\.weight is missing"):
        srvgg_variables({key: x for key, x in good.items() if not key.startswith("body.6")})
    with pytest.raises(ValueError, match=r"body\.6\.weight has 40 features; accepted: 3, 12, 27"):
        srvgg_variables(state_dict(2, 8, 40))
    with pytest.raises(ValueError, match=r"tensor upsampler is left over"):
        srvgg_variables(good | {"upsampler": np.zeros(1)})
    with pytest.raises(ValueError, match=r"body\.1\.weight has shape \(1,\); accepted: \(8,\)"):
        srvgg_variables(good | {"body.1.weight": np.zeros(1)})
