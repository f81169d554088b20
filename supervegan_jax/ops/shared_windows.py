"""Convolutions over time for windows that follow one another, computing what they share once.

A frame lies in five neighbouring windows, and a layer's value at one place of a window is often
its value at the next place of the window before. Zero padding in time keeps the two ends of a
window apart from its interior, so that the ends are each window's own.
"""

import dataclasses

import jax
import jax.numpy as jnp

from supervegan_jax.ops.temporal import convolve, without_stride

# Below this many channels stacking the taps is cheaper than adding partial sums.
_FEWEST_CHANNELS = 16
_WORTHWHILE = 0.8

# One term of a class: (tap of the kernel, tensor, frames behind the class's own index).
_Term = tuple[int, int, int]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Windows:
    """`count` windows, each one frame behind the one before.

    Attributes:
      tensors: arrays [frames, h, w, c].
      positions: for every place of a window (tensor, offset): window i has tensors[tensor][i +
        offset] there.
      count: how many windows there are.
    """

    tensors: tuple[jax.Array, ...]
    positions: tuple[tuple[int, int], ...] = dataclasses.field(metadata={"static": True})
    count: int = dataclasses.field(metadata={"static": True})

    def place(self, index: int) -> jax.Array:
        """What all windows have at one place: [count, h, w, c]."""
        tensor, offset = self.positions[index]
        return self.tensors[tensor][offset : offset + self.count]


def consecutive_windows(frames: jax.Array, length: int) -> Windows:
    """All windows of `length` neighbouring frames of [frames, h, w, c]."""
    positions = tuple((0, offset) for offset in range(length))
    return Windows((frames,), positions, frames.shape[0] - length + 1)


def _classes(
    windows: Windows, taps: int, pad_time: bool
) -> tuple[dict[tuple[_Term, ...], list[int]], tuple[tuple[int, int], ...]]:
    """Which output places are the same tensor read at another offset.

    Returns:
      terms -> the first and last index the tensor is read from, and the output's positions, with
      offsets still counted from index 0.
    """
    reach, places = taps // 2, len(windows.positions)
    outputs = range(places) if pad_time else range(reach, places - reach)
    classes: dict[tuple[_Term, ...], list[int]] = {}
    positions = []
    for place in outputs:
        inputs = [(tap, place + tap - reach) for tap in range(taps)]
        terms = [(tap, *windows.positions[i]) for tap, i in inputs if 0 <= i < places]
        base = min(offset for _, _, offset in terms)
        key = tuple((tap, tensor, offset - base) for tap, tensor, offset in terms)
        span = classes.setdefault(key, [base, base])
        span[:] = min(span[0], base), max(span[1], base)
        positions.append((list(classes).index(key), base))
    return classes, tuple(positions)


def conv3d_windows(
    windows: Windows, kernel: jax.Array, *, pad_time: bool, spatial_stride: int = 1
) -> Windows:
    """`ops.temporal.conv3d` of every window, equal to float32 rounding.

    Args:
      windows: places of [h, w, c].
      kernel: [kt, kh, kw, c, features], all sides odd.
      pad_time: keep the number of places (True) or shrink it by kt - 1 (False).
      spatial_stride: step in h and w, 1 or 2; with 2 the kernel is 3x3 in space, h and w are even.

    Raises:
      ValueError: another stride.
    """
    if spatial_stride != 1:
        cells = [without_stride(x, kernel, spatial_stride) for x in windows.tensors]
        windows = dataclasses.replace(windows, tensors=tuple(x for x, _ in cells))
        kernel = cells[0][1]
    taps, kh, kw, channels, features = kernel.shape
    classes, positions = _classes(windows, taps, pad_time)
    lengths = [windows.count + last - first for first, last in classes.values()]
    firsts = [first for first, _ in classes.values()]

    def term(terms: tuple[_Term, ...], tap: int, index: int) -> tuple[int, slice] | None:
        for candidate, tensor, offset in terms:
            if candidate == tap:
                start = firsts[index] + offset
                return tensor, slice(start, start + lengths[index])
        return None

    used: dict[int, set[int]] = {}
    for terms in classes:
        for tap, tensor, _ in terms:
            used.setdefault(tensor, set()).add(tap)
    partial_cost = sum(windows.tensors[t].shape[0] * len(need) for t, need in used.items())
    outputs: list[jax.Array] = []
    if channels >= _FEWEST_CHANNELS and partial_cost < _WORTHWHILE * sum(lengths) * taps:
        parts: dict[tuple[int, int], jax.Array] = {}
        for tensor, need in used.items():
            order = sorted(need)
            flat = jnp.concatenate([kernel[tap] for tap in order], axis=-1)
            # In the features' own dtype: a GPU has no convolution of bfloat16 that gives float32,
            # and would take one of float32 in its place.
            together = convolve(windows.tensors[tensor], flat).astype(jnp.float32)
            for i, tap in enumerate(order):
                parts[tensor, tap] = together[..., i * features : (i + 1) * features]
        for index, terms in enumerate(classes):
            found = [(tap, term(terms, tap, index)) for tap in range(taps)]
            outputs.append(sum(parts[f[0], tap][f[1]] for tap, f in found if f))  # type: ignore
    else:
        rows = []
        for index, terms in enumerate(classes):
            blank = jnp.zeros((lengths[index], *windows.tensors[0].shape[1:]), kernel.dtype)
            found_terms = [term(terms, tap, index) for tap in range(taps)]
            frames = [windows.tensors[f[0]][f[1]] if f else blank for f in found_terms]
            rows.append(jnp.concatenate(frames, axis=-1))
        flat = kernel.transpose(1, 2, 0, 3, 4).reshape(kh, kw, taps * channels, features)
        ends = [sum(lengths[:i]) for i in range(1, len(lengths))]
        outputs = jnp.split(convolve(jnp.concatenate(rows), flat), ends)
    tensors = tuple(output.astype(kernel.dtype) for output in outputs)
    return Windows(tensors, tuple((k, base - firsts[k]) for k, base in positions), windows.count)
