"""What a reader of the curves should know: of which frames they are, where more bits did harm."""

from collections.abc import Sequence

from supervegan_jax.rate_distortion.curves import Point, curve_of, names, select, uneven_scores


def compared_metrics(points: Sequence[Point], metrics: Sequence[str]) -> list[str]:
    """The metrics by which all points of each clip are of the same frames.

    Raises:
      ValueError: there is none.
    """
    uneven = {metric for _, _, metric in uneven_scores(points)}
    compared = [metric for metric in metrics if metric not in uneven]
    if not compared:
        raise ValueError("; ".join(frame_remarks(points, metrics)))
    return compared


def curve_remarks(points: Sequence[Point], metrics: Sequence[str]) -> list[str]:
    """All remarks on the points, a line each; those of means over clips too, if there are any."""
    uneven = uneven_scores(points)
    lines = frame_remarks(points, metrics)
    for codec in names(points, "codec"):
        for curve in names(points, "curve"):
            for clip in names(points, "clip"):
                some = select(points, codec=codec, curve=curve, clip=clip)
                if len(some) < 2:
                    continue  # nobody asked for a curve
                even = [metric for metric in metrics if (codec, clip, metric) not in uneven]
                lines += [f"{clip}, {codec}, {curve}: {line}" for line in _remarks_of(some, even)]
    return lines


def frame_remarks(
    points: Sequence[Point],
    metrics: Sequence[str],
    lost: str = "no equivalent bitrate, no BD-rate and no mean over clips",
) -> list[str]:
    """Which scores leave frames out, and how many; nothing where there are no scores at all.

    Args:
      points: of a run.
      metrics: keys of `METRICS`.
      lost: what there is not of scores that are not `comparable`.
    """
    uneven = uneven_scores(points)
    lines = []
    for codec, clip in dict.fromkeys((point.codec, point.clip) for point in points):
        some = [point for point in points if (point.codec, point.clip) == (codec, clip)]
        for metric in metrics:
            counts = {
                curve: sorted({p.left_out.get(metric, 0) for p in select(some, curve=curve)})
                for curve in names(some, "curve")
            }
            start = f"{clip}, {codec}: {metric} is infinite or undefined in"
            most = max(found[-1] for found in counts.values())
            if most and (codec, clip, metric) in uneven:
                listed = ", ".join(
                    f"{curve} {'-'.join(map(str, dict.fromkeys((found[0], found[-1]))))}"
                    for curve, found in counts.items()
                )
                lines.append(
                    f"{start} different numbers of frames ({listed}), which the means leave out; "
                    f"it gives {lost}"
                )
            elif most and any(point.scores[metric] is not None for point in some):
                count = f"{most} frame{'s' * (most > 1)}"
                lines.append(f"{start} {count} of each; the means are over the others")
    return lines


def _remarks_of(points: Sequence[Point], metrics: Sequence[str]) -> list[str]:
    lines = []
    for metric in metrics:
        try:
            dropped = curve_of(points, metric).dropped
        except ValueError as error:
            lines.append(f"{metric} gives no curve: {error}")
            continue
        if dropped:
            where = ", ".join(f"{rate:.0f}" for rate, _ in dropped)
            lines.append(
                f"{metric} at {where} kbit/s is no better than at a lower bitrate; for equivalents "
                "and BD-rates these points are left out"
            )
    return lines
