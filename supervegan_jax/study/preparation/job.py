"""The preparation of a study, from clips to plan.json."""

import dataclasses
import hashlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from supervegan_jax.rate_distortion.measure import Encoded, make_encodes, plan_encode
from supervegan_jax.rate_distortion.references import Reference, make_references
from supervegan_jax.rate_distortion.ways import Way, list_ways
from supervegan_jax.rate_distortion.workspace import Workspace
from supervegan_jax.study.design import Trial, draw_plans
from supervegan_jax.study.folder import (
    MEDIA,
    PLAN,
    TOKEN,
    WORK,
    Pair,
    Plan,
    keep_secret,
    media_files,
    read_plan,
    write_plan,
)
from supervegan_jax.study.preparation.settings import StudySettings
from supervegan_jax.study.preparation.videos import Shown, make_videos, plan_video
from supervegan_jax.study.votes import ORIGINAL, pair_name
from supervegan_jax.video.browser import luma_psnr

CODEC = "h264"
# A catch pair whose videos are more alike than this is no sure thing.
_SURE_PSNR_DB = 38.0


@dataclasses.dataclass(frozen=True)
class _Condition:
    """A pair before its videos are made; no way and no encode is the clip itself."""

    clip: Reference
    way: Way | None
    encoded: Encoded | None
    reference: Encoded

    @property
    def model(self) -> str:
        return ORIGINAL if self.way is None else self.way.curve

    @property
    def input_kbps(self) -> int:
        return 0 if self.encoded is None else self.encoded.target_kbps

    def identity(self, seed: int) -> str:
        """A name that tells nothing."""
        name = pair_name(self.clip.name, self.model, self.input_kbps, self.reference.target_kbps)
        return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()[:16]


def prepare(
    settings: StudySettings, folder: Path, workdir: Path | None, jobs: int | None
) -> list[str]:
    """Makes a study's folder, or what is missing of it.

    Args:
      settings: what it is made from.
      folder: where it lies.
      workdir: keeps references and encodes, may be that of an `evaluate rd`; None takes
        FOLDER/work.
      jobs: encodes at a time; None takes the number of cores.

    Returns:
      Lines to print.

    Raises:
      ValueError: a clip, model or setting cannot be used, or the folder holds another study.
      OSError: the folder cannot be written.
    """
    _check_same(folder, settings)
    ways = [way for way in list_ways(settings.models) if way.model is not None and way.stage == "b"]
    if any(way.curve == ORIGINAL for way in ways):
        raise ValueError(f"a model may not be called {ORIGINAL!r}; rename its folder")
    workspace = Workspace(workdir or folder / WORK)
    (folder / MEDIA).mkdir(parents=True, exist_ok=True)
    with workspace.locked():
        clips = make_references(workspace, settings.clips, settings.max_frames)
        _check_corners(settings, clips)
        conditions = _list_conditions(workspace, settings, clips, ways)
        observers = _draw(conditions, settings)  # wrong counts are told before hours of work
        conditions = _encode(workspace, conditions, jobs)
        shown = [_plan_videos(workspace, settings, one) for one in conditions]
        psnr = make_videos(workspace, folder, [v for both in shown for v in both], settings, jobs)
    pairs = [
        _make_pair(one, *both, settings.seed) for one, both in zip(conditions, shown, strict=True)
    ]
    plan = Plan(
        {pair.id: pair for pair in pairs},
        observers,
        settings.watch_seconds,
        settings.recorded(),
        psnr,
    )
    if (folder / PLAN).exists() and read_plan(folder) != plan:
        raise ValueError(
            f"{folder} holds a study of clips or models that have changed since; take another "
            "folder"
        )
    for line in _doubts(folder, plan, clips):
        print(f"note: {line}", file=sys.stderr)
    keep_secret(folder, TOKEN)
    write_plan(folder, plan)
    return _summary(folder, plan)


def _check_same(folder: Path, settings: StudySettings) -> None:
    """A plan is never changed: votes may have been given by it."""
    if not (folder / PLAN).exists():
        return
    before, now = read_plan(folder).settings, settings.recorded()
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        raise ValueError(
            f"{folder} holds a study with another {', '.join(changed)}; take another folder"
        )


def _check_corners(settings: StudySettings, clips: Sequence[Reference]) -> None:
    names = [clip.name for clip in clips]
    for name in settings.corners:
        if name not in names:
            raise ValueError(f"crop of clip {name!r}; the clips are {', '.join(names)}")


def _list_conditions(
    workspace: Workspace,
    settings: StudySettings,
    clips: Sequence[Reference],
    ways: Sequence[Way],
) -> list[_Condition]:
    """Every pair; the last of each clip is its catch pair."""
    found = []
    for clip in clips:

        def encode(scale: int, kbps: int, clip: Reference = clip) -> Encoded:
            return plan_encode(workspace, clip, CODEC, scale, kbps)

        for way in ways:
            for kbps in settings.input_kbps:
                found += [
                    _Condition(clip, way, encode(way.scale, kbps), encode(1, reference))
                    for reference in settings.references_for(kbps)
                ]
        found.append(_Condition(clip, None, None, encode(1, min(settings.reference_kbps))))
    return found


def _draw(conditions: Sequence[_Condition], settings: StudySettings) -> list[list[Trial]]:
    plain = [one.identity(settings.seed) for one in conditions if one.way is not None]
    catches = [one.identity(settings.seed) for one in conditions if one.way is None]
    return draw_plans(plain, catches, settings.counts, settings.seed)


def _encode(
    workspace: Workspace, conditions: Sequence[_Condition], jobs: int | None
) -> list[_Condition]:
    """The conditions with their encodes made and measured."""
    wanted = {}
    for one in conditions:
        for encoded in (one.encoded, one.reference):
            if encoded is not None:
                wanted[encoded.key] = encoded
    made = {one.key: one for one in make_encodes(workspace, list(wanted.values()), jobs)}
    return [
        dataclasses.replace(
            one,
            encoded=None if one.encoded is None else made[one.encoded.key],
            reference=made[one.reference.key],
        )
        for one in conditions
    ]


def _plan_videos(
    workspace: Workspace, settings: StudySettings, one: _Condition
) -> tuple[Shown, Shown]:
    return (
        plan_video(workspace, settings, one.clip, one.encoded, one.way),
        plan_video(workspace, settings, one.clip, one.reference),
    )


def _make_pair(one: _Condition, model: Shown, reference: Shown, seed: int) -> Pair:
    return Pair(
        id=one.identity(seed),
        clip=one.clip.name,
        model=one.model,
        input_kbps=float(one.input_kbps),
        reference_kbps=float(one.reference.target_kbps),
        input_measured_kbps=0.0 if one.encoded is None else one.encoded.measured_kbps,
        reference_measured_kbps=one.reference.measured_kbps,
        model_video=model.name,
        reference_video=reference.name,
        width=model.window.width,
        height=model.window.height,
        seconds=round(float(one.clip.frame_count / one.clip.fps), 3),
        correct="model" if one.way is None else None,
    )


def _doubts(folder: Path, plan: Plan, clips: Sequence[Reference]) -> list[str]:
    """What a researcher should know before anyone votes."""
    lines = []
    counts = {clip.name: clip.frame_count for clip in clips}
    for pair in plan.pairs.values():
        if pair.correct is None:
            continue
        first, second = (folder / MEDIA / name for name in pair.videos("left"))
        psnr = luma_psnr(second, first, counts[pair.clip])
        if psnr > _SURE_PSNR_DB:
            lines.append(
                f"the catch pair of {pair.clip} has a PSNR of {psnr:.1f} dB: its answer may not be "
                "clear; add a lower reference bitrate or leave the clip out"
            )
    return lines


def _summary(folder: Path, plan: Plan) -> list[str]:
    pairs = [pair for pair in plan.pairs.values() if pair.correct is None]
    known = [value for value in plan.video_psnr_db.values() if value is not None]
    size = sum(path.stat().st_size for path in media_files(folder, plan).values())
    trials = len(plan.observers[0])
    seconds = trials * math.fsum(pair.seconds for pair in pairs) / len(pairs)
    lines = [
        f"{len(pairs)} pairs and {len(plan.pairs) - len(pairs)} catch pairs; {len(plan.observers)} "
        f"observers of {trials} trials (one sees each video once in {seconds / 60:.1f} minutes)",
        f"{len(plan.video_psnr_db)} videos, {size / 1e6:.1f} MB"
        + (f"; lowest PSNR of luma {min(known):.1f} dB" if known else ""),
        f"written: {folder / PLAN}",
        f"next: python -m supervegan_jax.study serve {folder}",
    ]
    return lines
