"""Results as the tables that reports print."""

from collections.abc import Mapping, Sequence

from supervegan_jax.benchmarking.counts import count_parameters, frame_macs
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.protocols.preset import Network, Result
from supervegan_jax.rate_distortion.clip_table import Cell, ClipTable, rank_scores, table_title

MEAN = "mean"
_NO_NUMBER = "-"


def mean(values: Sequence[float | None]) -> float | None:
    """The arithmetic mean; None if a value is missing, since it would be of other clips."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def column(results: Sequence[Result], curve: str, metric: str) -> list[float | None]:
    """The scores of one curve, clip by clip."""
    return [result.scores[metric] for result in results if result.curve == curve]


def _distinct(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _kbps(results: Sequence[Result]) -> str:
    """The measured rates of the conditions, means over clips, as the end of a title."""
    told = []
    for label in _distinct([result.condition.label for result in results]):
        found = mean([result.kbps for result in results if result.condition.label == label])
        if found is not None:
            told.append(f"{label}: {found:.0f}")
    return f" (measured kbit/s, {', '.join(told)})" if told else ""


def by_clip(
    results: Sequence[Result], metrics: Sequence[str], networks: Mapping[str, Network]
) -> list[ClipTable]:
    """A table for each group of conditions: clips against curves, the mean last."""
    return [
        _clips_against_curves(title, [r for r in results if r.condition.table == title], metrics)
        for title in _distinct([result.condition.table for result in results])
    ]


def _clips_against_curves(
    title: str, results: Sequence[Result], metrics: Sequence[str]
) -> ClipTable:
    curves = _distinct([result.curve for result in results])
    header = [f"{curve}, {table_title(metric)}" for metric in metrics for curve in curves]
    clips = _distinct([result.clip for result in results])
    scores = {(r.clip, r.curve): r.scores for r in results}
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for clip in clips:
        cells: list[Cell] = []
        for metric in metrics:
            cells += rank_scores(metric, [scores[clip, curve][metric] for curve in curves])
        rows.append((clip, tuple(cells)))
    means: list[Cell] = []
    for metric in metrics:
        means += rank_scores(metric, [mean(column(results, curve, metric)) for curve in curves])
    rows.append((MEAN, tuple(means)))
    return ClipTable(title + _kbps(results), ("clip", *header), tuple(rows))


def gains(
    results: Sequence[Result], metrics: Sequence[str], networks: Mapping[str, Network]
) -> list[ClipTable]:
    """One line a method: the first metric clip by clip, the means, and the gain over the input.

    The first curve of the results is the input as it is.
    """
    curves = _distinct([result.curve for result in results])
    clips = _distinct([result.clip for result in results])
    first = metrics[0]
    columns: dict[str, list[Cell]] = {}
    for index, clip in enumerate(clips):
        values = [column(results, curve, first)[index] for curve in curves]
        columns[f"{table_title(first)}, {clip}"] = rank_scores(first, values)
    for metric in metrics:
        means = [mean(column(results, curve, metric)) for curve in curves]
        title, digits = table_title(metric), METRICS[metric].digits + 1
        columns[f"{title}, average"] = rank_scores(metric, means)
        columns[f"{title}, gain"] = [
            Cell(
                _NO_NUMBER
                if found is None or means[0] is None
                else f"{found - means[0]:+.{digits}f}"
            )
            for found in means
        ]
    rows = [
        (curve, tuple(cells[index] for cells in columns.values()))
        for index, curve in enumerate(curves)
    ]
    title = results[0].condition.table + _kbps(results)
    return [ClipTable(title, ("method", *columns), tuple(rows))]


def by_condition(
    results: Sequence[Result], metrics: Sequence[str], networks: Mapping[str, Network]
) -> list[ClipTable]:
    """One line a method and condition, means over clips, then the mean over conditions.

    Beside the metrics, what the network costs; a frame is one of 1280x720, as `benchmark` counts.
    """
    curves = _distinct([result.curve for result in results])
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for label in _distinct([result.condition.label for result in results]):
        here = [result for result in results if result.condition.label == label]
        rows += _method_rows(label, here, curves, metrics, networks)
    rows += _method_rows("all", results, curves, metrics, networks)
    titles = [METRICS[metric].title for metric in metrics]
    header = ("method", "kbit/s", *titles, "parameters", "GMAC of 720p", "frames/s")
    return [ClipTable(results[0].condition.table, header, tuple(rows))]


def _method_rows(
    label: str,
    results: Sequence[Result],
    curves: Sequence[str],
    metrics: Sequence[str],
    networks: Mapping[str, Network],
) -> list[tuple[str, tuple[Cell, ...]]]:
    ranked = [rank_scores(m, [mean(column(results, c, m)) for c in curves]) for m in metrics]
    rows = []
    for index, curve in enumerate(curves):
        rate = mean([result.kbps for result in results if result.curve == curve])
        cost = _cost(networks.get(curve))
        cells = [Cell(_NO_NUMBER if rate is None else f"{rate:.0f}")]
        cells += [scores[index] for scores in ranked]
        rows.append((f"{curve}, {label}", (*cells, *(Cell(text) for text in cost))))
    return rows


def _cost(network: Network | None) -> tuple[str, str, str]:
    """Parameters, multiply-accumulates and speed, as far as they are known."""
    if network is None:
        return (_NO_NUMBER,) * 3
    macs, rate = frame_macs(network.generator) / 1e9, network.frames_per_second
    speed = _NO_NUMBER if rate is None else f"{rate:.3g}"
    return f"{count_parameters(network.generator):,}", f"{macs:.1f}", speed
