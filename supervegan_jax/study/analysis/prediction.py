"""How well metrics predict the votes, and the equivalent bitrate that each metric gives.

Both from a finished rate-distortion run of the same clips, models and bitrates.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from supervegan_jax.evaluation.equivalency import Pooled
from supervegan_jax.evaluation.scoring import METRICS
from supervegan_jax.rate_distortion import curves
from supervegan_jax.rate_distortion.curves import Point, names, select
from supervegan_jax.rate_distortion.settings import CODEC
from supervegan_jax.study.analysis.ballots import Ballots, Condition
from supervegan_jax.study.analysis.equivalency import Options
from supervegan_jax.study.analysis.resampling import (
    Clusters,
    cluster_members,
    draw_weights,
    half_width,
)

MEASURES = {
    "accuracy": "votes for the better one",
    "auc": "area under the ROC curve",
    "spearman": "rank correlation with shares",
    "deviance": "deviance explained",
}
_LOWEST = {"accuracy": 0.0, "auc": 0.0, "spearman": -1.0, "deviance": 0.0}
_MAX_RESAMPLES = 200  # each costs a logistic fit for each metric
_NEWTON_STEPS = 30


@dataclasses.dataclass(frozen=True)
class Measured:
    """An estimate and its interval."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What one metric tells of the votes.

    Attributes:
      metric: a key of `METRICS`.
      votes, pairs: on which it has a value for both videos.
      measures: by `MEASURES`: the share of votes for the video that it finds better (equal ones
        count half); the probability that its difference is larger for a vote for the reference
        than for one for the model; Spearman's correlation of the difference with the pairs' vote
        shares, each pair counted as often as it has votes; the share of the votes' deviance that
        a logistic function of the difference explains, against one share for all.
    """

    metric: str
    votes: int
    pairs: int
    measures: dict[str, Measured]


def check_run(points: Sequence[Point], ballots: Ballots, codec: str) -> list[str]:
    """What of the votes a run lacks, for the user to know.

    Raises:
      ValueError: it has not this codec, or none of the clips or models.
    """
    if codec not in names(points, "codec"):
        known = ", ".join(names(points, "codec"))
        raise ValueError(f"codec {codec!r}; this run has {known}")
    lacking = []
    voted = {"clip": ballots.clips, "curve": tuple(sorted({c.model for c in ballots.conditions}))}
    for field, wanted in voted.items():
        known_names = names(select(points, codec=codec), field)
        missing = [name for name in wanted if name not in known_names]
        what = "clip" if field == "clip" else "model"
        if len(missing) == len(wanted):
            raise ValueError(
                f"the run has none of the {what}s voted on ({', '.join(wanted)}); it has "
                f"{', '.join(known_names)}"
            )
        if missing:
            lacking.append(f"the run lacks the {what}s {', '.join(missing)}")
    return lacking


def metric_equivalents(
    points: Sequence[Point], ballots: Ballots, codec: str
) -> dict[str, dict[Condition, Pooled]]:
    """By metric the equivalent bitrate under each condition, over the clips voted on.

    Bitrates are the targets, which the votes name too, not the measured ones.
    """
    models = {condition.model for condition in ballots.conditions}
    used = [
        dataclasses.replace(point, measured_kbps=float(point.target_kbps))
        for point in points
        if point.codec == codec and point.clip in ballots.clips and point.curve in {CODEC, *models}
    ]
    metrics = list(used[0].scores)
    found: dict[str, dict[Condition, Pooled]] = {metric: {} for metric in metrics}
    for row in curves.equivalents(used, metrics):
        condition = Condition(row.curve, float(row.target_kbps))
        if row.pooled is not None and condition in ballots.conditions:
            found[row.metric][condition] = row.pooled
    return found


def predict(
    points: Sequence[Point], ballots: Ballots, codec: str, options: Options
) -> list[Prediction]:
    """How well each metric of a run predicts the votes, the best by AUC first."""
    scores = {
        (point.clip, point.curve, float(point.target_kbps)): point.scores
        for point in curves.comparable(select(points, codec=codec))
    }
    index = np.stack([ballots.clip, ballots.condition, ballots.reference], axis=1)
    pairs, pair = np.unique(index, axis=0, return_inverse=True)
    found = []
    for metric in points[0].scores:
        difference = np.full(len(pairs), np.nan)
        sign = 1.0 if METRICS[metric].higher_is_better else -1.0
        for place, (clip, condition, reference) in enumerate(pairs):
            of_model = dataclasses.astuple(ballots.conditions[condition])
            name, rate = ballots.clips[clip], ballots.references[reference]
            value = scores.get((name, *of_model), {}).get(metric)
            other = scores.get((name, CODEC, rate), {}).get(metric)
            if value is not None and other is not None:
                difference[place] = sign * (other - value)
        known = np.isfinite(difference)[pair.ravel()]
        if len(np.unique(ballots.preferred[known])) == 2:
            found.append(_predict_one(metric, difference, pair.ravel(), known, ballots, options))
    return sorted(found, key=lambda prediction: -prediction.measures["auc"].value)


def _predict_one(
    metric: str,
    difference: np.ndarray,
    pair: np.ndarray,
    known: np.ndarray,
    ballots: Ballots,
    options: Options,
) -> Prediction:
    """Of the votes `known`, [v], on pairs that have a difference, [p]."""
    shown, used = np.unique(pair[known], return_inverse=True)
    differences, preferred = difference[shown], ballots.preferred[known]
    rng = np.random.default_rng([options.seed, 2])
    whole = measure(differences, used, preferred, np.ones(len(preferred)))
    variances = {}
    for way, members in cluster_members(ballots).items():
        clusters, index = np.unique(members[known], return_inverse=True)
        draws = draw_weights(len(clusters), min(options.resamples, _MAX_RESAMPLES), rng)
        values = [measure(differences, used, preferred, draw[index]) for draw in draws.T]
        table = np.array([[value[name] for name in MEASURES] for value in values])
        variances[way] = np.nanvar(table, axis=0, ddof=1)
    clusters_of = [len(np.unique(index[known])) for index in (ballots.observer, ballots.clip)]
    half = half_width(variances, Clusters(*clusters_of), options.confidence)
    measures = {
        name: Measured(
            whole[name], max(_LOWEST[name], whole[name] - width), min(1.0, whole[name] + width)
        )
        for name, width in zip(MEASURES, map(float, half), strict=True)
    }
    return Prediction(metric, int(known.sum()), len(shown), measures)


def measure(
    difference: np.ndarray, pair: np.ndarray, preferred: np.ndarray, weights: np.ndarray
) -> dict[str, float]:
    """The `MEASURES` of weighted votes.

    Args:
      difference: of the metric by pair, positive where it finds the reference better, [p].
      pair: of each vote, [v].
      preferred: 1.0 for the reference, [v].
      weights: of each vote, [v].
    """
    count = len(difference)
    votes = np.bincount(pair, weights, count)
    wins = np.bincount(pair, weights * preferred, count)
    losses = votes - wins
    agreeing = np.where(difference > 0, wins, np.where(difference < 0, losses, votes / 2))
    shares = wins / np.maximum(votes, np.finfo(float).tiny)
    return {
        "accuracy": float(agreeing.sum() / votes.sum()),
        "auc": _area(difference, wins, losses),
        "spearman": _rank_correlation(difference, shares, votes),
        "deviance": _deviance_explained(difference, wins, votes),
    }


def _area(difference: np.ndarray, wins: np.ndarray, losses: np.ndarray) -> float:
    """Mann and Whitney's: of votes for the reference and for the model, equal ones half."""
    _, group = np.unique(difference, return_inverse=True)
    wins, losses = np.bincount(group, wins), np.bincount(group, losses)
    if not wins.any() or not losses.any():  # of a resample of few votes
        return float("nan")
    lower = np.cumsum(losses) - losses
    return float((wins * (lower + losses / 2)).sum() / (wins.sum() * losses.sum()))


def _rank_correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Spearman's, each value counted as often as its weight says; equal ones share a rank."""
    ranks = []
    for values in (x, y):
        _, group = np.unique(values, return_inverse=True)
        sizes = np.bincount(group, weights)
        ranks.append((np.cumsum(sizes) - sizes / 2)[group])
    covariance = np.cov(ranks, aweights=weights)
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def _deviance_explained(difference: np.ndarray, wins: np.ndarray, votes: np.ndarray) -> float:
    x = (difference - difference.mean()) / (difference.std() or 1.0)
    design = np.stack([np.ones_like(x), x])
    found = np.zeros(2)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(found @ design, -30, 30)))
        hessian = (design * (votes * p * (1 - p))) @ design.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, design @ (wins - votes * p))
        found += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    share = wins.sum() / votes.sum()
    p = 1 / (1 + np.exp(-np.clip(found @ design, -30, 30)))
    return 1 - _deviance(p, wins, votes) / _deviance(np.full_like(p, share), wins, votes)


def _deviance(p: np.ndarray, wins: np.ndarray, votes: np.ndarray) -> float:
    return float(-2 * (wins * np.log(p) + (votes - wins) * np.log1p(-p)).sum())
