"""What records are made of, and the flags that say so."""

import argparse
import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction

from data_prep import degrade, holdout
from supervegan_jax.data.clip_pairs import read_weights
from supervegan_jax.data.records import Window
from supervegan_jax.video.encoder import CODECS

PEAK_FRAMES = 3  # of a record: the peak before, the frame with its ground truth, the peak after


@dataclasses.dataclass(frozen=True)
class RecordOptions:
    """What the records depend on beside the clips.

    Attributes:
      scale: r, 4, 2 or 1.
      bitrates_kbps: target bitrates of the inputs, in kbit/s.
      codecs: of the inputs; each patch comes from one codec and bitrate, drawn at random.
      patch_size: p, side of the input patches in pixels.
      patches: records to write.
      frames: input frames of a record.
      truths: of which so many in the middle come with their ground truth.
      peaks: the input frames are the peak frame before, the frame and the peak frame after, by
        their true quality, in place of frames in a row.
      holdout_tail: last part of every clip to hold out, see `holdout.divide`.
      holdout: patterns of ids or source names of clips to hold out whole.
      weights: pattern -> how often frames of those clips are drawn, 1 being the rule.
      seed: of the drawing.
    """

    scale: int = 4
    bitrates_kbps: tuple[int, ...] = (250,)
    codecs: tuple[str, ...] = ("h264",)
    patch_size: int = 96
    patches: int = 25_000
    frames: int = 5
    truths: int = 1
    peaks: bool = False
    holdout_tail: str | float | None = None
    holdout: tuple[str, ...] = ()
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seed: int = 0

    @property
    def window(self) -> Window:
        """The frames of a record."""
        return Window(self.frames, self.truths)


def check_options(options: RecordOptions) -> None:
    """Raises `ValueError` for an option that is not accepted, before any work is done."""
    degrade.check_encoding(options.scale, options.bitrates_kbps, options.codecs)
    for name in ("patch_size", "patches"):
        if getattr(options, name) < 1:
            raise ValueError(f"{name} {getattr(options, name)}: must be at least 1")
    options.window.check()
    if options.peaks and options.window != Window(PEAK_FRAMES):
        found = f"{options.frames} and {options.truths}"
        raise ValueError(
            f"records of peak frames have 3 frames, 1 of them with ground truth; not {found}"
        )
    for pattern, weight in options.weights.items():
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight {weight:g} of {pattern!r}: must be finite and at least 0")
    holdout.tail_frames(options.holdout_tail, 1, Fraction(1))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `RecordOptions` to a command."""
    default = RecordOptions()
    parser.add_argument("--scale", type=int, choices=degrade.SCALES, default=default.scale)
    parser.add_argument(
        "--bitrate-kbps",
        dest="bitrates",
        type=int,
        nargs="+",
        default=default.bitrates_kbps,
        metavar="KBPS",
    )
    parser.add_argument("--codecs", nargs="+", default=default.codecs, choices=list(CODECS))
    parser.add_argument("--patch-size", type=int, default=default.patch_size, help="input pixels")
    parser.add_argument("--patches", type=int, default=default.patches, help="records to write")
    parser.add_argument(
        "--frames",
        type=int,
        help=f"input frames of a record (default: {default.frames}, {PEAK_FRAMES} with --peaks)",
    )
    parser.add_argument(
        "--truths", type=int, default=default.truths, help="how many of them have ground truth"
    )
    parser.add_argument(
        "--peaks", action="store_true", help="they are a frame and the peak frames around it"
    )
    parser.add_argument(
        "--holdout-tail",
        metavar="PART",
        help="hold out the last part of every clip: 0.2 or 20%% of it, or 1.5s",
    )
    parser.add_argument(
        "--holdout", action="append", default=[], metavar="GLOB", help="hold out whole clips"
    )
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        metavar="GLOB=W",
        help="draw frames of these clips W times as often",
    )
    parser.add_argument("--seed", type=int, default=default.seed)


def read_options(arguments: argparse.Namespace) -> RecordOptions:
    """The options that `add_options` added, as the user set them.

    Raises:
      ValueError: a weight that is no GLOB=W.
    """
    usual = PEAK_FRAMES if arguments.peaks else RecordOptions.frames
    return RecordOptions(
        scale=arguments.scale,
        bitrates_kbps=tuple(arguments.bitrates),
        codecs=tuple(arguments.codecs),
        patch_size=arguments.patch_size,
        patches=arguments.patches,
        frames=usual if arguments.frames is None else arguments.frames,
        truths=arguments.truths,
        peaks=arguments.peaks,
        holdout_tail=arguments.holdout_tail,
        holdout=tuple(arguments.holdout),
        weights=read_weights("--weight", arguments.weight),
        seed=arguments.seed,
    )
