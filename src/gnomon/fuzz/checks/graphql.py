"""Answers of a GraphQL server: errors of execution, data of the wrong type, invalid arguments that are taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gnomon.fuzz.base import Exchange, Violation
from gnomon.fuzz.checks.fingerprint import masked
from gnomon.fuzz.checks.promises import Promises

__all__ = ["graphql_error", "kind_of_answer"]

_MESSAGE = re.compile(rb'"message"\s*:\s*"((?:[^"\\]|\\.)*)"')
_NULL = re.compile(rb'"data"\s*:\s*(?:null|\{\s*"\w+"\s*:\s*(?:null|\[\])\s*\})')
_TYPES = re.compile(rb'"__typename"\s*:\s*"(\w+)"')

_INDEX = re.compile(r"/\d+(?=/|$)")
_INTERNAL = re.compile(r"INTERNAL|UNKNOWN|UNEXPECTED|EXCEPTION|DOWNSTREAM|SERVER_ERROR|CRASH", re.IGNORECASE)
_AUTHENTICATION = re.compile(r"UNAUTH|FORBIDDEN|ACCESS_DENIED|PERMISSION", re.IGNORECASE)
_REFUSED = re.compile(
    r"\b(unauthenticated|unauthorized|not (logged in|authenticated|authorized)|log ?in required|"
    r"authentication (required|failed|credentials)|access denied|permission denied|do not have permission|forbidden)\b",
    re.IGNORECASE,
)
# What a server says of what it keeps, unless it is its database or its files that say so.
_KEPT = re.compile(r"\b(not found|no such (?!file|table|column)|does(n't| not) exist|already exists)\b", re.IGNORECASE)
_LEAKED = re.compile(r"constraint|sql|errno|\.py\b|relation ", re.IGNORECASE)


def graphql_error(exchange: Exchange, promises: Promises, *, expected: Sequence[str] = ()) -> Iterator[Violation]:
    """What execution says to a valid question, with a path: an exception, or null where none may be; data that are not
    of their type; and an argument taken that every server must refuse, as graphql-core judges the bytes sent.

    Not errors of authentication, nor those that `expected` names; advice where the error has a code that says the
    server meant it, or words about what is there or is not. One defect is one root field and masked message.

    Args:
        expected: patterns over messages and `extensions.code` of errors that are no defects.
    """
    case, reply, root = exchange.case, exchange.reply, exchange.case.operation.root
    said = root.answer(reply.body) if root and not reply.cut else None
    if root is None or said is None:
        return
    told = [each for each in said.errors if each.get("path")]
    is_valid = case.mode == "valid" or reply.status >= 500
    taken = case.mode == "invalid" and not said.errors
    # What graphql-core thinks of a query costs more than to send it, so it is asked where it matters.
    if not is_valid and (told or taken):
        refusals = root.refusals(exchange.request)
        if refusals and not said.errors and said.data is not None and reply.status < 300:
            yield from _accepted(exchange, refusals[0])
            return
        is_valid = not refusals and not isinstance(case.body, bytes)
    if not is_valid:
        return
    for error in told:
        yield from _failed(exchange, error, expected)
    if reply.status < 500 and not isinstance(case.body, bytes):
        for place, what in root.mismatches(case, said):
            yield _violation(exchange, (place, what), f"{place} {what}", "medium", detail=_text(reply.body))


def kind_of_answer(body: bytes) -> str:
    """What two answers that show the same behaviour have in common, whatever was asked of them: messages of errors,
    names of types, and whether there is anything. The body may be cut."""
    messages = sorted({masked(each.decode("utf-8", "replace")) for each in _MESSAGE.findall(body)})
    return f"{messages} {sorted(set(_TYPES.findall(body)))} {bool(_NULL.search(body))}"


def _failed(exchange: Exchange, error: Mapping[str, Any], expected: Sequence[str]) -> Iterator[Violation]:
    extensions = error.get("extensions")
    extensions = extensions if isinstance(extensions, Mapping) else {}
    message, code = str(error.get("message")), str(extensions.get("code") or "")
    if _AUTHENTICATION.search(code) or _REFUSED.search(message):
        return
    if any(re.search(pattern, text) for pattern in expected for text in (message, code) if text):
        return
    what = masked(message)
    path = ".".join(str(part) for part in error["path"]) if isinstance(error["path"], list) else str(error["path"])
    meant = not _INTERNAL.search(code) if code else bool(_KEPT.search(message) and not _LEAKED.search(message))
    trace = str(extensions.get("stacktrace") or extensions.get("exception") or "")
    yield _violation(
        exchange, (what,), f"fails: {what[:120]}", "high", certain=not meant, detail=f"{path}: {message}\n{trace}"
    )


def _accepted(exchange: Exchange, refusal: str) -> Iterator[Violation]:
    """Told only of one fault, so that it is known which."""
    case = exchange.case
    if case.mode != "invalid" or len(case.why) != 1:
        return
    fault = case.why[0]
    place = _INDEX.sub("/*", fault.pointer)
    title = f"takes what its schema forbids: {place or 'its arguments'}, {fault.keyword}"
    yield _violation(exchange, ("accepted", place, fault.keyword), title, "medium", detail=f"{fault.kind}: {refusal}")


def _violation(
    exchange: Exchange, key: tuple[str, ...], what: str, severity: str, *, certain: bool = True, detail: str = ""
) -> Violation:
    operation = exchange.case.operation.key
    return Violation(
        check="graphql_error",
        key=("graphql_error", operation, *key),
        title=f"{operation} {what}",
        severity=severity,
        certain=certain,
        detail=detail.strip()[:2000],
        steps=(exchange,),
    )


def _text(body: bytes) -> str:
    return body[:1000].decode("utf-8", "replace")
