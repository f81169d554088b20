"""PyTorch's state-dict files (.pth, .pt), read to NumPy without PyTorch and without running them.

Two containers exist: a zip archive (PyTorch 1.6 and later) and the older sequence of pickles
(torchvision's VGG files were published in 2017). In both, a pickle describes the tensors and their
numbers lie outside it as raw little-endian storages.
"""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from supervegan_jax.pretrained.safe_pickle import RefusedPickleError, StandIn, load_pickle

ZIP_MAGIC = b"PK\x03\x04"
# The pickle of PyTorch's magic number, with which the older container begins.
LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PROTOCOL = 1001

# What zipfile, zlib, struct and a seek to nowhere raise on damaged bytes, and what a tree of
# senseless values causes.
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    TypeError,
)

_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


# BasicSR's files hold state dicts under these names; the averaged one is the one to use.
_GROUPS = ("params_ema", "params")


class _StorageType(StandIn):
    __slots__ = ("dtype",)

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)


class _Storage(StandIn):
    __slots__ = ("count", "dtype", "key")

    def __init__(self, key: str, dtype: np.dtype, count: int) -> None:
        self.key, self.dtype, self.count = key, dtype, count


class _Tensor(StandIn):
    """Stands for a tensor: a strided view of a storage.

    Built by `torch._utils._rebuild_tensor(_v2)` with its four facts or, in files of early 2017, as
    an empty `torch.FloatTensor` that gets them as its state.
    """

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(self, *facts: Any) -> None:
        self.storage: _Storage | None = None
        if facts:
            self._describe(*facts[:4])

    def __setstate__(self, state: Any) -> None:
        # A Parameter's state (requires_grad, volatile, hooks) reaches the tensor within; unused.
        if self.storage is None:
            self._describe(*state)

    def _describe(self, storage: Any, offset: Any, shape: Any, strides: Any) -> None:
        if not isinstance(storage, _Storage) or len(shape) != len(strides):
            raise RefusedPickleError("the pickle describes a tensor without a storage")
        if not all(isinstance(n, int) and n >= 0 for n in (offset, *shape, *strides)):
            raise ValueError(f"tensor of offset {offset}, shape {shape}, strides {strides}")
        self.storage, self.offset = storage, offset
        self.shape, self.strides = tuple(shape), tuple(strides)

    def view(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        """Returns this tensor as a contiguous copy of its part of its storage's numbers."""
        numbers = storages[self.storage.key] if self.storage is not None else np.zeros(0)
        if prod(self.shape) == 0:
            return np.zeros(self.shape, numbers.dtype)
        # The file chose these numbers: nothing else keeps the view inside the buffer.
        last = self.offset + sum(
            (n - 1) * step for n, step in zip(self.shape, self.strides, strict=True)
        )
        if last >= numbers.size:
            raise ValueError(f"tensor of shape {self.shape} reaches beyond its storage")
        strides = tuple(step * numbers.itemsize for step in self.strides)
        part = np.lib.stride_tricks.as_strided(
            numbers[self.offset :], self.shape, strides, writeable=False
        )
        return part.copy(order="C")


class _Parameter(StandIn):
    """Stands for `torch.nn.Parameter`: the tensor in it is all that is wanted."""

    __slots__ = ()

    def __new__(cls, data: Any, *unused: Any) -> Any:
        """Returns the tensor itself."""
        return data


class _StateDict(dict):
    """Stands for `collections.OrderedDict`; the version numbers it may carry are unused."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _StateDict,
    ("torch._utils", "_rebuild_tensor"): _Tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
    ("torch.nn.parameter", "Parameter"): _Parameter,
    **{("torch", name.replace("Storage", "Tensor")): _Tensor for name in _DTYPES},
    **{("torch", name): _StorageType(dtype) for name, dtype in _DTYPES.items()},
}


class _StorageTable:
    """The storages a file's pickle refers to, one entry for each key."""

    def __init__(self) -> None:
        self.known: dict[str, _Storage] = {}

    def find(self, pid: Any) -> _Storage:
        """Reads ('storage', type, key, device, count) and, in older files, a sixth entry, None."""
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise RefusedPickleError(f"the pickle refers to outside data {pid!r}")
        _, kind, key, _, count = pid[:5]
        if not isinstance(kind, _StorageType) or (len(pid) == 6 and pid[5] is not None):
            raise RefusedPickleError(f"the pickle refers to a storage of unknown kind {pid!r}")
        storage = self.known.setdefault(str(key), _Storage(str(key), kind.dtype, int(count)))
        if (storage.dtype, storage.count) != (kind.dtype, count):
            raise ValueError(f"storage {key!r} is described in two ways")
        return storage


def _storages_of(tensors: dict[str, _Tensor]) -> list[_Storage]:
    found = {t.storage.key: t.storage for t in tensors.values() if t.storage is not None}
    return list(found.values())


def read_torch_file(
    path: str | os.PathLike[str], wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, np.ndarray]:
    """Reads the tensors of a PyTorch state dict.

    Args:
      path: a file written by `torch.save(state_dict, path)`, in either container.
      wanted: which tensors to read; the numbers of the others are not touched.

    Returns:
      name -> contiguous NumPy array of the stored shape and dtype.

    Raises:
      RefusedPickleError: when the file needs more than tensors and dicts of tensors; nothing that
        a file names is ever imported or called.
      ValueError: when the file is missing, is no PyTorch file, or is cut off.
    """
    if not Path(path).is_file():
        raise ValueError(f"no file {os.fspath(path)}")
    with open(path, "rb") as file:
        start = file.read(len(LEGACY_MAGIC))
        file.seek(0)
        try:
            if start.startswith(ZIP_MAGIC):
                return _read_zip(file, path, wanted)
            if start == LEGACY_MAGIC:
                return _read_legacy(file, path, wanted)
        except _DAMAGES as error:
            raise ValueError(f"{os.fspath(path)}: damaged or cut off: {error}") from error
    raise ValueError(f"{os.fspath(path)}: not a file of torch.save (neither zip nor pickles)")


def _wanted_tensors(
    tree: Any, path: str | os.PathLike[str], wanted: Callable[[str], bool]
) -> dict[str, _Tensor]:
    if not isinstance(tree, dict):
        raise ValueError(f"{os.fspath(path)}: holds a {type(tree).__name__}, not a state dict")
    tree = next((tree[name] for name in _GROUPS if isinstance(tree.get(name), dict)), tree)
    return {
        name: value
        for name, value in tree.items()
        if isinstance(name, str)
        and isinstance(value, _Tensor)
        and value.storage is not None
        and wanted(name)
    }


def _read_zip(
    file: BinaryIO, path: str | os.PathLike[str], wanted: Callable[[str], bool]
) -> dict[str, np.ndarray]:
    table = _StorageTable()
    with zipfile.ZipFile(file) as archive:
        names = [n for n in archive.namelist() if n.split("/")[1:] == ["data.pkl"]]
        if len(names) != 1:
            raise ValueError(f"{os.fspath(path)}: a zip archive, but not of torch.save")
        root = names[0].removesuffix("data.pkl")
        if root + "byteorder" in archive.namelist():
            order = archive.read(root + "byteorder")
            if order != b"little":
                raise ValueError(f"{os.fspath(path)}: byte order {order!r}; accepted: little")
        pickled = io.BytesIO(archive.read(names[0]))
        tensors = _wanted_tensors(load_pickle(pickled, path, _NAMES, table.find), path, wanted)
        numbers = {
            storage.key: _zip_storage(archive, f"{root}data/{storage.key}", storage, path)
            for storage in _storages_of(tensors)
        }
    return {name: tensor.view(numbers) for name, tensor in tensors.items()}


def _zip_storage(
    archive: zipfile.ZipFile, name: str, storage: _Storage, path: str | os.PathLike[str]
) -> np.ndarray:
    size = storage.count * storage.dtype.itemsize
    if name not in archive.namelist() or archive.getinfo(name).file_size != size:
        raise ValueError(f"{os.fspath(path)}: {name} is not a storage of {size} bytes")
    return np.frombuffer(archive.read(name), storage.dtype)


def _read_legacy(
    file: BinaryIO, path: str | os.PathLike[str], wanted: Callable[[str], bool]
) -> dict[str, np.ndarray]:
    file.seek(len(LEGACY_MAGIC))
    protocol = load_pickle(file, path, {})
    system = load_pickle(file, path, {})
    if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
        raise ValueError(f"{os.fspath(path)}: torch.save protocol {protocol!r}; accepted: 1001")
    if system.get("little_endian") is not True:
        raise ValueError(f"{os.fspath(path)}: byte order big; accepted: little")
    table = _StorageTable()
    tensors = _wanted_tensors(load_pickle(file, path, _NAMES, table.find), path, wanted)
    needed = {storage.key for storage in _storages_of(tensors)}
    numbers = {}
    # The storages follow one another without an index: the unwanted ones are stepped over.
    for key in load_pickle(file, path, {}):
        storage = table.known.get(str(key))
        header = file.read(8)
        if storage is None or header != struct.pack("<q", storage.count):
            raise ValueError(f"{os.fspath(path)}: cut off or damaged at storage {key!r}")
        size = storage.count * storage.dtype.itemsize
        if storage.key not in needed:
            file.seek(size, os.SEEK_CUR)
            continue
        data = file.read(size)
        if len(data) != size:
            raise ValueError(f"{os.fspath(path)}: cut off within storage {key!r}")
        numbers[storage.key] = np.frombuffer(data, storage.dtype)
    if needed - numbers.keys():
        raise ValueError(f"{os.fspath(path)}: storage {min(needed - numbers.keys())!r} is missing")
    return {name: tensor.view(numbers) for name, tensor in tensors.items()}
