"""Pareto's front: what nothing else beats on every axis."""

from collections.abc import Sequence


def pareto_front(values: Sequence[tuple[float, ...]]) -> list[bool]:
    """Whether no other point is at least as large on every axis and larger on one.

    Args:
      values: points with as many axes each; larger is better. Equal points stay together.
    """
    return [not any(dominates(other, mine) for other in values) for mine in values]


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether `one` is at least as large as `other` on every axis and larger on one."""
    return one != other and all(x >= y for x, y in zip(one, other, strict=True))
