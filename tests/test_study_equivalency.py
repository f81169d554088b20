"""Psychometric functions, resampling and intervals, against closed forms and other solvers."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.special import gammaln
from scipy.stats import betabinom, norm

from supervegan_jax.study.analysis import psychometric
from supervegan_jax.study.analysis.ballots import make_ballots
from supervegan_jax.study.analysis.equivalency import (
    ABOVE,
    BELOW,
    Options,
    Place,
    fifty_percent_point,
    find_equivalents,
    interpolate_shares,
    interval,
)
from supervegan_jax.study.analysis.resampling import (
    CHANCE,
    CLIPS,
    OBSERVERS,
    Clusters,
    combine,
    count_clusters,
    half_width,
    resampled_tables,
)
from supervegan_jax.study.votes import Vote

LADDER = (100.0, 200.0, 400.0, 800.0)
LOGS = np.log(LADDER)


def made_votes(shares: dict[float, float], clips: int = 6, observers: int = 10) -> list[Vote]:
    """On every clip the same share of observers prefers the reference, other ones on each."""
    votes = []
    for clip in range(clips):
        for place, (kbps, share) in enumerate(shares.items()):
            for number in range(observers):
                turn = (number + 3 * clip + 5 * place) % observers
                prefer = "reference" if turn < round(share * observers) else "model"
                name = f"p{clip}-{kbps}"
                what = (f"clip{clip}", "net", 350.0, kbps, prefer)
                votes.append(Vote(f"o{number}", *what, len(votes), name))
    return votes


def one(votes: list[Vote], **changes: object):
    (found,) = find_equivalents(make_ballots(votes), Options(resamples=200, **changes))
    return found


def drawn_counts(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Beta-binomial votes of 12 clips, [12, 4] each."""
    rng = np.random.default_rng(seed)
    p = 0.03 + 0.94 / (1 + np.exp(-1.7 * (LOGS - math.log(300))))
    votes = rng.integers(5, 14, (12, 4))
    return rng.binomial(votes, rng.beta(6 * p, 6 * (1 - p), (12, 4))).astype(float), votes * 1.0


def likelihood(parameters, centre, preferred, votes) -> float:
    """Minus the beta-binomial's, from scipy, without the binomial coefficients."""
    intercept, slope, lapse, gamma = parameters
    p = lapse / 2 + (1 - lapse) / (1 + np.exp(-(intercept + slope * (LOGS - centre))))
    coefficients = (
        gammaln(votes + 1) - gammaln(preferred + 1) - gammaln(votes - preferred + 1)
    ).sum()
    return coefficients - betabinom.logpmf(preferred, votes, p / gamma, (1 - p) / gamma).sum()


def test_the_likelihood_is_the_beta_binomials_and_its_gradient_is_right():
    preferred, votes = drawn_counts()
    tables = psychometric._count_tables(preferred, votes)
    for at in ([0.2, 1.5, 0.05, 0.1], [-1.0, 0.3, 0.2, 1.5]):
        point = np.array(at)
        value, gradient = psychometric.negative_log_likelihood(point, LOGS - 6, tables)
        assert value == pytest.approx(likelihood(point, 6, preferred, votes), rel=1e-10)
        numeric = approx_fprime(point, likelihood, 1e-7, 6, preferred, votes)
        assert gradient == pytest.approx(numeric, rel=1e-4, abs=1e-3)


def test_the_fit_is_what_another_solver_finds_from_the_other_likelihood():
    preferred, votes = drawn_counts()
    fitted = psychometric.fit(LOGS, preferred, votes, 0.2)
    bounds = [(-9, 9), (0, 9), (0, 0.2), (1e-4, 9)]
    args = (fitted.centre, preferred, votes)
    other = minimize(
        likelihood, [0.5, 2, 0.1, 0.3], args, "Nelder-Mead", bounds=bounds,
        options={"maxiter": 5000, "xatol": 1e-7, "fatol": 1e-10},
    )  # fmt: skip
    assert -fitted.log_likelihood == pytest.approx(other.fun, abs=1e-6)
    gamma = fitted.dispersion / (1 - fitted.dispersion)
    found = [fitted.intercept, fitted.slope, fitted.lapse, gamma]
    assert found == pytest.approx(list(other.x), abs=2e-3)
    assert 0.02 < fitted.dispersion < 0.4  # drawn with 1/7


def test_binomial_counts_have_no_dispersion_and_lapses_are_bounded():
    exact = np.array([[2.0, 5.0, 15.0, 18.0]] * 8)
    fitted = psychometric.fit(LOGS, exact, np.full((8, 4), 20.0), 0.2)
    assert fitted.dispersion == pytest.approx(0, abs=1e-6)
    half = np.array([[7.0, 8.0, 12.0, 13.0]] * 8)
    assert psychometric.fit(LOGS, half, np.full((8, 4), 20.0), 0.1).lapse <= 0.1


def test_the_score_at_a_place_is_what_the_slope_leaves_of_it():
    """Against another solver of the slope, and the likelihood's own derivatives."""
    counts, of_all = drawn_counts()
    preferred, votes = counts.sum(axis=0), of_all.sum(axis=0)
    curve = dataclasses.replace(psychometric.fit(LOGS, counts, of_all, 0.2), lapse=0.06)
    places = np.log([150.0, 300.0, 700.0])
    weight, p = psychometric.scores_at(curve, LOGS, places, preferred, votes)

    def line(parameters, place) -> np.ndarray:
        return 0.03 + 0.94 / (1 + np.exp(-(parameters[0] + parameters[1] * (LOGS - place))))

    def binomial(parameters, place) -> float:
        q = line(parameters, place)
        return -(preferred * np.log(q) + (votes - preferred) * np.log(1 - q)).sum()

    for g, place in enumerate(places):
        found = minimize(
            lambda slope, at: binomial((0.0, slope[0]), at), [1.0], (place,), bounds=[(0, 30)],
            tol=1e-12,
        )  # fmt: skip
        at = np.array([0.0, found.x[0]])
        assert p[g] == pytest.approx(line(at, place), abs=1e-5)
        # The slope's score is 0 there, so that the intercept's is left.
        score = (weight[g] * (preferred - votes * p[g])).sum()
        assert score == pytest.approx(-approx_fprime(at, binomial, 1e-7, place)[0], abs=1e-2)
        by_slope = (line((0.0, at[1] + 1e-6), place) - p[g]) / 1e-6
        assert (weight[g] * votes * by_slope).sum() == pytest.approx(0, abs=1e-3)


def test_a_curve_of_any_steepness_has_finite_scores():
    votes = np.full(4, 10.0)
    for shares in ([0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]):
        curve = psychometric.Psychometric(0.0, 30.0, 0.0, LOGS.mean(), 0.0, 0.0)
        found = psychometric.scores_at(curve, LOGS, LOGS, votes * shares, votes)
        assert all(np.isfinite(values).all() for values in found)


def test_variances_are_added_and_the_chance_in_both_taken_off():
    """Of 11 observers 4 x 11/10, of 6 clips 5 x 6/5, chance 1: 1 + 3.4 + 5."""
    variances = {OBSERVERS: np.array(4.0), CLIPS: np.array(5.0), CHANCE: np.array(1.0)}
    total, freedom = combine(variances, Clusters(11, 6))
    assert total == pytest.approx(9.4)
    assert freedom == pytest.approx(9.4**2 / (3.4 * 4.4 / 10 + 5 * 6 / 5))
    total, freedom = combine(variances, Clusters(11, 1))
    assert (total, freedom) == (pytest.approx(4.4), pytest.approx(4.4**2 / (3.4 * 4.4 / 10)))
    smaller = {OBSERVERS: np.array(0.1), CLIPS: np.array(0.2), CHANCE: np.array(1.0)}
    assert combine(smaller, Clusters(11, 6))[0] == 1.0
    assert half_width(smaller, Clusters(11, 6), 0.95) == pytest.approx(1.95996, abs=1e-3)
    assert half_width(smaller, Clusters(1, 1), 0.95) == math.inf


def test_resampled_sums_vary_as_clusters_do():
    """A sum of values centred by cluster has the variance of the clusters' squared sums."""
    rng = np.random.default_rng(0)
    votes = made_votes({100.0: 0.3, 800.0: 0.8}, clips=7)
    ballots = make_ballots(votes)
    value = rng.normal(0, 1, len(votes)) + 0.5 * ballots.observer
    sums = np.bincount(ballots.observer, value)
    value -= value.mean()
    drawn = resampled_tables(ballots, ballots.observer, {"x": value, "1": 0 * value + 1}, 8000, rng)
    assert drawn["x"].shape == (1, 2, 8000)
    whole = drawn["x"].sum(axis=(0, 1))
    sums = np.bincount(ballots.observer, value)
    assert whole.var() == pytest.approx((sums**2).sum() - sums.sum() ** 2 / 10, rel=0.05)
    assert drawn["1"].sum(axis=(0, 1)) == pytest.approx(len(votes))  # each gave equally many
    assert count_clusters(ballots) == Clusters(10, 7)


def test_the_interval_of_many_votes_is_the_likelihoods():
    """Chance alone: as wide as the inverse of the information makes it."""
    curve = psychometric.Psychometric(0.3, 1.2, 0.0, 5.6, 0.0, 0.0)
    votes, p = np.full(4, 40_000.0), curve.preference(np.array(LADDER))
    counts = np.stack([votes * p, votes])
    chance = np.diag(np.concatenate([votes * p * (1 - p), np.zeros(4)]))
    covariances = {OBSERVERS: 0 * chance, CLIPS: 0 * chance, CHANCE: chance}
    low, high = interval(curve, LADDER, counts, covariances, Clusters(40, 9), 0.9)
    x = LOGS - 5.6
    information = np.einsum("ir,jr,r->ij", *[np.stack([x**0, x])] * 2, votes * p * (1 - p))
    place = -0.3 / 1.2
    variance = np.array([1, place]) @ np.linalg.inv(information) @ np.array([1, place])
    half = norm.ppf(0.95) * math.sqrt(variance) / 1.2
    ends = np.log([low.kbps, high.kbps]) - 5.6
    assert ends == pytest.approx([place - half, place + half], rel=0.01)
    wide = {way: 300**2 * matrix for way, matrix in covariances.items()}
    open_ends = interval(curve, LADDER, counts, wide, Clusters(40, 9), 0.9)
    assert open_ends == (Place(None, BELOW), Place(None, ABOVE))


def test_votes_that_refute_the_ends_of_the_ladder_keep_them_out():
    """Of resamples of the second clip alone the slope has no bound."""
    counts = (
        ((0, 16), (0, 12), (3, 15), (10, 15), (18, 18)),
        ((0, 14), (0, 10), (0, 16), (9, 16), (10, 10)),
        ((1, 14), (0, 14), (0, 14), (8, 16), (12, 15)),
    )
    votes = []
    for clip, rows in enumerate(counts):
        for place, (preferred, shown) in enumerate(rows):
            for number in range(shown):
                observer = f"o{(number + 7 * clip + 5 * place) % 30}"
                what = (f"c{clip}", "net", 500.0, 100.0 * 2**place)
                prefer = "reference" if number < preferred else "model"
                votes.append(Vote(observer, *what, prefer, len(votes), f"p{clip}-{place}"))
    found = one(votes)
    assert found.equivalent.kbps == pytest.approx(759, abs=1)
    assert 400 < found.low.kbps < 759 < found.high.kbps < 1600


@pytest.mark.parametrize(
    ("intercept", "slope", "place"),
    [
        (0.0, 1.0, Place(math.exp(5.5))),
        (2.0, 1.0, Place(None, BELOW)),
        (-2.0, 1.0, Place(None, ABOVE)),
        (0.1, 0.0, Place(None, BELOW)),
        (-0.1, 0.0, Place(None, ABOVE)),
    ],
)
def test_the_fifty_percent_point_is_never_outside_the_ladder(intercept, slope, place):
    curve = psychometric.Psychometric(intercept, slope, 0.1, 5.5, 0.0, 0.0)
    assert fifty_percent_point(curve, LADDER) == place


@pytest.mark.parametrize(
    ("shares", "place"),
    [
        ([0.1, 0.3, 0.7, 0.9], Place(300.0)),
        ([0.1, 0.5, 0.7, 0.9], Place(200.0)),
        ([0.1, 0.2, 0.3, 0.9], Place(400 + 400 * 0.2 / 0.6)),
        ([0.6, 0.3, 0.7, 0.9], Place(None, BELOW)),
        ([0.1, 0.2, 0.3, 0.49], Place(None, ABOVE)),
    ],
)
def test_the_papers_interpolation(shares, place):
    found = interpolate_shares(LADDER, shares)
    assert found.beyond == place.beyond
    assert found.kbps == pytest.approx(place.kbps)


def test_shares_symmetric_in_log_bitrate_cross_at_its_middle():
    found = one(made_votes(dict(zip(LADDER, (0.1, 0.3, 0.7, 0.9), strict=True))))
    assert found.equivalent.kbps == pytest.approx(math.sqrt(200 * 400), rel=1e-4)
    assert found.linear == Place(300.0)
    assert found.low.kbps < found.equivalent.kbps < found.high.kbps
    assert found.shares == pytest.approx([0.1, 0.3, 0.7, 0.9])
    assert found.clusters == Clusters(10, 6)


@pytest.mark.parametrize(
    ("shares", "side"), [((0.0, 0.0, 0.1, 0.1), ABOVE), ((0.9, 0.9, 1.0, 1.0), BELOW)]
)
def test_nothing_is_extrapolated(shares, side):
    found = one(made_votes(dict(zip(LADDER, shares, strict=True))))
    assert found.equivalent == Place(None, side)
    assert (found.low.kbps, found.high.kbps) == (None, None)
    assert found.low == found.high == Place(None, side)  # refuted on all the ladder


def test_an_end_beyond_the_ladder_leaves_the_other():
    found = one(made_votes(dict(zip(LADDER, (0.0, 0.1, 0.3, 0.5), strict=True))))
    assert found.low.kbps < 800
    assert found.high == Place(None, ABOVE)


def test_votes_that_allow_less():
    flat = one(made_votes(dict(zip(LADDER, (0.8, 0.6, 0.4, 0.2), strict=True))))
    assert "does not rise" in flat.note
    assert flat.equivalent.kbps is None
    alike = one(made_votes(dict.fromkeys(LADDER, 0.0)))
    assert alike.note == "all votes at each reference alike: no interval"
    assert (alike.equivalent, alike.low.beyond, alike.high.beyond) == (
        Place(None, ABOVE), BELOW, ABOVE,
    )  # fmt: skip
    step = one(made_votes(dict(zip(LADDER, (0.0, 0.0, 1.0, 1.0), strict=True))))
    assert 200 < step.equivalent.kbps < 400
    assert (step.low.kbps, step.high.kbps, step.note) == (None, None, alike.note)
    lone = one(made_votes({100.0: 0.4}))
    assert (lone.equivalent, lone.curve) == (None, None)
    assert "one reference bitrate only" in lone.note
    shares = dict(zip(LADDER, (0.1, 0.3, 0.7, 0.9), strict=True))
    assert "one clip" in one(made_votes(shares, clips=1)).note
    votes = [dataclasses.replace(v, observer="o0") for v in made_votes(shares)]
    assert "one observer" in one(votes).note
    alone = one([v for v in votes if v.clip == "clip0"])
    assert (alone.low.beyond, alone.high.beyond) == (BELOW, ABOVE)


def test_wider_with_fewer_votes_and_more_confidence():
    shares = dict(zip(LADDER, (0.1, 0.3, 0.7, 0.9), strict=True))

    def width(votes: list[Vote], **changes: object) -> float:
        found = one(votes, **changes)
        return math.log(found.high.kbps / found.low.kbps)

    many = made_votes(shares, clips=12)
    assert width(many) < width(made_votes(shares, clips=4))
    assert width(many) < width(many, confidence=0.99)
    assert one(many) == one(many)
    with pytest.raises(ValueError, match="resamples 10; accepted is 50 to 100000"):
        Options(resamples=10)
