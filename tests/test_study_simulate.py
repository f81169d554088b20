"""Simulated studies: what they are of, and how often the intervals hold the truth."""

import dataclasses
import json

import numpy as np
import pytest

from supervegan_jax.study.__main__ import main
from supervegan_jax.study.analysis.ballots import make_ballots
from supervegan_jax.study.analysis.equivalency import Options, find_equivalents
from supervegan_jax.study.analysis.screening import Rules, screen
from supervegan_jax.study.simulation.coverage import measure_coverage
from supervegan_jax.study.simulation.observers import (
    LADDER,
    Population,
    simulate_study,
    to_csv,
    true_bitrates,
)
from supervegan_jax.study.votes import read_votes

SMALL = Population(clips=8, models=1, inputs=3, pairs=264, votes=2200, observers=60)


def test_the_truth_lies_on_the_ladder_and_gains_fall():
    truth = true_bitrates(Population())
    assert len(truth) == 22
    assert all(LADDER[0] < kbps < LADDER[-1] for kbps in truth.values())
    gains = [kbps / condition.input_kbps for condition, kbps in truth.items()][:11]
    assert gains == sorted(gains, reverse=True)
    assert (gains[0], gains[-1]) == (pytest.approx(2.2), pytest.approx(0.9))


def test_of_very_many_clips_and_observers_the_points_are_the_truth():
    """So the simulated point is the population's, whatever clips, observers and lapses do."""
    many = Population(
        clips=1500, models=1, inputs=3, pairs=20_000, votes=40_000, observers=1000, catches=0,
        repeats=0,
    )  # fmt: skip
    study = simulate_study(many, 0)
    for row in find_equivalents(make_ballots(study.votes), Options(resamples=50)):
        assert row.equivalent.kbps == pytest.approx(study.truth[row.condition], rel=0.05)


def test_a_study_is_what_was_asked_for():
    study = simulate_study(SMALL, 1)
    kinds = [vote.kind for vote in study.votes]
    assert (kinds.count("catch"), kinds.count("repeat")) == (600, 360)
    assert 2150 < kinds.count("plain") <= 2200
    assert len({v.pair for v in study.votes if v.kind == "plain"}) == 264
    assert study.votes == simulate_study(SMALL, 1).votes
    assert study.votes != simulate_study(SMALL, 2).votes


def test_most_clickers_are_dropped_and_few_others():
    whole = dataclasses.replace(SMALL, observers=300, votes=11_000, random=0.2, one_sided=0.2)
    study = simulate_study(whole, 3)
    dropped = set(screen(study.votes, Rules()).dropped)
    assert len(study.clickers) > 80
    assert len(dropped & study.clickers) > 0.9 * len(study.clickers)
    assert len(dropped - study.clickers) < 0.05 * (300 - len(study.clickers))


def test_votes_are_written_as_they_are_read(tmp_path, capsys):
    flags = ["--clips", "8", "--models", "1", "--inputs", "3", "--pairs", "264"]
    flags += ["--votes", "2200", "--observers", "60"]
    main(["simulate", "--write", str(tmp_path / "votes.csv"), *flags])
    study = simulate_study(SMALL, 0)
    assert read_votes(tmp_path / "votes.csv") == study.votes
    assert (tmp_path / "votes.csv").read_text() == to_csv(study.votes)
    assert "model1 at 150 kbit/s: 330" in capsys.readouterr().out
    main(["simulate", "--studies", "3", "--json", str(tmp_path / "c.json"), *flags])
    found = json.loads((tmp_path / "c.json").read_text())
    assert found["studies"] == 3
    assert found["coverage"] == pytest.approx(np.mean(found["by_condition"]))
    assert found["too_low"] + found["too_high"] == round(9 * (1 - found["coverage"]))
    assert "3 studies of 8 clips, 264 pairs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--studies", "1"], "studies 1, seed 0; accepted are at least 2"),
        (["--clips", "0"], "clips 0; at least 1 is accepted"),
        (["--pairs", "9999"], "pairs 9999; 5566 are possible"),
        (["--models", "7"], "models 7; at most 2 are accepted"),
        (["--random", "0.6", "--one-sided", "0.6"], "at most 1"),
        (["--clip-spread", "nan"], "clip_spread nan; accepted is 0 to 10"),
        (["--catches", "-1"], "catches -1; at least 0"),
        (["--votes", "9999999"], "votes 9999999; nobody votes twice"),
        (["--resamples", "5"], "resamples 5; accepted is 50"),
    ],
)
def test_populations_that_are_none(flags, said):
    with pytest.raises(ValueError, match=said):
        main(["simulate", *flags])


@pytest.mark.slow
@pytest.mark.parametrize("clips", [8, 23])
def test_the_interval_holds_the_truth_in_95_percent_of_300_studies(clips):
    population = dataclasses.replace(
        SMALL, clips=clips, pairs=33 * clips, votes=280 * clips, observers=8 * clips
    )
    found = measure_coverage(population, 300, Rules(), Options(resamples=300))
    assert 0.92 <= found.share <= 0.98
    assert found.caught > 0.9 * found.clickers
    assert found.lost < 0.03 * found.honest
