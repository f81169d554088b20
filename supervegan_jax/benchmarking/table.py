"""The benchmark's records as text and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supervegan_jax.benchmarking.limits import Limits
from supervegan_jax.video.writer import temporary_name

# Field, heading, format; what was not measured is "-".
_COLUMNS = (
    ("model", "model", "<22"),
    ("stage", "stage", "<6"),
    ("size", "input", "<10"),
    ("parameters", "parameters", ">11,"),
    ("macs_per_pixel", "MAC/pixel", ">11,.0f"),
    ("ms_per_frame", "ms", ">9.1f"),
    ("fraction_of_limit", "of limit", ">9.0%"),
    ("end_to_end_ms", "ms in all", ">10.1f"),
    ("training_patches_per_second", "patches/s", ">10.1f"),
    ("peak_memory_mb", "MB", ">8.0f"),
    ("compile_seconds", "compile s", ">10.1f"),
    ("pytorch_ratio", "PyTorch", ">8.2f"),
    ("pytorch_training_ratio", "step", ">6.2f"),
)
_COUNTS = (
    ("model", "model", "<22"),
    ("parameters", "parameters", ">11,"),
    ("macs", "MAC per 1280x720", ">20,"),
)


def header(counted: bool = False) -> str:
    """The headings in a line."""
    columns = _COUNTS if counted else _COLUMNS
    return " ".join(f"{heading:{_width(form)}}" for _, heading, form in columns)


def line(record: dict[str, Any], counted: bool = False) -> str:
    """A record in a line."""
    cells = []
    for field, _, form in _COUNTS if counted else _COLUMNS:
        value = record.get(field)
        cells.append(f"{'-':{_width(form)}}" if value is None else f"{value:{form}}")
    return " ".join(cells)


def _width(form: str) -> str:
    return form.rstrip(",%f").split(".")[0].rstrip(",")


def draw_roofline(records: Sequence[dict[str, Any]], limits: Limits, path: Path) -> None:
    """Draws each record's rate over its MACs a byte, under the two limits."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained", dpi=110)
    axes = figure.subplots()
    timed = [r for r in records if r.get("gmacs_per_second")]
    intensities = [r["macs_per_byte"] for r in timed]
    ridge = limits.macs / limits.bytes
    ends = min([ridge / 4, *intensities]), max([ridge * 4, *intensities]) * 1.5
    roof = [min(limits.macs, limits.bytes * x) / 1e9 for x in (ends[0], ridge, ends[1])]
    axes.plot((ends[0], ridge, ends[1]), roof, color="black", linewidth=1)
    for name in dict.fromkeys(r["model"] for r in timed):
        own = [r for r in timed if r["model"] == name]
        axes.plot(
            [r["macs_per_byte"] for r in own],
            [r["gmacs_per_second"] for r in own],
            marker="o",
            linestyle="",
            label=name,
        )
    axes.set(xscale="log", yscale="log", xlabel="MAC per byte", ylabel="GMAC/s")
    axes.set_title("the network alone, under a large matrix product and a large copy", fontsize=9)
    if timed:  # of what an exported file computes nothing is counted
        axes.legend(fontsize=8)
    beside = temporary_name(path)
    figure.savefig(beside, format="png")
    beside.replace(path)
