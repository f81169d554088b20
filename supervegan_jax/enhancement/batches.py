"""From a stream of frames to batches of overlapping windows, in constant memory."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from supervegan_jax.video_input.frames import FrameFormat, VideoFrame


class Batch(NamedTuple):
    """Frames to enhance together.

    Attributes:
      frames: the frames that go out (the last batch of a clip may have fewer than the others).
      first: the place of `frames[0]` among the batch's results.
      planes: each plane of all frames that are read for the results, [n, h, w]; see `gather` and
        `readings`.
      begins: whether nothing of the video came before it.
    """

    frames: list[VideoFrame]
    first: int
    planes: tuple[np.ndarray, ...]
    begins: bool = False


def gather(
    frames: Iterable[VideoFrame],
    fmt: FrameFormat,
    batch_size: int,
    first_index: int = 0,
    *,
    reach: int,
) -> Iterator[Batch]:
    """Gathers batches that begin at multiples of `batch_size`.

    Args:
      frames: in order without a gap, from any index up to `first_index`; those before it that a
        window needs give context, and where the clip begins later than a window the first frame
        is repeated.
      fmt: of the frames.
      batch_size: results of a batch.
      first_index: the first frame that goes out.
      reach: frames on each side of a frame that belong to its window.

    Yields:
      Batches of the planes of batch size + 2 reach frames; beyond the ends of the clip its first
      and last frame are repeated. When `frames` raises, everything it gave is yielded before the
      error goes on.

    Raises:
      ValueError: an index is missing, a frame is of another format, or `frames` begins too late.
    """
    held: deque[VideoFrame] = deque()
    start = first_index // batch_size * batch_size
    failure: Exception | None = None
    try:
        for frame in frames:
            _check(frame, held[-1] if held else None, fmt, first_index, reach)
            held.append(frame)
            while held[0].index < start - reach:
                held.popleft()
                if not held:
                    break
            if frame.index == start + batch_size + reach - 1:
                yield _batch(held, start, batch_size, first_index, reach)
                start += batch_size
    except Exception as error:
        failure = error
    while held and start <= held[-1].index:
        yield _batch(held, start, batch_size, first_index, reach)
        start += batch_size
    if failure is not None:
        raise failure


def _check(
    frame: VideoFrame, previous: VideoFrame | None, fmt: FrameFormat, first_index: int, reach: int
) -> None:
    frame.check(fmt)
    if previous is None and frame.index > max(0, first_index - reach):
        raise ValueError(
            f"the frames begin at {frame.index}; enhancing from frame {first_index} on takes the "
            f"{reach} frames before it too"
        )
    if previous is not None and frame.index != previous.index + 1:
        raise ValueError(f"frame {frame.index} follows frame {previous.index}")


def _batch(
    held: deque[VideoFrame], start: int, batch_size: int, first_index: int, reach: int
) -> Batch:
    base, last = held[0].index, held[-1].index
    wanted = range(start - reach, start + batch_size + reach)
    window = [held[min(max(index, base), last) - base] for index in wanted]
    first = max(start, first_index)
    end = min(start + batch_size, last + 1)
    outputs = window[reach + first - start : reach + end - start]
    return Batch(outputs, first - start, stack_planes(window))


def stack_planes(frames: Iterable[VideoFrame]) -> tuple[np.ndarray, ...]:
    """Each plane of all the frames, [n, h, w]."""
    planes = zip(*(frame.planes for frame in frames), strict=True)
    return tuple(np.stack(plane) for plane in planes)


def until_failure(
    frames: Iterable[VideoFrame], fmt: FrameFormat, failures: list[Exception]
) -> Iterator[VideoFrame]:
    """The frames from the first of the video on, each checked, until something is wrong.

    Args:
      frames: in order, from index 0 on.
      fmt: of the frames.
      failures: gets what `frames` raised, or what is wrong with a frame.
    """
    previous: VideoFrame | None = None
    try:
        for frame in frames:
            _check(frame, previous, fmt, 0, 0)
            yield frame
            previous = frame
    except Exception as error:
        failures.append(error)
