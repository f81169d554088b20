"""What a network reads for each frame of a video: its window, its past, or the peaks around it."""

import abc
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

import jax
from flax import linen as nn

from supervegan_jax.enhancement.batches import Batch, gather, stack_planes, until_failure
from supervegan_jax.enhancement.scene_cuts import CutDetector
from supervegan_jax.ops.peak_frames import LARGEST_DISTANCE, next_peak
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame

# A network with its variables: `module.apply(variables, ..)`.
Call = Callable[..., Any]


class How(NamedTuple):
    """How a network is applied: its last stage, the detail's strength, window by window or not."""

    stage: str
    strength: float
    one_by_one: bool


class Reading(abc.ABC):
    """How batches of frames become what a network is applied to.

    Attributes:
      ahead: frames behind a frame that must be known before it can be enhanced, at most.
      in_turn: whether a batch needs the results of the one before.
    """

    in_turn: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def ahead(self) -> int: ...  # noqa: D102

    @abc.abstractmethod
    def context_start(self, first_index: int, batch_size: int) -> int:
        """The first frame to be read, if `first_index` is the first that goes out."""

    @abc.abstractmethod
    def gather(
        self, frames: Iterable[VideoFrame], fmt: FrameFormat, batch_size: int, first_index: int = 0
    ) -> Iterator[Batch]:
        """Gathers batches; every frame takes the same place in the same batch on every run.

        Args:
          frames: in order without a gap, from `context_start` on or earlier.
          fmt: of the frames.
          batch_size: results of a batch.
          first_index: the first frame that goes out.
        """

    @abc.abstractmethod
    def read(self, first: int, count: int) -> slice:
        """Which of a batch's frames are read for `count` results from place `first` on."""

    @abc.abstractmethod
    def centres(self, frames: Any) -> Any:
        """Those of the frames read that are enhanced."""

    def first_state(self, generator: nn.Module, height: int, width: int) -> Any:
        """What `apply` takes with a video's first batch; () if it needs nothing."""
        return ()

    @abc.abstractmethod
    def apply(self, call: Call, frames: jax.Array, state: Any, how: How) -> tuple[jax.Array, Any]:
        """Applies the network to the frames of a batch; gives its results and the next state."""


@dataclasses.dataclass(frozen=True)
class Windows(Reading):
    """Frames in a row, the middle one enhanced; overlapping windows share what they can."""

    reach: int

    @property
    def ahead(self) -> int:
        """Half a window."""
        return self.reach

    def context_start(self, first_index: int, batch_size: int) -> int:
        """Where the window of the first frame of its batch begins."""
        return max(0, first_index // batch_size * batch_size - self.reach)

    def gather(
        self, frames: Iterable[VideoFrame], fmt: FrameFormat, batch_size: int, first_index: int = 0
    ) -> Iterator[Batch]:
        """See `batches.gather`."""
        return gather(frames, fmt, batch_size, first_index, reach=self.reach)

    def read(self, first: int, count: int) -> slice:
        """The frames themselves and `reach` more at either end."""
        return slice(first, first + count + 2 * self.reach)

    def centres(self, frames: Any) -> Any:
        """All but `reach` at either end."""
        return frames[self.reach : len(frames) - self.reach]

    def apply(self, call: Call, frames: jax.Array, state: Any, how: How) -> tuple[jax.Array, Any]:
        """The network's own `enhance`."""
        return call(frames, *how, method="enhance"), state


@dataclasses.dataclass(frozen=True)
class Sequence(Reading):
    """Every frame with what the network made of all before it.

    The video begins with its first frames mirrored, whose results are dropped: a clip 0, 1, 2, ..
    is read as 5, 4, 3, 2, 1, 0, 1, 2, .. for a `warm_up` of 5. A run that goes on reads the video
    from its beginning, and enhances again what it does not hand out.
    """

    warm_up: int
    in_turn: ClassVar[bool] = True

    @property
    def ahead(self) -> int:
        """At the beginning, for the mirrored frames."""
        return self.warm_up

    def context_start(self, first_index: int, batch_size: int) -> int:
        """The beginning: everything depends on it."""
        return 0

    def gather(
        self, frames: Iterable[VideoFrame], fmt: FrameFormat, batch_size: int, first_index: int = 0
    ) -> Iterator[Batch]:
        """Gathers batches of [batch size, h, w]; the last frame is repeated in the last of them."""
        failures: list[Exception] = []
        known = until_failure(frames, fmt, failures)
        head = list(itertools.islice(known, self.warm_up + 1))
        mirrored = [(frame, False) for frame in head[:0:-1]]
        shown = ((frame, frame.index >= first_index) for frame in itertools.chain(head, known))
        stream, begins = itertools.chain(mirrored, shown), True
        while chunk := list(itertools.islice(stream, batch_size)):
            places = [place for place, (_, goes_out) in enumerate(chunk) if goes_out]
            read = [frame for frame, _ in chunk]
            planes = stack_planes(read + read[-1:] * (batch_size - len(read)))
            first = places[0] if places else 0
            yield Batch([read[place] for place in places], first, planes, begins)
            begins = False
        if failures:
            raise failures[0]

    def read(self, first: int, count: int) -> slice:
        """The frames themselves."""
        return slice(first, first + count)

    def centres(self, frames: Any) -> Any:
        """All."""
        return frames

    def first_state(self, generator: nn.Module, height: int, width: int) -> Any:
        """The network's own, of one sequence."""
        network: Any = generator
        return network.first_state(1, height, width)

    def apply(self, call: Call, frames: jax.Array, state: Any, how: How) -> tuple[jax.Array, Any]:
        """The network's `advance`, frame after frame."""
        y, state = call(frames[None], state, method="advance")
        return y[0], state


@dataclasses.dataclass(frozen=True)
class Peaks(Reading):
    """The peak frame before a frame, the frame, and the peak frame after it.

    Peaks are found by the frames' coded sizes (`ops.peak_frames.next_peak`), which depends on all
    sizes before: a run that goes on decodes the video from its beginning. Scenes are apart.
    """

    @property
    def ahead(self) -> int:
        """The next peak, and the frame it is compared with."""
        return LARGEST_DISTANCE + 1

    def context_start(self, first_index: int, batch_size: int) -> int:
        """The beginning."""
        return 0

    def gather(
        self, frames: Iterable[VideoFrame], fmt: FrameFormat, batch_size: int, first_index: int = 0
    ) -> Iterator[Batch]:
        """Gathers batches of [3 * batch size, h, w], the three frames of a result in a row.

        Raises:
          ValueError: also for frames whose coded size is not known.
        """
        failures: list[Exception] = []
        triples = with_peaks(until_failure(frames, fmt, failures), fmt.bit_depth)
        start = first_index // batch_size * batch_size
        wanted = itertools.dropwhile(lambda triple: triple[1].index < start, triples)
        while chunk := list(itertools.islice(wanted, batch_size)):
            shown = [frame for _, frame, _ in chunk if frame.index >= first_index]
            filled = chunk + chunk[-1:] * (batch_size - len(chunk))
            planes = stack_planes(itertools.chain.from_iterable(filled))
            yield Batch(shown, len(chunk) - len(shown), planes)
        if failures:
            raise failures[0]

    def read(self, first: int, count: int) -> slice:
        """Three frames each."""
        return slice(3 * first, 3 * (first + count))

    def centres(self, frames: Any) -> Any:
        """The middle one of each three."""
        return frames[1::3]

    def apply(self, call: Call, frames: jax.Array, state: Any, how: How) -> tuple[jax.Array, Any]:
        """The network on each window, on a CPU one after the other."""
        windows = frames.reshape(-1, 3, *frames.shape[1:])
        if how.one_by_one:
            return jax.lax.map(lambda window: call(window[None])[0], windows), state
        return call(windows), state


def with_peaks(
    frames: Iterable[VideoFrame], bit_depth: int = 8
) -> Iterator[tuple[VideoFrame, VideoFrame, VideoFrame]]:
    """Every frame between the peak before it and the peak after it, in order.

    Where a scene has none the frame takes its own place, as `choose_references` has it.

    Args:
      frames: in order, from the video's first on.
      bit_depth: of their samples.

    Raises:
      ValueError: the first frame has no coded size.
    """
    cuts = CutDetector(bit_depth)
    held: list[VideoFrame] = []  # the newest peak and what came after it
    before: VideoFrame | None = None  # the peak before that one

    def finished(ended: bool) -> Iterator[tuple[VideoFrame, VideoFrame, VideoFrame]]:
        nonlocal before
        while place := next_peak([frame.coded_bytes for frame in held], ended):
            peak, after = held[0], held[place]
            yield before or peak, peak, after
            yield from ((peak, frame, after) for frame in held[1:place])
            before = peak
            del held[:place]
        if ended and held:
            yield before or held[0], held[0], held[0]
            before = None
            held.clear()

    for frame in frames:
        if not frame.index and not frame.coded_bytes:
            raise ValueError(
                "the peak frames are found by how many bytes each frame was coded with, and this "
                "input does not tell; give the compressed video itself"
            )
        if cuts.is_first(frame):
            yield from finished(ended=True)
        held.append(frame)
        yield from finished(ended=False)
    yield from finished(ended=True)


def reading_of(generator: nn.Module) -> Reading:
    """How a network reads a video, by its `reading`."""
    network: Any = generator
    if network.reading == "sequence":
        return Sequence(network.warm_up)
    if network.reading == "peaks":
        return Peaks()
    return Windows(network.frames // 2)
