"""The fuzzer on the GraphQL view of the shop, whose crashes are planted."""

from __future__ import annotations

import asyncio
from typing import Any

from gnomon.data.worlds import shop
from gnomon.data.worlds.shop.graph import SDL
from gnomon.fuzz.base import Defect, Exchange
from gnomon.fuzz.campaign import Budget, Campaign
from gnomon.fuzz.directions import request_side
from gnomon.fuzz.loading import load
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.transport import AsgiTransport
from gnomon.fuzz.triage.replay import shown_again

API = request_side(load(SDL))


def searched(requests: int, seed: int = 0) -> tuple[list[Defect], shop.Shop, list[Exchange]]:
    """A search of so many requests: defects, the shop, and all exchanges."""
    app, seen = shop.make_app(), list[Exchange]()
    sender = Sender(API, AsgiTransport(app))
    budget = Budget(seconds=600.0, requests=requests, connections=1)
    campaign = Campaign(API, sender, budget, seed, watch=seen.append)

    async def search() -> None:
        async for _ in campaign.defects():
            pass

    asyncio.run(search())
    return campaign.triage.counted(), app, seen


def shown_on_a_new_shop(defect: Defect) -> bool:
    """Whether the steps of a defect show it where nothing was made before."""
    sender = Sender(API, AsgiTransport(shop.make_app()))
    violation = defect.violation
    return asyncio.run(shown_again(sender, violation, violation.steps, lambda case: case)) is not None


def planted_of(defect: Defect) -> list[str]:
    """The planted defects that a finding may be."""
    field = defect.violation.steps[-1].case.operation.path
    null = ["graphql-null"] if "Cannot return null" in defect.violation.title else []
    return null + [each.id for each in shop.GRAPH_DEFECTS if each.operation == field and each.id != "graphql-null"]


def test_planted_crashes_are_found_and_stand_by_themselves() -> None:
    defects, app, seen = searched(2_000)
    wanted = {each.id for each in shop.GRAPH_DEFECTS}
    assert set(app.log.triggered) >= wanted and not app.log.unplanned
    assert {each for defect in defects for each in planted_of(defect)} >= wanted
    assert all(planted_of(each) for each in defects)
    assert all(shown_on_a_new_shop(each) for each in defects)
    assert {each.case.operation.key for each in seen} == {each.key for each in API.operations}
    chained = next(each for each in defects if "purchase" in each.violation.title)
    assert [step.case.operation.path for step in chained.violation.steps] == [
        "createCustomer", "createPurchase", "deleteCustomer", "purchase",
    ]  # fmt: skip


def test_positive_cases_are_valid_queries() -> None:
    _, _, seen = searched(300, seed=1)
    positive = [each for each in seen if each.case.mode == "valid"]
    told = [(each.request.body, _refusals(each)) for each in positive if _refusals(each)]
    assert len(positive) > 100 and told == []


def _refusals(exchange: Exchange) -> Any:
    root = exchange.case.operation.root
    return root.refusals(exchange.request) if root else None
