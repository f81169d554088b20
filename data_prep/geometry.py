"""How a source's frames become a clip's: scaled down to cover a size, then cropped."""

import dataclasses

MULTIPLE = 8  # of a clip's width and height: scale 4, and even sizes for 4:2:0 at that scale
FITS = ("cover", "inside")


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Scaling and cropping, in pixels.

    Attributes:
      scaled: width and height the whole frame is scaled to.
      size: width and height of the clip.
      corner: left and top of the clip within the scaled frame, both even.
    """

    scaled: tuple[int, int]
    size: tuple[int, int]
    corner: tuple[int, int]


def plan(width: int, height: int, target: tuple[int, int], fit: str) -> Geometry:
    """Plans a frame's way to a clip; the pixel grid is all that counts, not its aspect ratio.

    Args:
      width, height: of the source, in pixels.
      target: width and height wanted for landscape sources; portrait ones get it turned.
      fit: "cover" scales down until one side fits and crops the other about the centre; "inside"
        scales down until both fit and crops no more than the remainder of 8. Nothing is scaled up.

    Raises:
      ValueError: an unknown fit, a target that is no multiple of 8, a source below 8x8.
    """
    if fit not in FITS:
        raise ValueError(f"fit {fit!r}: must be one of {', '.join(FITS)}")
    if min(target) < MULTIPLE or any(side % MULTIPLE for side in target):
        raise ValueError(f"size {target[0]}x{target[1]}: both must be multiples of {MULTIPLE}")
    if min(width, height) < MULTIPLE:
        raise ValueError(f"{width}x{height} is smaller than {MULTIPLE}x{MULTIPLE}")
    sides = (width, height)
    wanted = (max(target), min(target)) if width >= height else (min(target), max(target))
    ratios = [side / want for side, want in zip(sides, wanted, strict=True)]
    ratio = max(1.0, min(ratios) if fit == "cover" else max(ratios))
    scaled = [side if ratio == 1 else round(side / ratio / 2) * 2 for side in sides]
    # Rounding to even must not take away the pixel that covers.
    scaled = [
        max(s, min(side, want)) if fit == "cover" else s
        for s, side, want in zip(scaled, sides, wanted, strict=True)
    ]
    size = [min(s, want) // MULTIPLE * MULTIPLE for s, want in zip(scaled, wanted, strict=True)]
    corner = [(s - kept) // 2 // 2 * 2 for s, kept in zip(scaled, size, strict=True)]
    return Geometry((scaled[0], scaled[1]), (size[0], size[1]), (corner[0], corner[1]))
