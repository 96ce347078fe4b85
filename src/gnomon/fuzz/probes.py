"""Questions to the server as such: other methods and media types, bodies that cannot be read, parts left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from gnomon.fuzz.base import NOTHING, Case, Fault, Operation
from gnomon.fuzz.pointers import escaped
from gnomon.fuzz.transport.malformed import MALFORMED
from gnomon.fuzz.turns import in_turns
from gnomon.fuzz.writing.bodies import body_bytes

__all__ = ["methods_of", "missing_parts", "probes", "spoiled"]

_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "QUERY")
_DEEP = 2000


def missing_parts(base: Case) -> Iterator[Case]:
    """Cases that lack one required value each; a path cannot lack one."""
    for parameter in base.operation.parameters:
        key = (parameter.location, parameter.name)
        if parameter.required and parameter.location != "path" and key in base.parameters:
            left = {k: v for k, v in base.parameters.items() if k != key}
            at = f"/{escaped(parameter.name)}"
            why = Fault(location=parameter.location, pointer=at, keyword="required", kind="left out")
            yield replace(base, parameters=left, mode="invalid", why=(why,), technique="negative")
    if base.operation.body_required and base.body is not NOTHING:
        why = Fault(location="body", pointer="", keyword="required", kind="left out")
        yield replace(base, body=NOTHING, media_type="", mode="invalid", why=(why,), technique="negative")


def probes(fresh: Callable[[], Case], declared: frozenset[str] | set[str]) -> Iterator[Case]:
    """Probes of an operation, each around a valid case of its own.

    Args:
        fresh: makes such a case.
        declared: methods that the document has for this path.
    """
    for i, probe in enumerate(_probes(fresh(), declared)):
        # Only the values around the probe differ from one case to the next, never how many probes there are.
        yield next(islice(_probes(fresh(), declared), i, None), probe)()


def _probes(base: Case, declared: frozenset[str] | set[str]) -> Iterator[Callable[[], Case]]:
    bodies = _odd_bodies(base) if base.body is not NOTHING else iter(())
    yield from in_turns([bodies, _odd_methods(base, declared), _odd_paths(base), _repeated(base)])


def _odd_methods(base: Case, declared: frozenset[str] | set[str]) -> Iterator[Callable[[], Case]]:
    for method in _METHODS:
        if method not in declared:
            yield _probe(base, "method", method=method, body=NOTHING, media_type="")
    yield _probe(base, "cannot be met", headers={"accept": "application/x-gnomon"})


def spoiled(fresh: Callable[[], Case]) -> Iterator[Case]:
    """A case for each way in which bytes are no HTTP, each a valid one spoiled when it is sent."""
    for wrong in MALFORMED:
        yield _probe(fresh(), wrong, malformed=wrong)()


def _odd_bodies(base: Case) -> Iterator[Callable[[], Case]]:
    raw, kind = body_bytes(base.body, base.media_type, base.operation.bodies.get(base.media_type))
    for name in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "json"):
        if name != base.media_type:
            yield _probe(base, "media type", body=raw, headers={"content-type": name})
    yield _probe(base, "no media type", body=raw, media_type="")
    for what, body in _spoiled(raw, "json" in kind, base.body):
        yield _probe(base, what, body=body)


def _spoiled(raw: bytes, is_json: bool, value: Any) -> Iterator[tuple[str, bytes]]:
    """Bodies that are no document, or an odd one."""
    yield "empty", b""
    yield "cut", raw[: max(1, len(raw) // 2)]
    yield "not UTF-8", raw + b"\xff\xfe"
    if not is_json:
        return
    yield "byte order mark", b"\xef\xbb\xbf" + raw
    yield "trailing comma", raw[:-1] + b"," + raw[-1:]
    yield "nested deeply", b"[" * _DEEP + b"]" * _DEEP
    yield "nested deeply", b'{"a":' * _DEEP + b"1" + b"}" * _DEEP
    for literal in (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"null", b"[]", b'""', b"0"):
        yield f"is {literal.decode()}", literal
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield "a key twice", f"{{{json.dumps(name)}:{json.dumps(each)},".encode() + raw[1:]
        for key in value:
            for text in ("NaN", "1e400", '"\\ud800"'):
                spoiled = json.dumps({**value, key: "@@"}, separators=(",", ":")).replace('"@@"', text)
                yield f"{key} is {text}", spoiled.encode()


def _odd_paths(base: Case) -> Iterator[Callable[[], Case]]:
    for key in base.parameters:
        if key[0] == "path":
            for text in ("a/b", "..", "%00", "\x00", " ", "null", "undefined", "-1", "0", "9" * 30, "\u202e\u200d"):
                yield _probe(base, "path", parameters={**base.parameters, key: text})


def _repeated(base: Case) -> Iterator[Callable[[], Case]]:
    for (location, name), value in base.parameters.items():
        if location == "query" and not isinstance(value, list | dict):
            yield _probe(base, "repeated", parameters={**base.parameters, ("query", name): [value, value]})


def _probe(base: Case, kind: str, **changes: Any) -> Callable[[], Case]:
    """Makes a probe when it is called; most are only counted."""

    def made() -> Case:
        why = Fault(location="body", pointer="", keyword="probe", kind=kind)
        return replace(base, mode="probe", why=(why,), technique="probe", **changes)

    return made


def methods_of(operations: tuple[Operation, ...]) -> dict[str, set[str]]:
    """The methods that a document has, by path."""
    found: dict[str, set[str]] = {}
    for operation in operations:
        found.setdefault(operation.path, set()).update({operation.method, *operation.left_out})
    return found
