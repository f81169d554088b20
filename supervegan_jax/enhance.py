"""Enhances a video: python -m supervegan_jax.enhance INPUT OUTPUT.

Every frame comes out once with its own timestamp; other streams are copied. Run the same command
again to go on after an interruption. INPUT and OUTPUT may be "-" for a pipe (Y4M on the way out).
"""

import argparse
import sys

from supervegan_jax.command_line import Parser, run

DEFAULT_MODEL = "supervegan4_small"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line.

    Raises:
      ValueError: it is wrong.
    """
    parser = Parser(
        prog="supervegan-enhance",
        description=(__doc__ or "").split("\n\n")[1],
        epilog="a file name that begins with a dash: ./-name",
    )
    add = parser.add_argument
    add("input", nargs="?", metavar="INPUT", help="a video file, or - for standard input")
    add("output", nargs="?", metavar="OUTPUT", help="the file to write, or - for standard output")
    add(
        "--model",
        default=DEFAULT_MODEL,
        help="a shipped name, a training workdir or an exported file (default: %(default)s)",
    )
    add("--list-models", action="store_true", help="print the shipped models")
    add("--stage", default="b", help="a restores, b also adds detail (default: b)")
    add("--strength", type=float, default=1.0, help="of the added detail, 0 to 1 (default: 1)")
    add("--codec", help="h264, h265, vp9 or av1 (default: what OUTPUT's suffix suits)")
    add("--crf", type=float, help="quality of the encode, less is better")
    add("--preset", help="the encoder's speed")
    add("--pix-fmt", help="ffmpeg's name of the stored samples (default: like the input)")
    add(
        "--drop",
        type=int,
        action="append",
        default=[],
        metavar="STREAM",
        help="leave this stream of INPUT out, by its number; may be given several times",
    )
    add("--start", type=float, metavar="SECONDS", help="begin there")
    add("--duration", type=float, metavar="SECONDS", help="end after so long")
    add("--compare", help="side-by-side or split: with the bicubic enlargement on the left")
    add("--tile", type=int, metavar="PIXELS", help="longest side of what is computed at once")
    add(
        "--batch-size",
        type=int,
        metavar="FRAMES",
        help="frames computed together (default: 4 on a CPU, 8 a GPU); from a pipe a frame goes "
        "out when the next FRAMES + 1 have come in, at the latest",
    )
    add("--dtype", help="of the features: float32 or bfloat16 (default: the device's best)")
    add("--overwrite", action="store_true", help="replace an existing output")
    add("--dry-run", action="store_true", help="only tell what would be done")
    options = parser.parse_args(arguments)
    if not options.list_models and options.output is None:
        raise ValueError("INPUT and OUTPUT are needed; see --help")
    return options


def main(arguments: list[str] | None = None) -> int | None:
    """Enhances a video; returns an exit code."""
    options = parse(arguments)
    from supervegan_jax.weights import list_models, load_model

    if options.list_models:
        for name, card in list_models().items():
            print(f"{name}\t{card['generator']['scale']}x\t{card.get('description', '')}")
        return None

    from supervegan_jax.enhancement.job import Job, describe, enhance_video, summary
    from supervegan_jax.enhancement.options import RunOptions
    from supervegan_jax.video.encoding import EncodeOptions

    run_options = RunOptions(
        stage=options.stage,
        strength=options.strength,
        dtype=options.dtype,
        batch_size=options.batch_size,
        tile=options.tile,
    )
    job = Job(
        options.input,
        options.output,
        load_model(options.model),
        run_options,
        EncodeOptions(options.codec, options.crf, options.preset, options.pix_fmt),
        options.start,
        options.duration,
        options.compare,
        options.overwrite,
        tuple(options.drop),
    )
    if options.dry_run:
        print("\n".join(describe(job)))
        return None
    # Standard output may be the video's.
    print(summary(enhance_video(job)), file=sys.stderr if options.output == "-" else sys.stdout)
    return None


def command() -> None:
    """The installed command `supervegan-enhance`."""
    run(main)


if __name__ == "__main__":
    command()
