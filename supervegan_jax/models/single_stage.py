"""SUPERVEGAN's doors for networks of one stage: they train, enhance and export like it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from supervegan_jax.ops.color import rgb_to_luma

# The parameter group of a network of one stage, as training phases name it.
GROUP = "network"
# What batch normalization measures and spectral normalization iterates, under any layer.
_STATISTICS = ("mean", "var", "u", "v")


class SingleStage(nn.Module):
    """Base of networks that make the enlarged picture in one go: [b, t, h, w, 3] -> [b, H, W, 3].

    A network gives `scale`, `frames` (t, odd: the centre is enhanced) and `__call__(x)`; one with
    batch normalization `normalised = True` and `__call__(x, train=False)`.
    """

    stages: ClassVar[tuple[str, ...]] = ("b",)
    least_side: ClassVar[int] = 1  # of an input, in pixels
    channels = 3  # of the images; a field where it can be chosen
    # What it reads for a frame: "window", the frames around it; "sequence", the frame and what it
    # made of those before; "peaks", the peak frame before, the frame and the peak frame after.
    reading: ClassVar[str] = "window"
    normalised: ClassVar[bool] = False
    refusal: ClassVar[str] = ""  # why it is no function of frames in a row

    def outputs(self, x: jax.Array, stage: str = "b", train: bool = False) -> dict[str, jax.Array]:
        """The images by name, for the losses.

        Args:
          x: what the network reads.
          stage: "b"; there is no other.
          train: normalise by the batch's own statistics, and measure them.

        Returns:
          "output", [b, scale * h, scale * w, 3].

        Raises:
          ValueError: another stage.
        """
        self._check_stage(stage)
        network: Any = self
        return {"output": network(x, train=train) if self.normalised else network(x)}

    def enhance(
        self,
        frames: jax.Array,
        stage: str = "b",
        strength: float = 1.0,
        one_by_one: bool = False,
    ) -> jax.Array:
        """Enhances frames in a row, as inference needs it.

        Args:
          frames: [b + t - 1, h, w, 3] float32 in [0, 1].
          stage: "b"; there is no other.
          strength: 1; there is no detail apart that could be weakened.
          one_by_one: takes each window apart, so that a CPU keeps its features in its caches.

        Returns:
          The b middle frames, [b, scale * h, scale * w, 3].

        Raises:
          ValueError: another stage or strength, or the network cannot.
        """
        if self.refusal:
            raise ValueError(self.refusal)
        self._check_stage(stage)
        if strength != 1:
            raise ValueError(
                f"strength {strength:g}: {type(self).__name__} has one stage, whose detail cannot "
                "be weakened; 1 is accepted"
            )
        network: Any = self
        size = network.frames
        windows = [frames[None, i : i + size] for i in range(frames.shape[0] - size + 1)]
        if one_by_one:
            return jnp.concatenate([network(window) for window in windows])
        return jnp.asarray(network(jnp.concatenate(windows)))

    def check_windows(self, x: jax.Array) -> None:
        """Raises `ValueError` unless x is [b, t, h, w, channels]."""
        network: Any = self
        frames, channels = network.frames, self.channels
        if x.ndim != 5 or x.shape[1] != frames or x.shape[-1] != channels:
            raise ValueError(f"input of shape {x.shape}; [b, {frames}, h, w, {channels}] is needed")

    def _check_stage(self, stage: str) -> None:
        if stage not in self.stages:
            raise ValueError(
                f"stage {stage!r}: {type(self).__name__} has one stage alone, {self.stages[0]!r}"
            )


def as_parameters(network: nn.Module, variables: Mapping[str, Any]) -> dict[str, Any]:
    """A network's variables as one tree, by the groups that training phases name.

    A network of one stage is one group; what its normalizations measure lies beside what they
    learn, so that everything that keeps, averages or exports parameters keeps it too.
    """
    joined = join_variables(variables)
    return {GROUP: joined} if isinstance(network, SingleStage) else joined


def as_variables(params: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `as_parameters`: what `apply` takes."""
    return split_variables(params.get(GROUP, params))


def with_statistics(params: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by group with the statistics ("batch_stats") that a training step has measured."""
    if GROUP in params:
        measured = {GROUP: measured}
    return _merge(params, measured)


def join_variables(variables: Mapping[str, Any]) -> dict[str, Any]:
    """A network's "params" and "batch_stats" as one tree."""
    return _merge(variables["params"], variables.get("batch_stats", {}))


def split_variables(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The reverse of `join_variables`."""
    learned, measured = _split(tree)
    return {"params": learned, "batch_stats": measured} if measured else {"params": learned}


def input_shape(network: nn.Module, height: int, width: int) -> tuple[int, ...]:
    """Of one window, [1, t, height, width, channels]; of a sequence its first frame."""
    reads: Any = network
    return (1, reads.frames, height, width, reads.channels)


def images_for(network: nn.Module, rgb: jax.Array) -> jax.Array:
    """What a network reads of RGB images [..., 3]: these, or their luma [..., 1]."""
    reads: Any = network
    return rgb if reads.channels == 3 else rgb_to_luma(rgb)


def _merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for name, value in other.items():
        inner = merged.get(name)
        merged[name] = _merge(inner, value) if isinstance(inner, Mapping) else value
    return merged


def _split(tree: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    learned: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            inner, statistics = _split(value)
            learned[name] = inner
            if statistics:
                measured[name] = statistics
        elif name in _STATISTICS:
            measured[name] = value
        else:
            learned[name] = value
    return learned, measured
