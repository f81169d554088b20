"""A PyTorch state dict, taken apart tensor by tensor and checked to be used up."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np


class StateDict:
    """The tensors of a state dict that no layer has taken yet.

    Every method raises ValueError, naming the tensor, where one is missing, of another shape than
    the layer's or not finite.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self._tensors = tensors
        self._left = set(tensors)

    def __contains__(self, name: str) -> bool:
        """Whether the file has this tensor, taken or not."""
        return name in self._tensors

    def count(self, prefix: str) -> int:
        """How many of `prefix`0., `prefix`1., ... there are, from the largest number."""
        numbers = [re.match(rf"{re.escape(prefix)}(\d+)\.", name) for name in self._tensors]
        return max((int(match[1]) for match in numbers if match), default=-1) + 1

    def sides(self, name: str, rank: int = 4) -> tuple[int, ...]:
        """A tensor's shape, `rank` sides."""
        if name not in self._tensors:
            raise ValueError(f"tensor {name} is missing")
        shape = self._tensors[name].shape
        if len(shape) != rank:
            raise ValueError(f"tensor {name} has shape {shape}; accepted: {rank} sides")
        return shape

    def take(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A tensor as contiguous float32."""
        if self.sides(name, len(shape)) != shape:
            raise ValueError(
                f"tensor {name} has shape {self._tensors[name].shape}; accepted: {shape}"
            )
        self._left.discard(name)
        array = np.ascontiguousarray(self._tensors[name], np.float32)
        if not np.isfinite(array).all():
            raise ValueError(f"tensor {name} holds non-finite numbers")
        return array

    def conv(
        self, name: str, inputs: int, features: int, size: int = 3, bias: bool = True
    ) -> dict[str, Any]:
        """A convolution's weight and bias: {"kernel": [size, size, in, out], "bias": [out]}."""
        kernel = self.take(f"{name}.weight", (features, inputs, size, size))
        params = {"kernel": np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))}
        if bias:
            params["bias"] = self.take(f"{name}.bias", (features,))
        return params

    def skip(self, name: str) -> None:
        """Leaves out a tensor that no layer of ours has."""
        self._left.discard(name)

    def finish(self) -> None:
        """Raises ValueError if a tensor is left over."""
        if self._left:
            raise ValueError(
                f"tensor {min(self._left)} is left over ({len(self._left)} in all): it belongs to "
                "no layer of this network"
            )


def from_pixel_shuffle(conv: dict[str, Any], scale: int) -> dict[str, Any]:
    """Reorders the features of a convolution that a PixelShuffle follows.

    PyTorch places channel (c, row in block, column in block), `ops.space.depth_to_space`
    (row in block, column in block, c).
    """
    return {
        kind: np.ascontiguousarray(
            np.moveaxis(array.reshape(*array.shape[:-1], -1, scale, scale), -3, -1)
        ).reshape(array.shape)
        for kind, array in conv.items()
    }


def shuffled_scale(tensors: StateDict, name: str, scales: tuple[int, ...]) -> int:
    """The scale of a last convolution with 3 features for each sub-pixel."""
    features = tensors.sides(f"{name}.weight")[0]
    for scale in scales:
        if features == 3 * scale**2:
            return scale
    accepted = ", ".join(str(3 * scale**2) for scale in scales)
    raise ValueError(f"tensor {name}.weight has {features} features; accepted: {accepted}")
