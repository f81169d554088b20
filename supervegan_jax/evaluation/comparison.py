"""Scoring one thing against another: two videos, two pictures or two folders of pictures."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from supervegan_jax.evaluation.pairing import Pairing, pair_up
from supervegan_jax.evaluation.results import Scores
from supervegan_jax.evaluation.scoring import METRICS, Scorer


@dataclasses.dataclass(frozen=True)
class ScoreOptions:
    """What is measured, and how.

    Attributes:
      metrics: keys of `METRICS`.
      crop_border: pixels left out at each side; VMAF sees whole frames all the same.
      ma_model: the model file of Ma's score, for "pi".
    """

    metrics: tuple[str, ...]
    crop_border: int = 0
    ma_model: Path | None = None


def compare(reference: Path, distorted: Path, options: ScoreOptions) -> Scores:
    """Scores every picture of `distorted` against the one of `reference` that belongs to it.

    Args:
      reference: a video, a picture or a folder of pictures.
      distorted: another of the same kind and size.
      options: what is measured.

    Raises:
      ValueError: they cannot be compared, told with the frame or file where it shows; or they do
        not suit a metric.
    """
    pairing = pair_up(reference, distorted)
    check_needs(pairing, options.metrics)
    scorer = Scorer(options.metrics, crop_border=options.crop_border, ma_model=options.ma_model)
    scores = Scores(options.metrics)
    # First, since it is quick to refuse.
    vmaf = _vmaf(scores, pairing, options.crop_border) if "vmaf" in options.metrics else []
    with tqdm(total=pairing.count, unit="frame", disable=None, leave=False) as bar:
        for pair in pairing.pairs():
            try:
                scores.rows.append(dict(scorer.score(pair.reference, pair.distorted)))
            except ValueError as error:
                raise ValueError(f"{distorted}, {pair.name}: {error}") from error
            scores.names.append(pair.name)
            bar.update()
    scores.notes = [*pairing.notes, *scores.notes]
    if len(scores.rows) == 1:
        _refuse_sequences(distorted, options.metrics)
    if vmaf:
        for row, value in zip(scores.rows, vmaf, strict=True):
            row["vmaf"] = value
    return scores


def check_needs(pairing: Pairing, metrics: Sequence[str]) -> None:
    """Raises `ValueError` if the kind of the things compared cannot have one of the metrics."""
    if pairing.count == 1 and pairing.kind != "video":
        _refuse_sequences(pairing.distorted, metrics)


def _refuse_sequences(distorted: Path, metrics: Sequence[str]) -> None:
    for name in metrics:
        if METRICS[name].needs == "sequence":
            raise ValueError(f"{name} compares frames with those before; {distorted} has only one")


def _vmaf(scores: Scores, pairing: Pairing, crop_border: int) -> list[float]:
    from supervegan_jax.video.vmaf import vmaf_of_files, vmaf_of_frames

    if crop_border:
        scores.notes.append("vmaf is measured on whole frames, no border left out")
    if pairing.kind == "video":
        return vmaf_of_files(pairing.distorted, pairing.reference)
    ours, theirs = itertools.tee(pairing.pairs())
    return vmaf_of_frames(
        (_to_codes(pair.distorted) for pair in ours), (_to_codes(pair.reference) for pair in theirs)
    )


def _to_codes(picture: Any) -> np.ndarray:
    return np.asarray(jnp.round(picture[0] * 255)).astype(np.uint8)
