"""The network alone: frames on the device in, enlarged frames on the device out."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from supervegan_jax.benchmarking.timing import seconds_of
from supervegan_jax.enhancement.options import RunOptions, for_model, resolve
from supervegan_jax.enhancement.program import frames_function
from supervegan_jax.ops.counting import count_bytes, count_macs
from supervegan_jax.weights.model_file import LoadedModel


@dataclasses.dataclass(frozen=True)
class Forward:
    """A network ready to be timed.

    Attributes:
      run: computes `frames` frames.
      frames: enhanced together.
      macs, bytes: of one of them, as it is computed; the windows share what they can.
      compile_seconds: None for what is compiled elsewhere.
      peak_memory: bytes the program allocates, its parameters and images included; None as above.
    """

    run: Callable[[], Any]
    frames: int
    macs: int
    bytes: int
    compile_seconds: float | None
    peak_memory: int | None

    def seconds(self, seconds: float) -> float:
        """Measured for a frame."""
        return seconds_of(self.run, seconds) / self.frames


def prepare_forward(
    model: LoadedModel, stage: str, size: tuple[int, int], batch_size: int | None, dtype: str | None
) -> Forward:
    """Compiles a network as `enhance` runs it, on one device.

    Args:
      model: the network.
      stage: "a" or "b".
      size: height and width of the input.
      batch_size: frames enhanced together; None is what `enhance` takes.
      dtype: of features; None is the device's best.
    """
    device = jax.local_devices()[0]
    options = RunOptions(stage=stage, batch_size=batch_size, dtype=dtype, devices=(device,))
    options = resolve(for_model(options, model))
    frames = options.batch_size or 1
    rng = np.random.default_rng(0)
    read, generator = options.reading.read(0, frames), cast(Any, model.generator)
    shape = (read.stop - read.start, *size, generator.channels)
    images = jnp.asarray(rng.random(shape, np.float32))
    params = jax.device_put(model.params)
    state = options.reading.first_state(generator, *size)
    function = frames_function(model, options, options.dtype or "float32")
    if model.exported is not None and not model.exported.traceable:
        host = np.asarray(images)
        return Forward(lambda: function(params, host, state), frames, 0, 0, None, None)
    given = params, images, state
    macs, moved = (count(function, *given) // frames for count in (count_macs, count_bytes))
    begun = time.perf_counter()
    compiled = jax.jit(function).lower(*given).compile()
    taken = time.perf_counter() - begun
    memory: Any = compiled.memory_analysis()
    peak = memory.temp_size_in_bytes + memory.argument_size_in_bytes + memory.output_size_in_bytes
    return Forward(lambda: compiled(*given), frames, macs, moved, taken, peak)
