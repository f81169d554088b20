"""One video from its file to the enhanced one."""

import dataclasses
import errno
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import supervegan_jax
from supervegan_jax.enhancement.choice import choose
from supervegan_jax.enhancement.compare import compared_format, compose
from supervegan_jax.enhancement.options import (
    DTYPES,
    RunOptions,
    context_start,
    for_model,
    platform_of,
    resolve,
)
from supervegan_jax.enhancement.program import plan
from supervegan_jax.enhancement.runner import RunStats, enhance_frames
from supervegan_jax.enhancement.tiling import Tiling, estimate_memory
from supervegan_jax.models.supervegan import SuperVegan
from supervegan_jax.video_input import media
from supervegan_jax.video_input.frames import FrameFormat
from supervegan_jax.video_input.pixels import PLANAR, in_samples
from supervegan_jax.video_input.samples import RawVideo
from supervegan_jax.video_input.source import Source, open_source
from supervegan_jax.video_input.truncation import BrokenStream
from supervegan_jax.video_output import encoding as encoders
from supervegan_jax.video_output import partial_work
from supervegan_jax.video_output.encoding import EncodeOptions
from supervegan_jax.video_output.file_sink import FileSink
from supervegan_jax.video_output.pipe_sink import SAMPLE_FORMATS
from supervegan_jax.video_output.plan import copied_streams
from supervegan_jax.video_output.sink import Sink, check_target, format_of, open_sink
from supervegan_jax.weights.load import load_model
from supervegan_jax.weights.model_file import LoadedModel

# What an output says that takes no more: a full disk, a quota, a limit, a reader that has gone.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE)


@dataclasses.dataclass(frozen=True)
class Job:
    """What to do.

    Attributes:
      input, output: files, or "-".
      model: the network; None takes the shipped one that suits the input (`choice.choose`).
      options: of the run.
      encode: of the output's video.
      start, duration: the part of the video in seconds; None is all.
      compare: a layout of `compare.LAYOUTS`, or None.
      overwrite: whether an existing output may be replaced.
      drop: numbers of the input's streams to leave out.
      raw: what the input's samples are, if it has no header that tells.
      output_format: see `open_sink`; None tells it from the output's name.
    """

    input: str
    output: str
    model: LoadedModel | None
    options: RunOptions
    encode: EncodeOptions
    start: float | None = None
    duration: float | None = None
    compare: str | None = None
    overwrite: bool = False
    drop: tuple[int, ...] = ()
    raw: RawVideo | None = None
    output_format: str | None = None


class _Prepared(NamedTuple):
    """A job whose input is open.

    Attributes:
      source: the input.
      model: the network, given or chosen.
      choice: which was chosen and why, in a line; None if it was given.
      options: all filled in.
      tiling: of a frame.
      out: of the enhanced frames.
    """

    source: Source
    model: LoadedModel
    choice: str | None
    options: RunOptions
    tiling: Tiling
    out: FrameFormat


def _enhanced_format(job: Job, source: Source, scale: int) -> FrameFormat:
    """In the samples that are stored, lest the network's output be rounded to others first."""
    fmt, wanted = source.format.scaled(scale), job.encode.pix_fmt
    if wanted == "rgb24":
        return dataclasses.replace(fmt, subsampling="444")
    return in_samples(fmt, wanted) if wanted in PLANAR else fmt  # what is unknown, a sink refuses


def _identity(job: Job, prepared: _Prepared) -> dict[str, Any]:
    """Everything that decides the pixels; an interrupted job is resumed only by its equal."""
    _, model, _, options, tiling, _ = prepared
    return {
        "model": model.digest(),
        "network": repr(model.generator),
        "program": f"supervegan_jax {supervegan_jax.__version__}, JAX {jax.__version__}",
        "stage": options.stage,
        "strength": options.strength,
        "dtype": options.dtype,
        "batch_size": options.batch_size,
        "devices": [device.device_kind for device in options.devices or ()],
        "tile": [tiling.height, tiling.width],
        "compare": job.compare,
        "raw": None if job.raw is None else dataclasses.asdict(job.raw),
    }


def _prepare(job: Job) -> _Prepared:
    options = dataclasses.replace(job.options, compare=job.compare is not None)
    if job.model is not None:
        options = for_model(options, job.model)
    source = open_source(job.input, job.start, job.duration, job.raw)
    if source.picture.interlaced:
        raise ValueError(media.interlaced(source.name))
    model, choice = job.model, None
    if model is None:
        fmt = source.format
        accelerated = platform_of(options) != "cpu"
        shape = fmt.width, fmt.height, float(source.rate)
        name, reason = choose(*shape, source.measure_kbps(), accelerated)
        model, choice = load_model(name), f"{name}, {reason}"
        options = for_model(options, model)
    options = resolve(options)
    tiling = plan(model, source.format, options)
    out = _enhanced_format(job, source, model.scale)
    return _Prepared(source, model, choice, options, tiling, out)


def describe(job: Job) -> list[str]:
    """What `enhance_video` would do, in lines of text; nothing is written.

    Raises:
      ValueError: the same as `enhance_video` for whatever can be told beforehand.
    """
    prepared = _prepare(job)
    source, model, choice, options, tiling, enhanced = prepared
    fmt, scale = source.format, model.scale
    out = compared_format(enhanced, job.compare, source.picture.display_matrix)
    counted = sum(np.size(leaf) for leaf in jax.tree.leaves(model.params))
    parameters = model.card.get("parameters", counted)
    devices = options.devices or ()
    frames = (options.batch_size or 1) // len(devices)
    itemsize = jnp.dtype(DTYPES[options.dtype or "float32"]).itemsize
    memory = ""
    if isinstance(model.generator, SuperVegan):
        size = tiling.height, tiling.width
        taken = estimate_memory(model.generator, options.stage, *size, frames, itemsize)
        memory = f", about {taken / 1e6:.0f} MB a device"
    lines = [
        f"model    {model.card['name']}: {scale}x, {parameters} parameters, stage "
        f"{options.stage}, strength {options.strength:g}, {options.dtype}",
        *([] if choice is None else [f"chosen   {choice}"]),
        f"input    {job.input}: {fmt.width}x{fmt.height} {fmt.pixel_format} {fmt.matrix} "
        f"{'full' if fmt.full_range else 'limited'} range, "
        f"{'unknown' if source.frame_count is None else source.frame_count} frames",
        f"output   {job.output}: {out.width}x{out.height} {out.pixel_format}",
    ]
    lines += _describe_output(job, source, scale, out, _identity(job, prepared))
    names = ", ".join(sorted({device.device_kind for device in devices}))
    lines.append(
        f"work     {options.batch_size} frames at a time on {len(devices)} x {names}, "
        f"{tiling.count} tile{'s' * (tiling.count > 1)} of {tiling.width}x{tiling.height}"
        f"{memory}"
    )
    return lines


def _describe_output(
    job: Job, source: Source, scale: int, out: FrameFormat, identity: dict[str, Any]
) -> list[str]:
    """The lines about the output's streams; refuses what `enhance_video` would refuse."""
    kind = format_of(job.output, job.output_format)
    if kind in SAMPLE_FORMATS:
        lines = [f"video    {kind}; streams other than the video are left out"]
    else:
        chosen = encoders.resolve(job.encode, out, kind)
        lines = [
            f"video    {chosen.codec}, crf {chosen.crf:g}, preset {chosen.preset}, {chosen.pix_fmt}"
        ]
        info = source.info
        kept = [] if info is None else list(copied_streams(info, job.drop))
        kept = [stream for stream in kept if info is None or stream != info.video]
        lines.append(f"copied   {', '.join(map(str, kept)) or 'no other streams'}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(job.output)
        trial = "-" if job.output == "-" else Path(folder, f"trial{path.suffix}")
        target = None if job.output == "-" else check_target(path, source, job.overwrite)
        sink = open_sink(
            trial,
            source,
            scale,
            job.encode,
            frame_format=out,
            output_format=job.output_format,
            job=identity,
            drop=job.drop,
        )
        with sink:
            if isinstance(sink, FileSink) and target is not None:
                unfinished = partial_work.folder_of(target)
                partial_work.is_same_work(unfinished, sink.manifest, job.overwrite)
            return lines + [f"note     {note}" for note in sink.notes]


def enhance_video(job: Job, *, messages: TextIO | None = None) -> RunStats:
    """Enhances a video.

    Args:
      job: what to do.
      messages: gets what the output cannot keep, one line each, and the progress bar, if it is a
        terminal; stderr by default.

    Returns:
      What it took.

    Raises:
      BrokenStream: the input is damaged or cut off; everything readable is in the output.
      KeyboardInterrupt: it was interrupted; the message tells what of it is kept.
      ValueError: the input, the output or the options are refused.
      OSError: a file cannot be read or written.
    """
    try:
        return _enhance(job, messages or sys.stderr)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        name = "standard output" if job.output == "-" else job.output
        kept = "" if job.output == "-" else "; the same command goes on with what is finished"
        raise OSError(f"{name}: {error.strerror}{kept}") from error


def _enhance(job: Job, messages: TextIO) -> RunStats:
    stats = RunStats()
    prepared = _prepare(job)
    source, model, choice, *_ = prepared
    sink = open_sink(
        job.output,
        source,
        model.scale,
        job.encode,
        frame_format=compared_format(prepared.out, job.compare, source.picture.display_matrix),
        output_format=job.output_format,
        overwrite=job.overwrite,
        job=_identity(job, prepared),
        drop=job.drop,
    )
    broken = None
    if choice is not None:
        print(f"model: {choice}", file=messages)
    with sink:
        if sink.finished_frames:
            earlier = f"note: goes on after {sink.finished_frames} frames of an earlier run"
            if prepared.options.reading.in_turn:
                earlier += ", which are computed again: the others depend on them"
            print(earlier, file=messages)
        notes = _Notes(sink, messages)
        notes.tell()
        try:
            try:
                with _progress(source, sink, messages) as bar:
                    _write_all(job, prepared, sink, stats, bar, notes)
            except BrokenStream as error:
                broken = error
            sink.close()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_interrupted(source, sink)) from None
        notes.tell()
        for note in source.notes:
            print(f"note: {note}", file=messages)
    stats.end()
    if broken is not None:
        where = "" if job.output == "-" else f"; what could be read is in {job.output}"
        raise BrokenStream(f"{broken}{where}", broken.timestamp)
    return stats


class _Notes:
    """Tells each note of a sink as soon as there is one."""

    def __init__(self, sink: Sink, messages: TextIO) -> None:
        self._sink, self._messages, self._told = sink, messages, 0

    def tell(self) -> None:
        for note in self._sink.notes[self._told :]:
            tqdm.write(f"note: {note}", file=self._messages)  # above the progress bar
            self._told += 1


def _progress(source: Source, sink: Sink, messages: TextIO) -> Any:
    return tqdm(
        total=source.frame_count,
        initial=sink.finished_frames,
        unit="frame",
        file=messages,
        disable=None,
    )


def _interrupted(source: Source, sink: Sink) -> str:
    if source.path is None or not sink.kept_frames:
        return "interrupted; nothing of it is kept"
    return f"interrupted; the same command goes on after the first {sink.kept_frames} frames"


def _write_all(
    job: Job,
    prepared: _Prepared,
    sink: Sink,
    stats: RunStats,
    bar: Any,
    notes: _Notes,
) -> None:
    source, model, _, options, _, out = prepared
    first = sink.finished_frames
    enhanced = enhance_frames(
        source.frames(context_start(first, options)),
        source.format,
        model,
        options,
        out=out,
        first_index=first,
        stats=stats,
    )
    turned = source.picture.display_matrix
    with closing(enhanced):  # type: ignore[type-var]
        for frame in enhanced:
            sink.write(compose(frame, out, job.compare, turned) if job.compare else frame)
            notes.tell()
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
