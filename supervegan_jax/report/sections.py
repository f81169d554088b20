"""The parts of the page that are drawn from points: findings, curves, tables, planes."""

import dataclasses
import html
from collections.abc import Sequence

from supervegan_jax.evaluation.equivalency import Pooled
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.experiments import plane, training_bitrate
from supervegan_jax.experiments.stages import stage_table
from supervegan_jax.rate_distortion import curves
from supervegan_jax.rate_distortion.clip_table import ClipTable, make_table, table_title
from supervegan_jax.rate_distortion.curves import POOLED, Point, label, model_names, names, select
from supervegan_jax.rate_distortion.settings import CODEC
from supervegan_jax.report import html_tables
from supervegan_jax.report.charts import Axis, Look, Series, chart, legend, look_of

_RATE = "measured kbit/s"
_FRONT = Look("bicubic", "front")
# What lies in the plane, the first of each that was measured.
DISTORTIONS, PERCEPTIONS = ("rmse", "psnr_y", "psnr"), ("pi", "niqe", "lpips", "lpips_vgg")


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a page is about.

    Attributes:
      points: of all clips and codecs.
      metrics: keys of `METRICS`.
      codec: of the bits in this part of the page.
      kbps: target bitrate of tables and pictures that show only one.
    """

    points: list[Point]
    metrics: tuple[str, ...]
    codec: str
    kbps: int

    def all_points(self) -> list[Point]:
        """Those of the codec, the means after the clips, with their `comparable` scores."""
        everything = [*curves.comparable(self.points), *curves.pool_points(self.points)]
        return [point for point in everything if point.codec == self.codec]

    def order(self) -> list[str]:
        """The curves."""
        return names(self.points, "curve")

    def clips(self) -> list[str]:
        """The clips."""
        return names(self.points, "clip")


def findings(subject: Subject) -> str:
    """One sentence a network and metric: which bitrate of the codec its picture is worth."""
    ours = [p for p in subject.points if p.codec == subject.codec]
    rows = curves.equivalents(ours, subject.metrics)
    items = []
    for model in model_names(subject.points):
        for row in rows:
            if (row.curve, row.target_kbps) == (model, subject.kbps) and row.pooled is not None:
                title = html.escape(METRICS[row.metric].title)
                items.append(f"<li><b>{title}</b>: {_worth(row, row.pooled)}</li>")
    return f"<ul class=findings>{''.join(items)}</ul>"


def _worth(row: curves.EquivalentRow, pooled: Pooled) -> str:
    codec = f"{row.codec} at full size"
    start = f"{html.escape(row.curve)} from {row.measured_kbps:.0f} kbit/s"
    if row.shortfall:
        start += f" (in {len(row.of_clips)} of {row.clips} clips)"
    if pooled.kbps is None:
        count = pooled.below + pooled.inside + pooled.beyond
        return (
            f"{start} is below the whole ladder of {codec} in {pooled.below} of {count} clips and "
            f"beyond it in {pooled.beyond}"
        )
    if not pooled.inside:
        side = "worse" if pooled.below else "better"
        return f"{start} scores {side} than {codec} with {pooled.kbps:.0f} kbit/s, its ladder's end"
    words = {"=": "", "<": "at most ", ">": "at least "}[pooled.bound]
    interval = ""
    if pooled.low is not None and pooled.high is not None:
        interval = f" (95 % of resampled clips: {pooled.low:.0f} to {pooled.high:.0f})"
    times = f"{pooled.kbps / row.measured_kbps:.2f}"
    return (
        f"{start} scores like {codec} with {words}<b>{pooled.kbps:.0f} kbit/s</b>{interval}, "
        f"{words}{times} times its own"
    )


def curve_charts(subject: Subject, clip: str) -> str:
    """Every metric of one clip, or of the mean, over kbit/s and bits per pixel."""
    some = select(subject.all_points(), clip=clip)
    order = subject.order()
    # Of one clip they are proportional, and so are their means over the same clips.
    factor = some[0].bits_per_pixel / some[0].measured_kbps
    charts = []
    for metric in subject.metrics:
        series = []
        for curve in order:
            ours = [
                (p.measured_kbps, value)
                for p in select(some, curve=curve)
                if (value := p.scores[metric]) is not None
            ]
            name = label(curve, subject.codec)
            series.append(Series(name, look_of(curve, order), tuple(ours)))
        better = "higher" if METRICS[metric].higher_is_better else "lower"
        y_axis = Axis(METRICS[metric].title, better=better)
        name = f"{subject.codec}, {clip}"
        top = (factor, "bits per pixel")
        charts.append(chart(name, series, Axis(_RATE, log=True), y_axis, top=top))
    return f"<div class=charts>{''.join(charts)}</div>"


def curve_legend(subject: Subject, left_out: str = "") -> str:
    """The curves of the run, perhaps but for one."""
    order = subject.order()
    shown = [curve for curve in order if curve != left_out]
    return legend([(label(curve, subject.codec), look_of(curve, order)) for curve in shown])


def equivalency(subject: Subject) -> str:
    """Equivalent bitrates: charts over the own bitrate, the table, and clip by clip."""
    ours = [p for p in subject.points if p.codec == subject.codec]
    rows = curves.equivalents(ours, subject.metrics)
    order = subject.order()
    charts = []
    for metric in subject.metrics:
        series = [
            _equivalent_series([r for r in rows if (r.metric, r.curve) == (metric, curve)], order)
            for curve in order
            if curve != CODEC
        ]
        y_axis = Axis(f"kbit/s with equal {METRICS[metric].title}", log=True)
        name = f"Equivalent bitrate of {subject.codec}"
        charts.append(chart(name, series, Axis(_RATE, log=True), y_axis, diagonal=True))
    table = html_tables.equivalent_table(rows, subject.codec, subject.metrics)
    of_clips = [
        html_tables.equivalent_clips(rows, subject.codec, metric, subject.clips())
        for metric in subject.metrics
    ]
    return (
        f"{curve_legend(subject, CODEC)}<div class=charts>{''.join(charts)}</div>"
        f"<p class=muted>Thin line: no gain. Bands: 95 % intervals over clips, of whole "
        f"networks; the table has all.</p>{table}"
        f"<details><summary>Clip by clip</summary>{''.join(of_clips)}</details>"
    )


def _equivalent_series(rows: Sequence[curves.EquivalentRow], order: Sequence[str]) -> Series:
    curve = rows[0].curve
    look = look_of(curve, order)
    points, band = [], []
    for row in rows:
        pooled = row.pooled
        # Bounds are no points of the curve.
        if pooled is None or pooled.kbps is None or pooled.bound != "=":
            continue
        points.append((row.measured_kbps, pooled.kbps))
        # Of whole networks alone: more bands over one another could not be told apart.
        if look.kind == "model" and pooled.low is not None and pooled.high is not None:
            band.append((row.measured_kbps, pooled.low, pooled.high))
    return Series(label(curve, rows[0].codec), look, tuple(points), tuple(band))


def bd_rates(subject: Subject) -> str:
    """BD-rates of the means, and clip by clip."""
    ours = [p for p in subject.points if p.codec == subject.codec]
    rows = curves.bd_rates(ours, subject.metrics)
    if not rows:
        return "<p>A BD-rate needs two bitrates of what is enlarged; there is one.</p>"
    tables = {
        clip: html_tables.bd_table(rows, subject.codec, subject.metrics, clip)
        for clip in (POOLED, *subject.clips())
    }
    pooled = tables.pop(POOLED)
    of_clips = "".join(tables.values())
    return f"{pooled}<details><summary>Clip by clip</summary>{of_clips}</details>"


def clip_tables(subject: Subject) -> str:
    """Clips against curves at every bitrate that went into networks."""
    models = model_names(subject.points)
    ours = [p for p in subject.points if p.codec == subject.codec]
    targets = sorted({p.target_kbps for p in ours if p.curve in models})
    parts = []
    for kbps in targets:
        tables = "".join(_clip_table(ours, subject, kbps, metric) for metric in subject.metrics)
        is_open = " open" if kbps == subject.kbps else ""
        parts.append(f"<details{is_open}><summary>{kbps} kbit/s</summary>{tables}</details>")
    return "".join(parts)


def _clip_table(points: Sequence[Point], subject: Subject, kbps: int, metric: str) -> str:
    """One metric's table, which its caption names instead of every column."""
    table = make_table(points, codec=subject.codec, kbps=kbps, metrics=(metric,))
    title = table_title(metric)
    header = tuple(one.removesuffix(f", {title}") for one in table.header)
    named = dataclasses.replace(table, title=f"{title}, {table.title}", header=header)
    return html_tables.of_clip_table(named)


def stages(subject: Subject) -> str:
    """What each stage of the networks adds."""
    table = stage_table(subject.points, codec=subject.codec, kbps=None, metrics=subject.metrics)
    return html_tables.of_clip_table(table)


def plane_axes(metrics: Sequence[str]) -> tuple[str, str] | None:
    """The distortion and the perceptual metric of the plane; None if there is no such pair."""
    distortion = next((metric for metric in DISTORTIONS if metric in metrics), None)
    perception = next((metric for metric in PERCEPTIONS if metric in metrics), None)
    return None if distortion is None or perception is None else (distortion, perception)


def perception_plane(subject: Subject) -> str:
    """Distortion against perceptual quality at one bitrate, as a chart and a table."""
    means = select(subject.all_points(), clip=POOLED, target_kbps=subject.kbps)
    known = [m for m in subject.metrics if any(p.scores[m] is not None for p in means)]
    axes = plane_axes(known)
    if axes is None:
        return (
            "<p>The run has no pair of means of a distortion and a perceptual metric; "
            "<code>rd --metrics rmse,niqe</code> adds one.</p>"
        )
    made = plane.make_plane(
        subject.points,
        codec=subject.codec,
        kbps=subject.kbps,
        distortion=axes[0],
        perception=axes[1],
    )
    order = subject.order()
    titles = [METRICS[metric].title for metric in axes]
    better = ["higher" if METRICS[m].higher_is_better else "lower" for m in axes]
    front = sorted((p.distortion, p.perception) for p in made.points if p.on_front)
    # The front first, under the marks.
    series = [Series("Pareto front", _FRONT, tuple(front))]
    series += [
        Series(
            label(p.curve, subject.codec),
            look_of(p.curve, order),
            ((p.distortion, p.perception),),
            joined=False,
        )
        for p in made.points
    ]
    x_axis = Axis(f"{titles[0]}, {better[0]} is better")
    name = f"{subject.codec} at {subject.kbps} kbit/s"
    drawn = chart(name, series, x_axis, Axis(titles[1], better=better[1]))
    rows = [
        [
            html.escape(label(p.curve, subject.codec)),
            f"{p.measured_kbps:.0f}",
            f"{p.distortion:.{METRICS[axes[0]].digits}f}",
            f"{p.perception:.{METRICS[axes[1]].digits}f}",
            "yes" if p.on_front else "no",
        ]
        for p in made.points
    ]
    header = ["curve", _RATE, *map(html.escape, titles), "on the front"]
    table = html_tables.plain_table(f"{html.escape(name)}: mean over clips", header, rows)
    shown = [("Pareto front", _FRONT)]
    shown += [(label(p.curve, subject.codec), look_of(p.curve, order)) for p in made.points]
    return f"<div class=charts>{drawn}</div>{legend(shown)}{table}"


def training(subject: Subject, trained: dict[str, int]) -> str:
    """Networks trained at different bitrates against one another."""
    found = training_bitrate.effects(
        subject.points, trained, codec=subject.codec, metrics=subject.metrics
    )
    order = list(trained)
    charts = []
    for metric in subject.metrics:
        some = [effect for effect in found if effect.metric == metric]
        series = []
        for name, kbps in trained.items():
            ours = [e for e in some if name in e.of_models]
            points = tuple((e.measured_kbps, e.of_models[name]) for e in ours)
            # The spread of all networks of the scale lies behind the first one's line.
            first = next(iter(ours[0].of_models))
            band = tuple((e.measured_kbps, e.low, e.high) for e in ours) if name == first else ()
            title = f"{name}, trained at {kbps} kbit/s"
            look = look_of(name, order)
            series.append(Series(title, look, points, band))
        better = "higher" if METRICS[metric].higher_is_better else "lower"
        y_axis = Axis(METRICS[metric].title, better=better)
        charts.append(chart("Training bitrate", series, Axis(_RATE, log=True), y_axis))
    entries = [(f"{n}, trained at {k} kbit/s", look_of(n, order)) for n, k in trained.items()]
    tables = map(html_tables.of_clip_table, training_bitrate.to_tables(found, trained))
    return f"<div class=charts>{''.join(charts)}</div>{legend(entries)}{''.join(tables)}"


def runtime(table: ClipTable) -> str:
    """A benchmark."""
    return html_tables.of_clip_table(table)
