"""One video from its file to the enhanced one."""

import dataclasses
import hashlib
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from supervegan_jax.enhancement.compare import compared_format, compose
from supervegan_jax.enhancement.options import DTYPES, RunOptions, context_start, resolve
from supervegan_jax.enhancement.program import plan
from supervegan_jax.enhancement.runner import RunStats, enhance_frames
from supervegan_jax.enhancement.tiling import Tiling, estimate_memory
from supervegan_jax.video import encoding as encoders
from supervegan_jax.video import mux
from supervegan_jax.video.encoding import EncodeOptions
from supervegan_jax.video.sink import Sink, container_of, open_sink
from supervegan_jax.video.source import Source, open_source
from supervegan_jax.video.truncation import BrokenStream
from supervegan_jax.weights.model_file import LoadedModel


@dataclasses.dataclass(frozen=True)
class Job:
    """What to do.

    Attributes:
      input, output: files, or "-".
      model: the network.
      options: of the run.
      encode: of the output's video.
      start, duration: the part of the video in seconds; None is all.
      compare: a layout of `compare.LAYOUTS`, or None.
      overwrite: whether an existing output may be replaced.
    """

    input: str
    output: str
    model: LoadedModel
    options: RunOptions
    encode: EncodeOptions
    start: float | None = None
    duration: float | None = None
    compare: str | None = None
    overwrite: bool = False


def _fingerprint(params: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()


def _identity(job: Job, options: RunOptions, tiling: Tiling) -> dict[str, Any]:
    """Everything that decides the pixels; an interrupted job is resumed only by its equal."""
    return {
        "model": _fingerprint(job.model.params),
        "stage": options.stage,
        "strength": options.strength,
        "dtype": options.dtype,
        "batch_size": options.batch_size,
        "devices": [device.device_kind for device in options.devices or ()],
        "tile": [tiling.height, tiling.width],
        "compare": job.compare,
    }


def _prepare(job: Job) -> tuple[Source, RunOptions, Tiling]:
    options = resolve(dataclasses.replace(job.options, compare=job.compare is not None))
    source = open_source(job.input, job.start, job.duration)
    return source, options, plan(job.model, source.format, options)


def describe(job: Job) -> list[str]:
    """What `enhance_video` would do, in lines of text; nothing is written.

    Raises:
      ValueError: the same as `enhance_video` for whatever can be told beforehand.
    """
    source, options, tiling = _prepare(job)
    fmt, scale = source.format, job.model.scale
    out = compared_format(fmt.scaled(scale), job.compare)
    parameters = sum(np.size(leaf) for leaf in jax.tree.leaves(job.model.params))
    devices = options.devices or ()
    frames = (options.batch_size or 1) // len(devices)
    itemsize = jnp.dtype(DTYPES[options.dtype or "float32"]).itemsize
    memory = estimate_memory(
        job.model.generator, options.stage, tiling.height, tiling.width, frames, itemsize
    )
    lines = [
        f"model    {job.model.card['name']}: {scale}x, {parameters} parameters, stage "
        f"{options.stage}, strength {options.strength:g}, {options.dtype}",
        f"input    {job.input}: {fmt.width}x{fmt.height} {fmt.pixel_format} {fmt.matrix} "
        f"{'full' if fmt.full_range else 'limited'} range, "
        f"{'unknown' if source.frame_count is None else source.frame_count} frames",
        f"output   {job.output}: {out.width}x{out.height} {out.pixel_format}",
    ]
    if job.output == "-":
        lines.append("video    Y4M; streams other than the video are left out")
    else:
        chosen = encoders.resolve(job.encode, out, container_of(Path(job.output)))
        lines.append(
            f"video    {chosen.codec}, crf {chosen.crf:g}, preset {chosen.preset}, {chosen.pix_fmt}"
        )
        info = source.info
        kept = [] if info is None else [s for s in mux.copied_streams(info) if s != info.video]
        lines.append(f"copied   {', '.join(map(str, kept)) or 'no other streams'}")
    names = ", ".join(sorted({device.device_kind for device in devices}))
    lines.append(
        f"work     {options.batch_size} frames at a time on {len(devices)} x {names}, "
        f"{tiling.count} tile{'s' * (tiling.count > 1)} of {tiling.width}x{tiling.height}, "
        f"about {memory / 1e6:.0f} MB a device"
    )
    return lines


def enhance_video(job: Job, *, messages: TextIO | None = None) -> RunStats:
    """Enhances a video.

    Args:
      job: what to do.
      messages: gets the progress bar, if it is a terminal; stderr by default.

    Returns:
      What it took.

    Raises:
      BrokenStream: the input is damaged or cut off; everything readable is in the output.
      ValueError: the input, the output or the options are refused.
      OSError: a file cannot be read or written.
    """
    stats = RunStats()
    source, options, tiling = _prepare(job)
    out = source.format.scaled(job.model.scale)
    sink = open_sink(
        job.output,
        source,
        job.model.scale,
        job.encode,
        frame_format=compared_format(out, job.compare),
        overwrite=job.overwrite,
        job=_identity(job, options, tiling),
    )
    broken = None
    with sink:
        bar = tqdm(
            total=source.frame_count,
            initial=sink.finished_frames,
            unit="frame",
            file=messages or sys.stderr,
            disable=None,
        )
        with bar:
            try:
                _write_all(job, source, sink, options, stats, bar)
            except BrokenStream as error:
                broken = error
        sink.close()
    stats.end()
    if broken is not None:
        raise broken
    return stats


def _write_all(
    job: Job, source: Source, sink: Sink, options: RunOptions, stats: RunStats, bar: Any
) -> None:
    first = sink.finished_frames
    enhanced = enhance_frames(
        source.frames(context_start(first, options)),
        source.format,
        job.model,
        options,
        first_index=first,
        stats=stats,
    )
    out = source.format.scaled(job.model.scale)
    with closing(enhanced):  # type: ignore[type-var]
        for frame in enhanced:
            sink.write(compose(frame, out, job.compare) if job.compare else frame)
            bar.update()


def summary(stats: RunStats) -> str:
    """One line: frames, seconds and both speeds.

    The model's own speed counts the time in which a device had a batch; the other one everything
    from opening the input to closing the output. Neither counts compiling, which is told apart.
    """
    working = stats.seconds - stats.compile_seconds
    parts = [
        f"{stats.frames} frames in {stats.seconds:.1f} s "
        f"({stats.compile_seconds:.1f} s of it compiling)"
    ]
    if stats.frames:
        parts.append(f"{stats.frames / max(working, 1e-9):.2f} frames/s end to end")
        parts.append(f"{stats.frames / max(stats.model_seconds, 1e-9):.2f} frames/s model only")
    if stats.recomputed:
        parts.append(f"{stats.recomputed} computed again in float32")
    return "; ".join(parts)
