"""What the machine can do at most: a large matrix product and a large copy."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from supervegan_jax.benchmarking.timing import seconds_of

_SIDES = {"cpu": 2048, "gpu": 8192, "tpu": 8192}
_COPIED_BYTES = 1 << 28


@dataclasses.dataclass(frozen=True)
class Limits:
    """Measured, per second.

    Attributes:
      macs: multiply-accumulates of a square matrix product.
      bytes: read and written by a copy that adds 1.
    """

    macs: float
    bytes: float

    def least_seconds(self, macs: float, moved: float) -> float:
        """The time that neither limit allows to undercut (Williams et al. 2009, roofline)."""
        return max(macs / self.macs, moved / self.bytes)


def measure_limits(dtype: Any, seconds: float) -> Limits:
    """Measures both on the first device.

    Args:
      dtype: of the matrices.
      seconds: for each.
    """
    side = _SIDES.get(jax.local_devices()[0].platform, 4096)
    a = jax.random.normal(jax.random.key(0), (side, side), jnp.float32).astype(dtype)
    x = jnp.zeros(_COPIED_BYTES // 4, jnp.float32)
    product, copy = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1)
    multiplied = seconds_of(lambda: product(a, a), seconds, best=True)
    copied = seconds_of(lambda: copy(x), seconds, best=True)
    return Limits(side**3 / multiplied, 2 * _COPIED_BYTES / copied)
