"""What a test says of the last replies: lines of Python that hold once the defect is gone.

A test of a check is about what the check is about, and nothing else: a reply that is wrong in another way passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from gnomon.fuzz.base import Api, Violation
from gnomon.fuzz.checks import Promises
from gnomon.fuzz.checks.contract import carried
from gnomon.fuzz.directions import answered
from gnomon.fuzz.loading import closed

__all__ = ["assertions"]

_READ_BY_HAND = "values cannot be compared without the document: gnomon fuzz --replay does"


def assertions(violation: Violation, api: Api) -> list[str]:
    """Lines for replies `r0`, `r1` and so on, one a step; a check of the user's own skips the test."""
    if violation.check == "malformed_request":
        return ["pytest.skip('no HTTP client sends it: its line for bash does')"]
    write = _WRITERS.get(violation.check)
    if write is None:
        return [f"pytest.skip({violation.check + ' is a check of your own: gnomon fuzz --replay makes it'!a})"]
    return write(violation, f"r{len(violation.steps) - 1}", api)


def _server_error(violation: Violation, last: str, api: Api) -> list[str]:
    return [f"assert 0 < {last}.status < 500, ({last}.status, {last}.body[:500])"]


def _status(violation: Violation, last: str, api: Api) -> list[str]:
    reply = violation.steps[-1].reply
    return [f"assert {last}.status != {reply.status}, {violation.title!a}"]


def _content_type(violation: Violation, last: str, api: Api) -> list[str]:
    kind, reply = violation.key[0], violation.steps[-1].reply
    if kind == "missing_content_type":
        broken = f"{last}.type == ''"
    elif kind == "malformed_content_type":
        broken = f"{last}.header('content-type') == {reply.header('content-type')!a}"
    else:
        broken = f"{last}.type == {violation.key[2].partition(' ')[2]!a}"
    return [f"assert not ({last}.status == {reply.status} and {last}.body and {broken}), {last}.headers"]


def _body(violation: Violation, last: str, api: Api) -> list[str]:
    reply = violation.steps[-1].reply
    head, _, place = violation.key[2].partition(" ")
    if place == "unreadable":
        return [f"assert {last}.status != {head} or {last}.json() is not None, {last}.body[:500]"]
    broken = _broken(violation, place, api)
    if broken is None:
        return [f"pytest.skip({_READ_BY_HAND!a})"]
    path, keyword, said = broken
    found = f"places({last}.json(), {path!a})" if "*" in path else f"places({last}.json(), {path!a})[:1]"
    return [
        f"if {last}.status == {reply.status}:",
        f"    assert not any(breaks(each, {keyword!a}, {said!a}) for each in {found}), {last}.body[:500]",
    ]


def _broken(violation: Violation, place: str, api: Api) -> tuple[list[str], str, Any] | None:
    """Where the last body breaks its schema, by which keyword, and what that says."""
    last, promises = violation.steps[-1], Promises(api)
    kind = promises.promised_type(last.case.operation, last.reply)
    answer = last.case.operation.answer(last.reply.status)
    schema = answer.content.get(kind) if answer and kind else None
    validator = promises.validator(schema) if schema is not None else None
    if validator is None or schema is None:
        return None
    whole = closed(answered(schema), {name: answered(each) for name, each in api.definitions.items()})
    for error in validator.iter_errors(carried(json.loads(last.reply.body))):
        if "/".join(str(part) for part in error.schema_path if not isinstance(part, int)) == place:
            keyword, said = str(error.kind.name), _said(whole, list(error.schema_path))
            if keyword == "additionalProperties":
                said = sorted(_said(whole, list(error.schema_path)[:-1]).get("properties", {}))
            path = ["*" if isinstance(part, int) else str(part) for part in error.instance_path]
            return (path, keyword, said) if keyword in _KEYWORDS else None
    return None


def _said(schema: Any, path: list[Any]) -> Any:
    for part in path:
        schema = schema[part]
    return schema


def _headers(violation: Violation, last: str, api: Api) -> list[str]:
    status, _, rest = violation.key[2].partition(" ")
    name, _, missing = rest.partition(" ")
    reply = violation.steps[-1].reply
    said = "is not None" if missing else f"!= {reply.header(name.lower())!a}"
    return [f"assert {last}.status != {status} or {last}.header({name!a}) {said}, {last}.headers"]


def _graphql(violation: Violation, last: str, api: Api) -> list[str]:
    errors = f"({last}.json() or {{}}).get('errors')"
    if violation.key[2] == "accepted":
        return [f"assert {errors}, {last}.body[:500]"]
    if len(violation.key) > 3:
        return [f"pytest.skip({_READ_BY_HAND!a})"]
    return [f"assert not {errors}, {last}.body[:500]"]


def _refused(violation: Violation, last: str, api: Api) -> list[str]:
    if violation.steps[-1].case.operation.root:
        return [f"assert not {_of_root(violation, last)}, {last}.body[:500]"]
    return [f"assert not {last}.ok, {last}.status"]


def _of_root(violation: Violation, last: str) -> str:
    """What a GraphQL server answered for the root field."""
    return f"at({last}.json(), ['data', {violation.steps[-1].case.operation.path!a}])"


def _accepted(violation: Violation, last: str, api: Api) -> list[str]:
    return [f"assert {last}.status not in (400, 422), {last}.body[:500]"]


def _method(violation: Violation, last: str, api: Api) -> list[str]:
    if violation.key[2] == "405 without Allow":
        return [f"assert {last}.status != 405 or {last}.header('allow') is not None"]
    return _refused(violation, last, api)


def _slow(violation: Violation, last: str, api: Api) -> list[str]:
    return ["pytest.skip('one reply says little about time: gnomon fuzz --replay measures')"]


def _there(violation: Violation, last: str, api: Api) -> list[str]:
    if violation.steps[-1].case.operation.root:
        return [f"assert {_of_root(violation, last)}, {last}.body[:500]"]
    return [f"assert {last}.status != 404, {last}.status"]


def _listed(violation: Violation, last: str, api: Api) -> list[str]:
    name = next((f"id{i}" for i, _ in enumerate(_taken(violation))), None)
    if name is None:
        return [f"pytest.skip({_READ_BY_HAND!a})"]
    wanted = "" if violation.key[2] == "missing" else "not "
    return [f"assert not {last}.ok or {wanted}mentions({last}.json(), {name}), {last}.body[:500]"]


def _taken(violation: Violation) -> list[tuple[int, str]]:
    return sorted({(take.step, take.expression) for step in violation.steps for take in step.takes})


def _unseen(violation: Violation, last: str, api: Api) -> list[str]:
    change, name, before = violation.steps[-2], violation.key[2], f"r{len(violation.steps) - 2}"
    body, read, taken = change.case.body, f"{last}.field({name!a})", f"{before}.ok"
    if change.case.operation.root:
        from gnomon.fuzz.graphql.kept import sent_by

        body, read = sent_by(change), f"at({_of_root(violation, last)}, [{name!a}])"
        taken = f"at({before}.json(), ['data', {change.case.operation.path!a}])"
    value = body.get(name) if isinstance(body, Mapping) else None
    lines = [f"sent, read = {value!a}, {read}"]
    if isinstance(value, str):
        lines.append("sent, read = sent.strip().casefold(), str(read).strip().casefold()")
    return [*lines, f"assert not {taken} or not {last}.ok or sent == read, {last}.body[:500]"]


def _moved(violation: Violation, last: str, api: Api) -> list[str]:
    name, before = violation.key[2], f"r{len(violation.steps) - 3}"
    return [f"assert {before}.field({name!a}) == {last}.field({name!a}), ({before}.body[:500], {last}.body[:500])"]


_KEYWORDS = {"type", "required", "additionalProperties", "enum", "const", "pattern", "format", "multipleOf"}
_KEYWORDS |= {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_KEYWORDS |= {f"{end}{what}" for end in ("min", "max") for what in ("Length", "Items", "Properties")}
_WRITERS: Mapping[str, Callable[[Violation, str, Api], list[str]]] = {
    "server_error": _server_error,
    "undocumented_status": _status,
    "missing_content_type": _content_type,
    "malformed_content_type": _content_type,
    "undocumented_content_type": _content_type,
    "response_body": _body,
    "response_headers": _headers,
    "negative_data_accepted": _refused,
    "missing_header_accepted": _refused,
    "valid_data_rejected": _accepted,
    "method_not_allowed": _method,
    "slow_response": _slow,
    "graphql_error": _graphql,
    "use_after_delete": _refused,
    "created_not_found": _there,
    "list_inconsistent": _listed,
    "update_not_visible": _unseen,
    "non_idempotent_put": _moved,
    "ignored_auth": _refused,
    "object_level_auth": _refused,
}
