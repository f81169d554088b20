"""Timing that neither compiling nor a busy moment spoils."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax


def seconds_of(function: Callable[[], Any], seconds: float, *, best: bool = False) -> float:
    """How long a call takes: the median over calls that take `seconds` in all, one at least.

    A first call is not counted. What a call returns is waited for.

    Args:
      function: called again and again.
      seconds: when to stop.
      best: the shortest instead of the median, for what a machine can do.
    """
    return in_turns([function], seconds, best=best)[0]


def in_turns(
    functions: Sequence[Callable[[], Any]], seconds: float, *, best: bool = False
) -> list[float]:
    """`seconds_of` of several functions that take turns, so that a slow minute is slow for all."""
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        jax.block_until_ready(function())
    begun = time.perf_counter()
    while not times[-1] or time.perf_counter() - begun < seconds * len(functions):
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(function())
            taken.append(time.perf_counter() - start)
    return [min(taken) if best else statistics.median(taken) for taken in times]
