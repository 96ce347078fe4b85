"""What is read beside P(IK): the head at every token, all samples in one context, the entropy of many samples."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from gnomon.assay.self_knowledge import SelfKnowledge, head, pik
from gnomon.assay.self_knowledge.samples import answer_prompt
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.learn.heads import ScalarHead
from gnomon.models.base import Ability, Completion, Prompt, Sampling
from gnomon.models.local import LocalModel
from gnomon.report.tokens import Token, TokenText, tokens
from tests.planted.inputs import small
from tests.planted.replications import rows_of

CFG = SelfKnowledge(only=("pik",), shots=(0,))
QUESTION = Item(
    id="q", question="what does pimti eat ?", answers=("cheese",), meta={"dialect": "brook", "kind": "exact"}
)


@pytest.fixture(scope="module")
def headed() -> Iterator[LocalModel]:
    """Brook's body with a head whose value depends on everything before a token."""
    from gnomon.models.load import load

    body: Any = load("brook")
    scalar = ScalarHead(body.net.config.d_model)
    with torch.no_grad():
        scalar.out.weight.normal_(std=0.02, generator=torch.Generator().manual_seed(0))
    yield LocalModel(body.net, body.tokenizer, name="headed", head=scalar)
    asyncio.run(body.close())


def test_the_value_at_a_token_is_that_of_the_prompt_that_ends_there(headed: LocalModel) -> None:
    shown = head.at_every_token(CFG, headed, QUESTION)

    words = ["Question:", "what", "does", "pimti", "eat", "?", "Answer:"]
    assert [text.strip() for text, _ in shown] == words
    assert len({round(p, 4) for _, p in shown}) == len(words)
    for end, (_, p) in enumerate(shown, start=1):
        alone = asyncio.run(headed.reward(" ".join(words[:end])))
        assert p == pytest.approx(1 / (1 + math.exp(-alone)), abs=1e-5)


def test_worked_examples_are_read_and_not_shown(headed: LocalModel) -> None:
    worked = replace(
        QUESTION, meta={**QUESTION.meta, "answer_header": "Question: where does pimti live ? Answer: mill "}
    )

    bare, after = (head.at_every_token(CFG, headed, item) for item in (QUESTION, worked))

    assert [text for text, _ in after] == [text for text, _ in bare]
    assert after[-1][1] != pytest.approx(bare[-1][1], abs=1e-4)


def test_a_few_questions_are_shown_token_by_token() -> None:
    rows = [
        Row(key=str(i), cluster=str(i), evidence={**_evidence(i), **({"tokens": [["why", 0.25]]} if i < 2 else {})})
        for i in range(4)
    ]

    figures = replace(CFG, resamples=20).summarise(rows).figures

    assert [f.title for f in figures] == ["P(IK) token by token"]
    text = json.dumps(figures[0].spec)
    assert text.count('"why"') == 2 and "g0: 50% of samples right" in text and "g2" not in text


def _evidence(i: int) -> dict[str, Any]:
    known = {
        "negative entropy": 0.1 * i,
        "agreement": 0.5,
        "log-probability a token": -1.0,
        "samples in one context": None,
    }
    return {
        "part": "pik",
        "truth": 0.5 + 0.1 * (i % 2),
        "samples": 10,
        "group": f"g{i}",
        "baselines": known,
        "greedy right": i % 2 == 0,
        "readout": "head",
        "pik": {"question": 0.2 + 0.1 * i},
    }


def test_tokens_are_wrapped_inside_their_line_and_none_is_lost() -> None:
    words = [Token(f"word{i}", i / 40) for i in range(40)]

    spec = tokens([TokenText("first", words), TokenText("second", [Token("\n", 0.5)])], legend="p", title="t").spec

    boxes = max(spec["datasets"].values(), key=len)
    assert [b["text"] for b in boxes] == [*(w.text for w in words), "↵"]
    assert all(0 <= b["start"] < b["end"] <= 46.5 for b in boxes)
    by_line: dict[float, list[tuple[float, float]]] = {}
    for b in boxes:
        by_line.setdefault(b["top"], []).append((b["start"], b["end"]))
    assert len(by_line) > 5
    assert all(a[1] < b[0] for line in by_line.values() for a, b in pairwise(line))
    [labels] = [d for d in spec["datasets"].values() if "label" in d[0]]
    assert labels[1]["y"] > max(b["bottom"] for b in boxes[:-1])


class Sure:
    """Answers with `known` for its share of samples; scores by how much of the text is one answer."""

    name, revision, can = "sure", "1", frozenset({Ability.SAMPLE, Ability.SCORE})

    def __init__(self, texts: list[str], can: frozenset[Ability] | None = None) -> None:
        self.texts, self.asked, self.scored = texts, [], []
        self.can = can or self.can

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        self.asked.append(n)
        return [Completion(text=f" {self.texts[i % len(self.texts)]}", finish="stop", num_tokens=1) for i in range(n)]

    async def score(self, prompt: Prompt, continuation: str) -> Any:
        from gnomon.models.base import Score

        self.scored.append((prompt, continuation))
        return Score(logprobs=(-1.0, -2.0, -6.0))


DRAWN = [{"text": t, "answer": t, "tokens": 1, "right": True} for t in ("ham", "jam", "ham")]


def test_samples_stand_behind_one_another_in_one_context() -> None:
    model = Sure(["ham"])

    value = asyncio.run(pik.in_one_context(CFG, model, QUESTION, DRAWN))  # type: ignore[arg-type]  # a part of a model

    assert value == -3.0
    assert model.scored == [(answer_prompt(CFG, QUESTION), " ham\n jam\n ham")]


def test_samples_that_no_context_holds_and_models_that_cannot_score_have_no_value() -> None:
    long = [{**d, "tokens": 2000} for d in DRAWN]
    deaf = Sure(["ham"], can=frozenset({Ability.SAMPLE}))

    for model, drawn in ((Sure(["ham"]), long), (deaf, DRAWN)):
        assert asyncio.run(pik.in_one_context(CFG, model, QUESTION, drawn)) is None  # type: ignore[arg-type]
        assert model.scored == []


def test_local_models_score_the_samples_as_one_text(headed: LocalModel) -> None:
    drawn = [{**d, "text": "cheese"} for d in DRAWN]

    value = asyncio.run(pik.in_one_context(CFG, headed, QUESTION, drawn))
    known = asyncio.run(headed.score(answer_prompt(CFG, QUESTION), " cheese cheese cheese"))

    assert value == pytest.approx(sum(known.logprobs) / 3, abs=1e-5)


def test_entropy_is_over_as_many_samples_as_are_asked_for() -> None:
    greedy = Completion(text=" ham", finish="stop", num_tokens=1, logprob=-0.5)
    found = {}
    for count in (0, 200):
        model = Sure(["ham", "jam", "lamb", "yam"])
        cfg = replace(CFG, entropy_samples=count)
        found[count] = asyncio.run(pik.baselines(cfg, model, QUESTION, DRAWN, greedy, Seed(0)))  # type: ignore[arg-type]
        assert model.asked == [200] * bool(count)

    assert found[200]["negative entropy"] == pytest.approx(-math.log(4))
    assert found[0]["negative entropy"] == pytest.approx(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3)
    assert found[0]["log-probability a token"] == -0.5


def test_more_samples_bring_the_entropy_of_a_planted_model_nearer_to_its_own() -> None:
    """Wrong answers are four words, so entropy is a function of how often the model is right; plug-in entropy from few
    samples lies below it."""
    base = small("pik", "planted:pik", 40)
    setting = replace(base, config={**base.config, "samples": 10, "head_questions": 60})

    few, many = (
        rows_of(replace(setting, config={**setting.config, "entropy_samples": count}), Seed(1)) for count in (0, 400)
    )

    def bias(rows: list[Row]) -> float:
        return sum(r.evidence["baselines"]["negative entropy"] for r in rows) / len(rows)

    assert bias(many) < bias(few) - 0.05
    assert [r.evidence["truth"] for r in few] == [r.evidence["truth"] for r in many]


def test_a_right_greedy_answer_is_told_by_what_knows() -> None:
    """The planted model's greedy answer is right exactly where its log-odds are above 0."""
    rows = rows_of(small("pik", "planted:pik?noise=0.01", 150), Seed(2))
    report = SelfKnowledge(only=("pik",), data=("synthetic",), resamples=200).summarise(rows)

    greedy = report.estimate("accuracy of the greedy answer", "P(IK)")
    assert greedy.low is not None and greedy.high is not None and greedy.low < 0.5 < greedy.high
    told = report.estimate("AUROC for a right greedy answer", "P(IK)").value
    assert told is not None and told > 0.98
    null = SelfKnowledge(only=("pik",), resamples=200).summarise(
        rows_of(small("pik", "planted:pik?noise=inf", 150), Seed(2))
    )
    chance = null.estimate("AUROC for a right greedy answer", "P(IK)")
    assert chance.low is not None and chance.high is not None and chance.low < 0.5 < chance.high
