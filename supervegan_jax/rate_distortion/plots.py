"""Curves to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.rate_distortion.curves import (
    EQUIVALENT_PLOT,
    POOLED,
    POOLED_PLOT,
    EquivalentRow,
    Point,
    comparable,
    label,
    names,
    pool_points,
    select,
)
from supervegan_jax.rate_distortion.settings import BICUBIC, CODEC
from supervegan_jax.video.encoder import CODECS
from supervegan_jax.video.writer import temporary_name

# Colours that are told apart by colour-blind readers and in print (Okabe and Ito 2008).
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Of networks and their stages A; the next ones when the colours have been used up.
_MARKERS: Final = (("D", "^"), ("o", "v"), ("X", "<"), ("P", ">"))
_AXES: Final = (("measured_kbps", "measured kbit/s"), ("bits_per_pixel", "bits per pixel"))


def draw_all(
    points: Sequence[Point],
    rows: Sequence[EquivalentRow],
    metrics: Sequence[str],
    folder: Path,
) -> list[Path]:
    """Draws the mean curves, every clip's and the equivalent bitrates of every codec.

    Removes those of earlier runs that it did not draw anew, of a clip that is no part of this one.

    Returns:
      The PNG files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    pooled = pool_points(points)
    for codec in names(points, "codec"):
        for clip in (POOLED, *names(points, "clip")):
            some = select([*points, *pooled], codec=codec, clip=clip)
            name = POOLED_PLOT if clip == POOLED else clip
            path = folder / f"{codec}_{name}.png"
            count = len(names(points, "clip"))
            of_all = f"{codec}, mean of {count} clip{'s' * (count > 1)}"
            title = of_all if clip == POOLED else f"{codec}, {clip}"
            draw_curves(some, metrics, title, path)
            written.append(path)
        path = folder / f"{codec}_{EQUIVALENT_PLOT}.png"
        _draw_equivalents([row for row in rows if row.codec == codec], metrics, codec, path)
        written.append(path)
    for stale in set(list_drawn(folder)) - set(written):
        stale.unlink()
    return written


def list_drawn(folder: Path) -> list[Path]:
    """The plots of runs, whatever clips they had; files of other names are the user's own."""
    return [path for codec in CODECS for path in sorted(folder.glob(f"{codec}_*.png"))]


def new_figure(rows: int, columns: int) -> tuple[Any, Any]:
    """A figure and its axes, [rows, columns]."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained", dpi=110)
    return figure, figure.subplots(rows, columns, squeeze=False)


def legend_below(figure: Any, axis: Any) -> None:
    """Names what `axis` shows below the figure, made taller so that the axes keep their size."""
    handles, labels = axis.get_legend_handles_labels()
    room = 0.98 * figure.bbox.width
    for columns in range(len(labels), 0, -1):
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        extent = legend.get_window_extent()
        if extent.width <= room or columns == 1:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)


def save_figure(figure: Any, path: Path) -> None:
    """Writes a PNG that appears complete or not at all."""
    temporary = temporary_name(path)
    try:
        figure.savefig(temporary, format="png")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def style_of(curve: str, order: Sequence[str]) -> dict[str, Any]:
    """How a curve is drawn among the curves of `order`."""
    if curve == CODEC:
        return {"color": "black", "marker": "o", "linestyle": "-"}
    if curve.startswith(BICUBIC):
        dotted = ":" if curve == BICUBIC or curve.endswith("x4") else "-."
        return {"color": "gray", "marker": "s", "linestyle": dotted}
    models = list(dict.fromkeys(name.removesuffix(":a") for name in order if name != CODEC))
    models = [name for name in models if not name.startswith(BICUBIC)]
    turn, place = divmod(models.index(curve.removesuffix(":a")), len(_COLOURS))
    whole, stage_a = _MARKERS[turn % len(_MARKERS)]
    if curve.endswith(":a"):
        return {"color": _COLOURS[place], "marker": stage_a, "linestyle": "--"}
    return {"color": _COLOURS[place], "marker": whole, "linestyle": "-"}


def draw_curves(points: Sequence[Point], metrics: Sequence[str], title: str, path: Path) -> None:
    """Draws the curves of one clip or mean: every metric against kbit/s and bits per pixel.

    Scores that are not `comparable` are left out.
    """
    points = comparable(points)
    figure, axes = new_figure(len(_AXES), len(metrics))
    order = names(points, "curve")
    for row, (field, title_of_axis) in enumerate(_AXES):
        for column, metric in enumerate(metrics):
            axis = axes[row][column]
            for curve in order:
                some = [p for p in select(points, curve=curve) if p.scores[metric] is not None]
                axis.plot(
                    [getattr(point, field) for point in some],
                    [point.scores[metric] for point in some],
                    label=label(curve, points[0].codec),
                    markersize=4,
                    linewidth=1.4,
                    **style_of(curve, order),
                )
            log_axis(axis, title_of_axis)
            better = "higher" if METRICS[metric].higher_is_better else "lower"
            axis.set_ylabel(f"{METRICS[metric].title}, {better} is better")
    figure.suptitle(title)
    legend_below(figure, axes[0][0])
    save_figure(figure, path)


def log_axis(axis: Any, title: str) -> None:
    """Makes the x axis one of bitrates."""
    axis.set_xscale("log")
    axis.set_xlabel(title)
    axis.grid(True, which="major", alpha=0.3)
    plain_numbers(axis.xaxis)


def plain_numbers(axis: Any) -> None:
    """Labels a logarithmic axis 1, 2, 5, 10, 20, .. instead of by powers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _draw_equivalents(
    rows: Sequence[EquivalentRow], metrics: Sequence[str], codec: str, path: Path
) -> None:
    """Equivalent over own bitrate (Fig. 17): above the diagonal, bits are saved."""
    figure, axes = new_figure(1, len(metrics))
    order = list(dict.fromkeys(row.curve for row in rows))
    for column, metric in enumerate(metrics):
        axis = axes[0][column]
        for curve in order:
            some = [r for r in rows if (r.curve, r.metric) == (curve, metric)]
            _plot_equivalents(axis, some, style_of(curve, order), label(curve, codec))
        measured = [row.measured_kbps for row in rows]
        ends = (min(measured, default=100), max(measured, default=1000))
        axis.plot(ends, ends, color="black", linewidth=0.8, label="no gain")
        log_axis(axis, _AXES[0][1])
        axis.set_yscale("log")
        plain_numbers(axis.yaxis)
        axis.set_ylabel(f"{codec} at full size, kbit/s")
        axis.set_title(f"with the same {METRICS[metric].title}", fontsize=10)
    figure.suptitle(f"Equivalent bitrate of {codec}: mean over clips, 95 % interval")
    legend_below(figure, axes[0][0])
    save_figure(figure, path)


def _plot_equivalents(
    axis: Any, rows: Sequence[EquivalentRow], style: dict[str, Any], label: str
) -> None:
    known = [(row, row.pooled) for row in rows if row.pooled is not None]
    exact = [(r, p) for r, p in known if p.bound == "=" and p.kbps is not None]
    axis.plot(
        [row.measured_kbps for row, _ in exact],
        [pooled.kbps for _, pooled in exact],
        label=label,
        markersize=4,
        linewidth=1.4,
        **style,
    )
    spread = [(r, p) for r, p in exact if p.low is not None and p.high is not None]
    rates = [row.measured_kbps for row, _ in spread]
    lows, highs = ([getattr(p, end) for _, p in spread] for end in ("low", "high"))
    if len(spread) > 1:
        axis.fill_between(rates, lows, highs, color=style["color"], alpha=0.15, linewidth=0)
    else:
        axis.vlines(rates, lows, highs, color=style["color"], alpha=0.4)
