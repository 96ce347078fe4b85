"""What a reply may not be: each check on replies that break it, and on replies that only look so."""

import json
from dataclasses import replace

import pytest

from gnomon.fuzz.base import (
    Answer,
    Api,
    Case,
    Exchange,
    Fault,
    Header,
    Media,
    Operation,
    Parameter,
    Reply,
    Request,
    Trace,
)
from gnomon.fuzz.checks import CHECKS, Promises, violations
from gnomon.fuzz.checks.fingerprint import fingerprint
from gnomon.fuzz.checks.promises import matches
from gnomon.fuzz.writing import written

USER = {"$ref": "#/$defs/User"}
DEFINITIONS = {
    "User": {
        "type": "object",
        "properties": {
            "id": {"type": "integer", "readOnly": True},
            "name": {"type": "string", "maxLength": 5},
            "secret": {"type": "string", "writeOnly": True},
        },
        "required": ["id", "name", "secret"],
    }
}
CREATE = Operation(
    method="POST",
    path="/users",
    parameters=(
        Parameter(name="X-Key", location="header", schema={"type": "string"}, required=True),
        Parameter(name="X-Part", location="header", schema={"type": "string", "default": "a"}, required=True),
        Parameter(name="n", location="query", schema={"type": "integer"}, required=False, style="form", explode=True),
    ),
    bodies={"application/json": Media(schema=USER)},
    body_required=True,
    answers={
        "201": Answer(
            content={"application/json": USER}, headers={"X-Count": Header(schema={"type": "integer"}, required=True)}
        ),
        "4XX": Answer(),
    },
)
READ = Operation(method="GET", path="/users/{id}", answers={"200": Answer(content={"application/json": USER})})
API = Api(title="", version="", dialect="openapi-3.1", operations=(CREATE, READ), definitions=DEFINITIONS)
JSON = ("content-type", "application/json")
GOOD = {"name": "ann", "secret": "x"}


def _exchange(operation=READ, status=200, body=None, headers=(JSON,), case=None, raw=None, **reply):
    case = case or Case(operation=operation)
    payload = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
    answer = Reply(status=status, headers=headers, body=payload, **reply)
    return Exchange(
        case=case,
        request=written(case) if operation is CREATE else Request(method=case.method or "GET", target="/"),
        reply=answer,
    )


def _found(exchange, promises=None):
    return {(each.check, each.certain) for each in violations(exchange, promises or Promises(API))}


def test_a_right_reply_breaks_nothing():
    assert _found(_exchange(body={"id": 1, "name": "ann"})) == set()
    count = (JSON, ("x-count", "3"))
    case = Case(operation=CREATE, parameters={("header", "X-Key"): "k"}, body=GOOD, media_type="application/json")
    assert _found(_exchange(CREATE, 201, {"id": 1, "name": "ann"}, count, case)) == set()


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"status": 500}, {("server_error", True)}),
        ({"status": 0, "fault": "dropped"}, {("server_error", True)}),
        ({"status": 502}, {("server_error", False)}),
        ({"status": 503, "headers": (("retry-after", "1"),)}, set()),
        ({"status": 600}, {("undocumented_status", True)} - {("undocumented_status", True)}),
        ({"status": 302}, {("undocumented_status", True)}),
        ({"status": 404}, {("undocumented_status", False)}),
        ({"status": 401}, {("undocumented_status", False)}),
        ({"body": {"id": "1", "name": "ann"}}, {("response_body", True)}),
        ({"body": {"id": 1, "name": "ann", "secret": "x"}}, {("response_body", True)}),
        ({"raw": b"{"}, {("response_body", True)}),
        ({"raw": b"{", "cut": True}, set()),
        ({"raw": b"<p>", "headers": (("content-type", "text/html"),)}, {("undocumented_content_type", True)}),
        ({"raw": b"x", "headers": ()}, {("missing_content_type", True)}),
        ({"raw": b"x", "headers": (("content-type", "json"),)}, {("malformed_content_type", True)}),
    ],
)  # fmt: skip
def test_one_reply_at_a_time(reply, expected):
    assert _found(_exchange(**reply)) == expected


def test_a_crash_is_named_by_its_exception_and_frames_whatever_the_operation():
    trace = Trace(type="KeyError", frames=(("/app/a.py", "view"),))
    keys = {
        violations(_exchange(op, 500, trace=trace, case=Case(operation=op)), Promises(API))[0].key for op in (READ,)
    }
    keys |= {violations(_exchange(READ, 500, raw=b"other", trace=trace), Promises(API))[0].key}
    assert keys == {("server_error", "KeyError", "/app/a.py:view")}


def test_501_is_right_for_a_method_nobody_declared():
    case = Case(operation=READ, method="TRACE", mode="probe")
    assert _found(_exchange(READ, 501, case=case)) == set()
    assert _found(_exchange(READ, 501)) >= {("server_error", True)}


def _created(case):
    return _exchange(CREATE, 201, {"id": 1, "name": "ann"}, (JSON, ("x-count", "1")), case)


def _invalid(body, fault, parameters=None):
    parameters = {("header", "X-Key"): "k", ("header", "X-Part"): "a"} if parameters is None else parameters
    return Case(
        operation=CREATE, parameters=parameters, body=body, media_type="application/json", mode="invalid", why=(fault,)
    )


def test_what_the_schema_forbids_must_not_be_taken():
    long = Fault(location="body", pointer="/name", keyword="maxLength", kind="longer")
    found = violations(_created(_invalid({**GOOD, "name": "annabel"}, long)), Promises(API))
    assert [(each.check, each.key[2:]) for each in found] == [
        ("negative_data_accepted", ("body", "/name", "maxLength"))
    ]
    # A case that claims a fault that its bytes do not have is not believed.
    assert _found(_created(_invalid(GOOD, long))) == set()


def test_one_hole_has_one_name_however_it_was_met():
    names = set()
    for keyword, body in (("properties", {"NAME": "ann", "secret": "x"}), ("required", {"secret": "x"})):
        fault = Fault(location="body", pointer="/name", keyword=keyword, kind="")
        names |= {each.key for each in violations(_created(_invalid(body, fault)), Promises(API))}
    assert names == {("negative_data_accepted", "POST /users", "body", "/name", "required")}


def test_a_number_as_text_in_a_query_is_no_fault():
    fault = Fault(location="query", pointer="/n", keyword="type", kind="a string")
    parameters = {("header", "X-Key"): "k", ("header", "X-Part"): "a", ("query", "n"): "1"}
    assert _found(_created(_invalid(GOOD, fault, parameters))) == set()
    parameters[("query", "n")] = "x"
    assert _found(_created(_invalid(GOOD, fault, parameters))) == {("negative_data_accepted", True)}
    # It is a number as servers read it, and too small.
    least = [replace(p, schema={"type": "integer", "minimum": 1}) if p.name == "n" else p for p in CREATE.parameters]
    limited = replace(CREATE, parameters=tuple(least))
    case = replace(_invalid(GOOD, fault, {**parameters, ("query", "n"): "0"}), operation=limited)
    (small,) = violations(_created(case), Promises(replace(API, operations=(limited,))))
    assert small.key[-1] == "minimum"


def test_a_required_header_without_default_must_be_missed():
    for name, expected in (("X-Key", {("missing_header_accepted", True)}), ("X-Part", set())):
        fault = Fault(location="header", pointer=f"/{name}", keyword="required", kind="left out")
        left = {("header", other): "a" for other in ("X-Key", "X-Part") if other != name}
        assert _found(_created(_invalid(GOOD, fault, left))) == expected


def test_valid_data_may_be_refused_once_and_not_where_nothing_is_taken():
    case = Case(operation=CREATE, body={"name": "ann", "secret": "x"}, media_type="application/json")
    refused = _exchange(CREATE, 422, {"error": "no"}, case=case)
    promises = Promises(API)
    assert _found(refused, promises) == set() == _found(refused, promises)
    violations(_created(replace(case, body={"name": "bob", "secret": "x"})), promises)
    assert _found(refused, promises) == {("valid_data_rejected", True)}
    # An integer that is written with an exponent is a text that many read as none.
    wide = {("query", "n"): 1e308}
    assert _found(_exchange(CREATE, 422, {"error": "no"}, case=replace(case, parameters=wide)), promises) == {
        ("valid_data_rejected", False)
    }
    # What was taken once is refused for what the server keeps.
    violations(_created(case), promises)
    assert _found(refused, promises) == {("valid_data_rejected", False)}


def test_a_refusal_of_members_that_the_schema_does_not_name_is_advice():
    promises = Promises(API)
    case = Case(operation=CREATE, body={**GOOD, "more": 1}, media_type="application/json")
    violations(_created(case), promises)
    for _ in range(2):
        found = _found(_exchange(CREATE, 400, {"error": "no"}, case=case), promises)
    assert found == {("valid_data_rejected", False)}


def test_examples_must_be_taken_at_once():
    case = Case(operation=CREATE, body=GOOD, media_type="application/json", technique="example")
    assert _found(_exchange(CREATE, 422, {}, case=case)) == {("valid_data_rejected", True)}


def test_a_method_that_nobody_declared_must_be_refused():
    case = Case(operation=READ, method="DELETE", mode="probe")
    assert _found(_exchange(READ, 200, case=case)) == {("method_not_allowed", True)}
    assert _found(_exchange(READ, 405, case=case)) == {("method_not_allowed", False)}
    assert _found(_exchange(READ, 405, headers=(("allow", "GET"),), case=case)) == set()
    assert _found(_exchange(READ, 200, case=Case(operation=READ, method="OPTIONS", mode="probe"))) == set()


def test_slowness_is_told_by_the_limit_or_by_the_operations_own_median():
    slow = Promises(API, slow=1.0)
    assert ("slow_response", True) in _found(_exchange(status=404, seconds=1.5), slow)
    promises = Promises(API)
    for _ in range(5):
        violations(_exchange(status=404, seconds=0.1), promises)
    assert ("slow_response", False) in _found(_exchange(status=404, seconds=3.0), promises)


def test_headers_are_read_as_numbers_and_whatever_their_case():
    promises, case = Promises(API), Case(operation=CREATE, body=GOOD, media_type="application/json")
    body = {"id": 1, "name": "ann"}
    for headers, expected in (((JSON,), True), ((JSON, ("x-count", "many")), True), ((JSON, ("x-count", "7")), False)):
        assert (("response_headers", True) in _found(_exchange(CREATE, 201, body, headers, case), promises)) is expected


def test_fingerprints_see_what_is_said_and_not_of_what():
    same = [
        b'{"error": "no user 17", "at": "2026-01-02T10:00:00Z"}',
        b'{"error": "no user 4", "at": "1999-12-31T00:00:00Z"}',
    ]
    assert len({fingerprint(each) for each in same}) == 1
    assert fingerprint(b'{"error": "no user 17"}') != fingerprint(b'{"error": "no order 17"}')
    assert fingerprint(b"<p>at /a/b.py: 'x'</p>") == fingerprint(b"<b>at /c.py: 'yy'</b>")
    told = [(b"a letter is needed. Got: %s" % each, [each.decode(), "ann"]) for each in (b"a", b"?", b"", b"$(x)")]
    assert len({fingerprint(said, sent) for said, sent in told}) == 1, "what was sent is repeated"
    assert fingerprint(b"\"'it\\\\'s' is no key\"") == fingerprint(b"\"'x' is no key\"")


@pytest.mark.parametrize(
    ("promised", "said", "expected"),
    [
        ("application/json", "application/json", True),
        ("application/*", "application/json", True),
        ("*/*", "text/plain", True),
        ("application/*+json", "application/problem+json", True),
        ("application/json", "application/problem+json", False),
        ("text/*", "application/json", False),
    ],
)
def test_media_types_match_by_range_and_suffix(promised, said, expected):
    assert matches(promised, said) is expected


def test_every_check_is_named_after_what_it_finds():
    assert all(check.__doc__ and name == check.__name__ for name, check in CHECKS.items())
