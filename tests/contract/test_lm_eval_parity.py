"""Our log-likelihoods equal those of lm-evaluation-harness, recorded once; `tests.contract.parity` says how."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence

import pytest

from gnomon.models.load import load_checkpoint
from gnomon.models.local import LocalModel
from tests.contract.parity import COUNT, FIXTURE, Question, made_folder, questions

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_checkpoint(made_folder(tmp_path_factory.mktemp("parity") / "model"))


def _recorded(kind: str) -> list[list[float]]:
    found: list[list[float]] = json.loads(FIXTURE.read_text(encoding="utf-8"))["loglikelihoods"][kind]
    return found


async def _scored(model: LocalModel, asked: Sequence[Question]) -> list[list[float]]:
    scores = iter(await asyncio.gather(*(model.score(q.prompt, option) for q in asked for option in q.options)))
    return [[next(scores).total for _ in q.options] for q in asked]


@pytest.mark.parametrize("kind", ["letters", "texts"])
def test_scores_equal_the_harness(model: LocalModel, kind: str) -> None:
    asked, recorded = questions(lettered=kind == "letters"), _recorded(kind)
    assert len(recorded) == COUNT
    found = asyncio.run(_scored(model, asked))
    for q, ours, theirs in zip(asked, found, recorded, strict=True):
        assert ours == pytest.approx(theirs, rel=0, abs=TOLERANCE), q.prompt[-200:]


@pytest.mark.parametrize("kind", ["letters", "texts"])
def test_choices_equal_the_harness(model: LocalModel, kind: str) -> None:
    async def choose() -> list[tuple[float, ...]]:
        asked = questions(lettered=kind == "letters")
        return [c.p for c in await asyncio.gather(*(model.choose(q.prompt, q.options) for q in asked))]

    for ours, theirs in zip(asyncio.run(choose()), _recorded(kind), strict=True):
        top = max(theirs)
        whole = top + math.log(sum(math.exp(value - top) for value in theirs))
        assert [math.log(p) for p in ours] == pytest.approx([v - whole for v in theirs], rel=0, abs=TOLERANCE)


def test_the_fixture_would_notice(model: LocalModel) -> None:
    """Without the first answered question every log-likelihood moves by far more than the tolerance."""
    asked = [q._replace(prompt=q.prompt.partition("\n\n")[2]) for q in questions(lettered=True)]
    for ours, theirs in zip(asyncio.run(_scored(model, asked)), _recorded("letters"), strict=True):
        assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) > 100 * TOLERANCE
