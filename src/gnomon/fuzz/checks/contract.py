"""The contract: statuses, media types, bodies and headers as the document promises them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gnomon.fuzz.answered import parsed
from gnomon.fuzz.base import Answer, Exchange, Violation
from gnomon.fuzz.checks.fingerprint import fingerprint, texts_of
from gnomon.fuzz.checks.promises import Promises, base_type

__all__ = ["carried", "content_type", "response_body", "response_headers", "undocumented_status"]

_EXPECTED_OF_ANY_SERVER = frozenset({401, 403, 405, 406, 413, 415, 429})
_READ = (None, "", "identity", "gzip", "x-gzip", "deflate")
_LONG = 4096
_WITHOUT_BODY = frozenset({204, 205, 304})


def undocumented_status(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """A status that the document does not have, by number, range or default.

    Advice for statuses that any server may give (401, 403, 405, 406, 413, 415, 429) and for 404 where something is
    named in the path, which may not exist. Server errors are another check's.
    """
    operation, status = exchange.case.operation, exchange.reply.status
    if not 100 <= status < 500 or not operation.answers or operation.answer(status) or _other_method(exchange):
        return
    if status in _EXPECTED_OF_ANY_SERVER and exchange.case.mode == "probe":
        return
    advice = status in _EXPECTED_OF_ANY_SERVER or (status == 404 and "{" in operation.path) or _too_large(exchange)
    what, detail = f"answers {status}, which is not documented", f"documented: {', '.join(operation.answers)}"
    found = _violation(exchange, "undocumented_status", str(status), what, detail, certain=not advice)
    # The same words of refusal come from one place; those of the first are enough.
    if found.key not in promises.roots:
        told = status >= 400 and exchange.reply.body
        said = fingerprint(exchange.reply.body, texts_of(exchange.case)) if told else ""
        promises.roots[found.key] = ("undocumented_status", str(status), said) if said else ()
    yield replace(found, root=promises.roots[found.key])


def content_type(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """A body at 204, or one whose media type is missing, cannot be read, or is not documented."""
    reply, answer = exchange.reply, _answer(exchange)
    if reply.status == 204 and (reply.body or (reply.header("content-length") or "0") != "0"):
        yield _violation(exchange, "response_body", "204 has a body", "answers 204 and a body", "")
        return
    if not reply.body or answer is None:
        return
    said = reply.header("content-type")
    if said is None:
        yield _violation(exchange, "missing_content_type", str(reply.status), "names no media type of its body", "")
    elif base_type(said).count("/") != 1 or " " in base_type(said) or not all(base_type(said).split("/")):
        yield _violation(exchange, "malformed_content_type", said[:80], "names no readable media type", said)
    elif answer.content and promises.promised_type(exchange.case.operation, reply) is None:
        what = f"{reply.status} is {base_type(said)}, which is not documented"
        detail = f"documented: {', '.join(answer.content)}"
        key = f"{reply.status} {base_type(said)}"
        found = _violation(exchange, "undocumented_content_type", key, what, detail, not _too_large(exchange))
        yield replace(found, root=("undocumented_content_type", key, *answer.content))


def response_body(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """JSON that cannot be read, or that its schema does not allow; one defect is one operation, status and place in the
    schema. Of formats only those on which all tools agree are held."""
    reply, answer = exchange.reply, _answer(exchange)
    if (
        answer is None
        or reply.cut
        or reply.header("content-encoding") not in _READ
        or not _is_json(reply.header("content-type") or "")
    ):
        return
    kind = promises.promised_type(exchange.case.operation, reply)
    schema = answer.content.get(kind) if kind else None
    if schema is None or reply.status in _WITHOUT_BODY:
        return
    try:
        value = parsed(reply.body)
    except (ValueError, RecursionError) as error:
        yield _violation(
            exchange, "response_body", f"{reply.status} unreadable", f"{reply.status} is no JSON", str(error)
        )
        return
    if not reply.body.isascii() or b"\\u" in reply.body:
        value = carried(value)
    validator = promises.validator(schema)
    if validator is None or validator.is_valid(value):
        return
    seen = set()
    for fault in validator.iter_errors(value):
        place = "/".join(str(part) for part in fault.schema_path if not isinstance(part, int))
        if place not in seen:
            seen.add(place)
            what = f"{reply.status} breaks its schema at {_at(fault)}"
            found = _violation(exchange, "response_body", f"{reply.status} {place}", what, fault.message[:500])
            # Within a named schema the path is the same wherever it is used.
            yield replace(found, root=("response_body", place) if place.startswith("$defs/") else ())


def response_headers(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """A promised header that is not there, or that its schema does not allow once read as number or boolean."""
    answer = _answer(exchange)
    for name, promised in answer.headers.items() if answer else ():
        if name.lower() == "content-type":
            continue
        said = exchange.reply.header(name.lower())
        if said is None and promised.required:
            what = f"{exchange.reply.status} lacks the header {name}"
            yield _violation(exchange, "response_headers", f"{exchange.reply.status} {name} missing", what, "")
        elif said is not None and not any(_valid(promises, promised.schema, each) for each in _readings(said)):
            what = f"{exchange.reply.status} has a header {name} that breaks its schema"
            yield _violation(exchange, "response_headers", f"{exchange.reply.status} {name}", what, said[:200])


def carried(value: Any) -> Any:
    """The value with a mark for each half of a surrogate pair that stands alone: no validator can read those."""
    text = json.dumps(value, ensure_ascii=False)
    return value if text.isascii() else json.loads(text.encode("utf-8", "replace"))


def _answer(exchange: Exchange) -> Answer | None:
    """What is promised of this reply; None for replies to other methods, to HEAD, and where nothing is promised."""
    if _other_method(exchange) or exchange.request.method == "HEAD":
        return None
    return exchange.case.operation.answer(exchange.reply.status)


def _too_large(exchange: Exchange) -> bool:
    """Whether a target or header is longer than servers read, most of which refuse it before any application."""
    longest = max((len(value) for _, value in exchange.request.headers), default=0)
    return exchange.reply.status in (400, 414, 431) and max(len(exchange.request.target), longest) > _LONG


def _other_method(exchange: Exchange) -> bool:
    return bool(exchange.case.method) and exchange.case.method != exchange.case.operation.method


def _is_json(content_type: str) -> bool:
    base = base_type(content_type)
    return base.endswith(("/json", "+json"))


def _at(error: Any) -> str:
    return "/" + "/".join("*" if isinstance(part, int) else str(part) for part in error.instance_path)


def _valid(promises: Promises, schema: Any, value: Any) -> bool:
    validator = promises.validator(schema)
    return validator is None or bool(validator.is_valid(value))


def _readings(said: str) -> list[Any]:
    """What a header's text may mean: the text, a number, a boolean, a list."""
    found: list[Any] = [said, [part.strip() for part in said.split(",")]]
    with suppress(ValueError):
        found.append(json.loads(said))
    return found


def _violation(
    exchange: Exchange, check: str, discriminator: str, what: str, detail: str, certain: bool = True
) -> Violation:
    operation = exchange.case.operation
    return Violation(
        check=check,
        key=(check, operation.key, discriminator),
        title=f"{operation.key} {what}",
        severity="medium" if check == "response_body" else "low",
        certain=certain,
        detail=detail,
        steps=(exchange,),
    )
