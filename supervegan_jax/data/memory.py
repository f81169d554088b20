"""Training batches sampled from decoded clips in memory, with NumPy alone.

For machines without TensorFlow or with little disk. `clip_pairs.load_pairs` decodes prepared clips
with ffmpeg; `save_pairs` puts the result in one file that a machine without ffmpeg can read too.
"""

import itertools
import os
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from supervegan_jax.data import augment
from supervegan_jax.data.records import Window, truth_shape

_BATCHES_AHEAD = 3


@dataclass(frozen=True)
class ClipPair:
    """One clip as compressed input and ground truth.

    Attributes:
      name: for messages.
      lr: variants of the input (bitrates, codecs), each uint8 [n, h, w, 3].
      hr: uint8 [m, r*h, r*w, 3], the ground truth of some of the input frames.
      centers: int [m], the index in `lr` of each frame of `hr`.
      weight: how often a frame of this clip is drawn, relative to a frame of another clip.
    """

    name: str
    lr: Sequence[np.ndarray]
    hr: np.ndarray
    centers: np.ndarray
    weight: float = 1.0


def memory_batches(
    pairs: Sequence[ClipPair],
    *,
    scale: int,
    patch_size: int,
    batch_size: int,
    seed: int,
    window: Window | None = None,
    first_step: int = 0,
    horizontal_flip: bool = True,
    vertical_flip: bool = False,
    time_reversal: bool = True,
    threads: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
    """Samples endless training batches; the batch of a step depends on `seed` and the step alone.

    Ground-truth frames are drawn with their clip's weight, then a variant of the input and a place.
    At a clip's ends the first or last input frame is repeated. Threads work ahead; they end when
    the iterator is closed or dropped.

    Args:
      pairs: the clips; sizes may differ.
      scale: r, which every pair must have.
      patch_size: p, side of the input patches.
      batch_size: b.
      seed: not negative.
      window: the frames of an example; None is five of input and the ground truth of one.
      first_step: the step of the first batch.
      horizontal_flip: whether columns may be reversed.
      vertical_flip: whether rows may be reversed.
      time_reversal: whether input windows may run backwards.
      threads: batches drawn at a time; how many does not change what is drawn.

    Yields:
      {"lr": uint8 [b, t, p, p, 3], "hr": uint8 [b, r*p, r*p, 3]}, or [b, k, r*p, r*p, 3] if k > 1
      frames have ground truth.

    Raises:
      ValueError: no frame to draw, or a pair of another scale or smaller than a patch.
    """
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("patch_size", patch_size, 1),
        ("seed", seed, 0),
        ("first_step", first_step, 0),
        ("threads", threads, 1),
    ):
        if value < least:
            raise ValueError(f"{name} is {value}, must be at least {least}")
    window = window or Window()
    window.check()
    for pair in pairs:
        _check_pair(pair, scale=scale, patch_size=patch_size)
    firsts = [_firsts(pair, window) for pair in pairs]
    weights = [pair.weight * len(of) for pair, of in zip(pairs, firsts, strict=True)]
    if not sum(weights) > 0:
        raise ValueError(f"no frames to train on in {len(pairs)} clips")
    probabilities = np.array(weights, np.float64) / sum(weights)
    allowed = {
        "horizontal_flip": horizontal_flip,
        "vertical_flip": vertical_flip,
        "time_reversal": time_reversal,
    }

    def draw_batch(step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([seed, step])
        chosen = rng.choice(len(pairs), size=batch_size, p=probabilities)
        drawn = [(pairs[index], firsts[index]) for index in chosen]
        return _draw_batch(drawn, rng, window, patch_size, scale, **allowed)

    return _work_ahead(draw_batch, first_step, threads)


def _check_pair(pair: ClipPair, *, scale: int, patch_size: int) -> None:
    if not pair.lr:
        raise ValueError(f"clip {pair.name!r} has no input")
    if len(pair.centers) != len(pair.hr):
        raise ValueError(
            f"clip {pair.name!r} has {len(pair.centers)} centers for {len(pair.hr)} frames"
        )
    if not 0 <= pair.weight < np.inf:
        raise ValueError(
            f"clip {pair.name!r} has weight {pair.weight}; must be finite and at least 0"
        )
    for lr in pair.lr:
        frames, height, width, _ = lr.shape
        if pair.hr.shape[1:3] != (scale * height, scale * width):
            raise ValueError(
                f"clip {pair.name!r} has input {width}x{height} and ground truth "
                f"{pair.hr.shape[2]}x{pair.hr.shape[1]}, which is not scale {scale}"
            )
        if patch_size > min(height, width):
            raise ValueError(
                f"patch_size is {patch_size}, clip {pair.name!r} has input {width}x{height}"
            )
        if len(pair.centers) and not 0 <= min(pair.centers) <= max(pair.centers) < frames:
            raise ValueError(
                f"clip {pair.name!r} has centers up to {max(pair.centers)}, {frames} input frames"
            )


def _firsts(pair: ClipPair, window: Window) -> np.ndarray:
    """Indexes of the frames of `pair.hr` that begin `window.truths` frames in a row, int [n]."""
    later = window.truths - 1
    centers = np.asarray(pair.centers)
    ends = centers[later:]
    return np.flatnonzero(ends - centers[: len(ends)] == later)


def _draw_batch(
    chosen: Sequence[tuple[ClipPair, np.ndarray]],
    rng: np.random.Generator,
    window: Window,
    patch_size: int,
    scale: int,
    **allowed: bool,
) -> dict[str, np.ndarray]:
    """One example of each pair and its `_firsts`, drawn by `rng`."""
    size, side = len(chosen), scale * patch_size
    integers = rng.integers(augment.RANDOM_LIMIT, size=(size, augment.RANDOM_INTEGERS + 2))
    lr = np.empty((size, window.frames, patch_size, patch_size, 3), np.uint8)
    hr = np.empty((size, *truth_shape(window, side)), np.uint8)
    for row, (pair, firsts) in enumerate(chosen):
        _draw_example(pair, firsts, integers[row], window, lr[row], hr[row], scale=scale, **allowed)
    return {"lr": lr, "hr": hr}


def _draw_example(
    pair: ClipPair,
    firsts: np.ndarray,
    integers: np.ndarray,
    window: Window,
    lr_patch: np.ndarray,
    hr_patch: np.ndarray,
    *,
    scale: int,
    **allowed: bool,
) -> None:
    """Fills the patches of one example as `RANDOM_INTEGERS` + 2 uniform integers say."""
    lr = pair.lr[integers[0] % len(pair.lr)]
    frame = int(firsts[integers[1] % len(firsts)])
    patch_size = lr_patch.shape[1]
    choice = augment.choose(
        integers[2:], height=lr.shape[1], width=lr.shape[2], patch_size=patch_size, **allowed
    )
    truths = pair.hr[frame : frame + window.truths]
    lr, hr = augment.augment(lr, truths, choice, patch_size=patch_size, scale=scale)
    # `lr` is still the whole clip, as a view that may run backwards.
    first = int(pair.centers[frame])
    if choice.time:
        first = len(lr) - first - window.truths
    for target, index in zip(lr_patch, window.inputs(first, len(lr)), strict=True):
        _copy_image(target, lr[index], mirrored=choice.columns)
    for target, truth in zip(hr_patch.reshape(hr.shape), hr, strict=True):
        _copy_image(target, truth, mirrored=choice.columns)


def _copy_image(target: np.ndarray, source: np.ndarray, *, mirrored: bool) -> None:
    """Copies [h, w, c]; NumPy is five times faster on a mirrored image channel by channel."""
    if not mirrored:
        target[...] = source
        return
    for channel in range(source.shape[-1]):
        target[..., channel] = source[..., channel]


def _work_ahead(
    draw: Callable[[int], dict[str, np.ndarray]], first_step: int, threads: int
) -> Iterator[dict[str, np.ndarray]]:
    """The batches of `draw` from a step on, some of them drawn in advance by threads.

    An exception in a thread is raised here, at its batch's turn.
    """
    steps = itertools.count(first_step)
    pool = ThreadPoolExecutor(threads, "memory_batches")
    try:
        ahead = deque(pool.submit(draw, next(steps)) for _ in range(threads + _BATCHES_AHEAD))
        while True:
            batch = ahead.popleft().result()
            ahead.append(pool.submit(draw, next(steps)))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)


def save_pairs(path: str | Path, pairs: Sequence[ClipPair]) -> None:
    """Writes decoded clips, uncompressed, to one .npz file; it appears whole or not at all."""
    path = Path(path)
    arrays = {
        "names": np.array([pair.name for pair in pairs], np.str_),
        "weights": np.array([pair.weight for pair in pairs], np.float64),
        "variants": np.array([len(pair.lr) for pair in pairs], np.int64),
    }
    for index, pair in enumerate(pairs):
        arrays |= {f"{index}/lr/{variant}": lr for variant, lr in enumerate(pair.lr)}
        arrays |= {f"{index}/hr": pair.hr, f"{index}/centers": np.asarray(pair.centers)}
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_saved_pairs(path: str | Path) -> list[ClipPair]:
    """Reads what `save_pairs` wrote.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is damaged or something else.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            table = zip(arrays["names"], arrays["weights"], arrays["variants"], strict=True)
            return [
                ClipPair(
                    name=str(name),
                    lr=[arrays[f"{index}/lr/{variant}"] for variant in range(variants)],
                    hr=arrays[f"{index}/hr"],
                    centers=arrays[f"{index}/centers"],
                    weight=float(weight),
                )
                for index, (name, weight, variants) in enumerate(table)
            ]
    # What NumPy and zipfile raise for bytes of another kind, and for an array of another kind.
    except (ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{str(path)!r} is not a file of clip pairs: {error}") from error
