"""Which observers are left out, and by which rule.

Each rule is a one-sided exact binomial test of one observer: is the observer's own rate worse than
what is accepted? Few answers therefore never drop anybody, whatever they are.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence

from scipy.stats import binom

from supervegan_jax.study.votes import Vote

# Answers on a side that an observer needs at least, as a share of all, for the test of sides: where
# the model nearly always stands on one side, a preference and a side are the same thing.
_BALANCE = 0.25


@dataclasses.dataclass(frozen=True)
class Rules:
    """What is accepted of an observer.

    Attributes:
      catch_rate: of catch pairs answered as is known to be right.
      side_share: of all answers on the side that is chosen more often.
      level: of each test: the share of barely acceptable observers that are dropped.
    """

    catch_rate: float = 0.95
    side_share: float = 0.65
    level: float = 0.05

    def __post_init__(self) -> None:
        for name, low in (("catch_rate", 0.5), ("side_share", 0.5), ("level", 0.0)):
            value = getattr(self, name)
            if not low <= value < 1:
                accepted = f"at least {low:g} and less than 1"
                raise ValueError(f"{name.replace('_', ' ')} {value:g}; accepted is {accepted}")

    def text(self) -> str:
        """The rules in words."""
        return (
            f"dropped is whose rate is worse than accepted by a one-sided exact binomial test at "
            f"the level {self.level:g}: catch pairs right, accepted {self.catch_rate:g}; repeated "
            f"pairs answered alike, accepted what the other observers' votes on these pairs let "
            f"expect; answers on one side, accepted {self.side_share:g}"
        )


@dataclasses.dataclass(frozen=True)
class Screening:
    """Who stays.

    Attributes:
      rules: by which.
      kept: observers.
      dropped: reasons by observer.
      not_run: the screens that could test nobody, with why.
    """

    rules: Rules
    kept: tuple[str, ...]
    dropped: dict[str, tuple[str, ...]]
    not_run: tuple[str, ...]


def screen(votes: Sequence[Vote], rules: Rules) -> Screening:
    """Tests every observer by catch pairs, repeated pairs and sides."""
    mine: dict[str, list[Vote]] = {}
    for vote in votes:
        mine.setdefault(vote.observer, []).append(vote)
    first, references = _first_votes(votes)
    not_run = []
    if not any(vote.kind == "catch" for vote in votes):
        not_run.append("catch pairs: there are none among the votes")
    if not any(vote.kind == "repeat" for vote in votes):
        not_run.append("consistency: nobody voted twice on a pair")
    if not any(_sides_known(vote) for vote in votes):
        not_run.append("side bias: the votes do not say what stood where")
    dropped = {}
    for observer, some in mine.items():
        found = (
            _catch_reason(some, rules),
            _consistency_reason(some, first, references, rules),
            _side_reason(some, rules),
        )
        reasons = tuple(reason for reason in found if reason)
        if reasons:
            dropped[observer] = reasons
    kept = tuple(observer for observer in mine if observer not in dropped)
    return Screening(rules, kept, dropped, tuple(not_run))


def _first_votes(
    votes: Sequence[Vote],
) -> tuple[dict[tuple[str, str], str], dict[str, Counter[str]]]:
    """Everybody's first preference on each pair, and by pair how often each was given."""
    first: dict[tuple[str, str], str] = {}
    counts: dict[str, Counter[str]] = {}
    for vote in votes:
        if vote.kind != "catch" and (vote.observer, vote.pair) not in first:
            first[vote.observer, vote.pair] = vote.prefer
            counts.setdefault(vote.pair, Counter())[vote.prefer] += 1
    return first, counts


def _catch_reason(votes: Sequence[Vote], rules: Rules) -> str | None:
    caught = [vote for vote in votes if vote.kind == "catch"]
    right = sum(vote.prefer == vote.correct for vote in caught)
    if binom.cdf(right, len(caught), rules.catch_rate) < rules.level:
        return f"{right} of {len(caught)} catch pairs right"
    return None


def _consistency_reason(
    votes: Sequence[Vote],
    first: dict[tuple[str, str], str],
    counts: dict[str, Counter[str]],
    rules: Rules,
) -> str | None:
    """Compares an observer's repeated answers with how clear the pairs are to the others.

    Who votes like the others, with probability p for the reference, agrees with herself with
    p^2 + (1 - p)^2; p is taken from the others' votes, one vote each way added.
    """
    repeats = [v for v in votes if v.kind == "repeat" and (v.observer, v.pair) in first]
    if not repeats:
        return None
    alike, expected = 0, 0.0
    for vote in repeats:
        own = first[vote.observer, vote.pair]
        alike += vote.prefer == own
        others = counts[vote.pair]
        count = others.total() - 1
        share = (others["reference"] - (own == "reference") + 1) / (count + 2)
        expected += share**2 + (1 - share) ** 2
    if binom.cdf(alike, len(repeats), expected / len(repeats)) < rules.level:
        return f"{alike} of {len(repeats)} repeated pairs alike, {expected:.1f} expected"
    return None


def _sides_known(vote: Vote) -> bool:
    return vote.choice is not None and vote.model_side is not None


def _side_reason(votes: Sequence[Vote], rules: Rules) -> str | None:
    known = [vote for vote in votes if _sides_known(vote)]
    at_left = sum(vote.model_side == "left" for vote in known)
    if min(at_left, len(known) - at_left) < _BALANCE * len(known):
        return None
    left = sum(vote.choice == "left" for vote in known)
    most = max(left, len(known) - left)
    if binom.sf(most - 1, len(known), rules.side_share) < rules.level:
        side = "left" if left == most else "right"
        return f"{most} of {len(known)} answers on the {side}"
    return None
