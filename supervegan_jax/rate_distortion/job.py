"""A rate-distortion run from clips to tables and plots."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supervegan_jax.evaluation.results import write_whole
from supervegan_jax.metrics.ma_score import load_ma_model
from supervegan_jax.rate_distortion import advice, curves, measure, plots, remarks, tables
from supervegan_jax.rate_distortion.references import Reference, make_references
from supervegan_jax.rate_distortion.settings import Settings
from supervegan_jax.rate_distortion.ways import Way, list_ways
from supervegan_jax.rate_distortion.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a run measured: the points, of which clips, by which ways."""

    points: list[curves.Point]
    references: list[Reference]
    ways: list[Way]


def run_rate_distortion(settings: Settings, workdir: Path, *, draw: bool = True) -> list[str]:
    """Encodes, enhances and scores what is missing, then writes rd.json, rd.csv and plots/.

    Args:
      settings: what is covered.
      workdir: keeps every result; a run that was interrupted, or one that asks for more, goes on
        from what is there.
      draw: whether plots are drawn too.

    Returns:
      Tables to print.

    Raises:
      ValueError: a clip, model or setting cannot be used.
      OSError: the folder cannot be written.
    """
    measured = _measure(settings, list_ways(settings.models), workdir)
    return _report(measured, settings, workdir, draw)


def run_advice(
    settings: Settings, workdir: Path, kbps: int, wanted: dict[str, float], *, draw: bool = True
) -> list[str]:
    """Measures one clip at full, half and quarter size around a bitrate and compares the ways.

    Writes advice.json and, if wanted, the curves as a plot.

    Args:
      settings: of one clip and one codec, with `advice.ladder(kbps)` as both ladders.
      workdir: as in `run_rate_distortion`; both may share one.
      kbps: the bitrate asked about.
      wanted: by metric the quality whose cheapest way is sought.
      draw: whether the plot is drawn.

    Returns:
      Tables to print.

    Raises:
      ValueError: as `run_rate_distortion`, or by no metric the ways are scored on the same frames.
      OSError: the folder cannot be written.
    """
    measured = _measure(settings, list_ways(settings.models, (2, 4)), workdir)
    points, codec = measured.points, settings.codecs[0]
    metrics = remarks.compared_metrics(points, settings.metrics)
    found = [advice.advise(points, m, kbps, wanted.get(m)) for m in metrics]
    content = advice.to_json(found, str(settings.clips[0]), codec, kbps)
    content["settings"] = _about(measured, settings)
    _print_notes(remarks.frame_remarks(points, settings.metrics))
    written = [workdir / "advice.json"]
    write_whole(written[0], json.dumps(content, indent=1, allow_nan=False) + "\n")
    if draw:
        written.append(workdir / "advice.png")
        clip = measured.references[0].name
        plots.draw_curves(points, settings.metrics, f"{codec}, {clip}", written[1])
    text = advice.to_text(found, codec, kbps)
    return [text, "written: " + ", ".join(map(str, written))]


def _measure(settings: Settings, ways: list[Way], workdir: Path) -> Measured:
    if "pi" in settings.metrics:
        load_ma_model(settings.ma_model)  # before hours of encoding
    workspace = Workspace(workdir)
    with workspace.locked():
        references = make_references(workspace, settings.clips, settings.max_frames)
        encodes = measure.plan_encodes(workspace, references, ways, settings)
        encodes = measure.make_encodes(workspace, encodes, settings.jobs)
        scoring = measure.scoring_of(settings)
        tasks = measure.plan_scores(workspace, encodes, ways, scoring)
        return Measured(measure.score_all(workspace, tasks, settings), references, ways)


def _report(measured: Measured, settings: Settings, workdir: Path, draw: bool) -> list[str]:
    metrics, points = settings.metrics, measured.points
    equivalents = curves.equivalents(points, metrics)
    bd_rows = curves.bd_rates(points, metrics)
    notes = remarks.curve_remarks([*points, *curves.pool_points(points)], metrics)
    about = _about(measured, settings)
    text = tables.to_json(about, points, bd_rows, equivalents, notes)
    write_whole(workdir / "rd.json", text)
    write_whole(workdir / "rd.csv", tables.to_csv(points, metrics))
    written = [workdir / "rd.json", workdir / "rd.csv"]
    if draw:
        written += plots.draw_all(points, equivalents, metrics, workdir / "plots")
    elif plots.list_drawn(workdir / "plots"):
        _print_notes([f"the plots in {workdir / 'plots'} are of an earlier run"])
    _print_notes(notes)
    parts = []
    for codec in settings.codecs:
        parts.append(tables.pooled_table(points, codec, metrics))
        if any(row.codec == codec for row in bd_rows):
            parts.append(tables.bd_table(bd_rows, codec, metrics))
        parts.append(tables.equivalent_table(equivalents, codec, metrics))
    return [*parts, "written: " + ", ".join(map(str, written))]


def _print_notes(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"note: {line}", file=sys.stderr)


def _about(measured: Measured, settings: Settings) -> dict[str, Any]:
    """What every published number needs beside it."""
    clips = []
    for reference in measured.references:
        fields = dataclasses.asdict(reference)
        fields |= {"path": reference.path.name, "fps": str(reference.fps)}
        clips.append(fields)
    models = {
        way.curve: {name: value for name, value in way.identity.items() if name != "generator"}
        for way in measured.ways
    }
    fields = dataclasses.asdict(settings) | {"clips": [str(clip) for clip in settings.clips]}
    fields["ma_model"] = None if settings.ma_model is None else str(settings.ma_model)
    return {"settings": fields, "clips": clips, "curves": models}
