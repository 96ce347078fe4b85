"""What is asked once, in turns over operations: valid cases, lives of things, examples, borders, faults, probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TypeVar

from gnomon.fuzz.base import Api, Case, Operation
from gnomon.fuzz.making import Maker
from gnomon.fuzz.probes import methods_of, missing_parts, probes, spoiled
from gnomon.fuzz.scheduling import Play
from gnomon.fuzz.state.memory import Memory
from gnomon.fuzz.values import Draws
from gnomon.fuzz.variation import Variation

__all__ = ["Systematic"]

T = TypeVar("T")
# A life takes a dozen requests: all kinds of things together have two turns while each operation has one.
_LIVES, _TURNS = 20, 2
_BORDERS = 3
"Borders for each fault: many are beyond what is allowed too, and find more of what faults would."


@dataclass(frozen=True)
class Systematic:
    """The first part of a campaign.

    Attributes:
        api, maker, variation, memory: of whom, by whom.
        without: parts that are left out.
        raw: whether bytes that are no HTTP are sent too.
        swept: fields below GraphQL's root fields whose arguments were looked at.
    """

    api: Api
    maker: Maker
    variation: Variation
    memory: Memory
    without: frozenset[str] = frozenset()
    raw: bool = False
    swept: set[str] = field(default_factory=set)

    def plays(self, rng: Draws) -> Iterator[Play]:
        """All plays, an operation after the other within each stage; early is what everything else builds on."""
        operations = self.api.operations
        yield from (Play("valid", each) for each in operations)
        if "stateful" not in self.without:
            yield from (Play("walk", each) for each in self.memory.resources.values() if each.creates)
        yield from (Play("callers", each) for each in operations if each.security)
        yield from _alternated([self._examples(each, rng) for each in operations])
        declared = methods_of(operations)
        streams = [
            chain(
                _alternated([self._cases(each, rng), self._probes(each, declared[each.path], rng)]),
                self._pairs(each, rng),
            )
            for each in operations
        ]
        yield from _alternated([*streams, *[_alternated(self._lives())] * _TURNS])
        yield from (Play("callers", each) for each in operations if each.security)

    def _lives(self) -> list[Iterator[Play]]:
        """More lives of each thing, as many as its operations are likely to need."""
        if "stateful" in self.without:
            return []
        things = [each for each in self.memory.resources.values() if each.creates]
        return [repeat(Play("story", each), _LIVES) for each in things]

    def _examples(self, operation: Operation, rng: Draws) -> Iterator[Play]:
        return (Play("example", operation, case) for case in self.maker.examples(operation, rng))

    def _cases(self, operation: Operation, rng: Draws) -> Iterator[Play]:
        """Borders and faults, a part after the other in turns, so that no part waits for another."""
        parts, turns = self.maker.parts(operation), list[Iterator[Case]]()
        if "borders" not in self.without:
            turns += [_alternated([self.variation.borders(operation, part, rng) for part in parts])] * _BORDERS
        if "negation" not in self.without:
            missing = missing_parts(self.maker.base(operation, rng))
            turns += [_alternated([missing, *(self.variation.faults(operation, part, rng) for part in parts)])]
        for case in _alternated(turns):
            yield Play(case.technique, operation, case)

    def _probes(self, operation: Operation, declared: set[str], rng: Draws) -> Iterator[Play]:
        if "probes" in self.without:
            return iter(())
        if operation.root:
            cases = operation.root.plays(lambda: self.maker.base(operation, rng), self.swept, rng)
        else:
            cases = probes(lambda: self.maker.base(operation, rng), declared)
            if self.raw:
                cases = _alternated([cases, spoiled(lambda: self.maker.base(operation, rng))])
        return (Play("probe", operation, case) for case in cases)

    def _pairs(self, operation: Operation, rng: Draws) -> Iterator[Play]:
        return (Play("valid", operation, case) for case in self.variation.pairs(operation, rng))


def _alternated(streams: Sequence[Iterator[T]]) -> Iterator[T]:
    """One of each in turn, until all have ended."""
    going = list(streams)
    while going:
        left = []
        for stream in going:
            found = next(stream, None)
            if found is not None:
                yield found
                left.append(stream)
        going = left
