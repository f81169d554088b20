"""How fast a source of batches is."""

import time
from collections.abc import Iterator

import numpy as np


def patches_per_second(iterator: Iterator[dict[str, np.ndarray]], seconds: float) -> float:
    """Draws batches for `seconds` and counts their examples.

    The first batch is drawn before the clock starts: it pays for opening files and filling buffers.

    Args:
      iterator: batches whose arrays start with the batch axis.
      seconds: at least this long.

    Raises:
      ValueError: the iterator ends before the time is over.
    """
    if next(iterator, None) is None:
        raise ValueError("the source of batches is empty")
    patches = 0
    start = time.perf_counter()
    elapsed = 0.0
    while elapsed < seconds:
        batch = next(iterator, None)
        if batch is None:
            raise ValueError(f"the source of batches ended after {elapsed:.1f} s of {seconds:.1f}")
        patches += len(batch["lr"])
        elapsed = time.perf_counter() - start
    return patches / elapsed
