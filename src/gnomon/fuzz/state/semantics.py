"""Promises that only several requests can break: what was made is there, what was changed is seen, what was removed is
gone. Each is looked at again after a pause before it is believed, since servers may take their time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from gnomon.fuzz.base import NOTHING, Exchange
from gnomon.fuzz.state.expressions import LOCATION, evaluate
from gnomon.fuzz.state.memory import identified, path_params, read_json, rows_of
from gnomon.fuzz.state.names import is_identifier, singular, subject_of, words
from gnomon.fuzz.state.resources import Resource

__all__ = [
    "differs",
    "is_read",
    "is_soft_deleted",
    "listed",
    "lists",
    "moved",
    "not_found",
    "same_answer",
    "still_there",
    "taken",
    "unseen",
    "unseen_of",
]

_SOFT = re.compile(r"delet|archiv|remov|inactiv|disab|cancel", re.IGNORECASE)
_SERVERS = (
    r"(?:^|_)(?:updated|modified|created|accessed|timestamp|etag|version|revision)"
    r"|^last_?(?:updated|modified|changed|edited|accessed|used|seen|login|activity|sync)"
)
_KEPT = re.compile(_SERVERS, re.IGNORECASE)
"Members that servers write themselves, whatever is sent."
_MOVING = re.compile(rf"{_SERVERS}|(?:^|_)(?:date|time)$", re.IGNORECASE)
"Members that may change by themselves."
_SHORT_PAGE = 10
_KEYS = frozenset({"id", "uuid", "guid"})


def is_soft_deleted(body: Any) -> bool:
    """Whether a representation says that it is deleted: `deleted: true`, `status: "archived"`, `deleted_at`."""
    if not isinstance(body, dict):
        return False
    for name, value in body.items():
        if _SOFT.search(name) and value not in (False, None, "", 0):
            return True
        if isinstance(value, str) and name.lower() in ("status", "state") and _SOFT.search(value):
            return True
    return any(is_soft_deleted(each) for each in body.values() if isinstance(each, dict))


def unseen(sent: Any, before: Any, after: Any) -> tuple[list[str], bool]:
    """Members that were sent and accepted and yet are not what is read afterwards, and whether that is certain.

    Certain where the old value is still there; a third value may be the server's way to write the new one.
    """
    sent, before, after = (_unwrapped(each) for each in (sent, before, after))
    if not all(isinstance(each, dict) for each in (sent, before, after)):
        return [], False
    stale = [name for name in sent if name in after and not _same(sent[name], after[name]) and not _KEPT.search(name)]
    old = [name for name in stale if name in before and before[name] == after[name]]
    return (old, True) if old else (stale, False)


def differs(one: Any, other: Any) -> list[str]:
    """Members in which two representations differ, times, versions and the like aside, at any depth."""
    one, other = _unwrapped(one), _unwrapped(other)
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [] if one == other else [""]
    names = [name for name in one.keys() | other.keys() if not _MOVING.search(name)]
    return [name for name in names if not _alike(one.get(name), other.get(name))]


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return not differs(one, other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)


def lists(body: Any, resource: Resource, value: Any) -> bool | None:
    """Whether a list has a thing with this identifier and does not call it deleted.

    None where the list may go on, says nothing of identifiers, or has it as deleted.
    """
    rows = rows_of(body)
    found = [identified(resource, row) for row in rows]
    for row, each in zip(rows, found, strict=True):
        if each is not None and (str(each[1]) == str(value) or _is_called(row, value)):
            return None if is_soft_deleted(row) else True
    return False if len(rows) < _SHORT_PAGE and None not in found and isinstance(body, list | dict) else None


def _is_called(row: Mapping[str, Any], value: Any) -> bool:
    """Whether a row has a text under another name that identifies; numbers say too little."""
    return (
        isinstance(value, str)
        and not value.isdecimal()
        and any(is_identifier(name) and each == value for name, each in row.items())
    )


def not_found(steps: Sequence[Exchange], resource: Resource) -> bool:
    """Whether the last step does not find the thing of this kind that an earlier one made."""
    last = steps[-1]
    return last.reply.status == 404 and any(_made(each, last, resource) for each in steps[:-1])


def _made(step: Exchange, last: Exchange, resource: Resource) -> bool:
    """Whether a step made the thing that the last one's path names."""
    if not _ok(step) or step.case.operation not in resource.creates:
        return False
    named, given = _in_path(last), _in_path(step)
    if resource.key not in given:
        told = identified(resource, _read(step))
        location = evaluate(LOCATION, step)
        given[resource.key] = str(location if location is not NOTHING else told[1] if told else None)
    return all(named.get(name) == value for name, value in given.items())


def still_there(steps: Sequence[Exchange]) -> bool:
    """Whether the last step reads what an earlier one removed, and it does not say that it is removed."""
    removed = any(_ok(each) and each.request.method == "DELETE" for each in steps[:-1])
    return removed and _ok(steps[-1]) and bool(steps[-1].reply.body) and not is_soft_deleted(_read(steps[-1]))


def taken(steps: Sequence[Exchange]) -> bool:
    """Whether the last step was taken."""
    return _ok(steps[-1])


def same_answer(steps: Sequence[Exchange]) -> bool:
    """Whether the last step is answered what an earlier one of the same operation is, times and the like aside."""
    last = steps[-1]
    before = [each for each in steps[:-1] if each.case.operation is last.case.operation and each.caller == "first"]
    if not before or not _ok(last) or not _ok(before[-1]) or not last.reply.body:
        return False
    return not differs(_read(before[-1]), _read(last)) and (
        _read(last) is not None or last.reply.body == before[-1].reply.body
    )


def unseen_of(steps: Sequence[Exchange]) -> tuple[list[str], bool]:
    """`unseen` of the last three steps: a read, a change and a read."""
    if len(steps) < 3 or not all(map(_ok, steps[-3:])) or steps[-2].case.body is NOTHING:
        return [], False
    sent = _unwrapped(steps[-2].case.body)
    if isinstance(sent, dict):
        # What a thing is known by is the server's, whatever is sent; what it refers to is not.
        sent = {name: value for name, value in sent.items() if not _names(name, steps[-2])}
        if steps[-2].request.method == "PATCH":
            # Many read null in a patch as a member that was not sent.
            sent = {name: value for name, value in sent.items() if value is not None}
    return unseen(sent, _read(steps[-3]), _read(steps[-1]))


def moved(steps: Sequence[Exchange]) -> list[str]:
    """Of a PUT, a read, the same PUT and a read: members that the second PUT changed."""
    if len(steps) < 4 or not all(map(_ok, steps[-4:])) or steps[-4].request.method != "PUT":
        return []
    return differs(_read(steps[-3]), _read(steps[-1]))


def listed(
    steps: Sequence[Exchange], resource: Resource, identifier: Callable[[Sequence[Exchange]], Any]
) -> bool | None:
    """Whether the last step lists the thing with this identifier; None as in `lists`, and for a list of what belongs to
    something else."""
    if not _ok(steps[-1]) or not _belongs(steps, resource):
        return None
    return lists(_read(steps[-1]), resource, identifier(steps))


def _belongs(steps: Sequence[Exchange], resource: Resource) -> bool:
    """Whether the last step's path goes through what the thing belongs to of which the steps before it speak."""
    *before, last = map(_in_path, steps)
    for step, named in zip(reversed(steps[:-1]), reversed(before), strict=True):
        if resource.key in named or (_ok(step) and step.case.operation in resource.creates):
            return all(named.get(name, value) == value for name, value in last.items() if name != resource.key)
    return True


def _in_path(step: Exchange) -> dict[str, str]:
    """The path parameters of a step as texts."""
    return {name: str(value) for name, value in path_params(step.case).items()}


def is_read(steps: Sequence[Exchange], resource: Resource) -> bool:
    """Whether a step reads a thing of this kind: what cannot be read under its name may be known by another."""
    return any(_ok(each) and each.case.operation in resource.reads for each in steps)


def _names(member: str, step: Exchange) -> bool:
    """Whether a member is what identifies the thing that a step's path speaks of: `id`, `itemId` of `/items/{item}`."""
    said = words(member)
    if said in map(words, path_params(step.case)):
        return True
    if not said or said[-1] not in _KEYS:
        return False
    fixed = [part for part in step.case.operation.path.split("/") if part and "{" not in part]
    return len(said) == 1 or bool(fixed and subject_of(member) == singular("".join(words(fixed[-1]))))


def _unwrapped(body: Any) -> Any:
    """`{"data": {...}}` is what is in it."""
    if isinstance(body, dict) and len(body) <= 2:
        inner = [each for each in body.values() if isinstance(each, dict)]
        if len(inner) == 1 and len(inner[0]) > 1:
            return inner[0]
    return body


def _same(sent: Any, read: Any) -> bool:
    """Equal as servers write: text without blanks around it and whatever its case, one moment, numbers by value."""
    if isinstance(sent, str) and isinstance(read, str):
        moment, number = _moment(sent), _number(sent)
        if number is not None and number == _number(read):
            return True
        return sent.strip().casefold() == read.strip().casefold() or (moment is not None and moment == _moment(read))
    if isinstance(sent, Mapping) and isinstance(read, Mapping):
        return all(name in read and _same(value, read[name]) for name, value in sent.items())
    if isinstance(sent, list) and isinstance(read, list):
        return len(sent) == len(read) and all(map(_same, sent, read))
    return bool(sent == read)


def _number(text: str) -> Decimal | None:
    """The number that a text writes, as prices are written; None where it writes none."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _moment(text: str) -> datetime | None:
    """The moment that a text names; None where it names none, or not where on Earth."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _ok(exchange: Exchange) -> bool:
    return 200 <= exchange.reply.status < 300


def _read(exchange: Exchange) -> Any:
    return read_json(exchange.reply.body)
