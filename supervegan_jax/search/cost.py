"""What a network costs: parameters, multiply-accumulates, and measured time."""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from supervegan_jax.benchmarking.counts import (
    OUTPUT_HEIGHT,
    OUTPUT_WIDTH,
    count_parameters,
    frame_macs,
)
from supervegan_jax.benchmarking.forward import Forward, prepare_forward
from supervegan_jax.benchmarking.networks import random_network
from supervegan_jax.benchmarking.timing import in_turns
from supervegan_jax.models import build_generator
from supervegan_jax.training.workdir import locked


def count(model: Mapping[str, Any]) -> tuple[int, int]:
    """MACs of a frame of 1280x720, and parameters, of a network's configuration."""
    generator = build_generator(**model)
    return frame_macs(generator), count_parameters(generator)


@dataclasses.dataclass
class Stopwatch:
    """Times networks beside a reference, as `enhance` runs them, at 1280x720.

    The two take turns, call by call, so that what slows the machine in that minute slows both;
    the ratio of their shortest calls is what is measured. One worker measures at a time.

    Attributes:
      reference: the configuration of the network that others are compared with.
      seconds: of each measurement, for either network.
      lock: a folder that workers on one machine share.
    """

    reference: Mapping[str, Any]
    seconds: float
    lock: Path

    @cached_property
    def _reference(self) -> Forward:
        return _prepare(self.reference)

    def reference_ms(self) -> float:
        """What a frame takes the reference, alone."""
        with locked(self.lock, wait=True):
            (seconds,) = in_turns([self._reference.run], self.seconds, best=True)
            return 1e3 * seconds / self._reference.frames

    def ratio(self, model: Mapping[str, Any]) -> float:
        """What a frame takes a network, as a multiple of the reference's."""
        with locked(self.lock, wait=True):
            timed = _prepare(model), self._reference
            times = in_turns([forward.run for forward in timed], self.seconds, best=True)
            mine, its = (t / forward.frames for t, forward in zip(times, timed, strict=True))
            return mine / its


def _prepare(model: Mapping[str, Any]) -> Forward:
    scale = model["scale"]
    size = OUTPUT_HEIGHT // scale, OUTPUT_WIDTH // scale
    return prepare_forward(random_network("candidate", model), "b", size, None, None)
