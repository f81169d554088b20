"""Plans of observers: what is balanced is counted, what is random follows from the seed."""

import collections

import pytest

from supervegan_jax.study.design import Counts, draw_plans

PAIRS = [f"p{number}" for number in range(47)]
CATCHES = ["c0", "c1", "c2"]


def counted(plans, kind, key):
    return collections.Counter(key(t) for plan in plans for t in plan if t.kind == kind)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("trials", [4, 7, 20, 47])
def test_pairs_sides_and_observers_are_balanced(trials, seed):
    counts = Counts(trials=trials, repeats=2, catches=3, votes_per_pair=5)
    plans = draw_plans(PAIRS, CATCHES, counts, seed)
    assert len(plans) == -(-47 * 5 // trials)  # 59, 34, 12, 5
    shown = counted(plans, "plain", lambda t: t.pair)
    assert set(shown) == set(PAIRS)
    assert min(shown.values()) >= 5
    assert max(shown.values()) - min(shown.values()) <= 1
    left = counted(plans, "plain", lambda t: (t.pair, t.model_side))
    assert all(abs(left[pair, "left"] - left[pair, "right"]) <= 1 for pair in PAIRS)
    catch_left = counted(plans, "catch", lambda t: (t.pair, t.model_side))
    assert all(abs(catch_left[c, "left"] - catch_left[c, "right"]) <= 1 for c in CATCHES)
    for plan in plans:
        plain = [t for t in plan if t.kind == "plain"]
        assert len({t.pair for t in plain}) == len(plain) == trials
        for kind in ("plain", "catch"):
            sides = collections.Counter(t.model_side for t in plan if t.kind == kind)
            assert abs(sides["left"] - sides["right"]) <= 1
        assert len(plan) == trials + 2 + 3
        assert plan[0].kind == "plain"


def test_repeats_come_later_with_the_sides_exchanged_and_never_at_once():
    counts = Counts(trials=10, repeats=5, catches=1)
    for plan in draw_plans(PAIRS, CATCHES, counts, 3):
        repeats = [t for t in plan if t.kind == "repeat"]
        assert len({t.pair for t in repeats}) == 5
        for repeat in repeats:
            first = next(t for t in plan if t.pair == repeat.pair and t.kind == "plain")
            assert plan.index(repeat) > plan.index(first) + 1
            assert {first.model_side, repeat.model_side} == {"left", "right"}


def test_order_is_random_and_the_seed_decides():
    counts = Counts()
    plans = draw_plans(PAIRS, CATCHES, counts, 1)
    assert plans == draw_plans(PAIRS, CATCHES, counts, 1)
    assert plans != draw_plans(PAIRS, CATCHES, counts, 2)
    # Where a pair stands in a plan does not depend on the pair: the places' mean is the middle.
    many = draw_plans(PAIRS, CATCHES, Counts(trials=20, votes_per_pair=400), 4)
    places = collections.defaultdict(list)
    catch_places = []
    for plan in many:
        for place, trial in enumerate(plan):
            if trial.kind == "plain":
                places[trial.pair].append(place)
            elif trial.kind == "catch":
                catch_places.append(place)
    means = [sum(found) / len(found) for found in places.values()]
    middle = sum(means) / len(means)
    # Standard error: 7.2 / sqrt(400) = 0.36.
    assert all(abs(mean - middle) < 4 * 0.36 for mean in means)
    assert max(catch_places) == 24 and min(catch_places) == 1


def test_a_plan_of_the_papers_size_is_drawn_quickly():
    pairs = [str(number) for number in range(5221)]
    plans = draw_plans(pairs, CATCHES, Counts(votes_per_pair=9), 0)
    assert len(plans) == 2350
    assert sum(t.kind == "plain" for plan in plans for t in plan) == 47000


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": 1}, "trials 1; at least 2"),
        ({"repeats": 11}, "repeats 11 of 20 trials; at most half"),
        ({"catches": -1}, "catches -1; at least 0"),
        ({"votes_per_pair": 0}, "votes per pair 0; at least 1"),
    ],
)
def test_counts_that_make_no_sense_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Counts(**changes)


def test_more_trials_than_pairs_are_refused():
    with pytest.raises(ValueError, match="trials 48; such pairs to show: 47"):
        draw_plans(PAIRS, CATCHES, Counts(trials=48), 0)
    with pytest.raises(ValueError, match="catches 4; such pairs to show: 3"):
        draw_plans(PAIRS, CATCHES, Counts(catches=4), 0)
