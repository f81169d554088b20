from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from supervegan_jax.metrics.lpips import alexnet_features, lpips
from supervegan_jax.pretrained.packaged_weights import load_lpips_params

# Computed in float64 by the authors' package lpips 0.1.4 (PyTorch 2.13) on `noisy_pair`.
OFFICIAL = {
    ("alexnet", 31, 31): 0.06267607427,
    ("alexnet", 64, 64): 0.15926903432,
    ("alexnet", 97, 131): 0.20788983746,
    ("vgg16", 16, 16): 0.10945127171,
    ("vgg16", 64, 64): 0.24636597624,
    ("vgg16", 97, 131): 0.33633936706,
}


@pytest.fixture(scope="module")
def params() -> dict[str, Any]:
    return {network: load_lpips_params(network) for network in ("alexnet", "vgg16")}


def noisy_pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth image with two noises of unlike strength, [1, h, w, 3] each."""
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    smooth = np.stack(
        [0.5 + 0.4 * np.sin(9 * x + 3 * y), 0.5 + 0.4 * np.cos(7 * y * x), 0.2 + 0.6 * x * y], -1
    )
    noise = np.random.default_rng(7).normal(size=(2, height, width, 3))
    first = np.clip(smooth + 0.05 * noise[0], 0, 1)
    second = np.clip(smooth + 0.15 * noise[1], 0, 1)
    return first.astype(np.float32)[None], second.astype(np.float32)[None]


@pytest.mark.parametrize(("network", "height", "width"), list(OFFICIAL))
def test_equals_the_official_implementation(
    params: Any, network: str, height: int, width: int
) -> None:
    distance = lpips(params[network], *noisy_pair(height, width), network=network)
    assert distance.shape == (1,)
    assert float(distance[0]) == pytest.approx(OFFICIAL[network, height, width], abs=1e-6)


def convolve(x: np.ndarray, conv: Any, stride: int, padding: int) -> np.ndarray:
    kernel = np.asarray(conv["kernel"], np.float64)
    padded = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], (0, 1))
    return np.einsum("hwcij,ijco->hwo", windows[::stride, ::stride], kernel) + conv["bias"]


def test_alexnet_start_against_numpy(params: Any) -> None:
    convs = params["alexnet"]["features"]
    image = noisy_pair(52, 63)[0]
    # The authors' ScalingLayer on [-1, 1], which must be ImageNet's statistics on [0, 1].
    x = (2.0 * image[0] - 1.0 - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
    first = np.maximum(convolve(x, convs["conv1"], 4, 2), 0)
    height, width = ((size - 3) // 2 + 1 for size in first.shape[:2])
    pooled = np.empty((height, width, 64))
    for i in range(height):
        for j in range(width):
            pooled[i, j] = first[2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((0, 1))
    second = np.maximum(convolve(pooled, convs["conv2"], 1, 2), 0)
    features = alexnet_features(convs, jnp.asarray(image))
    np.testing.assert_allclose(features[0][0], first, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(features[1][0], second, rtol=1e-5, atol=1e-4)


def test_distance_of_one_layer_by_hand(params: Any) -> None:
    """With all weights but one channel's zero, LPIPS is that channel's mean squared difference."""
    chosen = params["alexnet"]
    x, y = noisy_pair(40, 40)
    linear = {name: np.zeros_like(weights) for name, weights in chosen["linear"].items()}
    linear["lin2"][17] = 3.0
    normalised = []
    for image in (x, y):
        feature = np.asarray(alexnet_features(chosen["features"], image)[1][0], np.float64)
        normalised.append(feature / (np.sqrt((feature**2).sum(-1, keepdims=True)) + 1e-10))
    expected = 3.0 * ((normalised[0] - normalised[1])[..., 17] ** 2).mean()
    assert expected > 1e-5
    got = lpips({"features": chosen["features"], "linear": linear}, x, y)
    assert float(got[0]) == pytest.approx(expected, rel=1e-4)


def test_identical_images_symmetry_and_batch(params: Any) -> None:
    x, y = noisy_pair(48, 40)
    batch_x = np.concatenate([x, y, x])
    batch_y = np.concatenate([x, x, y])
    distances = lpips(params["alexnet"], batch_x, batch_y)
    assert abs(float(distances[0])) < 1e-9
    assert float(distances[1]) == pytest.approx(float(distances[2]), abs=1e-7)
    alone = lpips(params["alexnet"], x, y)
    assert float(distances[2]) == pytest.approx(float(alone[0]), abs=1e-6)


def test_linear_weights_are_not_negative(params: Any) -> None:
    for network in params.values():
        assert all((weights >= 0).all() for weights in jax.tree.leaves(network["linear"]))


def test_errors(params: Any) -> None:
    x = jnp.zeros((1, 32, 32, 3))
    with pytest.raises(ValueError, match="LPIPS network 'squeeze'; accepted: alexnet, vgg16"):
        lpips(params["alexnet"], x, x, network="squeeze")
    with pytest.raises(ValueError, match=r"accepted: equal \[b, h, w, 3\]"):
        lpips(params["alexnet"], x, x[:, :31])
    with pytest.raises(ValueError, match=r"uint8 and uint8; accepted: float32 in \[0, 1\]"):
        lpips(params["alexnet"], x.astype(jnp.uint8), x.astype(jnp.uint8))
    with pytest.raises(ValueError, match="LPIPS of 32x30 images; accepted with alexnet: sides of"):
        lpips(params["alexnet"], x[:, :30], x[:, :30])
