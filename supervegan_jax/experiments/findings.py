"""A claim put to the test: a difference with its interval, and a verdict."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supervegan_jax.evaluation.bootstrap import Interval
from supervegan_jax.experiments.outcome import draw_differences
from supervegan_jax.rate_distortion.clip_table import shown_difference, table_title

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"
# How a better score differs from a worse one, for the two metrics that the paper's tables have.
BETTER = {"lpips": -1, "psnr": 1}


@dataclasses.dataclass(frozen=True)
class Finding:
    """A claim, most of them the paper's findings, put to the test.

    Attributes:
      claim: in words.
      metric: a key of `METRICS`.
      scale: of the networks.
      difference: of the scores, in the direction that `expected_sign` is about.
      expected_sign: 1 if the claim is that it is above 0, -1 below.
    """

    claim: str
    metric: str
    scale: int
    difference: Interval
    expected_sign: int

    @property
    def verdict(self) -> str:
        """Whether the claim holds by the interval; what overlaps 0 is not decided."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None or low <= 0 <= high:
            return OPEN
        return HOLDS if (low > 0) == (self.expected_sign > 0) else FAILS

    def __str__(self) -> str:
        what = f"{table_title(self.metric)} {shown_difference(self.metric, self.difference)}"
        return f"{self.scale}x: {self.claim}: **{self.verdict}** ({what})"

    def to_json(self) -> dict[str, Any]:
        """Its fields and the verdict."""
        return dataclasses.asdict(self) | {"verdict": self.verdict}


def draw_findings(found: Sequence[Finding], title: str, path: Path) -> None:
    """Draws the differences, a panel for each metric, as a PNG."""
    lines = {
        metric: [(f"{f.scale}x: {f.claim}", f.difference) for f in found if f.metric == metric]
        for metric in dict.fromkeys(one.metric for one in found)
    }
    draw_differences(lines, title, path)


def stage_claim(stage: str, metric: str, scale: int) -> tuple[str, int] | None:
    """What the paper says that a stage does to a score (V-F2, Table 7), and the difference's sign.

    Args:
      stage: "a", against the enlarged input, or "b", against stage A.
      metric: "lpips" or "psnr".
      scale: of the network.

    Returns:
      None where it says nothing: of stage A's PSNR at 4x.
    """
    if metric == "psnr" and scale == 4:
        return ("stage B costs PSNR", -BETTER[metric]) if stage == "b" else None
    return f"stage {stage.upper()} improves {metric.upper()}", BETTER[metric]
