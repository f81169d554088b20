"""`study analyse`: from the votes to equivalent bitrates with intervals."""

import argparse
import sys
from pathlib import Path

from supervegan_jax.command_line import Parser, read_names


def add_arguments(parser: Parser) -> None:
    """Adds the flags of `analyse`."""
    add = parser.add_argument
    add("votes", metavar="VOTES", type=Path, help="a study's folder, its SQLite file, or a CSV")
    add("--json", type=Path, metavar="FILE", help="write everything that was found")
    add("--plots", type=Path, metavar="FOLDER", help="draw the votes and equivalent bitrates")
    add("--rd", type=Path, metavar="RD", help="a finished evaluate rd to compare metrics with")
    add("--codec", default="h264", help="of that run's references (default: %(default)s)")
    add("--clips", metavar="NAME,..", help="analyse only these (default: all)")
    add("--confidence", type=float, default=0.95, metavar="C", help="default: %(default)s")
    add("--resamples", type=int, default=1000, metavar="N", help="default: %(default)s")
    add("--seed", type=int, default=0, metavar="N", help="of the resampling")
    add("--max-lapse", type=float, default=0.2, metavar="RATE", help="default: %(default)s")
    add("--catch-rate", type=float, default=0.95, metavar="RATE", help="default: %(default)s")
    add("--side-share", type=float, default=0.65, metavar="SHARE", help="default: %(default)s")
    add("--screen-level", type=float, default=0.05, metavar="P", help="0 drops nobody")


def run(arguments: argparse.Namespace) -> None:
    """Analyses, writes what is asked for and prints tables."""
    from supervegan_jax.evaluation.results import check_outputs, write_whole
    from supervegan_jax.study.analysis import figures, results
    from supervegan_jax.study.analysis.equivalency import Options
    from supervegan_jax.study.analysis.job import analyse
    from supervegan_jax.study.analysis.screening import Rules
    from supervegan_jax.study.folder import PLAN, SALT, TOKEN
    from supervegan_jax.study.votes import FILE as VOTES

    if arguments.json is not None:
        votes = arguments.votes
        inputs = [votes, *(votes / name for name in (VOTES, PLAN, TOKEN, SALT))]
        inputs += [] if arguments.rd is None else [arguments.rd / "rd.json"]
        check_outputs([arguments.json], inputs)
    if arguments.plots is not None and arguments.plots.exists() and not arguments.plots.is_dir():
        raise ValueError(f"{arguments.plots} is a file; the plots need a folder")
    if arguments.seed < 0:
        raise ValueError(f"seed {arguments.seed}; accepted is 0 or more")
    clips = None if arguments.clips is None else read_names(arguments.clips)
    if clips == ():
        raise ValueError(f"clips {arguments.clips!r}; names with commas between them are accepted")
    analysis = analyse(
        arguments.votes,
        rules=Rules(arguments.catch_rate, arguments.side_share, arguments.screen_level),
        options=Options(
            arguments.max_lapse, arguments.confidence, arguments.resamples, arguments.seed
        ),
        clips=clips,
        run=arguments.rd,
        codec=arguments.codec,
    )
    written = []
    if arguments.json is not None:
        write_whole(arguments.json, results.to_json(analysis))
        written.append(arguments.json)
    if arguments.plots is not None:
        written += figures.draw_all(analysis, arguments.plots)
    for note in analysis.notes:
        print(f"note: {note}", file=sys.stderr)
    parts = results.to_tables(analysis)
    if written:
        parts.append("written: " + ", ".join(map(str, written)))
    print("\n\n".join(parts))
