"""Equivalent bitrates of curves that are known in closed form."""

import math

import numpy as np
import pytest

from supervegan_jax.evaluation.equivalency import (
    BELOW,
    BEYOND,
    INSIDE,
    Equivalent,
    equivalent,
    interpolate,
    make_curve,
    pool,
)

LADDER = (75, 150, 250, 350, 500, 750, 1000, 1500, 2000, 4000)


def psnr_curve(offset: float = 0.0, **options):
    """10 log10 of the rate: 3 dB for each doubling."""
    values = [offset + 10 * math.log10(rate) for rate in LADDER]
    return make_curve(LADDER, values, higher_is_better=True, **options)


@pytest.mark.parametrize("rate", [75, 100, 333.3, 1999, 4000])
def test_a_curve_that_is_straight_in_log_rate_is_inverted_exactly(rate):
    found = equivalent(psnr_curve(5), 5 + 10 * math.log10(rate))
    assert found.where == INSIDE
    assert found.kbps == pytest.approx(rate, rel=1e-9)


def test_a_metric_of_which_less_is_better_gives_the_same_rate():
    curve = make_curve(LADDER, [-math.log(rate) for rate in LADDER], higher_is_better=False)
    assert equivalent(curve, -math.log(600)).kbps == pytest.approx(600, rel=1e-9)


def test_three_decibels_more_are_twice_the_bitrate():
    model = 10 * math.log10(250) + 10 * math.log10(2)
    assert equivalent(psnr_curve(), model).kbps == pytest.approx(500, rel=1e-9)


def test_a_smooth_curve_is_inverted_closely_and_consistently_with_interpolation():
    def saturating(rate: float) -> float:
        return 1 / (1 + rate / 400)

    curve = make_curve(LADDER, [saturating(r) for r in LADDER], higher_is_better=False)
    for rate in (90, 300, 620, 3000):
        assert equivalent(curve, saturating(rate)).kbps == pytest.approx(rate, rel=0.02)
        there = equivalent(curve, interpolate(curve, rate))
        assert there.kbps == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize("index", range(len(LADDER)))
def test_the_ladders_own_points_come_back(index):
    curve = psnr_curve()
    assert equivalent(curve, curve.values[index]).kbps == LADDER[index]


def test_outside_the_ladder_nothing_is_extrapolated():
    worse = equivalent(psnr_curve(), 10 * math.log10(74))
    better = equivalent(psnr_curve(), 10 * math.log10(4001))
    assert (worse.where, worse.kbps) == (BELOW, 75)
    assert (better.where, better.kbps) == (BEYOND, 4000)
    assert str(worse) == "below the ladder (< 75)"
    assert str(better) == "beyond the ladder (> 4000)"
    with pytest.raises(ValueError, match="5000 kbit/s; the curve reaches from 75 to 4000"):
        interpolate(psnr_curve(), 5000)


def test_a_curve_that_falls_is_refused_or_its_envelope_taken():
    rates, values = (100, 200, 300, 400), (30.0, 33.0, 32.0, 36.0)
    with pytest.raises(ValueError, match="not monotone: 32 at 300 kbit/s"):
        make_curve(rates, values, higher_is_better=True)
    curve = make_curve(rates, values, higher_is_better=True, non_monotone="envelope")
    assert curve.rates == (100, 200, 400)
    assert curve.dropped == ((300, 32.0),)
    # 32 is reached for the first time between 100 and 200, not at 300.
    assert 100 < equivalent(curve, 32.0).kbps < 200


def test_points_come_in_any_order_and_of_two_at_one_rate_the_better_counts():
    curve = make_curve(
        (400, 100, 200, 200),
        (0.1, 0.4, 0.3, 0.2),
        higher_is_better=False,
        non_monotone="envelope",
    )
    assert (curve.rates, curve.values) == ((100, 200, 400), (0.4, 0.2, 0.1))


@pytest.mark.parametrize(
    ("rates", "values", "message"),
    [
        ((100,), (1.0,), "at least 2"),
        ((100, 200), (1.0, math.nan), "value nan at 200"),
        ((100, 200), (1.0, math.inf), "value inf at 200"),
        ((0, 200), (1.0, 2.0), "at 0 kbit/s"),
        ((100, 200), (1.0, 1.0), "never gets better than at 100 kbit/s"),
    ],
)
def test_ladders_that_are_none(rates, values, message):
    with pytest.raises(ValueError, match=message):
        make_curve(rates, values, higher_is_better=True, non_monotone="envelope")


def test_the_pooled_rate_is_the_geometric_mean():
    pooled = pool([Equivalent(INSIDE, rate) for rate in (100, 400, 800)])
    assert pooled.kbps == pytest.approx((100 * 400 * 800) ** (1 / 3))
    assert (pooled.bound, pooled.inside, pooled.below, pooled.beyond) == ("=", 3, 0, 0)
    assert 100 <= pooled.low < pooled.kbps < pooled.high <= 800


def test_clips_outside_make_the_mean_a_bound_or_none():
    inside, below, beyond = (
        Equivalent(INSIDE, 400.0),
        Equivalent(BELOW, 100.0),
        Equivalent(BEYOND, 4000.0),
    )
    assert pool([inside, beyond]).bound == ">"
    assert pool([inside, beyond]).kbps == pytest.approx(math.sqrt(400 * 4000))
    assert str(pool([inside, below])).startswith("< 200")
    assert pool([inside, below, beyond]).kbps is None
    assert str(pool([below, beyond])) == "no mean: 1 below, 1 beyond the ladder"


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        rates = np.exp(rng.normal(math.log(500), 0.4, 30))
        pooled = pool([Equivalent(INSIDE, r) for r in rates], resamples=400, seed=trial)
        covered += pooled.low <= 500 <= pooled.high
    # 95 % of 200 are 190, with a deviation of 3; percentile intervals of 30 are a little short.
    assert 176 <= covered <= 199


def test_the_interval_is_the_same_on_every_run_and_none_for_one_clip():
    clips = [Equivalent(INSIDE, rate) for rate in (100.0, 150.0, 400.0)]
    assert pool(clips) == pool(clips)
    assert pool(clips[:1]).low is None
    with pytest.raises(ValueError, match="0 clips"):
        pool([])
