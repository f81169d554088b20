from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.signal import correlate
from test_pretrained_torch_file import write_legacy, write_zip

from supervegan_jax.models.vgg import VGG
from supervegan_jax.pretrained.packaged_weights import load_packaged_vgg16
from supervegan_jax.pretrained.vgg_weights import load_vgg

# Where torchvision's vgg16 and vgg19 keep their convolutions, as `print(model)` shows them.
VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG19 = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)


@pytest.fixture(scope="module")
def packaged() -> dict[str, Any]:
    return load_packaged_vgg16()


def torchvision_layout(params: dict[str, Any], indices: tuple[int, ...]) -> dict[str, np.ndarray]:
    tensors = {}
    for index, conv in zip(indices, params.values(), strict=True):
        tensors[f"features.{index}.weight"] = np.ascontiguousarray(
            conv["kernel"].transpose(3, 2, 0, 1)
        )
        tensors[f"features.{index}.bias"] = conv["bias"]
    tensors["classifier.0.bias"] = np.zeros(7, np.float32)
    return tensors


@pytest.mark.parametrize("write", ["zip", "legacy", "safetensors"])
def test_torchvision_layout(tmp_path: Path, packaged: dict[str, Any], write: str) -> None:
    tensors = torchvision_layout(packaged["params"], VGG16)
    path = tmp_path / "vgg16.weights"
    if write == "safetensors":
        save_file(tensors, path)
    else:
        (write_zip if write == "zip" else write_legacy)(path, tensors)
    loaded = load_vgg("vgg16", path)
    jax.tree.map(np.testing.assert_array_equal, loaded, packaged)
    with pytest.raises(ValueError, match=r"features\.16\.weight is missing \(12 of 32 tensors\)"):
        load_vgg("vgg19", path)


def test_vgg19_places(tmp_path: Path) -> None:
    params, inputs = {}, 3
    widths = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    for place, width in enumerate(widths):
        kernel = np.broadcast_to(np.float16(place), (3, 3, inputs, width))
        params[str(place)] = {"kernel": kernel, "bias": np.full(width, place + 0.5, np.float16)}
        inputs = width
    tensors = torchvision_layout(params, VGG19)
    del tensors["classifier.0.bias"]
    loaded = load_vgg("vgg19", write_zip(tmp_path / "vgg19.pth", tensors))["params"]
    names = list(loaded)
    assert names[:3] == ["conv1_1", "conv1_2", "conv2_1"] and names[-1] == "conv5_4"
    for place, conv in enumerate(loaded.values()):
        assert conv["kernel"].dtype == conv["bias"].dtype == np.float32
        assert conv["kernel"].shape == (3, 3, conv["kernel"].shape[2], widths[place])
        assert (conv["kernel"] == place).all() and (conv["bias"] == place + 0.5).all()


def write_keras(path: Path, params: dict[str, Any], form: str) -> Path:
    with h5py.File(path, "w") as file:
        for i, (name, conv) in enumerate(params.items()):
            layer = "block" + name[4:].replace("_", "_conv")
            kernel, bias = {
                "keras1": (f"{layer}/{layer}_W_1:0", f"{layer}/{layer}_b_1:0"),
                "keras2": (f"{layer}/{layer}/kernel:0", f"{layer}/{layer}/bias:0"),
                "model": (
                    f"model_weights/{layer}/{layer}/kernel:0",
                    f"model_weights/{layer}/{layer}/bias:0",
                ),
                "keras3": (f"layers/conv2d_{i}/vars/0", f"layers/conv2d_{i}/vars/1"),
            }[form]
            file[kernel], file[bias] = conv["kernel"], conv["bias"]
            if form == "keras3":
                file[f"layers/conv2d_{i}/vars"].attrs["name"] = layer
        if form == "model":
            file["optimizer_weights/adam/block1_conv1/kernel_m:0"] = np.zeros((3, 3, 3, 64))
    return path


@pytest.mark.parametrize("form", ["keras1", "keras2", "keras3", "model"])
def test_keras_layout(tmp_path: Path, packaged: dict[str, Any], form: str) -> None:
    """The features are those of Keras's own preprocessing, at the zero-padded border too."""
    caffe = packaged["params"]
    variables = load_vgg("vgg16", write_keras(tmp_path / "vgg16.h5", caffe, form))
    image = np.random.default_rng(0).random((6, 7, 3))
    # keras.applications.vgg16.preprocess_input: RGB to BGR, [0, 255], means off, no scaling.
    prepared = 255 * image[..., ::-1] - [103.939, 116.779, 123.68]
    padded = np.pad(prepared, ((1, 1), (1, 1), (0, 0)))
    expected = [
        correlate(padded, caffe["conv1_1"]["kernel"][..., o].astype(np.float64), "valid")[..., 0]
        + caffe["conv1_1"]["bias"][o]
        for o in range(64)
    ]
    model = VGG(network="vgg16", layers=("conv1_1",))
    features: Any = model.apply(variables, jnp.asarray(image[None], jnp.float32))
    np.testing.assert_allclose(features["conv1_1"][0], np.stack(expected, -1), atol=2e-3)
    for name in ("conv1_2", "conv5_3"):
        np.testing.assert_array_equal(variables["params"][name]["kernel"], caffe[name]["kernel"])


def test_default_is_the_packaged_vgg16(packaged: dict[str, Any]) -> None:
    jax.tree.map(np.testing.assert_array_equal, load_vgg("vgg16"), packaged)
    with pytest.raises(ValueError, match="no weights of vgg19 are packaged: name a file"):
        load_vgg("vgg19")


def test_wrong_shapes_and_numbers(tmp_path: Path, packaged: dict[str, Any]) -> None:
    tensors = torchvision_layout(packaged["params"], VGG16)
    narrow = {**tensors, "features.2.weight": np.zeros((64, 32, 3, 3), np.float32)}
    with pytest.raises(ValueError, match=r"conv1_2 kernel has shape \(3, 3, 32, 64\); accepted"):
        load_vgg("vgg16", write_zip(tmp_path / "a.pth", narrow))
    broken = {**tensors, "features.5.bias": np.full(128, np.nan, np.float32)}
    with pytest.raises(ValueError, match="conv2_1 bias holds non-finite numbers"):
        load_vgg("vgg16", write_zip(tmp_path / "b.pth", broken))


def test_wrong_files(tmp_path: Path, packaged: dict[str, Any]) -> None:
    few = {"conv1_1": packaged["params"]["conv1_1"]}
    with pytest.raises(ValueError, match="no VGG weights file"):
        load_vgg("vgg19", tmp_path / "missing.pth")
    with pytest.raises(ValueError, match="network 'vgg11'; accepted: vgg16, vgg19"):
        load_vgg("vgg11", tmp_path / "missing.pth")
    for content in (b"", b"hello, this is a text file"):
        (tmp_path / "text.pth").write_bytes(content)
        with pytest.raises(ValueError, match=r"text\.pth: not a known layout; accepted"):
            load_vgg("vgg19", tmp_path / "text.pth")
    with pytest.raises(ValueError, match=r"block1_conv2 is missing \(15 of 16 layers\)"):
        load_vgg("vgg19", write_keras(tmp_path / "few.h5", few, "keras2"))
    data = (tmp_path / "few.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"cut\.h5: damaged or cut off HDF5 file"):
        load_vgg("vgg19", tmp_path / "cut.h5")
    save_file(torchvision_layout(few, (0,)), tmp_path / "few.safetensors")
    data = (tmp_path / "few.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"cut\.safetensors: not readable safetensors"):
        load_vgg("vgg19", tmp_path / "cut.safetensors")
