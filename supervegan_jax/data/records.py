"""The schema of the training records, and preparation.json, which tells where they come from.

Shared by `data_prep`, which writes them, and by the readers of this room. Reading preparation.json
needs no TensorFlow; `features` and `load_tensorflow` import it.
"""

import dataclasses
import json
import logging
import os
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

VERSION: Final = 1
FRAMES: Final = 5  # input frames of a record; the ground truth belongs to the middle one
FILE_NAME: Final = "preparation.json"
DATASET_NAME: Final = "supervegan"
_CLIP_KEYS: Final = ("clip_id", "frame_count", "width", "height", "fps", "encodes", "train_frames")
_ENCODE_KEYS: Final = ("codec", "scale", "target_kbps", "measured_kbps")
_VALIDATION_KEYS: Final = (
    *("clip_id", "reference", "input", "codec", "first_frame", "frame_count", "fps"),
    *("target_kbps", "measured_kbps"),
)


@dataclasses.dataclass(frozen=True)
class Preparation:
    """The content of preparation.json.

    Attributes:
      directory: the folder of the records; all relative paths start here.
      version: of this format.
      scale: r, 4 or 2.
      patch_size: p, side of the input patches in pixels.
      frames: input frames of a record.
      bitrate_kbps: target bitrates of the inputs in kbit/s.
      codecs: of the inputs.
      seed: of the drawing of patches.
      patch_count: records.
      data: folder of clips and encodes, as a relative path.
      clips: JSON objects: the clip's own, "encodes" (their own), "train_frames" [first, one past
        the last that a training window may show] and "patches".
      validation: JSON objects: "clip_id"; "reference", "input" and "codec" (relative paths of the
        ground truth, the input and the plain H.264 encode at the same bitrate), "first_frame" and
        "frame_count" (held-out frames), "fps", "target_kbps", "measured_kbps".
    """

    directory: Path
    version: int
    scale: int
    patch_size: int
    frames: int
    bitrate_kbps: tuple[int, ...]
    codecs: tuple[str, ...]
    seed: int
    patch_count: int
    data: str
    clips: tuple[dict[str, Any], ...]
    validation: tuple[dict[str, Any], ...]

    def check(self, *, scale: int, patch_size: int | None = None) -> None:
        """Raises `ValueError` unless the records serve a config of this scale and patch size.

        Args:
          scale: r of the config; must be the records' own.
          patch_size: p of the config, at most the records'; None does not look.
        """
        if scale != self.scale:
            raise ValueError(
                f"records at {self.directory} are scale {self.scale}, the config asks for {scale}"
            )
        if patch_size is not None and patch_size > self.patch_size:
            raise ValueError(
                f"records at {self.directory} have patches of {self.patch_size} pixels, "
                f"the config asks for {patch_size}"
            )


def read_preparation(directory: str | os.PathLike[str]) -> Preparation:
    """Reads preparation.json of a folder of records.

    Raises:
      ValueError: no folder of records, one whose writing was not finished, or a damaged file.
    """
    directory = Path(directory)
    path = directory / FILE_NAME
    if not path.is_file():
        unfinished = " (its writing was not finished)" if (directory / "parts").is_dir() else ""
        raise ValueError(f"{directory} is no folder of records{unfinished}: it has no {FILE_NAME}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _parse(directory, content)
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{path} is damaged: {reason}") from None


def encode_path(data: Path, clip_id: str, codec: str, kbps: int, scale: int) -> Path:
    """Where a folder of prepared clips keeps one encode."""
    return data / "encodes" / clip_id / f"{codec}_{kbps}k_x{scale}.mkv"


def _parse(directory: Path, content: dict[str, Any]) -> Preparation:
    if content["version"] != VERSION:
        raise ValueError(f"version is {content['version']}, must be {VERSION}")
    for name in ("scale", "patch_size", "frames", "seed", "patch_count"):
        if type(content[name]) is not int:
            raise ValueError(f"{name} is {content[name]!r}, must be a whole number")
    if content["scale"] not in (2, 4) or content["frames"] != FRAMES or content["patch_size"] < 1:
        raise ValueError("scale must be 2 or 4, frames 5 and patch_size at least 1")
    for clip in content["clips"]:
        _require(clip, _CLIP_KEYS)
        first, last = clip["train_frames"]
        if not 0 <= first <= last <= clip["frame_count"]:
            raise ValueError(f"train_frames of {clip['clip_id']} are {first} to {last}")
        for encode in clip["encodes"]:
            _require(encode, _ENCODE_KEYS)
    for entry in content["validation"]:
        _require(entry, _VALIDATION_KEYS)
        Fraction(entry["fps"])
    fields = {field.name: content[field.name] for field in dataclasses.fields(Preparation)[1:]}
    for name in ("bitrate_kbps", "codecs", "clips", "validation"):
        fields[name] = tuple(fields[name])
    return Preparation(directory=directory, **fields)


def _require(entry: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        entry[key]


def load_tensorflow() -> tuple[ModuleType, ModuleType]:
    """Imports TensorFlow, quiet and kept off the accelerator, and tensorflow-datasets.

    Returns:
      The modules `tensorflow` and `tensorflow_datasets`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf
    import tensorflow_datasets as tfds

    tf.config.set_visible_devices([], "GPU")
    logging.getLogger("absl").addFilter(_is_news)
    return tf, tfds


def _is_news(record: logging.LogRecord) -> bool:
    # tensorflow-datasets warns of a deprecated attribute that only its own code uses.
    return "FeatureConnector.dtype" not in record.getMessage()


def features(scale: int, patch_size: int) -> Any:
    """The schema of a record, a `tfds.features.FeaturesDict`.

    `lr` uint8 [5, p, p, 3] and `hr` uint8 [r*p, r*p, 3] are stored as bare bytes, so that decoding
    costs nothing; `clip_id`, the centre `frame` and the top-left corner `y`, `x` (input pixels)
    tell where they come from.

    Args:
      scale: r.
      patch_size: p, in input pixels.
    """
    _, tfds = load_tensorflow()

    def image(*shape: int) -> Any:
        return tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")

    return tfds.features.FeaturesDict(
        {
            "lr": image(FRAMES, patch_size, patch_size, 3),
            "hr": image(scale * patch_size, scale * patch_size, 3),
            "clip_id": tfds.features.Text(),
            "frame": np.int32,
            "y": np.int32,
            "x": np.int32,
        }
    )
