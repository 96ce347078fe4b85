"""From text, or from what a program holds, to a plain JSON value.

YAML is read from the events of the C parser with the scalars of YAML 1.2, because YAML 1.1 makes dates of strings and
booleans of keys (`on`, `no`), and because a value built from events may be nested as deep as it likes. Keys are always
the text that stands there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any

import yaml

from gnomon.core.errors import DataError
from gnomon.fuzz.loading.repairs import Ledger

__all__ = ["parsed", "plain"]

MAX_NODES = 5_000_000
"Values that a document may hold once its aliases are written out."
MAX_LEVELS = 5_000
"Objects and lists within each other."

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_Pairs = list[tuple[str, Any]]


def parsed(text: str, where: str, ledger: Ledger) -> Any:
    """The value of a JSON or YAML text.

    Raises:
        DataError: it is neither; the message has line and column.
    """
    text = text.removeprefix("\ufeff")
    fault = ""
    if text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(text, object_pairs_hook=lambda pairs: _mapping(pairs, ledger))
            return _encodable(value, ledger) if _SURROGATE.search(text) else value
        except ValueError as error:  # no JSON, or a number of thousands of digits
            fault = str(error)
        except RecursionError:
            pass  # the events below do not recurse
    try:
        return _Builder(ledger, where).built(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        told = fault or " ".join(str(error).split())
        raise DataError(f"is neither JSON nor YAML ({told})", where=where, todo="check its syntax") from None


def plain(value: Mapping[Any, Any], ledger: Ledger) -> Any:
    """A document that a program holds, as JSON would give it: text as keys, lists for tuples, text for dates.

    Raises:
        DataError: it holds itself, is nested too deeply, or holds what no JSON value stands for.
    """
    odd = [key for key in _keys(value) if not isinstance(key, str)]
    if odd:
        ledger.note("", f"{len(odd)} keys that are not text ({odd[0]!r} first)", "their text")
    try:
        return _encodable(json.loads(json.dumps(value, default=_unusual)), ledger)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"the document given is no JSON value ({error})", todo="give what json.dumps takes") from None


def _keys(value: Any) -> Iterable[Any]:
    stack, seen = [value], set()
    while stack:
        each = stack.pop()
        if not isinstance(each, Mapping | list | tuple) or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Mapping):
            yield from each
            stack.extend(each.values())
        else:
            stack.extend(each)


def _unusual(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} {value!r}")


def _encodable(value: Any, ledger: Ledger) -> Any:
    """Without lone surrogates, which no JSON validator takes."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return value
    sound = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if sound == text:
        return value
    ledger.note("", "lone surrogates, which are no characters", "U+FFFD")
    return json.loads(sound)


def _mapping(pairs: _Pairs, ledger: Ledger) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    found = {}
    for key, value in pairs:
        known = found.get(key)
        if key in found:
            ledger.note("", f"the key {key!r} written twice in one object", "both, the later winning")
        found[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return found


class _Open:
    """A mapping or sequence that has not ended."""

    def __init__(self, anchor: str | None, is_map: bool) -> None:
        self.anchor, self.is_map = anchor, is_map
        self.key: str | None = None
        self.pairs: _Pairs = []
        self.items: list[Any] = []
        self.size = 1


class _Builder:
    """Puts the value of the first document together from its events."""

    def __init__(self, ledger: Ledger, where: str) -> None:
        self._ledger, self._where = ledger, where
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._value: Any = None
        self._odd: list[str] = []

    def built(self, events: Iterable[Any]) -> Any:
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._start(_Open(event.anchor, isinstance(event, yaml.MappingStartEvent)))
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._close()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event.anchor)
            elif isinstance(event, yaml.DocumentEndEvent):
                break
        if self._odd:
            self._ledger.note("", f"{len(self._odd)} keys that are not text ({self._odd[0]} first)", "their text")
        return self._value

    def _start(self, started: _Open) -> None:
        if len(self._open) == MAX_LEVELS:
            raise DataError(
                f"is nested more than {MAX_LEVELS:,} levels deep", where=self._where, todo="use $ref for what is nested"
            )
        self._open.append(started)

    def _scalar(self, event: Any) -> None:
        if self._open and self._open[-1].is_map and self._open[-1].key is None:
            self._open[-1].key = "<<" if event.value == "<<" and event.style is None else event.value
            if event.implicit[0] and not event.style and not isinstance(_resolved(event.value), str):
                self._odd.append(event.value)
            if event.anchor:
                self._anchors[event.anchor] = event.value, 1
            return
        value = _resolved(event.value) if _is_plain(event) else event.value
        if event.anchor:
            self._anchors[event.anchor] = value, 1
        self._put(value, 1)

    def _alias(self, name: str) -> None:
        if name not in self._anchors:
            self._ledger.note("", f"the alias *{name}, which stands for nothing that has ended before it", "null")
        self._put(*self._anchors.get(name, (None, 1)))

    def _close(self) -> None:
        done = self._open.pop()
        value: Any = _mapping(_merged(done.pairs), self._ledger) if done.is_map else done.items
        if done.anchor:
            self._anchors[done.anchor] = value, done.size
        self._put(value, done.size)

    def _put(self, value: Any, size: int) -> None:
        if not self._open:
            self._value = value
            return
        top = self._open[-1]
        top.size += size
        if top.size > MAX_NODES:
            raise DataError(
                f"holds more than {MAX_NODES:,} values once its aliases are written out",
                where=self._where,
                todo="use $ref instead of aliases",
            )
        if not top.is_map:
            top.items.append(value)
        elif top.key is None:
            top.key = json.dumps(value)
            self._odd.append(top.key)
        else:
            top.pairs.append((top.key, value))
            top.key = None


def _merged(pairs: _Pairs) -> _Pairs:
    """With the mappings that `<<` names in front, where what stands here itself wins over them."""
    merges = [each for key, value in pairs if key == "<<" for each in (value if isinstance(value, list) else [value])]
    if not merges:
        return pairs
    own = [(key, value) for key, value in pairs if key != "<<"]
    inherited: dict[str, Any] = {}
    for each in reversed(merges):
        inherited |= each if isinstance(each, dict) else {}
    return [(key, value) for key, value in inherited.items() if key not in dict(own)] + own


def _is_plain(event: Any) -> bool:
    """Whether a scalar may be other than text: written without quotes, or with a tag of such a type."""
    tag = event.tag or ""
    if tag.startswith("tag:yaml.org,2002:"):
        return tag.rpartition(":")[2] in ("int", "float", "bool", "null")
    return bool(event.implicit[0]) and not event.style


def _resolved(text: str) -> Any:
    """What a plain scalar means in the core schema of YAML 1.2 (sec. 10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if len(text) > 1000:  # more digits than Python turns into a number
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
