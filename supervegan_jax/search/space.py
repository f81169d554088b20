"""What is searched: the free fields of a SUPERVEGAN and the values each may take.

A point is {field: value}. Fields are named as those of `models.supervegan.SuperVegan`, but for
`temporal_width`: the first of `temporal_widths`, the second being `width`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

Point = dict[str, int]


@dataclasses.dataclass(frozen=True)
class Field:
    """One hyper-parameter.

    Attributes:
      name: of the field.
      values: it may take, ascending; a mutation steps along them.
    """

    name: str
    values: tuple[int, ...]


_WIDTHS: Final = (8, 12, 16, 20, 24, 32, 40, 48, 64)
FIELDS: Final[tuple[Field, ...]] = (
    Field("stem_width", (8, 12, 16, 24, 32)),
    Field("input_taps", (1, 3)),
    Field("input_width", (8, 12, 16, 24, 32)),
    Field("temporal_width", _WIDTHS),
    Field("width", _WIDTHS),
    Field("trunk_blocks", (1, 2, 3, 4, 5, 6)),
    Field("filter_blocks", (0, 1, 2)),
    Field("filter_kernel", (1, 3)),
    Field("residual_blocks", (0, 1, 2)),
    Field("detail_width", _WIDTHS),
    Field("detail_grid", (1, 2)),
    Field("outer_blocks", (0, 1, 2)),
    Field("inner_width", (16, 24, 32, 48, 64, 80, 96, 128)),
    Field("inner_blocks", (0, 1, 2, 3, 4)),
)

_SMALL_4: Final[Point] = {
    "input_taps": 1,
    "input_width": 16,
    "temporal_width": 24,
    "width": 32,
    "trunk_blocks": 3,
    "filter_blocks": 0,
    "filter_kernel": 1,
    "residual_blocks": 0,
    "detail_width": 32,
    "detail_grid": 1,
    "outer_blocks": 0,
    "inner_width": 64,
    "inner_blocks": 2,
}
_SMALL_2: Final[Point] = {
    **_SMALL_4,
    "stem_width": 24,
    "input_width": 24,
    "temporal_width": 32,
    "width": 48,
    "trunk_blocks": 2,
    "detail_width": 48,
    "inner_width": 96,
}
# scale -> where a search begins: the shipped network, and ways of spending its time otherwise.
SEEDS: Final[dict[int, tuple[Point, ...]]] = {
    4: (
        _SMALL_4,
        {**_SMALL_4, "trunk_blocks": 2, "filter_kernel": 3},
        {**_SMALL_4, "width": 48, "trunk_blocks": 1},
        {**_SMALL_4, "width": 24, "trunk_blocks": 5, "filter_blocks": 1},
        {**_SMALL_4, "width": 24, "detail_width": 16, "detail_grid": 2, "inner_width": 32},
        {**_SMALL_4, "width": 16, "trunk_blocks": 2, "detail_width": 24, "inner_width": 48},
    ),
    2: (
        _SMALL_2,
        {**_SMALL_2, "trunk_blocks": 1, "filter_kernel": 3},
        {**_SMALL_2, "width": 64, "trunk_blocks": 1},
        {**_SMALL_2, "width": 32, "trunk_blocks": 4, "filter_blocks": 1},
        {**_SMALL_2, "width": 32, "detail_width": 16, "detail_grid": 2, "inner_width": 32},
        {**_SMALL_2, "width": 24, "detail_width": 32, "inner_width": 64},
    ),
}


def point_of(model: Mapping[str, Any]) -> Point:
    """The searched fields of a network's configuration.

    Raises:
      ValueError: it is no SUPERVEGAN.
    """
    if model["name"] != "supervegan":
        raise ValueError(f"model.name {model['name']!r}; the search knows supervegan alone")
    found = {**model, "temporal_width": model["temporal_widths"][0]}
    # 0 stands for the detail's width, of which nothing is left once both are searched.
    found["inner_width"] = model["inner_width"] or model["detail_width"]
    names = [f.name for f in FIELDS if model["scale"] == 2 or f.name != "stem_width"]
    return {name: int(found[name]) for name in names}


def model_of(model: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """A network's configuration with the searched fields of `point`."""
    fields = {name: value for name, value in point.items() if name != "temporal_width"}
    return {**model, **fields, "temporal_widths": (point["temporal_width"], point["width"])}


def space_around(model: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields that exist at the network's scale, its own values among theirs."""
    base = point_of(model)
    return tuple(
        Field(field.name, tuple(sorted({*field.values, base[field.name]})))
        for field in FIELDS
        if field.name in base
    )


def seeds_around(model: Mapping[str, Any]) -> list[Point]:
    """Where the search begins: the network itself, and those known for its scale."""
    seeds = [point_of(model)]
    for seed in SEEDS[model["scale"]]:
        if seed not in seeds:
            seeds.append(seed)
    return seeds


def draw(space: tuple[Field, ...], rng: np.random.Generator) -> Point:
    """Any point, all equally likely."""
    return {field.name: int(rng.choice(field.values)) for field in space}


def mutate(space: tuple[Field, ...], point: Point, rng: np.random.Generator) -> Point:
    """Steps one field or a few, two in the mean, up or down by a value or a few.

    Args:
      space: of at least one field with two values.
      point: has a value of every field.
      rng: decides which, how far and where to.

    Returns:
      Another point of the space.
    """
    free = [field for field in space if len(field.values) > 1]
    count = 1 + rng.binomial(len(free) - 1, 1 / len(free))
    child = dict(point)
    for index in rng.choice(len(free), count, replace=False):
        field = free[index]
        at, last = field.values.index(point[field.name]), len(field.values) - 1
        step = int(rng.geometric(0.7)) * int(rng.choice((-1, 1)))
        there = min(max(at + step, 0), last)
        if there == at:  # against an end
            there = min(max(at - step, 0), last)
        child[field.name] = field.values[there]
    return child
