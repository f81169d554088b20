"""What an observer is shown next and which answers count, whatever carries them."""

import secrets
import time
from collections.abc import Callable
from typing import Any

from supervegan_jax.study.ballot_box import BallotBox, now
from supervegan_jax.study.folder import Plan
from supervegan_jax.study.server.guard import pseudonym
from supervegan_jax.study.votes import SIDES

LEAST_SCREEN = (1280, 800)


class Refused(Exception):
    """An answer that does not count: an HTTP status and why."""

    def __init__(self, status: int, reason: str, retry_after: float | None = None):
        super().__init__(reason)
        self.status, self.reason, self.retry_after = status, reason, retry_after


class Poll:
    """A study that is being voted on; may be used from several threads."""

    def __init__(self, plan: Plan, box: BallotBox, clock: Callable[[], float] = time.monotonic):
        self.plan, self._box, self._clock = plan, box, clock
        # When each observer was first shown the trial that is due; lost with the process, then it
        # counts from the first request.
        self._shown: dict[str, tuple[int, float]] = {}

    def begin(self, content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Adds an observer who agreed; gives the secret token and the first state.

        Raises:
          Refused: no consent, or the screen is too small.
        """
        if content.get("consent") is not True:
            raise Refused(400, "consent is needed")
        screen = content.get("screen")
        if not (
            isinstance(screen, list) and len(screen) == 2 and all(type(s) is int for s in screen)
        ):
            raise Refused(400, "screen: width and height are needed")
        if max(screen) < LEAST_SCREEN[0] or min(screen) < LEAST_SCREEN[1]:
            raise Refused(400, f"a screen of {LEAST_SCREEN[0]}x{LEAST_SCREEN[1]} is needed")
        token = secrets.token_urlsafe(32)
        self._box.enter(pseudonym(token))
        return token, self.state(token)

    def state(self, token: str | None) -> dict[str, Any]:
        """How far an observer is, the trial that is due and the one after it.

        Returns:
          {"done", "total", "minutes", "trial", "next"}; done is None for a stranger, trial and next
          where there is none.
        """
        length = len(self.plan.observers[0])
        stranger = {"done": None, "total": length, "minutes": self._minutes(), "trial": None}
        if token is None:
            return stranger | {"next": None}
        observer = pseudonym(token)
        place = self._box.place(observer)
        if place is None:
            return stranger | {"next": None}
        done = self._box.given(observer)
        shown = [self._trial(place, number) for number in (done + 1, done + 2)]
        if shown[0] is None:
            self._shown.pop(observer, None)
        elif self._shown.get(observer, (0, 0.0))[0] != done + 1:
            self._shown[observer] = (done + 1, self._clock())
        return {
            "done": done,
            "total": len(self.plan.trials(place)),
            "trial": shown[0],
            "next": shown[1],
        }

    def vote(self, token: str | None, content: dict[str, Any]) -> dict[str, Any]:
        """Keeps an answer and gives the next state; the same answer again changes nothing.

        Raises:
          Refused: a stranger, no choice, not the trial that is due, or too soon.
        """
        observer = "" if token is None else pseudonym(token)
        place = None if token is None else self._box.place(observer)
        if place is None:
            raise Refused(401, "begin first")
        number, choice = content.get("trial"), content.get("choice")
        if type(number) is not int or choice not in SIDES:
            raise Refused(
                400, f"trial {number!r}, choice {choice!r}; a number and a side are accepted"
            )
        due = self._box.given(observer) + 1
        if 1 <= number < due:
            if self._box.choice(observer, number) != choice:
                raise Refused(409, f"trial {number} has its vote already")
            return self.state(token)
        trials = self.plan.trials(place)
        if number != due or number > len(trials):
            raise Refused(409, f"trial {number}; the next is {due}")
        trial = trials[number - 1]
        self._check_time(observer, number, self.plan.watched(self.plan.pairs[trial.pair]))
        try:
            self._box.cast(self.plan.vote(observer, number, trial, choice, now()))
        except ValueError as error:
            raise Refused(409, str(error)) from None
        return self.state(token)

    def _check_time(self, observer: str, number: int, watched: float) -> None:
        at = self._clock()
        known, since = self._shown.get(observer, (0, at))
        if known != number:
            self._shown[observer] = (number, at)
            since = at
        # The page may leave out 0.05 s at a clip's end.
        missing = watched - 0.05 - (at - since)
        if missing > 0:
            raise Refused(429, "both videos are to be watched first", missing)

    def _trial(self, place: int, number: int) -> dict[str, Any] | None:
        trials = self.plan.trials(place)
        if number > len(trials):
            return None
        trial = trials[number - 1]
        pair = self.plan.pairs[trial.pair]
        left, right = (f"/media/{name}" for name in pair.videos(trial.model_side))
        return {
            "number": number,
            "left": left,
            "right": right,
            "width": pair.width,
            "height": pair.height,
            "seconds": pair.seconds,
            "watch_seconds": self.plan.watched(pair),
        }

    def _minutes(self) -> int:
        """What a participation takes, if each pair is watched twice and thought about for 2 s."""
        first = self.plan.observers[0]
        seconds = sum(2 * self.plan.pairs[trial.pair].seconds + 2 for trial in first)
        return max(1, round(seconds / 60))
