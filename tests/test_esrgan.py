from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from single_image_samples import as_numpy, counts_at_720p, filled, random_frames, shapes

from supervegan_jax.models import init_variables
from supervegan_jax.models.esrgan import VARIANTS, DenseBlock, Esrgan, pixels_to_channels
from supervegan_jax.models.esrgan_discriminators import (
    SpectralConv,
    UNetDiscriminator,
    VggDiscriminator,
)
from supervegan_jax.ops.bilinear import resize_bilinear
from supervegan_jax.ops.space import depth_to_space
from supervegan_jax.pretrained.esrgan_weights import (
    esrgan_variables,
    unet_discriminator_variables,
    vgg_discriminator_variables,
)

SMALL = {"width": 8, "growth": 4, "blocks": 2}


@pytest.fixture(scope="module")
def twins():
    """The networks in PyTorch, which not every machine has."""
    pytest.importorskip("torch")
    import torch_esrgan

    return torch_esrgan


def run(twin, x):
    import torch

    with torch.no_grad():
        return twin(torch.from_numpy(np.ascontiguousarray(x))).numpy()


@pytest.mark.parametrize("layout", ["basicsr", "xinntao"])
def test_equals_the_network_in_pytorch(twins, layout):
    twin = twins.TorchEsrgan(4, 8, 4, 2, layout)
    fields, variables = esrgan_variables(as_numpy(twin))
    assert fields == {"name": "esrgan", "scale": 4, **SMALL}
    x = random_frames(7, 9)
    ours = jax.jit(Esrgan(**SMALL).apply)(variables, x)
    wanted = run(twin, x[:, 0])
    assert wanted.std() > 0.1
    np.testing.assert_allclose(ours, wanted, atol=1e-4)


@pytest.mark.parametrize(("scale", "height", "width"), [(2, 7, 10), (1, 9, 11)])
def test_smaller_scales_reflect_odd_sides_as_real_esrgan_does(twins, scale, height, width):
    twin = twins.TorchEsrgan(scale, 8, 4, 1)
    fields, variables = esrgan_variables(as_numpy(twin))
    assert (fields.pop("name"), fields["scale"], fields["blocks"]) == ("esrgan", scale, 1)
    x = random_frames(height, width)
    block = 4 // scale
    rows, columns = -height % block, -width % block
    padded = np.pad(x[:, 0], ((0, 0), (0, rows), (0, columns), (0, 0)), mode="reflect")
    wanted = run(twin, padded)[:, : scale * height, : scale * width]
    ours = jax.jit(Esrgan(**fields).apply)(variables, x)
    assert ours.shape == (2, scale * height, scale * width, 3)
    np.testing.assert_allclose(ours, wanted, atol=1e-4)


def test_counts():
    # With biases; every convolution, at the size it runs at: the trunk at 320x180, the first
    # enlarging one at 640x360, the last three at 1280x720.
    assert counts_at_720p(Esrgan(**VARIANTS["esrgan"])) == (16_697_987, 1_032_586_444_800)
    small = 64 * (3 * 9 + 1) + 23 * 3 * (9 * 32 * (64 + 96 + 128 + 160) + 4 * 32)
    small += 23 * 3 * (9 * 192 * 64 + 64) + 4 * (9 * 64 * 64 + 64) + 9 * 64 * 3 + 3
    assert small == 16_697_987


def test_golden_values():
    x = random_frames(5, 6)
    module = Esrgan(**SMALL)
    y = jax.jit(module.apply)(filled(module, x), x)
    expected = [-0.433193, 0.381248, -0.893065, 0.308438]
    places = y[1, (0, 3, 10, 19), (0, 20, 11, 23), (0, 1, 2, 0)]
    np.testing.assert_allclose(places, expected, atol=1e-4)


def test_dense_block_by_hand():
    # Kernels of one centre tap: every convolution is the sum of what it sees.
    x = jnp.full((1, 1, 1, 2), 1.0)
    module = DenseBlock(growth=1)
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes(module, x)["params"])
    for conv in params.values():
        conv["conv"]["kernel"] = conv["conv"]["kernel"].at[1, 1].set(1.0)
    # 2, 4, 8, 16 are appended to 1, 1: the last sums 32.
    y = jax.jit(module.apply)({"params": params}, x)
    np.testing.assert_allclose(y, 1 + 0.2 * 32, rtol=1e-6)


def test_pixels_become_channels_and_come_back():
    x = jnp.asarray(np.random.default_rng(0).random((2, 8, 12, 3), np.float32))
    for block in (1, 2, 4):
        folded = pixels_to_channels(x, block)
        assert folded.shape == (2, 8 // block, 12 // block, 3 * block**2)
        np.testing.assert_array_equal(depth_to_space(folded, block), x)


def test_bfloat16_features_leave_float32_images_and_parameters():
    x = random_frames(6, 6)
    module = Esrgan(**SMALL, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes(module, x))} == {jnp.dtype("float32")}
    variables = filled(module, x)
    y, exact = (jax.jit(m.apply)(variables, x) for m in (module, Esrgan(**SMALL)))
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, exact, atol=0.1)


def test_wrong_fields_and_frames_are_refused():
    x = jnp.zeros((1, 1, 8, 8, 3))
    with pytest.raises(ValueError, match="scale is 3; ESRGAN is defined for 4, 2 and 1"):
        shapes(Esrgan(scale=3), x)
    with pytest.raises(ValueError, match=r"input of shape \(1, 5, 8, 8, 3\); \[b, 1, h, w, 3\]"):
        shapes(Esrgan(**SMALL), jnp.zeros((1, 5, 8, 8, 3)))


def state_dict(blocks=1, width=4, growth=2, inputs=3):
    tensors = {"conv_first": (width, inputs), "conv_body": (width, width)}
    tensors |= dict.fromkeys(("conv_up1", "conv_up2", "conv_hr"), (width, width))
    tensors["conv_last"] = (3, width)
    for i, j, k in np.ndindex(blocks, 3, 5):
        name = f"body.{i}.rdb{j + 1}.conv{k + 1}"
        tensors[name] = (growth if k < 4 else width, width + k * growth)
    weights = {f"{name}.weight": np.zeros((*s, 3, 3), np.float32) for name, s in tensors.items()}
    return weights | {f"{name}.bias": np.zeros(s[0], np.float16) for name, s in tensors.items()}


def test_the_published_sizes_are_told_from_the_file():
    fields, variables = esrgan_variables(state_dict(23, 64, 32))
    assert fields == {"name": "esrgan", "scale": 4, "width": 64, "growth": 32, "blocks": 23}
    wanted = shapes(Esrgan(), jnp.zeros((1, 1, 8, 8, 3)))
    found = jax.tree.map(lambda x: (x.shape, x.dtype), variables)
    assert found == jax.tree.map(lambda x: (x.shape, x.dtype), wanted)


def test_wrong_state_dicts_are_refused():
    good = state_dict(blocks=2)
    missing = {name: x for name, x in good.items() if name != "body.0.rdb2.conv3.bias"}
    with pytest.raises(ValueError, match=r"tensor body\.0\.rdb2\.conv3\.bias is missing"):
        esrgan_variables(missing)
    with pytest.raises(ValueError, match=r"tensor body\.1\.extra is left over \(1 in all\)"):
        esrgan_variables(good | {"body.1.extra": np.zeros(3)})
    with pytest.raises(ValueError, match=r"conv_hr\.bias has shape \(5,\); accepted: \(4,\)"):
        esrgan_variables(good | {"conv_hr.bias": np.zeros(5)})
    with pytest.raises(ValueError, match=r"conv_hr\.bias has shape \(4, 1\); accepted: 1 sides"):
        esrgan_variables(good | {"conv_hr.bias": np.zeros((4, 1))})
    with pytest.raises(ValueError, match=r"conv_hr\.bias holds non-finite numbers"):
        esrgan_variables(good | {"conv_hr.bias": np.full(4, np.inf)})
    with pytest.raises(ValueError, match=r"conv_first\.weight has 9 inputs; accepted: 3, 12, 48"):
        esrgan_variables(state_dict(inputs=9))
    with pytest.raises(ValueError, match=r"neither conv_body\.weight .* nor trunk_conv\.weight"):
        esrgan_variables({"model.0.weight": np.zeros((4, 3, 3, 3))})


@pytest.mark.parametrize("size", [128, 256])
def test_vgg_discriminator_equals_the_one_in_pytorch(twins, size):
    twin = twins.TorchVggDiscriminator(size, 4).eval()
    fields, variables = vgg_discriminator_variables(as_numpy(twin))
    assert fields == {"size": size, "width": 4}
    module = VggDiscriminator(**fields)
    x = np.random.default_rng(0).random((3, size, size, 3), np.float32)
    wanted = run(twin, x)
    assert wanted.shape == (3,) and wanted.std() > 0.01
    np.testing.assert_allclose(jax.jit(module.apply)(variables, x), wanted, atol=1e-4)
    if size == 128:
        apply = jax.jit(partial(module.apply, train=True, mutable=["batch_stats"]))
        logits, new = apply(variables, x)
        np.testing.assert_allclose(logits, run(twin.train(), x), atol=2e-4)
        mean = twin.state_dict()["bn2_1.running_mean"]
        np.testing.assert_allclose(new["batch_stats"]["down_2_norm"]["mean"], mean, atol=1e-4)


def test_unet_discriminator_equals_the_one_in_pytorch(twins):
    import torch

    twin = twins.TorchUNetDiscriminator(4).train()
    x = np.random.default_rng(0).random((2, 16, 24, 3), np.float32)
    run(twin, x)
    fields, variables = unet_discriminator_variables(as_numpy(twin))
    assert fields == {"width": 4}
    module = UNetDiscriminator(**fields)
    wanted = run(twin.eval(), x)
    assert wanted.shape == (2, 16, 24) and wanted.std() > 0.1
    np.testing.assert_allclose(jax.jit(module.apply)(variables, x), wanted, atol=1e-4)

    # Another power iteration, what it leaves, and the gradient through the singular value.
    def loss(params):
        both = {**variables, "params": params}
        logits, new = module.apply(both, x, train=True, mutable=["batch_stats"])
        return jnp.mean(jnp.square(logits)), (logits, new["batch_stats"])

    gradient, (logits, statistics) = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    theirs = twin.train()(torch.from_numpy(x))
    theirs.square().mean().backward()
    np.testing.assert_allclose(logits, theirs.detach(), atol=1e-4)
    after = unet_discriminator_variables(as_numpy(twin))[1]
    for name, vectors in after["batch_stats"].items():
        for which in ("u", "v"):
            np.testing.assert_allclose(statistics[name][which], vectors[which], atol=1e-5)
            assert abs(vectors[which] - variables["batch_stats"][name][which]).max() > 1e-4
    for number, name in ((1, "down_0"), (4, "up_2"), (8, "join_1")):
        wanted = getattr(twin, f"conv{number}").weight_orig.grad.permute(2, 3, 1, 0)
        np.testing.assert_allclose(gradient[name]["kernel"], wanted, rtol=1e-3, atol=1e-5)


def test_spectral_normalisation_finds_the_singular_value():
    module = SpectralConv(5, 4)
    x = jnp.asarray(np.random.default_rng(0).random((1, 8, 6, 3), np.float32))
    variables = init_variables(module, jax.random.key(0), x)
    step = jax.jit(partial(module.apply, train=True, mutable=["batch_stats"]))
    for _ in range(100):
        _, new = step(variables, x)
        variables = {**variables, **new}
    kernel, vectors = np.asarray(variables["params"]["kernel"]), variables["batch_stats"]
    sigma = np.einsum("hwco,hwc,o->", kernel, vectors["v"], vectors["u"])
    largest = np.linalg.svd(kernel.reshape(-1, 5), compute_uv=False)[0]
    assert sigma == pytest.approx(largest, rel=1e-3)
    # Without `train` nothing changes, and the layer is the same function, of a kernel of norm 1.
    y, unchanged = jax.jit(partial(module.apply, mutable=["batch_stats"]))(variables, x)
    jax.tree.map(np.testing.assert_array_equal, unchanged["batch_stats"], vectors)
    np.testing.assert_allclose(y, step(variables, x)[0], atol=1e-4)
    grown = {**variables, "params": {"kernel": 7 * kernel}}
    np.testing.assert_allclose(y, step(grown, x)[0], atol=1e-4)


def test_wrong_discriminator_images_and_files_are_refused():
    with pytest.raises(ValueError, match="size is 96; 128 and 256 are accepted"):
        shapes(VggDiscriminator(size=96), jnp.zeros((1, 96, 96, 3)))
    with pytest.raises(ValueError, match=r"\(1, 128, 96, 3\); \[b, 128, 128, 3\] is needed"):
        shapes(VggDiscriminator(), jnp.zeros((1, 128, 96, 3)))
    with pytest.raises(ValueError, match=r"\(1, 8, 12, 3\); .* multiples of 8 is needed"):
        shapes(UNetDiscriminator(), jnp.zeros((1, 8, 12, 3)))
    with pytest.raises(ValueError, match=r"tensor conv0_0\.weight is missing"):
        vgg_discriminator_variables({})
    with pytest.raises(ValueError, match=r"tensor conv0\.weight has shape \(3,\); accepted: 4"):
        unet_discriminator_variables({"conv0.weight": np.zeros(3)})


def test_discriminators_have_their_published_sizes():
    # BasicSR's and Real-ESRGAN's, as PyTorch counts their parameters.
    for module, size, parameters in (
        (VggDiscriminator(), 128, 14_499_401),
        (UNetDiscriminator(), 64, 4_376_897),
    ):
        params = shapes(module, jnp.zeros((1, size, size, 3)))["params"]
        assert sum(leaf.size for leaf in jax.tree.leaves(params)) == parameters


@pytest.mark.parametrize("size", [(5, 7), (11, 4), (3, 3), (12, 10), (1, 2)])
def test_bilinear_resizing_pixel_by_pixel(size):
    x = np.random.default_rng(0).random((2, 5, 4, 3), np.float32)
    wanted = np.zeros((2, *size, 3))
    for i, j in np.ndindex(*size):
        corner = []
        for have, want, k in ((5, size[0], i), (4, size[1], j)):
            place = min(max((k + 0.5) * have / want - 0.5, 0), have - 1)
            first = min(int(place), have - 1)
            corner.append((first, min(first + 1, have - 1), place - first))
        (top, bottom, dy), (left, right, dx) = corner
        upper = (1 - dx) * x[:, top, left] + dx * x[:, top, right]
        lower = (1 - dx) * x[:, bottom, left] + dx * x[:, bottom, right]
        wanted[:, i, j] = (1 - dy) * upper + dy * lower
    ours = jax.jit(resize_bilinear, static_argnums=(1, 2))(x, *size)
    np.testing.assert_allclose(ours, wanted, atol=1e-6)
