"""A study's folder.

FOLDER/plan.json      settings, pairs, every observer's trials; written last and once
FOLDER/media/         the videos, under names that tell nothing
FOLDER/votes.sqlite   observers and votes
FOLDER/admin.token    lets its reader see the progress
FOLDER/mturk.salt     makes pseudonyms of Mechanical Turk's workers
FOLDER/work/          references and encodes, unless another --workdir keeps them
"""

import dataclasses
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any, Final

from supervegan_jax.study.design import Trial
from supervegan_jax.study.votes import KINDS, SIDES, Vote

PLAN, MEDIA, WORK = "plan.json", "media", "work"
TOKEN, SALT = "admin.token", "mturk.salt"
VERSION: Final = 1
_VIDEO: Final = re.compile(r"[0-9a-f]{24}\.(mp4|webm)")


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two videos of one clip.

    Attributes:
      id: tells nothing about the pair.
      clip: its name.
      model: what made the one; `votes.ORIGINAL` in a catch pair.
      input_kbps, reference_kbps: target bitrates; the first is 0 in a catch pair.
      input_measured_kbps, reference_measured_kbps: those of the files, as `rd` measures them.
      model_video, reference_video: files of media/.
      width, height: of both, in pixels.
      seconds: that both last.
      correct: "model" or "reference" in a catch pair, else None.
    """

    id: str
    clip: str
    model: str
    input_kbps: float
    reference_kbps: float
    input_measured_kbps: float
    reference_measured_kbps: float
    model_video: str
    reference_video: str
    width: int
    height: int
    seconds: float
    correct: str | None = None

    def videos(self, model_side: str) -> tuple[str, str]:
        """The files at the left and at the right."""
        both = (self.model_video, self.reference_video)
        return both if model_side == "left" else both[::-1]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is shown to whom.

    Attributes:
      pairs: by identifier.
      observers: trials of each, in the order they come.
      watch_seconds: how long both videos of a pair must have been played before a vote counts;
        shorter ones once.
      settings: what the study was prepared from, JSON values.
      video_psnr_db: of each file of media/, the luma against what it was made from; None if equal.
    """

    pairs: dict[str, Pair]
    observers: list[list[Trial]]
    watch_seconds: float
    settings: dict[str, Any]
    video_psnr_db: dict[str, float | None]

    def trials(self, place: int) -> list[Trial]:
        """Those of the observer who came as number `place`, from 0; they begin again at the end."""
        return self.observers[place % len(self.observers)]

    def watched(self, pair: Pair) -> float:
        """Seconds that both videos of a pair are to be played."""
        return min(self.watch_seconds, pair.seconds)

    def vote(self, observer: str, number: int, trial: Trial, choice: str, given_at: str) -> Vote:
        """The record of an answer to the observer's trial `number`, from 1."""
        pair = self.pairs[trial.pair]
        return Vote(
            observer=observer,
            clip=pair.clip,
            model=pair.model,
            input_kbps=pair.input_kbps,
            reference_kbps=pair.reference_kbps,
            prefer="model" if choice == trial.model_side else "reference",
            trial=number,
            pair=pair.id,
            kind=trial.kind,
            model_side=trial.model_side,
            choice=choice,
            correct=pair.correct,
            given_at=given_at,
        )


def write_plan(folder: Path, plan: Plan) -> None:
    """Writes plan.json, whole or not at all."""
    # It brings JAX, which nobody waits for who serves or reads.
    from supervegan_jax.evaluation.results import write_whole

    fields = {
        "version": VERSION,
        "settings": plan.settings,
        "watch_seconds": plan.watch_seconds,
        "video_psnr_db": plan.video_psnr_db,
    }
    parts = [f"{json.dumps(name)}: {_json(value)}" for name, value in fields.items()]
    # One pair and one observer a line, so that the file can be read and compared.
    rows: dict[str, list[Any]] = {
        "pairs": [dataclasses.asdict(pair) for pair in plan.pairs.values()],
        "observers": [[dataclasses.astuple(t) for t in trials] for trials in plan.observers],
    }
    for name, values in rows.items():
        parts.append(f'"{name}": [\n' + ",\n".join(map(_json, values)) + "\n]")
    write_whole(folder / PLAN, "{\n" + ",\n".join(parts) + "\n}\n")


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def read_plan(folder: Path) -> Plan:
    """Reads and checks plan.json.

    Raises:
      ValueError: there is none or it is damaged.
    """
    path = folder / PLAN
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no study; python -m supervegan_jax.study prepare makes one"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']}; this program reads {VERSION}")
        pairs = {fields["id"]: Pair(**fields) for fields in content["pairs"]}
        plan = Plan(
            pairs,
            [[Trial(*words) for words in trials] for trials in content["observers"]],
            float(content["watch_seconds"]),
            dict(content["settings"]),
            dict(content["video_psnr_db"]),
        )
        _check(plan)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return plan


def _check(plan: Plan) -> None:
    if not plan.pairs or not plan.observers or not all(plan.observers):
        raise ValueError("it has no pairs or no trials")
    for pair in plan.pairs.values():
        for name in (pair.model_video, pair.reference_video):
            if not _VIDEO.fullmatch(name):
                raise ValueError(f"video {name!r} of pair {pair.id}")
    for trial in (trial for trials in plan.observers for trial in trials):
        if trial.pair not in plan.pairs:
            raise ValueError(f"a trial shows a pair {trial.pair!r} that there is not")
        if trial.kind not in KINDS or trial.model_side not in SIDES:
            raise ValueError(f"trial {trial}")
        if (trial.kind == "catch") != (plan.pairs[trial.pair].correct is not None):
            raise ValueError(f"{trial.kind} trial of pair {trial.pair}, which is of another kind")


def media_files(folder: Path, plan: Plan) -> dict[str, Path]:
    """The videos of a plan by name: regular files right in media/.

    Raises:
      ValueError: one is missing, or is a link or something else.
    """
    names = {name for pair in plan.pairs.values() for name in pair.videos("left")}
    found = {}
    for name in sorted(names):
        path = folder / MEDIA / name
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"{path} is no file; supervegan_jax.study prepare makes it")
        found[name] = path
    return found


def keep_secret(folder: Path, name: str) -> str:
    """The random text in a file of the folder, made now if it is not there; its owner's alone.

    Raises:
      ValueError: the file holds less than 32 characters.
      OSError: it cannot be read or written.
    """
    path = folder / name
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        text = path.read_text(encoding="utf-8").strip()
        if len(text) < 32:
            raise ValueError(f"{path} is damaged; remove it and another is made") from None
        return text
    text = secrets.token_urlsafe(32)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    return text
