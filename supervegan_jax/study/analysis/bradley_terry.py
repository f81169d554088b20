"""Bradley-Terry scores: all models at all bitrates and all references on one scale.

Each item has a score; an item with score s is preferred to one with score t with the probability
1 / (1 + exp(t - s)) (Bradley and Terry 1952). Votes compare a model with a reference only; models
are compared through the references both were shown against.
"""

import dataclasses

import numpy as np
from scipy.sparse.csgraph import connected_components

from supervegan_jax.study.analysis.ballots import Ballots
from supervegan_jax.study.analysis.equivalency import Options
from supervegan_jax.study.analysis.resampling import (
    cluster_members,
    count_clusters,
    half_width,
    resampled_tables,
)

REFERENCE = "reference"
# Added to either side of every comparison that was made: an item that always lost has a score too.
PRIOR_VOTES = 0.1
_LARGEST_STEP = 2.0
_CONVERGED = 1e-8


@dataclasses.dataclass(frozen=True)
class Score:
    """One item's.

    Attributes:
      item: a model, or `REFERENCE` for H.264 at full size.
      kbps: its target bitrate.
      score: logits; the mean over all items is 0.
      low, high: interval.
    """

    item: str
    kbps: float
    score: float
    low: float
    high: float


def find_scores(ballots: Ballots, options: Options) -> list[Score]:
    """Scores of all items, best first.

    Raises:
      ValueError: some items are compared with some others neither directly nor through third ones.
    """
    values = {"preferred": ballots.preferred, "votes": np.ones(len(ballots.preferred))}
    preferred, votes = (
        np.bincount(ballots.cell, value, np.prod(ballots.shape)).reshape(ballots.shape)
        for value in values.values()
    )
    compared = votes > 0
    if connected_components(_graph(compared), directed=False)[0] > 1:
        raise ValueError("not all conditions share reference bitrates, directly or through others")
    scores, hessian = solve(preferred, votes)
    rng = np.random.default_rng([options.seed, 1])
    variances = {}
    for way, members in cluster_members(ballots).items():
        tables = resampled_tables(ballots, members, values, options.resamples, rng)
        # One step towards each resample's scores, which is enough for a variance (the score
        # bootstrap, Kline and Santos 2012).
        gradients = _gradient(scores, tables["preferred"], tables["votes"], compared)
        variances[way] = np.linalg.solve(hessian, gradients).var(axis=1, ddof=1)
    half = half_width(variances, count_clusters(ballots), options.confidence)
    names = [(c.model, c.input_kbps) for c in ballots.conditions]
    names += [(REFERENCE, kbps) for kbps in ballots.references]
    found = [
        Score(*name, float(score), float(score - width), float(score + width))
        for name, score, width in zip(names, scores, half, strict=True)
    ]
    return sorted(found, key=lambda item: -item.score)


def _graph(compared: np.ndarray) -> np.ndarray:
    """Which of the k + r items were compared with which."""
    conditions, references = compared.shape
    return np.block(
        [
            [np.zeros((conditions, conditions)), compared],
            [compared.T, np.zeros((references, references))],
        ]
    )


def solve(preferred: np.ndarray, votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maximises the likelihood by Newton's method.

    Args:
      preferred, votes: votes for the reference and all votes, [k, r].

    Returns:
      Scores of conditions, then references, with mean 0, [k + r], and minus the likelihood's
      second derivatives there, [k + r, k + r], made regular by a constant.
    """
    k, items = len(votes), sum(votes.shape)
    compared = votes > 0
    scores = np.zeros(items)
    while True:
        p = _preference(scores, k)
        weight = (votes + 2 * PRIOR_VOTES * compared) * p * (1 - p)
        # Only differences matter; a constant for all holds their mean.
        hessian = np.full((items, items), 1 / items)
        hessian[:k, k:] -= weight
        hessian[k:, :k] -= weight.T
        hessian += np.diag(np.concatenate([weight.sum(axis=1), weight.sum(axis=0)]))
        gradient = _gradient(scores, preferred[:, :, None], votes[:, :, None], compared)[:, 0]
        step = np.linalg.solve(hessian, gradient)
        size = np.abs(step).max()
        if size < _CONVERGED:
            return scores - scores.mean(), hessian
        scores = scores + step * min(1, _LARGEST_STEP / size)


def _preference(scores: np.ndarray, conditions: int) -> np.ndarray:
    """For each reference against each condition, [k, r]."""
    return 1 / (1 + np.exp(scores[:conditions, None] - scores[conditions:]))


def _gradient(
    scores: np.ndarray, preferred: np.ndarray, votes: np.ndarray, compared: np.ndarray
) -> np.ndarray:
    """Of the likelihoods of many tables [k, r, b], [k + r, b]."""
    p, prior = _preference(scores, len(compared)), PRIOR_VOTES * compared
    missing = preferred + prior[:, :, None] - (votes + 2 * prior[:, :, None]) * p[:, :, None]
    return np.concatenate([-missing.sum(axis=1), missing.sum(axis=0)])
