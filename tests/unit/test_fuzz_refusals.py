"""Servers that let nobody in, know nothing, or want to be left alone: what is said of it, and what is kept to."""

from __future__ import annotations

import asyncio
from email.utils import formatdate

import pytest

from gnomon.fuzz.base import Api, Case, Exchange, Operation, Parameter, Reply, Request, SecurityScheme
from gnomon.fuzz.quiet import quiet_after
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.summary import Tally, summarise


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (200, {}, 0),
        (429, {}, 1),
        (429, {"retry-after": "7"}, 7),
        (429, {"retry-after": "soon"}, 1),
        (429, {"retry-after": "86400"}, 60),
        (503, {"retry-after": "7"}, 0),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "5"}, 5),
        (200, {"ratelimit-remaining": "0", "ratelimit-reset": "5"}, 5),
        (200, {"x-rate-limit-remaining": "0", "x-rate-limit-reset": "9"}, 9),
        (200, {"x-ratelimit-remaining": "0"}, 0),
        (200, {"x-ratelimit-remaining": "3", "x-ratelimit-reset": "5"}, 0),
    ],
)
def test_what_a_server_asks_for(status: int, headers: dict[str, str], seconds: float) -> None:
    assert quiet_after(Reply(status=status, headers=tuple(headers.items()))) == seconds


def test_times_are_read_as_seconds_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_900_000_000
    monkeypatch.setattr("gnomon.fuzz.quiet.time.time", lambda: float(now))
    dated = Reply(status=429, headers=(("retry-after", formatdate(now + 30, usegmt=True)),))
    used_up = (("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", str(now + 20)))
    assert quiet_after(dated) == 30 and quiet_after(Reply(status=200, headers=used_up)) == 20
    assert quiet_after(Reply(status=429, headers=(("retry-after", str(now - 5)),))) == 0


OPERATION = Operation(method="GET", path="/a")
API = Api(title="t", version="1", dialect="openapi-3.1", operations=(OPERATION,))


class _Limited:
    """Takes two requests, and then wants ten seconds of quiet."""

    def __init__(self) -> None:
        self.at: list[float] = []

    async def send(self, request: Request, *, timeout: float) -> Reply:
        self.at.append(_now[0])
        return Reply(status=429, headers=(("retry-after", "10"),)) if len(self.at) % 2 == 0 else Reply(status=200)

    async def close(self) -> None: ...


_now = [100.0]


def test_a_server_is_left_alone_as_long_as_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None:
        _now[0] += seconds

    monkeypatch.setattr("gnomon.fuzz.sending.monotonic", lambda: _now[0])
    monkeypatch.setattr("gnomon.fuzz.sending.asyncio.sleep", sleep)
    server = _Limited()
    sender = Sender(API, server)

    async def ask() -> None:
        for _ in range(5):
            await sender.send(Case(operation=OPERATION), again=True)

    asyncio.run(ask())
    assert [at - server.at[0] for at in server.at] == pytest.approx([0, 0, 10, 10, 20])
    assert sender.quiet == pytest.approx(20)


def notes_of(operation: Operation, statuses: list[int], **more: object) -> str:
    """What a report says of replies to an operation, and of others that are taken."""
    other = Operation(method="GET", path="/other")
    api = Api(title="t", version="1", dialect="openapi-3.1", operations=(operation, other), **more)  # type: ignore[arg-type]
    tally = Tally()
    for asked, status in [*((operation, each) for each in statuses), (other, 200)]:
        request = Request(method="GET", target=asked.path)
        tally.saw(Exchange(case=Case(operation=asked), request=request, reply=Reply(status=status)))
    return "\n".join(summarise(api, [], tally, requests=9, seconds=1.0, curls={}).notes)


def test_where_nobody_is_let_in_the_scheme_and_the_flags_are_named() -> None:
    said = notes_of(OPERATION, [401, 403], security={"key": SecurityScheme(kind="apiKey", name="X", location="header")})
    assert "GET /a: nobody is let in" in said and "key (apiKey)" in said and "--api-key" in said


def test_where_nothing_is_taken_the_parameters_without_examples_are_named() -> None:
    shown = Parameter(name="day", location="query", schema={"example": "2024-01-01"}, required=True)
    needed = Parameter(name="id", location="path", schema={"type": "string"}, required=True)
    free = Parameter(name="page", location="query", schema=True, required=False)
    found = Operation(method="GET", path="/a/{id}", parameters=(needed, shown, free))
    said = notes_of(found, [404, 400])
    assert "GET /a/{id}: nothing was taken; examples for path id may help" in said
    assert "examples in the document" in notes_of(Operation(method="GET", path="/a"), [404])
