"""The flags of `evaluate rd`, `evaluate table` and `evaluate advise`, and what they ask for."""

import argparse
from pathlib import Path

from supervegan_jax.command_line import Parser, read_names
from supervegan_jax.enhancement.choice import NETWORKS
from supervegan_jax.rate_distortion.config_file import add_config


def _add_shared(parser: Parser, metrics: str) -> None:
    add = parser.add_argument
    add(
        "--models",
        default=",".join(NETWORKS.values()),
        metavar="NAME,..",
        help="default: %(default)s",
    )
    add("--codecs", default="h264", metavar="NAME,..", help="of h264, h265, vp8, vp9, av1")
    add("--metrics", default=metrics, metavar="NAME,..", help="default: %(default)s")
    add("--max-frames", type=int, metavar="N", help="of a clip's beginning (default: all)")
    add("--frame-step", type=int, default=1, metavar="N", help="score every Nth frame")
    add("--workdir", type=Path, required=True, help="keeps all results; run again to go on")
    add("--jobs", type=int, help="encodes at a time (default: the cores)")
    add("--ma-model", type=Path, metavar="FILE", help="of Ma's score, for pi")
    add("--no-plots", action="store_true", help="tables only")


def add_rd(parser: Parser) -> None:
    """Adds the flags of `rd`."""
    add = parser.add_argument
    add_config(parser)
    add("--clips", nargs="+", type=Path, metavar="VIDEO", help="default: the embedded clip")
    add("--input-kbps", default="150,250,500,1000,2000", metavar="KBPS,..", help="into the models")
    add(
        "--reference-kbps",
        default="75,150,250,350,500,750,1000,1500,2000,4000",
        metavar="KBPS,..",
        help="of the codec at full size",
    )
    _add_shared(parser, "psnr,ssim,lpips,lpips_vgg,vmaf")
    parser.set_defaults(work=run_rd)


def add_workdir(parser: Parser) -> None:
    """Adds the folder of a finished run, which a config may name too."""
    parser.add_argument("workdir", nargs="?", type=Path, metavar="WORKDIR", help="of a finished rd")
    # What a config's "workdir" becomes: flags can stand before the words that win over them.
    parser.add_argument("--workdir", dest="configured", type=Path, help=argparse.SUPPRESS)
    add_config(parser)


def workdir_of(options: argparse.Namespace) -> Path:
    """The folder that the command line or else its config names.

    Raises:
      ValueError: neither does.
    """
    found: Path | None = options.workdir or options.configured
    if found is None:
        raise ValueError("no WORKDIR; name the folder of a finished rd, or a --config that does")
    return found


def add_table(parser: Parser) -> None:
    """Adds the flags of `table`."""
    add = parser.add_argument
    add_workdir(parser)
    add("--kbps", type=int, required=True, help="target bitrate of every column")
    add("--codec", default="h264")
    add("--metrics", default="lpips,psnr", metavar="NAME,..", help="default: %(default)s")
    add("--curves", metavar="NAME,..", help="columns (default: all)")
    add("--output", type=Path, metavar="FILE", help="write it too, as .md, .csv or .html")
    parser.set_defaults(work=run_table)


def add_advise(parser: Parser) -> None:
    """Adds the flags of `advise`."""
    add = parser.add_argument
    add("source", type=Path, metavar="SOURCE", help="a video")
    add("--bitrate-kbps", type=int, required=True, metavar="B", help="what may be sent")
    add(
        "--wanted",
        default="",
        metavar="METRIC=VALUE,..",
        help="find the cheapest way to this quality (default: to the best at B)",
    )
    _add_shared(parser, "lpips,vmaf,psnr")
    parser.set_defaults(work=run_advise)


def run_rd(options: argparse.Namespace) -> None:
    """Measures quality over bitrate; prints tables."""
    from data_prep.clips import embedded_clip
    from supervegan_jax.evaluation.scoring import read_metrics
    from supervegan_jax.rate_distortion.job import run_rate_distortion
    from supervegan_jax.rate_distortion.settings import Settings, read_numbers

    settings = Settings(
        clips=tuple(options.clips or [embedded_clip()]),
        models=read_names(options.models),
        codecs=read_names(options.codecs),
        input_kbps=read_numbers(options.input_kbps),
        reference_kbps=read_numbers(options.reference_kbps),
        metrics=read_metrics(options.metrics),
        max_frames=options.max_frames,
        frame_step=options.frame_step,
        jobs=options.jobs,
        ma_model=options.ma_model,
    )
    print("\n\n".join(run_rate_distortion(settings, options.workdir, draw=not options.no_plots)))


def run_advise(options: argparse.Namespace) -> None:
    """Says which size and which way suit a bitrate."""
    from supervegan_jax.evaluation.scoring import read_metrics
    from supervegan_jax.rate_distortion.advice import LADDER, ladder, read_wanted
    from supervegan_jax.rate_distortion.job import run_advice
    from supervegan_jax.rate_distortion.settings import MOST_KBPS, Settings

    most = int(MOST_KBPS / max(LADDER))
    if options.bitrate_kbps > most:
        raise ValueError(f"bitrate_kbps {options.bitrate_kbps}; at most {most} is accepted")
    metrics = read_metrics(options.metrics)
    wanted = read_wanted(options.wanted, metrics)
    settings = Settings(
        clips=(options.source,),
        models=read_names(options.models),
        codecs=read_names(options.codecs),
        input_kbps=ladder(options.bitrate_kbps),
        reference_kbps=ladder(options.bitrate_kbps),
        metrics=metrics,
        max_frames=options.max_frames,
        frame_step=options.frame_step,
        jobs=options.jobs,
        ma_model=options.ma_model,
    )
    if len(settings.codecs) != 1:
        raise ValueError(f"codecs {options.codecs}; advise compares sizes with one codec")
    parts = run_advice(
        settings, options.workdir, options.bitrate_kbps, wanted, draw=not options.no_plots
    )
    print("\n\n".join(parts))


def run_table(options: argparse.Namespace) -> None:
    """Prints clips against curves at one bitrate."""
    from supervegan_jax.evaluation.results import check_outputs
    from supervegan_jax.evaluation.scoring import read_metrics
    from supervegan_jax.rate_distortion import clip_table
    from supervegan_jax.rate_distortion.tables import read_points

    source = workdir_of(options) / "rd.json"
    if options.output is not None:
        check_outputs([options.output], [source])
        clip_table.check_format(options.output)
    table = clip_table.make_table(
        read_points(source),
        codec=options.codec,
        kbps=options.kbps,
        metrics=read_metrics(options.metrics),
        curves=None if options.curves is None else read_names(options.curves),
    )
    clip_table.show(table, options.output)
