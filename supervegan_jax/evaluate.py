"""Measures videos: python -m supervegan_jax.evaluate score REFERENCE DISTORTED.

score compares two videos, pictures or folders of either, frame by frame; rd encodes clips at many
bitrates, enhances them and compares the quality with the plain codec's; report makes a finished rd
one page to look at, crops one picture; table shows it clip by clip, stages, plane and training what
parts of networks, the perception-distortion plane and the training bitrate say; runtime shows a
benchmark; protocol runs a public benchmark; advise tells which size and way suit a bitrate.
"""

import argparse
import sys
from pathlib import Path

from supervegan_jax.command_line import Parser, run
from supervegan_jax.experiments.arguments import (
    add_plane,
    add_runtime,
    add_stages,
    add_training,
)
from supervegan_jax.protocols.arguments import add_protocol
from supervegan_jax.rate_distortion.arguments import add_advise, add_rd, add_table
from supervegan_jax.rate_distortion.config_file import with_config
from supervegan_jax.report.arguments import add_crops, add_report


def add_score(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Adds `score`."""
    parser = commands.add_parser(
        "score", help="two videos, pictures or folders of either against each other"
    )
    parser.add_argument("reference", metavar="REFERENCE", type=Path)
    parser.add_argument("distorted", metavar="DISTORTED", type=Path)
    parser.add_argument(
        "--metrics",
        metavar="NAME,..",
        default="psnr,ssim,lpips",
        help="of psnr, psnr_y, rmse, ssim, ssim_y, ms_ssim, lpips, lpips_vgg, tint, niqe, pi, "
        "vmaf, tof, tlp, flicker (default: %(default)s)",
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
    from supervegan_jax.evaluation import results, video_folders
    from supervegan_jax.evaluation.comparison import ScoreOptions, compare
    from supervegan_jax.evaluation.scoring import read_metrics

    metrics = read_metrics(options.metrics)
    outputs = [path for path in (options.csv, options.json) if path is not None]
    results.check_outputs(outputs, (options.reference, options.distorted))
    wanted = ScoreOptions(metrics, options.crop_border, options.ma_model)
    if video_folders.are_video_folders(options.reference, options.distorted):
        clips = video_folders.compare_videos(options.reference, options.distorted, wanted)
        scores = video_folders.clip_means(clips)
        csv_text, json_text = video_folders.to_csv(clips), video_folders.to_json(clips)
    else:
        scores = compare(options.reference, options.distorted, wanted)
        csv_text, json_text = results.to_csv(scores), results.to_json(scores)
    if options.csv is not None:
        results.write_whole(options.csv, csv_text)
    if options.json is not None:
        results.write_whole(options.json, json_text)
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
    add_stages(commands.add_parser("stages", help="what each stage of the networks adds"))
    add_plane(commands.add_parser("plane", help="perception, distortion and the Pareto front"))
    add_training(commands.add_parser("training", help="the effect of the training bitrate"))
    add_protocol(commands.add_parser("protocol", help="a public benchmark as it is prescribed"))
    add_runtime(commands.add_parser("runtime", help="a benchmark as a table"))
    add_report(commands.add_parser("report", help="a finished rd as one HTML page"))
    add_crops(commands.add_parser("crops", help="places of a finished rd as one picture"))
    options = parser.parse_args(with_config(sys.argv[1:] if arguments is None else arguments))
    options.work(options)


def command() -> None:
    """The installed command `supervegan-evaluate`."""
    run(main)


if __name__ == "__main__":
    command()
