"""The flags of the study's commands, and what they ask for."""

import argparse
from pathlib import Path

from supervegan_jax.command_line import Parser, read_names
from supervegan_jax.enhancement.choice import NETWORKS


def add_prepare(parser: Parser) -> None:
    """Adds the flags of `prepare`."""
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of the study; run again to go on")
    add("--clips", nargs="+", type=Path, metavar="VIDEO", help="default: the embedded clip")
    add(
        "--models",
        default=",".join(NETWORKS.values()),
        metavar="NAME,..",
        help="default: %(default)s",
    )
    add(
        "--input-kbps",
        default="150,250,350,500,750,1000,1500,2000",
        metavar="KBPS,..",
        help="into the models (default: %(default)s)",
    )
    add(
        "--reference-kbps",
        default="75,150,250,350,500,750,1000,1500,2000,3000,4000",
        metavar="KBPS,..",
        help="of H.264 at full size (default: %(default)s)",
    )
    add(
        "--span",
        default="0.4,5",
        metavar="LOW,HIGH",
        help="references shown beside an input, times its bitrate (default: %(default)s)",
    )
    add("--crop-size", default="632x480", metavar="WxH", help="shown (default: %(default)s)")
    add(
        "--crop",
        action="append",
        default=[],
        metavar="CLIP:X,Y",
        help="where a clip is cropped, its upper left corner (default: about the centre)",
    )
    add("--max-frames", type=int, metavar="N", help="of a clip's beginning (default: all)")
    add("--trials", type=int, default=20, help="pairs of an observer (default: %(default)s)")
    add("--repeats", type=int, default=3, help="of them shown twice (default: %(default)s)")
    add("--catches", type=int, help="pairs with a known answer (default: 2, 1 for one clip)")
    add("--votes-per-pair", type=int, default=8, help="default: %(default)s")
    add("--watch-seconds", type=float, default=3.0, help="before a vote (default: %(default)s)")
    add("--format", default="mp4", help="of the videos, mp4 (H.264) or webm (VP9)")
    add("--crf", type=int, default=12, help="quality of the videos (default: %(default)s)")
    add("--seed", type=int, default=0, help="of everything random (default: %(default)s)")
    add("--workdir", type=Path, help="keeps encodes, may be an rd's (default: FOLDER/work)")
    add("--jobs", type=int, help="encodes at a time (default: the cores)")
    parser.set_defaults(work=run_prepare)


def run_prepare(options: argparse.Namespace) -> None:
    """Makes a study's folder."""
    from data_prep.clips import embedded_clip
    from supervegan_jax.rate_distortion.settings import read_numbers
    from supervegan_jax.report.crops import read_size
    from supervegan_jax.study.design import Counts
    from supervegan_jax.study.preparation.job import prepare
    from supervegan_jax.study.preparation.settings import StudySettings

    clips = tuple(options.clips or [embedded_clip()])
    catches = min(2, len(clips)) if options.catches is None else options.catches
    settings = StudySettings(
        clips=clips,
        models=read_names(options.models),
        input_kbps=read_numbers(options.input_kbps),
        reference_kbps=read_numbers(options.reference_kbps),
        span=_read_span(options.span),
        size=read_size(options.crop_size),
        corners=dict(_read_corner(text) for text in options.crop),
        max_frames=options.max_frames,
        counts=Counts(options.trials, options.repeats, catches, options.votes_per_pair),
        watch_seconds=options.watch_seconds,
        suffix=options.format,
        crf=options.crf,
        seed=options.seed,
    )
    print("\n".join(prepare(settings, options.folder, options.workdir, options.jobs)))


def _read_span(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"span {text!r}; LOW,HIGH is accepted") from None
    return low, high


def _read_corner(text: str) -> tuple[str, tuple[int, int]]:
    clip, _, place = text.rpartition(":")
    try:
        left, top = (int(part) for part in place.split(","))
    except ValueError:
        raise ValueError(f"crop {text!r}; CLIP:X,Y is accepted") from None
    return clip, (left, top)


def add_serve(parser: Parser) -> None:
    """Adds the flags of `serve`."""
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of a prepared study")
    add("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    add("--port", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    add(
        "--enter-per-minute",
        type=int,
        default=30,
        metavar="N",
        help="new observers from one address (default: %(default)s)",
    )
    parser.set_defaults(work=run_serve)


def run_serve(options: argparse.Namespace) -> None:
    """Serves the study's page until interrupted."""
    try:
        from supervegan_jax.study.server.serve import serve
    except ImportError as error:
        if error.name not in ("starlette", "uvicorn", "anyio"):
            raise
        raise ValueError(
            f"serve needs the package {error.name}: pip install 'supervegan_jax[study]'"
        ) from None
    serve(options.folder, options.host, options.port, options.enter_per_minute)


def add_export_mturk(parser: Parser) -> None:
    """Adds the flags of `export-mturk`."""
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of a prepared study")
    add(
        "--media-url",
        required=True,
        metavar="URL",
        help="https address of a folder that holds the files of FOLDER/media",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="gets question.html, input.csv")
    parser.set_defaults(work=run_export_mturk)


def run_export_mturk(options: argparse.Namespace) -> None:
    """Writes what Mechanical Turk's requester site takes."""
    from supervegan_jax.study.mturk import export

    print("\n".join(export(options.folder, options.media_url, options.output)))


def add_import_mturk(parser: Parser) -> None:
    """Adds the flags of `import-mturk`."""
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of the study that was exported")
    add("results", type=Path, nargs="+", metavar="CSV", help="Mechanical Turk's result files")
    parser.set_defaults(work=run_import_mturk)


def run_import_mturk(options: argparse.Namespace) -> None:
    """Adds Mechanical Turk's results to the votes."""
    from supervegan_jax.study.mturk import import_results

    for path in options.results:
        print(import_results(options.folder, path))
