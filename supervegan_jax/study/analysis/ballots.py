"""Votes as arrays: who saw which clip under which condition, and what was preferred."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from supervegan_jax.study.votes import Vote


@dataclasses.dataclass(frozen=True, order=True)
class Condition:
    """What is given one equivalent bitrate: a model at one target bitrate of its input."""

    model: str
    input_kbps: float

    def __str__(self) -> str:
        return f"{self.model} at {self.input_kbps:g} kbit/s"


@dataclasses.dataclass(frozen=True)
class Ballots:
    """The votes that are analysed; v of them.

    Attributes:
      observers, clips: names.
      conditions: sorted.
      references: target bitrates of H.264 at full size, kbit/s, rising.
      observer, clip, condition, reference: of each vote, indices into those above, [v].
      preferred: 1.0 where the reference was preferred, 0.0 where the model was, [v].
    """

    observers: tuple[str, ...]
    clips: tuple[str, ...]
    conditions: tuple[Condition, ...]
    references: tuple[float, ...]
    observer: np.ndarray
    clip: np.ndarray
    condition: np.ndarray
    reference: np.ndarray
    preferred: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Conditions and references: [k, r]."""
        return len(self.conditions), len(self.references)

    @property
    def cell(self) -> np.ndarray:
        """Index of each vote's condition and reference into a flattened [k, r], [v]."""
        return self.condition * len(self.references) + self.reference

    @property
    def pair(self) -> np.ndarray:
        """Index of each vote's observer and clip together, without gaps, [v]."""
        return np.unique(self.observer * len(self.clips) + self.clip, return_inverse=True)[1]

    def counts(self, condition: int) -> tuple[np.ndarray, np.ndarray]:
        """Votes for the reference, and all votes, of one condition, [c, r] each."""
        mine = self.condition == condition
        index = (self.clip[mine], self.reference[mine])
        preferred = np.zeros((len(self.clips), len(self.references)))
        votes = np.zeros_like(preferred)
        np.add.at(preferred, index, self.preferred[mine])
        np.add.at(votes, index, 1.0)
        return preferred, votes


def make_ballots(votes: Sequence[Vote], clips: Sequence[str] | None = None) -> Ballots:
    """Collects the votes that say what people prefer: all but those on catch pairs.

    Args:
      votes: of a study.
      clips: only those on these clips; None takes all.

    Raises:
      ValueError: a clip that has no votes, or no votes at all.
    """
    used = [vote for vote in votes if vote.kind != "catch"]
    known = sorted({vote.clip for vote in used})
    for name in clips or ():
        if name not in known:
            raise ValueError(f"clip {name!r} has no votes; those that have: {', '.join(known)}")
    if clips is not None:
        used = [vote for vote in used if vote.clip in clips]
    if not used:
        raise ValueError("there are no votes to analyse")
    observers, observer = _index([vote.observer for vote in used])
    names, clip = _index([vote.clip for vote in used])
    conditions, condition = _index([Condition(vote.model, vote.input_kbps) for vote in used])
    references, reference = _index([vote.reference_kbps for vote in used])
    preferred = np.array([float(vote.prefer == "reference") for vote in used])
    return Ballots(
        observers, names, conditions, references, observer, clip, condition, reference, preferred
    )


def _index(values: list) -> tuple[tuple, np.ndarray]:
    """The different values, sorted, and where each value stands among them."""
    known = tuple(sorted(set(values)))
    places = {value: place for place, value in enumerate(known)}
    return known, np.array([places[value] for value in values])
