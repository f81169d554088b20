"""How far a study has come."""

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from supervegan_jax.study.folder import Plan
from supervegan_jax.study.votes import Vote


def summarize(plan: Plan, votes: Sequence[Vote], observers: int) -> dict[str, Any]:
    """What the admin page shows.

    Args:
      plan: of the study.
      votes: all so far.
      observers: who agreed to take part.

    Returns:
      JSON values: observers, those who came to their plan's end, votes and how many the plan asks
      for, the fewest, median and most votes of a plain pair, the share of catch pairs answered as
      expected (None before the first), the share of left choices, and one row a condition.
    """
    by_observer = Counter(vote.observer for vote in votes)
    plain = Counter(vote.pair for vote in votes if vote.kind == "plain")
    counts = [plain[pair.id] for pair in plan.pairs.values() if pair.correct is None]
    caught = [vote.prefer == vote.correct for vote in votes if vote.kind == "catch"]
    left = [vote.choice == "left" for vote in votes if vote.choice is not None]
    return {
        "observers": observers,
        "finished": sum(count >= len(plan.observers[0]) for count in by_observer.values()),
        "planned_observers": len(plan.observers),
        "votes": len(votes),
        "planned_votes": sum(map(len, plan.observers)),
        "last_vote_at": max((vote.given_at or "" for vote in votes), default=None),
        "pair_votes": {
            "fewest": min(counts),
            "median": statistics.median(counts),
            "most": max(counts),
            "planned": plan.settings["counts"]["votes_per_pair"],
        },
        "catches_right": statistics.fmean(caught) if caught else None,
        "left_chosen": statistics.fmean(left) if left else None,
        "conditions": _conditions(votes),
    }


def _conditions(votes: Sequence[Vote]) -> list[dict[str, Any]]:
    """Votes of plain trials by network, input bitrate and reference bitrate."""
    asked: Counter[tuple[str, float, float]] = Counter()
    model: Counter[tuple[str, float, float]] = Counter()
    for vote in votes:
        if vote.kind == "plain":
            condition = (vote.model, vote.input_kbps, vote.reference_kbps)
            asked[condition] += 1
            model[condition] += vote.prefer == "model"
    return [
        {
            "model": name,
            "input_kbps": input_kbps,
            "reference_kbps": reference_kbps,
            "votes": asked[name, input_kbps, reference_kbps],
            "for_model": model[name, input_kbps, reference_kbps],
        }
        for name, input_kbps, reference_kbps in sorted(asked)
    ]
