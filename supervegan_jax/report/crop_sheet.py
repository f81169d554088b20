"""The same places in every way beside one another, as one picture (Fig. 12 and the like)."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from supervegan_jax.evaluation.results import check_outputs
from supervegan_jax.report.crops import View, choose_input, make_views, read_crop, read_size
from supervegan_jax.report.finished_run import read_run
from supervegan_jax.video.writer import temporary_name

FORMATS: Final = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}
_FONT_SIZE: Final = 15
_GAP: Final = 6


@dataclasses.dataclass(frozen=True)
class SheetOptions:
    """What the picture shows.

    Attributes:
      curves: columns, names of the run's curves; none are all. The ground truth is the last.
      crops: "CLIP:FRAME:X,Y", a row each; none shows every clip where it is most textured.
      crop_size: "WIDTHxHEIGHT".
      zoom: how many times as large a pixel is shown.
      kbps: target bitrate of the input; None takes the nearest to 250.
      codec: None takes the run's first.
    """

    curves: tuple[str, ...] = ()
    crops: tuple[str, ...] = ()
    crop_size: str = "384x288"
    zoom: int = 1
    kbps: int | None = None
    codec: str | None = None


def write_sheet(workdir: Path, output: Path, options: SheetOptions) -> str:
    """Writes the picture of a finished run.

    Returns:
      One line that tells its name and size.

    Raises:
      ValueError: the run is unfinished or damaged, or lacks what is asked for; another suffix.
      OSError: the file cannot be written.
    """
    check_outputs([output], [workdir / "rd.json"])
    if output.suffix not in FORMATS:
        raise ValueError(f"{output}: accepted are files named {', '.join(FORMATS)}")
    if options.zoom < 1:
        raise ValueError(f"zoom {options.zoom}; a whole number from 1 on is accepted")
    run = read_run(workdir)
    for curve in options.curves:
        if curve not in run.curves:
            raise ValueError(f"curve {curve!r}; this run has {', '.join(run.curves)}")
    kbps, codec = choose_input(run, options.kbps, options.codec)
    crops = [read_crop(text, run.references) for text in options.crops]
    if crops:
        clips = {crop.clip for crop in crops}
        kept = [reference for reference in run.references if reference.name in clips]
        run = dataclasses.replace(run, references=kept)
    size = read_size(options.crop_size)
    curves = options.curves or tuple(run.curves)
    places = make_views(run, crops, curves, codec=codec, kbps=kbps, size=size)
    if crops:  # in the order in which they were asked for
        places.sort(key=lambda place: crops.index(place[0]))
    sheet = _draw([views for _, views in places], options.zoom)
    beside = temporary_name(output)
    try:
        sheet.save(beside, FORMATS[output.suffix], quality=92)
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)
    return f"written: {output}, {sheet.width}x{sheet.height}"


def _draw(rows: Sequence[Sequence[View]], zoom: int) -> Image.Image:
    """Rows of views under their names and bitrates; a column is as wide as its widest."""
    font = ImageFont.load_default(_FONT_SIZE)
    columns = list(zip(*rows, strict=True))
    widths = [
        max(max(zoom * v.pixels.shape[1], math.ceil(font.getlength(_title(v)))) for v in column)
        for column in columns
    ]
    heights = [_FONT_SIZE + _GAP + zoom * row[0].pixels.shape[0] for row in rows]
    sheet = Image.new("RGB", (sum(widths) + _GAP * (len(widths) - 1), sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    left = 0
    for column, width in zip(columns, widths, strict=True):
        top = 0
        for view, height in zip(column, heights, strict=True):
            draw.text((left, top), _title(view), "black", font)
            sheet.paste(_picture(view, zoom), (left, top + _FONT_SIZE + _GAP))
            top += height
        left += width + _GAP
    return sheet


def _title(view: View) -> str:
    rate = "" if view.measured_kbps is None else f", {view.measured_kbps:.0f} kbit/s"
    return view.label + rate


def _picture(view: View, zoom: int) -> Image.Image:
    picture = Image.fromarray(view.pixels)
    size = picture.width * zoom, picture.height * zoom
    return picture.resize(size, Image.Resampling.NEAREST)
