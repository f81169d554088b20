"""What a public benchmark prescribes, as plain values."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from supervegan_jax.protocols.degradation import Degradation
from supervegan_jax.rate_distortion.clip_table import ClipTable


@dataclasses.dataclass(frozen=True)
class Clip:
    """A test sequence as its files lie in the data set's folder.

    Attributes:
      name: how tables call it.
      files: one video, or pictures in order.
      first_frame, frame_count: of the files; None takes all that follow.
      fps: of pictures and of bare samples; None where the file tells it.
      size: width and height of bare samples; None where the file tells it.
      inputs: the data set's own degraded version, by the condition's label: one video or pictures.
    """

    name: str
    files: tuple[Path, ...]
    first_frame: int = 0
    frame_count: int | None = None
    fps: Fraction | None = None
    size: tuple[int, int] | None = None
    inputs: Mapping[str, tuple[Path, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies in a data set's folder.

    Attributes:
      clips: the sequences that are complete.
      missing: what is not there, one expected file or folder each.
      notes: what the user should know, one line each.
    """

    clips: tuple[Clip, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Condition:
    """One way in which every clip is made worse.

    Attributes:
      label: unique within the preset.
      scale: how much smaller the clip becomes; 1 keeps its size.
      degradation: what is done.
      table: the label of the table that it belongs to.
      plain: how tables call what is scored as it is decoded, at scale 1.
    """

    label: str
    scale: int
    degradation: Degradation
    table: str
    plain: str = ""


@dataclasses.dataclass(frozen=True)
class Result:
    """The scores of one clip under one condition by one way of making it full size.

    Attributes:
      clip: its name.
      condition: what was done to it.
      curve: the way, see `rate_distortion.curves.Point`.
      kbps: measured bitrate of the input in kbit/s; None where nothing was encoded.
      scores: by metric; None where it has no finite value.
      left_out: by metric, of how many frames the value is infinite or undefined, if of any.
    """

    clip: str
    condition: Condition
    curve: str
    kbps: float | None
    scores: Mapping[str, float | None]
    left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Network:
    """What a table of costs tells of a network.

    Attributes:
      generator: the module.
      frames_per_second: at the clips' size, by a benchmark; None if none was given.
    """

    generator: Any
    frames_per_second: float | None = None


Report = Callable[[Sequence[Result], Sequence[str], Mapping[str, Network]], list[ClipTable]]


@dataclasses.dataclass(frozen=True)
class Preset:
    """A benchmark.

    Attributes:
      title: what it is.
      source: where its data come from, and where it is described.
      licence: of the data, as far as their publishers say.
      layout: of the folder given as --root, one line each.
      find: looks for the files; takes the folder and the scene list (None: the shipped one).
      conditions: what is done to every clip.
      metrics: keys of `METRICS`.
      report: makes the tables of results, metrics and networks by curve.
      models: networks measured unless others are named.
      as_stored: the truth keeps its size and YCbCr matrix; otherwise it becomes 1280x720, BT.709.
      crop_border, skip_ends: pixels and frames left out, see `measure.Scoring`.
      scenes: whether a scene list may be given.
      tells_speed: whether the report has a network's frames per second.
      remarks: printed below the tables.
    """

    title: str
    source: str
    licence: str
    layout: tuple[str, ...]
    find: Callable[[Path, Path | None], Found]
    conditions: tuple[Condition, ...]
    metrics: tuple[str, ...]
    report: Report
    models: tuple[str, ...] = ()
    as_stored: bool = False
    crop_border: int = 0
    skip_ends: int = 0
    scenes: bool = False
    tells_speed: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def multiple(self) -> int:
        """What width and height of a stored truth must be multiples of: even at every scale."""
        return 2 * max(condition.scale for condition in self.conditions)
