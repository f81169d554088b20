"""How far a network looks: what a tile needs around it to come out as in the whole image."""

import dataclasses

from flax import linen as nn

from supervegan_jax.models.supervegan import SuperVegan
from supervegan_jax.ops.dynamic_filter import KERNEL_SIZE

# Along one axis: the first and the last pixel that a stretch of a layer's output depends on.
_Span = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """What an output pixel depends on, along one axis (both are alike).

    Attributes:
      before, after: input pixels on each side of the input pixel that the output pixel lies in,
        for the output pixel that looks farthest.
      alignment: tiles start at multiples of so many input pixels, or the layers with a stride
        would sample another grid.
    """

    before: int
    after: int
    alignment: int


def _conv(span: _Span, count: int = 1) -> _Span:
    return span[0] - count, span[1] + count


def _half(span: _Span) -> _Span:
    """Behind a depth-to-space of 2 or an enlargement by 2."""
    return span[0] // 2, span[1] // 2


def _strided(span: _Span) -> _Span:
    """Behind a 3x3 convolution of stride 2, one pixel of padding on each side."""
    return 2 * span[0] - 1, 2 * span[1] + 1


def _union(a: _Span, b: _Span) -> _Span:
    return min(a[0], b[0]), max(a[1], b[1])


def _detail_span(model: SuperVegan, span: _Span) -> _Span:
    """Stage B: pixels of R_B -> stage A's feature grid."""
    fine = _half(span) if model.detail_grid == 2 else _half(_half(span))
    if model.detail_floor:
        fine = _conv(fine)
    fine = _conv(_conv(fine), 2 * model.outer_blocks)  # residual, decoder blocks
    joined = _conv(fine)
    low = _conv(_half(joined), 1 + 2 * model.inner_blocks)  # inner_up, inner blocks
    skip = _conv(_union(joined, _strided(low)), 2 * model.outer_blocks)  # encoder blocks
    return _conv(_half(skip) if model.detail_grid == 2 else skip)  # up


def _feature_span(model: SuperVegan, span: _Span) -> _Span:
    """The features behind A4 -> the input's pixels."""
    blocks = model.trunk_blocks + model.filter_blocks + model.residual_blocks
    span = _conv(span, 1 + len(model.temporal_widths) + 2 * blocks)
    return _strided(span) if model.scale == 2 else span


def _stage_a_span(model: SuperVegan, span: _Span) -> _Span:
    """Y_A -> the input's pixels."""
    reach = KERNEL_SIZE // 2
    # The filters look no farther than the residual, which has all their layers and more, but they
    # are placed on the image: for 2x on the input's own grid.
    image = _conv(_half(span) if model.scale == 4 else span, reach)
    return _union(image, _feature_span(model, _conv(_half(span))))


def receptive_field(model: nn.Module, stage: str = "b") -> ReceptiveField:
    """The exact receptive field of a network's enlarged output, from its layers.

    Args:
      model: a SUPERVEGAN.
      stage: "a" for bicubic2x(Y_A), "b" for Y_B.

    Raises:
      ValueError: the network is another one.
    """
    if not isinstance(model, SuperVegan):
        raise ValueError(
            f"{type(model).__name__} cannot compute frames in tiles, only SuperVegan can: how far "
            "it looks is not known"
        )
    before = after = 0
    alignment = 2 // model.detail_grid * (2 if model.scale == 2 else 1)
    period = alignment * model.scale  # outputs in a cell of the coarsest grid
    for pixel in range(period):
        # Bicubic enlargement by 2 reads two pixels on one side and one more on the other.
        source = (2 * pixel - 1) // 4
        span = _stage_a_span(model, (source - 1, source + 2))
        if stage == "b":
            features = _feature_span(model, _detail_span(model, (pixel, pixel)))
            span = _union(span, features)
        home = pixel // model.scale
        before = max(before, home - span[0])
        after = max(after, span[1] - home)
    return ReceptiveField(before, after, alignment)
