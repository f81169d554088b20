"""What a function computes and moves, counted without computing anything."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax


def count_macs(function: Callable[..., Any], *arguments: Any) -> int:
    """Multiply-accumulates of the convolutions and matrix products of `function(*arguments)`.

    Products with the zeros that pad an image count, as is the custom; those with zeros between its
    values, and what is added, multiplied or activated element by element, do not.

    Args:
      function: traced, not run.
      *arguments: arrays or their shapes.
    """
    return _total(_macs_of, jax.make_jaxpr(function)(*arguments).jaxpr)


def count_bytes(function: Callable[..., Any], *arguments: Any) -> int:
    """Bytes that the convolutions and matrix products of `function(*arguments)` read and write.

    What lies between them is taken to be free: a compiler fuses it.
    """
    return _total(_bytes_of, jax.make_jaxpr(function)(*arguments).jaxpr)


def _total(measure: Callable[[Any], int], jaxpr: Any) -> int:
    """The sum over the convolutions and matrix products, those of loops and calls included."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("conv_general_dilated", "dot_general"):
            total += measure(equation)
        else:
            inner = sum(_total(measure, j) for j in _inner_jaxprs(equation.params))
            repeated = equation.params["length"] if equation.primitive.name == "scan" else 1
            total += inner * repeated
    return total


def _inner_jaxprs(parameters: dict[str, Any]) -> Iterator[Any]:
    """What an equation calls."""
    for value in parameters.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            jaxpr = getattr(item, "jaxpr", item)  # a closed one holds it
            if hasattr(jaxpr, "eqns"):
                yield jaxpr


def _macs_of(equation: Any) -> int:
    left, right = (variable.aval.shape for variable in equation.invars[:2])
    outputs, numbers = math.prod(equation.outvars[0].aval.shape), equation.params
    if equation.primitive.name == "conv_general_dilated":
        features = right[numbers["dimension_numbers"].rhs_spec[0]]
        # Between the dilated input's values lie zeros: a strided convolution's gradient has as many
        # products as the convolution.
        return outputs * math.prod(right) // features // math.prod(numbers["lhs_dilation"])
    (contracted, _), _ = numbers["dimension_numbers"]
    return outputs * math.prod(left[axis] for axis in contracted)


def _bytes_of(equation: Any) -> int:
    arrays = [variable.aval for variable in (*equation.invars, *equation.outvars)]
    return sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays)
