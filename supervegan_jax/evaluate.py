"""Measures videos: python -m supervegan_jax.evaluate score REFERENCE DISTORTED.

score compares two videos, pictures or folders of pictures, frame by frame; rd encodes clips at many
bitrates, enhances them and compares the quality with the plain codec's; table shows a finished rd
clip by clip; advise tells which size and way suit a bitrate.
"""

import argparse
import sys
from pathlib import Path

from supervegan_jax.command_line import Parser, run
from supervegan_jax.rate_distortion.arguments import add_advise, add_rd, add_table


def add_score(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Adds `score`."""
    parser = commands.add_parser(
        "score", help="two videos, pictures or folders of pictures against each other"
    )
    parser.add_argument("reference", metavar="REFERENCE", type=Path)
    parser.add_argument("distorted", metavar="DISTORTED", type=Path)
    parser.add_argument(
        "--metrics",
        metavar="NAME,..",
        default="psnr,ssim,lpips",
        help="of psnr, psnr_y, rmse, ssim, ssim_y, ms_ssim, lpips, lpips_vgg, niqe, pi, vmaf, "
        "tof, tlp, flicker (default: %(default)s)",
    )
    parser.add_argument(
        "--crop-border", type=int, default=0, metavar="PIXELS", help="left out at each side"
    )
    parser.add_argument("--ma-model", type=Path, metavar="FILE", help="of Ma's score, for pi")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the scores of all frames")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the same, with the means")
    parser.set_defaults(work=score)


def score(options: argparse.Namespace) -> None:
    """Scores one against the other; prints a table."""
    from supervegan_jax.evaluation import results
    from supervegan_jax.evaluation.comparison import ScoreOptions, compare
    from supervegan_jax.evaluation.scoring import read_metrics

    metrics = read_metrics(options.metrics)
    outputs = [path for path in (options.csv, options.json) if path is not None]
    results.check_outputs(outputs, (options.reference, options.distorted))
    wanted = ScoreOptions(metrics, options.crop_border, options.ma_model)
    scores = compare(options.reference, options.distorted, wanted)
    if options.csv is not None:
        results.write_whole(options.csv, results.to_csv(scores))
    if options.json is not None:
        results.write_whole(options.json, results.to_json(scores))
    for remark in scores.remarks():
        print(f"note: {remark}", file=sys.stderr)
    print(results.to_table(scores))


def main(arguments: list[str] | None = None) -> None:
    """Runs the sub-command of the command line."""
    parser = Parser(prog="supervegan-evaluate", description=(__doc__ or "").split("\n\n")[1])
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_score(commands)
    add_rd(commands.add_parser("rd", help="quality over bitrate, against the plain codec"))
    add_table(commands.add_parser("table", help="clips against curves of an rd at one bitrate"))
    add_advise(commands.add_parser("advise", help="which size and way suit a bitrate"))
    options = parser.parse_args(arguments)
    options.work(options)


def command() -> None:
    """The installed command `supervegan-evaluate`."""
    run(main)


if __name__ == "__main__":
    command()
