"""What an analysis found, as JSON and as tables."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from supervegan_jax.evaluation.equivalency import Pooled
from supervegan_jax.evaluation.results import format_columns
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.study.analysis.ballots import Condition
from supervegan_jax.study.analysis.bradley_terry import REFERENCE, Score
from supervegan_jax.study.analysis.equivalency import Equivalency, Options, Place
from supervegan_jax.study.analysis.prediction import MEASURES, Prediction
from supervegan_jax.study.analysis.screening import Screening

_SHOWN_DROPPED = 10


@dataclasses.dataclass(frozen=True)
class Analysis:
    """Everything.

    Attributes:
      options: how it was analysed.
      screening: who was left out.
      observers, clips, votes: numbers of those analysed.
      equivalencies: by condition.
      scores: of Bradley and Terry; empty if there are none.
      metric_equivalents: by metric and condition, of a rate-distortion run; empty without one.
      predictions: of the votes by its metrics.
      notes: what a reader should know.
    """

    options: Options
    screening: Screening
    observers: int
    clips: tuple[str, ...]
    votes: int
    equivalencies: Sequence[Equivalency]
    scores: Sequence[Score]
    metric_equivalents: Mapping[str, Mapping[Condition, Pooled]]
    predictions: Sequence[Prediction]
    notes: Sequence[str]


def _number(value: float) -> float | int:
    """Bitrates as they were written: 350 and not 350.0."""
    return int(value) if float(value).is_integer() else float(value)


def _finite(value: float) -> float | None:
    """JSON has no other numbers; of one observer on one clip, an interval is infinite."""
    return value if np.isfinite(value) else None


def _kbps(place: Place | None) -> float | None:
    return None if place is None else place.kbps


def to_json(analysis: Analysis) -> str:
    """Version 1; see the classes for the fields."""
    screening = analysis.screening
    content = {
        "equivalent": [_equivalent_json(row) for row in analysis.equivalencies],
        "version": 1,
        "settings": dataclasses.asdict(analysis.options),
        "observers": analysis.observers,
        "clips": list(analysis.clips),
        "votes": analysis.votes,
        "screening": {
            "rule": screening.rules.text(),
            **dataclasses.asdict(screening.rules),
            "kept": len(screening.kept),
            "dropped": [
                {"observer": observer, "reasons": list(reasons)}
                for observer, reasons in screening.dropped.items()
            ],
            "not_run": list(screening.not_run),
        },
        "fits": [_fit_json(row) for row in analysis.equivalencies],
        "bradley_terry": [
            {
                **dataclasses.asdict(score),
                "kbps": _number(score.kbps),
                "low": _finite(score.low),
                "high": _finite(score.high),
            }
            for score in analysis.scores
        ],
        "metric_equivalents": [
            {
                "metric": metric,
                "model": condition.model,
                "input_kbps": _number(condition.input_kbps),
                **dataclasses.asdict(pooled),
            }
            for metric, rows in analysis.metric_equivalents.items()
            for condition, pooled in rows.items()
        ],
        "predictions": [_prediction_json(prediction) for prediction in analysis.predictions],
        "notes": list(analysis.notes),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _equivalent_json(row: Equivalency) -> dict[str, Any]:
    fields = {
        "model": row.condition.model,
        "input_kbps": _number(row.condition.input_kbps),
        "kbps": _kbps(row.equivalent),
        "low": _kbps(row.low),
        "high": _kbps(row.high),
    }
    if row.equivalent is not None and row.equivalent.beyond is not None:
        fields["beyond"] = row.equivalent.beyond
    return fields


def _prediction_json(prediction: Prediction) -> dict[str, Any]:
    fields = dataclasses.asdict(prediction)
    for found in fields["measures"].values():
        found.update({name: _finite(value) for name, value in found.items()})
    return fields


def _fit_json(row: Equivalency) -> dict[str, Any]:
    places = {
        f"{name}_beyond": None if place is None else place.beyond
        for name, place in (("low", row.low), ("high", row.high), ("linear", row.linear))
    }
    curve = None if row.curve is None else dataclasses.asdict(row.curve)
    fitted = [None] * len(row.votes)
    if row.curve is not None:
        fitted = row.curve.preference(np.array(row.references)).tolist()
    table = zip(row.references, row.votes, row.shares, fitted, strict=True)
    return {
        "model": row.condition.model,
        "input_kbps": _number(row.condition.input_kbps),
        "observers": row.clusters.observers,
        "clips": row.clusters.clips,
        "linear_kbps": row.linear.kbps,
        **places,
        "curve": curve,
        "references": [
            {
                "kbps": _number(kbps),
                "votes": int(votes),
                "prefer_reference": float(share),
                "fitted": value,
            }
            for kbps, votes, share, value in table
        ],
        "note": row.note,
    }


def to_tables(analysis: Analysis) -> list[str]:
    """Tables to print."""
    parts = [_screening_text(analysis), _equivalent_table(analysis)]
    if analysis.scores:
        parts.append(_score_table(analysis))
    if analysis.metric_equivalents:
        parts.append(_metric_table(analysis))
    if analysis.predictions:
        parts.append(_prediction_table(analysis))
    return parts


def _screening_text(analysis: Analysis) -> str:
    screening = analysis.screening
    total = len(screening.kept) + len(screening.dropped)
    lines = [
        f"{total} observers, {len(screening.dropped)} dropped; {analysis.votes} votes on "
        f"{len(analysis.clips)} clips are analysed",
        screening.rules.text(),
    ]
    some = list(screening.dropped.items())
    lines += [f"  {observer}: {'; '.join(why)}" for observer, why in some[:_SHOWN_DROPPED]]
    if len(some) > _SHOWN_DROPPED:
        lines.append(f"  and {len(some) - _SHOWN_DROPPED} more, see the JSON")
    return "\n".join([*lines, *(f"could not run: {line}" for line in screening.not_run)])


def _equivalent_table(analysis: Analysis) -> str:
    lines = []
    for row in analysis.equivalencies:
        place, inside = row.equivalent, row.equivalent is not None and row.equivalent.kbps
        gain = f"{inside / row.condition.input_kbps:.2f}x" if inside else ""
        lines.append(
            [
                row.condition.model,
                f"{row.condition.input_kbps:g}",
                "-" if place is None else str(place),
                _interval_text(row),
                gain,
                str(row.linear),
                f"{sum(row.votes):.0f}",
                "-" if row.curve is None else f"{row.curve.lapse:.2f}",
                "-" if row.curve is None else f"{row.curve.dispersion:.2f}",
                f" {row.note}",
            ]
        )
    interval = f"{100 * analysis.options.confidence:g} % interval"
    header = [
        "model",
        "from",
        "equivalent",
        interval,
        "gain",
        "linear",
        "votes",
        "lapse",
        "rho",
        "",
    ]
    return "people find equivalent (kbit/s)\n" + format_columns(header, lines)


def _interval_text(row: Equivalency) -> str:
    if row.low is None or row.high is None:
        return "-"
    if row.low.beyond is not None and row.low == row.high:
        return f"all {row.low}"
    ends = [
        "ladder's end" if place.kbps is None else f"{place.kbps:.0f}"
        for place in (row.low, row.high)
    ]
    return f"[{ends[0]}, {ends[1]}]"


def _score_table(analysis: Analysis) -> str:
    lines = [
        [
            "H.264 at full size" if score.item == REFERENCE else score.item,
            f"{score.kbps:g}",
            f"{score.score:+.2f}",
            f"[{score.low:+.2f}, {score.high:+.2f}]" if np.isfinite(score.low) else "-",
        ]
        for score in analysis.scores
    ]
    interval = f"{100 * analysis.options.confidence:g} % interval"
    return format_columns(["Bradley-Terry scores", "kbit/s", "logits", interval], lines)


def _metric_table(analysis: Analysis) -> str:
    metrics = list(analysis.metric_equivalents)
    lines = []
    for row in analysis.equivalencies:
        people = "-" if row.equivalent is None else str(row.equivalent)
        found = [analysis.metric_equivalents[metric].get(row.condition) for metric in metrics]
        cells = ["-" if pooled is None else str(pooled) for pooled in found]
        lines.append([row.condition.model, f"{row.condition.input_kbps:g}", people, *cells])
    gaps = [gap(analysis, metric) for metric in metrics]
    cells = ["-" if value is None else f"{value:.2f}x" for value in gaps]
    lines.append(["mean factor between people and metric", "", "", *cells])
    titles = [METRICS[metric].title for metric in metrics]
    return format_columns(["equivalent (kbit/s) by", "from", "people", *titles], lines)


def gap(analysis: Analysis, metric: str) -> float | None:
    """By what factor a metric's equivalent bitrates are off people's, geometric mean.

    Over the conditions where both have one on the ladder; None if there is none.
    """
    logs = []
    for row in analysis.equivalencies:
        pooled = analysis.metric_equivalents[metric].get(row.condition)
        people = _kbps(row.equivalent)
        if people and pooled is not None and pooled.bound == "=" and pooled.kbps is not None:
            logs.append(abs(np.log(pooled.kbps / people)))
    return float(np.exp(np.mean(logs))) if logs else None


def _prediction_table(analysis: Analysis) -> str:
    lines = [
        [
            METRICS[prediction.metric].title,
            f"{prediction.votes}",
            *(
                f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
                for found in prediction.measures.values()
            ),
        ]
        for prediction in analysis.predictions
    ]
    return format_columns(["how metrics predict votes", "votes", *MEASURES.values()], lines)
