"""Which observers are dropped, by rules computed by hand."""

import dataclasses

import pytest

from supervegan_jax.study.analysis.screening import Rules, screen
from supervegan_jax.study.votes import ORIGINAL, Vote, other_side


def vote(
    observer: str, trial: int, prefer: str, *, side: str | None = None, **more: object
) -> Vote:
    pair = str(more.pop("pair", f"p{trial}"))
    choice = side if prefer == "model" or side is None else other_side(side)
    made = Vote(observer, "c", "net", 350, 750, prefer, trial, pair, "plain", side, choice)
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


def catches(observer: str, right: int, wrong: int) -> list[Vote]:
    answers = ["model"] * right + ["reference"] * wrong
    return [
        vote(observer, 100 + i, a, kind="catch", correct="model", model=ORIGINAL, input_kbps=0.0)
        for i, a in enumerate(answers)
    ]


def test_catch_pairs_drop_whom_a_binomial_test_refutes():
    # P(X <= 7 of 10 | 0.95) = 0.0115, P(X <= 8 of 10 | 0.95) = 0.0861
    votes = [*catches("poor", 7, 3), *catches("fair", 8, 2)]
    assert screen(votes, Rules()).dropped == {"poor": ("7 of 10 catch pairs right",)}
    assert screen(votes, Rules(level=0.01)).dropped == {}
    assert set(screen(votes, Rules(level=0.09)).dropped) == {"poor", "fair"}


def test_few_answers_drop_nobody():
    # P(X <= 0 of 1 | 0.95) = 0.05 is not less than 0.05.
    assert screen(catches("new", 0, 1), Rules(catch_rate=0.94)).dropped == {}


def test_repeats_are_held_against_what_the_others_let_expect():
    """Everybody prefers the model on every pair at first."""
    votes = [vote(f"o{i}", t, "model", pair=f"p{t}") for i in range(10) for t in range(6)]
    for name, alike in (("steady", 6), ("mixed", 4), ("fickle", 3)):
        votes += [vote(name, t, "model", pair=f"p{t}") for t in range(6)]
        answers = ["model"] * alike + ["reference"] * (6 - alike)
        votes += [
            vote(name, 10 + t, answer, pair=f"p{t}", kind="repeat")
            for t, answer in enumerate(answers)
        ]
    # Of twelve others and one vote each way p = 1/14, so (1 + 13^2) / 14^2 = 0.867 of the repeats
    # agree: P(X <= 4 of 6) = 0.184 and P(X <= 3 of 6) = 0.036.
    found = screen(votes, Rules())
    assert found.dropped == {"fickle": ("3 of 6 repeated pairs alike, 5.2 expected",)}


def test_on_pairs_that_nobody_can_tell_apart_inconsistency_is_no_fault():
    votes = [
        vote(f"o{i}", t, ("model", "reference")[i % 2], pair=f"p{t}")
        for i in range(20)
        for t in range(6)
    ]
    votes += [vote("new", t, "model", pair=f"p{t}") for t in range(6)]
    answers = ["reference"] * 4 + ["model"] * 2
    votes += [vote("new", 9 + t, a, pair=f"p{t}", kind="repeat") for t, a in enumerate(answers)]
    assert screen(votes, Rules()).dropped == {}


def test_sides():
    """Always the left: refuted at 0.65 from 7 answers on (0.65^7 = 0.049), not at 6 (0.075)."""

    def clicks(observer: str, count: int) -> list[Vote]:
        sides = [("left", "right")[t % 2] for t in range(count)]
        answers = ["model" if side == "left" else "reference" for side in sides]
        return [
            vote(observer, t, a, side=s)
            for t, (a, s) in enumerate(zip(answers, sides, strict=True))
        ]

    found = screen([*clicks("seven", 7), *clicks("six", 6)], Rules())
    assert found.dropped == {"seven": ("7 of 7 answers on the left",)}
    # Where the model always stands at the left, preferring it is no bias.
    fan = [vote("fan", t, "model", side="left") for t in range(30)]
    assert screen(fan, Rules()).dropped == {}


def test_what_cannot_be_screened_is_told():
    plain = [vote("a", 1, "model"), vote("b", 1, "reference")]
    found = screen(plain, Rules())
    assert found.kept == ("a", "b")
    assert [line.split(":")[0] for line in found.not_run] == [
        "catch pairs",
        "consistency",
        "side bias",
    ]
    with pytest.raises(ValueError, match="catch rate 1; accepted is at least 0"):
        Rules(catch_rate=1)
