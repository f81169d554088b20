"""YUV4MPEG2: the line at the head of a stream of raw frames, read and written as ffmpeg does."""

from fractions import Fraction
from pathlib import Path
from typing import Final

from supervegan_jax.video.ffmpeg import VideoError
from supervegan_jax.video_input.frames import FrameFormat
from supervegan_jax.video_input.media import Picture
from supervegan_jax.video_input.pixels import usual_matrix
from supervegan_jax.video_input.samples import LARGEST_SIDE, LONGEST_LINE, Layout, frame_rate, ratio

MAGIC: Final = b"YUV4MPEG2 "
FRAME: Final = b"FRAME\n"
# The C field: subsampling, bits, chroma location.
COLOUR_SPACES: Final = {
    "420jpeg": ("420", 8, "center"),
    "420mpeg2": ("420", 8, "left"),
    "420paldv": ("420", 8, "topleft"),
    "420": ("420", 8, "center"),
    "422": ("422", 8, "left"),
    "444": ("444", 8, "left"),
    "mono": ("gray", 8, "left"),
    "420p10": ("420", 10, "left"),
    "422p10": ("422", 10, "left"),
    "444p10": ("444", 10, "left"),
    "mono10": ("gray", 10, "left"),
    "420p12": ("420", 12, "left"),
    "422p12": ("422", 12, "left"),
    "444p12": ("444", 12, "left"),
    "mono12": ("gray", 12, "left"),
}


def read_header(line: bytes) -> Layout:
    """Reads the first line of a stream.

    Raises:
      VideoError: it lacks the size or says something unsupported.
    """
    fields = line.decode("ascii", "replace").split(" ")[1:]
    values = {field[0]: field[1:] for field in fields if field}
    picture = Picture(
        sample_aspect_ratio=ratio(values.get("A", "0:0")),
        interlaced=values.get("I", "p") in ("t", "b", "m"),
    )
    declared = values.get("F", "0:0")
    rate = Fraction(25) if declared.endswith(":0") else frame_rate(declared)
    if rate is None:
        raise VideoError(
            f"standard input: the Y4M header gives a frame rate of {declared}; "
            "0.001 to 1000 frames/s are accepted"
        )
    return Layout(_format(fields), rate, picture, marked=True)


def size(path: Path) -> int | None:
    """The bytes up to the end of the last frame that begins; None where its line says more."""
    with path.open("rb") as file:
        line = file.readline(LONGEST_LINE)
        plain = file.read(len(FRAME)) == FRAME
    try:
        frame = len(FRAME) + read_header(line.rstrip(b"\n")).frame_bytes
    except VideoError:
        return None
    return len(line) + -(-(path.stat().st_size - len(line)) // frame) * frame if plain else None


def _format(fields: list[str]) -> FrameFormat:
    values = {field[0]: field[1:] for field in fields if field}
    extra = dict(f[1:].split("=", 1) for f in fields if f.startswith("X") and "=" in f)
    # An older field of the same meaning, in capitals.
    space = values.get("C", extra.get("YSCSS", "420jpeg").lower())
    if space not in COLOUR_SPACES:
        raise VideoError(
            f"standard input: Y4M colour space {space!r} is not supported; "
            f"supported are {', '.join(COLOUR_SPACES)}"
        )
    subsampling, depth, location = COLOUR_SPACES[space]
    try:
        width, height = int(values["W"]), int(values["H"])
    except (KeyError, ValueError):
        raise VideoError("standard input: the Y4M header gives no width and height") from None
    if not all(1 <= side <= LARGEST_SIDE for side in (width, height)):
        raise VideoError(
            f"standard input: the Y4M header gives a size of {width}x{height}; "
            f"each side must be 1 to {LARGEST_SIDE} pixels"
        )
    return FrameFormat(
        width=width,
        height=height,
        bit_depth=depth,
        subsampling=subsampling,
        matrix=usual_matrix(width, height),
        full_range=extra.get("COLORRANGE") == "FULL",
        chroma_location=location,
    )


def chroma_location(fmt: FrameFormat) -> str:
    """Where chroma lies as the header can say it: there, or where it is taken to lie."""
    return COLOUR_SPACES[_colour_space(fmt)][2]


def _colour_space(fmt: FrameFormat) -> str:
    wanted = (fmt.subsampling, fmt.bit_depth)
    names = [name for name, (*rest, _) in COLOUR_SPACES.items() if tuple(rest) == wanted]
    located = [n for n in names if COLOUR_SPACES[n][2] == fmt.chroma_location]
    return (located or names)[0]


def header(fmt: FrameFormat, rate: Fraction, aspect: Fraction | None) -> bytes:
    """The first line of a YUV4MPEG2 stream, newline included."""
    space = _colour_space(fmt)
    aspect = aspect or Fraction(0)
    shape = f"{aspect.numerator}:{aspect.denominator if aspect else 0}"
    fields = [f"W{fmt.width}", f"H{fmt.height}", f"F{rate.numerator}:{rate.denominator}", "Ip"]
    fields += [f"A{shape}", f"C{space}"]
    fields += [f"XYSCSS={space.upper()}"] * (not space.startswith("mono"))
    fields.append(f"XCOLORRANGE={'FULL' if fmt.full_range else 'LIMITED'}")
    return MAGIC + " ".join(fields).encode() + b"\n"
