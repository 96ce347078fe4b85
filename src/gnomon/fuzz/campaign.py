"""The campaign: plays are drawn, sent, judged and settled, many at a time, until time or requests run out."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

from gnomon.core.seeds import Seed
from gnomon.fuzz.base import Api, Case, Defect, Exchange, Operation, Violation
from gnomon.fuzz.checks.fingerprint import fingerprint
from gnomon.fuzz.checks.graphql import kind_of_answer
from gnomon.fuzz.graphql import chains
from gnomon.fuzz.making import Maker
from gnomon.fuzz.outage import outage
from gnomon.fuzz.pace import Pace
from gnomon.fuzz.scheduling import Arm, Novelty, Play, Schedule
from gnomon.fuzz.sending import Sender, memory_of
from gnomon.fuzz.state import lives
from gnomon.fuzz.state.foreign import ask_as_others
from gnomon.fuzz.state.memory import path_params
from gnomon.fuzz.state.resources import Resource
from gnomon.fuzz.state.stories import Story
from gnomon.fuzz.systematic import Systematic
from gnomon.fuzz.triage import Triage
from gnomon.fuzz.values import Draws
from gnomon.fuzz.variation import Variation

__all__ = ["Budget", "Campaign"]

_CHANGING = ("POST", "PUT", "PATCH", "DELETE", "MUTATION")
_TECHNIQUES = ("valid", "negation", "havoc")
_SETTLED = 0.2
_PATIENT = 3
_GRACE = 0.15
_IDLE, _MISTAKES = 3000, 100
_ENOUGH, _SHUT = 20, frozenset({401, 403, 404, 405})
_LATE = 1.0
# With one connection, plays that go on while one waits: so many for each second, and so many waiting within each other.
_MEANWHILE, _DEEPEST = 1000, 8
_TURN = 4


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When to stop.

    Attributes:
        seconds: time for finding; a sixth more at most goes to playing again what waits then.
        requests: at most; 0 for no limit.
        connections: requests under way at most; with 1 and an application in this process, runs repeat to the byte.
    """

    seconds: float = 60.0
    requests: int = 0
    connections: int = 16


@dataclass
class Campaign:
    """One search of one API.

    Args:
        api: what is promised.
        sender: how it is reached.
        budget: when to stop.
        seed: of everything drawn.
        without: parts that are left out.
        watch: called with each exchange.
        raw: whether bytes that are no HTTP are sent too.
        unwanted: checks over several requests that nobody asked for.
    """

    api: Api
    sender: Sender
    budget: Budget = field(default_factory=Budget)
    seed: int = 0
    without: frozenset[str] = frozenset()
    watch: Callable[[Exchange], None] = lambda exchange: None
    raw: bool = False
    unwanted: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        # Without state nothing that was answered is sent again.
        memory = memory_of(self.sender.api) if "stateful" in self.without else self.sender.memory
        self.maker = Maker(self.sender.api, memory, canonical="canonical" not in self.without)
        self.stopped = self.gone = self._let_in = False
        self._shut: Counter[str] = Counter()
        self._idle = self._settling = self._waiting = 0
        self._turn = 0
        self._awaited = set[tuple[str, ...]]()
        self.mistakes: list[Exception] = []
        self._outage = asyncio.Lock()
        self.novelty = Novelty(kind_of_answer if self.api.dialect == "graphql" else fingerprint)
        self.rng = Draws(
            Seed(self.seed).child("fuzz").value, pooled="pools" not in self.without, swarm="swarm" not in self.without
        )
        self.triage = Triage(self.sender, valid=self.maker.is_valid, other=self._other)
        self.variation = Variation(self.maker)
        systematic = Systematic(self.sender.api, self.maker, self.variation, self.sender.memory, self.without, self.raw)
        self.schedule = Schedule(systematic.plays(self.rng), self._arms(), self.rng)
        self.sender.pace = Pace(self.budget.connections)
        self.sender.on_exchange = self._saw
        self._found: asyncio.Queue[Defect | None] = asyncio.Queue()

    async def defects(self) -> AsyncIterator[Defect]:
        """Defects as they are settled; all of them are in `triage` afterwards."""
        searching = asyncio.create_task(self._search())
        try:
            while (defect := await self._found.get()) is not None:
                yield defect
            await searching
        finally:
            searching.cancel()

    def stop(self) -> None:
        """Ends it now; what was found is kept."""
        self.stopped = True

    @property
    def over(self) -> bool:
        """Whether time or requests have run out, somebody has ended it, there is nothing to send that was not sent, or
        the service is gone for good or lets nobody in."""
        if self.stopped or self._shut_out or self._idle >= _IDLE:
            return True
        spent = self.budget.requests and self.sender.requests >= self.budget.requests
        return bool(spent) or self.sender.elapsed >= self.budget.seconds or self.gone

    @property
    def _shut_out(self) -> bool:
        """Whether the operations have answered 401 or 403 twenty times each, one with another, and let nobody in."""
        if self._let_in or len(self._shut) < len(self.api.operations):
            return False
        return min(self._shut.values()) > 0 and self._shut.total() >= _ENOUGH * len(self._shut)

    async def _search(self) -> None:
        try:
            workers = [asyncio.create_task(self._work()) for _ in range(self._workers)]
            left = max(0.0, self.budget.seconds - self.sender.elapsed)
            _, late = await asyncio.wait(workers, timeout=left + _LATE)
            for worker in late:
                worker.cancel()
            for result in await asyncio.gather(*workers, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE * self.budget.seconds):
                    await asyncio.gather(*(self._settle_all() for _ in range(self.budget.connections)))
            for defect in self.triage.unsettled():
                self._found.put_nowait(defect)
        finally:
            self._found.put_nowait(None)

    async def _settle_all(self) -> None:
        while self.triage.waiting and not (self.gone or self.stopped):
            await self._isolated(self._settle())

    @property
    def _may_settle(self) -> bool:
        """Whether one more may be made small, which has a third of the connections and a fifth of the requests."""
        settlers = max(1, self.budget.connections // 3)
        return self._settling < settlers and self.triage.spent <= _SETTLED * self.sender.requests

    @property
    def _workers(self) -> int:
        """Some of them wait for answers to settle; with one connection there is one, so that runs repeat."""
        return _PATIENT * self.budget.connections if self.budget.connections > 1 else 1

    async def _work(self, until: float = inf) -> None:
        """Plays, one after the other, until it is over or so many requests were sent."""
        while not self.over and self.sender.requests < until:
            self._turn = (self._turn + 1) % _TURN
            if not self._turn:
                # An application in this process answers without a wait; clocks and signals need their turn.
                await asyncio.sleep(0)
            if self.sender.dead:
                await self._await_return()
            elif self._may_settle and self.triage.ready:
                await self._isolated(self._settle())
            else:
                await self._isolated(self._play(self.schedule.next(self._busy)))

    async def _isolated(self, work: Coroutine[Any, Any, None]) -> None:
        """A play, or the settling of a defect; one that meets a mistake of ours ends alone, and the search goes on."""
        try:
            await work
        except Exception as error:
            self.mistakes.append(error)
            if len(self.mistakes) > _MISTAKES:
                raise

    async def _await_return(self) -> None:
        """One worker looks after a service that listens no more; the others wait for what it finds."""
        async with self._outage:
            if self.sender.dead and not self.gone and self.sender.recent:
                violation, back = await outage(self.sender)
                self.triage.offer(violation)
                self.gone = not back
            elif self.sender.dead:
                self.gone = True

    async def _settle(self) -> None:
        self._settling += 1
        try:
            defect = await self.triage.settle()
        finally:
            self._settling -= 1
        if defect:
            self._found.put_nowait(defect)

    async def _play(self, play: Play) -> None:
        before = self.novelty.kinds
        self._idle += 1
        if isinstance(play.about, Resource) or play.technique in ("at once", "callers"):
            requests = await self._tell(play)
        else:
            case = play.case or self._case(play.technique, play.about)
            sent = await self.sender.send(case) if case else None
            requests = int(sent is not None)
            for each in sent.violations if sent else ():
                self.triage.offer(each)
        self.schedule.played(play, requests)
        if play.arm and "feedback" not in self.without:
            play.arm.learn(self.novelty.kinds - before, max(1, requests))
            play.arm.dry = 0 if requests else play.arm.dry + 1

    def _case(self, technique: str, operation: Operation) -> Case | None:
        if technique == "negation":
            return self.variation.negative(operation, self.rng)
        if technique == "havoc":
            return self.variation.havoc(operation, self.rng)
        return self.maker.valid(operation, self.rng)

    async def _tell(self, play: Play) -> int:
        """A play of several requests; how many, 0 where there was nothing to send."""
        copies = 0
        story = Story(
            self.sender, self.maker, self.rng, self._offer, self.triage.known, wait=self._wait, awaited=self._awaited
        )
        try:
            if isinstance(play.about, Resource) and self.api.dialect == "graphql":
                await chains.live(story, play.about)
            elif isinstance(play.about, Resource):
                await (lives.walk if play.technique == "walk" else lives.live)(story, play.about)
            elif play.technique == "callers":
                await ask_as_others(story, play.about)
            else:
                copies = await lives.at_once(story, play.about, self.sender.memory.thing_for(play.about.path, self.rng))
        finally:
            story.end()
        return copies + len(story.steps)

    async def _wait(self, seconds: float) -> None:
        """Lets seconds pass.

        With one connection there is one worker, and it goes on with other plays. How many they are is told by requests
        and not by the clock, so that runs repeat; what is left of the seconds then is waited for.
        """
        end = monotonic() + seconds
        if self._workers == 1 and self._waiting < _DEEPEST:
            self._waiting += 1
            try:
                await self._work(self.sender.requests + _MEANWHILE * seconds)
            finally:
                self._waiting -= 1
        await asyncio.sleep(max(0.0, end - monotonic()))

    def _busy(self, about: Operation | Resource) -> bool:
        """Whether an operation has to wait, or all that make a thing have to."""
        makers = about.creates if isinstance(about, Resource) else (about,)
        return bool(makers) and all(map(self.sender.busy, makers))

    def _other(self, case: Case) -> Case:
        """The case with other texts and what is wrong with it left; a valid one where it has none that may differ."""
        wrong = next((each.pointer for each in case.why if each.location == "body"), None)
        renamed = self.maker.renamed(case, self.rng, besides=wrong)
        if renamed != case:
            return renamed
        return self.maker.valid(case.operation, self.rng, path=path_params(case))

    def _offer(self, violation: Violation) -> None:
        if violation.check not in self.unwanted:
            self.triage.offer(violation)

    def _saw(self, exchange: Exchange) -> None:
        self.watch(exchange)
        self._idle = 0
        if exchange.case.malformed:
            return  # how it is answered says nothing of the operation
        if not self._let_in:
            self._shut[exchange.case.operation.key] += exchange.reply.status in (401, 403)
            self._let_in = exchange.reply.status not in _SHUT
        self.schedule.saw(exchange)
        self.maker.learn(exchange)
        self.novelty.saw(exchange)

    def _arms(self) -> list[Arm]:
        techniques = [each for each in _TECHNIQUES if each not in self.without]
        arms = [Arm(technique, each) for each in self.sender.api.operations for technique in techniques]
        if "stateful" in self.without:
            return arms
        things = [each for each in self.sender.memory.resources.values() if each.creates]
        changing = [each for each in self.sender.api.operations if each.method in _CHANGING]
        arms += [Arm("story", each) for each in things for _ in range(4)]
        return (
            arms
            + [Arm("at once", each) for each in changing]
            + [Arm("callers", each) for each in self.sender.api.operations if each.security]
        )
