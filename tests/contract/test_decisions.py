"""Typed questions answered by `gnomon serve`: the numbers of the process behind it, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gnomon.core.seeds import Seed
from gnomon.data.prompts import dialect
from gnomon.data.sources import open_items
from gnomon.models.base import Ability, Message
from gnomon.models.endpoint import Endpoint
from gnomon.models.load import load
from gnomon.models.local import LocalModel
from gnomon.models.offers import Decides, Offers
from gnomon.models.probe import probe
from gnomon.serve.app import Service
from gnomon.serve.deciding import put
from gnomon.serve.running import listening, speaker_of
from gnomon.serve.typed import Option, Question
from tests.contract.parity import made_folder
from tests.contract.test_serve import ASK, NAME, Post, serving

MESSAGES = [Message("system", "Be short."), Message("user", "Where is the kettle?")]
BEGUN = [*MESSAGES, Message("assistant", "It is")]
PLACES = [" on the roof", " by the mill", " in a tin box"]
PLACED = {"type": "choice", "choices": [{"value": place} for place in PLACES]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory.mktemp("made") / "model")


@pytest.mark.parametrize("route", ["/decisions", "/systemone"])
def test_our_client_gives_the_numbers_of_the_process(folder: Path, route: str) -> None:
    async def then(model: LocalModel, url: str, post: Post) -> None:
        far = Endpoint(f"{url}/v1", NAME, readout="decision")
        try:
            await probe(far)
            assert far.offers.decides == Decides("/decisions", "")
            assert Ability.DECIDE in far.offers.chat and Ability.DECIDE in far.offers.text
            both = frozenset({Ability.DECIDE})
            far.learn(Offers(chat=both, text=both, decides=Decides(route, "")), "")
            for prompt, options in ((ASK, ["A", "B"]), (ASK[:-2], PLACES), (MESSAGES, PLACES), (BEGUN, PLACES)):
                near, choice = await model.choose(prompt, options), await far.choose(prompt, options)
                assert choice.readout == "decision"
                assert choice.p == pytest.approx(near.p, abs=1e-6)
                assert choice.mass == pytest.approx(near.mass, abs=1e-6)
        finally:
            await far.close()

    serving(folder, then)


def test_many_questions_of_many_requests_share_forwards(folder: Path) -> None:
    async def then(model: LocalModel, url: str, post: Post) -> None:
        near = await model.choose(ASK[:-2], PLACES)
        turns: list[int] = []
        answer = model.engine.turn
        model._batcher._turn = lambda asked: turns.append(len(asked)) or answer(asked)  # type: ignore[func-returns-value]  # to count
        replies = await asyncio.gather(*(post("decisions", input=ASK[:-2], questions=[PLACED] * 4) for _ in range(8)))
        for status, told in replies:
            assert status == 200
            for each in told["answers"]:
                assert [e["probability"] for e in each["probabilities"]] == pytest.approx(near.p, abs=1e-6)
        assert sum(turns) == 32 and len(turns) < 16

    serving(folder, then)


def test_the_three_kinds_of_question_in_openais_words(folder: Path) -> None:
    questions = [
        {"type": "predicate", "name": "found", "instructions": "Is it on the roof?"},
        {**PLACED, "instructions": [{"type": "input_text", "text": "Where is it?"}]},
        {
            "type": "score",
            "levels": [{"label": "bad", "description": "it leaks"}, {"label": "fair"}, {"label": "good"}],
        },
    ]

    async def then(model: LocalModel, url: str, post: Post) -> None:
        status, told = await post("decisions", input="The kettle.", questions=questions)
        assert status == 200
        predicate, choice, score = told["answers"]
        asked = "The kettle.\n\nIs it on the roof?\nAnswer yes or no.\nAnswer:"
        yes = await model.choose(asked, [" yes", " Yes", " no", " No"])
        assert predicate == {
            "type": "predicate",
            "name": "found",
            "probability": pytest.approx(sum(yes.p[:2]), abs=1e-6),
        }
        listed = "\n".join(place for place in PLACES)
        asked = f"The kettle.\n\nWhere is it?\n{listed}\nAnswer with one of these, as it is written.\nAnswer:"
        near = await model.choose(asked, [f" {place}" for place in PLACES])
        assert [each["value"] for each in choice["probabilities"]] == PLACES and choice["name"] is None
        assert [each["probability"] for each in choice["probabilities"]] == pytest.approx(near.p, abs=1e-6)
        assert choice["choice"] == PLACES[near.p.index(max(near.p))]
        assert choice["confidence"] == pytest.approx(max(0, (max(near.p) - 1 / 3) / (2 / 3)))
        asked = "The kettle.\n\nbad: it leaks\nfair\ngood\nAnswer with one of these, as it is written.\nAnswer:"
        near = await model.choose(asked, [" bad", " fair", " good"])
        assert score["score"] == pytest.approx(near.p[1] + 2 * near.p[2], abs=1e-6)
        assert [(e["value"], e["label"]) for e in score["probabilities"]] == [(0, "bad"), (1, "fair"), (2, "good")]
        assert told["usage"]["total_tokens"] == told["usage"]["input_tokens"] > 0
        assert told["diagnostics"][2]["label_mass"] == pytest.approx(near.mass, abs=1e-6)
        assert told["model"] == f"{NAME}@{model.revision}"

    serving(folder, then)


def test_the_three_kinds_of_question_in_the_words_of_system_one(folder: Path) -> None:
    questions = {
        "found": {"type": "noul", "instructions": "Is it there?", "criteria": {"true": "seen", "false": None}},
        "place": {"type": "choice", "criteria": dict.fromkeys(PLACES)},
        "state": {"type": "score", "instructions": {"ask": "How is it?"}, "criteria": ["bad", "good"]},
    }

    async def then(model: LocalModel, url: str, post: Post) -> None:
        status, told = await post("systemone", state={"thing": "kettle"}, questions=questions)
        assert status == 200 and told["object"] == "structured_decision" and set(told["answers"]) == set(questions)
        found, place, state = told["answers"].values()
        asked = '{"thing":"kettle"}\n\nIs it there?\nyes: seen\nAnswer yes or no.\nAnswer:'
        yes = await model.choose(asked, [" yes", " Yes", " no", " No"])
        assert found["noul"] == found["probabilities"]["yes"] == pytest.approx(sum(yes.p[:2]), abs=1e-6)
        near = await model.choose('{"thing":"kettle"}', PLACES)
        assert list(place["probabilities"].values()) == pytest.approx(near.p, abs=1e-6)
        asked = '{"thing":"kettle"}\n\n{"ask":"How is it?"}\nbad\ngood\nAnswer with one of these, as it is written.'
        asked += "\nAnswer:"
        near = await model.choose(asked, [" bad", " good"])
        assert state["probabilities"] == {
            "0": pytest.approx(near.p[0], abs=1e-6),
            "1": pytest.approx(near.p[1], abs=1e-6),
        }
        assert state["legend"] == {"0": "bad", "1": "good"} and state["score"] == pytest.approx(near.p[1], abs=1e-6)
        assert 0 <= state["confidence"] <= 1
        assert told["diagnostics"]["state"]["label_mass"] == pytest.approx(near.mass, abs=1e-6)

    serving(folder, then)


def test_a_chat_model_is_asked_through_its_template() -> None:
    class Chatty:
        revision, limit, chats = "", None, True

        async def text(self, prompt: Any) -> str:
            return "<assistant>\n"

    options = (Option(value="a"), Option(value="b"))
    question = Question(name=None, kind="choice", instructions="Which?", options=options, where="q")
    told = "Which?\na\nb\nAnswer with one of these, as it is written."
    for given, wanted in (
        ("It is.", [Message("user", f"It is.\n\n{told}")]),
        ([Message("user", "It is.")], [Message("user", f"It is.\n\n{told}")]),
        ([Message("user", "So?"), Message("assistant", "Yes.")], None),
    ):
        asked = asyncio.run(put(question, given, Chatty()))  # type: ignore[arg-type]  # all of a Speaker that is used
        whole = wanted or [*given, Message("user", told)]  # type: ignore[misc]
        assert (asked.prompt, asked.options) == (whole, [("a",), ("b",)])


GOOD = {"input": "x", "questions": [{"type": "choice", "choices": [{"value": "a"}, {"value": "b"}]}]}
ONE = {"state": "x", "questions": {"q": {"type": "choice", "criteria": {"a": None, "b": None}}}}


@pytest.mark.parametrize(
    ("route", "changes", "told"),
    [
        ("decisions", {"input": None}, "the body has no input"),
        ("decisions", {"input": 3}, "input is 3; give a text, or a list of messages"),
        ("decisions", {"input": [{"role": "tool", "content": "x"}]}, "input[0].role is 'tool'; give system, developer"),
        (
            "decisions",
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0] is of type 'input_image', and only text and JSON are read",
        ),
        ("decisions", {"input": [{"type": "function_call"}]}, "input[0] is no message, and only messages are read"),
        ("decisions", {"questions": []}, "questions is []; give a list of 1 to 400"),
        ("decisions", {"questions": [{"type": "guess"}]}, "questions[0].type is 'guess'; give predicate, choice or"),
        ("decisions", {"questions": [{"type": "choice", "choices": [{"value": "a"}]}]}, "questions[0].choices is ["),
        (
            "decisions",
            {"questions": [{"type": "choice", "choices": [{"value": "a"}, {"value": "a"}]}]},
            "questions[0] has the option 'a' twice",
        ),
        (
            "decisions",
            {"questions": [{"type": "choice", "choices": [{"value": "a"}, {"value": ""}]}]},
            "questions[0] has an empty option",
        ),
        (
            "decisions",
            {"questions": [{"type": "choice", "choices": [{"value": "a"}, {"value": 2}]}]},
            "questions[0].choices[1].value is 2; give a text, true or false",
        ),
        (
            "decisions",
            {"questions": [{"type": "score", "levels": [{"label": "a"}, {"label": "b", "descr": "c"}]}]},
            "unknown parameter 'questions[0].levels[1].descr'; leave it out",
        ),
        ("decisions", {"questions": GOOD["questions"] * 1025}, "questions is ["),
        ("decisions", {"temperature": 1}, "unknown parameter 'temperature'; leave it out"),
        ("systemone", {"state": 3}, "state is 3; give a text, an object or a list"),
        ("systemone", {"questions": {}}, "questions is {}; give an object of 1 to 400 questions by name"),
        (
            "systemone",
            {"questions": {"q": {"type": "predicate"}}},
            "questions.q.type is 'predicate'; give noul, choice",
        ),
        ("systemone", {"questions": {"q": {"type": "choice"}}}, "questions.q has no criteria"),
        ("systemone", {"questions": {"q": {"type": "choice", "criteria": {"a": None}}}}, "give an object of 2 to 255"),
        (
            "systemone",
            {"questions": {"q": {"type": "score", "criteria": ["a"]}}},
            "questions.q.criteria is ['a']; give a",
        ),
        (
            "systemone",
            {"questions": {"q": {"type": "noul", "criteria": {"maybe": "x"}}}},
            "unknown parameter 'questions.q.criteria.maybe'; give true and false",
        ),
        ("systemone", {"assets": {"img": {}}}, "assets is not supported; leave it out"),
        ("systemone", {"chat_template_kwargs": {"enable_thinking": True}}, "chat_template_kwargs is not supported"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, route: str, changes: dict[str, Any], told: str) -> None:
    async def then(model: LocalModel, url: str, post: Post) -> None:
        status, reply = await post(route, **{**(GOOD if route == "decisions" else ONE), **changes})
        assert status == 400 and told in reply["error"]["message"]
        status, _ = await post(route, **(GOOD if route == "decisions" else ONE))
        assert status == 200

    serving(folder, then)


def test_the_limits_of_other_routes_hold(folder: Path) -> None:
    async def then(model: LocalModel, url: str, post: Post) -> None:
        status, reply = await post("decisions", **{**GOOD, "model": "other"})
        assert status == 404 and reply["error"]["code"] == "model_not_found"
        limit = model.engine.limit
        status, reply = await post("systemone", **{**ONE, "state": "roof " * 3000})
        assert status == 400 and f"{limit} allowed" in reply["error"]["message"]
        assert reply["error"]["code"] == "context_length_exceeded" and reply["error"]["param"] == "state"
        many = [{"type": "choice", "choices": [{"value": str(i)} for i in range(255)]}] * 9
        status, reply = await post("decisions", input="x", questions=many)
        assert status == 400 and "the questions have 2295 options; at most 2048 are scored" in reply["error"]["message"]

    serving(folder, then)

    async def guarded(model: LocalModel, url: str, post: Post) -> None:
        status, reply = await post("decisions", **GOOD)
        assert status == 401 and "token" in reply["error"]["message"]

    serving(folder, guarded, token="secret")


def test_a_planted_model_decides_too() -> None:
    async def go() -> None:
        model = load("planted:calibrated")
        opened = open_items(["brook"], "choice", 5, Seed(0))
        model.bind(opened.items)
        async with listening(Service(speaker_of(model), "planted")) as url:
            far = Endpoint(f"{url}/v1", "planted", readout="decision")
            both = frozenset({Ability.DECIDE})
            far.learn(Offers(chat=both, text=both, decides=Decides("/decisions", "")), "")
            item = opened.items[0]
            prompt = dialect(opened.dialect).choice_prompt(item)
            options = dialect(opened.dialect).letters(len(item.choices))
            near, choice = await model.choose(prompt, options), await far.choose(prompt, options)
            assert choice.p == pytest.approx(near.p, abs=1e-9)
            await far.close()

    asyncio.run(go())
