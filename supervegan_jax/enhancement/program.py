"""The compiled part: stored planes in, enlarged planes out, all on the device."""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from supervegan_jax.enhancement.batches import Batch
from supervegan_jax.enhancement.options import (
    DTYPES,
    RunOptions,
    for_model,
    memory_budget,
    platform_of,
)
from supervegan_jax.enhancement.readings import How
from supervegan_jax.enhancement.tiling import Cut, Tiling, choose_tile, margin, plan_tiles
from supervegan_jax.models.single_stage import as_variables
from supervegan_jax.models.supervegan import SuperVegan
from supervegan_jax.ops.color import planes_to_rgb, rgb_to_planes
from supervegan_jax.ops.resize import upsample_bicubic
from supervegan_jax.video_input.frames import FrameFormat
from supervegan_jax.weights.model_file import LoadedModel

Planes = tuple[Any, ...]


class Result(NamedTuple):
    """What the program gives for a stretch of frames.

    Attributes:
      planes: enlarged, each [frames, scale * h, scale * w] or the chroma's size.
      finite: [frames], whether every value of the network's output is a number.
      bicubic: the planes of the plain enlargement; () unless asked for.
      state: what the next frames need of these; () of most networks.
    """

    planes: Planes
    finite: Any
    bicubic: Planes
    state: Any


def frames_function(
    model: LoadedModel, options: RunOptions, dtype: str
) -> Callable[[Any, Any, Any], tuple[Any, Any]]:
    """The network alone: (params, images, state) -> (images of those enhanced, next state).

    Args:
      model: the network; if it is exported and not traceable, the function takes NumPy arrays.
      options: of the run, resolved.
      dtype: of the features.
    """
    exported, reading = model.exported, options.reading
    if exported is not None:
        reach = reading.ahead  # only windows are exported
        return lambda params, images, state: (exported.call(_windows(images, reach)), state)
    generator = model.generator.clone(dtype=DTYPES[dtype])
    # A frame's features fit a CPU's caches, a batch's do not.
    one_by_one = platform_of(options) == "cpu"
    how = How(options.stage, options.strength, one_by_one)

    def function(params: Any, images: Any, state: Any) -> tuple[Any, Any]:
        return reading.apply(partial(generator.apply, as_variables(params)), images, state, how)

    return function


def _images(planes: Planes, fmt: FrameFormat, channels: int) -> jax.Array:
    """What a network reads of stored planes: RGB, or the luma alone, [n, h, w, channels]."""
    if channels == 3:
        return planes_to_rgb(planes, fmt)
    return planes_to_rgb(planes[:1], dataclasses.replace(fmt, subsampling="gray"))[..., :1]


def _stored(y: jax.Array, plain: Callable[[], Planes], fmt: FrameFormat) -> Planes:
    """Stored planes of what a network gives; luma gets the chroma of the `plain` enlargement."""
    if y.shape[-1] == 3:
        return rgb_to_planes(y, fmt)
    grey = dataclasses.replace(fmt, subsampling="gray")
    return rgb_to_planes(jnp.repeat(y, 3, axis=-1), grey) + plain()[1:]


def _plain(planes: Planes, fmt: FrameFormat, scale: int, out: FrameFormat) -> Planes:
    """The bicubic enlargement; at scale 1 the planes as they are stored."""
    if scale == 1 and out.pixel_format == fmt.pixel_format:
        return planes
    return rgb_to_planes(upsample_bicubic(planes_to_rgb(planes, fmt), scale), out)


def compile_program(
    model: LoadedModel,
    fmt: FrameFormat,
    out: FrameFormat,
    options: RunOptions,
    dtype: str,
    params: Any,
    planes: Planes,
    state: Any,
) -> Callable[[Any, Planes, Any], Result]:
    """Compiles (params, planes of the frames read, state) -> Result of those enhanced.

    Args:
      model: the network.
      fmt: of the frames.
      out: of the results; its size is not read.
      options: of the run, resolved.
      dtype: of the features.
      params: on the device that is compiled for, like `planes`: examples of what will be given.
      planes, state: see `params`.
    """
    network = frames_function(model, options, dtype)
    generator: Any = model.generator
    channels = generator.channels

    def finish(planes: Planes, y: jax.Array, state: Any) -> Result:
        finite = jnp.isfinite(y).all(axis=(1, 2, 3))

        def plain() -> Planes:
            centres = tuple(options.reading.centres(plane) for plane in planes)
            return _plain(centres, fmt, model.scale, out)

        bicubic = plain() if options.compare else ()
        return Result(_stored(y, plain, out), finite, bicubic, state)

    def program(params: Any, planes: Planes, state: Any) -> Result:
        return finish(planes, *network(params, _images(planes, fmt, channels), state))

    if model.exported is None or model.exported.traceable:
        return jax.jit(program).lower(params, planes, state).compile()

    begin = jax.jit(lambda planes: _images(planes, fmt, channels)).lower(planes).compile()
    found, _ = network(params, np.asarray(begin(planes)), state)
    end = jax.jit(finish).lower(planes, found, state).compile()

    def on_the_host(params: Any, planes: Planes, state: Any) -> Result:
        return end(planes, *network(params, np.asarray(begin(planes)), state))

    return on_the_host


def _windows(frames: Any, reach: int) -> Any:
    """[n + 2 reach, h, w, c] -> [n, 2 reach + 1, h, w, c], of NumPy or traced arrays."""
    count = frames.shape[0] - 2 * reach
    stack = np.stack if isinstance(frames, np.ndarray) else jnp.stack
    return stack([frames[i : i + count] for i in range(2 * reach + 1)], axis=1)


def plan(model: LoadedModel, fmt: FrameFormat, options: RunOptions) -> Tiling:
    """Cuts the frames as the options ask or as the memory demands (options are resolved).

    Raises:
      ValueError: the tile is too small for the network, or the memory for any tile.
    """
    size = fmt.height, fmt.width
    whole = options.tile is not None and options.tile >= max(size)
    # Of the others how far they look is not known: they take frames as they are.
    if whole or (options.tile is None and not isinstance(model.generator, SuperVegan)):
        return plan_tiles(*size, max(size), 0)
    devices, batch_size = options.devices or (), options.batch_size or 1
    tile = options.tile
    if tile is None:
        frames = batch_size // len(devices)
        itemsize = jnp.dtype(DTYPES[options.dtype or "float32"]).itemsize
        budget = memory_budget(devices[0])
        if devices[0].platform == "cpu":  # they share the machine's memory
            budget //= len(devices)
        tile = choose_tile(model.generator, options.stage, size, frames, itemsize, budget)
    return plan_tiles(*size, tile, *margin(model.generator, options.stage))


@dataclasses.dataclass
class _Piece:
    """One tile of the frames one device has."""

    row: Cut
    column: Cut
    device: int
    inputs: Planes
    state: Any
    result: Result


class Engine:
    """Enhances batches on all devices: `submit` starts one, `collect` waits for it.

    Attributes:
      compile_seconds: spent compiling so far.
      recomputed: how many frames (or tiles of them) were computed again in float32.
    """

    def __init__(
        self,
        model: LoadedModel,
        fmt: FrameFormat,
        options: RunOptions,
        out: FrameFormat | None = None,
    ):
        """Plans the tiles and places the weights.

        Args:
          model: the network.
          fmt: of the frames.
          options: of the run, resolved.
          out: of the results; None is `fmt`, enlarged.
        """
        options = for_model(options, model)
        self._model, self._fmt, self._options = model, fmt, options
        self._devices = options.devices or ()
        self._frames = (options.batch_size or 1) // len(self._devices)
        self.tiling = plan(model, fmt, options)
        self._params = [jax.device_put(model.params, device) for device in self._devices]
        self._compiled: dict[tuple[str, int], Any] = {}
        self._out = out or fmt.scaled(model.scale)
        self._state: Any = ()
        self.compile_seconds = 0.0
        self.recomputed = 0

    def submit(self, batch: Batch) -> list[_Piece]:
        """Gives a batch to the devices and returns without waiting.

        Where a batch needs the results of the one before, that one has been collected.
        """
        pieces = []
        if batch.begins:
            tile = self.tiling.height, self.tiling.width
            first = self._options.reading.first_state(self._model.generator, *tile)
            self._state = jax.device_put(first, self._devices[0])
        for row in self.tiling.rows:
            for column in self.tiling.columns:
                for index in range(len(self._devices)):
                    inputs = self._inputs(batch, row, column, index)
                    dtype, state = self._options.dtype or "float32", self._state
                    result = self._run(dtype, index, inputs, state)
                    pieces.append(_Piece(row, column, index, inputs, state, result))
        return pieces

    def collect(self, batch: Batch, pieces: list[_Piece]) -> tuple[Planes, Planes]:
        """Waits for a batch.

        Returns:
          The enlarged planes of all the batch's frames, and those of the bicubic enlargement.

        Raises:
          ValueError: a frame's values are not finite, in float32 either.
        """
        if len(pieces) == 1:
            result = self._checked(batch, pieces[0])
            self._state = result.state
            return tuple(map(np.asarray, result.planes)), tuple(map(np.asarray, result.bicubic))
        count = self._frames * len(self._devices)
        shapes = self._out.plane_shapes
        planes = tuple(np.empty((count, *shape), self._out.dtype) for shape in shapes)
        bicubic = tuple(np.empty_like(plane) for plane in planes) if self._options.compare else ()
        for piece in pieces:
            result = self._checked(batch, piece)
            sources = result.planes + result.bicubic
            for target, source in zip(planes + bicubic, sources, strict=True):
                self._paste(target, np.asarray(source), piece)
        return planes, bicubic

    def _inputs(self, batch: Batch, row: Cut, column: Cut, index: int) -> Planes:
        first = index * self._frames
        frames = self._options.reading.read(first, self._frames)
        luma = batch.planes[0].shape[1:]
        parts = []
        for plane in batch.planes:
            rows = _scaled(row.start, self.tiling.height, luma[0], plane.shape[1])
            columns = _scaled(column.start, self.tiling.width, luma[1], plane.shape[2])
            parts.append(np.ascontiguousarray(plane[frames, rows, columns]))
        return tuple(parts)

    def _paste(self, target: np.ndarray, source: np.ndarray, piece: _Piece) -> None:
        scale, frames = self._model.scale, slice(piece.device * self._frames, None)
        luma = self._out.plane_shapes[0]
        ranges = []
        for axis, cut in ((1, piece.row), (2, piece.column)):
            size, full = luma[axis - 1], target.shape[axis]
            kept = _scaled(cut.first * scale, (cut.last - cut.first) * scale, size, full)
            ranges.append((kept, _scaled(cut.start * scale, 0, size, full).start))
        (rows, top), (columns, left) = ranges
        target[frames][: self._frames, rows, columns] = source[
            :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]

    def _run(self, dtype: str, index: int, inputs: Planes, state: Any) -> Result:
        inputs = jax.device_put(inputs, self._devices[index])
        key = dtype, index
        if key not in self._compiled:
            start = time.monotonic()
            self._compiled[key] = compile_program(
                self._model,
                self._fmt_of_a_tile(),
                self._out,
                self._options,
                dtype,
                self._params[index],
                inputs,
                state,
            )
            self.compile_seconds += time.monotonic() - start
        return self._compiled[key](self._params[index], inputs, state)

    def _fmt_of_a_tile(self) -> FrameFormat:
        return dataclasses.replace(self._fmt, width=self.tiling.width, height=self.tiling.height)

    def _checked(self, batch: Batch, piece: _Piece) -> Result:
        """The piece's result, its non-finite frames computed again in float32."""
        wrong = self._wrong(batch, piece, piece.result)
        if not wrong:
            return piece.result
        again = piece.result
        if self._options.dtype != "float32":
            again = self._run("float32", piece.device, piece.inputs, piece.state)
            self.recomputed += len(wrong)
            wrong = self._wrong(batch, piece, again, wrong)
        if wrong:
            place = piece.device * self._frames + wrong[0] - batch.first
            raise ValueError(
                f"the model gives values that are not finite at frame {batch.frames[place].index}"
            )
        keep = np.asarray(piece.result.finite)[:, None, None]
        planes = zip(piece.result.planes, again.planes, strict=True)
        merged = tuple(np.where(keep, old, new) for old, new in planes)
        return Result(merged, again.finite, piece.result.bicubic, again.state)

    def _wrong(
        self, batch: Batch, piece: _Piece, result: Result, among: list[int] | None = None
    ) -> list[int]:
        """The piece's frames that go out and are not finite."""
        first = batch.first - piece.device * self._frames
        goes_out = range(max(0, first), min(self._frames, first + len(batch.frames)))
        finite = np.asarray(result.finite)
        return [i for i in goes_out if not finite[i] and (among is None or i in among)]


def _scaled(start: int, length: int, luma: int, plane: int) -> slice:
    """A stretch of the luma's pixels as a stretch of a plane that may have half as many."""
    if luma == plane:
        return slice(start, start + length)
    return slice(start // 2, -(-(start + length) // 2))
