"""Figures: votes and how they are read (Fig. 16), equivalent bitrates (Figs. 17 and 18)."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.rate_distortion.plots import (
    log_axis,
    new_figure,
    plain_numbers,
    save_figure,
    style_of,
)
from supervegan_jax.study.analysis.equivalency import Equivalency
from supervegan_jax.study.analysis.results import Analysis

_MODEL, _REFERENCE = "#0072B2", "#E69F00"


def draw_all(analysis: Analysis, folder: Path) -> list[Path]:
    """Draws the votes of every condition, and the equivalent bitrates.

    Returns:
      The PNG files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for row in analysis.equivalencies:
        model = re.sub(r"[^\w.-]", "_", row.condition.model).lstrip(".")
        path = folder / f"votes_{model}_{row.condition.input_kbps:g}.png"
        draw_votes(row, path)
        written.append(path)
    written.append(folder / "equivalent.png")
    draw_equivalents(analysis, written[-1])
    return written


def draw_votes(row: Equivalency, path: Path) -> None:
    """Draws the votes under one condition, and how the 50 % point is read off them (Fig. 16)."""
    figure, axes = new_figure(1, 2)
    _draw_distribution(axes[0][0], row)
    axis = axes[0][1]
    rates, votes = np.array(row.references), np.array(row.votes)
    sizes = 20 + 80 * votes / votes.max()
    axis.scatter(rates, row.shares, s=sizes, color=_REFERENCE, zorder=3, label="share of votes")
    if row.curve is not None:
        fine = np.geomspace(rates[0], rates[-1], 200)
        axis.plot(fine, row.curve.preference(fine), color="black", label="fitted")
    _draw_reading(axis, row)
    axis.axhline(0.5, color="gray", linewidth=0.8, linestyle="--")
    log_axis(axis, "H.264 at full size, kbit/s")
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("prefer the reference")
    axis.legend(fontsize=8)
    figure.suptitle(str(row.condition))
    save_figure(figure, path)


def _draw_distribution(axis: Any, row: Equivalency) -> None:
    places = np.arange(len(row.references))
    preferred = np.array(row.preferred)
    axis.bar(places - 0.2, np.array(row.votes) - preferred, 0.4, color=_MODEL, label="model")
    axis.bar(places + 0.2, preferred, 0.4, color=_REFERENCE, label="reference")
    axis.set_xticks(places, [f"{rate:g}" for rate in row.references], rotation=45)
    axis.set_xlabel("H.264 at full size, kbit/s")
    axis.set_ylabel("votes for")
    axis.legend(fontsize=8)


def _draw_reading(axis: Any, row: Equivalency) -> None:
    place, low, high = row.equivalent, row.low, row.high
    if place is None or low is None or high is None:
        return
    if low.kbps is not None or high.kbps is not None or place.kbps is not None:
        ends = (low.kbps or row.references[0], high.kbps or row.references[-1])
        axis.axvspan(*ends, color="gray", alpha=0.2, linewidth=0, label="interval")
    if place.kbps is None:
        axis.set_title(f"50 % lies {place}", fontsize=10)
        return
    axis.plot([place.kbps, place.kbps], [0, 0.5], color="black", linestyle=":")
    axis.set_title(f"equivalent: {place} kbit/s", fontsize=10)


def draw_equivalents(analysis: Analysis, path: Path) -> None:
    """Draws equivalent over input bitrate: people by model, and each model beside the metrics.

    Points whose bitrate lies beyond the ladder are left out.
    """
    models = list(dict.fromkeys(row.condition.model for row in analysis.equivalencies))
    beside = models if analysis.metric_equivalents else []
    figure, axes = new_figure(1, 1 + len(beside))
    for model in models:
        _draw_people(axes[0][0], analysis, model, style_of(model, models), model)
    axes[0][0].set_title("according to people", fontsize=10)
    for axis, model in zip(axes[0][1:], beside, strict=True):
        black = {"color": "black", "marker": "o", "linestyle": "-"}
        _draw_people(axis, analysis, model, black, "people")
        metrics = list(analysis.metric_equivalents)
        for metric in metrics:
            _draw_metric(axis, analysis, model, metric, style_of(metric, metrics))
        axis.set_title(model, fontsize=10)
    inputs = [row.condition.input_kbps for row in analysis.equivalencies]
    ends = (min(inputs), max(inputs))
    for axis in axes[0]:
        axis.plot(ends, ends, color="gray", linewidth=0.8, label="no gain")
        log_axis(axis, "input, kbit/s")
        axis.set_yscale("log")
        plain_numbers(axis.yaxis)
        axis.set_ylabel("equivalent H.264 at full size, kbit/s")
        axis.legend(fontsize=8)
    figure.suptitle(f"Equivalent bitrate, {100 * analysis.options.confidence:g} % interval")
    save_figure(figure, path)


def _draw_people(
    axis: Any, analysis: Analysis, model: str, style: dict[str, Any], label: str
) -> None:
    found = []
    for row in analysis.equivalencies:
        place, low, high = row.equivalent, row.low, row.high
        if row.condition.model != model or place is None or low is None or high is None:
            continue
        if place.kbps is not None:
            ends = (low.kbps or row.references[0], high.kbps or row.references[-1])
            found.append((row.condition.input_kbps, place.kbps, *ends))
    if found:
        inputs, middle, low_ends, high_ends = map(np.array, zip(*found, strict=True))
        bars = [middle - low_ends, high_ends - middle]
        axis.errorbar(inputs, middle, bars, label=label, markersize=4, capsize=2, **style)


def _draw_metric(
    axis: Any, analysis: Analysis, model: str, metric: str, style: dict[str, Any]
) -> None:
    exact = [
        (condition.input_kbps, pooled.kbps)
        for condition, pooled in sorted(analysis.metric_equivalents[metric].items())
        if condition.model == model and pooled.bound == "=" and pooled.kbps is not None
    ]
    if exact:
        inputs, values = zip(*exact, strict=True)
        title = METRICS[metric].title
        axis.plot(inputs, values, label=title, markersize=4, linewidth=1.2, **style)
