"""Encoding and scoring, each piece of work kept in the workspace as soon as it is done."""

import contextlib
import dataclasses
import functools
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from data_prep.jobs import run_jobs
from supervegan_jax.evaluation.pairing import frame_to_rgb
from supervegan_jax.evaluation.results import Scores
from supervegan_jax.evaluation.scoring import METRICS, Scorer
from supervegan_jax.ops.color import planes_to_rgb, rgb_to_planes
from supervegan_jax.rate_distortion.curves import Point
from supervegan_jax.rate_distortion.references import Reference
from supervegan_jax.rate_distortion.settings import Settings
from supervegan_jax.rate_distortion.ways import Way
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.video.encoder import codec_arguments, encode_at_bitrate
from supervegan_jax.video.writer import LosslessWriter
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.video_input.source import open_source

# A clip's own pictures stay in memory while its curves are scored, if they are no more.
_KEPT_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A clip encoded at one bitrate; the rates are in kbit/s."""

    reference: Reference
    codec: str
    scale: int
    target_kbps: int
    key: str
    path: Path
    measured_kbps: float = 0.0


@dataclasses.dataclass(frozen=True)
class Task:
    """The frames of one curve at one bitrate, to be scored."""

    encoded: Encoded
    way: Way
    key: str


def plan_encodes(
    workspace: Workspace, references: Sequence[Reference], ways: Sequence[Way], settings: Settings
) -> list[Encoded]:
    """Every encode that the ways need."""
    encodes = []
    for reference in references:
        for codec in settings.codecs:
            for scale in dict.fromkeys(way.scale for way in ways):
                ladder = settings.reference_kbps if scale == 1 else settings.input_kbps
                encodes += [
                    plan_encode(workspace, reference, codec, scale, kbps) for kbps in ladder
                ]
    return encodes


def plan_encode(
    workspace: Workspace, reference: Reference, codec: str, scale: int, kbps: int
) -> Encoded:
    """One clip at one size and bitrate."""
    arguments = codec_arguments(codec, kbps, float(reference.fps))
    key = workspace.key(reference=reference.key, arguments=arguments, scale=scale, codec=codec)
    path = workspace.video("encodes", key)
    return Encoded(reference, codec, scale, kbps, key, path)


def make_encodes(
    workspace: Workspace, encodes: Sequence[Encoded], jobs: int | None
) -> list[Encoded]:
    """Encodes what is missing, several at a time; gives back all with their measured bitrates."""

    def make(encoded: Encoded) -> Encoded:
        known = workspace.read("encodes", encoded.key)
        if known is None:
            known = _encode(encoded)
            workspace.write("encodes", encoded.key, known)
        return dataclasses.replace(encoded, measured_kbps=known["measured_kbps"])

    return run_jobs(make, encodes, jobs=jobs, title="encoding")


def _encode(encoded: Encoded) -> dict[str, Any]:
    reference = encoded.reference
    done = encode_at_bitrate(
        reference.path,
        encoded.path,
        codec=encoded.codec,
        bitrate_kbps=encoded.target_kbps,
        size=(reference.width // encoded.scale, reference.height // encoded.scale),
    )
    names = ("codec", "width", "height", "target_kbps", "measured_kbps", "frame_count", "command")
    return {"clip": reference.name} | {name: getattr(done, name) for name in names}


def plan_scores(
    workspace: Workspace, encodes: Sequence[Encoded], ways: Sequence[Way], frame_step: int
) -> list[Task]:
    """Every curve's work at every bitrate."""
    return [
        Task(
            encoded,
            way,
            workspace.key(encode=encoded.key, frame_step=frame_step, **way.identity),
        )
        for way in ways
        for encoded in encodes
        if encoded.scale == way.scale
    ]


def score_all(workspace: Workspace, tasks: Sequence[Task], settings: Settings) -> list[Point]:
    """Scores what is missing, metric by metric; the bar counts frames.

    Raises:
      ValueError: a clip's frames do not suit a metric, or a network's values are not finite.
    """
    known = {task.key: (workspace.read("scores", task.key) or {}) for task in tasks}
    missing = {
        task.key: [m for m in settings.metrics if m not in known[task.key].get("scores", {})]
        for task in tasks
    }
    total = sum(task.encoded.reference.frame_count for task in tasks if missing[task.key])
    scorers: dict[tuple[str, ...], Scorer] = {}
    with tqdm(total=total, unit="frame", desc="scoring", disable=None, leave=False) as bar:
        # Clip by clip, so that the pictures of one need not be decoded again for every curve.
        for task in sorted(tasks, key=lambda task: task.encoded.reference.name):
            metrics = tuple(missing[task.key])
            if not metrics:
                continue
            bar.set_postfix_str(f"{task.encoded.reference.name} {task.way.curve}", refresh=False)
            scorer = scorers.setdefault(metrics, Scorer(metrics))
            found = _score(task, scorer, metrics, settings.frame_step, bar)
            kept = known[task.key].get("scores", {}) | found
            about = {
                "clip": task.encoded.reference.name,
                "codec": task.encoded.codec,
                "curve": task.way.curve,
                "target_kbps": task.encoded.target_kbps,
                "frame_step": settings.frame_step,
            }
            known[task.key] = about | {"scores": kept}
            workspace.write("scores", task.key, known[task.key])
    return [_point(task, known[task.key]["scores"], settings.metrics) for task in tasks]


def _point(task: Task, scores: dict[str, Any], metrics: Sequence[str]) -> Point:
    encoded = task.encoded
    return Point(
        clip=encoded.reference.name,
        codec=encoded.codec,
        curve=task.way.curve,
        scale=encoded.scale,
        target_kbps=encoded.target_kbps,
        measured_kbps=encoded.measured_kbps,
        bits_per_pixel=encoded.reference.bits_per_pixel(encoded.measured_kbps),
        scores={metric: scores[metric]["mean"] for metric in metrics},
    )


def _score(
    task: Task, scorer: Scorer, metrics: Sequence[str], frame_step: int, bar: Any
) -> dict[str, Any]:
    """Each metric's mean over the scored frames, and how many of them count."""
    source = open_source(task.encoded.path)
    reference = task.encoded.reference
    fmt = source.format.scaled(task.way.scale)
    if (fmt.width, fmt.height) != (reference.width, reference.height):
        raise ValueError(f"{task.encoded.path} has another size than planned; remove it")
    scorer.start()
    scores = Scores(tuple(metrics))
    wanted = _reference_pictures(reference, frame_step)
    with _vmaf_video(task, fmt, "vmaf" in metrics) as video:
        every = 1 if "vmaf" in metrics else frame_step
        made = _written(task.way.frames(source, every), video, every, bar)
        frames = (frame for frame in made if frame.index % frame_step == 0)
        for frame, picture in zip(frames, wanted, strict=True):
            if scorer.metrics:
                scores.rows.append(scorer.score(picture, frame_to_rgb(frame, fmt)))
        vmaf = video.score(reference.path)
    found: dict[str, Any] = {}
    for metric in metrics:
        if METRICS[metric].needs == "videos":
            found[metric] = {"mean": vmaf, "frames": reference.frame_count}
            continue
        mean = scores.mean(metric)
        finite = mean is not None and np.isfinite(mean)
        found[metric] = {"mean": mean if finite else None, "frames": len(scores.values(metric))}
    return found


def _written(
    frames: Iterator[VideoFrame], video: Any, every: int, bar: Any
) -> Iterator[VideoFrame]:
    """The frames, each written to `video` and counted as `every` frames of its clip."""
    for frame in frames:
        video.write(frame)
        bar.update(min(every, bar.total - bar.n))
        yield frame


def _reference_pictures(reference: Reference, step: int) -> Iterator[jax.Array]:
    """Every `step`th frame of a clip as RGB; one that fits is decoded once for all its curves."""
    size = 3 * reference.width * reference.height * -(-reference.frame_count // step)
    if size <= _KEPT_BYTES:
        return iter(_kept_pictures(reference.path, step))
    return _decode_pictures(reference.path, step)


@functools.lru_cache(maxsize=1)
def _kept_pictures(path: Path, step: int) -> list[jax.Array]:
    return list(_decode_pictures(path, step))


def _decode_pictures(path: Path, step: int) -> Iterator[jax.Array]:
    truth = open_source(path)
    for frame in itertools.islice(truth.frames(), 0, None, step):
        yield frame_to_rgb(frame, truth.format)


class _Nothing:
    """Stands in for the video that nobody wants."""

    def write(self, frame: VideoFrame) -> None:
        pass

    def score(self, reference: Path) -> None:
        return None


class _VmafVideo:
    """The frames of a curve as a lossless BT.709 file, which is what libvmaf reads."""

    def __init__(self, writer: LosslessWriter, stack: contextlib.ExitStack, fmt: FrameFormat):
        self._writer, self._stack, self._fmt = writer, stack, fmt
        self._target = FrameFormat(fmt.width, fmt.height)

    def write(self, frame: VideoFrame) -> None:
        planes = frame.planes
        if self._fmt != self._target:
            planes = tuple(np.asarray(p)[0] for p in _convert(planes, self._fmt, self._target))
        self._writer.write(b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes))

    def score(self, reference: Path) -> float:
        from supervegan_jax.video.vmaf import vmaf_of_files

        self._stack.close()
        return float(np.mean(vmaf_of_files(self._writer.path, reference)))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _convert_planes(planes: Any, fmt: FrameFormat, target: FrameFormat) -> Any:
    return rgb_to_planes(planes_to_rgb(planes, fmt), target)


def _convert(planes: Any, fmt: FrameFormat, target: FrameFormat) -> Any:
    return _convert_planes(tuple(jnp.asarray(plane)[None] for plane in planes), fmt, target)


@contextlib.contextmanager
def _vmaf_video(task: Task, fmt: FrameFormat, wanted: bool) -> Iterator[Any]:
    if not wanted:
        yield _Nothing()
        return
    reference = task.encoded.reference
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder, "frames.mkv")
        writer = LosslessWriter(path, width=fmt.width, height=fmt.height, fps=reference.fps)
        stack.enter_context(writer)
        yield _VmafVideo(writer, stack, fmt)
