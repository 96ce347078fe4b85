"""The fuzzer on an API whose defects are planted: what it finds, what it must not, and that it repeats."""

import asyncio
from dataclasses import replace
from itertools import count

import pytest

from gnomon.data.worlds import shop
from gnomon.fuzz.campaign import Budget, Campaign
from gnomon.fuzz.directions import request_side
from gnomon.fuzz.identities import identity
from gnomon.fuzz.loading import load
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.transport import AsgiTransport


def _searched(requests, *, seed=0, connections=8, without=(), seconds=300.0):
    """A campaign of so many requests: the defects, the shop, and the requests in order."""
    app, sent = shop.make_app(), []
    first, other = shop.TOKENS.values()
    api = load(shop.document("openapi-3.1"))
    callers = {"first": identity(api, "first", bearer=first), "other": identity(api, "other", bearer=other)}
    sender = Sender(request_side(api), AsgiTransport(app), callers, promised=api)
    budget = Budget(seconds=seconds, requests=requests, connections=connections)
    campaign = Campaign(
        sender.api, sender, budget, seed, frozenset(without), watch=lambda each: sent.append(each.request)
    )  # fmt: skip

    async def search():
        async for _ in campaign.defects():
            pass
        await sender.transport.close()

    asyncio.run(search())
    return campaign.triage.counted(), app, sent


def _false_alarms(defects):
    """Certain findings that no planted defect explains. A crash is always a defect: what nobody planted is logged."""
    certain = [each.violation for each in defects if each.violation.certain and each.violation.check != "server_error"]
    return [
        each.title for each in certain
        if not any(shop.explained(step.case.operation.key, each.check) for step in each.steps)
    ]  # fmt: skip


def test_most_planted_defects_are_met_soon_and_no_decoy_is_certain():
    defects, app, sent = _searched(4_000)
    assert len(app.log.triggered) >= 24
    assert _false_alarms(defects) == []
    assert len(app.log.decoys) >= 10
    assert not app.log.unplanned
    assert len(sent) - len(set(sent)) < 0.5 * len(sent)


def test_one_connection_repeats_to_the_byte_however_long_an_answer_takes(monkeypatch):
    one = _searched(400, connections=1, seconds=600.0)[2]
    send, numbers = AsgiTransport.send, count()

    async def slower(self, request, *, timeout):
        reply = await send(self, request, timeout=timeout)
        return replace(reply, seconds=reply.seconds + 2.0 * (next(numbers) == 30))

    monkeypatch.setattr(AsgiTransport, "send", slower)
    other = _searched(400, connections=1, seconds=600.0)[2]
    assert one[:400] == other[:400]


def test_defects_are_played_again_and_small():
    defects, _, _ = _searched(4_000)
    certain = [each for each in defects if each.violation.certain and each.replayed]
    again = [each for each in certain if each.reproduced == (3, 3)]
    assert len(again) >= 0.8 * len(certain)
    search = next(each for each in again if each.violation.title.startswith("POST /items/search"))
    assert len(search.violation.steps) == 1 and len(search.violation.steps[-1].request.body) < 20


def test_what_only_several_requests_show_is_not_found_without_them():
    _, app, _ = _searched(3_000, without=("stateful",))
    assert not [each for each in app.log.triggered if each.startswith(("state-", "semantics-"))]


@pytest.mark.slow
def test_nearly_all_planted_defects_are_met():
    recalls = []
    for seed in range(3):
        defects, app, _ = _searched(40_000, seed=seed)
        assert _false_alarms(defects) == []
        recalls.append(len(app.log.triggered))
    assert sorted(recalls)[1] >= 36
