from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from supervegan_jax.models.vgg import IMAGENET_MEAN, IMAGENET_STD, VGG, conv_names

TINY = (4, 5, 6, 7, 8)


def tiny(layers: tuple[str, ...], network: str = "vgg19", dtype: Any = jnp.float32) -> VGG:
    return VGG(network=network, layers=layers, widths=TINY, dtype=dtype)


def random_variables(network: str = "vgg19") -> Any:
    last = conv_names(network)[-1]
    init = tiny((last,), network).init
    shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda a: rng.normal(0, 0.25, a.shape).astype(np.float32), shapes)
    normalization = {"mean": np.float32(IMAGENET_MEAN), "std": np.float32(IMAGENET_STD)}
    return {"params": params, "normalization": normalization}


def convolve(x: np.ndarray, conv: Any) -> np.ndarray:
    """Zero-padded 3x3 convolution of [h, w, c], written with scipy's correlate."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    kernel = np.asarray(conv["kernel"], np.float64)
    out = [correlate(padded, kernel[..., o], "valid")[..., 0] for o in range(kernel.shape[-1])]
    return np.stack(out, -1) + np.asarray(conv["bias"], np.float64)


def test_first_block_and_pool_against_scipy() -> None:
    variables = random_variables()
    params = variables["params"]
    image = np.random.default_rng(0).random((11, 14, 3))
    x = (image - IMAGENET_MEAN) / np.array(IMAGENET_STD)
    conv1_2 = convolve(np.maximum(convolve(x, params["conv1_1"]), 0), params["conv1_2"])
    relu1_2 = np.maximum(conv1_2, 0)
    # An odd last row is dropped by the pool, as in torchvision and Keras.
    pooled = relu1_2[:10].reshape(5, 2, 7, 2, -1).max((1, 3))
    conv2_1 = convolve(pooled, params["conv2_1"])
    expected = {"conv1_2": conv1_2, "relu1_2": relu1_2, "conv2_1": conv2_1}
    features = tiny(tuple(expected)).apply(variables, jnp.asarray(image[None], jnp.float32))
    assert isinstance(features, dict) and list(features) == list(expected)
    for layer, wanted in expected.items():
        np.testing.assert_allclose(features[layer][0], wanted, atol=2e-5)


@pytest.mark.parametrize(
    ("layer", "convolutions", "pools"),
    [
        ("conv1_1", 1, 0),
        ("relu1_1", 1, 0),
        ("conv2_1", 3, 1),
        ("conv3_4", 8, 2),
        ("conv5_4", 16, 4),
    ],
)
def test_nothing_behind_the_wanted_layer(layer: str, convolutions: int, pools: int) -> None:
    model, images = tiny((layer,)), jnp.zeros((1, 32, 32, 3))
    counted = str(jax.make_jaxpr(model.apply)(random_variables(), images))
    assert counted.count("conv_general_dilated[") == convolutions
    assert counted.count("reduce_window_max[") == pools
    made = jax.eval_shape(model.init, jax.random.key(0), images)
    assert len(made["params"]) == convolutions


def test_conv_is_before_the_relu_and_relu_after() -> None:
    images = jax.random.uniform(jax.random.key(2), (2, 33, 48, 3))
    features = tiny(("conv5_3", "relu5_3"), "vgg16").apply(random_variables("vgg16"), images)
    assert isinstance(features, dict)
    assert features["conv5_3"].shape == (2, 2, 3, TINY[-1])
    assert float(features["conv5_3"].min()) < 0
    np.testing.assert_array_equal(jax.nn.relu(features["conv5_3"]), features["relu5_3"])


def test_bfloat16_computes_in_bfloat16() -> None:
    variables = random_variables()
    images = jax.random.uniform(jax.random.key(2), (1, 32, 32, 3))
    exact: Any = tiny(("conv4_1",)).apply(variables, images)
    rough: Any = tiny(("conv4_1",), dtype=jnp.bfloat16).apply(variables, images)
    assert rough["conv4_1"].dtype == jnp.bfloat16
    scale = float(jnp.abs(exact["conv4_1"]).max())
    np.testing.assert_allclose(rough["conv4_1"], exact["conv4_1"], atol=0.03 * scale)


def test_normalisation_comes_with_the_variables() -> None:
    variables = random_variables()
    images = jax.random.uniform(jax.random.key(2), (1, 16, 16, 3))
    wider = {"mean": jnp.array([0.1, 0.2, 0.3]), "std": jnp.array([0.5, 0.5, 0.5])}
    shifted = (images - wider["mean"].reshape(1, 1, 1, 3)) / 0.5
    imagenet = shifted * np.array(IMAGENET_STD, np.float32).reshape(1, 1, 1, 3)
    imagenet = imagenet + np.array(IMAGENET_MEAN, np.float32).reshape(1, 1, 1, 3)
    model = tiny(("conv1_2",))
    first: Any = model.apply({**variables, "normalization": wider}, images)
    second: Any = model.apply(variables, imagenet)
    np.testing.assert_allclose(first["conv1_2"], second["conv1_2"], atol=1e-5)


def test_names() -> None:
    assert conv_names("vgg16")[-1] == "conv5_3" and len(conv_names("vgg16")) == 13
    assert conv_names("vgg19")[-1] == "conv5_4" and len(conv_names("vgg19")) == 16


def test_errors() -> None:
    images = jnp.zeros((1, 16, 16, 3))
    with pytest.raises(ValueError, match="network 'vgg11'; accepted: vgg16, vgg19"):
        VGG(network="vgg11").init(jax.random.key(0), images)
    with pytest.raises(ValueError, match="layer 'conv5_4' of vgg16; accepted: conv1_1 to conv5_3"):
        VGG(network="vgg16", layers=("conv5_4",)).init(jax.random.key(0), images)
    with pytest.raises(ValueError, match="no layer of vgg19"):
        VGG(layers=()).init(jax.random.key(0), images)
    with pytest.raises(ValueError, match=r"shape \(1, 16, 16, 1\)"):
        VGG(layers=("conv1_1",)).init(jax.random.key(0), images[..., :1])
