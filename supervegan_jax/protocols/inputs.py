"""A preset's clips and their degraded versions in the workspace."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from data_prep.jobs import run_jobs
from supervegan_jax.protocols.preset import Clip, Condition, Preset
from supervegan_jax.rate_distortion.measure import Degraded
from supervegan_jax.rate_distortion.references import (
    Cut,
    Reference,
    digest,
    make_cut,
    make_picture_reference,
)
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.video import colour, probe


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conditioned(Degraded):
    """A clip under a condition.

    Attributes:
      condition: which.
      source: the file or folder of the data set that it is, or the command that made it.
    """

    condition: Condition
    source: str


def make_truth(
    workspace: Workspace, clip: Clip, preset: Preset, max_frames: int | None
) -> Reference:
    """Makes the clip that everything is compared with, unless it is there.

    Args:
      workspace: keeps it.
      clip: its files.
      preset: whether it is kept as stored.
      max_frames: of its beginning; None takes all.

    Raises:
      ValueError: it cannot be read, or its size does not suit.
    """
    lengths = [n for n in (clip.frame_count, max_frames) if n is not None]
    count = min(lengths) if lengths else None
    if clip.fps is not None and clip.size is None:
        pictures = make_picture_reference(workspace, clip.name, clip.files[:count], clip.fps)
        if preset.as_stored:
            _check_divisible(pictures, preset)
            return pictures
        made = make_cut(workspace, pictures.path, Cut())
    else:
        headerless = (*clip.size, clip.fps) if clip.size and clip.fps else None
        cut = Cut(clip.first_frame, count, preset.as_stored, preset.multiple, headerless)
        made = make_cut(workspace, clip.files[0], cut)
    return dataclasses.replace(made, name=clip.name)


def _check_divisible(reference: Reference, preset: Preset) -> None:
    for condition in preset.conditions:
        if reference.width % condition.scale or reference.height % condition.scale:
            raise ValueError(
                f"{reference.source}: pictures of {reference.width}x{reference.height}; multiples "
                f"of {condition.scale} are needed"
            )


def make_inputs(
    workspace: Workspace,
    clips: Sequence[tuple[Clip, Reference]],
    preset: Preset,
    *,
    use_given: bool,
    cut_short: bool,
    jobs: int | None,
) -> list[Conditioned]:
    """Every clip under every condition, clip by clip.

    Args:
      workspace: keeps what is made.
      clips: with their truths.
      preset: of the conditions.
      use_given: take the data set's own degraded versions where it has them.
      cut_short: whether the truths are only the beginnings of the clips.
      jobs: encodes at a time; None takes the number of cores.

    Raises:
      ValueError: a given version does not suit its truth, or ffmpeg failed.
    """

    def make(task: tuple[Clip, Reference, Condition]) -> Conditioned:
        clip, reference, condition = task
        given = clip.inputs.get(condition.label, ()) if use_given else ()
        if len(given) > 1:
            return _from_pictures(workspace, reference, condition, given)
        if given:
            return _from_video(workspace, reference, condition, given[0], cut_short)
        return _make(workspace, reference, condition)

    tasks = [(clip, truth, c) for clip, truth in clips for c in preset.conditions]
    return run_jobs(make, tasks, jobs=jobs, title="inputs")


def _make(workspace: Workspace, reference: Reference, condition: Condition) -> Conditioned:
    degradation, scale = condition.degradation, condition.scale
    identity = degradation.identity(reference)
    key = workspace.key(reference=reference.key, scale=scale, **identity)
    path = workspace.video("encodes", key)
    known = workspace.read("encodes", key)
    if known is None:
        known = {"clip": reference.name} | degradation.make(reference, path, scale)
        workspace.write("encodes", key, known)
    source = known.get("command", condition.degradation.name)
    return _conditioned(reference, condition, key, path, known["measured_kbps"], source)


def _conditioned(
    reference: Reference,
    condition: Condition,
    key: str,
    path: Path,
    kbps: float,
    source: str | list[str],
    matrix: str | None = None,
) -> Conditioned:
    return Conditioned(
        reference=reference,
        codec=condition.degradation.name,
        scale=condition.scale,
        key=key,
        path=path,
        measured_kbps=kbps,
        matrix=matrix,
        condition=condition,
        source=source if isinstance(source, str) else " ".join(source),
    )


def _from_video(
    workspace: Workspace, reference: Reference, condition: Condition, path: Path, cut_short: bool
) -> Conditioned:
    info = probe.probe(path)
    wanted = (reference.width // condition.scale, reference.height // condition.scale)
    if (info.width, info.height) != wanted:
        raise ValueError(
            f"{path} is {info.width}x{info.height}; {wanted[0]}x{wanted[1]} is needed for "
            f"{reference.name}"
        )
    packets = probe.list_packets(path)
    suits = packets.count >= reference.frame_count
    if not (suits if cut_short else packets.count == reference.frame_count):
        raise ValueError(
            f"{path} has {packets.count} frames, {reference.name} {reference.frame_count}"
        )
    key = workspace.key(reference=reference.key, given=digest(path), scale=condition.scale)
    kbps = float(packets.size * 8 * reference.fps / packets.count / 1000)
    # What does not tell its matrix has that of the video it was made from.
    truth = probe.probe(reference.path)
    matrix = colour.matrix_tag(truth) if info.matrix == "unknown" else None
    return _conditioned(reference, condition, key, path, kbps, str(path), matrix)


def _from_pictures(
    workspace: Workspace, reference: Reference, condition: Condition, pictures: Sequence[Path]
) -> Conditioned:
    chosen = pictures[: reference.frame_count]
    small = make_picture_reference(workspace, reference.name, chosen, Fraction(reference.fps))
    wanted = (reference.width // condition.scale, reference.height // condition.scale)
    if (small.width, small.height) != wanted:
        raise ValueError(
            f"{pictures[0].parent}: pictures of {small.width}x{small.height}; "
            f"{wanted[0]}x{wanted[1]} are needed"
        )
    key = workspace.key(reference=reference.key, given=small.key, scale=condition.scale)
    return _conditioned(reference, condition, key, small.path, 0.0, small.source)
