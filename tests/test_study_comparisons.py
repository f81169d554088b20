"""Bradley-Terry scores, and metrics beside votes, against other ways of computing them."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import spearmanr

from supervegan_jax.rate_distortion.curves import Point
from supervegan_jax.study.analysis import bradley_terry, prediction
from supervegan_jax.study.analysis.ballots import Condition, make_ballots
from supervegan_jax.study.analysis.equivalency import Options
from supervegan_jax.study.votes import Vote

OPTIONS = Options(resamples=200)


def table_votes(table: dict[tuple[str, float, float], tuple[int, int]]) -> list[Vote]:
    """By (model, input, reference): votes for the reference and for the model."""
    votes: list[Vote] = []
    for (model, kbps, reference), counts in table.items():
        for prefer, count in zip(("reference", "model"), counts, strict=True):
            for number in range(count):
                what = (f"c{number % 3}", model, kbps, reference, prefer)
                votes.append(Vote(f"o{number % 7}", *what, len(votes), f"p{len(votes)}"))
    return votes


TABLE = {
    ("a", 150.0, 200.0): (3, 17),
    ("a", 150.0, 800.0): (15, 5),
    ("b", 150.0, 200.0): (8, 12),
    ("b", 150.0, 800.0): (19, 1),
    ("b", 500.0, 800.0): (9, 11),
    ("b", 500.0, 4000.0): (18, 2),
}


def test_two_items_have_the_logit_of_their_share():
    (best, worst) = bradley_terry.find_scores(
        make_ballots(table_votes({("a", 150.0, 200.0): (15, 5)})), OPTIONS
    )
    assert (best.item, best.kbps) == ("reference", 200.0)
    assert best.score - worst.score == pytest.approx(math.log(15.1 / 5.1))
    assert best.low < best.score < best.high


def test_scores_are_what_zermelos_iteration_finds():
    """The MM algorithm (Hunter 2004), which shares nothing with Newton's method."""
    found = bradley_terry.find_scores(make_ballots(table_votes(TABLE)), OPTIONS)
    items = [(s.item, s.kbps) for s in found]
    wins = np.zeros((5 + 1, 5 + 1))
    assert len(items) == 6
    for (model, kbps, reference), (against, for_it) in TABLE.items():
        i, j = items.index((model, kbps)), items.index(("reference", reference))
        wins[i, j] += for_it + bradley_terry.PRIOR_VOTES
        wins[j, i] += against + bradley_terry.PRIOR_VOTES
    strength = np.ones(6)
    for _ in range(20_000):
        both = (wins + wins.T) / (strength[:, None] + strength)
        strength = wins.sum(axis=1) / both.sum(axis=1)
        strength /= np.exp(np.log(strength).mean())
    assert [s.score for s in found] == pytest.approx(list(np.log(strength)), abs=1e-6)


def test_items_that_no_chain_of_votes_joins_are_refused():
    apart = {("a", 150.0, 200.0): (3, 3), ("b", 150.0, 800.0): (3, 3)}
    with pytest.raises(ValueError, match="not all conditions share reference bitrates"):
        bradley_terry.find_scores(make_ballots(table_votes(apart)), OPTIONS)


def test_measures_against_loops_and_scipy():
    rng = np.random.default_rng(0)
    difference = rng.normal(0, 1, 12).round(1)
    difference[3] = 0
    difference[5] = difference[6]
    pair = np.repeat(np.arange(12), 10)
    preferred = (rng.random(120) < 1 / (1 + np.exp(-2 * difference[pair]))) * 1.0
    found = prediction.measure(difference, pair, preferred, np.ones(120))
    x = difference[pair]
    right = sum(
        0.5 if d == 0 else float((d > 0) == bool(y)) for d, y in zip(x, preferred, strict=True)
    )
    assert found["accuracy"] == pytest.approx(right / 120)
    above = [
        float(a > b) + 0.5 * (a == b)
        for a, b in itertools.product(x[preferred == 1], x[preferred == 0])
    ]
    assert found["auc"] == pytest.approx(np.mean(above))
    shares = np.bincount(pair, preferred) / 10
    assert found["spearman"] == pytest.approx(spearmanr(difference, shares).statistic)

    def deviance(line) -> float:
        return 2 * np.logaddexp(0, np.where(preferred == 1, -1, 1) * (line[0] + line[1] * x)).sum()

    best = minimize(deviance, [0.0, 0.0], method="Nelder-Mead", options={"fatol": 1e-10}).fun
    p = preferred.mean()
    null = -240 * (p * math.log(p) + (1 - p) * math.log(1 - p))
    assert found["deviance"] == pytest.approx(1 - best / null, abs=1e-6)


def test_weights_count_as_repetitions():
    difference, pair = np.array([1.0, -1.0, 0.5]), np.array([0, 0, 1, 1, 2, 2])
    preferred, weights = np.array([1.0, 0, 0, 1, 1, 1]), np.array([2, 1, 1, 0, 1, 3])
    repeated = np.repeat(np.arange(6), weights)
    whole = prediction.measure(difference, pair[repeated], preferred[repeated], np.ones(8))
    assert prediction.measure(difference, pair, preferred, weights * 1.0) == pytest.approx(whole)


def made_points(clips: tuple[str, ...] = ("c0", "c1", "c2")) -> list[Point]:
    """PSNR gains 3 dB a doubling and finds the model worth 1.5 times its rate; LPIPS knows less."""
    points = []
    for clip in clips:
        for kbps in (75, 200, 800, 4000):
            scores = {"psnr": 10 * math.log10(kbps), "lpips": 0.3 + (kbps % 7) / 100}
            points.append(Point(clip, "h264", "codec", 1, kbps, 1.1 * kbps, 0.1, scores))
        for model, kbps in (("a", 150), ("b", 150), ("b", 500)):
            scores = {"psnr": 10 * math.log10(1.5 * kbps), "lpips": 0.33}
            points.append(Point(clip, "h264", model, 4, kbps, 1.1 * kbps, 0.1, scores))
    return points


def test_a_metrics_equivalent_is_on_the_bitrates_that_the_votes_name():
    ballots = make_ballots(table_votes(TABLE))
    found = prediction.metric_equivalents(made_points(), ballots, "h264")
    assert list(found) == ["psnr", "lpips"]
    rates = {condition: pooled.kbps for condition, pooled in found["psnr"].items()}
    assert rates == {
        Condition("a", 150.0): pytest.approx(225),
        Condition("b", 150.0): pytest.approx(225),
        Condition("b", 500.0): pytest.approx(750),
    }


def test_which_metric_predicts_the_votes():
    ballots = make_ballots(table_votes(TABLE))
    best, worst = prediction.predict(made_points(), ballots, "h264", OPTIONS)
    assert (best.metric, worst.metric) == ("psnr", "lpips")
    # PSNR finds the reference better at 800 and 4000 only: 17 + 12 + 15 + 19 + 9 + 18 of 120.
    accuracy = best.measures["accuracy"]
    assert accuracy.value == pytest.approx(90 / 120)
    assert 0 < accuracy.low < accuracy.value < accuracy.high <= 1
    assert (best.votes, best.pairs) == (120, 18)


def test_a_run_of_something_else_is_told():
    ballots = make_ballots(table_votes(TABLE))
    assert prediction.check_run(made_points(), ballots, "h264") == []
    assert prediction.check_run(made_points(("c0",)), ballots, "h264") == [
        "the run lacks the clips c1, c2"
    ]
    for points, codec, said in (
        (made_points(), "av1", "codec 'av1'; this run has h264"),
        (made_points(("x",)), "h264", r"none of the clips voted on \(c0, c1, c2\); it has x"),
    ):
        with pytest.raises(ValueError, match=said):
            prediction.check_run(points, ballots, codec)
    renamed = [dataclasses.replace(p, curve=p.curve.replace("b", "z")) for p in made_points()]
    assert prediction.check_run(renamed, ballots, "h264") == ["the run lacks the models b"]
