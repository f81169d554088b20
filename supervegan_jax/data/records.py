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
FILE_NAME: Final = "preparation.json"
DATASET_NAME: Final = "supervegan"
_CLIP_KEYS: Final = ("clip_id", "frame_count", "width", "height", "fps", "encodes", "train_frames")
_ENCODE_KEYS: Final = ("codec", "scale", "target_kbps", "measured_kbps")
_VALIDATION_KEYS: Final = (
    *("clip_id", "reference", "input", "codec", "first_frame", "frame_count", "fps"),
    *("target_kbps", "measured_kbps"),
)


@dataclasses.dataclass(frozen=True)
class Window:
    """The frames of one example: input frames in a row, ground truth of those in the middle.

    Attributes:
      frames: input frames.
      truths: how many of them have their ground truth; as many on either side have none.
    """

    frames: int = 5
    truths: int = 1

    @property
    def reach(self) -> int:
        """Input frames before the first that has its ground truth, and after the last."""
        return (self.frames - self.truths) // 2

    def check(self) -> None:
        """Raises `ValueError` unless the ground truth lies in the middle of the input."""
        if not 1 <= self.truths <= self.frames or (self.frames - self.truths) % 2:
            raise ValueError(
                f"{self.truths} frames of ground truth for {self.frames} input frames: from 1 to "
                "as many, with as many input frames before the first as after the last"
            )

    def inputs(self, first: int, frame_count: int) -> list[int]:
        """The input frames, if frame `first` of a clip is the first that has its ground truth.

        Beyond the clip's ends its first or last frame is repeated.
        """
        frames = range(first - self.reach, first + self.truths + self.reach)
        return [min(max(frame, 0), frame_count - 1) for frame in frames]

    def firsts(self, train: tuple[int, int], frame_count: int) -> tuple[int, int]:
        """What `first` may be, and one past it: windows reach past a clip's ends and no other.

        Args:
          train: first frame and one past the last that the window may show.
          frame_count: of the clip.
        """
        first, last = train
        return (
            first if first == 0 else first + self.reach,
            (last if last == frame_count else last - self.reach) - self.truths + 1,
        )

    def middle(self, wider: "Window") -> tuple[slice, slice]:
        """The input frames and the ground truth of a wider window that make up this one.

        Raises:
          ValueError: it is no wider.
        """
        skipped = (wider.truths - self.truths) // 2
        start = wider.reach + skipped - self.reach
        if skipped < 0 or start < 0 or start + self.frames > wider.frames:
            raise ValueError(
                f"{self.frames} input frames, {self.truths} of them with ground truth, are asked "
                f"of records with {wider.frames} and {wider.truths}"
            )
        return slice(start, start + self.frames), slice(skipped, skipped + self.truths)


@dataclasses.dataclass(frozen=True)
class Preparation:
    """The content of preparation.json.

    Attributes:
      directory: the folder of the records; all relative paths start here.
      version: of this format.
      scale: r, 4, 2 or 1.
      patch_size: p, side of the input patches in pixels.
      frames: input frames of a record.
      truths: of which so many in the middle have ground truth.
      peaks: whether the input frames are not in a row, but the peak frame before, the frame and
        the peak frame after (`ops.peak_frames`).
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
    truths: int
    peaks: bool
    bitrate_kbps: tuple[int, ...]
    codecs: tuple[str, ...]
    seed: int
    patch_count: int
    data: str
    clips: tuple[dict[str, Any], ...]
    validation: tuple[dict[str, Any], ...]

    @property
    def window(self) -> Window:
        """The frames of a record."""
        return Window(self.frames, self.truths)

    def check(
        self, *, scale: int, patch_size: int | None = None, peaks: bool | None = None
    ) -> None:
        """Raises `ValueError` unless the records serve a config of this scale and patch size.

        Args:
          scale: r of the config; must be the records' own.
          patch_size: p of the config, at most the records'; None does not look.
          peaks: whether the network reads peak frames; must be as in the records; None does not
            look.
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
        if peaks is not None and peaks != self.peaks:
            kinds = {True: "peak frames", False: "frames in a row"}
            raise ValueError(
                f"records at {self.directory} have {kinds[self.peaks]}, the network reads "
                f"{kinds[peaks]} (data_prep's --peaks)"
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
    # Older records do not say so.
    content = {"truths": 1, "peaks": False, **content}
    for name in ("scale", "patch_size", "frames", "truths", "seed", "patch_count"):
        if type(content[name]) is not int:
            raise ValueError(f"{name} is {content[name]!r}, must be a whole number")
    if content["scale"] not in (1, 2, 4) or content["patch_size"] < 1:
        raise ValueError("scale must be 1, 2 or 4 and patch_size at least 1")
    if type(content["peaks"]) is not bool:
        raise ValueError(f"peaks is {content['peaks']!r}, must be true or false")
    Window(content["frames"], content["truths"]).check()
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


def truth_shape(window: Window, side: int) -> tuple[int, ...]:
    """Of a patch of ground truth, `side` pixels square; a single frame has no axis of time."""
    return ((window.truths,) if window.truths > 1 else ()) + (side, side, 3)


def load_tensorflow() -> tuple[ModuleType, ModuleType]:
    """Imports TensorFlow, kept off the accelerator, and tensorflow-datasets.

    Returns:
      The modules `tensorflow` and `tensorflow_datasets`.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    tf.config.set_visible_devices([], "GPU")
    logging.getLogger("absl").addFilter(_is_news)
    return tf, tfds


def _is_news(record: logging.LogRecord) -> bool:
    # tensorflow-datasets warns of a deprecated attribute that only its own code uses.
    return "FeatureConnector.dtype" not in record.getMessage()


def features(scale: int, patch_size: int, window: Window) -> Any:
    """The schema of a record, a `tfds.features.FeaturesDict`.

    `lr` uint8 [t, p, p, 3] and `hr` uint8 [r*p, r*p, 3], or [k, r*p, r*p, 3] if k > 1 frames have
    ground truth, are stored as bare bytes, so that decoding costs nothing; `clip_id`, the first
    `frame` with ground truth and the top-left corner `y`, `x` (input pixels) tell where they come
    from.

    Args:
      scale: r.
      patch_size: p, in input pixels.
      window: t and k.
    """
    _, tfds = load_tensorflow()

    def image(*shape: int) -> Any:
        return tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")

    return tfds.features.FeaturesDict(
        {
            "lr": image(window.frames, patch_size, patch_size, 3),
            "hr": image(*truth_shape(window, scale * patch_size)),
            "clip_id": tfds.features.Text(),
            "frame": np.int32,
            "y": np.int32,
            "x": np.int32,
        }
    )
