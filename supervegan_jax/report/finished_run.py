"""Reading a finished rate-distortion run back: what was measured, of what, by which networks."""

import dataclasses
import functools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

from supervegan_jax.rate_distortion.curves import Point
from supervegan_jax.rate_distortion.references import Reference
from supervegan_jax.rate_distortion.settings import Settings
from supervegan_jax.rate_distortion.tables import read_points
from supervegan_jax.rate_distortion.ways import Way, list_ways
from supervegan_jax.rate_distortion.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run and what it wrote.

    Attributes:
      workspace: its folder.
      points: of all clips.
      settings: as it was started.
      references: its clips.
      curves: by name, the JSON values that decided the pixels.
      remarks: what it found odd.
    """

    workspace: Workspace
    points: list[Point]
    settings: Settings
    references: list[Reference]
    curves: dict[str, dict[str, Any]]
    remarks: list[str]

    @functools.cached_property
    def ways(self) -> dict[str, Way]:
        """How to make the run's frames again, by curve; their programs are kept.

        Raises:
          ValueError: a network is missing or is another one by now.
        """
        ways = {way.curve: way for way in list_ways(self.settings.models)}
        for curve, identity in self.curves.items():
            if curve not in ways:
                raise ValueError(f"the run's curve {curve!r} has no model any more")
            now = ways[curve].identity.get("params")
            if now != identity.get("params"):
                raise ValueError(f"model {curve!r} has changed since the run; run rd again")
        return ways


def read_run(workdir: Path) -> FinishedRun:
    """Reads rd.json.

    Raises:
      ValueError: there is none, or it is damaged.
    """
    path = workdir / "rd.json"
    points = read_points(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        settings = _settings(content["settings"])
        workspace = Workspace(workdir)
        references = [_reference(workspace, entry) for entry in content["clips"]]
        curves, remarks = dict(content["curves"]), list(content["remarks"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return FinishedRun(workspace, points, settings, references, curves, remarks)


def _settings(fields: dict[str, Any]) -> Settings:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    values["clips"] = tuple(Path(clip) for clip in values["clips"])
    if values.get("ma_model") is not None:
        values["ma_model"] = Path(values["ma_model"])
    return Settings(**values)


def _reference(workspace: Workspace, fields: dict[str, Any]) -> Reference:
    path = workspace.video("references", fields["key"])
    return Reference(**{**fields, "path": path, "fps": Fraction(fields["fps"])})
