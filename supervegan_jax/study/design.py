"""Who is shown what, where and when: every observer's trials, balanced and random by a seed."""

import dataclasses
import random
from collections.abc import Sequence

from supervegan_jax.study.votes import SIDES, other_side


@dataclasses.dataclass(frozen=True)
class Trial:
    """One pair shown to one observer.

    Attributes:
      pair: its identifier.
      kind: "plain", "repeat" or "catch".
      model_side: "left" or "right".
    """

    pair: str
    kind: str
    model_side: str


@dataclasses.dataclass(frozen=True)
class Counts:
    """How much an observer is shown.

    Attributes:
      trials: pairs, each another.
      repeats: of them shown once more in the second half, with the sides exchanged.
      catches: pairs whose answer is known.
      votes_per_pair: at least so many observers are shown each pair.
    """

    trials: int = 20
    repeats: int = 3
    catches: int = 2
    votes_per_pair: int = 8

    def __post_init__(self) -> None:
        for name, least in (("trials", 2), ("repeats", 0), ("catches", 0), ("votes_per_pair", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name.replace('_', ' ')} {getattr(self, name)}; at least {least} is accepted"
                )
        if self.repeats > self.trials // 2:
            raise ValueError(
                f"repeats {self.repeats} of {self.trials} trials; at most half are accepted, so "
                "that the others can stand between"
            )


def draw_plans(
    pairs: Sequence[str], catches: Sequence[str], counts: Counts, seed: int
) -> list[list[Trial]]:
    """The trials of as many observers as give every pair its votes.

    Over all plans every pair is shown equally often (one more at most) and with the model at the
    left as often as at the right (one more at most). In every plan the model stands at the left in
    half of the plain trials (one more at most) and in half of the catch pairs (one more at most).

    Args:
      pairs: identifiers.
      catches: identifiers of the catch pairs.
      counts: of an observer's trials.
      seed: decides everything that is random.

    Raises:
      ValueError: fewer pairs or catch pairs than an observer is to be shown.
    """
    for name, wanted, there in (
        ("trials", counts.trials, pairs),
        ("catches", counts.catches, catches),
    ):
        if wanted > len(there):
            raise ValueError(f"{name} {wanted}; such pairs to show: {len(there)}")
    rng = random.Random(seed)
    observers = -(-len(pairs) * counts.votes_per_pair // counts.trials)
    hands = _deal(pairs, observers, counts.trials, rng)
    caught = _deal(catches, observers, counts.catches, rng)
    sides = _balanced_sides(hands, rng)
    catch_sides = _balanced_sides(caught, rng)
    return [
        _order(
            [Trial(pair, "plain", side) for pair, side in zip(hand, sides[place], strict=True)],
            [Trial(c, "catch", s) for c, s in zip(caught[place], catch_sides[place], strict=True)],
            counts,
            rng,
        )
        for place, hand in enumerate(hands)
    ]


def _deal(cards: Sequence[str], hands: int, size: int, rng: random.Random) -> list[list[str]]:
    """Hands of different cards from shuffled decks, a new one whenever one is used up."""
    dealt: list[list[str]] = []
    deck: list[str] = []
    for _ in range(hands):
        hand: list[str] = []
        while len(hand) < size:
            if not deck:
                deck = rng.sample(cards, len(cards))
            hand.append(deck.pop(next(i for i, card in enumerate(deck) if card not in hand)))
        dealt.append(hand)
    return dealt


def _balanced_sides(hands: Sequence[Sequence[str]], rng: random.Random) -> list[list[str]]:
    """A side for each card of each hand, so that hands and cards have half of each.

    Cards are matched in twos within a hand, and the showings of a card in twos over all hands;
    matched ones get opposite sides. Two matchings together are paths and circles of even length,
    so that going along them in turns always succeeds.
    """
    showings = [(hand, place) for hand, cards in enumerate(hands) for place in range(len(cards))]
    within: dict[tuple[int, int], tuple[int, int]] = {}
    across: dict[tuple[int, int], tuple[int, int]] = {}
    waiting: dict[str, tuple[int, int]] = {}
    for hand, place in showings:
        card = hands[hand][place]
        if place % 2:
            within[hand, place], within[hand, place - 1] = (hand, place - 1), (hand, place)
        if card in waiting:
            other = waiting.pop(card)
            across[hand, place], across[other] = other, (hand, place)
        else:
            waiting[card] = (hand, place)
    found: dict[tuple[int, int], str] = {}
    for start in showings:
        if start in found:
            continue
        found[start] = rng.choice(SIDES)
        for first, second in ((within, across), (across, within)):
            here, links = start, (first, second)
            while (there := links[0].get(here)) is not None and there not in found:
                found[there] = other_side(found[here])
                here, links = there, (links[1], links[0])
    return [[found[hand, place] for place in range(len(cards))] for hand, cards in enumerate(hands)]


def _order(
    plain: list[Trial], catches: list[Trial], counts: Counts, rng: random.Random
) -> list[Trial]:
    """Catch pairs anywhere but first, repeats of the first half's pairs in the second half."""
    half = len(plain) // 2
    again = rng.sample(plain[:half], counts.repeats)
    later = [Trial(t.pair, "repeat", other_side(t.model_side)) for t in again]
    rest = plain[half:]
    for trial in later:
        rest.insert(rng.randint(1, len(rest)), trial)
    order = plain[:half] + rest
    for trial in catches:
        order.insert(rng.randint(1, len(order)), trial)
    return order
