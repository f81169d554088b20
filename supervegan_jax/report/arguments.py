"""The flags of `evaluate report` and `evaluate crops`."""

import argparse
from pathlib import Path

from supervegan_jax.command_line import Parser, read_names
from supervegan_jax.rate_distortion.arguments import add_workdir, workdir_of


def add_report(parser: Parser) -> None:
    """Adds the flags of `report`."""
    add = parser.add_argument
    add_workdir(parser)
    add("--output", type=Path, default=Path("report.html"), help="default: %(default)s")
    _add_places(parser)
    add("--trained", default="", metavar="NAME=KBPS,..", help="show the training bitrate's effect")
    add("--benchmark", type=Path, metavar="JSON", help="show this runtime table")
    add("--max-megabytes", type=float, default=12.0, metavar="MB", help="default: %(default)s")
    parser.set_defaults(work=run_report)


def add_crops(parser: Parser) -> None:
    """Adds the flags of `crops`."""
    add = parser.add_argument
    add_workdir(parser)
    add(
        "--output",
        type=Path,
        default=Path("crops.png"),
        metavar="FILE",
        help="a .png, .jpg or .webp (default: %(default)s)",
    )
    add("--curves", default="", metavar="NAME,..", help="columns (default: all)")
    add("--zoom", type=int, default=1, metavar="N", help="show pixels N times as large")
    _add_places(parser)
    parser.set_defaults(work=run_crops)


def _add_places(parser: Parser) -> None:
    add = parser.add_argument
    add("--kbps", type=int, help="of the crops (default: the nearest to 250)")
    add("--codec", help="of the crops (default: the first)")
    add(
        "--crop",
        action="append",
        default=[],
        metavar="CLIP:FRAME:X,Y",
        help="show this place, its upper left corner in pixels of the full size; may be given "
        "often (default: the most textured place of each clip's middle frame)",
    )
    add("--crop-size", default="384x288", metavar="WxH", help="default: %(default)s")


def run_crops(options: argparse.Namespace) -> None:
    """Writes the picture."""
    from supervegan_jax.report.crop_sheet import SheetOptions, write_sheet

    wanted = SheetOptions(
        curves=read_names(options.curves),
        crops=tuple(options.crop),
        crop_size=options.crop_size,
        zoom=options.zoom,
        kbps=options.kbps,
        codec=options.codec,
    )
    print(write_sheet(workdir_of(options), options.output, wanted))


def run_report(options: argparse.Namespace) -> None:
    """Writes the page."""
    from supervegan_jax.report.job import ReportOptions, write_report

    wanted = ReportOptions(
        kbps=options.kbps,
        codec=options.codec,
        crops=tuple(options.crop),
        crop_size=options.crop_size,
        trained=options.trained,
        benchmark=options.benchmark,
        most_megabytes=options.max_megabytes,
    )
    print(write_report(workdir_of(options), options.output, wanted))
