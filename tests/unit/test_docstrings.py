"""Docstrings: the text turned round, a model that learns to write them, the round trip, and the choice by them."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import pytest

from gnomon.assay.code import Code
from gnomon.assay.docstrings import Docstrings
from gnomon.core.errors import AbilityError, DataError, UsageError
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.code_docstrings import described, docstring_stops, with_docstring
from gnomon.data.code_open import open_problems
from gnomon.data.code_sets import Problem, parse_problem
from gnomon.models.base import Ability, Choice, Completion, Sampling, Score
from gnomon.report.base import Report
from gnomon.train._running import run_training
from gnomon.train.docstring import TrainDocstring, docstrings, preview
from gnomon.trial.base import Cast
from gnomon.trial.runner import run_evaluation
from tests.unit.test_code_sets import lines

ROW = {
    "task_id": "x/0",
    "prompt": 'import math\n\n\ndef half(x):\n    # é\n    """Half of x,\n\n    rounded "down".\n    """\n',
    "canonical_solution": "    y = x / 2\n    return math.floor(y)\n",
    "entry_point": "half",
    "test": "def check(candidate):\n    assert candidate(3) == 1\n    assert candidate(-3) == -2\n",
}


def problem(**changes: str) -> Problem:
    return parse_problem({**ROW, **changes}, "x")


def test_a_docstring_is_put_last_and_the_whole_is_still_the_function() -> None:
    found = described(problem(), problem().reference)
    assert found.docstring == 'Half of x,\n\n    rounded "down".\n    '
    assert found.prompt.endswith('    return math.floor(y)\n    """')
    body = ast.parse(found.prompt + found.docstring + found.end).body[-1].body  # type: ignore[attr-defined]  # a function
    assert [type(statement).__name__ for statement in body] == ["Assign", "Return", "Expr"]
    assert body[-1].value.value == found.docstring
    assert found.docstring not in found.prompt
    other = described(problem(), problem().opening + "    return x +\n")
    assert other.prompt.endswith('    return x +\n    """'), "programs that do not parse are described too"


@pytest.mark.parametrize("said", ["Doubles x.", 'With """ quotes.', "ends in \\", "", "two\nlines"])
def test_other_words_make_the_same_problem_with_another_prompt(said: str) -> None:
    asked = with_docstring(problem(), said)
    function = ast.parse(asked.prompt + "    return 1\n").body[-1]
    assert isinstance(function, ast.FunctionDef) and function.name == "half"
    assert asked.opening == asked.prompt
    assert asked.test == problem().test
    assert (ast.get_docstring(function) or "").replace("'''", '"""') in (said, said.rstrip("\\"))


def test_brooks_tasks_are_its_docstrings() -> None:
    for each in open_problems("brook", 9, Seed(0)):
        found = described(each, each.reference)
        assert found.prompt == f"Code: {each.reference} Task:"
        assert with_docstring(each, found.docstring).prompt == each.prompt
        assert "\n" in docstring_stops(each)


@pytest.mark.parametrize("prompt", ["def half(x):\n", "if 1:\n", "def other(x):\n    '''Doc.'''\n"])
def test_what_has_no_docstring_is_refused(prompt: str) -> None:
    with pytest.raises(DataError, match="no function with a docstring"):
        described(problem(prompt=prompt), "")


def test_what_is_learnt_is_the_docstring_and_what_ends_it(tiny: str) -> None:
    assert docstrings([problem()])[0][1].endswith('rounded "down".\n    """\n')
    told = preview(TrainDocstring(model=tiny, problems=20, held_out=5))
    assert told["first prompt"].startswith("<bos> Code: def f ( x ) : return") and told["first prompt"].endswith(
        "Task:"
    )
    assert told["first to learn"].endswith(". <eos>")


def test_held_out_docstrings_become_likelier(tmp_path: Path) -> None:
    cfg = TrainDocstring(problems=80, held_out=10, samples=2, epochs=1)
    report = run_training(cfg, "docstring", root=tmp_path).report
    gained = report.estimate("held-out loss gained")
    assert gained.low is not None and gained.low > 0.5
    assert gained.n == 10
    assert report.estimate("problems fit to learn from", "to learn from").n > 40


def assayed(config: Docstrings, model: str, root: Path) -> Report:
    return asyncio.run(run_evaluation(config, "docstrings", {"subject": model, "coder": model}, root=root)).report


def test_the_round_trip_recovers_who_is_right_how_often(tmp_path: Path) -> None:
    report = assayed(Docstrings(n=30, samples=6), "planted:describer?know=0.7", tmp_path)
    found = report.estimate("pass@1")
    assert found.low is not None and found.high is not None and found.low < 0.7 < found.high
    assert report.estimate("pass@1 with the problem's own docstring").value == 1.0
    assert report.estimate("pass@1 with none").value == 0.0
    lost = report.estimate("lost to the problem's own docstring")
    assert lost.value == pytest.approx(1 - (found.value or 0.0))
    null = assayed(Docstrings(n=6, samples=2), "planted:describer?know=0", tmp_path)
    assert null.estimate("pass@1").value == 0.0


class Said:
    """Writes two docstrings of `half`, programs that follow them, and judges and scores by what they say."""

    name, revision = "said", "1"

    def __init__(self, *can: Ability) -> None:
        self.can = frozenset(can)

    async def sample(self, prompt: Any, how: Sampling, n: int = 1) -> list[Completion]:
        if prompt.endswith('y)\n    """'):
            return [Completion(text=t, finish="stop", num_tokens=2, logprob=-1.0) for t in ("Floor of x / 2.", "Half.")]
        body = "    return math.floor(x / 2)\n" if "Floor" in prompt or "down" in prompt else "    return x / 2\n"
        return [Completion(text=body, finish="stop", num_tokens=4, logprob=-1.0)]

    async def choose(self, prompt: str, options: Any) -> Choice:
        p = 0.9 if "Floor" in prompt else 0.2
        return Choice(p=(p, 1 - p), mass=1.0, readout="exact", n=0, low=(p, 1 - p), high=(p, 1 - p))

    async def score(self, prompt: str, continuation: str) -> Score:
        assert continuation.startswith("Half of x")
        return Score(logprobs=(-1.0 if "floor" in prompt else -3.0,))


def test_a_file_of_functions_with_a_judge(tmp_path: Path) -> None:
    config = Docstrings(data=str(lines(tmp_path / "p.jsonl", [ROW])), samples=2, judge="said")  # type: ignore[arg-type]  # a model's name
    (item,) = config.items(Seed(0))
    said: Any = Said(Ability.SAMPLE)
    row: Row = asyncio.run(config.trial(item, Cast({"subject": said, "coder": said, "judge": said}), Seed(0)))
    assert [s["cause"] for s in row.evidence["samples"]] == ["passed", "wrong answer"]
    assert [s["said_right"] for s in row.evidence["samples"]] == [0.9, 0.2]
    assert (row.evidence["own"], row.evidence["none"]) == ("passed", "wrong answer")
    report = config.summarise([row])
    assert report.estimate("judge's chance of being right").value == pytest.approx(0.55)
    assert report.estimate("AUROC of the judge for the round trip").value == 1.0


def test_back_translation_chooses_among_programs(tmp_path: Path) -> None:
    class Writer:
        name, revision, can = "writer", "1", frozenset({Ability.SAMPLE})

        async def sample(self, prompt: Any, how: Sampling, n: int = 1) -> list[Completion]:
            texts = ["    return x / 2\n", "    return math.floor(x / 2)\n", "    return x +\n"]
            return [Completion(text=t, finish="stop", num_tokens=4, logprob=-i) for i, t in enumerate(texts)]

    path = str(lines(tmp_path / "p.jsonl", [ROW]))
    config = Code(data=path, samples=3, describer="said")  # type: ignore[arg-type]  # a model's name
    (item,) = config.items(Seed(0))
    cast = Cast({"subject": Writer(), "describer": Said(Ability.SCORE)})  # type: ignore[dict-item]  # what the trial calls
    report = config.summarise([asyncio.run(config.trial(item, cast, Seed(0)))])
    assert report.estimate("pass@1 chosen by back-translation").value == 1.0
    assert report.estimate("pass@1 chosen by mean log-probability").value == 0.0
    with pytest.raises(AbilityError, match="back-translation"):
        asyncio.run(config.trial(item, Cast({"subject": Writer(), "describer": Said()}), Seed(0)))  # type: ignore[dict-item]  # what the trial calls
    alone = Code(data=path, samples=3)
    metrics = [e.metric for e in alone.summarise([asyncio.run(alone.trial(item, cast, Seed(0)))]).estimates]
    assert not any("back" in metric for metric in metrics)


@pytest.mark.parametrize("given", [{"n": 0}, {"samples": 0}, {"temperature": -1.0}, {"timeout": 0.0}])
def test_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Docstrings(**given)
