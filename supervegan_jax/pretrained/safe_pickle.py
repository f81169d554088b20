"""Pickles of plain NumPy arrays, read without running anything the file asks for."""

import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


class RefusedPickleError(ValueError):
    """A pickle asks for something outside the short list of what may be rebuilt."""


class StandIn:
    """What a pickle gets instead of what it names: it can do nothing but hold data.

    A pickle may try to set the state of everything it can name, so a stand-in accepts a state only
    where its format has one.
    """

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise RefusedPickleError(f"the pickle sets the state of a {type(self).__name__}")


class _StrictUnpickler(pickle.Unpickler):
    """An unpickler that knows no name but those in a table."""

    def __init__(
        self,
        file: BinaryIO,
        admitted: Mapping[tuple[str, str], Any],
        persistent_load: Callable[[Any], Any] | None,
    ) -> None:
        super().__init__(file, encoding="utf-8")
        self._admitted = admitted
        self._persistent_load = persistent_load

    def find_class(self, module: str, name: str) -> Any:
        """Returns the stand-in for a global, never the global itself."""
        if (module, name) not in self._admitted:
            raise RefusedPickleError(
                f"the pickle asks for {module}.{name}, which is refused; accepted: plain arrays "
                "and dicts of arrays"
            )
        return self._admitted[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Resolves a reference to data outside the pickle."""
        if self._persistent_load is None:
            raise RefusedPickleError(f"the pickle refers to outside data {pid!r}")
        return self._persistent_load(pid)


def load_pickle(
    file: BinaryIO,
    path: str | os.PathLike[str],
    admitted: Mapping[tuple[str, str], Any],
    persistent_load: Callable[[Any], Any] | None = None,
) -> Any:
    """Reads one pickle in which only the names in a table may be used.

    Args:
      file: where the pickle begins; it is left just behind the pickle.
      path: what the errors call the file.
      admitted: (module, name) -> the stand-in that the pickle gets for it. The stand-ins, not
        what the pickle names, are what gets called.
      persistent_load: resolves the pickle's references to data outside it, if it may have any.

    Raises:
      RefusedPickleError: naming the first global that is not in `admitted`.
      ValueError: when the bytes are no pickle or end early.
    """
    try:
        return _StrictUnpickler(file, admitted, persistent_load).load()
    except RefusedPickleError as error:
        raise RefusedPickleError(f"{os.fspath(path)}: {error}") from error
    except (
        Exception
    ) as error:  # a malformed pickle may raise any exception (Python's documentation)
        detail = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{os.fspath(path)}: not a readable pickle, or cut off: {detail}"
        ) from error


class _ArrayType(StandIn):
    """Stands for `numpy.ndarray`, which array pickles only name as the type to rebuild."""

    __slots__ = ()


class _Dtype(StandIn):
    """Stands for `numpy.dtype`: its letter code and byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        if code not in _DTYPES:
            raise RefusedPickleError(
                f"the pickle holds an array of {code!r}; accepted: {', '.join(_DTYPES)}"
            )
        self.code = code
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "|"):
            raise ValueError(f"byte order {order!r} of an array; accepted: '<', '>', '|'")
        self.order = order


class _Array(StandIn):
    """Stands for `numpy.core.multiarray._reconstruct`: an array's shape, dtype and bytes."""

    __slots__ = ("array",)

    def __init__(self, subtype: Any, shape: Any, code: Any) -> None:
        if subtype is not _ArrayType:
            raise RefusedPickleError(f"the pickle rebuilds an array as {subtype!r}")
        self.array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
            raise RefusedPickleError("the pickle holds an array that is not plain numbers")
        flat = np.frombuffer(data, np.dtype(dtype.order + dtype.code))
        self.array = flat.reshape(shape, order="F" if is_fortran else "C")


_NUMPY_NAMES: dict[tuple[str, str], type[StandIn]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _ArrayType,
    ("numpy", "dtype"): _Dtype,
}


def read_pickled_arrays(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a pickle of nested dicts of numeric NumPy arrays; nothing in the file is executed.

    Returns:
      The nested dict, its leaves read-only NumPy arrays.

    Raises:
      RefusedPickleError: when the pickle names anything but NumPy's array reconstruction.
      ValueError: when the file is missing, is no such pickle, or ends early.
    """
    if not Path(path).is_file():
        raise ValueError(f"no file {os.fspath(path)}")
    with open(path, "rb") as file:
        tree = load_pickle(file, path, _NUMPY_NAMES)
    if not isinstance(tree, dict):
        raise ValueError(f"{os.fspath(path)}: holds a {type(tree).__name__}, not a dict of arrays")
    try:
        return _plain_tree(tree, path)
    except RecursionError as error:
        raise ValueError(f"{os.fspath(path)}: a dict of arrays that contains itself") from error


def _plain_tree(tree: dict[Any, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(key, str) and isinstance(value, dict):
            plain[key] = _plain_tree(value, path)
        elif isinstance(key, str) and isinstance(value, _Array) and value.array is not None:
            plain[key] = value.array
        else:
            raise ValueError(
                f"{os.fspath(path)}: entry {key!r} is a {type(value).__name__}, "
                "not an array or a dict of arrays"
            )
    return plain
