"""Defects as other tools read them: each format parses, says what was found, and is safe to show."""

from __future__ import annotations

import ast
import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from gnomon.core.errors import UsageError
from gnomon.fuzz.base import Case, Exchange, Media, Reply, Take
from gnomon.fuzz.outputs import ALWAYS, FORMATS, paths_of, write
from gnomon.fuzz.outputs.curl import _quoted
from gnomon.fuzz.outputs.fresh import renewable
from gnomon.fuzz.outputs.steps import steps_of
from gnomon.fuzz.outputs.text import hidden, hidden_bytes, printable
from gnomon.fuzz.writing import written
from tests.unit._fuzz_found import ALL, API, MADE, MAKE, ODD, SECRETS, STORY, defect, exchange, found


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_a_terminal_obeys_and_no_secret_is_written(name: str) -> None:
    text = FORMATS[name].text(ALL)
    assert "secret-of" not in text
    assert "d-key" not in text
    assert base64.b64encode(b"secret-of-alice")[:16].decode() not in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert text == FORMATS[name].text(ALL)


def test_printable_keeps_what_is_printed_alone() -> None:
    assert printable("a\tb\nŁ") == "a\tb\nŁ"
    assert printable("\x1b[0m\x9b\u202e\ud800") == r"\x1b[0m\x9b\u202e\ud800"


def test_secrets_are_hidden_as_they_are_and_as_urls_write_them() -> None:
    assert SECRETS == {"secret-of-alice": "TOKEN", "d-key": "TOKEN2", "secret-of-bob": "OTHER_TOKEN"}
    assert hidden("k=a%2Fb", {"a/b": "TOKEN"}) == "k=${TOKEN}"
    assert hidden_bytes("é\x00".encode() + b"\xff", {"é": "TOKEN"}) == b"${TOKEN}\x00\xff"


def test_steps_have_marks_where_answers_go() -> None:
    nested = exchange(MAKE, Reply(status=500), body={"of": [{"id": 7}], "by": "7-f"}, takes=(
        Take(step=0, expression="$response.body#/id", location="body", place="/by"),
        Take(step=0, expression="$response.body#/n", location="body", place="/of/0/id"),
    ))  # fmt: skip
    first, last = steps_of(defect(MADE, nested), SECRETS)
    assert first.keeps == {"ID0": "$response.body#/id", "ID1": "$response.body#/n"}
    assert last.request.body == b'{"of":[{"id":${ID1}}],"by":"${ID0}"}'
    assert steps_of(STORY, SECRETS)[1].request.target.startswith("/users/${ID0}?key=a%20b%2Fc%20")


def test_junit_has_a_case_for_each_operation_and_defect() -> None:
    suite = ElementTree.fromstring(FORMATS["junit"].text(ALL)).find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert len(cases) == 5
    assert len([case for case in cases if case.find("failure") is not None]) == 3
    assert suite.get("failures") == "3"
    (advice,) = [each.text for each in suite.iter("system-out")]
    assert r"\x1b]0;title\x07 & <b> ${OTHER_TOKEN}" in str(advice)


def test_har_has_every_request() -> None:
    log = json.loads(FORMATS["har"].text(ALL))["log"]
    assert log["version"] == "1.2"
    assert [each["response"]["status"] for each in log["entries"]] == [201, 500, 500, 500, 201]
    posted = log["entries"][2]["request"]["postData"]
    assert base64.b64decode(posted["text"]) == b"\x1b[2J\x00\xff%\\'\"@ ${TOKEN}"
    assert log["entries"][0]["startedDateTime"] == "2023-11-14T22:13:20.000+00:00"
    needed = {"startedDateTime", "time", "request", "response", "cache", "timings"}
    assert all(needed <= each.keys() for each in log["entries"])


def test_a_cassette_has_bytes_as_bytes() -> None:
    cassette = yaml.safe_load(FORMATS["vcr"].text(ALL))
    assert cassette["version"] == 1
    played = cassette["interactions"]
    assert played[1]["response"]["body"]["string"] == b"${TOKEN} \x1b[31m\x00\xff"
    assert played[0]["request"]["body"] == '{"email":"a@example.org","n":1}'
    assert played[0]["response"]["status"] == {"code": 201, "message": "Created"}


def test_ndjson_has_a_line_for_each_defect() -> None:
    lines = [json.loads(line) for line in FORMATS["ndjson"].text(ALL).splitlines()]
    assert [line["certain"] for line in lines] == [True, True, True, False]
    assert lines[0]["curl"].startswith("ID0=$(curl ")
    assert lines[0]["steps"][1]["answer"] == {"base64": base64.b64encode(b"${TOKEN} \x1b[31m\x00\xff").decode()}


def test_sarif_has_rules_results_and_prints_that_stay() -> None:
    (run,) = json.loads(FORMATS["sarif"].text(ALL))["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["server_error"]
    assert [each["level"] for each in run["results"]] == ["error", "error", "error", "note"]
    where = run["results"][0]["locations"][0]
    assert where["logicalLocations"][0]["fullyQualifiedName"] == "GET /users/{id}"
    assert where["physicalLocation"]["artifactLocation"]["uri"] == "openapi.json"
    prints = [each["partialFingerprints"]["gnomonKey/v1"] for each in run["results"]]
    assert len(set(prints)) == 3  # two of these have one key


def test_bodies_are_renewed_where_their_schema_does_not_mind() -> None:
    (step,) = steps_of(defect(MADE), SECRETS)
    renewed = renewable(step, API)
    assert renewed == b'{"email":"${FRESH}a@example.org","n":1}'
    fixed = {"type": "object", "properties": {"sku": {"type": "string", "pattern": "^[A-Z]{3}$"}}}
    operation = type(MAKE)(method="POST", path="/x", bodies={"application/json": Media(schema=fixed)})
    (step,) = steps_of(defect(exchange(operation, Reply(status=201), body={"sku": "ABC"})), SECRETS)
    assert renewable(step, API) is None


def test_marks_stand_in_forms_as_they_are() -> None:
    form = "application/x-www-form-urlencoded"
    schema = {"type": "object", "properties": {"text": {"type": "string"}, "of": {"type": "string"}}}
    operation = type(MAKE)(method="POST", path="/notes", bodies={form: Media(schema=schema)})
    case = Case(operation=operation, body={"text": "a b", "of": "7"}, media_type=form)
    asked = Exchange(case=case, request=written(case), reply=Reply(status=500))
    (step,) = steps_of(defect(asked), SECRETS)
    assert renewable(step, API) == b"text=${FRESH}a%20b&of=${FRESH}7"
    taken = replace(asked, takes=(Take(step=0, expression="$response.body#/id", location="body", place="/of"),))
    assert steps_of(defect(MADE, taken), SECRETS)[1].request.body == b"text=a%20b&of=${ID0}"


def test_tests_are_python_that_knows_nothing_of_us() -> None:
    tree = ast.parse(FORMATS["pytest"].text(ALL))
    imported = {
        name.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert imported == {"datetime", "http", "ipaddress", "json", "os", "re", "secrets", "uuid", "pytest"}
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert names == ["test_get_users_id_answers_500", "test_post_users_answers_500", "test_post_users_answers_500_2"]


def test_a_check_of_the_users_own_skips_its_test(tmp_path: Path) -> None:
    file = tmp_path / "test_defects.py"
    file.write_text(FORMATS["pytest"].text(found(defect(MADE, check="no_secrets"))))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(file)],
        cwd=tmp_path, capture_output=True, text=True, env={"API_URL": "http://127.0.0.1:9", "PATH": ""},
    )  # fmt: skip
    assert "1 skipped" in done.stdout, done.stdout


def test_formats_have_their_names_in_the_folder_or_any_other(tmp_path: Path) -> None:
    paths = paths_of(["junit,har=x/y.har", "pytest=t.py"], tmp_path)
    assert list(paths) == ["replay", "pytest", "junit", "har"]
    assert (paths["junit"], paths["har"], paths["pytest"]) == (tmp_path / "junit.xml", Path("x/y.har"), Path("t.py"))
    assert list(paths_of([], tmp_path)) == list(ALWAYS)
    with pytest.raises(UsageError, match=r"'juint' is no format; did you mean 'junit'\?"):
        paths_of(["juint"], tmp_path)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write(found(ODD), {"har": tmp_path / "a" / "b.har"})
    assert (tmp_path / "a" / "b.har").exists()
    with pytest.raises(UsageError, match="cannot write it"):
        write(found(ODD), {"har": tmp_path / "file" / "b.har"})


@pytest.mark.parametrize(
    "text",
    ["[" * 2000 + "]" * 2000, '{"a":' * 300 + "1" + "}" * 300, "a'%\\" * 300, "plain'x", "x" + "-" * 300, "é" * 9],
)
def test_bash_reads_what_is_quoted_and_a_repetition_is_short(text: str) -> None:
    quoted = _quoted(text)
    assert subprocess.run(["bash", "-c", f"printf %s {quoted}"], capture_output=True, text=True).stdout == text
    assert len(quoted) < 120
