"""What is asked once, in turns over operations: valid cases, lives of things, examples, borders, faults, probes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, repeat

from gnomon.fuzz.base import Api, Case, Operation
from gnomon.fuzz.making import Maker, Part
from gnomon.fuzz.probes import methods_of, missing_parts, probes, spoiled
from gnomon.fuzz.scheduling import Play
from gnomon.fuzz.state.memory import Memory
from gnomon.fuzz.turns import in_turns
from gnomon.fuzz.values import Draws
from gnomon.fuzz.variation import Variation

__all__ = ["Systematic"]

# A life takes a dozen requests: all kinds of things together have two turns while each operation has one.
_LIVES, _TURNS = 20, 4
_BORDERS, _MOST = 3, 20
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
        yield from in_turns([self._examples(each, rng) for each in operations])
        declared = methods_of(operations)
        streams = [[self._stream(each, declared[each.path], rng)] * self._turns(each) for each in operations]
        yield from in_turns([*chain(*streams), *[in_turns(self._lives())] * _TURNS])
        yield from (Play("callers", each) for each in operations if each.security)

    def _stream(self, operation: Operation, declared: set[str], rng: Draws) -> Iterator[Play]:
        """All that is asked of one operation: what others may do early on, since it is the worst that can be wrong."""
        callers = iter([Play("callers", operation)] if operation.security else [])
        cases, odd = self._cases(operation, rng), self._probes(operation, declared, rng)
        # Values meet more defects than odd methods, paths and bodies: one of each met a tenth fewer in 2,000 requests.
        both = in_turns([cases, cases, chain(islice(odd, 1), callers, odd)])
        return chain(both, self._pairs(operation, rng))

    def _turns(self, operation: Operation) -> int:
        """How often an operation is in turn: by the root of its places, so that small ones do not wait for large."""
        sizes = (self.maker.compiled(operation, part, sent=False).size for part in self.maker.parts(operation))
        return 1 + int(math.sqrt(sum(sizes)))

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
            borders = [self._often(operation, part, self.variation.borders(operation, part, rng)) for part in parts]
            turns += [in_turns([*chain(*borders)])] * _BORDERS
        if "negation" not in self.without:
            missing = missing_parts(self.maker.base(operation, rng))
            faults = [self._often(operation, part, self.variation.faults(operation, part, rng)) for part in parts]
            turns += [in_turns([missing, *chain(*faults)])]
        for case in in_turns(turns):
            yield Play(case.technique, operation, case)

    def _often(self, operation: Operation, part: Part, cases: Iterator[Case]) -> list[Iterator[Case]]:
        """The cases of a part as often in turn as it has places, so that all places of a request come on alike."""
        return [cases] * min(_MOST, self.maker.compiled(operation, part, sent=False).size)

    def _probes(self, operation: Operation, declared: set[str], rng: Draws) -> Iterator[Play]:
        if "probes" in self.without:
            return iter(())
        if operation.root:
            cases = operation.root.plays(lambda: self.maker.base(operation, rng), self.swept, rng)
        else:
            cases = probes(lambda: self.maker.base(operation, rng), declared)
            if self.raw:
                cases = in_turns([cases, spoiled(lambda: self.maker.base(operation, rng))])
        return (Play("probe", operation, case) for case in cases)

    def _pairs(self, operation: Operation, rng: Draws) -> Iterator[Play]:
        return (Play("valid", operation, case) for case in self.variation.pairs(operation, rng))
