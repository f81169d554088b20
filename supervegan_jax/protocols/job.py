"""A preset from its files to its report."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervegan_jax.evaluation.results import write_whole
from supervegan_jax.evaluation.scoring import check_border
from supervegan_jax.experiments.runtime import read_records
from supervegan_jax.protocols.inputs import Conditioned, make_inputs, make_truth
from supervegan_jax.protocols.preset import Clip, Network, Preset, Result
from supervegan_jax.rate_distortion import clip_table, measure
from supervegan_jax.rate_distortion.curves import Point, comparable
from supervegan_jax.rate_distortion.references import Reference
from supervegan_jax.rate_distortion.remarks import frame_remarks
from supervegan_jax.rate_distortion.settings import CODEC
from supervegan_jax.rate_distortion.ways import Way, list_ways
from supervegan_jax.rate_distortion.workspace import Workspace


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user decides.

    Attributes:
      models: names, workdirs or files of networks.
      max_frames: of each clip's beginning; None takes all.
      frame_step: every so manieth frame is scored; VMAF sees all.
      crop_border, skip_ends: in place of the preset's.
      use_given: take the data set's own degraded versions where it has them.
      jobs: encodes at a time; None takes the number of cores.
      benchmark: JSON of `benchmark --json`, for tables that tell a network's speed.
    """

    models: tuple[str, ...]
    max_frames: int | None = None
    frame_step: int = 1
    crop_border: int | None = None
    skip_ends: int | None = None
    use_given: bool = True
    jobs: int | None = None
    benchmark: Path | None = None

    def __post_init__(self) -> None:
        for name, least in (("max_frames", 1), ("frame_step", 1), ("jobs", 1), ("crop_border", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} {value}; at least {least} is accepted")
        if self.skip_ends is not None and self.skip_ends < 0:
            raise ValueError(f"skip_ends {self.skip_ends}; at least 0 is accepted")


def run_protocol(
    name: str, preset: Preset, clips: Sequence[Clip], options: Options, workdir: Path
) -> list[str]:
    """Degrades, enhances and scores what is missing; writes NAME.json and NAME.md.

    Args:
      name: of the preset.
      preset: what is prescribed.
      clips: its sequences.
      options: what the user decides.
      workdir: keeps every result, as `rd` does; both may share one.

    Returns:
      Tables to print.

    Raises:
      ValueError: a file, a model or an option cannot be used.
      OSError: the folder cannot be written.
    """
    names = [clip.name for clip in clips]
    for clip in clips:
        if names.count(clip.name) > 1:
            raise ValueError(f"{clip.files[0]}: another clip is called {clip.name!r}, too")
    ways = choose_ways(preset, options.models)
    scoring = measure.Scoring(
        preset.metrics,
        options.frame_step,
        preset.crop_border if options.crop_border is None else options.crop_border,
        preset.skip_ends if options.skip_ends is None else options.skip_ends,
    )
    known = [] if options.benchmark is None else read_records(options.benchmark)
    workspace = Workspace(workdir)
    with workspace.locked():
        truths = [make_truth(workspace, clip, preset, options.max_frames) for clip in clips]
        _check_sizes(truths, scoring)
        networks = _networks(ways, known, truths)
        inputs = make_inputs(
            workspace,
            list(zip(clips, truths, strict=True)),
            preset,
            use_given=options.use_given,
            cut_short=options.max_frames is not None,
            jobs=options.jobs,
        )
        # Clip by clip and condition by condition, as tables show them.
        tasks = [
            task for one in inputs for task in measure.plan_scores(workspace, [one], ways, scoring)
        ]
        scores = measure.score_tasks(workspace, tasks, scoring)
    results = [_result(task, found, scoring) for task, found in zip(tasks, scores, strict=True)]
    points = [_point(result) for result in results]
    # Files keep every score; tables show those that can be compared.
    shown = [
        dataclasses.replace(result, scores=point.scores)
        for result, point in zip(results, comparable(points), strict=True)
    ]
    tables = preset.report(shown, preset.metrics, networks)
    about = _about(name, preset, scoring, truths, inputs, ways)
    text = json.dumps(about | {"results": _to_json(results)}, indent=1, allow_nan=False) + "\n"
    write_whole(workdir / f"{name}.json", text)
    uneven = frame_remarks(points, preset.metrics, 'only "-" in the tables')
    left_out = any(result.left_out for result in results)
    remarks = [_scored(scoring, options.max_frames, left_out), *uneven, *preset.remarks]
    write_whole(workdir / f"{name}.md", _to_markdown(preset, tables, remarks))
    written = f"written: {workdir / f'{name}.json'}, {workdir / f'{name}.md'}"
    notes = [f"note: {remark}" for remark in remarks]
    return [*(clip_table.as_text(table) for table in tables), "\n".join([*notes, written])]


def choose_ways(preset: Preset, models: Sequence[str]) -> list[Way]:
    """The ways whose scale the preset has, networks whole.

    Raises:
      ValueError: there is no such network, or the preset has no input of its scale.
    """
    scales = sorted({condition.scale for condition in preset.conditions})
    ways = list_ways(models, [scale for scale in scales if scale > 1])
    whole = [way for way in ways if way.model is None or way.stage == "b"]
    for way in whole:
        if way.scale not in scales and way.model is not None:
            listed = ", ".join(f"{scale}x" for scale in scales)
            raise ValueError(f"{way.curve} enlarges {way.scale}x; this protocol's inputs: {listed}")
    return [way for way in whole if way.scale in scales]


def _networks(
    ways: Sequence[Way], known: Sequence[Mapping[str, Any]], truths: Sequence[Reference]
) -> dict[str, Network]:
    """The networks by curve; with a benchmark, each with its speed at the largest clip's size."""
    largest = max(truths, key=lambda truth: truth.width * truth.height)
    output = f"{largest.width}x{largest.height}"
    found = {}
    for way in ways:
        if way.model is None or way.model.exported:
            continue
        rate = None
        if known:
            rows = [r for r in known if Path(str(r.get("model"))).name == way.curve]
            rows = [r for r in rows if (r.get("stage"), r.get("output")) == ("b", output)]
            if not rows or not rows[0].get("ms_per_frame"):
                raise ValueError(
                    f"the benchmark has no time of {way.curve} at {output}; make it with benchmark "
                    f"--models {way.curve} --stage b --measure forward --output-size {output}"
                )
            rate = 1e3 / rows[0]["ms_per_frame"]
        found[way.curve] = Network(way.model.generator, rate)
    return found


def _check_sizes(truths: Sequence[Reference], scoring: measure.Scoring) -> None:
    """Something has to be left to score, which is told before hours of encoding."""
    skip, step = scoring.skip_ends, scoring.frame_step
    for truth in truths:
        try:
            check_border(scoring.crop_border, truth.height, truth.width)
        except ValueError as error:
            raise ValueError(f"{truth.name}: {error}") from None
        if not scoring.scored_frames(truth.frame_count):
            raise ValueError(
                f"{truth.name} has {truth.frame_count} frames; {skip} left out at either end and "
                f"one in {step} scored leave none"
            )


def _scored(scoring: measure.Scoring, max_frames: int | None, left_out: bool) -> str:
    """Which frames and pixels the numbers are of; some frames without a number are `left_out`."""
    step, skip, border = scoring.frame_step, scoring.skip_ends, scoring.crop_border
    frames = "all frames" if max_frames is None else f"the first {max_frames} frames"
    if step > 1:
        frames = f"one in {step} of {frames}"
    if skip:
        frames += f", {skip} left out at either end"
    if left_out:
        frames += ", those without a number left out"
    pixels = f"{border} pixels left out at each side" if border else "no border left out"
    text = f"scored: {frames}; {pixels}"
    if "vmaf" in scoring.metrics and (step > 1 or skip or border):
        text += "; VMAF takes every frame, whole"
    return text


def _result(
    task: measure.Task[Conditioned], scores: dict[str, Any], scoring: measure.Scoring
) -> Result:
    given, way = task.encoded, task.way
    return Result(
        clip=given.reference.name,
        condition=given.condition,
        curve=given.condition.plain if way.curve == CODEC else way.curve,
        kbps=given.measured_kbps or None,
        scores={metric: found["mean"] for metric, found in scores.items()},
        left_out=measure.count_left_out(scores, given.reference, scoring),
    )


def _point(result: Result) -> Point:
    """For what rates have no part in: results of one clip in one table are compared."""
    table, scale = result.condition.table, result.condition.scale
    scores, left_out = dict(result.scores), dict(result.left_out)
    return Point(result.clip, table, result.curve, scale, 0, 0.0, 0.0, scores, left_out)


def _about(
    name: str,
    preset: Preset,
    scoring: measure.Scoring,
    truths: Sequence[Reference],
    inputs: Sequence[Conditioned],
    ways: Sequence[Way],
) -> dict[str, Any]:
    """What every published number needs beside it."""
    clips = []
    for truth in truths:
        fields = dataclasses.asdict(truth)
        clips.append(fields | {"path": truth.path.name, "fps": str(truth.fps)})
    made = [
        {
            "clip": one.reference.name,
            "condition": one.condition.label,
            "from": one.source,
            "path": str(one.path),
            "measured_kbps": one.measured_kbps or None,
        }
        for one in inputs
    ]
    curves = {
        way.curve: {field: value for field, value in way.identity.items() if field != "generator"}
        for way in ways
    }
    about = {"version": 1, "protocol": name, "title": preset.title, "source": preset.source}
    return about | {
        "scoring": dataclasses.asdict(scoring),
        "clips": clips,
        "inputs": made,
        "curves": curves,
    }


def _to_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    return [
        {"clip": r.clip, "condition": r.condition.label, "curve": r.curve, "kbps": r.kbps}
        | dict(r.scores)
        | ({"left_out": dict(r.left_out)} if r.left_out else {})
        for r in results
    ]


def _to_markdown(
    preset: Preset, tables: Sequence[clip_table.ClipTable], remarks: Sequence[str]
) -> str:
    parts = [f"# {preset.title}\n"]
    for table in tables:
        parts.append(f"## {table.title}\n\n{clip_table.render(table, Path('table.md'))}")
    return "\n".join([*parts, *(f"* {remark}\n" for remark in remarks)])
