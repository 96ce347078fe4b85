"""`assay code`: programs are sampled, judged for real, and planted skill is recovered."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gnomon.assay.code import Code
from gnomon.cli import main
from gnomon.core.errors import UsageError
from gnomon.core.seeds import Seed
from gnomon.data.code_brook import brook_problems
from gnomon.data.code_chains import chain_problems
from gnomon.data.worlds.brook import world
from gnomon.data.worlds.brook.programs import is_right, tasks
from gnomon.models.base import Ability, Completion, Sampling
from gnomon.report.base import Report
from gnomon.sandbox import Judges
from gnomon.trial.base import Cast
from gnomon.trial.code import check_of, program_of
from gnomon.trial.runner import run_evaluation
from tests.unit.test_code_sets import HUMANEVAL, lines


def assayed(config: Code, model: str, root: Path) -> Report:
    return asyncio.run(run_evaluation(config, "code", {"subject": model}, root=root)).report


def test_the_judge_agrees_with_the_worlds_own_oracle() -> None:
    task = next(t for t in tasks(2) if str(t[0]) == "add 3" and str(t[1]) == "times 2")
    [problem] = [p for p in brook_problems(world("S"), 9999, Seed(0)) if p.id == "add 3 then times 2"]
    bodies = [
        "( ( x + 3 ) * 2 ) % 10",
        "( ( x + 3 ) * 7 ) % 10",
        "( ( x + 8 ) * 2 ) % 10",
        "( x * 2 + 6 ) % 10",
        "x +",
        "",
    ]
    with Judges(1) as judges:
        for body in bodies:
            verdict = judges.verdict(check_of(problem), program_of(problem, f" {body}"))
            assert verdict.passed == is_right(task, f"def f ( x ) : return {body}"), body


def test_planted_skill_is_recovered(tmp_path: Path) -> None:
    report = assayed(Code(n=60, samples=10, k=(1, 5)), "planted:programmer", tmp_path)
    for level, truth in (("1 operation", 0.95), ("2 operations", 0.75), ("3 operations", 0.5)):
        found = report.estimate("pass@1", level)
        assert found.low is not None and found.high is not None
        assert found.low - 0.05 < truth < found.high + 0.05
    gained = report.estimate("gained by mean log-probability over a random one")
    assert gained.low is not None and gained.low > 0


def test_nobody_who_knows_nothing_passes(tmp_path: Path) -> None:
    report = assayed(Code(n=12, samples=4), "planted:programmer?know=0", tmp_path)
    assert report.estimate("pass@1").value == 0.0


def test_the_best_temperature_rises_with_k(tmp_path: Path) -> None:
    report = assayed(Code(n=60, samples=10, temperature=(0.2, 0.8), k=(1, 10)), "planted:hasty", tmp_path)
    assert report.estimate("pass@1 at the best setting", "T=0.2, other half").value == pytest.approx(0.5, abs=0.25)
    assert report.estimate("pass@10 at the best setting", "T=0.8, other half").value == pytest.approx(0.97, abs=0.1)


def test_a_grid_of_settings_is_asked_as_said_behind_the_prompt(tmp_path: Path) -> None:
    asked: list[tuple[str, float, float]] = []

    class Heard:
        name, revision, can = "heard", "1", frozenset({Ability.SAMPLE})

        async def sample(self, prompt: Any, how: Sampling, n: int = 1) -> list[Completion]:
            asked.append((prompt, how.temperature, how.top_p))
            return [Completion(text=" 1", finish="stop", num_tokens=1, logprob=-1.0)] * n

    (tmp_path / "prompt.txt").write_text("be  quick .\n", encoding="utf-8")
    config = Code(n=1, samples=2, temperature=(0.0, 1.0), top_p=(0.95, 1.0), prompt=str(tmp_path / "prompt.txt"))
    items = list(config.items(Seed(0)))
    assert [item.id.partition(" T=")[2] for item in items] == ["0 top-p=0.95", "0 top-p=1", "1 top-p=0.95", "1 top-p=1"]
    rows = [asyncio.run(config.trial(item, Cast({"subject": Heard()}), Seed(0))) for item in items]  # type: ignore[dict-item]  # what the trial calls
    assert [(t, p) for _, t, p in asked] == [(0.0, 0.95), (0.0, 1.0), (1.0, 0.95), (1.0, 1.0)]
    assert all(prompt == f"be quick . {items[0].meta['prompt']}" for prompt, _, _ in asked)
    groups = {e.group for e in config.summarise(rows).estimates if e.metric == "pass@1"}
    assert {"T=0 top-p=0.95", "T=1 top-p=1"} <= groups


def test_a_file_of_problems(tmp_path: Path) -> None:
    """A planted programmer has no completions for it, so the scripted model of this test stands in."""

    class Scripted:
        name, revision, can = "scripted", "1", frozenset({Ability.SAMPLE})

        async def sample(self, prompt: Any, how: Sampling, n: int = 1) -> list[Completion]:
            if isinstance(prompt, str):
                assert how.stop
                texts = ["    return x + y\n\nprint(add(1, 2))", "    return x"]
            else:
                texts = ["```python\ndef add(x, y):\n    return x + y\n```", "No."]
            return [Completion(text=t, finish="stop", num_tokens=4, logprob=-1.0) for t in texts]

    path = lines(tmp_path / "p.jsonl", [HUMANEVAL])
    for ask in ("complete", "chat"):
        config = Code(data=str(path), samples=2, ask=ask)  # type: ignore[arg-type]  # a literal, by the loop
        [item] = config.items(Seed(0))
        kept: Any = json.loads(json.dumps({"meta": dict(item.meta)}))
        row = asyncio.run(config.trial(replace(item, meta=kept["meta"]), Cast({"subject": Scripted()}), Seed(0)))  # type: ignore[dict-item]  # what the trial calls
        assert [s["cause"] == "passed" for s in row.evidence["samples"]] == [True, False]
        ways = {
            e.group: e.value
            for e in config.summarise([row]).estimates
            if e.metric == "share of replies by where the program was"
        }
        assert ways == ({"fence": 0.5, "none": 0.5} if ask == "chat" else {})


@pytest.mark.parametrize(
    "given",
    [
        {"n": 0},
        {"samples": 0},
        {"temperature": ()},
        {"temperature": (-1.0,)},
        {"temperature": (1.0, 1.0)},
        {"top_p": (0.0,)},
        {"top_p": (1.0, 1.0)},
        {"k": (11,)},
    ],
)
def test_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Code(**given)


def test_the_command_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["assay", "code", "--model", "planted:programmer", "--n", "6", "--samples", "2", "--out", str(tmp_path)]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert main(arguments) == 0
    assert capsys.readouterr().out == first


def test_chains_recover_what_each_block_leaves(tmp_path: Path) -> None:
    report = assayed(Code(data="chains", n=50, samples=8), "planted:programmer", tmp_path)
    found = report.estimate("kept by each further block")
    assert found.low is not None and found.high is not None
    assert found.low - 0.03 < 0.7 < found.high + 0.03


def test_every_block_is_what_its_reference_does() -> None:
    problems = list(chain_problems(25, Seed(3)))
    with Judges(1) as judges:
        for problem in problems:
            assert judges.verdict(check_of(problem), problem.reference).passed
            assert not judges.verdict(check_of(problem), problem.opening + "    return s + '.'\n").passed
