"""Tables of a run in HTML."""

import html
from collections.abc import Sequence

from supervegan_jax.evaluation.equivalency import INSIDE
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.rate_distortion.clip_table import ClipTable, as_html
from supervegan_jax.rate_distortion.curves import BdRow, EquivalentRow, label, own_rates


def scrolling(table: str, name: str) -> str:
    """A table that may be wider than the page, which the keyboard can scroll too."""
    return (
        f'<div class=scroll tabindex=0 role=region aria-label="{html.escape(name)}">{table}</div>'
    )


def of_clip_table(table: ClipTable) -> str:
    """A table with its best cells marked."""
    return scrolling(as_html(table), table.title)


def plain_table(
    caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], kind: str = ""
) -> str:
    """A table of HTML cells, the first of each row its header."""
    head = "".join(f"<th scope=col>{title}</th>" for title in header)
    body = "".join(
        f"<tr><th scope=row>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>\n"
        for row in rows
    )
    of_kind = f" class={kind}" if kind else ""
    table = (
        f"<table{of_kind}><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
    return scrolling(table, html.unescape(caption))


def equivalent_table(rows: Sequence[EquivalentRow], codec: str, metrics: Sequence[str]) -> str:
    """Equivalent bitrates with their intervals and gains, mean over clips."""
    lines = []
    for curve, target in dict.fromkeys((row.curve, row.target_kbps) for row in rows):
        by_metric = {r.metric: r for r in rows if (r.curve, r.target_kbps) == (curve, target)}
        some = [by_metric[metric] for metric in metrics]
        rate, behind = own_rates(some)
        cells = [equivalent_cell(*pair) for pair in zip(some, behind, strict=True)]
        lines.append([html.escape(label(curve, codec)), rate, *cells])
    header = ["curve", "its own kbit/s", *_titles(metrics)]
    caption = (
        f"kbit/s that {codec} at full size needs for the same score: geometric mean over clips, "
        "95 % interval over clips, and that many times the input's own bitrate"
    )
    return plain_table(html.escape(caption), header, lines)


def equivalent_cell(row: EquivalentRow, behind: str) -> str:
    """One equivalent bitrate: the number, its interval and the gain; or why there is none.

    Args:
      row: of one metric.
      behind: what is said of it last, see `own_rates`.
    """
    pooled = row.pooled
    if pooled is None:
        return "no curve"
    if pooled.kbps is None:
        beside = f"{pooled.below} below, {pooled.beyond} beyond the ladder"
        return f"<small>{beside}{behind}</small>"
    interval = ""
    if pooled.low is not None and pooled.high is not None:
        interval = f" <small>[{pooled.low:.0f}, {pooled.high:.0f}]</small>"
    sign = "" if pooled.bound == "=" else f"{html.escape(pooled.bound)} "
    if not pooled.inside:
        return f"{sign}{pooled.kbps:.0f} <small>(outside the ladder){behind}</small>"
    gain = pooled.kbps / row.measured_kbps
    return f"{sign}{pooled.kbps:.0f}{interval} <small>{sign}{gain:.2f}&times;{behind}</small>"


def equivalent_clips(
    rows: Sequence[EquivalentRow], codec: str, metric: str, clips: Sequence[str]
) -> str:
    """Equivalent bitrates by one metric, clip by clip."""
    lines = []
    for row in rows:
        if row.metric != metric:
            continue
        cells = []
        for clip in clips:
            found = row.of_clips.get(clip)
            if found is None:
                cells.append("no curve")
            elif found.where == INSIDE:
                cells.append(f"{found.kbps:.0f}")
            else:
                sign = "&lt;" if found.where == "below" else "&gt;"
                cells.append(f"{sign} {found.kbps:.0f}")
        name = f"{label(row.curve, codec)}, {row.all_clips_kbps:.0f} kbit/s"
        lines.append([html.escape(name), *cells])
    caption = f"{METRICS[metric].title}: equivalent kbit/s of {codec} at full size, clip by clip"
    return plain_table(html.escape(caption), ["curve", *map(html.escape, clips)], lines)


def bd_table(rows: Sequence[BdRow], codec: str, metrics: Sequence[str], clip: str) -> str:
    """BD-rates of one clip or of the mean curves."""
    lines = []
    for curve, anchor in dict.fromkeys((row.curve, row.anchor) for row in rows):
        some = {r.metric: r for r in rows if (r.curve, r.anchor) == (curve, anchor)}
        cells = []
        for metric in metrics:
            percent = some[metric].percent[clip]
            text = "none" if isinstance(percent, str) else f"{percent:+.1f} %"
            # A true minus is as wide as a plus.
            text = text.replace("-", "&minus;")
            cells.append(text)
        name = f"{label(curve, codec)} against {label(anchor, codec)}"
        lines.append([html.escape(name), *cells])
    caption = f"BD-rate, {clip}: bits for the same quality; negative is fewer, none: no overlap"
    return plain_table(html.escape(caption), ["curves", *_titles(metrics)], lines)


def _titles(metrics: Sequence[str]) -> list[str]:
    return [html.escape(METRICS[metric].title) for metric in metrics]
