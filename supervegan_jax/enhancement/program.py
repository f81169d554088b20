"""The compiled part: stored planes in, enlarged planes out, all on the device."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from supervegan_jax.enhancement.batches import Batch
from supervegan_jax.enhancement.options import DTYPES, RunOptions, for_model, memory_budget
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
    """

    planes: Planes
    finite: Any
    bicubic: Planes


def frames_function(
    model: LoadedModel, options: RunOptions, dtype: str
) -> Callable[[Any, Any], Any]:
    """The network alone: (params, RGB of n + t - 1 frames) -> RGB of the n middle ones, enlarged.

    Args:
      model: the network; if it is exported and not traceable, the function takes NumPy arrays.
      options: of the run, resolved.
      dtype: of the features.
    """
    exported = model.exported
    if exported is not None:
        return lambda params, rgb: exported.call(_windows(rgb, options.reach))
    generator = model.generator.clone(dtype=DTYPES[dtype])
    # A frame's features fit a CPU's caches, a batch's do not.
    one_by_one = (options.devices or jax.local_devices())[0].platform == "cpu"

    def function(params: Any, rgb: Any) -> Any:
        return generator.apply(
            as_variables(params),
            rgb,
            options.stage,
            options.strength,
            one_by_one,
            method="enhance",
        )

    return function


def compile_program(
    model: LoadedModel,
    fmt: FrameFormat,
    options: RunOptions,
    dtype: str,
    params: Any,
    planes: Planes,
) -> Callable[[Any, Planes], Result]:
    """Compiles (params, planes of n + t - 1 frames) -> Result of the n middle ones.

    Args:
      model: the network.
      fmt: of the frames.
      options: of the run, resolved.
      dtype: of the features.
      params: on the device that is compiled for, like `planes`: examples of what will be given.
      planes: see `params`.
    """
    network = frames_function(model, options, dtype)

    def finish(rgb: jax.Array, y: jax.Array) -> Result:
        finite = jnp.isfinite(y).all(axis=(1, 2, 3))
        bicubic: Planes = ()
        if options.compare:
            bicubic = rgb_to_planes(
                upsample_bicubic(rgb[options.reach : len(rgb) - options.reach], model.scale), fmt
            )
        return Result(rgb_to_planes(y, fmt), finite, bicubic)

    def program(params: Any, planes: Planes) -> Result:
        rgb = planes_to_rgb(planes, fmt)
        return finish(rgb, network(params, rgb))

    if model.exported is None or model.exported.traceable:
        return jax.jit(program).lower(params, planes).compile()

    begin = jax.jit(lambda planes: planes_to_rgb(planes, fmt)).lower(planes).compile()
    rgb = begin(planes)
    end = jax.jit(finish).lower(rgb, network(params, np.asarray(rgb))).compile()

    def on_the_host(params: Any, planes: Planes) -> Result:
        rgb = begin(planes)
        return end(rgb, network(params, np.asarray(rgb)))

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
    result: Result


class Engine:
    """Enhances batches on all devices: `submit` starts one, `collect` waits for it.

    Attributes:
      compile_seconds: spent compiling so far.
      recomputed: how many frames (or tiles of them) were computed again in float32.
    """

    def __init__(self, model: LoadedModel, fmt: FrameFormat, options: RunOptions):
        """Plans the tiles and places the weights; `options` are resolved."""
        options = for_model(options, model)
        self._model, self._fmt, self._options = model, fmt, options
        self._devices = options.devices or ()
        self._frames = (options.batch_size or 1) // len(self._devices)
        self.tiling = plan(model, fmt, options)
        self._params = [jax.device_put(model.params, device) for device in self._devices]
        self._compiled: dict[tuple[str, int], Any] = {}
        self._out = fmt.scaled(model.scale)
        self.compile_seconds = 0.0
        self.recomputed = 0

    def submit(self, batch: Batch) -> list[_Piece]:
        """Gives a batch to the devices and returns without waiting."""
        pieces = []
        for row in self.tiling.rows:
            for column in self.tiling.columns:
                for index in range(len(self._devices)):
                    inputs = self._inputs(batch, row, column, index)
                    result = self._run(self._options.dtype or "float32", index, inputs)
                    pieces.append(_Piece(row, column, index, inputs, result))
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
        frames = slice(first, first + self._frames + 2 * self._options.reach)
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

    def _run(self, dtype: str, index: int, inputs: Planes) -> Result:
        inputs = jax.device_put(inputs, self._devices[index])
        key = dtype, index
        if key not in self._compiled:
            start = time.monotonic()
            fmt = self._fmt_of_a_tile()
            self._compiled[key] = compile_program(
                self._model, fmt, self._options, dtype, self._params[index], inputs
            )
            self.compile_seconds += time.monotonic() - start
        return self._compiled[key](self._params[index], inputs)

    def _fmt_of_a_tile(self) -> FrameFormat:
        return dataclasses.replace(self._fmt, width=self.tiling.width, height=self.tiling.height)

    def _checked(self, batch: Batch, piece: _Piece) -> Result:
        """The piece's result, its non-finite frames computed again in float32."""
        wrong = self._wrong(batch, piece, piece.result)
        if not wrong:
            return piece.result
        again = piece.result
        if self._options.dtype != "float32":
            again = self._run("float32", piece.device, piece.inputs)
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
        return Result(merged, again.finite, piece.result.bicubic)

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
