"""What the bitrate of the training data does: one curve a network (Fig. 13)."""

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from supervegan_jax.evaluation.bootstrap import mean_interval
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.experiments.findings import BETTER, Finding
from supervegan_jax.experiments.gains import scores_of
from supervegan_jax.rate_distortion import plots
from supervegan_jax.rate_distortion.clip_table import Cell, ClipTable, rank_scores, table_title
from supervegan_jax.rate_distortion.curves import Point, model_names, names, pool_points, select


@dataclasses.dataclass(frozen=True)
class Effect:
    """The networks of one scale at one bitrate of their input.

    Attributes:
      codec, metric, scale, target_kbps: which.
      measured_kbps: geometric mean over clips.
      of_models: by name, means over clips.
      mean, low, high: over the networks, all of which count alike.
    """

    codec: str
    metric: str
    scale: int
    target_kbps: int
    measured_kbps: float
    of_models: dict[str, float]
    mean: float
    low: float
    high: float


def read_trained(text: str, points: Sequence[Point]) -> dict[str, int]:
    """The training bitrates (kbit/s) by network of "NAME=250,OTHER=500".

    Raises:
      ValueError: something else, a network that the run does not have, or fewer than two.
    """
    known, trained = model_names(points), {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = part.rpartition("=")
        if name not in known:
            raise ValueError(f"trained {part!r}; NAME=KBPS of {', '.join(known)} is accepted")
        if not number.isdecimal() or int(number) < 1:
            raise ValueError(f"trained {part!r}; a whole number of kbit/s is needed behind =")
        trained[name] = int(number)
    if len(trained) < 2:
        raise ValueError(f"trained {text!r}; at least two networks are needed to compare")
    return dict(sorted(trained.items(), key=lambda pair: pair[1]))


def effects(
    points: Sequence[Point], trained: Mapping[str, int], *, codec: str, metrics: Sequence[str]
) -> list[Effect]:
    """Compares networks at every bitrate of their input.

    Raises:
      ValueError: the run has no such codec or metric, or a network has no value.
    """
    pooled = [p for p in select(pool_points(points), codec=codec) if p.curve in trained]
    if not pooled:
        raise ValueError(f"codec {codec!r}; this run has {', '.join(names(points, 'codec'))}")
    found = []
    for metric in metrics:
        if metric not in pooled[0].scores:
            known = ", ".join(pooled[0].scores)
            raise ValueError(f"metric {metric!r}; this run has {known}")
        for scale in sorted(set(names(pooled, "scale"))):
            for kbps in names(select(pooled, scale=scale), "target_kbps"):
                here = select(pooled, scale=scale, target_kbps=kbps)
                found.append(_effect(here, trained, metric))
    return found


def _effect(points: Sequence[Point], trained: Mapping[str, int], metric: str) -> Effect:
    values = {}
    for name in trained:
        for point in select(points, curve=name):
            value = point.scores[metric]
            if value is None:
                raise ValueError(f"{name} has no {metric} at {point.target_kbps} kbit/s")
            values[name] = value
    first = points[0]
    mean = math.fsum(values.values()) / len(values)
    low, high = min(values.values()), max(values.values())
    where = (first.codec, metric, first.scale, first.target_kbps, first.measured_kbps)
    return Effect(*where, values, mean, low, high)


def findings(points: Sequence[Point], found: Sequence[Effect]) -> list[Finding]:
    """What networks say about the paper's findings, which are of LPIPS (V-F3).

    The training bitrate matters little: from the worst network of a scale to the best less than
    twice the input's bitrate, for the mean of the networks. At the highest bitrate the worst
    network of 2x has a lower LPIPS than the best of 4x. Best and worst are those of the mean over
    clips, and of two networks at least.

    Args:
      points: of the run.
      found: their effects.

    Raises:
      ValueError: a clip has no finite score.
    """
    some = [e for e in found if e.metric == "lpips" and len(e.of_models) > 1]
    some.sort(key=lambda effect: (-effect.scale, effect.target_kbps))
    claims = []
    for here, above in itertools.combinations(some, 2):
        if here.scale == above.scale and above.target_kbps == 2 * here.target_kbps:
            low, high = _scores(points, here), _scores(points, above)
            best, worst = _ends(here)
            step = np.mean([high[name] - low[name] for name in low], axis=0)
            gain = mean_interval(step - (low[best] - low[worst]))
            claim = (
                f"the training bitrate matters less than {above.target_kbps} for "
                f"{here.target_kbps} kbit/s"
            )
            claims.append(Finding(claim, "lpips", here.scale, gain, BETTER["lpips"]))
    pairs = [(t, f) for t in some for f in some if (t.scale, f.scale) == (2, 4)]
    pairs = [(two, four) for two, four in pairs if two.target_kbps == four.target_kbps]
    if pairs:
        two, four = max(pairs, key=lambda pair: pair[0].target_kbps)
        worst, best = _ends(two)[1], _ends(four)[0]
        gain = mean_interval(_scores(points, two)[worst] - _scores(points, four)[best])
        claim = f"at {two.target_kbps} kbit/s the worst has a lower LPIPS than the best of 4x"
        claims.append(Finding(claim, "lpips", 2, gain, BETTER["lpips"]))
    return claims


def _ends(effect: Effect) -> tuple[str, str]:
    """The networks with the lowest and the highest mean."""
    ranked = sorted(effect.of_models, key=lambda name: effect.of_models[name])
    return ranked[0], ranked[-1]


def _scores(points: Sequence[Point], effect: Effect) -> dict[str, np.ndarray]:
    """[clips] of each network."""
    ours, codec = list(effect.of_models), effect.codec
    kbps, metric = effect.target_kbps, effect.metric
    scores = scores_of(points, ours, codec=codec, kbps=kbps, metric=metric)
    return dict(zip(ours, scores, strict=True))


def to_table(found: Sequence[Effect], trained: Mapping[str, int]) -> ClipTable:
    """One row an input bitrate and scale, one column a network, the best of a row marked."""
    rows = []
    for effect in found:
        scores = [effect.of_models.get(name) for name in trained]
        ends = rank_scores(effect.metric, (effect.mean, effect.low, effect.high))
        cells = (*rank_scores(effect.metric, scores), *(Cell(one.text) for one in ends))
        title = f"{table_title(effect.metric)}, {effect.scale}x, {effect.measured_kbps:.0f} kbit/s"
        rows.append((title, cells))
    columns = [f"{name}, trained at {kbps} kbit/s" for name, kbps in trained.items()]
    header = ("metric and input", *columns, "mean", "lowest", "highest")
    return ClipTable(f"{found[0].codec}: effect of the training bitrate", header, tuple(rows))


def to_tables(found: Sequence[Effect], trained: Mapping[str, int]) -> tuple[ClipTable, ...]:
    """`to_table` of each scale, with the columns of its own networks alone."""
    tables = []
    for scale in sorted({effect.scale for effect in found}):
        some = [effect for effect in found if effect.scale == scale]
        ours = {name: kbps for name, kbps in trained.items() if name in some[0].of_models}
        tables.append(to_table(some, ours))
    return tuple(tables)


def to_json(found: Sequence[Effect], trained: Mapping[str, int], claims: Sequence[Finding]) -> str:
    """{"version", "trained_kbps": {name: kbps}, "effects": [fields of `Effect`], "findings"}."""
    content = {
        "version": 1,
        "trained_kbps": dict(trained),
        "effects": [dataclasses.asdict(effect) for effect in found],
        "findings": [claim.to_json() for claim in claims],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def draw(found: Sequence[Effect], trained: Mapping[str, int], path: Path) -> None:
    """Draws each network's curve, and the spread of each scale as a band, as a PNG."""
    metrics = list(dict.fromkeys(effect.metric for effect in found))
    figure, axes = plots.new_figure(1, len(metrics))
    for axis, metric in zip(axes[0], metrics, strict=True):
        some = [effect for effect in found if effect.metric == metric]
        _draw_metric(axis, some, trained)
        plots.log_axis(axis, "measured kbit/s of the input")
        better = "higher" if METRICS[metric].higher_is_better else "lower"
        axis.set_ylabel(f"{METRICS[metric].title}, {better} is better")
    figure.suptitle(f"{found[0].codec}: effect of the training bitrate")
    plots.legend_below(figure, axes[0][0])
    plots.save_figure(figure, path)


def _draw_metric(axis: Any, found: Sequence[Effect], trained: Mapping[str, int]) -> None:
    for scale in dict.fromkeys(effect.scale for effect in found):
        some = [effect for effect in found if effect.scale == scale]
        rates = [effect.measured_kbps for effect in some]
        low, high = [effect.low for effect in some], [effect.high for effect in some]
        axis.fill_between(rates, low, high, alpha=0.15, color="gray", linewidth=0)
    for name, kbps in trained.items():
        some = [effect for effect in found if name in effect.of_models]
        axis.plot(
            [effect.measured_kbps for effect in some],
            [effect.of_models[name] for effect in some],
            label=f"{name}, trained at {kbps} kbit/s",
            markersize=4,
            linewidth=1.4,
            **plots.style_of(name, list(trained)),
        )
