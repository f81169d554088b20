"""The flags of `evaluate report`."""

import argparse
from pathlib import Path

from supervegan_jax.command_line import Parser
from supervegan_jax.rate_distortion.arguments import add_workdir, workdir_of


def add_report(parser: Parser) -> None:
    """Adds the flags of `report`."""
    add = parser.add_argument
    add_workdir(parser)
    add("--output", type=Path, default=Path("report.html"), help="default: %(default)s")
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
    add("--trained", default="", metavar="NAME=KBPS,..", help="show the training bitrate's effect")
    add("--benchmark", type=Path, metavar="JSON", help="show this runtime table")
    add("--max-megabytes", type=float, default=12.0, metavar="MB", help="default: %(default)s")
    parser.set_defaults(work=run_report)


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
