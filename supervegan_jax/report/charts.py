"""Charts as SVG that takes its colours from the page, and so follows light and dark."""

import dataclasses
import html
import math
from collections.abc import Sequence
from typing import Final

from supervegan_jax.rate_distortion.settings import BICUBIC, CODEC
from supervegan_jax.report.style import SERIES

_WIDTH, _HEIGHT = 380, 280
_LEFT, _RIGHT, _BOTTOM = 52, 12, 42
_TOP, _TOP_WITH_AXIS = 12, 40
_DASHES: Final = {"codec": "", "bicubic": "2 4", "stage_a": "7 4", "model": "", "front": "3 3"}
_MARKS: Final = {"codec": "circle", "bicubic": "square", "stage_a": "triangle", "model": "diamond"}


@dataclasses.dataclass(frozen=True)
class Look:
    """How a curve is told from the others, by colour and by shape.

    Attributes:
      colour: a key of `style.COLOURS`.
      kind: a key of the dashes: "codec", "bicubic", "stage_a", "model" or "front" (no marks).
    """

    colour: str
    kind: str


@dataclasses.dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
      label: its name.
      look: of its line and marks.
      points: (x, y) in the order they are joined.
      band: (x, low, high) drawn behind it; () for none.
      joined: whether a line goes through the points.
    """

    label: str
    look: Look
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float, float], ...] = ()
    joined: bool = True


@dataclasses.dataclass(frozen=True)
class Axis:
    """What an axis shows.

    Attributes:
      title: with the unit.
      log: logarithmic, labelled 1, 2, 5, 10, ..
      better: "higher", "lower" or "" where neither is.
    """

    title: str
    log: bool = False
    better: str = ""


def look_of(curve: str, order: Sequence[str]) -> Look:
    """The look of a curve among the curves of a run, the same in every chart."""
    if curve == CODEC:
        return Look("codec", "codec")
    if curve.startswith(BICUBIC):
        return Look("bicubic", "bicubic")
    models = list(dict.fromkeys(name.removesuffix(":a") for name in order if name != CODEC))
    models = [name for name in models if not name.startswith(BICUBIC)]
    colour = f"series{models.index(curve.removesuffix(':a')) % SERIES}"
    return Look(colour, "stage_a" if curve.endswith(":a") else "model")


def ticks(low: float, high: float, *, log: bool) -> list[float]:
    """Round numbers from `low` to `high`, both included: 1, 2, 5, .. or even steps of these.

    A logarithmic axis too short for two of the former has the latter.
    """
    if log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        found = [value for value in found if low <= value <= high]
        if len(found) > 1:
            return found
    # Four to eight of them.
    rough = (high - low) / 5
    base = 10.0 ** math.floor(math.log10(rough))
    step = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [round((first + index) * step, 10) for index in range(count)]


class _Scale:
    """Values of one axis to places in the picture."""

    def __init__(self, values: Sequence[float], axis: Axis, start: float, end: float):
        self._log = axis.log
        low, high = self._of(min(values)), self._of(max(values))
        spread = (high - low) or abs(high) * 0.1 or 1.0
        self._low, self._high = low - 0.04 * spread, high + 0.04 * spread
        self._start, self._end = start, end

    def _of(self, value: float) -> float:
        return math.log(value) if self._log else value

    def place(self, value: float) -> float:
        share = (self._of(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ends(self) -> tuple[float, float]:
        """The lowest and highest value that the axis reaches."""
        if self._log:
            return math.exp(self._low), math.exp(self._high)
        return self._low, self._high

    def ticks(self, factor: float = 1.0) -> list[tuple[float, float]]:
        """(number, place); the numbers are `factor` times the axis' values."""
        low, high = self.ends()
        found = ticks(low * factor, high * factor, log=self._log)
        return [(value, self.place(value / factor)) for value in found]


def chart(
    name: str,
    series: Sequence[Series],
    x_axis: Axis,
    y_axis: Axis,
    *,
    top: tuple[float, str] | None = None,
    diagonal: bool = False,
) -> str:
    """Draws series as one <figure>.

    Args:
      name: of the chart, for those who cannot see it.
      series: at least one with a point.
      x_axis: below.
      y_axis: to the left; its title is the caption.
      top: a second x axis above: its values are this many times those below, and its title.
      diagonal: also draw where x and y, of the same kind of axis, are equal.
    """
    known = [(x, y) for one in series for x, y in one.points]
    known += [(x, y) for one in series for x, *ends in one.band for y in ends]
    if not known:
        return f"<figure><figcaption>{html.escape(y_axis.title)}: no values</figcaption></figure>"
    ys = [y for _, y in known] + ([x for x, _ in known] if diagonal else [])
    upper = _TOP_WITH_AXIS if top else _TOP
    x_scale = _Scale([x for x, _ in known], x_axis, _LEFT, _WIDTH - _RIGHT)
    y_scale = _Scale(ys, y_axis, _HEIGHT - _BOTTOM, upper)
    parts = [*_grid(x_scale, y_scale, x_axis, upper, top)]
    if diagonal:
        path = _path([(x_scale.place(end), y_scale.place(end)) for end in x_scale.ends()])
        parts.append(f'<path class="line frame" d="{path}"/>')
    for one in series:
        parts += _drawn(one, x_scale, y_scale)
    better = f" <span>{y_axis.better} is better</span>" if y_axis.better else ""
    return (
        f"<figure><figcaption>{html.escape(y_axis.title)}{better}</figcaption>"
        f'<svg class=chart viewBox="0 0 {_WIDTH} {_HEIGHT}" role=img '
        f'aria-label="{html.escape(_described(name, series, x_axis, y_axis))}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _described(name: str, series: Sequence[Series], x_axis: Axis, y_axis: Axis) -> str:
    """The first and last point of every curve in words; tables hold all."""
    words = [f"{name}: {y_axis.title} over {x_axis.title}."]
    for one in series:
        if one.points:
            (x, y), (x_last, y_last) = one.points[0], one.points[-1]
            last = f", {y_last:.4g} at {x_last:.4g}" if len(one.points) > 1 else ""
            words.append(f"{one.label}: {y:.4g} at {x:.4g}{last}.")
    return " ".join(words)


def _grid(
    x_scale: _Scale, y_scale: _Scale, x_axis: Axis, upper: int, top: tuple[float, str] | None
) -> list[str]:
    lower, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    middle = (_LEFT + right) / 2
    parts = []
    for value, x in x_scale.ticks():
        parts.append(f'<path class=grid d="M{x:.1f} {upper}V{lower}"/>')
        parts.append(_text(x, lower + 16, f"{value:g}", "middle"))
    for value, y in y_scale.ticks():
        parts.append(f'<path class=grid d="M{_LEFT} {y:.1f}H{right}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:g}", "end"))
    parts.append(_text(middle, _HEIGHT - 8, x_axis.title, "middle"))
    if top is not None:
        factor, title = top
        for value, x in x_scale.ticks(factor):
            parts.append(f'<path class=frame d="M{x:.1f} {upper}v-4"/>')
            parts.append(_text(x, upper - 8, f"{value:g}", "middle"))
        parts.append(_text(middle, 12, title, "middle"))
    parts.append(f'<path class=frame d="M{_LEFT} {upper}V{lower}H{right}"/>')
    return parts


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor={anchor}>{html.escape(text)}</text>'


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _drawn(series: Series, x_scale: _Scale, y_scale: _Scale) -> list[str]:
    colour, kind = f"c-{series.look.colour}", series.look.kind
    parts = []
    if series.band:
        upper = [(x_scale.place(x), y_scale.place(high)) for x, _, high in series.band]
        lower = [(x_scale.place(x), y_scale.place(low)) for x, low, _ in series.band]
        parts.append(f'<path class="{colour} band" d="{_path(upper + lower[::-1])}Z"/>')
    places = [(x_scale.place(x), y_scale.place(y)) for x, y in series.points]
    if series.joined and len(places) > 1:
        parts.append(_line(colour, kind, _path(places)))
    marked = series.points if kind in _MARKS else ()
    for (x, y), place in zip(marked, places, strict=False):
        title = html.escape(f"{series.label}: {y:.4g} at {x:.4g}")
        mark = _mark(_MARKS[kind], *place)
        parts.append(f"<g class={colour}><title>{title}</title>{mark}</g>")
    return parts


def _line(colour: str, kind: str, path: str) -> str:
    dashes = f' stroke-dasharray="{_DASHES[kind]}"' if _DASHES[kind] else ""
    return f'<path class="{colour} line"{dashes} d="{path}"/>'


def _mark(shape: str, x: float, y: float) -> str:
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    if shape == "square":
        return f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'
    if shape == "triangle":
        return f'<path d="M{x:.1f} {y - 4:.1f}l4 7h-8z"/>'
    return f'<path d="M{x:.1f} {y - 4.5:.1f}l4.5 4.5l-4.5 4.5l-4.5 -4.5z"/>'


def legend(entries: Sequence[tuple[str, Look]]) -> str:
    """The curves' names beside their lines and marks, as a list."""
    items = []
    for label, look in entries:
        line = _line(f"c-{look.colour}", look.kind, "M1 7L33 7")
        mark = ""
        if look.kind in _MARKS:
            mark = f"<g class=c-{look.colour}>{_mark(_MARKS[look.kind], 17, 7)}</g>"
        swatch = f'<svg viewBox="0 0 34 14" aria-hidden=true>{line}{mark}</svg>'
        items.append(f"<li>{swatch}{html.escape(label)}</li>")
    return f"<ul class=legend>{''.join(items)}</ul>"
