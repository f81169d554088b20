"""How often the intervals hold the truth, over many simulated studies."""

import dataclasses
import math

import numpy as np
from tqdm import tqdm

from supervegan_jax.evaluation.results import format_columns
from supervegan_jax.study.analysis.ballots import Condition, make_ballots
from supervegan_jax.study.analysis.equivalency import (
    ABOVE,
    BELOW,
    Equivalency,
    Options,
    Place,
    find_equivalents,
)
from supervegan_jax.study.analysis.screening import Rules, screen
from supervegan_jax.study.simulation.observers import Population, simulate_study


@dataclasses.dataclass
class Coverage:
    """What became of the studies, one entry each in every list.

    Attributes:
      covered: by condition whether the interval holds the truth.
      too_low, too_high: numbers of intervals that end below, or begin above the truth.
      errors: by condition ln(found / truth); NaN beyond the ladder.
      widths: by condition ln(high / low); infinite if an end lies beyond the ladder.
      caught, clickers: clickers dropped, and all.
      lost, honest: honest observers dropped, and all.
    """

    covered: list[list[bool]] = dataclasses.field(default_factory=list)
    too_low: int = 0
    too_high: int = 0
    errors: list[list[float]] = dataclasses.field(default_factory=list)
    widths: list[list[float]] = dataclasses.field(default_factory=list)
    caught: int = 0
    clickers: int = 0
    lost: int = 0
    honest: int = 0

    @property
    def share(self) -> float:
        """Of intervals that hold the truth."""
        return float(np.mean(self.covered))

    @property
    def deviation(self) -> float:
        """Standard error of the share: conditions of one study share observers and clips."""
        of_studies = np.mean(self.covered, axis=1)
        return float(of_studies.std(ddof=1) / math.sqrt(len(of_studies)))


def ends(row: Equivalency) -> tuple[float, float]:
    """The interval, 0 and infinity standing for what lies beyond the ladder."""
    if row.low is None or row.high is None:
        raise ValueError(f"{row.condition}: no interval")
    return _number(row.low), _number(row.high)


def _number(place: Place) -> float:
    outside = {BELOW: 0.0, ABOVE: math.inf}
    return outside[str(place.beyond)] if place.kbps is None else place.kbps


def measure_coverage(
    population: Population, studies: int, rules: Rules, options: Options, seed: int = 0
) -> Coverage:
    """Simulates, screens and analyses studies as `study analyse` does.

    Args:
      population: of each study.
      studies: their number.
      rules: of the screening.
      options: of the analysis; each study resamples with a seed of its own.
      seed: of the studies.
    """
    result = Coverage()
    for number in tqdm(range(studies), desc="studies", disable=None, leave=False):
        study = simulate_study(population, [seed, number])
        screening = screen(study.votes, rules)
        _count_screening(result, set(screening.dropped), study.clickers, population.observers)
        kept = set(screening.kept)
        ballots = make_ballots([vote for vote in study.votes if vote.observer in kept])
        own = dataclasses.replace(options, seed=options.seed + number)
        _count_intervals(result, find_equivalents(ballots, own), study.truth)
    return result


def _count_screening(
    result: Coverage, dropped: set[str], clickers: frozenset[str], observers: int
) -> None:
    result.clickers += len(clickers)
    result.caught += len(dropped & clickers)
    result.honest += observers - len(clickers)
    result.lost += len(dropped - clickers)


def _count_intervals(
    result: Coverage, rows: list[Equivalency], truth: dict[Condition, float]
) -> None:
    covered, errors, widths = [], [], []
    for row in rows:
        (low, high), true = ends(row), truth[row.condition]
        covered.append(low <= true <= high)
        result.too_low += high < true
        result.too_high += low > true
        found = None if row.equivalent is None else row.equivalent.kbps
        errors.append(math.nan if found is None else math.log(found / true))
        widths.append(math.log(high / low) if 0 < low <= high < math.inf else math.inf)
    result.covered.append(covered)
    result.errors.append(errors)
    result.widths.append(widths)


def to_text(result: Coverage, population: Population, confidence: float) -> str:
    """The result as lines."""
    by_condition = np.mean(result.covered, axis=0)
    errors = np.array(result.errors)
    inside = np.isfinite(errors)
    rows = [
        ["intervals that hold the truth", f"{100 * result.share:.1f} %"],
        ["  wanted", f"{100 * confidence:g} %"],
        ["  standard error of this share", f"{100 * result.deviation:.1f} %"],
        [
            "  lowest and highest of a condition",
            f"{100 * by_condition.min():.1f} to {100 * by_condition.max():.1f} %",
        ],
        ["  end below it, begin above it", f"{result.too_low}, {result.too_high}"],
        ["median of high / low", f"{math.exp(np.median(result.widths)):.2f}"],
        ["found / true bitrate, geometric mean", f"{math.exp(errors[inside].mean()):.3f}"],
        ["points beyond the ladder", f"{(~inside).sum()} of {errors.size}"],
        ["clickers dropped", f"{result.caught} of {result.clickers}"],
        ["honest observers dropped", f"{result.lost} of {result.honest}"],
    ]
    title = (
        f"{len(result.covered)} studies of {population.clips} clips, {population.pairs} pairs, "
        f"{population.votes} votes, {population.observers} observers, "
        f"{len(by_condition)} conditions"
    )
    return title + "\n" + format_columns(rows[0], rows[1:])


def to_content(result: Coverage, population: Population) -> dict[str, object]:
    """The result as JSON can say it."""
    return {
        "version": 1,
        "studies": len(result.covered),
        "population": dataclasses.asdict(population),
        "coverage": result.share,
        "standard_error": result.deviation,
        "by_condition": [float(share) for share in np.mean(result.covered, axis=0)],
        "too_low": result.too_low,
        "too_high": result.too_high,
        "clickers": result.clickers,
        "clickers_dropped": result.caught,
        "honest": result.honest,
        "honest_dropped": result.lost,
    }
