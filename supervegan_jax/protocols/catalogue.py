"""The presets by name."""

from typing import Final

from supervegan_jax.protocols import aim2024, ntire2021, paper, vid4
from supervegan_jax.protocols.preset import Preset

PRESETS: Final[dict[str, Preset]] = {
    "live-nflx-ii": paper.LIVE_NFLX_II,
    "tears-of-steel": paper.TEARS_OF_STEEL,
    "ntire2021-track3": ntire2021.PRESET,
    "aim2024-av1": aim2024.PRESET,
    "vid4": vid4.PRESET,
}


def find_preset(name: str) -> Preset:
    """The preset of a name; raises `ValueError` if there is none."""
    if name not in PRESETS:
        raise ValueError(f"protocol {name!r}; accepted: {', '.join(PRESETS)}")
    return PRESETS[name]


def describe() -> str:
    """All presets with their sources, licences and layouts, as text."""
    parts = []
    for name, preset in PRESETS.items():
        lines = [name, preset.title, f"source: {preset.source}", f"licence: {preset.licence}"]
        lines += ["--root:", *(f"  {line}" for line in preset.layout)]
        parts.append("\n  ".join(lines))
    return "\n\n".join(parts)
