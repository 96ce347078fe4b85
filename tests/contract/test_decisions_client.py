"""Typed questions asked by our client: what the probe proves, what is read, and what a refusal comes to.

Replies of other servers are kept in `fixtures/decisions.json` in the form that their documentation shows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import run as command

from gnomon.core.errors import AbilityError, ModelError, UsageError
from gnomon.models.base import Ability, Sampling
from gnomon.models.endpoint import Endpoint
from gnomon.models.http import Retry
from gnomon.models.load import load
from gnomon.models.local import LocalModel
from gnomon.models.offers import Decides, Offers
from gnomon.models.probe import Probed, probe
from gnomon.serve.app import Service
from gnomon.serve.asked import Given
from gnomon.serve.refusal import Refusal
from gnomon.serve.running import listening
from gnomon.serve.speaker import Piece, Said, Weights
from tests.servers import Faults, letters, serving

REPLIES = json.loads((Path(__file__).parent / "fixtures" / "decisions.json").read_text())


def answered(reply: dict[str, Any], route: str, options: list[str], **how: Any) -> Any:
    """What our client makes of a reply."""

    async def go() -> Any:
        only = frozenset({Ability.DECIDE})
        faults = Faults(decides=lambda asked, body: (how.get("status", 200), reply))
        async with serving(letters(0.5, 0.5), faults=faults) as server:
            model = Endpoint(server.url, "planted", retry=Retry(attempts=1), readout=how.get("readout"))
            abilities = only | frozenset(how.get("more", ()))
            model.learn(Offers(chat=abilities, text=abilities, decides=Decides(route, "Which?")), "")
            try:
                return await model.choose(how.get("prompt", "Who?"), options), [
                    (call.route, call.body) for call in server.calls
                ]
            finally:
                await model.close()

    return asyncio.run(go())


@pytest.mark.parametrize("name", sorted(REPLIES))
def test_the_replies_of_other_servers_are_read(name: str) -> None:
    kept = REPLIES[name]
    choice, calls = answered(kept["reply"], kept["route"], kept["options"])
    assert choice.readout == "decision" and sum(choice.p) == pytest.approx(1, abs=1e-12)
    assert choice.p == pytest.approx(kept["p"], abs=1e-12) and choice.mass == kept["mass"]
    ((route, body),) = calls
    assert route == kept["route"]
    if route == "/decisions":
        [question] = body["questions"]
        assert body["input"] == "Who?" and question["choices"] == [{"value": option} for option in kept["options"]]
    else:
        [question] = body["questions"].values()
        assert body["state"] == "Who?" and question["criteria"] == dict.fromkeys(kept["options"])
    assert (question["type"], question["instructions"]) == ("choice", "Which?")


WRONG = {"labels": "The labels ['A', 'B'] are not distinct single tokens for this model."}


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ({"answers": {"choice": {"type": "choice", "probabilities": {"a": 0.5}}}}, "None is no probability of 'b'"),
        (
            {"answers": {"choice": {"probabilities": {"a": 0.5, "b": 0.1}}}},
            "the probabilities of the options sum to 0.6",
        ),
        ({"answers": {"choice": {"probabilities": {"a": 1.5, "b": 0.1}}}}, "1.5 is no probability of 'a'"),
        ({"answers": {}}, "the reply holds no probabilities"),
        ({"answers": {"choice": {"type": "refusal", "name": "choice"}}}, "the model declined to decide"),
    ],
)
def test_what_is_no_probability_is_never_made_one(reply: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        answered(reply, "/systemone", ["a", "b"])


def test_options_that_a_server_refuses_are_sampled_and_the_choice_says_so() -> None:
    detail = {"detail": WRONG["labels"]}
    choice, calls = answered(
        detail, "/systemone", ["A", "B"], status=400, more=[Ability.SAMPLE, Ability.PREFILL], prompt="Answer: ("
    )
    assert choice.readout == "sampled" and choice.n == 20
    assert calls[0][0] == "/systemone" and {route for route, _ in calls[1:]} == {"/completions"}


def test_options_that_a_server_refuses_are_one_clear_line_where_decisions_were_asked_for() -> None:
    for how in ({"readout": "decision", "more": [Ability.SAMPLE]}, {}):
        with pytest.raises(ModelError) as raised:
            answered({"detail": WRONG["labels"]}, "/systemone", ["A", "B"], status=400, **how)
        assert raised.value.what == f"/systemone refuses the options 'A', 'B' (HTTP 400: {WRONG['labels']})"
        assert "add ?readout=sampled" in str(raised.value)


def test_a_readout_that_was_not_proved_is_refused() -> None:
    model = Endpoint("http://127.0.0.1:1/v1", "x", readout="decision")
    with pytest.raises(AbilityError, match="not seen to offer DECIDE for plain text"):
        asyncio.run(model.choose("Who?", ["a", "b"]))
    with pytest.raises(UsageError, match=r"no readout 'decisions'.*decision"):
        Endpoint("http://127.0.0.1:1/v1", "x", readout="decisions")


def probed(decides: Callable[[str, Any], tuple[int, Any]], **faults: Any) -> tuple[Endpoint, Probed]:
    async def go() -> tuple[Endpoint, Probed]:
        async with serving(letters(0.3, 0.7), faults=Faults(decides=decides, **faults)) as server:
            model = Endpoint(server.url, "planted", retry=Retry(attempts=1))
            try:
                return model, await probe(model)
            finally:
                await model.close()

    return asyncio.run(go())


def even(route: str, body: Any) -> tuple[int, Any]:
    """Speaks System One alone, wants instructions, and finds all options as likely."""
    if route != "/systemone":
        return 404, {"error": {"message": "Not Found"}}
    [(name, question)] = body["questions"].items()
    if not question.get("instructions"):
        return 422, {"detail": [{"msg": "instructions: field required"}]}
    p = dict.fromkeys(question["criteria"], 1 / len(question["criteria"]))
    return 200, {"model": "even", "answers": {name: {"type": "choice", "choice": "A", "probabilities": p}}}


def test_the_probe_finds_the_route_and_the_words_it_wants() -> None:
    model, found = probed(even)
    assert model.offers.decides == Decides("/systemone", "Choose what comes next.")
    assert Ability.DECIDE in model.can and "decide" in found.abilities
    asked = [(s.route, s.held) for s in found.transcript if s.asks == "decide"]
    assert asked == [("/decisions", False), ("/systemone", False), ("/systemone", True), ("/systemone", True)]


def test_a_server_that_only_decides_is_a_model() -> None:
    model, _ = probed(even, no_chat=True, no_text=True)
    assert model.can == {Ability.DECIDE}
    with pytest.raises(AbilityError, match="does not answer /completions"):
        asyncio.run(model.sample("Who?", Sampling()))


@pytest.mark.parametrize(
    "p", [{"A": 0.4, "B": 0.4}, {"A": 1.0}, {"A": 2.0, "B": -1.0}, {"x": 0.5, "y": 0.5}, None], ids=str
)
def test_probabilities_that_are_none_prove_nothing(p: Any) -> None:
    model, _ = probed(lambda route, body: (200, {"answers": {"choice": {"type": "choice", "probabilities": p}}}))
    assert Ability.DECIDE not in model.can and model.offers.decides is None


def test_an_overloaded_route_is_no_missing_ability() -> None:
    with pytest.raises(ModelError, match="HTTP 503"):
        probed(lambda route, body: (503, {"error": {"message": "busy"}}))


def test_exact_and_topk_come_before_decisions() -> None:
    both, order = frozenset({Ability.SAMPLE, Ability.DECIDE}), []
    for more in ({Ability.SCORE, Ability.TOPK}, {Ability.TOPK}, set()):
        offers = Offers(text=both | more, chat=both | more, num_top_text=5, decides=Decides("/systemone", "x"))

        async def go(offers: Offers = offers) -> str:
            async with serving(letters(0.3, 0.7), faults=Faults(decides=even)) as server:
                model = Endpoint(server.url, "planted", retry=Retry(attempts=1))
                model.learn(offers, "")
                try:
                    return (await model.choose("Answer: (", ["A", "B"])).readout
                finally:
                    await model.close()

        order.append(asyncio.run(go()))
    assert order == ["exact", "topk", "decision"]


class Hidden(Weights):
    """Weights that give texts and decisions, and no log-probabilities."""

    async def draw(self, prompt: Given, how: Sampling, n: int, num_top: int | None) -> list[Said]:
        if num_top is not None:
            raise Refusal("no log-probabilities here", param="logprobs")
        return await super().draw(prompt, how, n, None)

    async def read(self, prompt: Given, num_top: int) -> list[Piece]:
        raise Refusal("no log-probabilities here", param="echo")


def test_the_calibration_assay_reads_decisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over our own server with log-probabilities hidden, and equal to what the weights say."""
    assay = ["assay", "self-knowledge", "--only", "calibration", "--n", "8", "--resamples", "20", "--forms", "lettered"]
    brook = load("brook")
    assert isinstance(brook, LocalModel)

    async def go() -> int:
        async with listening(Service(Hidden(brook), "brook")) as url:
            far = [*assay, "--model", f"{url}/v1#brook", "--json", str(tmp_path / "far.json")]
            return await asyncio.to_thread(lambda: command(capsys, *far).code)

    assert asyncio.run(go()) == 0
    assert command(capsys, *assay, "--model", "brook", "--json", str(tmp_path / "near.json")).code == 0
    far, near = (json.loads((tmp_path / f"{side}.json").read_text()) for side in ("far", "near"))
    assert {e["readout"] for e in far["estimates"] if e.get("readout")} == {"decision"}
    values = [{(e["metric"], e.get("group")): e["value"] for e in side["estimates"]} for side in (far, near)]
    assert values[0].keys() == values[1].keys()
    for key, value in values[1].items():
        # A temperature is where an optimiser stops; probabilities themselves agree to 1e-6.
        assert values[0][key] == (pytest.approx(value, abs=1e-5) if value is not None else None)
