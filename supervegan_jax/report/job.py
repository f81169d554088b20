"""From a finished run to the page."""

import dataclasses
import html
import json
from collections.abc import Sequence
from pathlib import Path

from supervegan_jax import __version__
from supervegan_jax.evaluation.results import check_outputs, write_whole
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.experiments.runtime import read_benchmark
from supervegan_jax.experiments.training_bitrate import read_trained
from supervegan_jax.rate_distortion.curves import POOLED, model_names, names
from supervegan_jax.report import html_tables, sections
from supervegan_jax.report.crops import choose_input, make_shots, read_crop, read_size
from supervegan_jax.report.finished_run import FinishedRun, read_run
from supervegan_jax.report.page import Section, about_crops, check_weight, make_page, shots_html
from supervegan_jax.report.sections import Subject

MOST_MEGABYTES = 12.0


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """What the page shows.

    Attributes:
      kbps: target bitrate of the crops and of what shows only one; None takes the nearest to 250.
      codec: of the crops; None takes the run's first.
      crops: "CLIP:FRAME:X,Y"; clips without one are shown where they are most textured.
      crop_size: "WIDTHxHEIGHT".
      trained: "NAME=KBPS,..", the bitrates networks were trained at; "" for none.
      benchmark: JSON of a runtime table.
      most_megabytes: a heavier page is refused.
    """

    kbps: int | None = None
    codec: str | None = None
    crops: tuple[str, ...] = ()
    crop_size: str = "384x288"
    trained: str = ""
    benchmark: Path | None = None
    most_megabytes: float = MOST_MEGABYTES


def write_report(workdir: Path, output: Path, options: ReportOptions) -> str:
    """Writes the page of a finished run.

    Returns:
      One line that tells its name and weight.

    Raises:
      ValueError: the run is unfinished or damaged, lacks what is asked for, or the page would be
        too heavy.
      OSError: the file cannot be written.
    """
    inputs = [workdir / "rd.json", *([options.benchmark] if options.benchmark else [])]
    check_outputs([output], inputs)
    run = read_run(workdir)
    kbps, codec = choose_input(run, options.kbps, options.codec)
    crops = [read_crop(text, run.references) for text in options.crops]
    trained = read_trained(options.trained, run.points) if options.trained else {}
    size = read_size(options.crop_size)
    benchmark = [] if options.benchmark is None else [read_benchmark(options.benchmark)]
    shots = make_shots(run, crops, codec=codec, kbps=kbps, size=size)
    parts = [Section("look", "See for yourself", about_crops() + shots_html(shots))]
    for name in run.settings.codecs:
        subject = Subject(run.points, run.settings.metrics, name, kbps)
        parts += _sections_of(subject, trained, len(run.settings.codecs) > 1)
    for table in benchmark:
        parts.append(Section("runtime", "Runtime", sections.runtime(table)))
    parts.append(Section("how", "How this was measured", _how(run)))
    subject = Subject(run.points, run.settings.metrics, codec, kbps)
    footer = f"Made by supervegan_jax {html.escape(__version__)} from rd.json."
    title = f"{', '.join(model_names(run.points))}: quality over bitrate"
    page = make_page(title, _lead(run, subject), parts, footer)
    check_weight(page, options.most_megabytes)
    write_whole(output, page)
    return f"written: {output}, {len(page.encode()) / 1e6:.2f} MB"


def _lead(run: FinishedRun, subject: Subject) -> str:
    models = ", ".join(html.escape(name) for name in model_names(run.points))
    frames = sum(reference.frame_count for reference in run.references)
    count = len(run.references)
    codecs = ", ".join(run.settings.codecs)
    return (
        f"<p class=lead>{models} against {codecs} at full size and bicubic enlargement, on {count} "
        f"clip{'s' * (count > 1)} of {frames} frames in all.</p>{sections.findings(subject)}"
    )


def _sections_of(subject: Subject, trained: dict[str, int], several: bool) -> list[Section]:
    """The parts about one codec."""
    codec = subject.codec
    behind = f", {codec}" if several else ""
    of_clips = "".join(
        f"<details><summary>{html.escape(clip)}</summary>"
        f"{sections.curve_charts(subject, clip)}</details>"
        for clip in subject.clips()
    )
    pooled = sections.curve_legend(subject) + sections.curve_charts(subject, POOLED)
    made = [
        ("curves", "Quality over bitrate", f"{pooled}<h3>Clip by clip</h3>{of_clips}"),
        ("equivalent", "Equivalent bitrate", _about_equivalents + sections.equivalency(subject)),
        ("bd", "BD-rate", sections.bd_rates(subject)),
        ("clips", "Every clip at one bitrate", _about_tables + sections.clip_tables(subject)),
        ("stages", "What each stage adds", sections.stages(subject)),
        ("plane", "Perception and distortion", sections.perception_plane(subject)),
    ]
    if trained:
        made.append(("training", "Training bitrate", sections.training(subject, trained)))
    return [Section(f"{key}-{codec}", title + behind, body) for key, title, body in made]


_about_equivalents = (
    "<p>The bitrate at which the codec at full size has the same score, by monotone interpolation "
    "over the logarithm of its measured bitrate. Nothing is extrapolated: &lt; and &gt; are bounds "
    "where clips lie outside the codec's ladder.</p>"
)
_about_tables = (
    "<p>Bold is best, underlined second. LPIPS is ten times as large, as in the paper.</p>"
)


def _how(run: FinishedRun) -> str:
    settings = run.settings
    step = settings.frame_step
    scored = f"frames 0, {step}, {2 * step} and so on (VMAF: of all)" if step > 1 else "all frames"
    clips = [
        [
            html.escape(one.name),
            f"{one.width}x{one.height}",
            f"{float(one.fps):.4g}",
            str(one.frame_count),
            f"<code>{one.source_sha256[:16]}</code>",
        ]
        for one in run.references
    ]
    header = ["clip", "pixels", "frames/s", "frames", "SHA-256 of the source begins"]
    models = [
        [html.escape(name), f"<code>{html.escape(run.curves[name]['params'][:16])}</code>"]
        for name in model_names(run.points)
    ]
    metrics = ", ".join(html.escape(METRICS[metric].title) for metric in settings.metrics)
    parts = [
        f"<p>Metrics: {metrics}; of {scored}. "
        "Bitrates are those of the video packets over the playing time; encoders had one pass and "
        "only a target bitrate.</p>",
        html_tables.plain_table("Clips", header, clips),
        html_tables.plain_table("Models", ["model", "SHA-256 of its parameters begins"], models),
        html_tables.plain_table(
            "Encoders", ["codec", "command, an example"], _commands(run), "prose"
        ),
    ]
    if run.remarks:
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in run.remarks)
        parts.append(
            f"<details><summary>Notes on the curves ({len(run.remarks)})</summary>"
            f"<ul>{lines}</ul></details>"
        )
    return "".join(parts)


def _commands(run: FinishedRun) -> list[list[str]]:
    """One encode's command a codec, its paths left out."""
    found: dict[str, list[str]] = {}
    for path in sorted((run.workspace.root / "encodes").glob("*.json")):
        known = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(known["codec"], known["command"])
    return [
        [html.escape(codec), f"<code>{html.escape(_without_paths(found[codec]))}</code>"]
        for codec in names(run.points, "codec")
        if codec in found
    ]


def _without_paths(command: Sequence[str]) -> str:
    return " ".join("FILE" if word.startswith("file:") else word for word in command)
