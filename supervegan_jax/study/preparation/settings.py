"""What a study is made from."""

import dataclasses
from pathlib import Path
from typing import Any, Final

from supervegan_jax.study.design import Counts
from supervegan_jax.video.browser import check_quality

# Both ends of the paper's ranges (section IV-B).
INPUT_KBPS: Final = (150, 250, 350, 500, 750, 1000, 1500, 2000)
REFERENCE_KBPS: Final = (75, 150, 250, 350, 500, 750, 1000, 1500, 2000, 3000, 4000)
PAGE_WIDTH: Final = 1280  # pixels that the two videos and the gap between them may take
GAP: Final = 8
FEWEST_REFERENCES: Final = 3


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """A study.

    Attributes:
      clips: videos.
      models: names, workdirs or files of networks.
      input_kbps: target bitrates of what is enhanced.
      reference_kbps: target bitrates of H.264 at full size.
      span: a network's output at b is shown beside the references from span[0] b to span[1] b, and
        the nearest beyond if these are fewer than 3.
      size: width and height of what is shown of a clip, in pixels; less if the clip is smaller.
      corners: left and top of that window by clip's name; about the centre for all others.
      max_frames: of each clip's beginning; None takes all.
      counts: of an observer's trials.
      watch_seconds: how long both videos must have been played.
      suffix, crf: format and quality of the videos shown, see `encode_for_browser`.
      seed: of everything random.
    """

    clips: tuple[Path, ...]
    models: tuple[str, ...]
    input_kbps: tuple[int, ...] = INPUT_KBPS
    reference_kbps: tuple[int, ...] = REFERENCE_KBPS
    span: tuple[float, float] = (0.4, 5.0)
    size: tuple[int, int] = (632, 480)
    corners: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    max_frames: int | None = None
    counts: Counts = dataclasses.field(default_factory=Counts)
    watch_seconds: float = 3.0
    suffix: str = "mp4"
    crf: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.clips or not self.models:
            raise ValueError("at least one clip and one model are needed")
        for name, fewest in (("input_kbps", 1), ("reference_kbps", FEWEST_REFERENCES)):
            ladder = getattr(self, name)
            if len(ladder) < fewest or min(ladder) < 1 or len(set(ladder)) < len(ladder):
                given = ",".join(map(str, ladder)) or "nothing"
                raise ValueError(
                    f"{name.replace('_', ' ')} {given}; at least {fewest} different whole numbers "
                    "of kbit/s are needed"
                )
        if not 0 <= self.span[0] < self.span[1]:
            raise ValueError(f"span {self.span[0]:g},{self.span[1]:g}; LOW,HIGH is accepted")
        width, height = self.size
        most = (PAGE_WIDTH - GAP) // 2
        if width % 2 or height % 2 or not 32 <= width <= most or not 32 <= height <= 720:
            raise ValueError(
                f"size {width}x{height}; even numbers are accepted, 32x32 to {most}x720, so that "
                f"two fit into {PAGE_WIDTH} pixels"
            )
        if self.max_frames is not None and self.max_frames < 1:
            raise ValueError(f"max frames {self.max_frames}; at least 1 is accepted")
        if not 0 < self.watch_seconds <= 60:
            raise ValueError(f"watch seconds {self.watch_seconds:g}; up to 60 are accepted")
        check_quality(self.suffix, self.crf)

    def references_for(self, input_kbps: int) -> list[int]:
        """The reference bitrates shown beside a network's output at `input_kbps`, rising."""
        low, high = (factor * input_kbps for factor in self.span)
        # Those within are at distance 0; of the others the nearest by ratio come first.
        distance = {kbps: max(low / kbps, kbps / high, 1.0) for kbps in self.reference_kbps}
        nearest = sorted(self.reference_kbps, key=lambda kbps: (distance[kbps], kbps))
        within = sum(value == 1.0 for value in distance.values())
        return sorted(nearest[: max(within, FEWEST_REFERENCES)])

    def recorded(self) -> dict[str, Any]:
        """As JSON values; clips by their file's name, which a folder that moves keeps."""
        fields = dataclasses.asdict(self) | {"clips": [clip.name for clip in self.clips]}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in fields.items()
        } | {"corners": {clip: list(corner) for clip, corner in self.corners.items()}}
