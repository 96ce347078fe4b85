"""A service that dies: what ended it is found where it comes back, and named among others where it does not."""

import asyncio

import pytest

from gnomon.core.errors import UsageError
from gnomon.fuzz.base import Answer, Api, Case, Operation, Parameter, Reply, Request
from gnomon.fuzz.campaign import Budget, Campaign
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.searching import fuzz
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.targets import Target

KEY = Parameter(name="n", location="query", schema={"type": "integer"}, required=True, style="form")
API = Api(
    title="t", version="1", dialect="openapi-3.1",
    operations=tuple(
        Operation(method="GET", path=path, parameters=(KEY,), answers={"200": Answer()}) for path in ("/a", "/kill")
    ),
)  # fmt: skip


class _Mortal:
    """Answers 200 until /kill is asked with a negative number; then refuses, for a number of requests or for ever."""

    def __init__(self, absent):
        self._absent, self._left, self.asked = absent, 0, 0

    async def send(self, request: Request, *, timeout: float) -> Reply:
        await asyncio.sleep(0)
        self.asked += 1
        if self._left:
            self._left -= 1
            return Reply(status=0, fault="refused")
        if request.target.startswith("/kill?n=-"):
            self._left = self._absent
            return Reply(status=0, fault="dropped")
        return Reply(status=200)

    async def close(self) -> None:
        pass


def _down(absent, monkeypatch):
    monkeypatch.setattr("gnomon.fuzz.outage._EVERY", 0.001)
    sender = Sender(API, _Mortal(absent))
    campaign = Campaign(API, sender, Budget(seconds=30.0, requests=400, connections=1))

    async def search():
        async for _ in campaign.defects():
            pass

    asyncio.run(search())
    return [each.violation for each in campaign.triage.counted() if each.violation.check == "service_down"], sender


def test_what_ends_a_service_that_comes_back_is_found(monkeypatch):
    found, sender = _down(8, monkeypatch)
    assert {each.title for each in found} == {"GET /kill ends the service: nobody listens any more"}
    assert sender.requests >= 400


def test_a_service_that_stays_away_ends_the_search_and_the_last_requests_are_named(monkeypatch):
    original = asyncio.timeout
    monkeypatch.setattr("gnomon.fuzz.outage.asyncio.timeout", lambda seconds: original(min(seconds, 0.05)))
    (found,), sender = _down(10**9, monkeypatch)
    assert found.title.startswith("one of the last requests") and "/kill?n=-" in found.detail
    assert sender.requests < 400


def test_where_nobody_ever_listened_it_is_said(tmp_path):
    class Nobody:
        async def send(self, request, *, timeout):
            return Reply(status=0, fault="refused")

        async def close(self):
            pass

    target = Target(API, Nobody(), "http://127.0.0.1:9", "openapi.json")
    with pytest.raises(UsageError, match="nobody listens there"):
        fuzz(target, Fuzzing(max_time=5), root=tmp_path)


def test_refusals_without_number_do_not_hide_what_was_answered_before():
    sender = Sender(API, _Mortal(10**9))
    case = Case(operation=API.operations[1], parameters={("query", "n"): -1})

    async def asked():
        for _ in range(80):
            await sender.send(case, again=True)

    asyncio.run(asked())
    assert sender.dead and [each.reply.fault for each in sender.recent] == ["dropped"]
