"""The psychometric function: how often the reference is preferred, over the log of its bitrate.

    p(x) = lapse / 2 + (1 - lapse) / (1 + exp(-(intercept + slope * (x - centre)))),  x = ln kbit/s

A lapse is an answer by chance, as often for either side, so that p = 1/2 where the predictor is 0,
whatever the lapse rate (Wichmann and Hill 2001). The votes on one clip at one reference bitrate are
beta-binomial: clips differ, which makes such counts scatter more than those of one p would. (The
observers differ too, but each gives few votes to one condition, spread over clips and bitrates, so
that there is no count to see it in; the intervals take it into account by resampling.)
"""

import dataclasses

import numpy as np
from scipy.optimize import minimize

# Steeper curves cannot be told from a step between two rungs of the ladder; beyond this predictor
# a probability is 0 or 1 in double precision.
MAX_SLOPE = 30.0
_MAX_PREDICTOR = 25.0
_MAX_SCATTER = 9.0  # gamma of an intra-class correlation of 0.9
_STARTS = ((0.01, 0.02), (0.1, 0.2))  # (lapse, gamma)
_NEWTON_STEPS = 60
_LARGEST_STEP = 2.0  # of the predictor
_CONVERGED = 1e-7
_SMALLEST = 1e-12  # of an information that divides


@dataclasses.dataclass(frozen=True)
class Psychometric:
    """A fitted function.

    Attributes:
      intercept, slope, lapse, centre: see above; the slope is not negative.
      dispersion: intra-class correlation rho of the votes on one clip at one reference bitrate; 0
        for binomial counts.
      log_likelihood: without the constant of the binomial coefficients.
    """

    intercept: float
    slope: float
    lapse: float
    centre: float
    dispersion: float
    log_likelihood: float

    def predictor(self, log_kbps: np.ndarray) -> np.ndarray:
        """The logit of the preference without lapses; 0 at the equivalent bitrate."""
        return self.intercept + self.slope * (log_kbps - self.centre)

    def preference(self, kbps: np.ndarray) -> np.ndarray:
        """The share of votes for the reference."""
        return _preference(self.predictor(np.log(kbps)), self.lapse)[0]


def _preference(predictor: np.ndarray, lapse: float) -> tuple[np.ndarray, np.ndarray]:
    """p and the logistic function without lapses."""
    clipped = np.clip(predictor, -_MAX_PREDICTOR, _MAX_PREDICTOR)
    logistic = 1 / (1 + np.exp(-clipped))
    return lapse / 2 + (1 - lapse) * logistic, logistic


@dataclasses.dataclass(frozen=True)
class _CountTables:
    """How many clips have more than j votes, by reference: [r, j] each."""

    preferred: np.ndarray
    others: np.ndarray
    votes: np.ndarray


def _count_tables(preferred: np.ndarray, votes: np.ndarray) -> _CountTables:
    j = np.arange(int(votes.max()))
    more = [(n[:, :, None] > j).sum(axis=0) for n in (preferred, votes - preferred, votes)]
    return _CountTables(more[0], more[1], more[2])


def negative_log_likelihood(
    parameters: np.ndarray, centred: np.ndarray, tables: _CountTables
) -> tuple[float, np.ndarray]:
    """Of the beta-binomial, without its constant, with its gradient.

    Written with gamma = rho / (1 - rho), the probability of k of n is a product of p + j gamma for
    j < k, of 1 - p + j gamma for j < n - k, over that of 1 + j gamma for j < n, which is the
    binomial at gamma = 0.

    Args:
      parameters: intercept, slope, lapse, gamma.
      centred: log bitrates minus their centre, [r].
      tables: of the counts.
    """
    intercept, slope, lapse, gamma = parameters
    p, logistic = _preference(intercept + slope * centred, lapse)
    steps = np.arange(tables.votes.shape[1]) * gamma
    for_it, against, of_all = p[:, None] + steps, (1 - p)[:, None] + steps, 1 + steps
    value = (
        (tables.votes * np.log(of_all)).sum()
        - (tables.preferred * np.log(for_it)).sum()
        - (tables.others * np.log(against)).sum()
    )
    by_for, by_against = tables.preferred / for_it, tables.others / against
    by_p = by_against.sum(axis=1) - by_for.sum(axis=1)
    by_predictor = by_p * (1 - lapse) * logistic * (1 - logistic)
    j = np.arange(tables.votes.shape[1])
    by_gamma = ((tables.votes / of_all - by_for - by_against) * j).sum()
    gradient = (by_predictor.sum(), by_predictor @ centred, by_p @ (0.5 - logistic), by_gamma)
    return float(value), np.array(gradient)


def fit(
    log_kbps: np.ndarray, preferred: np.ndarray, votes: np.ndarray, max_lapse: float
) -> Psychometric:
    """Fits by maximum likelihood.

    Args:
      log_kbps: of the references, at least two, [r].
      preferred: votes for the reference by clip and reference, [c, r].
      votes: all votes, [c, r].
      max_lapse: bound of the lapse rate.

    Returns:
      The function of the largest likelihood.
    """
    centre = float(votes.sum(axis=0) @ log_kbps / votes.sum())
    centred = log_kbps - centre
    tables = _count_tables(preferred, votes)
    bounds = [
        (-_MAX_PREDICTOR, _MAX_PREDICTOR),
        (0.0, MAX_SLOPE),
        (0.0, max_lapse),
        (0.0, _MAX_SCATTER),
    ]
    found = [
        minimize(
            negative_log_likelihood,
            np.array([0.0, 1.0, min(lapse, max_lapse), gamma]),
            args=(centred, tables),
            jac=True,
            method="TNC",  # no BLAS, whose threads cost more than so small a problem
            bounds=bounds,
            options={"maxfun": 1000, "ftol": 1e-12, "xtol": 1e-10, "gtol": 1e-8},
        )
        for lapse, gamma in _STARTS
    ]
    best = min(found, key=lambda result: result.fun)
    intercept, slope, lapse, gamma = map(float, best.x)
    return Psychometric(intercept, slope, lapse, centre, gamma / (1 + gamma), -float(best.fun))


def vote_weights(votes: np.ndarray, dispersion: float) -> np.ndarray:
    """What one of `votes` votes on one clip and reference weighs: 1 / (1 + (n - 1) rho).

    With these weights the estimating equation of a binomial has the variance of the beta-binomial
    (Williams 1982), and is linear in the counts.
    """
    return 1 / (1 + np.maximum(votes - 1, 0) * dispersion)


def scores_at(
    curve: Psychometric,
    log_kbps: np.ndarray,
    places: np.ndarray,
    preferred: np.ndarray,
    votes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The efficient scores against 50 % at each of several places (Rao's), lapse and rho held.

    The slope is fitted anew with 50 % held at the place. What the votes say against that is the
    score of the intercept, less what the slope's explains of it,

        sum of w * (preferred - votes * p) over references,

    which is 0 in the mean if the place is right. It is linear in the votes: those of resamples have
    one, too, where a slope of their own would run to infinity.

    Args:
      curve: the fit to the votes.
      log_kbps: of the references, [r].
      places: log bitrates, [g].
      preferred, votes: weighted votes for the reference, and all, [r].

    Returns:
      w and p, [g, r] each.
    """
    x = log_kbps - places[:, None]
    reach = np.abs(x).max(axis=1)
    slopes = np.ones(len(places))
    for _ in range(_NEWTON_STEPS):
        p, rate, weight = _score_weights(slopes[:, None] * x, curve.lapse)
        gradient = (weight * (preferred - votes * p) * x).sum(axis=1)
        step = gradient / np.maximum((votes * rate * weight * x**2).sum(axis=1), _SMALLEST)
        step *= np.minimum(1, _LARGEST_STEP / np.maximum(np.abs(step) * reach, _CONVERGED))
        before, slopes = slopes, np.clip(slopes + step, 0.0, MAX_SLOPE)
        if np.abs(slopes - before).max() < _CONVERGED:
            break
    p, rate, weight = _score_weights(slopes[:, None] * x, curve.lapse)
    information = votes * rate * weight
    of_both, of_slope = (information * x).sum(axis=1), (information * x**2).sum(axis=1)
    # A slope at its bound explains nothing.
    inside = (slopes > 0) & (slopes < MAX_SLOPE)
    share = np.where(inside, of_both / np.maximum(of_slope, _SMALLEST), 0.0)
    return weight * (1 - share[:, None] * x), p


def _score_weights(
    predictor: np.ndarray, lapse: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p, its derivative by the predictor, and that over the variance of a vote."""
    p, logistic = _preference(predictor, lapse)
    rate = (1 - lapse) * logistic * (1 - logistic)
    return p, rate, rate / (p * (1 - p))
