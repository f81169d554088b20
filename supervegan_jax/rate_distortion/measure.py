"""Encoding and scoring, each piece of work kept in the workspace as soon as it is done."""

import contextlib
import dataclasses
import functools
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

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
from supervegan_jax.rate_distortion.references import Reference, digest
from supervegan_jax.rate_distortion.settings import Settings
from supervegan_jax.rate_distortion.ways import Way
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.video.encoder import codec_arguments, encode_at_bitrate
from supervegan_jax.video.writer import LosslessWriter
from supervegan_jax.video_input.frames import FrameFormat, VideoFrame
from supervegan_jax.video_input.source import open_source

# A clip's own pictures stay in memory while its curves are scored, if they are no more.
_KEPT_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Degraded:
    """A clip made worse.

    Attributes:
      reference: the clip.
      codec: how it was made worse, as tables call it.
      scale: how much smaller it is.
      key: of its content.
      path: the video; its first frames are the clip's, those beyond are not read.
      measured_kbps: of its packets.
      matrix: of YCbCr, for a file that does not tell; None believes the file.
    """

    reference: Reference
    codec: str
    scale: int
    key: str
    path: Path
    measured_kbps: float = 0.0
    matrix: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoded(Degraded):
    """A clip encoded at one bitrate; the rates are in kbit/s."""

    target_kbps: int


Input = TypeVar("Input", bound=Degraded)


@dataclasses.dataclass(frozen=True)
class Task(Generic[Input]):
    """The frames of one curve at one bitrate, to be scored."""

    encoded: Input
    way: Way
    key: str


@dataclasses.dataclass(frozen=True)
class Scoring:
    """Which numbers are taken of which frames.

    Attributes:
      metrics: keys of `METRICS`.
      frame_step: every so manieth frame is scored, from the first on; VMAF always sees all.
      crop_border: pixels left out at each side, but for VMAF.
      skip_ends: frames left out at either end, but for VMAF.
      ma_model: the model file of Ma's score, for "pi".
    """

    metrics: tuple[str, ...]
    frame_step: int = 1
    crop_border: int = 0
    skip_ends: int = 0
    ma_model: Path | None = None

    @property
    def identity(self) -> dict[str, int]:
        """What decides the numbers beside metric and picture."""
        borders = {"crop_border": self.crop_border, "skip_ends": self.skip_ends}
        return {"frame_step": self.frame_step} | {k: v for k, v in borders.items() if v}

    def scored_frames(self, frame_count: int) -> range:
        """Which frames of a clip are scored; the steps are counted from its first one."""
        first = -(-self.skip_ends // self.frame_step) * self.frame_step
        return range(first, frame_count - self.skip_ends, self.frame_step)

    def kept_as(self, metric: str) -> str:
        """What a metric is called in a file of scores: Ma's model decides the numbers of "pi"."""
        if metric != "pi" or self.ma_model is None:
            return metric
        return f"pi {digest(self.ma_model)}"


def scoring_of(settings: Settings) -> Scoring:
    """What a rate-distortion run scores."""
    return Scoring(settings.metrics, settings.frame_step, ma_model=settings.ma_model)


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
    return Encoded(
        reference=reference, codec=codec, scale=scale, key=key, path=path, target_kbps=kbps
    )


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
    workspace: Workspace, encodes: Sequence[Input], ways: Sequence[Way], scoring: Scoring
) -> list[Task[Input]]:
    """Every curve's work at every bitrate."""
    return [
        Task(
            encoded,
            way,
            workspace.key(encode=encoded.key, **scoring.identity, **way.identity),
        )
        for way in ways
        for encoded in encodes
        if encoded.scale == way.scale
    ]


def score_all(
    workspace: Workspace, tasks: Sequence[Task[Encoded]], settings: Settings
) -> list[Point]:
    """The points of a run; see `score_tasks`."""
    scoring = scoring_of(settings)
    found = score_tasks(workspace, tasks, scoring)
    return [_point(task, scores, scoring) for task, scores in zip(tasks, found, strict=True)]


def score_tasks(
    workspace: Workspace, tasks: Sequence[Task[Input]], scoring: Scoring
) -> list[dict[str, Any]]:
    """Scores what is missing, metric by metric; the bar counts frames.

    Returns:
      For each task, by metric {"mean": value or None, "frames": how many count}.

    Raises:
      ValueError: a clip's frames do not suit a metric, or a network's values are not finite.
    """
    known = {task.key: (workspace.read("scores", task.key) or {}) for task in tasks}
    kept_as = {metric: scoring.kept_as(metric) for metric in scoring.metrics}
    missing = {
        task.key: [m for m in kept_as if kept_as[m] not in known[task.key].get("scores", {})]
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
            if metrics not in scorers:
                border, ma_model = scoring.crop_border, scoring.ma_model
                scorers[metrics] = Scorer(metrics, crop_border=border, ma_model=ma_model)
            wanted = dataclasses.replace(scoring, metrics=metrics)
            found = _score(task, scorers[metrics], wanted, bar)
            kept = known[task.key].get("scores", {}) | {kept_as[m]: found[m] for m in found}
            known[task.key] = _about(task, scoring) | {"scores": kept}
            workspace.write("scores", task.key, known[task.key])
    return [{m: known[task.key]["scores"][kept_as[m]] for m in kept_as} for task in tasks]


def _about(task: Task[Input], scoring: Scoring) -> dict[str, Any]:
    """What a file of scores says of where they come from."""
    encoded = task.encoded
    about: dict[str, Any] = {
        "clip": encoded.reference.name,
        "codec": encoded.codec,
        "curve": task.way.curve,
    }
    if isinstance(encoded, Encoded):
        about["target_kbps"] = encoded.target_kbps
    return about | scoring.identity


def count_left_out(
    scores: dict[str, Any], reference: Reference, scoring: Scoring
) -> dict[str, int]:
    """By metric of a task's scores, of how many frames the value is infinite or undefined."""
    scored = len(scoring.scored_frames(reference.frame_count))
    # A metric of sequences has no value of the first frame, and that is as it should be.
    full = {"videos": reference.frame_count, "sequence": scored - 1}
    counts = {m: full.get(METRICS[m].needs, scored) - scores[m]["frames"] for m in scores}
    return {metric: count for metric, count in counts.items() if count}


def _point(task: Task[Encoded], scores: dict[str, Any], scoring: Scoring) -> Point:
    encoded = task.encoded
    return Point(
        clip=encoded.reference.name,
        codec=encoded.codec,
        curve=task.way.curve,
        scale=encoded.scale,
        target_kbps=encoded.target_kbps,
        measured_kbps=encoded.measured_kbps,
        bits_per_pixel=encoded.reference.bits_per_pixel(encoded.measured_kbps),
        scores={metric: found["mean"] for metric, found in scores.items()},
        left_out=count_left_out(scores, encoded.reference, scoring),
    )


def _score(task: Task[Input], scorer: Scorer, scoring: Scoring, bar: Any) -> dict[str, Any]:
    """Each metric's mean over the scored frames, and how many of them count."""
    source = open_source(task.encoded.path)
    if task.encoded.matrix is not None:
        source.format = dataclasses.replace(source.format, matrix=task.encoded.matrix)
    reference = task.encoded.reference
    fmt = source.format.scaled(task.way.scale)
    if (fmt.width, fmt.height) != (reference.width, reference.height):
        raise ValueError(f"{task.encoded.path} has another size than planned; remove it")
    scorer.start()
    scores = Scores(scoring.metrics)
    step, count = scoring.frame_step, reference.frame_count
    chosen = scoring.scored_frames(count)
    wanted = _reference_pictures(reference, step)
    depth = _depth(reference)
    with _vmaf_video(task, fmt, "vmaf" in scoring.metrics) as video:
        every = 1 if "vmaf" in scoring.metrics else step
        made = _written(task.way.frames(source, every, count), video, every, bar)
        frames = (frame for frame in made if frame.index % step == 0)
        for frame, picture in zip(frames, wanted, strict=True):
            if scorer.metrics and frame.index in chosen:
                scores.rows.append(scorer.score(picture, frame_to_rgb(frame, fmt, depth)))
        vmaf = video.score(reference.path)
    found: dict[str, Any] = {}
    for metric in scoring.metrics:
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
    samples = 3 * reference.width * reference.height * -(-reference.frame_count // step)
    depth = _depth(reference)
    if samples * np.dtype(np.float32).itemsize <= _KEPT_BYTES:
        return iter(_kept_pictures(reference.path, step, depth))
    return _decode_pictures(reference.path, step, depth)


def _depth(reference: Reference) -> int | None:
    """The bits that pictures are rounded to; RGB of 8 bits is decoded to more, and back exactly."""
    return 8 if reference.rgb else None


@functools.lru_cache(maxsize=1)
def _kept_pictures(path: Path, step: int, depth: int | None) -> list[jax.Array]:
    return list(_decode_pictures(path, step, depth))


def _decode_pictures(path: Path, step: int, depth: int | None) -> Iterator[jax.Array]:
    truth = open_source(path)
    for frame in itertools.islice(truth.frames(), 0, None, step):
        yield frame_to_rgb(frame, truth.format, depth)


class _Nothing:
    """Stands in for the video that nobody wants."""

    def write(self, frame: VideoFrame) -> None:
        pass

    def score(self, reference: Path) -> None:
        return None


class _VmafVideo:
    """The frames of a curve as a lossless file of the clip's matrix, which libvmaf reads."""

    def __init__(
        self, writer: LosslessWriter, stack: contextlib.ExitStack, fmt: FrameFormat, matrix: str
    ):
        self._writer, self._stack, self._fmt = writer, stack, fmt
        self._target = FrameFormat(fmt.width, fmt.height, matrix=matrix)

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
def _vmaf_video(task: Task[Input], fmt: FrameFormat, wanted: bool) -> Iterator[Any]:
    if not wanted:
        yield _Nothing()
        return
    reference = task.encoded.reference
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder, "frames.mkv")
        matrix = open_source(reference.path).format.matrix
        writer = LosslessWriter(
            path, width=fmt.width, height=fmt.height, fps=reference.fps, matrix=matrix
        )
        stack.enter_context(writer)
        yield _VmafVideo(writer, stack, fmt, matrix)
