"""Files in torch.save's two containers, assembled here opcode by opcode: PyTorch is not needed."""

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from supervegan_jax.pretrained.safe_pickle import RefusedPickleError
from supervegan_jax.pretrained.torch_file import read_torch_file

STORAGES = {np.dtype("<f4"): "FloatStorage", np.dtype("<f2"): "HalfStorage"}
EMPTY_ORDERED_DICT = b"ccollections\nOrderedDict\n)R"


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_number, values)) + b"t"


def _facts(key: str, array: np.ndarray, legacy: bool) -> bytes:
    """Storage, offset, shape and strides, as torch pickles them."""
    kind = STORAGES[array.dtype].encode()
    storage = b"(" + _text("storage") + b"ctorch\n" + kind + b"\n" + _text(key) + _text("cpu")
    storage += _number(array.size) + (b"N" if legacy else b"") + b"tQ"
    strides = tuple(step // array.itemsize for step in array.strides)
    return storage + _number(0) + _numbers(array.shape) + _numbers(strides)


def _rebuild_v2(key: str, array: np.ndarray, legacy: bool) -> bytes:
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + _facts(key, array, legacy)
    return call + b"\x89" + EMPTY_ORDERED_DICT + b"tR"


def _rebuild_v1_in_parameter(key: str, array: np.ndarray, legacy: bool) -> bytes:
    tensor = b"ctorch._utils\n_rebuild_tensor\n(" + _facts(key, array, legacy) + b"tR"
    state = b"(\x88\x89" + EMPTY_ORDERED_DICT + b"tb"
    return b"ctorch.nn.parameter\nParameter\n(" + tensor + b"tR" + state


def _float_tensor_with_state(key: str, array: np.ndarray, legacy: bool) -> bytes:
    return b"ctorch\nFloatTensor\n)R(" + _facts(key, array, legacy) + b"tb"


def state_dict_pickle(tensors: dict, legacy: bool = False, form=_rebuild_v2) -> bytes:  # type: ignore[no-untyped-def]
    entries = b"".join(
        _text(name) + form(str(i), array, legacy) for i, (name, array) in enumerate(tensors.items())
    )
    metadata = b"}" + _text("_metadata") + EMPTY_ORDERED_DICT + b"sb"
    return b"\x80\x02" + EMPTY_ORDERED_DICT + b"(" + entries + b"u" + metadata + b"."


def write_zip(path: Path, tensors: dict[str, np.ndarray], pickled: bytes | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled or state_dict_pickle(tensors))
        archive.writestr("archive/byteorder", "little")
        for i, array in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{i}", array.tobytes(order="A"))
        archive.writestr("archive/version", "3\n")
    return path


def write_legacy(path: Path, tensors: dict[str, np.ndarray], form=_rebuild_v2) -> Path:  # type: ignore[no-untyped-def]
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    with open(path, "wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, protocol=2)
        pickle.dump(1001, file, protocol=2)
        pickle.dump(system, file, protocol=2)
        file.write(state_dict_pickle(tensors, legacy=True, form=form))
        pickle.dump([str(i) for i in range(len(tensors))], file, protocol=2)
        for array in tensors.values():
            file.write(struct.pack("<q", array.size) + array.tobytes(order="A"))
    return path


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "features.0.weight": rng.random((4, 3, 2, 2), np.float32),
        "features.0.bias": rng.random(4, np.float32),
        "transposed": np.asfortranarray(rng.random((3, 5), np.float32)),
        "scalar": np.array(2.5, np.float32),
    }


def _check(found: dict[str, np.ndarray], tensors: dict[str, np.ndarray]) -> None:
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
        assert found[name].flags["C_CONTIGUOUS"]


def test_zip_container(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    tensors["half"] = np.arange(6, dtype=np.float16).reshape(2, 3)
    _check(read_torch_file(write_zip(tmp_path / "a.pth", tensors)), tensors)


@pytest.mark.parametrize("form", [_rebuild_v2, _rebuild_v1_in_parameter, _float_tensor_with_state])
def test_legacy_container(tmp_path: Path, tensors: dict[str, np.ndarray], form) -> None:  # type: ignore[no-untyped-def]
    _check(read_torch_file(write_legacy(tmp_path / "a.pth", tensors, form)), tensors)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_only_wanted_tensors(tmp_path: Path, tensors: dict[str, np.ndarray], write) -> None:  # type: ignore[no-untyped-def]
    found = read_torch_file(write(tmp_path / "a.pth", tensors), {"transposed"}.__contains__)
    _check(found, {"transposed": tensors["transposed"]})


def _attack(marker: Path) -> bytes:
    command = f"touch {marker}"
    return b"\x80\x02}(" + _text("a") + b"cposix\nsystem\n(" + _text(command) + b"tRu."


def test_attack_in_either_container_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    pickle.loads(_attack(marker))
    assert marker.exists(), "the attack itself must work, or the test shows nothing"
    marker.unlink()
    zipped = write_zip(tmp_path / "a.pth", {}, _attack(marker))
    legacy = write_legacy(tmp_path / "b.pth", {})
    legacy.write_bytes(legacy.read_bytes().replace(state_dict_pickle({}, True), _attack(marker)))
    for path in (zipped, legacy):
        with pytest.raises(RefusedPickleError, match=r"posix\.system, which is refused"):
            read_torch_file(path)
    assert not marker.exists()


def test_view_beyond_its_storage(tmp_path: Path) -> None:
    array = np.zeros(4, np.float32)
    pickled = state_dict_pickle({"a": array}).replace(_numbers((4,)), _numbers((400,)))
    with pytest.raises(ValueError, match="beyond its storage"):
        read_torch_file(write_zip(tmp_path / "a.pth", {"a": array}, pickled))


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_cut_off(tmp_path: Path, tensors: dict[str, np.ndarray], write, part: float) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "a.pth", tensors)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(ValueError, match=r"a\.pth: .*cut off"):
        read_torch_file(path)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file .*missing\.pth"):
        read_torch_file(tmp_path / "missing.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ValueError, match=r"not a file of torch\.save"):
        read_torch_file(tmp_path / "text.pth")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(ValueError, match=r"a zip archive, but not of torch\.save"):
        read_torch_file(tmp_path / "other.zip")


def test_storage_described_in_two_ways(tmp_path: Path) -> None:
    long, short = np.zeros(400, np.float32), np.zeros(4, np.float32)
    entries = (
        _text("a") + _rebuild_v2("0", long, False) + _text("b") + _rebuild_v2("0", short, False)
    )
    pickled = b"\x80\x02}(" + entries + b"u."
    with pytest.raises(ValueError, match="'0' is described in two ways"):
        read_torch_file(write_zip(tmp_path / "a.pth", {"b": short}, pickled))


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_flipped_bytes_raise_only_value_errors(
    tmp_path: Path,
    tensors: dict[str, np.ndarray],
    write,  # type: ignore[no-untyped-def]
) -> None:
    path = write(tmp_path / "a.pth", tensors)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = data.copy()
        damaged[rng.integers(damaged.size, size=3)] = rng.integers(256, size=3)
        path.write_bytes(damaged.tobytes())
        try:
            read_torch_file(path)
        except ValueError:
            refused += 1
    assert refused > 100
