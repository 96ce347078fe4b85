"""One change of a valid case: onto a border, over it, or anywhere at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from gnomon.fuzz.base import NOTHING, Case, Fault, Mode, Operation
from gnomon.fuzz.making import Maker, Part
from gnomon.fuzz.turns import in_turns
from gnomon.fuzz.values import Draws, Flaw, pairwise, spoil

__all__ = ["Variation"]

_PAIRS, _BORDERS, _MULTIPLE = 40, 600, 0.1
_ODD: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63, -(2**63) - 1, 1e308, 5e-324, 0.1, "", " ", "0",
    "null", "true", "NaN", "\x00", "\ud800", "é", "ß", "ſ", "\u202eabc", "\u200b", "💥" * 3, "a" * 300, "'", '"', "<b>",
    "{{7*7}}", "${7*7}", "%s%n", "../../etc/passwd", "%00", "1e400", "-0", "0000-00-00", "9999-12-31T23:59:59Z",
    "0000-01-01", "2024-02-30", "00:00:60", [], {}, [None], [[]], {"": None}, [0] * 100, {"a": {"a": {"a": {}}}},
)  # fmt: skip


class Variation:
    """Changes cases of `maker`'s."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker

    def borders(self, operation: Operation, part: Part, rng: Draws) -> Iterator[Case]:
        """A case for each value on a border of a part's schema, the simplest first; those beyond it are invalid."""
        for border in islice(self._maker.compiled(operation, part).borders(rng), _BORDERS):
            # What only answers have is left out of what is made, yet may be sent.
            valid = self._maker.compiled(operation, part, sent=False).is_valid(border.value)
            why = border.fault(part.location, part.at(""))
            # Text that no UTF-8 holds is within the schema, and yet may be refused.
            mode: Mode = "valid" if valid else "probe" if border.valid else "invalid"
            case = self._put(operation, part, border.value, rng, mode=mode, why=(why,), technique="boundary")
            yield self._placed(case, part, border.pointer, rng)

    def faults(self, operation: Operation, part: Part, rng: Draws) -> Iterator[Case]:
        """A case for each way to leave a part's schema, one of each place in turn."""
        by_place: dict[tuple[str | int, ...], list[Flaw]] = {}
        for flaw in self._maker.compiled(operation, part, sent=False).flaws:
            by_place.setdefault(flaw.place.keys, []).append(flaw)
        for flaw in in_turns([iter(each) for each in by_place.values()]):
            case = self._spoiled(operation, part, flaw, rng)
            if case is not None:
                yield case

    def negative(self, operation: Operation, rng: Draws) -> Case | None:
        """A case with one fault; one in ten has a second, which no check of acceptance looks at."""
        case = self._one_fault(operation, rng)
        if case is not None and rng.random() < _MULTIPLE:
            other = self._one_fault(operation, rng)
            if other is not None:
                return replace(case, parameters={**case.parameters, **other.parameters}, why=(*case.why, *other.why))
        return case

    def havoc(self, operation: Operation, rng: Draws) -> Case | None:
        """A case with an odd value somewhere, whatever the schema says of it; a leaf of a body, or a whole part."""
        parts = self._maker.parts(operation)
        if not parts:
            return None
        case, part = self._maker.base(operation, rng), rng.choice(parts)
        value = case.body if part.location == "body" else case.parameters.get((part.location, part.name), NOTHING)
        odd = rng.choice(_ODD)
        changed = odd if value is NOTHING or rng.random() < 0.3 else _changed(value, odd, rng)
        if part.location == "path" and changed in ("", None, [], {}):
            return None
        made = self._maker.put(case, part, changed, technique="mutation")
        if self._maker.is_valid(made):
            return made
        why = Fault(location=part.location, pointer=part.at(""), keyword="havoc", kind=type(odd).__name__)
        return replace(made, mode="probe", why=(why,))

    def pairs(self, operation: Operation, rng: Draws) -> Iterator[Case]:
        """Cases in which every two optional parameters meet, both there, both absent, and one of each."""
        optional = [part for part in self._maker.parts(operation) if not part.required and part.location != "body"]
        if len(optional) < 2:
            return
        for chosen in pairwise([part.name for part in optional])[:_PAIRS]:
            case = self._maker.base(operation, rng)
            parameters = {key: value for key, value in case.parameters.items() if not _is_one_of(key, optional)}
            case = replace(case, parameters=parameters)
            for part in optional:
                if part.name in chosen:
                    made = self._maker.value(operation, part, rng)
                    case = case if made is NOTHING else self._maker.put(case, part, made)
            yield case

    def _one_fault(self, operation: Operation, rng: Draws) -> Case | None:
        compiled = [(each, self._maker.compiled(operation, each, sent=False)) for each in self._maker.parts(operation)]
        broken = [(part, of.flaws) for part, of in compiled if of.flaws]
        if not broken:
            return None
        part, flaws = rng.choice(broken)
        return self._spoiled(operation, part, rng.choice(flaws), rng)

    def _spoiled(self, operation: Operation, part: Part, flaw: Flaw, rng: Draws) -> Case | None:
        """A valid case with this flaw in one part; None where the schema makes it good again."""
        made = spoil(self._maker.compiled(operation, part, sent=False), rng, flaw)
        if made is None:
            return None
        found = made.flaw
        why = Fault(location=part.location, pointer=part.at(found.pointer), keyword=found.keyword, kind=found.kind)
        case = self._put(operation, part, made.value, rng, mode="invalid", why=(why,), technique="negative")
        return self._placed(case, part, found.pointer, rng)

    def _placed(self, case: Case, part: Part, pointer: str, rng: Draws) -> Case:
        """A body among things that live and under new names, all but the place that is looked at."""
        if part.location != "body" or isinstance(case.body, bytes):
            return case
        compiled = self._maker.compiled(case.operation, part, sent=False)
        referring = self._maker.referring(case.body, rng, case.operation, besides=pointer)
        if compiled.is_valid(referring) is (case.mode == "valid"):
            case = replace(case, body=referring)
        return self._maker.renamed(case, rng, besides=pointer) if case.operation.method == "POST" else case

    def _put(self, operation: Operation, part: Part, value: Any, rng: Draws, **more: Any) -> Case:
        return self._maker.put(self._maker.base(operation, rng), part, value, **more)


def _is_one_of(key: tuple[str, str], parts: Sequence[Part]) -> bool:
    return any(key == (part.location, part.name) for part in parts)


def _changed(value: Any, odd: Any, rng: Draws) -> Any:
    """The value with one leaf, member or element replaced by an odd one, dropped, doubled or added."""
    if isinstance(value, dict) and value:
        name = rng.choice(list(value))
        drawn = rng.random()
        if drawn < 0.15:
            return {key: each for key, each in value.items() if key != name}
        return {**value, name: _changed(value[name], odd, rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        drawn = rng.random()
        if drawn < 0.2:
            return value[:at] + value[at + 1 :]
        if drawn < 0.4:
            return value + [value[at]] * rng.choice((1, 10))
        return [*value[:at], _changed(value[at], odd, rng), *value[at + 1 :]]
    return odd
