"""Decoding, network and encoding at the same time, in constant memory, in order."""

import contextlib
import dataclasses
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from supervegan_jax.enhancement.batches import Batch
from supervegan_jax.enhancement.options import RunOptions, for_model, resolve
from supervegan_jax.enhancement.program import Engine, Planes
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.weights.model_file import LoadedModel

_POLL_SECONDS = 0.1


@dataclasses.dataclass
class RunStats:
    """What a run took, filled in while it goes on.

    Attributes:
      frames: handed out.
      model_seconds: during which the devices had a batch, without compiling.
      compile_seconds: spent compiling.
      recomputed: frames (or tiles of them) computed again in float32.
      tiles: a frame.
      seconds: from the beginning to `end`.
    """

    frames: int = 0
    model_seconds: float = 0.0
    compile_seconds: float = 0.0
    recomputed: int = 0
    tiles: int = 1
    seconds: float = 0.0
    _begun: float = dataclasses.field(default_factory=time.monotonic)

    def end(self) -> None:
        """Stops the clock."""
        self.seconds = time.monotonic() - self._begun


@dataclasses.dataclass(frozen=True)
class EnhancedFrame(VideoFrame):
    """A frame with, if asked for, its plain enlargement beside it.

    Attributes:
      bicubic: planes like `planes`; () unless `RunOptions.compare`.
    """

    bicubic: tuple[np.ndarray, ...] = ()


class _Stopped(Exception):
    """The reader of the results has gone."""


class _Channel:
    """A bounded queue between two threads that ends with an error or without, and can be left."""

    def __init__(self, size: int, stop: threading.Event):
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue(size)
        self._stop = stop

    def put(self, kind: str, value: Any) -> None:
        while not self._stop.is_set():
            try:
                return self._queue.put((kind, value), timeout=_POLL_SECONDS)
            except queue.Full:
                continue
        raise _Stopped

    def get(self) -> tuple[str, Any]:
        while not self._stop.is_set():
            try:
                return self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
        raise _Stopped

    def ready(self) -> bool:
        return not self._queue.empty()


def _start(name: str, work: Callable[[], None], channel: _Channel) -> threading.Thread:
    """Runs `work`, which fills `channel`, in a thread; its end or its error goes there too."""

    def body() -> None:
        try:
            try:
                work()
                channel.put("end", None)
            except _Stopped:
                raise
            except BaseException as error:
                channel.put("error", error)
        except _Stopped:
            pass

    thread = threading.Thread(target=body, name=name, daemon=True)
    thread.start()
    return thread


def _compute(engine: Engine, batches: _Channel, results: _Channel, options: RunOptions) -> None:
    """Keeps `in_flight` batches on the devices and hands results on as they come."""
    pending: deque[tuple[Batch, list[Any], float]] = deque()
    stats_ready, failure, ended = time.monotonic(), None, False
    while pending or not ended:
        room = not ended and len(pending) < (options.in_flight or 1)
        # Waiting for input while a result is due would hold that result back.
        if room and (batches.ready() or not pending):
            kind, value = batches.get()
            if kind == "batch":
                compiled = engine.compile_seconds
                begun = time.monotonic()
                pieces = engine.submit(value)
                begun += engine.compile_seconds - compiled
                pending.append((value, pieces, begun))
            else:
                ended, failure = True, value
            continue
        batch, pieces, begun = pending.popleft()
        compiled = engine.compile_seconds
        planes, bicubic = engine.collect(batch, pieces)
        now = time.monotonic()
        busy = now - max(begun, stats_ready) - (engine.compile_seconds - compiled)
        stats_ready = now
        results.put("result", (batch, planes, bicubic, busy))
    if failure is not None:
        raise failure


@contextlib.contextmanager
def _memory_told() -> Iterator[None]:
    """Says in the user's words that a device ran out of memory."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise ValueError(
            "the device's memory is too small; take a smaller --tile or --batch-size"
        ) from error


def enhance_frames(
    frames: Iterable[VideoFrame],
    fmt: FrameFormat,
    model: LoadedModel,
    options: RunOptions,
    *,
    out: FrameFormat | None = None,
    first_index: int = 0,
    stats: RunStats | None = None,
) -> Iterator[EnhancedFrame]:
    """Enhances every frame once, in order.

    One thread pulls `frames` and gathers batches, one feeds the devices; the caller's loop over
    the results is the third, so reading, computing and writing overlap. Leaving the loop early
    stops both threads and closes `frames` once its next frame has come.

    Args:
      frames: in order; for a run that goes on, from `context_start(first_index, options)` or
        earlier.
      fmt: of the frames.
      model: from `weights.load_model`.
      options: see `RunOptions`.
      out: of the results, whose size is `fmt.scaled(model.scale)`'s; None is just that.
      first_index: the first frame to hand out.
      stats: filled in while the run goes on.

    Yields:
      Frames `model.scale` times as wide and high with the index and the timestamp of their
      source. At most `read_ahead_frames(options)` source frames are held.

    Raises:
      ValueError: the options do not fit the model, the frames or the memory, or the network gives
        values that are not finite.
      Exception: what `frames` raised, after every frame it gave has been handed out.
    """
    options = resolve(for_model(options, model))
    engine = Engine(model, fmt, options, out)
    stats = stats if stats is not None else RunStats()
    stats.tiles = engine.tiling.count
    stop = threading.Event()
    batches, results = _Channel(1, stop), _Channel(1, stop)

    def read() -> None:
        try:
            size = options.batch_size or 1
            for batch in options.reading.gather(frames, fmt, size, first_index):
                batches.put("batch", batch)
        finally:
            close = getattr(frames, "close", None)
            if close is not None:
                close()

    def compute() -> None:
        with _memory_told():
            _compute(engine, batches, results, options)

    threads = [_start("enhance-read", read, batches), _start("enhance-compute", compute, results)]
    try:
        while True:
            kind, value = results.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            stats.model_seconds += value[-1]
            stats.compile_seconds, stats.recomputed = engine.compile_seconds, engine.recomputed
            for frame in _outputs(*value[:-1]):
                stats.frames += 1
                yield frame
    finally:
        stop.set()
        reader, computer = threads
        # A reader that waits for a live input ends when the input does.
        reader.join(timeout=1.0)
        # A program that ends while the devices compute aborts.
        computer.join()


def _outputs(batch: Batch, planes: Planes, bicubic: Planes) -> Iterator[EnhancedFrame]:
    for place, frame in enumerate(batch.frames, start=batch.first):
        names = [field.name for field in dataclasses.fields(VideoFrame)]
        fields = {name: getattr(frame, name) for name in names}
        fields["planes"] = tuple(plane[place] for plane in planes)
        yield EnhancedFrame(**fields, bicubic=tuple(plane[place] for plane in bicubic))
