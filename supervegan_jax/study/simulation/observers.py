"""Simulated people with known preferences, who vote as in a study.

An observer prefers the reference with the probability

    lapse / 2 + (1 - lapse) / (1 + exp(-s (ln r - m - u - c - d)))

at reference bitrate r. m is the condition's log equivalent bitrate; u, c and d move it for the
observer, the clip, and the clip under this condition; s is the observer's sensitivity. u, c and d
are normal with mean 0 and independent of the rest, so the share of votes over all observers and
clips there could be is exactly 50 % at r = exp(m), the truth that an analysis has to find.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Sequence

import numpy as np

from supervegan_jax.study.analysis.ballots import Condition
from supervegan_jax.study.votes import ORIGINAL, Vote, other_side, pair_name

LADDER = (75, 150, 250, 350, 500, 750, 1000, 1500, 2000, 3000, 4000)
_LOWEST_INPUT, _HIGHEST_INPUT = 150.0, 2000.0
# By what the models multiply the lowest and the highest input bitrate, about as in Fig. 17.
_GAINS = ((2.2, 0.9), (1.6, 1.1))


@dataclasses.dataclass(frozen=True)
class Population:
    """Whom a study asks about what.

    Attributes:
      clips, models, inputs: numbers; every model at every input bitrate is a condition.
      pairs: shown of all (clip, condition, reference), drawn anew for each study.
      votes: on pairs, besides those on catch and repeated pairs.
      observers: who give them.
      catches, repeats: shown to each observer besides.
      random, one_sided: shares of observers who click by chance, or nearly always on one side.
      sensitivity: median s, per unit of ln kbit/s.
      observer_spread, clip_spread, condition_spread: standard deviations of u, c and d.
    """

    clips: int = 23
    models: int = 2
    inputs: int = 11
    pairs: int = 5221
    votes: int = 44_258
    observers: int = 400
    catches: int = 10
    repeats: int = 6
    random: float = 0.05
    one_sided: float = 0.05
    sensitivity: float = 2.5
    observer_spread: float = 0.3
    clip_spread: float = 0.3
    condition_spread: float = 0.15

    def __post_init__(self) -> None:
        for name in ("clips", "models", "inputs", "pairs", "votes", "observers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)}; at least 1 is accepted")
        if self.models > len(_GAINS):
            raise ValueError(f"models {self.models}; at most {len(_GAINS)} are accepted")
        most = self.clips * self.models * self.inputs * len(LADDER)
        if self.pairs > most:
            raise ValueError(f"pairs {self.pairs}; {most} are possible")
        for name in ("catches", "repeats"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)}; at least 0 is accepted")
        spreads = ("observer_spread", "clip_spread", "condition_spread")
        for name in ("random", "one_sided", "sensitivity", *spreads):
            value, most_of_it = (
                getattr(self, name),
                1.0 if name in ("random", "one_sided") else 10.0,
            )
            if not 0 <= value <= most_of_it:
                raise ValueError(f"{name} {value:g}; accepted is 0 to {most_of_it:g}")
        if self.random + self.one_sided > 1:
            raise ValueError(f"random {self.random:g} and one_sided {self.one_sided:g}; at most 1")
        if self.votes > self.pairs * self.observers:
            raise ValueError(f"votes {self.votes}; nobody votes twice on a pair but for repeats")


@dataclasses.dataclass(frozen=True)
class Study:
    """A simulated study.

    Attributes:
      votes: of everybody.
      truth: the equivalent bitrate by condition, kbit/s.
      clickers: observers who click by chance or on one side.
    """

    votes: list[Vote]
    truth: dict[Condition, float]
    clickers: frozenset[str]


def true_bitrates(population: Population) -> dict[Condition, float]:
    """The equivalent bitrate of every condition."""
    inputs = np.geomspace(_LOWEST_INPUT, _HIGHEST_INPUT, population.inputs).round()
    truth = {}
    for model, (first, last) in enumerate(_GAINS[: population.models]):
        for kbps in inputs:
            part = math.log(kbps / _LOWEST_INPUT) / math.log(_HIGHEST_INPUT / _LOWEST_INPUT)
            gain = first ** (1 - part) * last**part
            truth[Condition(f"model{model + 1}", float(kbps))] = float(kbps * gain)
    return truth


def simulate_study(population: Population, seed: int | Sequence[int]) -> Study:
    """Simulates everybody's votes."""
    rng = np.random.default_rng(seed)
    truth = true_bitrates(population)
    conditions, clips = list(truth), population.clips
    grid = np.indices((clips, len(conditions), len(LADDER))).reshape(3, -1).T
    pairs = grid[rng.choice(len(grid), population.pairs, replace=False)]
    of_clips = rng.normal(0, population.clip_spread, clips)[:, None] + rng.normal(
        0, population.condition_spread, (clips, len(conditions))
    )
    points = np.log(list(truth.values())) + of_clips
    # Of each pair's distance from its point, in ln kbit/s.
    distance = np.log(LADDER)[pairs[:, 2]] - points[pairs[:, 0], pairs[:, 1]]
    votes: list[Vote] = []
    clickers = set()
    for number, shown in enumerate(_plan(population, rng)):
        name = f"o{number:04d}"
        kind = rng.choice(3, p=[population.random, population.one_sided, _honest(population)])
        if kind < 2:
            clickers.add(name)
        votes += _votes_of(name, kind, shown, pairs, distance, conditions, population, rng)
    return Study(votes, truth, frozenset(clickers))


def _honest(population: Population) -> float:
    return 1 - population.random - population.one_sided


def _plan(population: Population, rng: np.random.Generator) -> list[np.ndarray]:
    """The pairs each observer sees: all pairs in turn, in a new order each time."""
    rounds = math.ceil(population.votes / population.pairs)
    order = np.concatenate([rng.permutation(population.pairs) for _ in range(rounds)])
    shares = np.array_split(order[: population.votes], population.observers)
    # A round's end and the next one's beginning may hold the same pair.
    return [np.unique(share) for share in shares]


def _votes_of(
    name: str,
    kind: int,
    shown: np.ndarray,
    pairs: np.ndarray,
    distance: np.ndarray,
    conditions: list[Condition],
    population: Population,
    rng: np.random.Generator,
) -> list[Vote]:
    """One observer's votes: of a random clicker (0), a one-sided one (1) or an honest one."""
    repeats = min(population.repeats, len(shown))
    plain = rng.permutation(shown)
    places = np.concatenate([plain, rng.choice(plain, repeats, replace=False)])
    count = len(places) + population.catches
    model_left, draw = rng.random(count) < 0.5, rng.random(count)
    offset, lapse = rng.normal(0, population.observer_spread), rng.beta(1, 19)
    sensitivity = population.sensitivity * math.exp(rng.normal(0, 0.3))
    lean = rng.normal(0, 0.1)  # to the left, in logits
    # Of a catch pair the clip itself is surely preferred, but for lapses.
    predictor = np.full(count, -np.inf)
    predictor[: len(places)] = sensitivity * (distance[places] - offset)
    predictor += np.where(model_left, -lean, lean)
    for_reference = lapse / 2 + (1 - lapse) / (1 + np.exp(-np.clip(predictor, -700, 700)))
    prefers_reference = draw < for_reference
    if kind < 2:
        left = draw < (0.5 if kind == 0 else 0.96)
        prefers_reference = left != model_left
    votes = []
    for trial in range(count):
        side = "left" if model_left[trial] else "right"
        prefer = "reference" if prefers_reference[trial] else "model"
        what: tuple[str, str, float, float]
        if trial < len(places):
            clip, condition, reference = pairs[places[trial]]
            shown_condition = conditions[condition]
            what = (
                f"clip{clip:02d}",
                shown_condition.model,
                shown_condition.input_kbps,
                float(LADDER[reference]),
            )
            kind_of_pair = "plain" if trial < len(plain) else "repeat"
        else:
            what = (f"clip{rng.integers(population.clips):02d}", ORIGINAL, 0.0, float(LADDER[0]))
            kind_of_pair = "catch"
        votes.append(
            Vote(
                name,
                *what,
                prefer,
                trial + 1,
                pair_name(*what),
                kind_of_pair,
                side,
                side if prefer == "model" else other_side(side),
                "model" if kind_of_pair == "catch" else None,
            )
        )
    return votes


def to_csv(votes: Sequence[Vote]) -> str:
    """A study's votes as `read_votes` reads them."""
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(Vote)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for vote in votes:
        values = (getattr(vote, name) for name in names)
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()
