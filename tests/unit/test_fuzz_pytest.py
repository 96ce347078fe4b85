"""APIs under pytest, from Python, and functions of the user's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gnomon
from gnomon.cli import main
from gnomon.core.errors import UsageError
from gnomon.fuzz import hooks
from gnomon.fuzz.base import Case, Reply, Request
from tests.unit._fuzz_served import served

THING = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}}}
JSON = {"application/json": {"schema": THING}}
PARAMETER = [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Things", "version": "1"},
    "paths": {
        "/things": {
            "post": {
                "requestBody": {"required": True, "content": JSON},
                "responses": {"201": {"description": "made"}, "422": {"description": "refused"}},
            }
        },
        "/things/{id}": {
            "parameters": PARAMETER,
            "get": {"responses": {"200": {"description": "it"}, "404": {"description": "none"}}},
            "delete": {"responses": {"204": {"description": "gone"}, "404": {"description": "none"}}},
        },
    },
}


class Things:
    """Things of a number; one above 9 cannot be made, and one that was removed cannot be read."""

    def __init__(self) -> None:
        self.there: dict[int, bool] = {}
        self.headers: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.headers.append(dict(scope["headers"]))
        status, value = self.answer(scope["method"], scope["path"], (await receive())["body"])
        body = b"" if value is None else json.dumps(value).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/openapi.json":
            return 200, DOCUMENT
        if (method, path) == ("POST", "/things"):
            try:
                n = json.loads(body)["n"]
            except (ValueError, TypeError, KeyError):
                return 422, {}
            if not isinstance(n, int) or isinstance(n, bool) or not 0 <= n < 100:
                return 422, {}
            if n > 9:
                return 500, {"secret": "secret-of-alice"}
            self.there[len(self.there)] = True
            return 201, {"id": len(self.there) - 1}
        name = path.rpartition("/")[2]
        if not name.isdecimal() or int(name) not in self.there:
            return 404, {}
        if method == "DELETE":
            self.there[int(name)] = False
            return 204, None
        return (200, {}) if self.there[int(name)] else (500, {})


app = Things()


@pytest.fixture(autouse=True)
def nothing_registered() -> Iterator[None]:
    """Hooks are of one test."""
    yield
    hooks._CHECKS.clear()
    hooks._BEFORE.clear()
    hooks.noted()


TESTS = """
import gnomon
from hypothesis import settings
import pytest

from tests.unit.test_fuzz_pytest import Things

api = gnomon.fuzz.from_asgi(Things(), bearer="secret-of-alice")


@pytest.fixture
def three():
    return 3


@api.parametrize()
@settings(max_examples=30, derandomize=True, database=None)
def test_api(case, three):
    assert three == 3
    case.call_and_validate()


class TestGrouped:
    @api.parametrize()
    @settings(max_examples=5, derandomize=True, database=None)
    def test_answers(self, case):
        assert case.call().status


TestLives = api.state_machine().TestCase
TestLives.settings = settings(max_examples=20, stateful_step_count=8, derandomize=True, database=None, deadline=None)
"""


def under_pytest(folder: Path, *words: str) -> str:
    (folder / "test_things.py").write_text(TESTS)
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"}
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--tb=short", *words]
    done = subprocess.run([*command, "test_things.py"], cwd=folder, capture_output=True, text=True, env=env)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def test_an_item_an_operation_with_fixtures_and_the_least_case(tmp_path: Path) -> None:
    said = under_pytest(tmp_path)
    assert "FAILED test_things.py::test_api[POST /things]" in said
    assert "PASSED test_things.py::test_api[GET /things/{id}]" in said
    assert "PASSED test_things.py::TestGrouped::test_answers[DELETE /things/{id}]" in said
    assert "case=POST /things body={'n': 10}" in said
    assert """--data-raw '{"n":10}'""" in said
    assert "secret-of-alice" not in said.replace('bearer="secret-of-alice"', "")
    assert "FAILED test_things.py::TestLives::runTest" in said


def test_items_are_chosen_by_name_and_spread_over_processes(tmp_path: Path) -> None:
    said = under_pytest(tmp_path, "-k", "test_api and DELETE", "-n", "2")
    assert "1 passed" in said


def test_nothing_is_loaded_before_it_is_used() -> None:
    code = (
        "import sys, gnomon, gnomon.fuzz; print([m for m in ('hypothesis', 'pytest', 'aiohttp') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
    assert gnomon.fuzz.from_asgi.__module__ == "gnomon.fuzz.library"
    with pytest.raises(AttributeError, match="no attribute 'from_nowhere'"):
        gnomon.fuzz.from_nowhere  # noqa: B018


def test_a_search_from_python_says_nothing_and_gives_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = gnomon.fuzz(Things(), max_requests=150, connections=1, checks=("server_error",), bearer="secret-of-alice")
    made = [each for each in found.certain if each.violation.steps[-1].case.operation.key == "POST /things"]
    assert list(made[0].violation.steps[-1].case.body) == ["n"]
    assert found.curl(made[0]).startswith("curl ")
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_server_is_searched_by_its_url() -> None:
    with served(Things()) as url:
        found = gnomon.fuzz(url, max_requests=60, checks=("server_error",), include=("POST *",))
    assert found.origin == url
    assert [each.key for each in found.api.operations] == ["POST /things"]


@pytest.mark.parametrize(("subject", "settings", "message"), [
    (7, {}, "a int is no server; give a URL"),
    (Things(), {"max_tme": 3}, "did you mean 'max_time'"),
    (Things(), {"include": ("nothing",)}, "none of 3 operations is left"),
    (Things(), {"hooks": "no.such.module"}, "no.such.module cannot be imported"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(subject: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gnomon.fuzz(subject, **settings)


def test_a_check_of_ones_own_finds_what_it_asserts() -> None:
    @gnomon.fuzz.check
    def no_secrets(case: Case, reply: Reply) -> None:
        assert b"secret" not in reply.body, "a secret is told"

    found = gnomon.fuzz(Things(), max_requests=150, connections=1, checks=("no_secrets",))
    (defect,) = found.certain
    assert defect.violation.key == ("no_secrets", "POST /things")
    assert defect.violation.detail.startswith("a secret is told")
    assert list(defect.violation.steps[-1].case.body) == ["n"]


def test_a_hook_that_raises_loses_nothing_and_is_named() -> None:
    @gnomon.fuzz.check
    def broken(case: Case, reply: Reply) -> None:
        raise ZeroDivisionError("oh")

    @gnomon.fuzz.before_send
    def signed(request: Request) -> Request:
        raise KeyError("no key")

    found = gnomon.fuzz(Things(), max_requests=100, connections=1)
    assert any(each.violation.check == "server_error" for each in found.certain)
    assert len(found.notes) == 2
    assert any(f"hook broken ({__file__}:" in note and "ZeroDivisionError('oh')" in note for note in found.notes)
    assert any(f"hook signed ({__file__}:" in note for note in found.notes)


def test_requests_are_changed_before_they_are_signed() -> None:
    things = Things()

    @gnomon.fuzz.before_send
    def traced(request: Request) -> Request:
        return Request(
            method=request.method,
            target=request.target,
            headers=(*request.headers, ("x-trace", "1"), ("authorization", "mine")),
            body=request.body,
        )

    words = {"connections": 1, "bearer": "secret-of-alice", "include": ("GET *",), "checks": ("server_error",)}
    gnomon.fuzz(things, max_requests=5, **words)
    asked = [each for each in things.headers if b"x-trace" in each]
    assert len(asked) >= 5
    assert {each[b"authorization"] for each in asked} == {b"mine"}


def test_a_module_of_hooks_is_named_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import gnomon\n\n@gnomon.fuzz.check\ndef not_made(case, reply):\n    assert reply.status != 201, 'made'\n"
    (tmp_path / "my_hooks_of_things.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path / "runs"))
    words = ["fuzz", f"{__name__}:app", "--hooks", "my_hooks_of_things", "--checks", "not_made"]
    assert main([*words, "--max-requests", "60", "--connections", "1"]) == 1
    assert "POST /things fails not_made" in capsys.readouterr().out


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_drawn_cases_are_what_they_say(data: st.DataObject) -> None:
    suite = gnomon.fuzz.from_asgi(app)
    operation = data.draw(st.sampled_from(list(suite.operations)))
    case = data.draw(suite.cases(operation)).case
    assert suite.maker.is_valid(case) is (case.mode == "valid")
