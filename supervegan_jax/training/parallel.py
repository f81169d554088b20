"""Running one step on every device: pmap (the default) or jit over a mesh.

The results are equal unless examples of a batch depend on each other (batch normalisation, means
over all logits): under pmap such a step sees its device's part alone.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from supervegan_jax.ops.counting import count_macs

AXIS = "batch"
STRATEGIES = ("pmap", "jit")


def share_cores(batch_size: int, accumulate: int = 1) -> int:
    """Makes several devices of a CPU, so that its cores share each batch.

    XLA computes the small convolutions of a training step on one core; a device a core takes a
    step 1.3 to 1.7 times as fast (docs/performance.md). It has to be done before JAX looks for
    devices, and is left undone where `XLA_FLAGS` names their number. GPUs and TPUs stay as they
    are.

    Args:
      batch_size: of a step, split evenly.
      accumulate: parts of a step, each split evenly.

    Returns:
      The CPU's devices: as many as it has cores, or the most below that split the batch.
    """
    cores = len(os.sched_getaffinity(0))
    count = max(n for n in range(1, cores + 1) if n == 1 or batch_size % (n * accumulate) == 0)
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", count)
    return count


class Parallel:
    """Places the state and the batches on the devices and compiles steps for them.

    The state is not stacked: under both strategies it looks the same from outside, so checkpoints
    are interchangeable.

    Attributes:
      strategy: "pmap" or "jit".
      devices: the devices a batch is split over.
    """

    def __init__(self, strategy: str, devices: list[Any] | None = None):
        """Raises ValueError if the strategy is unknown."""
        if strategy not in STRATEGIES:
            raise ValueError(f"parallel {strategy!r}; accepted are {', '.join(STRATEGIES)}")
        self.strategy = strategy
        self.devices = devices or jax.local_devices()
        self._mesh = Mesh(np.asarray(self.devices), (AXIS,))
        self._replicated = NamedSharding(self._mesh, PartitionSpec())
        self._split = NamedSharding(self._mesh, PartitionSpec(AXIS))

    def check_batch_size(self, batch_size: int, accumulate: int) -> None:
        """Raises ValueError if a batch cannot be split evenly."""
        parts = len(self.devices) * accumulate
        if batch_size % parts:
            raise ValueError(
                f"batch_size {batch_size} is not a multiple of {parts} "
                f"({len(self.devices)} devices x {accumulate} accumulated parts)"
            )

    def place_state(self, state: Any) -> Any:
        """Copies a pytree to every device.

        The whole state is placed at once, also its step: a state that arrives half on the mesh
        would compile every step twice.
        """
        return jax.device_put(state, self._replicated)

    def place_batch(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """Splits a batch of NumPy arrays [b, ...] over the devices."""
        if self.strategy == "jit":
            return jax.device_put(batch, self._split)
        count = len(self.devices)
        return {
            name: value.reshape(count, value.shape[0] // count, *value.shape[1:])
            for name, value in batch.items()
        }

    def compile(
        self, step: Callable[..., tuple[Any, Any]], state: Any, batch: Any, frozen: Any
    ) -> tuple[Any, int]:
        """Compiles `step(state, batch, frozen, axis_name=...)` ahead of the loop.

        Args:
          step: pure; its state argument is donated.
          state, batch, frozen: placed arguments of the shapes the loop will use.

        Returns:
          The function, and the multiply-accumulates of a step of the whole batch.
        """
        if self.strategy == "jit":
            fn = jax.jit(
                partial(step, axis_name=None),
                donate_argnums=0,
                in_shardings=(self._replicated, self._split, self._replicated),
                out_shardings=self._replicated,
            )
        else:
            fn = jax.pmap(
                partial(step, axis_name=AXIS),
                axis_name=AXIS,
                in_axes=(None, 0, None),
                out_axes=(None, None),
                donate_argnums=0,
                devices=self.devices,
            )
        # Counted by ourselves: XLA does not know what a GPU's libraries compute.
        macs = count_macs(fn, state, batch, frozen)
        if self.strategy == "pmap":  # one device's part
            macs *= len(self.devices)
        return fn.lower(state, batch, frozen).compile(), macs
