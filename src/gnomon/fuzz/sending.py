"""Cases out, exchanges in: signed, written, never the same twice, judged, remembered."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic

from gnomon.fuzz.base import Api, Case, Exchange, Operation, Request, Take, Transport, Violation
from gnomon.fuzz.callers import Callers
from gnomon.fuzz.checks import CHECKS, Check, Promises, violations
from gnomon.fuzz.identities import ANONYMOUS, Identity, wrong
from gnomon.fuzz.pace import Pace
from gnomon.fuzz.quiet import quiet_after
from gnomon.fuzz.state.memory import Memory, Thing
from gnomon.fuzz.transport import AsgiTransport, WsgiTransport
from gnomon.fuzz.writing import Unsendable, written

__all__ = ["Sender", "Sent", "memory_of"]

_RECENT = 50
_REFUSALS = 3
_SLOW = 0.5
_FAIR = 3


@dataclass(frozen=True)
class Sent:
    """An exchange, what the checks say of it, and the thing that it made."""

    exchange: Exchange
    violations: tuple[Violation, ...] = ()
    made: Thing | None = None

    @property
    def ok(self) -> bool:
        """Whether the server took it."""
        return 200 <= self.exchange.reply.status < 300


@dataclass
class Sender:
    """Sends cases of one API.

    Attributes:
        api, transport: to whom; the API on its request side.
        identities: callers by name; `first` is everybody's, `other` a second one.
        promised: the API as written, which answers are held to; `api` where it is the same.
        checks: by name.
        timeout: seconds for one reply.
        rate: requests a second at most; 0 for no limit.
        on_exchange: called with each exchange, as it comes.
        write: how a case becomes a request.
        pace: how many are under way.
        quiet: seconds that the server asked to be left alone, in all.
    """

    api: Api
    transport: Transport
    identities: Mapping[str, Identity] = field(default_factory=dict)
    promised: Api | None = None
    checks: Mapping[str, Check] = field(default_factory=lambda: CHECKS)
    timeout: float = 10.0
    rate: float = 0.0
    slow: float = 0.0
    on_exchange: Callable[[Exchange], None] = lambda exchange: None
    write: Callable[[Case, str], Request] = written
    pace: Pace = field(default_factory=lambda: Pace(1))

    def __post_init__(self) -> None:
        self.promises, self.memory = Promises(self.promised or self.api, slow=self.slow), memory_of(self.api)
        self.requests, self.repeats, self.refusals = 0, 0, 0
        self.recent: deque[Exchange] = deque(maxlen=_RECENT)
        self.began = monotonic()
        self._seen: set[int] = set()
        self._under_way: dict[str, list[float]] = {}
        self._slow: set[str] = set()
        self._took: dict[str, float] = defaultdict(float)
        self._next = self._quiet_until = self.quiet = 0.0
        first = self.identities.get("first", ANONYMOUS)
        callers = {"first": first, "anonymous": ANONYMOUS, "wrong": wrong(first), **self.identities}
        self.identities, self._callers = callers, Callers(callers, self.transport, self.timeout)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return monotonic() - self.began

    @property
    def dead(self) -> bool:
        """Whether nobody listens any more."""
        return self.refusals >= _REFUSALS

    def busy(self, operation: Operation) -> bool:
        """Whether an operation is slow and is being asked, has not answered for a while, or is slow and has had so many
        times the seconds that all operations have on average; never where runs repeat, which no clock may change."""
        if self.pace.most == 1 and isinstance(self.transport, AsgiTransport | WsgiTransport):
            return False
        asked, slow = self._under_way.get(operation.key, []), operation.key in self._slow
        if asked and (slow or monotonic() - asked[0] > _SLOW):
            return True
        return slow and self._took[operation.key] * len(self.api.operations) > _FAIR * sum(self._took.values())

    def is_new(self, case: Case, manner: str) -> bool:
        """Whether a case was never yet to be sent in some manner; false where it cannot be sent."""
        try:
            return self._is_first(self.write(case, self.api.base_path), manner)
        except Unsendable:
            return False

    def _is_first(self, request: Request, manner: str) -> bool:
        """Whether a request is the first of its manner, which counts it."""
        key = hash((request, manner))
        is_first = key not in self._seen
        self._seen.add(key)
        return is_first

    async def send(
        self, case: Case, *, caller: str = "first", again: bool = False, takes: tuple[Take, ...] = ()
    ) -> Sent | None:
        """What comes of a case; None where it cannot be sent, or was sent before and `again` is false."""
        try:
            request = self.write(case, self.api.base_path)
        except Unsendable:
            return None
        if not self._is_first(request, caller) and not again:
            self.repeats += 1
            return None
        exchange = await self._signed(case, request, takes, caller)
        said = violations(exchange, self.promises, self.checks) if caller == "first" else []
        made = self.memory.learn(exchange) if caller == "first" and not case.malformed else None
        return Sent(exchange, tuple(said), made)

    async def _signed(self, case: Case, request: Request, takes: tuple[Take, ...], caller: str) -> Exchange:
        """Sends as a caller; once more with a new token where the old one is known no more."""
        who, operation = await self._callers.named(caller), case.operation.key
        found = await self.exchange(case, who.signs(request), takes, caller)
        newer = await self._callers.renewed(who, operation) if found.reply.status == 401 else None
        if newer is None:
            return found
        found = await self.exchange(case, newer.signs(request), takes, caller)
        if found.reply.status == 401:
            self._callers.helped_not(newer, operation)
        return found

    async def exchange(
        self, case: Case, request: Request, takes: tuple[Take, ...] = (), caller: str = "first"
    ) -> Exchange:
        """Sends bytes as they are, at the set rate and when the server wants to be asked, and counts."""
        while (quiet := self._quiet_until - monotonic()) > 0:
            await asyncio.sleep(quiet)
        if self.rate:
            now = monotonic()
            self._next = max(self._next, now) + 1 / self.rate
            await asyncio.sleep(self._next - now - 1 / self.rate)
        number, self.requests = self.requests, self.requests + 1
        key, asked = case.operation.key, monotonic()
        self._under_way.setdefault(key, []).append(asked)
        try:
            async with self.pace:
                reply = await self.transport.send(request, timeout=self.timeout)
        finally:
            self._under_way[key].remove(asked)
        self._took[key] += reply.seconds
        if not request.malformed:
            if reply.seconds > _SLOW:
                self._slow.add(key)
            self.pace.saw(reply)
        self._keep_quiet(quiet_after(reply))
        self.refusals = self.refusals + 1 if reply.fault == "refused" else 0
        found = Exchange(
            case=case, request=request, reply=reply, number=number, at=self.elapsed, takes=takes, caller=caller
        )
        if reply.fault != "refused":
            self.recent.append(found)
        self.on_exchange(found)
        return found

    def _keep_quiet(self, seconds: float) -> None:
        until = monotonic() + seconds
        if until > max(self._quiet_until, monotonic()):
            self.quiet += until - max(self._quiet_until, monotonic())
            self._quiet_until = until


def memory_of(api: Api) -> Memory:
    """A memory of what an API answers, empty."""
    if api.dialect != "graphql":
        return Memory(api)
    from gnomon.fuzz.graphql.memory import GraphMemory

    return GraphMemory(api)
