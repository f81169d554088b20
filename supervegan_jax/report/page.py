"""The page around the parts: one HTML file that loads nothing."""

import dataclasses
import html
from collections.abc import Sequence
from typing import Final

from supervegan_jax.report.crops import QUALITY, Shot, View
from supervegan_jax.report.script import SCRIPT
from supervegan_jax.report.style import style_sheet

_WEIGHT: Final = "@@WEIGHT@@"
# Only what the file itself holds may be shown or run.
_POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)


@dataclasses.dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
      key: what links to it use.
      title: its heading.
      body: HTML whose headings are of level 3.
    """

    key: str
    title: str
    body: str


def make_page(title: str, lead: str, sections: Sequence[Section], footer: str) -> str:
    """The whole file; it states its own weight in the footer.

    Args:
      title: plain text.
      lead: HTML under the title.
      sections: in order.
      footer: HTML at the end.
    """
    links = "".join(f'<li><a href="#{s.key}">{html.escape(s.title)}</a></li>' for s in sections)
    parts = "\n".join(
        f'<section aria-labelledby="{s.key}"><h2 id="{s.key}">{html.escape(s.title)}</h2>\n'
        f"{s.body}</section>"
        for s in sections
    )
    page = (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{html.escape(title)}</title>"
        '<link rel="icon" href="data:,">'
        f"<style>{style_sheet()}</style><script>{SCRIPT}</script></head>\n"
        '<body><a class=skip href="#main">Skip to the content</a>'
        f"<header><h1>{html.escape(title)}</h1>{lead}"
        f"<nav aria-label=Contents><ul>{links}</ul></nav></header>\n"
        f"<main id=main>{parts}</main>\n"
        f"<footer>{footer} This page weighs {_WEIGHT} kB and loads nothing else.</footer>"
        "</body></html>\n"
    )
    # The number is about as long as its stand-in; a kB is much more than the difference.
    return page.replace(_WEIGHT, f"{round(len(page.encode()) / 1000):,}")


def check_weight(page: str, most_megabytes: float) -> None:
    """Raises `ValueError` if the page is heavier than a reader should have to load."""
    weight = len(page.encode()) / 1e6
    if weight > most_megabytes:
        raise ValueError(
            f"the page would weigh {weight:.1f} MB, at most {most_megabytes:g} is asked for; take "
            "a smaller --crop-size, fewer clips or models, or a larger --max-megabytes"
        )


def shots_html(shots: Sequence[Shot]) -> str:
    """Dividers over crops; without scripts, the crops side by side."""
    parts = [_shot(shot, index) for index, shot in enumerate(shots)]
    return f"<div class=shots>{''.join(parts)}</div>"


def _shot(shot: Shot, index: int) -> str:
    crop = shot.crop
    where = f"{crop.clip}, frame {crop.frame}"
    views = "".join(_view(view, shot, where) for view in shot.views)
    key = f"shot{index}"
    return (
        f"<div><h3 id={key}>{html.escape(where)}</h3>"
        f"<div class=shot role=group aria-labelledby={key}>"
        f'<div class=views data-ratio="{shot.width}/{shot.height}">{views}'
        "<span class='tag first' aria-hidden=true></span>"
        "<span class='tag second' aria-hidden=true></span></div>"
        f"<div class=controls>{_select('Left', key, shot, shot.first)}"
        f"{_select('Right', key, shot, shot.second)}"
        f'<label class=wide for="{key}-at">Divider: arrow keys move it'
        f'<input type=range id="{key}-at" min=0 max=100 value=50 step=1></label></div>'
        f"<p class=muted>{shot.width}x{shot.height} pixels from {crop.x},{crop.y} of the full "
        "size, enlarged with the page.</p></div></div>"
    )


def _view(view: View, shot: Shot, where: str) -> str:
    text = html.escape(f"{where}: {_title(view)}")
    return (
        f'<figure class=view><img src="{view.data_uri()}" width={shot.width} '
        f'height={shot.height} alt="{text}" draggable=false>'
        f"<figcaption>{html.escape(_title(view))}</figcaption></figure>"
    )


def _title(view: View) -> str:
    if view.measured_kbps is None:
        return view.label
    return f"{view.label}, {view.measured_kbps:.0f} kbit/s"


def _select(name: str, key: str, shot: Shot, chosen: int) -> str:
    options = "".join(
        f"<option value={index}{' selected' if index == chosen else ''}>"
        f"{html.escape(_title(view))}</option>"
        for index, view in enumerate(shot.views)
    )
    return f'<label>{name}<select id="{key}-{name.lower()}">{options}</select></label>'


def about_crops() -> str:
    """What a reader of the crops should know."""
    return (
        "<p>Move the divider, or choose what is on either side of it. Every picture is the same "
        "piece of the same decoded 8-bit frame as it was scored; the bitrates are those measured "
        f"of the whole clip. The pictures are WebP of quality {QUALITY}.</p>"
    )
