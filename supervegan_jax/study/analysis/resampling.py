"""Resampling observers and clips, and the variance of what was found.

Votes of one observer resemble one another, and so do votes on one clip. Of the variance of a number
that is found from votes, resampling observers shows what they and the chance in their votes bring,
resampling clips what these and the same chance bring, and resampling observer and clip together
(each pair of them for itself) the chance alone, which the first two both contain. So

    V = V_observers + V_clips - V_chance  (Cameron, Gelbach and Miller 2011).

Drawing observers and clips at once into one resample would count the chance three times (Owen
2007). V is known as well as there are clusters, hence Student's t.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy import sparse, stats

from supervegan_jax.study.analysis.ballots import Ballots

OBSERVERS, CLIPS, CHANCE = "observers", "clips", "chance"
_BLOCK = 250  # resamples drawn at a time, which bounds the memory


@dataclasses.dataclass(frozen=True)
class Clusters:
    """How many observers and clips some votes are from."""

    observers: int
    clips: int


def count_clusters(ballots: Ballots, condition: int | None = None) -> Clusters:
    """Of the votes under one condition, or of all."""
    mine = slice(None) if condition is None else ballots.condition == condition
    return Clusters(len(np.unique(ballots.observer[mine])), len(np.unique(ballots.clip[mine])))


def cluster_members(ballots: Ballots) -> dict[str, np.ndarray]:
    """By way of resampling, which cluster each vote is in, [v]."""
    return {OBSERVERS: ballots.observer, CLIPS: ballots.clip, CHANCE: ballots.pair}


def draw_weights(clusters: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each cluster is drawn, [clusters, resamples]."""
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), resamples).T.astype(float)


def resampled_tables(
    ballots: Ballots,
    members: np.ndarray,
    values: Mapping[str, np.ndarray],
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Sums over the votes of resampled clusters, by condition and reference.

    Args:
      ballots: the votes.
      members: which cluster each vote is in, [v].
      values: what is summed, by name, [v] each.
      resamples: their number b.
      rng: draws.

    Returns:
      By the same names [k, r, b]; every name from the same draws.
    """
    clusters, cells = int(members.max()) + 1, int(np.prod(ballots.shape))
    rows = np.concatenate([ballots.cell + cells * place for place in range(len(values))])
    columns = np.tile(members, len(values))
    matrix = sparse.csr_matrix(
        (np.concatenate(list(values.values())), (rows, columns)),
        shape=(cells * len(values), clusters),
    )
    blocks = [
        matrix @ draw_weights(clusters, min(_BLOCK, resamples - done), rng)
        for done in range(0, resamples, _BLOCK)
    ]
    sums = np.concatenate(blocks, axis=1).reshape(len(values), *ballots.shape, resamples)
    return dict(zip(values, sums, strict=True))


def combine(
    variances: Mapping[str, np.ndarray], clusters: Clusters
) -> tuple[np.ndarray, np.ndarray]:
    """The variance V and its degrees of freedom.

    Args:
      variances: over resamples, by way of resampling.
      clusters: their numbers g; a resample varies (g - 1) / g times too little, and not at all if
        g = 1: whether other observers, or other clips, would differ then stays unknown.

    Returns:
      V, at least the variance of chance, and Satterthwaite's degrees of freedom, in which an
      observers' or clips' variance counts as far as it exceeds that of chance.
    """
    chance = variances[CHANCE]
    total, uncertain = chance, np.zeros_like(chance)
    for name, count in ((OBSERVERS, clusters.observers), (CLIPS, clusters.clips)):
        if count > 1:
            of_clusters = variances[name] * count / (count - 1)
            total = total + of_clusters - chance
            excess = np.maximum(of_clusters - chance, 0)
            uncertain = uncertain + excess * of_clusters / (count - 1)
    total = np.maximum(total, chance)
    freedom = total**2 / np.maximum(uncertain, 1e-9 * total**2 + np.finfo(float).tiny)
    return total, np.maximum(freedom, 1.0)


def half_width(
    variances: Mapping[str, np.ndarray], clusters: Clusters, confidence: float
) -> np.ndarray:
    """Half the length of a two-sided interval of what has these variances.

    Infinite for one observer on one clip.
    """
    if clusters == Clusters(1, 1):
        return np.full_like(variances[CHANCE], np.inf)
    total, freedom = combine(variances, clusters)
    return stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(total)
