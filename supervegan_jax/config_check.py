"""What a configuration's numbers may be, checked before anything is written or computed."""

import math
from typing import Any

from ml_collections import ConfigDict

_ANY = math.inf
# field: (the least, below what), of whole numbers and of others; not a number is in no range.
_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31),
    "discriminator.width": (1, _ANY),
    "discriminator.crop_size": (0, _ANY),
    "perceptual.crop_size": (0, _ANY),
    "optimizer.warmup_steps": (0, _ANY),
    "optimizer.b1": (0, 1),
    "optimizer.b2": (0, 1),
    "optimizer.max_gradient_norm": (0, _ANY),
    "optimizer.ema_decay": (0, 1),
    "optimizer.accumulate": (1, _ANY),
    "data.batch_size": (1, _ANY),
    "data.patch_size": (1, _ANY),
    "data.truths": (1, _ANY),
    "data.shuffle_buffer": (1, _ANY),
    "data.threads": (1, _ANY),
    "data.max_frames": (0, _ANY),
    "log_every": (0, _ANY),
    "evaluate_every": (0, _ANY),
    "checkpoint_every": (0, _ANY),
    "keep_checkpoints": (1, _ANY),
    "evaluation_frames": (0, _ANY),
}
_POSITIVE = (
    "optimizer.learning_rate",
    "optimizer.final_learning_rate",
    "optimizer.discriminator_learning_rate",
)
_TEXTS = (
    "data.videos",
    "discriminator.layers",
    "perceptual.layers",
    "data.clip_weights",
    "prepare.codecs",
    "phase_names",
)


def check_config(config: ConfigDict) -> None:
    """Holds the numbers of a config against their ranges; names are checked where they are used.

    Raises:
      ValueError: the first field outside of its range.
    """
    fields = config.to_dict()

    def value_of(field: str) -> Any:
        section, _, name = field.rpartition(".")
        return (fields[section] if section else fields)[name]

    for field, (least, below) in _RANGES.items():
        value = value_of(field)
        if not least <= value < below:
            accepted = f"{least} or more" if below == _ANY else f"{least} to below {below}"
            raise ValueError(f"{field} is {value}; {accepted} is accepted")
    for field in _POSITIVE:
        if not 0 < value_of(field) < _ANY:
            raise ValueError(f"{field} is {value_of(field)}; more than 0 is accepted")
    for field in _TEXTS:
        value = value_of(field)
        if not all(isinstance(text, str) for text in value):
            raise ValueError(f"{field} is {value}; texts are accepted, in quotes if need be")
    side = config.model.scale * config.data.patch_size
    for section in ("discriminator", "perceptual"):
        if config[section].crop_size > side:
            raise ValueError(
                f"{section}.crop_size is {config[section].crop_size}; the patches' ground truth "
                f"has {side} pixels a side"
            )
