"""The flags of `evaluate stages`, `plane`, `training` and `runtime`."""

import argparse
from pathlib import Path

from supervegan_jax.command_line import Parser
from supervegan_jax.rate_distortion.arguments import add_workdir, workdir_of


def add_stages(parser: Parser) -> None:
    """Adds the flags of `stages`."""
    add = parser.add_argument
    add_workdir(parser)
    add("--kbps", metavar="KBPS,..", help="target bitrates of the input (default: all)")
    add("--codec", default="h264")
    add("--metrics", default="lpips,psnr", metavar="NAME,..", help="default: %(default)s")
    add("--output", type=Path, metavar="FILE", help="write the scores, as .md, .csv or .html")
    add("--plot", type=Path, metavar="PNG", help="draw what each stage changes")
    add("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.set_defaults(work=run_stages)


def add_plane(parser: Parser) -> None:
    """Adds the flags of `plane`."""
    add = parser.add_argument
    add_workdir(parser)
    add("--kbps", type=int, required=True, help="target bitrate of every curve")
    add("--codec", default="h264")
    add("--distortion", default="rmse", metavar="NAME", help="default: %(default)s")
    add("--perception", default="niqe", metavar="NAME", help="default: %(default)s")
    add("--plot", type=Path, metavar="PNG", help="draw it")
    add("--json", type=Path, metavar="FILE", help="write the points")
    parser.set_defaults(work=run_plane)


def add_training(parser: Parser) -> None:
    """Adds the flags of `training`."""
    add = parser.add_argument
    add_workdir(parser)
    add("--trained", required=True, metavar="NAME=KBPS,..", help="which network, at which bitrate")
    add("--codec", default="h264")
    add("--metrics", default="lpips", metavar="NAME,..", help="default: %(default)s")
    add("--output", type=Path, metavar="FILE", help="write the table, as .md, .csv or .html")
    add("--plot", type=Path, metavar="PNG", help="draw the curves")
    add("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.set_defaults(work=run_training)


def add_runtime(parser: Parser) -> None:
    """Adds the flags of `runtime`."""
    parser.add_argument("benchmark", type=Path, metavar="BENCHMARK", help="JSON, a list of rows")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write it too, as .md, .csv or .html"
    )
    parser.set_defaults(work=run_runtime)


def _check(options: argparse.Namespace, source: Path) -> None:
    """Refuses, before `source` is read, what cannot be written or would replace it."""
    from supervegan_jax.evaluation.results import check_outputs
    from supervegan_jax.rate_distortion import clip_table

    table, plot = getattr(options, "output", None), getattr(options, "plot", None)
    outputs = [table, plot, getattr(options, "json", None)]
    check_outputs([path for path in outputs if path is not None], [source])
    if table is not None:
        clip_table.check_format(table)
    if plot is not None and plot.suffix != ".png":
        raise ValueError(f"{plot}: accepted are files named .png")


def run_stages(options: argparse.Namespace) -> None:
    """Prints what each stage adds."""
    from supervegan_jax.evaluation.results import write_whole
    from supervegan_jax.evaluation.scoring import read_metrics
    from supervegan_jax.experiments import stages
    from supervegan_jax.rate_distortion import clip_table
    from supervegan_jax.rate_distortion.settings import read_numbers
    from supervegan_jax.rate_distortion.tables import read_points

    source = workdir_of(options) / "rd.json"
    _check(options, source)
    outcome = stages.describe(
        read_points(source),
        codec=options.codec,
        kbps=None if options.kbps is None else read_numbers(options.kbps),
        metrics=read_metrics(options.metrics),
    )
    scores, *others = outcome.tables
    clip_table.show(scores, options.output)
    for table in others:
        print("\n" + clip_table.as_text(table))
    if outcome.findings:
        print("\n" + "\n".join(outcome.findings).replace("**", ""))
    if options.json is not None:
        write_whole(options.json, stages.to_json(outcome))
    if options.plot is not None:
        if not outcome.drawings:
            raise ValueError(f"{options.plot}: no network of this run has two stages to compare")
        outcome.drawings["stages"](options.plot)


def run_plane(options: argparse.Namespace) -> None:
    """Prints the perception-distortion plane."""
    from supervegan_jax.evaluation.results import write_whole
    from supervegan_jax.evaluation.scoring import read_metrics
    from supervegan_jax.experiments import plane
    from supervegan_jax.rate_distortion.tables import read_points

    source = workdir_of(options) / "rd.json"
    _check(options, source)
    read_metrics((options.distortion, options.perception))
    made = plane.make_plane(
        read_points(source),
        codec=options.codec,
        kbps=options.kbps,
        distortion=options.distortion,
        perception=options.perception,
    )
    print(plane.to_text(made))
    if options.json is not None:
        write_whole(options.json, plane.to_json(made))
    if options.plot is not None:
        plane.draw(made, options.plot)


def run_training(options: argparse.Namespace) -> None:
    """Prints the effect of the training bitrate."""
    from supervegan_jax.evaluation.results import write_whole
    from supervegan_jax.evaluation.scoring import read_metrics
    from supervegan_jax.experiments import training_bitrate
    from supervegan_jax.rate_distortion import clip_table
    from supervegan_jax.rate_distortion.tables import read_points

    source = workdir_of(options) / "rd.json"
    _check(options, source)
    points = read_points(source)
    trained = training_bitrate.read_trained(options.trained, points)
    metrics = read_metrics(options.metrics)
    found = training_bitrate.effects(points, trained, codec=options.codec, metrics=metrics)
    clip_table.show(training_bitrate.to_table(found, trained), options.output)
    claims = training_bitrate.findings(points, found)
    if claims:
        print("\n" + "\n".join(map(str, claims)).replace("**", ""))
    if options.json is not None:
        write_whole(options.json, training_bitrate.to_json(found, trained, claims))
    if options.plot is not None:
        training_bitrate.draw(found, trained, options.plot)


def run_runtime(options: argparse.Namespace) -> None:
    """Prints a benchmark's table."""
    from supervegan_jax.experiments.runtime import read_benchmark
    from supervegan_jax.rate_distortion import clip_table

    _check(options, options.benchmark)
    clip_table.show(read_benchmark(options.benchmark), options.output)
