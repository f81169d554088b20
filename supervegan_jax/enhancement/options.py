"""What can be chosen about a run, and what follows from it."""

import dataclasses
import os
from typing import Any

import jax
import jax.numpy as jnp

from supervegan_jax.enhancement.readings import Reading, Windows, reading_of
from supervegan_jax.weights.model_file import LoadedModel

DTYPES: dict[str, Any] = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
# Frames enhanced together. More share more of the temporal reduction and cost memory and latency.
_BATCH_SIZES = {"cpu": 4, "gpu": 8, "tpu": 8}
# More share nothing more; the last batch of a clip is filled up to its size in memory.
_LARGEST_BATCH = 1024
# Share of a device's memory that the estimate may fill; compilers and other buffers need the rest.
_DEVICE_SHARE, _HOST_SHARE = 0.6, 0.25
_FIVE_FRAMES = Windows(2)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How frames are enhanced; None leaves a choice to the devices.

    Attributes:
      stage: "a" or "b".
      strength: of stage B's detail, 0 to 1; 0 is bicubic2x(Y_A), the same as stage "a".
      dtype: of features, "float32" or "bfloat16"; None is bfloat16 where the device computes it.
      batch_size: frames enhanced together on all devices, a multiple of their number.
      tile: longest side of what is computed at once in input pixels, its surroundings included;
        None cuts only frames too large for the memory.
      in_flight: batches given to the devices before the first of them is back; None is 1 on a
        CPU, where two would only share its caches, and 2 elsewhere.
      compare: also make the bicubic enlargement of every frame (`EnhancedFrame.bicubic`).
      devices: a batch is split over; None is all, or the first if batches depend on one another.
      reading: what the network reads for a frame; `for_model` fills it in.
    """

    stage: str = "b"
    strength: float = 1.0
    dtype: str | None = None
    batch_size: int | None = None
    tile: int | None = None
    in_flight: int | None = None
    compare: bool = False
    devices: tuple[Any, ...] | None = None
    reading: Reading = _FIVE_FRAMES

    def __post_init__(self) -> None:
        if self.stage not in ("a", "b"):
            raise ValueError(f"stage {self.stage!r}; 'a' and 'b' are accepted")
        if not 0 <= self.strength <= 1:
            raise ValueError(f"strength {self.strength}; 0 to 1 is accepted")
        if self.stage == "a" and 0 < self.strength < 1:
            raise ValueError(f"strength {self.strength} of stage 'a'; 0 and 1 are accepted")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype!r}; accepted are {', '.join(DTYPES)}")
        for name in ("batch_size", "tile", "in_flight"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} {value}; at least 1 is accepted")
        if self.batch_size is not None and self.batch_size > _LARGEST_BATCH:
            raise ValueError(f"batch_size {self.batch_size}; at most {_LARGEST_BATCH} is accepted")


def platform_of(options: RunOptions) -> str:
    """What computes, "cpu", "gpu" or "tpu"."""
    devices = options.devices or jax.local_devices()
    return str(devices[0].platform)


def resolve(options: RunOptions) -> RunOptions:
    """Fills in everything but `tile`, which depends on the frames' size.

    Raises:
      ValueError: the batch cannot be split over the devices.
    """
    devices = options.devices or tuple(jax.local_devices())
    if options.reading.in_turn:
        if options.devices is not None and len(devices) > 1:
            raise ValueError(
                f"{len(devices)} devices: the network needs the frame before to enhance the next, "
                "so one device is accepted"
            )
        devices = devices[:1]
    batch_size = options.batch_size
    if batch_size is None:
        batch_size = _BATCH_SIZES.get(devices[0].platform, 4) * len(devices)
    if batch_size % len(devices):
        raise ValueError(
            f"batch size {batch_size} is not a multiple of the number of devices, {len(devices)}"
        )
    stage = "a" if options.strength == 0 else options.stage
    dtype = options.dtype or ("bfloat16" if _computes_bfloat16(devices[0]) else "float32")
    return dataclasses.replace(
        options,
        devices=devices,
        batch_size=batch_size,
        stage=stage,
        dtype=dtype,
        in_flight=_in_flight(options, devices[0]),
    )


def _in_flight(options: RunOptions, device: Any) -> int:
    if options.reading.in_turn:  # a batch that is computed again gives the next its state
        return 1
    return options.in_flight or (1 if device.platform == "cpu" else 2)


def for_model(options: RunOptions, model: LoadedModel) -> RunOptions:
    """Fills in what a network has fixed.

    Raises:
      ValueError: the options ask for something else.
    """
    generator: Any = model.generator
    options = dataclasses.replace(options, reading=reading_of(generator))
    if model.exported is None:
        if options.stage not in generator.stages or (
            options.strength != 1 and len(generator.stages) == 1
        ):
            raise ValueError(
                f"model {model.card['name']!r} has one stage, 'b', at full strength; not stage "
                f"{options.stage!r} at strength {options.strength:g}"
            )
        return options
    stage = "a" if options.strength == 0 else options.stage
    fixed = model.exported.stage
    if stage != fixed or (stage == "b" and options.strength != 1):
        raise ValueError(
            f"model {model.card['name']!r} was exported for stage {fixed} at full strength; stage "
            f"{stage} at strength {options.strength:g} needs a model folder"
        )
    if options.dtype not in (None, "float32"):
        raise ValueError(
            f"model {model.card['name']!r} was exported to compute in float32, not {options.dtype}"
        )
    return dataclasses.replace(options, dtype="float32")


def _computes_bfloat16(device: Any) -> bool:
    if device.platform != "gpu":
        return bool(device.platform == "tpu")
    # NVIDIA's numbers; other makers' devices say nothing of the kind and all have it.
    return float(getattr(device, "compute_capability", 8) or 8) >= 8


def memory_budget(device: Any) -> int:
    """Bytes that the arrays of one batch may take.

    On CPU a share of the machine's memory, not of what is free at the moment: the same video has
    to be cut into the same tiles when a run is resumed.
    """
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] * _DEVICE_SHARE)
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _HOST_SHARE)


def _batch_size(options: RunOptions) -> int:
    return resolve(options).batch_size or 1


def latency_frames(options: RunOptions) -> int:
    """Frames behind a frame that must have come in before it goes out, at most.

    Half the window, or what else is read ahead, and the rest of the batch. Devices slower than the
    input add what `read_ahead_frames` tells.
    """
    return options.reading.ahead + _batch_size(options) - 1


def read_ahead_frames(options: RunOptions) -> int:
    """The most frames taken from the input beyond the one handed out last.

    One batch handed out, one waiting behind it, `in_flight` on the devices, one waiting for them,
    one being gathered.
    """
    resolved = resolve(options)
    return options.reading.ahead + (resolved.batch_size or 1) * ((resolved.in_flight or 1) + 4)


def context_start(first_index: int, options: RunOptions) -> int:
    """The first input frame that a run beginning at frame `first_index` wants to see.

    Batches begin at multiples of the batch size whatever a run begins with, and so every frame
    takes the same place in the same batch: a resumed run gives the same bytes.
    """
    return options.reading.context_start(first_index, _batch_size(options))
