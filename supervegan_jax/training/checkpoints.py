"""Checkpoints: atomic, checksummed, verified when read; the only file that uses orbax."""

import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from orbax.checkpoint import v1 as ocp
from orbax.checkpoint.utils import TMP_DIR_SUFFIX

Flat = dict[str, np.ndarray]


class CheckpointError(ValueError):
    """A checkpoint that cannot be written, is damaged or belongs to another model."""


def flatten(tree: Any) -> Flat:
    """A pytree as {path: array}, on the host."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def unflatten(flat: Flat, like: Any) -> Any:
    """Puts arrays back into the structure of `like` (arrays or shapes).

    Raises:
      CheckpointError: names or shapes differ; the first difference is named.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    expected = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths
    }
    for name in sorted(set(expected) ^ set(flat)):
        where = "lacks" if name in expected else "has an unexpected"
        raise CheckpointError(f"it is of another model: it {where} {name!r}")
    for name, leaf in expected.items():
        if tuple(flat[name].shape) != tuple(leaf.shape):
            raise CheckpointError(
                f"it is of another model: {name!r} has shape {tuple(flat[name].shape)}, "
                f"this model's has {tuple(leaf.shape)}"
            )
    return jax.tree_util.tree_unflatten(structure, [flat[name] for name in expected])


def _checksums(flat: Flat) -> dict[str, int]:
    return {name: zlib.crc32(np.ascontiguousarray(x).tobytes()) for name, x in flat.items()}


class Checkpoints:
    """The checkpoints of one working directory, `<directory>/<step>`.

    orbax writes beside and renames, so a step either is there whole or is not there.
    """

    def __init__(self, directory: Path, keep: int = 2, *, read_only: bool = False):
        """Opens the directory, clearing what an interrupted save left.

        Args:
          directory: made if missing.
          keep: how many of the newest checkpoints stay.
          read_only: nothing is cleared, so that a run that is going on is left in peace.
        """
        self.directory = Path(directory).absolute()
        self._unreadable: set[int] = set()
        if not read_only and jax.process_index() == 0:
            # orbax would do it in a thread, which fails if the program ends before it.
            for left in self.directory.glob(f"*{TMP_DIR_SUFFIX}*"):
                shutil.rmtree(left)
        with _quiet_orbax():
            self._checkpointer = ocp.training.Checkpointer(
                self.directory,
                preservation_policy=ocp.training.preservation_policies.LatestN(keep),
                cleanup_tmp_directories=False,
            )

    def steps(self) -> list[int]:
        """The saved steps, ascending."""
        with _quiet_orbax():
            return sorted(checkpoint.step for checkpoint in self._checkpointer.checkpoints)

    def save(self, state: Any, step: int, metadata: dict[str, Any]) -> None:
        """Writes `state` under `step`, with `metadata` (JSON values) beside it.

        Raises:
          CheckpointError: it could not be written; earlier checkpoints are untouched.
        """
        damaged = step in self._unreadable
        if step in self.steps() and not damaged:
            return
        flat = flatten(state)
        try:
            self._checkpointer.save(
                step,
                flat,
                force=True,
                overwrite=damaged,
                custom_metadata={**metadata, "crc32": _checksums(flat)},
            )
            self._unreadable.discard(step)
        except Exception as error:  # tensorstore reports a full disk in several types
            kept = self.steps()
            last = f"the last good one is step {kept[-1]}" if kept else "there is none yet"
            raise CheckpointError(
                f"the checkpoint of step {step} could not be saved in {self.directory} "
                f"({_first_line(error)}); {last}"
            ) from error

    def restore(self, like: Any, step: int | None = None, group: str = "") -> tuple[Any, int]:
        """Reads the newest checkpoint, or the one of `step`, into the structure of `like`.

        A damaged checkpoint is named on stderr and the one before it is taken; `save` writes it
        anew when training has come there again.

        Args:
          like: arrays or shapes.
          step: which checkpoint; None is the newest.
          group: the part of the state that `like` is, such as "ema"; "" is all of it.

        Returns:
          The state as NumPy arrays, and its step.

        Raises:
          CheckpointError: no checkpoint can be read, or it is of another model.
        """
        saved = self.steps()
        candidates = saved[::-1] if step is None else [step]
        if not saved:
            raise CheckpointError(f"no checkpoint in {self.directory}")
        if candidates[0] not in saved:
            there = ", ".join(map(str, saved))
            raise CheckpointError(f"no checkpoint of step {step} in {self.directory}; of {there}")
        for candidate in candidates:
            try:
                flat = self._read(candidate)
            except CheckpointError as error:
                print(f"warning: {error}", file=sys.stderr)
                self._unreadable.add(candidate)
                continue
            if group:
                prefix = f"{group}/"
                flat = {k.removeprefix(prefix): x for k, x in flat.items() if k.startswith(prefix)}
            try:
                return unflatten(flat, like), candidate
            except CheckpointError as error:
                raise CheckpointError(
                    f"checkpoint {self.directory / str(candidate)}: {error}"
                ) from error
        raise CheckpointError(f"every checkpoint in {self.directory} is damaged")

    def metadata(self, step: int) -> dict[str, Any]:
        """What was saved beside the state of `step`."""
        return dict(self._checkpointer.metadata(step).custom_metadata)

    def _read(self, step: int) -> Flat:
        """Reads one checkpoint and holds every array against its checksum."""
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        try:
            with _quiet_orbax():
                metadata = self._checkpointer.metadata(step)
                if metadata.metadata is None:
                    raise ValueError("the description of its arrays is damaged")
                like = {
                    name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device)
                    for name, leaf in metadata.metadata.items()
                }
                loaded = self._checkpointer.load(step, like)
            flat = {name: np.asarray(leaf) for name, leaf in loaded.items()}
            expected = metadata.custom_metadata["crc32"]
        except Exception as error:  # orbax, tensorstore and json each have their own
            raise CheckpointError(
                f"checkpoint {self.directory / str(step)} cannot be read ({_first_line(error)})"
            ) from error
        found = _checksums(flat)
        for name in expected:
            if found.get(name) != expected[name]:
                raise CheckpointError(
                    f"checkpoint {self.directory / str(step)} is damaged: "
                    f"the checksum of {name!r} does not match"
                )
        return flat

    def close(self) -> None:
        """Waits for what is being written."""
        self._checkpointer.close()


@contextmanager
def _quiet_orbax() -> Iterator[None]:
    """Keeps from stderr what orbax logs beside its exceptions: all of a damaged file's text."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
