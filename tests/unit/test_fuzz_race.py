"""The race between fuzzers: what its relay sees, what its counter counts, and what its statistics say."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benches.fuzz_race.counting import Count, OpenApi, bodies_of, lines_of
from benches.fuzz_race.counting_graphql import GraphQl
from benches.fuzz_race.curves import curve, found_by, union
from benches.fuzz_race.entrants import FOUND, FUZZERS, TARGETS, command
from benches.fuzz_race.framing import Splitter, Unreadable
from benches.fuzz_race.hooks import Recorder, asgi
from benches.fuzz_race.processes import start
from benches.fuzz_race.racing import reported
from benches.fuzz_race.relay import Book, Client
from benches.fuzz_race.verdict import median_interval, verdict, wilcoxon
from gnomon.data.worlds.shop import document, make_app
from gnomon.data.worlds.shop.graph import SDL
from gnomon.data.worlds.shop.server import serve
from gnomon.fuzz.loading import load

REQUESTS = (
    b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
    b"POST /b HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello"
    b"PUT /c HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
)
ANSWERS = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"
    b"HTTP/1.1 204 No Content\r\n\r\n"
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n"
    b"HTTP/1.1 200 OK\r\n\r\nto the end"
)


def pieces(whole: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    return [whole[a:b] for a, b in pairwise(places)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=8))
def test_messages_do_not_depend_on_how_the_stream_is_cut(cuts: list[int]) -> None:
    requests, answers = Splitter(answers=False), Splitter(answers=True)
    for method in ("HEAD", "PUT", "GET", "GET"):
        answers.expect(method)
    asked = [m for piece in pieces(REQUESTS, cuts) for m in requests.feed(piece)]
    said = [m for piece in pieces(ANSWERS, cuts) for m in answers.feed(piece)] + answers.ended()
    assert [(m.start[0], bytes(m.body)) for m in asked] == [("GET", b""), ("POST", b"hello"), ("PUT", b"abcde")]
    found = [(m.status, bytes(m.body)) for m in said]
    assert found == [(200, b""), (204, b""), (200, b"abc"), (200, b"to the end")]


@pytest.mark.parametrize("text", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n"])
def test_what_cannot_be_followed_is_said(text: bytes) -> None:
    with pytest.raises(Unreadable):
        Splitter(answers=False).feed(text)


def raced(folder: Path, *requests: bytes) -> tuple[list[bytes], list[dict[str, Any]], list[dict[str, Any]]]:
    """What comes back through the relay from a shop whose crashes are noted; exchanges; crashes."""

    async def story() -> list[bytes]:
        book, loop = Book(folder), asyncio.get_running_loop()
        app = asgi(make_app(propagate=True), Recorder(folder / "crashes.ndjson"))
        service = await serve(app, 0)
        upstream = service.sockets[0].getsockname()[1]
        relay = await loop.create_server(lambda: Client(upstream, book), "127.0.0.1", 0)
        got = []
        for request in requests:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.sockets[0].getsockname()[1])
            writer.write(request)
            got.append(await asyncio.wait_for(reader.read(), 10))
            writer.close()
        relay.close()
        service.close()
        book.close()
        return got

    got = asyncio.run(story())
    return got, list(lines_of(folder / "exchanges.ndjson")), list(lines_of(folder / "crashes.ndjson"))


def test_the_relay_passes_on_and_writes_down(tmp_path: Path) -> None:
    ask = b"GET /items/1 HTTP/1.1\r\nconnection: close\r\n\r\n"
    crash = b"GET /items?limit=0 HTTP/1.1\r\nconnection: close\r\n\r\n"
    (read, malformed, crashed), exchanges, crashes = raced(tmp_path, ask, b"BAD\r\n\r\n", crash)
    assert read.startswith(b"HTTP/1.1 200") and malformed.startswith(b"HTTP/1.1 400")
    assert crashed.startswith(b"HTTP/1.1 500")
    assert [(e["method"], e["target"], e["status"]) for e in exchanges] == [
        ("GET", "/items/1", 200),
        ("GET", "/items?limit=0", 500),
    ]
    assert json.loads(bodies_of(tmp_path)[exchanges[0]["body"]])["title"] == "Lamp"
    (noted,) = crashes
    assert noted["type"] == "ZeroDivisionError"
    assert noted["frames"][-1][1] == "_list"


@asynccontextmanager
async def relayed(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], folder: Path
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection through the relay to a server that answers so; the relay's book is in the folder afterwards."""
    book, loop = Book(folder), asyncio.get_running_loop()
    service = await asyncio.start_server(answer, "127.0.0.1", 0)
    upstream = service.sockets[0].getsockname()[1]
    relay = await loop.create_server(lambda: Client(upstream, book), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.sockets[0].getsockname()[1])
    yield reader, writer
    writer.close()
    await asyncio.sleep(0)
    relay.close()
    service.close()
    book.close()


def test_an_answer_before_the_whole_request_has_come_is_that_requests(tmp_path: Path) -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for status in (405, 200, 204):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)
            if status == 405:
                await reader.readexactly(4)

    async def story() -> None:
        async with relayed(early, tmp_path) as (reader, writer):
            for head, rest in ((b"TRACE /a", b"body"), (b"HEAD /b", b""), (b"PUT /c", b"")):
                writer.write(head + b" HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(rest))
                await reader.readuntil(b"\r\n\r\n")
                writer.write(rest)

    asyncio.run(story())
    found = [(e["method"], e["status"]) for e in lines_of(tmp_path / "exchanges.ndjson")]
    assert found == [("TRACE", 405), ("HEAD", 200), ("PUT", 204)]


def test_a_request_that_is_dropped_has_status_0(tmp_path: Path) -> None:
    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.close()

    async def story() -> None:
        async with relayed(drop, tmp_path) as (reader, writer):
            writer.write(b"GET /a HTTP/1.1\r\n\r\n")
            assert await reader.read() == b""

    asyncio.run(story())
    assert [(e["target"], e["status"]) for e in lines_of(tmp_path / "exchanges.ndjson")] == [("/a", 0)]


def test_noise_and_repeats_are_not_noted(tmp_path: Path) -> None:
    recorder, error = Recorder(tmp_path / "crashes.ndjson"), ValueError("bad")
    for each in (error, error, RuntimeError("database is locked"), asyncio.CancelledError()):
        recorder.note(each)
    assert [line["type"] for line in lines_of(tmp_path / "crashes.ndjson")] == ["ValueError"]


def line(text: str, status: int, **more: Any) -> dict[str, Any]:
    method, target = text.split()
    rest = {"request_type": "application/json", "request_body": "", "type": "application/json", "body": ""}
    return {"method": method, "target": target, "status": status, **rest, **more}


def stack_of(*names: str) -> str:
    return hashlib.blake2b("\n".join(names).encode(), digest_size=6).hexdigest()


def test_each_rule_counts_what_it_says() -> None:
    judge, count = OpenApi(load(document("openapi-3.1"))), Count()
    bodies = {
        "item": b'{"id": 1, "sku": "A", "title": "t", "price": 1, "stock": 0, "tags": [], "deleted": false}',
        "bad": b'{"kind": "party"}',
        "good": b'{"kind": "export"}',
        "noise": b"sqlite3.OperationalError: database is locked",
        "surrogate": b'{"kind": "\\ud800"}',
        "trace": b'Traceback (most recent call last):\n  File "/srv/app.py", line 3, in view\nKeyError: 1\n',
    }
    exchanges = [
        line("GET /items/1", 200, body="item"),
        line("GET /items/2", 200, body="item"),
        line("GET /items/1", 202, body="item"),
        line("GET /items/1", 200, body="item", type="text/html"),
        line("HEAD /items/1", 200),
        line("POST /jobs", 202, request_body="good"),
        line("POST /jobs", 202, request_body="bad"),
        line("POST /jobs", 422, request_body="bad"),
        line("POST /jobs", 202, request_body="surrogate"),
        line("GET /users", 500, body="trace", type="text/plain"),
        line("GET /users", 500, body="trace", type="text/plain"),
        line("PATCH /jobs/7", 501),
        line("PUT /jobs/7", 500),
        line("GET /users", 999),
        line("GET /elsewhere", 500),
        line("DELETE /items/1", 500, body="noise"),
    ]
    for at, exchange in enumerate(exchanges):
        judge.judge(exchange, bodies, float(at), count)
    assert count.defects.first == {
        ("schema", "GET /items/{item_id}", "200", "$defs/Item/required"): 0.0,
        ("status", "GET /items/{item_id}", "202"): 2.0,
        ("media", "GET /items/{item_id}", "200", "text/html"): 3.0,
        ("accepted", "POST /jobs"): 6.0,
        ("5xx", "GET /users", "500"): 9.0,
        ("stack", "KeyError", "/srv/app.py:view", stack_of("/srv/app.py:view")): 9.0,
        ("frame", "KeyError", "/srv/app.py:view"): 9.0,
        ("5xx", "PUT /jobs/{job_id}", "500"): 12.0,
    }
    assert (count.requests, len(count.hit), len(count.good)) == (16, 4, 2)


def test_a_traceback_that_was_raised_in_sight_counts_once() -> None:
    count = Count()
    count.defects.crash(1.0, "KeyError", [("outer.py", "call"), ("/srv/app.py", "view")])
    count.defects.shown(2.0, 'Traceback (most recent call last):\n  File "/srv/app.py", line 3, in view\nKeyError: 1\n')
    assert len(count.defects.first) == 2


def test_errors_of_graphql_count_by_root_field_and_message(tmp_path: Path) -> None:
    sdl = tmp_path / "schema.graphql"
    sdl.write_text(SDL, encoding="utf-8")
    judge, count = GraphQl(sdl), Count()

    def said(path: list[str], message: str) -> bytes:
        return json.dumps({"data": None, "errors": [{"message": message, "path": path}]}).encode()

    bodies = {
        "ask": json.dumps({"query": '{ other: item(id: "1") { id } items { pages } }'}).encode(),
        "first": said(["other", "id"], "no item 17"),
        "second": said(["other"], "no item 4"),
        "wrong": b'{"errors": [{"message": "Syntax Error"}]}',
        "fine": b'{"data": {"other": null}}',
    }
    for at, body in enumerate(("first", "second", "wrong", "fine")):
        judge.judge(line("POST /graphql", 200, request_body="ask", body=body), bodies, float(at), count)
    assert count.defects.first == {("graphql", "Query.item", "no item #"): 0.0}
    assert count.hit == count.good == {"Query.item", "Query.items"}


def test_findings_on_the_shop_are_planted_or_false(tmp_path: Path) -> None:
    found = [
        "server_error | GET /items | 500 | 1",
        "list_inconsistent | /jobs/{job_id} | gone",
        "server_error | GET /files/{file_id}/scan | 503 | 2",
        "created_not_found | POST /jobs",
    ]
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / FOUND).write_text(json.dumps({"findings": [{"key": key} for key in found]}), encoding="utf-8")
    assert reported(tmp_path) == {"reported": ["input-limit-zero", "semantics-ghost"], "alarms": found[2:]}


def test_every_fuzzer_is_given_the_same(tmp_path: Path) -> None:
    schema = tmp_path / "openapi.json"
    schema.write_text('{"basePath": "/v1"}', encoding="utf-8")
    for fuzzer in FUZZERS:
        words = command(fuzzer, TARGETS["kinto"], schema, "http://127.0.0.1:1", 60, 7, "/env/bin/python")
        assert words[words.index("--url") + 1] == "http://127.0.0.1:1/v1"
        assert words[words.index("--seed") + 1] == "7" and words[words.index("--max-time") + 1] == "60"
        assert any(word.startswith("Authorization: Basic") for word in words)


@pytest.mark.parametrize(("code", "in_time"), [("sum(range(3_000_000))", True), ("import time; time.sleep(60)", False)])
def test_a_tree_is_waited_for_and_ended(tmp_path: Path, code: str, in_time: bool) -> None:
    tree = start([sys.executable, "-c", code], out=tmp_path / "out.txt", cwd=tmp_path)
    assert tree.wait(20 if in_time else 0.3) is in_time
    assert tree.process.poll() is not None
    assert tree.cpu > 0


def test_a_verdict_is_none_where_nothing_differs() -> None:
    same = verdict([5, 6, 7, 8], [5, 6, 7, 8])
    assert same.a12 == 0.5 and same.p > 0.9 and same.low < 1 < same.high
    assert wilcoxon([(1, 1), (2, 2)]) != wilcoxon([(1, 1), (2, 2)])  # not a number


def test_a_verdict_sees_a_difference() -> None:
    found = verdict([10, 11, 12, 10, 9], [20, 24, 22, 21, 30])
    assert found.medians == (10, 22)
    assert found.a12 == 1.0 and found.p < 0.02 and 1.5 < found.low < 2.2 < found.high
    assert wilcoxon([(10, 20), (4, 9), (7, 8), (3, 6), (1, 5), (6, 7)]) < 0.05


def test_curves_count_up_to_a_mark_and_together() -> None:
    first = [[1.0, 3, "5xx", "GET /a", "500"], [5.0, 40, "stack", "KeyError"], [5.0, 40, "frame", "KeyError"]]
    runs = [
        {"seconds": 10, "requests": 400, "defects": first},
        {"seconds": 10, "requests": 200, "defects": [[9.0, 150, "5xx", "GET /b", "500"]]},
    ]
    assert (found_by(runs[0], 0, 4), found_by(runs[0], 0, 5), found_by(runs[0], 1, 3)) == (1, 2, 1)
    assert union(runs) == 3
    assert curve(runs) == "1 s 0.5  2.5 s 0.5  5 s 1  10 s 1.5; by requests  100 1; all runs together 3"


def test_the_interval_of_a_median_holds_it() -> None:
    low, high = median_interval([3, 9, 4, 7, 5])
    assert 3 <= low <= 5 <= high <= 9
    assert median_interval([3]) != median_interval([3])
