"""What each stage of a network adds: the enlarged input, stage A, stage B (Table 7)."""

from collections.abc import Sequence

from supervegan_jax.rate_distortion.clip_table import Cell, ClipTable, rank_scores, table_title
from supervegan_jax.rate_distortion.curves import Point, model_names, names, pool_points, select
from supervegan_jax.rate_distortion.settings import BICUBIC


def stage_table(
    points: Sequence[Point], *, codec: str, kbps: Sequence[int] | None, metrics: Sequence[str]
) -> ClipTable:
    """Means over clips of every network's input, stage A and stage B, at each bitrate.

    Args:
      points: of a run.
      codec: of the bits.
      kbps: target bitrates; None takes all that went into networks.
      metrics: keys of `METRICS`, one column each; the best of the three is ranked 1.

    Raises:
      ValueError: the run has no such codec, bitrate or metric.
    """
    pooled = select(pool_points(points), codec=codec)
    models = model_names(pooled)
    known = sorted({p.target_kbps for p in pooled if p.curve in models})
    if not known:
        raise ValueError(f"codec {codec!r}; this run has {', '.join(names(points, 'codec'))}")
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for rate in known if kbps is None else kbps:
        if rate not in known:
            raise ValueError(f"{rate} kbit/s; models had {', '.join(map(str, known))}")
        for model in models:
            rows += _rows_of(select(pooled, target_kbps=rate), model, metrics)
    titles = [table_title(metric) for metric in metrics]
    count = len(names(points, "clip"))
    title = f"{codec}, mean of {count} clip{'s' * (count > 1)}: what each stage adds"
    return ClipTable(title, ("input and stage", *titles), tuple(rows))


def _rows_of(
    points: Sequence[Point], model: str, metrics: Sequence[str]
) -> list[tuple[str, tuple[Cell, ...]]]:
    whole = select(points, curve=model)[0]
    steps = {
        "input, bicubic": [p for p in points if p.curve.startswith(BICUBIC)],
        "stage A": select(points, curve=f"{model}:a"),
    }
    # What works at the input's size enlarges nothing, and a network of one stage is shown as such.
    found = {t: p for t, some in steps.items() for p in some if p.scale == whole.scale}
    found["stage B" if "stage A" in found else "network"] = whole
    for metric in metrics:
        if metric not in whole.scores:
            raise ValueError(f"metric {metric!r}; this run has {', '.join(whole.scores)}")
    rows = list(found.values())
    columns = [rank_scores(metric, [p.scores[metric] for p in rows]) for metric in metrics]
    head = f"{model}, {whole.measured_kbps:.0f} kbit/s: "
    return [
        (head + title, tuple(column[index] for column in columns))
        for index, title in enumerate(found)
    ]
