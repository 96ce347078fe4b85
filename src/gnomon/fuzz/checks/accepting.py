"""Acceptance: what the schema forbids must be refused, and what it allows must not be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gnomon.fuzz.base import Case, Exchange, Fault, Violation
from gnomon.fuzz.certificate import certificate
from gnomon.fuzz.checks.fingerprint import fingerprint, texts_of
from gnomon.fuzz.checks.promises import Promises
from gnomon.fuzz.checks.refusals import is_beyond_schemas, reasons, told
from gnomon.fuzz.pointers import escaped, tokens
from gnomon.fuzz.readings import ABSENT, text_readings
from gnomon.fuzz.values.formats import FORMATS

__all__ = ["method_not_allowed", "missing_header_accepted", "negative_data_accepted", "valid_data_rejected"]

_OF_ANY_SERVER = frozenset({"HEAD", "OPTIONS"})
_DISPUTED = re.compile("[\0\ud800-\udfff]|^0000-[0-9]{2}-[0-9]{2}|[0-9]{2}:[0-9]{2}:60")
_INDEX = re.compile(r"/\d+(?=/|$)")
_EXACT = 2**53


def negative_data_accepted(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """A 2xx to a request that breaks the schema in one place, whatever a lenient server reads in its bytes.

    Advice for a further parameter and for a member that only answers have, which most servers overlook.
    """
    fault = _accepted_fault(exchange)
    if fault is None or (fault.location == "header" and _lacks(exchange, fault)):
        return
    if not certificate(exchange.case, exchange.request, promises.asked):
        return
    fault, root = _told(exchange.case, fault, promises)
    further = fault.location != "body" and fault.keyword in ("additionalProperties", "unevaluatedProperties")
    overlooked = further or (fault.location == "body" and _is_read_only(exchange.case, fault, promises))
    yield replace(_accepted(exchange, "negative_data_accepted", fault, certain=not overlooked), root=root)


def missing_header_accepted(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """A 2xx to a request that lacks a required header which has no default."""
    fault = _accepted_fault(exchange)
    if fault is None or fault.location != "header" or fault.keyword != "required":
        return
    headers = [each for each in exchange.case.operation.parameters if each.location == "header"]
    lacking = [each for each in headers if fault.pointer == f"/{escaped(each.name)}"]
    if not any(isinstance(p.schema, Mapping) and "default" in p.schema for p in lacking):
        yield _accepted(exchange, "missing_header_accepted", fault)


def valid_data_rejected(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """The second 400 or 422, giving the same reason, to requests within the schema, of an operation that takes others;
    or any, where all values are the document's own examples.

    Advice where a reason is about what the server keeps, by its words or because it took each value before, or a
    value is one that readers dispute.
    """
    case, status = exchange.case, exchange.reply.status
    if case.mode != "valid" or status not in (400, 422) or case.technique == "dictionary":
        return
    of_examples = case.technique == "example"
    explained, repeated = promises.taken.explains(case), promises.made_up(case) | texts_of(case)
    for reason in reasons(exchange.reply.body):
        key = (case.operation.key, fingerprint(reason, repeated))
        promises.rejected[key] += 1
        if not of_examples and (promises.rejected[key] < 2 or not promises.accepted[case.operation.key]):
            continue
        doubtful = not of_examples and (_undeclared(case, promises) or _doubtful(case, promises))
        what = "its own example" if of_examples else "what its schema allows"
        yield Violation(
            check="valid_data_rejected",
            key=("valid_data_rejected", *key),
            title=f"{case.operation.key} refuses {what}: {told(reason)}",
            severity="medium",
            certain=not (doubtful or explained or is_beyond_schemas(reason)),
            detail=reason[:1000].decode("utf-8", "replace"),
            steps=(exchange,),
            # Words that tell of no value of this operation alone come from one place.
            root=("valid_data_rejected", *key[1:]),
        )


def method_not_allowed(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """A 2xx to a method that the document does not have for this path, or a 405 that does not say which it allows."""
    case, reply = exchange.case, exchange.reply
    method = exchange.request.method
    if reply.status == 405 and reply.header("allow") is None and method not in _OF_ANY_SERVER:
        yield _method(exchange, "405 without Allow", "answers 405 and does not say which methods are allowed", False)
    undeclared = case.method and method not in promises.methods[case.operation.path]
    if undeclared and 200 <= reply.status < 300 and method not in _OF_ANY_SERVER:
        # A page for whatever is asked tells that nobody heard of the path.
        page = "html" in (reply.header("content-type") or "")
        yield _method(exchange, method, f"takes {method}, which is not documented", not page)


def _lacks(exchange: Exchange, fault: Fault) -> bool:
    """Whether the header of a fault was not sent, be it that its value is written as nothing."""
    name = tokens(fault.pointer)[0].lower()
    return all(sent != name for sent, _ in exchange.request.headers)


def _told(case: Case, fault: Fault, promises: Promises) -> tuple[Fault, tuple[str, ...]]:
    """The fault as the validator tells it of the body that was sent, so that one hole has one name, and where in a
    named schema it is broken."""
    if fault.location != "body":
        return _as_read(case, fault, promises), ()
    media = case.operation.bodies.get(case.media_type)
    validator = promises.asking(media.schema) if media else None
    if validator is None or isinstance(case.body, bytes):
        return fault, ()
    try:
        errors = list(validator.iter_errors(case.body))
    except ValueError:  # text that no JSON can carry
        return fault, ()
    told = [(len(each.instance_path), str(each.kind.name), each) for each in errors]
    if not told:
        return fault, ()
    _, keyword, error = min(told, key=lambda each: each[:2])
    keys = [*error.instance_path, *([error.kind.property] if keyword == "required" else [])]
    pointer = "".join(f"/{escaped(str(key))}" for key in keys)
    place = tuple(str(part) for part in error.schema_path)
    root = ("negative_data_accepted", *place, pointer.rpartition("/")[2] if keyword == "required" else "")
    return replace(fault, pointer=pointer, keyword=keyword), root if place[:1] == ("$defs",) else ()


def _as_read(case: Case, fault: Fault, promises: Promises) -> Fault:
    """The fault of a text that is of the right type as servers read it, and then breaks something else: 0 of a limit
    of at least 1."""
    found = [each for each in case.operation.parameters if fault.pointer == f"/{escaped(each.name)}"]
    parameter = next((each for each in found if each.location == fault.location), None)
    text = case.parameters.get((fault.location, parameter.name)) if parameter else None
    validator = promises.asking(parameter.schema) if parameter else None
    if fault.keyword != "type" or not isinstance(text, str) or validator is None:
        return fault
    for value in text_readings(text):
        keywords = {each.kind.name for each in validator.iter_errors(value)} if value is not ABSENT else {"type"}
        if "type" not in keywords:
            return replace(fault, keyword=min(keywords, default=fault.keyword))
    return fault


def _undeclared(case: Case, promises: Promises) -> bool:
    """Whether a body has members that its schema does not name: what a loose schema allows says little."""
    named = _named(case, promises)
    return isinstance(case.body, dict) and named is not None and bool(case.body.keys() - named.keys())


def _named(case: Case, promises: Promises) -> Mapping[str, Any] | None:
    """Schemas of the members that a body's schema names; None where it names none."""
    media = case.operation.bodies.get(case.media_type)
    schema = media.schema if media else True
    while isinstance(schema, Mapping) and "$ref" in schema:
        schema = promises.asked.get(str(schema["$ref"]).rpartition("/")[2], True)
    named = schema.get("properties") if isinstance(schema, Mapping) else None
    return named if isinstance(named, Mapping) else None


def _is_read_only(case: Case, fault: Fault, promises: Promises) -> bool:
    named = (_named(case, promises) or {}).get(next(iter(tokens(fault.pointer)), ""))
    return isinstance(named, Mapping) and named.get("readOnly") is True


def _doubtful(case: Case, promises: Promises) -> bool:
    """Whether a text's format is one of the server's own, or a text is what standards allow and readers dispute: half
    of a surrogate pair (RFC 8259, sec. 8.2), U+0000, the year 0, the 61st second."""
    sent = [p.schema for p in case.operation.parameters if (p.location, p.name) in case.parameters]
    named = _named(case, promises) or {}
    sent += [named[name] for name in named if isinstance(case.body, dict) and name in case.body]
    texts = [each for each in sent if isinstance(each, Mapping) and "string" in str(each.get("type"))]
    own = any(each.get("format", "uri") not in FORMATS for each in texts)
    # Outside JSON null is a text, which only the server knows to be none, and 1e+308 one that few read as an integer.
    plain = [*case.parameters.values(), *([] if "json" in case.media_type else [case.body])]
    return own or any(map(_is_disputed, plain)) or any(map(_DISPUTED.search, texts_of(case)))


def _is_disputed(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_is_disputed, value.values() if isinstance(value, dict) else value))
    return value is None or (isinstance(value, float) and abs(value) >= _EXACT)


def _accepted_fault(exchange: Exchange) -> Fault | None:
    """The one fault of a request that was accepted all the same."""
    case = exchange.case
    accepted = case.mode == "invalid" and 200 <= exchange.reply.status < 300 and not case.method
    return case.why[0] if accepted and len(case.why) == 1 else None


def _accepted(exchange: Exchange, check: str, fault: Fault, certain: bool = True) -> Violation:
    place = _INDEX.sub("/*", fault.pointer)
    at = f"{fault.location} {place}".strip()
    return Violation(
        check=check,
        key=(check, exchange.case.operation.key, fault.location, place, fault.keyword),
        title=f"{exchange.case.operation.key} takes what its schema forbids: {at}, {fault.keyword}",
        severity="medium",
        certain=certain,
        detail=f"{fault.kind}; answered {exchange.reply.status}",
        steps=(exchange,),
    )


def _method(exchange: Exchange, discriminator: str, what: str, certain: bool) -> Violation:
    path = exchange.case.operation.path
    return Violation(
        check="method_not_allowed",
        key=("method_not_allowed", path, discriminator),
        title=f"{path} {what}",
        severity="low",
        certain=certain,
        steps=(exchange,),
    )
