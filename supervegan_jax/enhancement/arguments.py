"""The command line of `supervegan_jax.enhance`."""

import argparse
from typing import Any

from supervegan_jax.command_line import Parser, read_names, read_seconds
from supervegan_jax.enhancement.choice import AUTOMATIC


def parse(description: str, arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line.

    Raises:
      ValueError: it is wrong.
    """
    parser = Parser(
        prog="supervegan-enhance",
        description=description,
        epilog="a file name that begins with a dash: ./-name, or behind --",
    )
    add = parser.add_argument
    add("input", nargs="?", metavar="INPUT", help="a video file, or - for standard input")
    add("output", nargs="?", metavar="OUTPUT", help="the file to write, or - for standard output")
    add("--start", "-ss", type=read_seconds, metavar="TIME", help="seconds or 0:01:30: begin there")
    add("--duration", "-t", type=read_seconds, metavar="TIME", help="end after so long")
    add("--overwrite", "-y", action="store_true", help="replace an existing output")
    add("--dry-run", action="store_true", help="only tell what would be done")
    _add_model(parser)
    _add_raw_input(parser)
    _add_output(parser)
    _add_computing(parser)
    # Python 3.11 would not take an OUTPUT that options part from INPUT otherwise.
    options = parser.parse_intermixed_args(arguments)
    if not options.list_models and options.output is None:
        raise ValueError("INPUT and OUTPUT are needed; see --help")
    if options.input_format is None:
        for name in ("video_size", "pixel_format", "framerate"):
            if getattr(options, name) is not None:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} describes raw video; give --input-format rawvideo too")
    return options


def _add_model(parser: Parser) -> None:
    add = parser.add_argument_group("network").add_argument
    add(
        "--model",
        default=AUTOMATIC,
        help="a shipped name, a training workdir, an exported folder or file, or another system's "
        "published .pth or .h5 file; auto chooses a shipped one "
        "by the input's size and bitrate, and says which and why (default: %(default)s)",
    )
    add("--list-models", action="store_true", help="print the shipped models")
    add("--stage", default="b", help="a restores, b also adds detail (default: b)")
    add("--strength", type=float, default=1.0, help="of the added detail, 0 to 1 (default: 1)")
    add("--compare", help="side-by-side or split: with the bicubic enlargement on the left")


def _add_raw_input(parser: Parser) -> None:
    group = parser.add_argument_group(
        "raw input", "for samples without a header; every other input tells its format itself"
    )
    add = group.add_argument
    add(
        "--input-format",
        "-f",
        choices=("rawvideo",),
        metavar="FORMAT",
        help="rawvideo: INPUT is frames of samples, one after the other",
    )
    add("--video-size", "-video_size", metavar="WxH", help="in pixels, such as 320x180; needed")
    add(
        "--pixel-format",
        "-pixel_format",
        metavar="NAME",
        help="yuv420p, yuv422p, yuv444p, gray, these with 10le or 12le behind, yuvj420p, yuvj422p, "
        "yuvj444p or rgb24 (default: yuv420p)",
    )
    add("--framerate", "-framerate", metavar="RATE", help="frames per second (default: 25)")


def _add_output(parser: Parser) -> None:
    add = parser.add_argument_group("output").add_argument
    add(
        "--output-format",
        metavar="FORMAT",
        help="mkv (matroska), mp4, mov, webm, ts (mpegts); on standard output also y4m "
        "(yuv4mpegpipe), its default, and rawvideo, neither of which waits for an encoder "
        "(default: what OUTPUT's suffix says)",
    )
    add("--codec", "-c:v", help="h264, h265, vp9 or av1 (default: what the format suits)")
    add(
        "--crf",
        "-crf",
        type=float,
        help="quality of the encode, less is better (default: 17 for h264, "
        "20 h265, 24 vp9, 24 av1)",
    )
    add(
        "--preset",
        "-preset",
        help="the encoder's speed (default: veryfast for h264, faster h265, 5 vp9, 8 av1)",
    )
    add(
        "--pix-fmt",
        "-pix_fmt",
        help="ffmpeg's name of the stored samples (default: like the input)",
    )
    add(
        "--drop",
        type=_read_streams,
        action="extend",
        default=[],
        metavar="STREAM,..",
        help="leave these streams of INPUT out, by their numbers; may be given several times",
    )


def _read_streams(text: str) -> list[int]:
    names = read_names(text)
    if not names or not all(name.isdecimal() for name in names):
        raise argparse.ArgumentTypeError(
            f"{text!r}: numbers of streams are accepted, such as 1 or 1,2"
        )
    return [int(name) for name in names]


def _add_computing(parser: Parser) -> None:
    add = parser.add_argument_group("computing").add_argument
    add("--tile", type=int, metavar="PIXELS", help="longest side of what is computed at once")
    add(
        "--batch-size",
        type=int,
        metavar="FRAMES",
        help="frames computed together (default: 4 on a CPU, 8 a GPU); from a pipe a frame goes "
        "out when the next FRAMES + 1 have come in, at the latest",
    )
    add("--dtype", help="of the features: float32 or bfloat16 (default: the device's best)")


def raw_video_fields(options: argparse.Namespace) -> dict[str, Any] | None:
    """What was said about raw input, as fields of `RawVideo`; None if the input is not raw."""
    if options.input_format is None:
        return None
    names = ("video_size", "pixel_format", "framerate")
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
