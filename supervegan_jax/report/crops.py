"""The same piece of one frame, made in every way: ground truth, codec, enlarged, enhanced."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image

from supervegan_jax.evaluation.pairing import frame_to_rgb
from supervegan_jax.rate_distortion.curves import label
from supervegan_jax.rate_distortion.measure import Encoded, plan_encodes
from supervegan_jax.rate_distortion.references import Reference
from supervegan_jax.rate_distortion.settings import BICUBIC, CODEC
from supervegan_jax.rate_distortion.ways import Way
from supervegan_jax.report.finished_run import FinishedRun
from supervegan_jax.video_input.source import open_source

# Lossy, but beyond what an eye tells from the frame at twice its size.
QUALITY: Final = 92
TRUTH: Final = "ground truth"
_STEP: Final = 8
# Where networks stand among the views, see `_rank`.
_MODEL: Final = 2


@dataclasses.dataclass(frozen=True)
class Crop:
    """Where to look.

    Attributes:
      clip: its name.
      frame: from 0.
      x, y: the upper left corner in pixels of the full size; None finds the most textured place.
    """

    clip: str
    frame: int
    x: int | None = None
    y: int | None = None


@dataclasses.dataclass(frozen=True)
class View:
    """One picture of a shot.

    Attributes:
      label: how it was made.
      curve: of the run, "" for the ground truth.
      measured_kbps: of its bits, None for the ground truth.
      pixels: uint8 RGB, [height, width, 3].
    """

    label: str
    curve: str
    measured_kbps: float | None
    pixels: np.ndarray

    def data_uri(self) -> str:
        """The picture as part of a page, a WebP of `QUALITY`."""
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "WEBP", quality=QUALITY, method=4)
        return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


@dataclasses.dataclass(frozen=True)
class Shot:
    """One place in one frame, seen in every way.

    Attributes:
      crop: where.
      width, height: in pixels.
      views: bicubic first, then the codec, the networks and their first stages, the truth.
      first, second: which views are compared to begin with.
    """

    crop: Crop
    width: int
    height: int
    views: tuple[View, ...]
    first: int
    second: int


def read_crop(text: str, references: Sequence[Reference]) -> Crop:
    """The place of "CLIP:FRAME:X,Y".

    Raises:
      ValueError: something else, or a clip or frame that the run does not have.
    """
    parts = text.rsplit(":", 2)
    try:
        clip, frame = parts[0], int(parts[1])
        x, y = (int(part) for part in parts[2].split(","))
    except (ValueError, IndexError):
        raise ValueError(f"crop {text!r}; CLIP:FRAME:X,Y is accepted") from None
    found = next((one for one in references if one.name == clip), None)
    if found is None:
        known = ", ".join(one.name for one in references)
        raise ValueError(f"crop {text!r}: the run has no clip {clip!r}, but {known}")
    if not 0 <= frame < found.frame_count:
        raise ValueError(f"crop {text!r}: {clip} has frames 0 to {found.frame_count - 1}")
    return Crop(clip, frame, x, y)


def read_size(text: str) -> tuple[int, int]:
    """The width and height of "384x288".

    Raises:
      ValueError: something else, or below 32.
    """
    try:
        width, height = (int(part) for part in text.split("x"))
    except ValueError:
        raise ValueError(f"crop size {text!r}; WIDTHxHEIGHT is accepted") from None
    if min(width, height) < 32:
        raise ValueError(f"crop size {text!r}; at least 32x32 is accepted")
    return width, height


def textured_corner(luma: np.ndarray, size: tuple[int, int]) -> tuple[int, int]:
    """The corner (x, y) of the window with the most texture.

    Args:
      luma: [h, w], a picture at least as large as the window.
      size: (width, height) of the window.
    """
    rows, columns = np.gradient(luma.astype(np.float32))
    # The root, lest one hard edge outweigh a whole field of grass.
    texture = np.sqrt(np.hypot(rows, columns))
    sums = np.pad(texture, ((1, 0), (1, 0))).cumsum(0, dtype=np.float64).cumsum(1)
    width, height = size
    ys = np.arange(0, luma.shape[0] - height + 1, _STEP)
    xs = np.arange(0, luma.shape[1] - width + 1, _STEP)
    lower, upper = sums[ys + height], sums[ys]
    totals = (lower - upper)[:, xs + width] - (lower - upper)[:, xs]
    y, x = np.unravel_index(np.argmax(totals), totals.shape)
    return int(xs[x]), int(ys[y])


def choose_input(run: FinishedRun, kbps: int | None, codec: str | None) -> tuple[int, str]:
    """The target bitrate and codec of the input that crops are made of.

    Args:
      run: a finished one.
      kbps: None takes the nearest to 250 kbit/s that the codec was run at too, if there is one.
      codec: None takes the run's first.

    Raises:
      ValueError: the run has no such bitrate or codec.
    """
    settings = run.settings
    if kbps is None:
        both = set(settings.input_kbps) & set(settings.reference_kbps)
        kbps = min(both or settings.input_kbps, key=lambda kbps: (abs(np.log(kbps / 250)), kbps))
    codec = codec or settings.codecs[0]
    if kbps not in settings.input_kbps:
        known = ", ".join(map(str, settings.input_kbps))
        raise ValueError(f"{kbps} kbit/s; models had {known}")
    if codec not in settings.codecs:
        raise ValueError(f"codec {codec!r}; this run has {', '.join(settings.codecs)}")
    return kbps, codec


def make_shots(
    run: FinishedRun,
    crops: Sequence[Crop],
    *,
    codec: str,
    kbps: int,
    size: tuple[int, int],
) -> list[Shot]:
    """Every place in every way of the run; the arguments are those of `make_views`.

    Raises:
      ValueError: as `make_views`.
    """
    ways = run.ways
    views = make_views(run, crops, list(run.curves), codec=codec, kbps=kbps, size=size)
    return [_shot(crop, some, ways) for crop, some in views]


def make_views(
    run: FinishedRun,
    crops: Sequence[Crop],
    curves: Sequence[str],
    *,
    codec: str,
    kbps: int,
    size: tuple[int, int],
) -> list[tuple[Crop, list[View]]]:
    """Decodes and enhances one window for every place and curve.

    Args:
      run: with its encodes still in the workdir.
      crops: the places; clips without one are shown at their most textured, in the middle frame.
      curves: of the run.
      codec: of the bits.
      kbps: target bitrate of the input; the codec's is the nearest of its ladder.
      size: (width, height) of the crops, cut to the clip's.

    Returns:
      The places, found if need be, with the views in the order of `curves`, the truth last.

    Raises:
      ValueError: a file or network of the run is missing, a crop lies outside its frame, or a
        video of the run is damaged.
    """
    for crop in crops:
        _check_place(crop, size, next(r for r in run.references if r.name == crop.clip))
    ways = [run.ways[curve] for curve in curves]
    encodes = plan_encodes(run.workspace, run.references, ways, run.settings)
    encodes = [encoded for encoded in encodes if encoded.codec == codec]
    found = []
    with run.workspace.telling_damaged("rd is run again"):
        for reference in run.references:
            chosen = [crop for crop in crops if crop.clip == reference.name]
            ours = [encoded for encoded in encodes if encoded.reference == reference]
            for crop in chosen or [Crop(reference.name, reference.frame_count // 2)]:
                found.append(_views(run, reference, ours, crop, ways, kbps, _cut(size, reference)))
    return found


def _views(
    run: FinishedRun,
    reference: Reference,
    encodes: Sequence[Encoded],
    crop: Crop,
    ways: Sequence[Way],
    kbps: int,
    size: tuple[int, int],
) -> tuple[Crop, list[View]]:
    source = open_source(reference.path)
    truth = next(source.frames(crop.frame))
    if crop.x is None or crop.y is None:
        x, y = textured_corner(truth.planes[0], size)
        crop = dataclasses.replace(crop, x=x, y=y)
    views = []
    for way in ways:
        encoded = _nearest([one for one in encodes if one.scale == way.scale], kbps)
        known = run.workspace.read("encodes", encoded.key)
        if known is None:
            raise ValueError(f"{encoded.path} is missing; run rd again")
        small = open_source(encoded.path)
        frame = way.frame_at(small, crop.frame)
        pixels = np.asarray(frame_to_rgb(frame, small.format.scaled(way.scale)))[0]
        title, rate = label(way.curve, encoded.codec), known["measured_kbps"]
        views.append(View(title, way.curve, rate, _piece(pixels, crop, size)))
    pixels = np.asarray(frame_to_rgb(truth, source.format))[0]
    return crop, [*views, View(TRUTH, "", None, _piece(pixels, crop, size))]


def _shot(crop: Crop, views: Sequence[View], ways: dict[str, Way]) -> Shot:
    # In the order of interest: the enlargements, the codec, networks before their first stages.
    ranked = [*sorted(views[:-1], key=lambda view: _rank(view.curve)), views[-1]]
    second = next(i for i, view in enumerate(ranked) if _rank(view.curve) == _MODEL)
    scale = ways[ranked[second].curve].scale
    plain = CODEC if scale == 1 else BICUBIC
    first = next(
        i
        for i, view in enumerate(ranked)
        if view.curve.startswith(plain) and ways[view.curve].scale == scale
    )
    height, width = views[0].pixels.shape[:2]
    return Shot(crop, width, height, tuple(ranked), first, second)


def _rank(curve: str) -> int:
    if curve.startswith(BICUBIC):
        return 0
    if curve == CODEC:
        return 1
    return _MODEL + 1 if curve.endswith(":a") else _MODEL


def _cut(size: tuple[int, int], reference: Reference) -> tuple[int, int]:
    return min(size[0], reference.width), min(size[1], reference.height)


def _check_place(crop: Crop, size: tuple[int, int], reference: Reference) -> None:
    width, height = _cut(size, reference)
    right, lower = reference.width - width, reference.height - height
    if not (0 <= (crop.x or 0) <= right and 0 <= (crop.y or 0) <= lower):
        raise ValueError(
            f"crop {crop.x},{crop.y} of {crop.clip}; a corner from 0,0 to {right},{lower} is "
            f"accepted with {width}x{height} pixels"
        )


def _nearest(encodes: Sequence[Encoded], kbps: int) -> Encoded:
    return min(encodes, key=lambda one: abs(np.log(one.target_kbps / kbps)))


def _piece(pixels: np.ndarray, crop: Crop, size: tuple[int, int]) -> np.ndarray:
    left, top = crop.x or 0, crop.y or 0
    piece = pixels[top : top + size[1], left : left + size[0]]
    return np.round(piece * 255).astype(np.uint8)
