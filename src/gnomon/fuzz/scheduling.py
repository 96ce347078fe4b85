"""What is asked next: everything once in turns over the operations, then what has brought something new.

The systematic part has no randomness but the values around the one that is looked at. The adaptive part samples one
Beta arm an operation and technique (Thompson 1933), rewarded when a reply is of a kind not seen before.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gnomon.fuzz.base import Case, Exchange, Operation
from gnomon.fuzz.state.resources import Resource

__all__ = ["Arm", "Novelty", "Play", "Schedule"]

_FORGET, _SAMPLED, _DEFERRED, _LOOKED_AT = 0.98, 24, 5000, 10
_REFUSALS, _DRY, _FLOOR = 5, 5, 0.01
_REFUSED = frozenset({401, 403, 405, 501})


@dataclass(eq=False)
class Arm:
    """A technique on an operation, or a life of a resource: what it has brought.

    Attributes:
        dry: uses in a row that had nothing to send which was not sent before.
    """

    technique: str
    about: Operation | Resource
    won: float = 1.0
    lost: float = 1.0
    dry: int = 0

    def learn(self, new: int, requests: int = 1) -> None:
        """Counts one more use, which brought so many new kinds of reply for its requests; older ones count less."""
        new = min(new, requests)
        self.won, self.lost = self.won * _FORGET + new, self.lost * _FORGET + requests - new


@dataclass(frozen=True, eq=False)
class Play:
    """One thing to do: a technique on an operation or resource; `case` where it is made already."""

    technique: str
    about: Operation | Resource
    case: Case | None = None
    arm: Arm | None = None


class Schedule:
    """Plays in order.

    Args:
        systematic: plays of the first part, in turns.
        arms: of the second part.
        share: of the requests that the first part has while it lasts.
    """

    def __init__(
        self,
        systematic: Iterator[Play],
        arms: Sequence[Arm],
        rng: random.Random,
        *,
        share: float = 0.9,
    ) -> None:
        self._systematic, self._arms, self._rng, self._share = systematic, list(arms), rng, share
        self.opened = False
        self.exhausted = False
        self._spent, self._spent_first = 0, 0
        self._refusals: dict[str, int] = {}
        self._later: deque[Play] = deque(maxlen=_DEFERRED)

    def next(self, busy: Callable[[Operation | Resource], bool] = lambda about: False) -> Play:
        """The next play; one about something `busy` waits, so that what is slow does not hold up the rest."""
        behind = self._spent_first <= self._share * self._spent
        if not self.exhausted and (not self.opened or behind or not self._arms):
            play = self._next_systematic(busy)
            if play is not None:
                self.opened = self.opened or play.technique not in ("valid", "walk")
                return play
        arms = self._rng.choices(self._arms, k=_SAMPLED)
        ready = [each for each in arms if not busy(each.about) and not self._rests(each)]
        arm = max(ready or arms, key=self._drawn)
        return Play(arm.technique, arm.about, arm=arm)

    def _next_systematic(self, busy: Callable[[Operation | Resource], bool]) -> Play | None:
        for _ in range(min(len(self._later), _LOOKED_AT)):
            if not busy(self._later[0].about):
                return self._later.popleft()
            # What waits long must not hold up what waits behind it.
            self._later.rotate(-1)
        for play in self._systematic:
            if not busy(play.about):
                return play
            self._later.append(play)
        self.exhausted = not self._later
        return None

    def played(self, play: Play, requests: int) -> None:
        """Counts what a play cost."""
        self._spent += requests
        self._spent_first += 0 if play.arm else requests

    def saw(self, exchange: Exchange) -> None:
        """Counts refusals of an operation that nothing else interrupts."""
        key, reply = exchange.case.operation.key, exchange.reply
        refused = reply.status in _REFUSED or reply.fault == "timeout"
        self._refusals[key] = self._refusals.get(key, 0) + 1 if refused else 0

    def _rests(self, arm: Arm) -> bool:
        """Whether an arm that had nothing to send is left out, as it is but for one time in a hundred."""
        return arm.dry >= _DRY and self._rng.random() >= _FLOOR

    def _drawn(self, arm: Arm) -> float:
        found = self._rng.betavariate(arm.won, arm.lost)
        refused = isinstance(arm.about, Operation) and self._refusals.get(arm.about.key, 0) >= _REFUSALS
        return found * (_FLOOR if refused else 1.0)


@dataclass
class Novelty:
    """Kinds of reply that were seen.

    Attributes:
        kinds: how many there are.
    """

    fingerprint: Callable[[bytes], str]
    _seen: set[tuple[Any, ...]] = field(default_factory=set)

    @property
    def kinds(self) -> int:
        """How many kinds were seen."""
        return len(self._seen)

    def saw(self, exchange: Exchange) -> bool:
        """Whether this reply is of a kind not seen before: its status and media type, or what its body says."""
        key, reply = exchange.case.operation.key, exchange.reply
        found = {
            (key, reply.status, reply.header("content-type")),
            (key, reply.status, self.fingerprint(reply.body[:4096])),
        }
        new = found - self._seen
        self._seen |= found
        return bool(new)
