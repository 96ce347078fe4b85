"""From values to bytes: every style of OpenAPI, every kind of body, and what cannot be sent."""

import json
from email import message_from_bytes
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.fuzz.base import Case, Media, Operation, Parameter
from gnomon.fuzz.writing import Unsendable, written

RED = ["blue", "black", "brown"]
RGB = {"R": 100, "G": 200}


def _target(value, location="query", **how):
    parameter = Parameter(name="color", location=location, schema=True, required=True, **how)
    path = "/{color}" if location == "path" else "/"
    operation = Operation(method="GET", path=path, parameters=(parameter,))
    return written(Case(operation=operation, parameters={(location, "color"): value})).target


@pytest.mark.parametrize(
    ("style", "explode", "value", "expected"),
    [
        ("simple", False, RED, "/blue,black,brown"),
        ("simple", False, RGB, "/R,100,G,200"),
        ("simple", True, RGB, "/R=100,G=200"),
        ("label", False, "blue", "/.blue"),
        ("label", False, RED, "/.blue,black,brown"),
        ("label", True, RED, "/.blue.black.brown"),
        ("label", True, RGB, "/.R=100.G=200"),
        ("matrix", False, "blue", "/;color=blue"),
        ("matrix", False, RED, "/;color=blue,black,brown"),
        ("matrix", True, RED, "/;color=blue;color=black;color=brown"),
        ("matrix", True, RGB, "/;R=100;G=200"),
    ],
)
def test_paths_are_written_as_openapi_has_them(style, explode, value, expected):
    assert _target(value, "path", style=style, explode=explode) == expected


@pytest.mark.parametrize(
    ("style", "explode", "value", "expected"),
    [
        ("form", True, RED, "/?color=blue&color=black&color=brown"),
        ("form", False, RED, "/?color=blue,black,brown"),
        ("form", True, RGB, "/?R=100&G=200"),
        ("form", False, RGB, "/?color=R,100,G,200"),
        ("spaceDelimited", False, RED, "/?color=blue%20black%20brown"),
        ("pipeDelimited", False, RED, "/?color=blue%7Cblack%7Cbrown"),
        ("deepObject", True, RGB, "/?color%5BR%5D=100&color%5BG%5D=200"),
        ("form", True, [], "/"),
        ("form", True, True, "/?color=true"),
        ("form", True, None, "/?color=null"),
    ],
)
def test_queries_are_written_as_openapi_has_them(style, explode, value, expected):
    assert _target(value, style=style, explode=explode) == expected


def test_reserved_characters_stand_as_they_are_where_a_parameter_allows_them():
    assert _target("a/b?c", style="form", reserved=True) == "/?color=a/b?c"
    assert _target("a/b?c", style="form") == "/?color=a%2Fb%3Fc"


def test_a_segment_of_dots_is_encoded_lest_a_client_resolves_it():
    assert _target("..", "path") == "/%2E%2E"


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_what_a_query_says_is_read_back(text):
    target = _target(text, style="form", explode=True)
    assert parse_qsl(target.partition("?")[2], keep_blank_values=True) == [("color", text)]


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1))
def test_what_a_path_says_is_read_back(text):
    assert unquote(_target(text, "path")[1:]) == text


def _sent(body, media_type, media=None, **more):
    operation = Operation(method="POST", path="/", bodies={media_type: media or Media(schema=True)})
    return written(Case(operation=operation, body=body, media_type=media_type, **more))


def test_json_bodies_carry_lone_surrogates():
    request = _sent({"a": "\ud800"}, "application/json")
    assert request.body == b'{"a":"\\ud800"}' and json.loads(request.body) == {"a": "\ud800"}
    assert dict(request.headers)["content-type"] == "application/json"


def test_forms_repeat_the_names_of_arrays():
    request = _sent({"a": [1, "x y"], "b": None}, "application/x-www-form-urlencoded")
    assert request.body == b"a=1&a=x%20y&b=null"


def test_multipart_is_what_a_mail_parser_reads():
    schema = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
    request = _sent({"file": "zip", "n": 3}, "multipart/form-data", Media(schema=schema))
    kind = dict(request.headers)["content-type"].encode()
    parts = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + request.body).get_payload()
    assert [(p.get_filename(), p.get_payload(decode=True)) for p in parts] == [("file", b"zip"), (None, b"3")]


def test_xml_escapes_what_it_holds():
    assert (
        _sent({"a b": ["<"]}, "application/xml").body
        == b'<?xml version="1.0"?><root><a_b><item>&lt;</item></a_b></root>'
    )


def test_bytes_are_sent_as_they_stand():
    assert _sent(b"\xff{", "application/json").body == b"\xff{"


def test_the_base_path_and_further_headers_stand():
    operation = Operation(method="GET", path="/a")
    request = written(Case(operation=operation, method="TRACE", headers={"Accept": "x/y"}), "/v1")
    assert (request.method, request.target, request.headers) == ("TRACE", "/v1/a", (("accept", "x/y"),))


@pytest.mark.parametrize("value", ["a\r\nb", "\x00", " lead", "\ud800"])
def test_headers_that_no_client_can_send_are_refused(value):
    parameter = Parameter(name="X", location="header", schema=True, required=True)
    operation = Operation(method="GET", path="/", parameters=(parameter,))
    with pytest.raises(Unsendable):
        written(Case(operation=operation, parameters={("header", "X"): value}))


def test_cookies_share_a_header():
    parameters = tuple(Parameter(name=n, location="cookie", schema=True, required=False) for n in "ab")
    operation = Operation(method="GET", path="/", parameters=parameters)
    request = written(Case(operation=operation, parameters={("cookie", "a"): 1, ("cookie", "b"): "x"}))
    assert request.headers == (("cookie", "a=1; b=x"),)
