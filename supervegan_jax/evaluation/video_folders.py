"""Scoring the videos of one folder against those of another, clip by clip."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from supervegan_jax.evaluation.comparison import ScoreOptions, compare
from supervegan_jax.evaluation.pairing import files_of, pair_files
from supervegan_jax.evaluation.pictures import is_picture
from supervegan_jax.evaluation.results import Row, Scores, csv_cell, json_value


def are_video_folders(reference: Path, distorted: Path) -> bool:
    """Whether both are folders and the first file of the reference is no picture."""
    if not (reference.is_dir() and distorted.is_dir()):
        return False
    files = files_of(reference)
    return bool(files) and not is_picture(files[0])


def compare_videos(reference: Path, distorted: Path, options: ScoreOptions) -> dict[str, Scores]:
    """Scores every video of `distorted` against the one of `reference` with the same name.

    Args:
      reference, distorted: folders of videos, paired by name without suffix.
      options: what is measured.

    Returns:
      By name, the scores of the frames.

    Raises:
      ValueError: a file has no partner or is no video, or two cannot be compared.
    """
    files = pair_files(reference, distorted, "video")
    bar = tqdm(files, unit="clip", desc="clips", disable=None, leave=False)
    return {ours.stem: compare(ours, theirs, options) for ours, theirs in bar}


def clip_means(clips: Mapping[str, Scores]) -> Scores:
    """One row a clip, its mean over frames; the mean of these counts every clip alike.

    The notes are those of all clips.
    """
    metrics = next(iter(clips.values())).metrics
    rows: list[Row] = [{m: scores.mean(m) for m in metrics} for scores in clips.values()]
    notes = [f"{name}: {line}" for name, scores in clips.items() for line in scores.remarks()]
    return Scores(metrics, list(clips), rows, notes, unit="clip")


def to_json(clips: Mapping[str, Scores]) -> str:
    """{"mean": .., "clips": [{"name", "frames", metric: mean}], "frames": [{"name", metric}]}.

    A frame's name is "CLIP/NUMBER".
    """
    means = clip_means(clips)
    metrics = means.metrics
    content = {
        "mean": {metric: json_value(means.mean(metric)) for metric in metrics},
        "clips": [
            {
                "name": name,
                "frames": len(clips[name].rows),
                **{metric: json_value(row[metric]) for metric in metrics},
            }
            for name, row in zip(means.names, means.rows, strict=True)
        ],
        "frames": [
            {"name": f"{clip}/{name}", **{m: json_value(row.get(m)) for m in metrics}}
            for clip, scores in clips.items()
            for name, row in zip(scores.names, scores.rows, strict=True)
        ],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_csv(clips: Mapping[str, Scores]) -> str:
    """One line a frame ("CLIP/NUMBER"), then one a clip ("mean of CLIP"), and the mean last."""
    means = clip_means(clips)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *means.metrics])
    lines: list[tuple[str, Row]] = [
        (f"{clip}/{name}", row)
        for clip, scores in clips.items()
        for name, row in zip(scores.names, scores.rows, strict=True)
    ]
    lines += [(f"mean of {name}", row) for name, row in zip(means.names, means.rows, strict=True)]
    lines.append(("mean", {metric: means.mean(metric) for metric in means.metrics}))
    for name, row in lines:
        writer.writerow([name, *(csv_cell(row.get(metric)) for metric in means.metrics)])
    return text.getvalue()
