"""The front and the correlations as one picture (Fig. 10)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from supervegan_jax.rate_distortion.plots import legend_below, new_figure, save_figure
from supervegan_jax.search.front import Candidate

# The paper's colours and, for those who cannot tell them apart, a marker each.
_STYLES: Final = {
    "others": {"color": "tab:green", "marker": "o"},
    "Pareto front": {"color": "tab:red", "marker": "^"},
    "seeds": {"color": "tab:cyan", "marker": "s"},
}
_TITLES: Final = {
    "psnr": "PSNR (dB), higher is better",
    "lpips": "LPIPS, lower is better",
    "ms": "ms a frame, lower is better",
}
_PLANES: Final = (("psnr", "lpips"), ("ms", "lpips"), ("ms", "psnr"))


def draw(
    found: Sequence[Candidate],
    front: Sequence[Candidate],
    related: Mapping[str, Mapping[str, float | None]],
    path: Path,
) -> None:
    """Draws the three planes of the front above the correlations of every field.

    Args:
      found: all candidates.
      front: those on it; a seed on the front is drawn as both.
      related: of `front.correlations`.
      path: a PNG.
    """
    figure, axes = new_figure(2, len(_PLANES))
    groups = {
        "others": [c for c in found if not c.seed and c not in front],
        "Pareto front": front,
        "seeds": [c for c in found if c.seed],
    }
    for axis, (x, y) in zip(axes[0], _PLANES, strict=True):
        for title, some in groups.items():
            hollow = {"markerfacecolor": "none", "markersize": 9} if title == "seeds" else {}
            axis.plot(
                [getattr(candidate, x) for candidate in some],
                [getattr(candidate, y) for candidate in some],
                label=title,
                linestyle="none",
                **{**_STYLES[title], **hollow},
            )
        axis.set_xlabel(_TITLES[x])
        axis.set_ylabel(_TITLES[y])
        axis.grid(True, alpha=0.3)
    for axis, measure in zip(axes[1], _TITLES, strict=True):
        _draw_bars(axis, related, measure)
    figure.suptitle(f"{len(found)} candidates, {len(front)} on the Pareto front")
    legend_below(figure, axes[0][0])
    save_figure(figure, path)


def _draw_bars(axis: Any, related: Mapping[str, Mapping[str, float | None]], measure: str) -> None:
    """The coefficients of every field that varied; nothing stands where one did not."""
    fields = list(related)[::-1]
    axis.barh(fields, [related[field][measure] or 0.0 for field in fields], color="gray")
    axis.set_xlim(-1, 1)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.tick_params(axis="y", labelsize=7)
    axis.set_xlabel(f"Pearson correlation with {measure.upper() if measure != 'ms' else 'ms'}")
