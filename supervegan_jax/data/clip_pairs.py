"""Decodes prepared clips into pairs of input and ground truth for the in-memory source."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from supervegan_jax.data.memory import ClipPair
from supervegan_jax.data.records import FILE_NAME, Window, encode_path, read_preparation
from supervegan_jax.video.reader import read_clip, read_frames


@dataclass(frozen=True)
class _PreparedClip:
    """Where the frames of one clip lie; `train_frames` is (first, one past the last)."""

    name: str
    source: str
    reference: Path
    inputs: list[Path]
    frame_count: int
    train_frames: tuple[int, int]

    def matches(self, pattern: str) -> bool:
        """Whether a pattern fits the clip's id or its source's file name."""
        return fnmatchcase(self.name, pattern) or fnmatchcase(self.source, pattern)

    def centers(self, window: Window) -> np.ndarray:
        """Frames whose window is all training material, save for the clip's own ends."""
        single = Window(2 * window.reach + 1)
        return np.arange(*single.firsts(self.train_frames, self.frame_count))


def read_weights(name: str, texts: Sequence[str]) -> dict[str, float]:
    """How often frames of clips are drawn, by pattern, from texts such as "film*=0.35".

    Args:
      name: of the option, for its error.
      texts: as the user wrote them.

    Raises:
      ValueError: a text that is no GLOB=WEIGHT.
    """
    weights = {}
    for text in texts:
        pattern, _, weight = text.rpartition("=")
        try:
            weights[pattern] = float(weight)
        except ValueError:
            pattern = ""
        if not pattern:
            raise ValueError(f"{name} {text!r}: must look like GLOB=0.5")
    return weights


def load_pairs(
    directory: str | Path,
    *,
    scale: int,
    codecs: Sequence[str] | None = None,
    bitrates_kbps: Sequence[int] | None = None,
    max_frames: int | None = None,
    weights: Mapping[str, float] | None = None,
    window: Window | None = None,
    threads: int = 1,
) -> list[ClipPair]:
    """Decodes the training part of prepared clips.

    Args:
      directory: either a folder of records (preparation.json says what is held out) or a folder of
        prepared data with `clips/` and `encodes/`, all of it for training.
      scale: r; only inputs of this scale are taken.
      codecs: take inputs of these codecs; None is all.
      bitrates_kbps: take inputs of these target bitrates in kbit/s; None is all.
      max_frames: ground-truth frames to keep, evenly spread over all clips; None is all. A 1280x720
        frame takes 2.8 MB. Input frames, a 16th of that at scale 4, are all kept.
      weights: how often frames of the clips are drawn whose id or source's file name matches a
        pattern, as in {"big_buck_bunny*": 0.25}; the first match counts, clips without have 1.
      window: the frames of an example; None is five of input and the ground truth of one.
      threads: clips decoded at a time.

    Raises:
      ValueError: nothing prepared there, another scale, no input that fits, a pattern without a
        clip, or a file with another number of frames than was prepared.
    """
    for name, value in (("max_frames", max_frames), ("threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}, must be at least 1")
    window = window or Window()
    if max_frames is not None and max_frames < window.truths:
        raise ValueError(
            f"max_frames is {max_frames}, fewer than the {window.truths} frames in a row of an "
            "example"
        )
    clips = _prepared_clips(Path(directory), scale, codecs, bitrates_kbps)
    centers = [clip.centers(window) for clip in clips]
    for pattern in weights or {}:
        if not any(clip.matches(pattern) for clip in clips):
            raise ValueError(f"weight pattern {pattern!r} matches no clip in {str(directory)!r}")
    if not any(map(len, centers)):
        longest = max(clip.train_frames[1] - clip.train_frames[0] for clip in clips)
        raise ValueError(
            f"no clip in {str(directory)!r} has the {window.frames} frames of an "
            f"example left for training; the longest has {longest}"
        )
    kept = _spread(centers, max_frames, window.truths)
    wanted = [
        (clip, of_clip, _weight(clip, weights or {}))
        for clip, of_clip in zip(clips, kept, strict=True)
        if len(of_clip)
    ]
    # The decoder is a process of its own; what is left to Python are copies.
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(_load_pair, *zip(*wanted, strict=True)))


def _spread(centers: Sequence[np.ndarray], max_frames: int | None, truths: int) -> list[np.ndarray]:
    """Keeps at most `max_frames` of all the centers, evenly spaced over their concatenation.

    Frames whose ground truth an example has together stay together.
    """
    if max_frames is None or max_frames >= sum(map(len, centers)):
        return list(centers)
    runs = [
        (clip, first)
        for clip, of_clip in enumerate(centers)
        for first in range(0, len(of_clip) - truths + 1, truths)
    ]
    kept = [np.zeros(len(of_clip), bool) for of_clip in centers]
    count = min(max_frames // truths, len(runs))
    for place in np.linspace(0, len(runs) - 1, count).round().astype(int):
        clip, first = runs[place]
        kept[clip][first : first + truths] = True
    return [of_clip[mask] for of_clip, mask in zip(centers, kept, strict=True)]


def _weight(clip: _PreparedClip, weights: Mapping[str, float]) -> float:
    return next((weight for pattern, weight in weights.items() if clip.matches(pattern)), 1.0)


def _prepared_clips(
    directory: Path,
    scale: int,
    codecs: Sequence[str] | None,
    bitrates_kbps: Sequence[int] | None,
) -> list[_PreparedClip]:
    data, clips = _listed_clips(directory, scale)

    def fits(encode: Mapping[str, Any]) -> bool:
        return (
            encode["scale"] == scale
            and (codecs is None or encode["codec"] in codecs)
            and (bitrates_kbps is None or encode["target_kbps"] in bitrates_kbps)
        )

    prepared = []
    for clip in clips:
        name = clip["clip_id"]
        inputs = [
            encode_path(data, name, encode["codec"], encode["target_kbps"], scale)
            for encode in clip["encodes"]
            if fits(encode)
        ]
        if not inputs:
            raise ValueError(
                f"clip {name!r} in {str(data)!r} has no input of scale {scale}, codecs "
                f"{codecs or 'any'}, bitrates {bitrates_kbps or 'any'}"
            )
        prepared.append(
            _PreparedClip(
                name=name,
                source=Path(clip["source"]).name,
                reference=data / "clips" / f"{name}.mkv",
                inputs=inputs,
                frame_count=clip["frame_count"],
                train_frames=tuple(clip["train_frames"]),
            )
        )
    return prepared


def _listed_clips(directory: Path, scale: int) -> tuple[Path, Sequence[dict[str, Any]]]:
    """The folder of the prepared data and its clips, each with "encodes" and "train_frames"."""
    if (directory / FILE_NAME).is_file():
        preparation = read_preparation(directory)
        preparation.check(scale=scale)
        return directory / preparation.data, preparation.clips
    clips = []
    for path in sorted((directory / "clips").glob("*.json")):
        clip = _read_card(path, "clip_id", "source", "frame_count")
        folder = directory / "encodes" / clip["clip_id"]
        files = sorted(folder.glob("*.json"))
        encodes = [_read_card(file, "scale", "codec", "target_kbps") for file in files]
        clips.append(clip | {"encodes": encodes, "train_frames": (0, clip["frame_count"])})
    if not clips:
        raise ValueError(
            f"nothing prepared in {str(directory)!r}: neither {FILE_NAME} nor clips/*.json"
        )
    return directory, clips


def _read_card(path: Path, *fields: str) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(path.read_text())
        if not all(field in card for field in fields):
            raise TypeError
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged; prepare the data again") from error
    return card


def _load_pair(clip: _PreparedClip, centers: np.ndarray, weight: float) -> ClipPair:
    first, last = clip.train_frames
    return ClipPair(
        name=clip.name,
        lr=[read_clip(path, first_frame=first, frame_count=last - first) for path in clip.inputs],
        hr=_read_selected(clip.reference, centers),
        centers=centers - first,
        weight=weight,
    )


def _read_selected(path: Path, indexes: np.ndarray) -> np.ndarray:
    """The frames of a video at increasing indexes; the others are decoded but never kept."""
    first, count = int(indexes[0]), int(indexes[-1] - indexes[0] + 1)
    wanted = set((indexes - first).tolist())
    selected = np.empty(0, np.uint8)
    position = 0
    for index, frame in enumerate(read_frames(path, first_frame=first, frame_count=count)):
        if index not in wanted:
            continue
        if position == 0:
            selected = np.empty((len(indexes), *frame.shape), np.uint8)
        selected[position] = frame
        position += 1
    return selected
