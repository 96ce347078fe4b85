"""What is written for shells, for pytest and for ourselves, really run: the bytes arrive, and defects show."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gnomon.cli import main
from gnomon.core.errors import DataError
from gnomon.data.worlds.shop import TOKENS, explained
from gnomon.fuzz.base import Defect, Reply, Request, Take
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.identities import Identity, identity
from gnomon.fuzz.outputs import FORMATS, Found
from gnomon.fuzz.replaying import Played, play, schema_of
from gnomon.fuzz.searching import Search
from gnomon.fuzz.targets import opened
from tests.unit._fuzz_found import AT, MADE, MAKE, ODD, READ, STORY, defect, exchange, found, sent
from tests.unit._fuzz_served import Echo, Renewed, served

LACKING = [tool for tool in ("bash", "curl", "jq", "sed") if shutil.which(tool) is None]
in_a_shell = pytest.mark.skipif(bool(LACKING), reason=f"there is no {', '.join(LACKING)} here")
TOKEN = {"TOKEN": TOKENS["alice"], "OTHER_TOKEN": TOKENS["bob"]}


def in_bash(lines: str, **variables: str) -> str:
    """What lines print in bash."""
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, env={**os.environ, **variables})
    assert not done.stderr, done.stderr
    return done.stdout


def by_pytest(text: str, folder: Path, **variables: str) -> dict[str, str]:
    """Outcomes by test; no package of ours can be imported there."""
    folder.mkdir(exist_ok=True)
    (folder / "gnomon.py").write_text("raise ImportError('tests of defects know nothing of us')")
    (folder / "test_defects.py").write_text(text)
    words = ["-q", "-rA", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist", "test_defects.py"]
    env = {**os.environ, **variables, "PYTHONPATH": str(folder), "COLUMNS": "400"}
    done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=folder, capture_output=True, text=True, env=env)
    assert "error" not in done.stdout.splitlines()[-1], done.stdout
    return {name: said for said, name in re.findall(r"^(PASSED|FAILED|SKIPPED).*::(test_\w+)", done.stdout, re.M)}


@in_a_shell
@pytest.mark.parametrize("body", [b"@file", b"a=%41&b='\"\\", b"\x00\xff\x1b[2J%s", "Łódź".encode(), b"-- $HOME `id`"])
def test_bash_sends_the_bytes_that_were_sent(body: bytes) -> None:
    echo = Echo()
    headers = (("x-odd", "a'b\"$HOME`\x85é"), ("authorization", "Bearer secret-of-alice"))
    request = Request(method="PUT", target="/a%20b/[x]{y}?q='%22$HOME", headers=headers, body=body)
    with served(echo) as url:
        in_bash(found(defect(sent(request)), origin=url).curl(defect(sent(request))), TOKEN="secret-of-alice")
    ((method, target, got, arrived),) = echo.got
    assert (method, target, arrived) == ("PUT", request.target.encode(), body)
    assert got[b"x-odd"] == headers[0][1].encode()
    assert got[b"authorization"] == b"Bearer secret-of-alice"
    assert b"content-type" not in got


@in_a_shell
def test_what_a_step_answers_goes_into_the_next_in_bash() -> None:
    takes = (
        Take(step=0, expression="$response.header.Location", location="path", place="id"),
        Take(step=1, expression="$response.body#/a/0/id", location="body", place="/id"),
    )
    changed = exchange(MAKE, Reply(status=500), body={"id": 3}, takes=takes[1:])
    story = defect(MADE, MADE, changed, exchange(READ, Reply(status=500), takes=takes[:1], id="x"))
    answers = (201, [(b"Location", b"http://h/users/a%20b/?x")], b""), (201, [], b'{"a": [{"id": 12}]}')
    echo = Echo(*answers)
    with served(echo) as url:
        in_bash(found(story, origin=url).curl(story), TOKEN="t", TOKEN2="k")
    assert json.loads(echo.got[2][3]) == {"id": 12}
    assert echo.got[3][1].startswith(b"/users/a%20b?key=")


@in_a_shell
def test_two_expressions_of_one_answer_are_kept_in_bash() -> None:
    takes = (
        Take(step=0, expression="$response.header.Location", location="path", place="id"),
        Take(step=0, expression="$response.body#/n", location="body", place="/n"),
    )
    changed = exchange(MAKE, Reply(status=500), body={"n": 0}, takes=takes[1:])
    story = defect(MADE, changed, exchange(READ, Reply(status=500), takes=takes[:1], id="x"))
    echo = Echo((201, [(b"location", b"/users/7")], b'{"n": 5}'))
    with served(echo) as url:
        in_bash(found(story, origin=url).curl(story), TOKEN="t", TOKEN2="k")
    assert (echo.got[1][3], echo.got[2][1].partition(b"?")[0]) == (b'{"n":5}', b"/users/7")


def test_pytest_sends_the_bytes_that_were_sent(tmp_path: Path) -> None:
    made = (201, [], b'{"id": "a/b"}')
    conflict, broken = (409, [], b""), (500, [], b"")
    echo = Echo(conflict, made, broken, broken, (200, [], b""))
    with served(echo) as url:
        text = FORMATS["pytest"].text(found(STORY, ODD, AT, origin=url))
        said = by_pytest(text, tmp_path, TOKEN="t", TOKEN2="k/")
    assert list(said.values()).count("FAILED") == 2, said
    assert said["test_post_users_answers_500_2"] == "PASSED"
    first, renewed, read, odd, at = echo.got
    assert (first[0], json.loads(first[3])) == ("POST", {"email": "a@example.org", "n": 1})
    assert re.fullmatch(r"[0-9a-f]{6}a@example.org", json.loads(renewed[3])["email"])
    assert read[1] == b"/users/a%2Fb?key=a%20b%2Fc%20k%2F"
    assert odd[3] == b"\x1b[2J\x00\xff%\\'\"@ t"
    assert (at[2][b"x-a"], at[3]) == ("\x85'\u202e".encode(), b"@file")


def searched(url: str, seconds: float, **more: Any) -> Found:
    """What a search of the shop at an address finds."""
    config = Fuzzing(url=url, max_time=seconds, **more)
    target = opened(f"{url}/openapi.json", config)
    alice, bob = (identity(target.api, n, bearer=TOKENS[who]) for n, who in (("first", "alice"), ("other", "bob")))
    search = Search(target, config, {"first": alice, "other": bob})

    async def whole() -> None:
        async for _ in search.defects():
            pass

    asyncio.run(whole())
    return search.found()


@in_a_shell
@pytest.mark.slow
def test_most_of_what_came_back_shows_on_a_new_server_without_us(tmp_path: Path) -> None:
    """At least 95 in 100 of what came back 3 of 3 times, by the file for pytest and by the lines for bash."""
    app = Renewed()
    with served(app) as url:
        found = searched(url, 60)
        app.renew()
        said = by_pytest(FORMATS["pytest"].text(found), tmp_path, API_URL=url, **TOKEN)
        names = re.findall(r"^def (test_\w+)", (tmp_path / "test_defects.py").read_text(), re.M)
        kept = [(d, n) for d, n in zip(found.certain, names, strict=True) if d.reproduced == (3, 3)]
        in_pytest = [name for _, name in kept if said.get(name) == "FAILED"]
        in_lines = [name for each, name in kept if shown_in_bash(found, each, app)]
    print(f"of {len(kept)}: {len(in_pytest)} in pytest, {len(in_lines)} in bash")
    lacking = sorted({name for _, name in kept} - (set(in_pytest) & set(in_lines)))
    assert len(kept) >= 20
    assert min(len(in_pytest), len(in_lines)) >= 0.95 * len(kept), lacking


def shown_in_bash(found: Found, defect: Defect, app: Renewed) -> bool:
    """Whether a new shop says, after the lines of a defect, that one was triggered which the defect may be."""
    app.renew()
    in_bash(found.curl(defect), **TOKEN)
    violation = defect.violation
    last = violation.steps[-1]
    method = "GET" if last.request.method == "HEAD" else last.request.method
    about = (f"{method} {last.case.operation.path}", violation.key[1])
    return bool({each for of in about for each in explained(of, violation.check)} & set(app.shop.log.triggered))


DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Things", "version": "1"},
    "paths": {
        "/things": {
            "post": {
                "requestBody": {"required": True, "content": {"application/json": {"schema": {
                    "type": "object", "required": ["n"], "additionalProperties": False,
                    "properties": {"n": {"type": "integer", "minimum": 0}},
                }}}},
                "responses": {"200": {"description": "taken"}, "422": {"description": "refused"}},
            }
        }
    },
}  # fmt: skip


class Things:
    """Takes numbers; 0 is answered by `zero`."""

    zero = 500

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status, answer = 200, b"{}"
        if scope["path"] == "/openapi.json":
            answer = json.dumps(DOCUMENT).encode()
        elif scope["path"] != "/things" or scope["method"] != "POST":
            status = 404
        else:
            try:
                n = json.loads((await receive())["body"])["n"]
                status = self.zero if n == 0 else 200 if type(n) is int and n > 0 else 422
            except (ValueError, TypeError, KeyError, RecursionError):
                status = 422
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


things = Things()


def test_a_replay_file_says_what_has_become_of_a_defect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path))
    application = f"{__name__}:things"
    words = ["fuzz", application, "--max-requests", "150", "--connections", "1", "--checks", "server_error"]
    assert main(words) == 1
    (file,) = tmp_path.glob("fuzz-*/replay.json")
    assert (file.parent / "test_defects.py").exists()
    assert schema_of(file) == application
    for status, verdict, code in ((500, "still failing", 1), (200, "fixed", 0), (502, "fixed", 0)):
        monkeypatch.setattr(things, "zero", status)
        capsys.readouterr()
        assert main(["fuzz", "--replay", str(file)]) == code
        assert f"1 {verdict}" in capsys.readouterr().out
    monkeypatch.setattr(things, "zero", 418)
    assert main(["fuzz", "--replay", str(file)]) == 1
    assert "1 other failure" in capsys.readouterr().out


def test_what_is_no_replay_file_is_refused(tmp_path: Path) -> None:
    for text in ("", "[]", '{"format": "gnomon-fuzz-replay", "version": 99}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(DataError, match="no replay file of this version"):
            schema_of(tmp_path / "x.json")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        schema_of(tmp_path / "y.json")


def test_a_step_of_another_user_needs_that_user(tmp_path: Path) -> None:
    config, name = Fuzzing(), f"{__name__}:things"
    target = opened(name, config)
    (operation,) = target.api.operations
    other = replace(exchange(operation, Reply(status=500), body={"n": 0}), caller="other")
    (tmp_path / "r.json").write_text(FORMATS["replay"].text(found(defect(other), api=target.api)))
    title = "POST /things answers 500"
    needed = Played(title, True, "not shown", "it needs credentials of the other user")
    assert play(tmp_path / "r.json", target, config, {}) == [needed]
    assert play(tmp_path / "r.json", opened(name, config), config, {"other": Identity(name="other")}) == [
        Played(title, True, "still failing")
    ]


def test_what_cannot_be_led_to_skips_its_test(tmp_path: Path) -> None:
    with served(Echo((403, [], b""))) as url:
        said = by_pytest(FORMATS["pytest"].text(found(STORY, origin=url)), tmp_path)
    assert said == {}
