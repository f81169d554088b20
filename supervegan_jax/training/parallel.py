"""Running one step on every device: pmap (the default) or jit over a mesh, with equal results."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "batch"
STRATEGIES = ("pmap", "jit")


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
    ) -> Any:
        """Compiles `step(state, batch, frozen, axis_name=...)` ahead of the loop.

        Args:
          step: pure; its state argument is donated.
          state, batch, frozen: placed arguments of the shapes the loop will use.

        Returns:
          The compiled function, with `cost_analysis()`.
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
        return fn.lower(state, batch, frozen).compile()
