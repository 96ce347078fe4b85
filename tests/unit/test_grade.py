"""`gnomon grade`: verdicts, resume, results in the peers' forms, and what is refused."""

from __future__ import annotations

import json
import random
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

import gnomon
from gnomon.cli import main
from gnomon.core.errors import DataError, UsageError
from gnomon.data.code_samples import Sample
from gnomon.grade import grading
from gnomon.grade.grading import Grading, grade
from gnomon.grade.results import as_evalplus, as_human_eval
from gnomon.sandbox import Protection, Verdict, protect
from gnomon.stats.bleu import bleu, code_tokens
from gnomon.trial.chosen import chosen_among
from gnomon.trial.graded import Graded, report_on

PROBLEMS = [
    {
        "task_id": f"T/{i}",
        "prompt": f"def add{i}(x):\n",
        "entry_point": f"add{i}",
        "canonical_solution": f"    return x + {i}\n",
        "test": f"def check(candidate):\n    assert candidate(1) == {i + 1}\n    assert candidate(5) == {i + 5}\n",
    }
    for i in range(4)
]
RIGHT = [f"    return x + {i}\n" for i in range(4)]


@pytest.fixture(scope="module")
def held() -> Protection:
    return protect()


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(path)


@pytest.fixture()
def problems(tmp_path: Path) -> str:
    return lines(tmp_path / "problems.jsonl", PROBLEMS)


def samples(tmp_path: Path, *completions: tuple[int, str], **more: Any) -> str:
    rows = [{"task_id": f"T/{i}", "completion": text, **more} for i, text in completions]
    return lines(tmp_path / "samples.jsonl", rows)


def test_verdicts_resume_and_duplicates(
    tmp_path: Path, problems: str, held: Protection, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = [(i, text) for i in range(4) for text in (RIGHT[i], "    return 0\n", RIGHT[i])]
    config = Grading(samples=samples(tmp_path, *every), problems=problems, k=(1, 2))
    judged: list[str] = []
    whole = grading.Judges.all

    def counted(self: Any, jobs: Any) -> Any:
        for key, verdict in whole(self, jobs):
            judged.append(key)
            if len(judged) == 3:
                raise KeyboardInterrupt
            yield key, verdict

    monkeypatch.setattr(grading.Judges, "all", counted)
    with pytest.raises(KeyboardInterrupt):
        grade(config, held, root=tmp_path / "runs")
    finished = grade(config, held, root=tmp_path / "runs")
    # 12 samples are 8 programs; two of them were committed before the stop, and so were their copies
    assert len(judged) == 3 + 6
    assert finished.judged == 12 - 3
    assert [finished.verdicts[s.key].passed for s in finished.samples] == [True, False, True] * 4
    assert finished.report.estimate("pass@1").value == pytest.approx(2 / 3)
    assert finished.report.estimate("pass@2").value == 1.0
    assert grade(config, held, root=tmp_path / "runs").judged == 0


def test_a_copy_is_the_same_program_to_the_last_letter(tmp_path: Path, problems: str, held: Protection) -> None:
    # a line separator at the end is no Python
    file = samples(tmp_path, (0, "    return x"), (0, "    return x\u2028"), (0, "    return x\n\n"))
    finished = grade(Grading(samples=file, problems=problems, allow_missing=True), held, root=tmp_path / "runs")
    assert [finished.verdicts[s.key].cause for s in finished.samples] == ["passed", "syntax", "passed"]


def test_the_same_samples_have_the_same_verdicts_with_any_number_of_judges(
    tmp_path: Path, problems: str, held: Protection
) -> None:
    bodies = [
        "    return x\n",
        "    raise ValueError\n",
        "    return [x\n",
        "    import os; os.fork()\n",
        "    return (lambda: 0)\n",
    ]
    config = Grading(samples=samples(tmp_path, *((i, b) for i in range(4) for b in bodies)), problems=problems)
    one = grade(config, held, root=tmp_path / "a", workers=1)
    two = grade(config, held, root=tmp_path / "b", workers=3)
    assert {k: v.cause for k, v in one.verdicts.items()} == {k: v.cause for k, v in two.verdicts.items()}
    assert {v.cause for v in one.verdicts.values()} == {
        *("passed", "wrong answer", "exception", "syntax", "forbidden action", "unreadable answer")
    }


def test_problems_without_samples(tmp_path: Path, problems: str, held: Protection) -> None:
    path = samples(tmp_path, (0, RIGHT[0]), (1, RIGHT[1]))
    with pytest.raises(DataError, match="2 of 4 problems have no sample; the first is T/2"):
        grade(Grading(samples=path, problems=problems), held, root=tmp_path)
    found = grade(Grading(samples=path, problems=problems, allow_missing=True), held, root=tmp_path)
    assert found.report.estimate("pass@1").value == 0.5
    assert "2 problems have no sample and count as wrong, as 1 samples each" in found.report.notes
    assert found.report.estimate("share of samples", "no sample").value == 0.5


def test_problems_without_tests_are_in_no_number(tmp_path: Path, held: Protection) -> None:
    row = {"problem_id": 1, "question": "Print 3.", "solutions": "", "difficulty": "", "starter_code": ""}
    tests = json.dumps({"inputs": [""], "outputs": ["3\n"]})
    rows = [{**row, "input_output": tests}, {**row, "problem_id": 2, "input_output": ""}]
    path = lines(tmp_path / "apps.jsonl", rows)
    asked = [{"task_id": str(task), "solution": "print(3)"} for task in (1, 2)]
    found = grade(
        Grading(samples=lines(tmp_path / "s.jsonl", asked), problems=path, allow_missing=True), held, root=tmp_path
    )
    estimate = found.report.estimate("pass@1")
    assert (estimate.value, estimate.clusters) == (1.0, 1)
    assert "1 problems have no tests: they and their samples are in no number" in found.report.notes


def test_problems_that_stand_in_the_training_text_are_told_apart(tmp_path: Path, held: Protection) -> None:
    words = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november"
    rows = [
        {**PROBLEMS[i], "prompt": f'def add{i}(x):\n    """{text}"""\n'} for i, text in enumerate((words, words[::-1]))
    ]
    text = tmp_path / "learnt.txt"
    text.write_text(f"Much else. {words.upper()} And more.", encoding="utf-8")
    given = samples(tmp_path, (0, RIGHT[0]), (1, "    return 0\n"))
    config = Grading(samples=given, problems=lines(tmp_path / "two.jsonl", rows), trained_on=str(text))
    report = grade(config, held, root=tmp_path).report
    assert report.estimate("problems met in the text").value == 0.5
    assert report.estimate("pass@1", "met in the text").value == 1.0
    assert report.estimate("pass@1", "not met in the text").value == 0.0
    text.write_bytes(b"\xff")
    with pytest.raises(DataError, match="no UTF-8 text"):
        grade(config, held, root=tmp_path)


def test_the_best_setting_in_sample_is_chosen_and_reported_on_all_problems() -> None:
    graded = [
        Graded(task=f"T/{task}", index=0, cause="passed" if task < right else "wrong answer", temperature=t)
        for t, right in ((0.2, 3), (0.8, 6))
        for task in range(10)
    ]
    whole = report_on(graded, "", ks=(1,), envelope="in-sample")
    assert whole.estimate("pass@1 at the best setting", "T=0.8, in-sample").value == 0.6
    assert whole.estimate("pass@1 at the best setting", "T=0.8, in-sample").n == 10
    split = [e for e in report_on(graded, "", ks=(1,)).estimates if e.metric == "pass@1 at the best setting"]
    assert [e.n for e in split] == [5] and split[0].group.endswith("other half")


def test_choosing_among_m_samples_is_the_mean_over_all_choices() -> None:
    rng = random.Random(0)
    tasks = {
        task: [
            Graded(task=task, index=i, cause=rng.choice(("passed", "wrong answer")), mean_logprob=rng.gauss(0, 1))
            for i in range(6)
        ]
        for task in "abcd"
    }
    for m in range(1, 7):
        by_hand = [
            max(some, key=lambda g: g.mean_logprob or 0.0).passed
            for of in tasks.values()
            for some in combinations(of, m)
        ]
        found = chosen_among(tasks, "mean_logprob", m)
        assert found.value == pytest.approx(sum(by_hand) / len(by_hand))
        assert found.n == len(tasks)


def test_k_above_the_samples_is_refused_before_anything_is_judged(
    tmp_path: Path, problems: str, held: Protection
) -> None:
    path = samples(tmp_path, *enumerate(RIGHT))
    with pytest.raises(UsageError, match="pass@2 needs 2 samples of every problem, and T/0 has 1"):
        grade(Grading(samples=path, problems=problems, k=(2,)), held, root=tmp_path)


def test_results_in_the_peers_forms() -> None:
    kept = [
        Sample(task="T/0", index=0, source="a", record={"task_id": "T/0", "completion": "a", "mine": 1}),
        Sample(task="T/0", index=1, source="b", record={"task_id": "T/0", "completion": "b"}),
    ]
    verdicts = {"T/0#0": Verdict(cause="passed"), "T/0#1": Verdict(cause="timeout", detail="3 s")}
    first, second = map(json.loads, as_human_eval(kept, verdicts).splitlines())
    assert (first["task_id"], first["mine"], first["passed"], first["result"]) == ("T/0", 1, True, "passed")
    assert (second["passed"], second["result"]) == (False, "timed out")
    found = json.loads(as_evalplus(kept, verdicts))["eval"]["T/0"]
    assert [f["plus_status"] for f in found] == ["pass", "timeout"]


def test_the_command(tmp_path: Path, problems: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = samples(tmp_path, *enumerate(RIGHT[:3]), (3, "    return 0\n"))
    results = tmp_path / "out.jsonl"
    arguments = [
        "grade",
        path,
        "--problems",
        problems,
        "--out",
        str(tmp_path),
        "--results",
        str(results),
        "--workers",
        "1",
    ]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "3 of 4 samples of 4 problems pass. pass@1 is 0.750" in shown.out
    assert "assert candidate(1) == 4" in shown.out
    assert "candidates are held by limits on time and memory, landlock, seccomp" in shown.err
    assert [json.loads(line)["passed"] for line in results.read_text().splitlines()] == [True, True, True, False]


def test_a_set_whose_reference_fails_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = [PROBLEMS[0], {**PROBLEMS[1], "canonical_solution": "    return 0\n"}]
    path = lines(tmp_path / "p.jsonl", broken)
    assert main(["grade", "references", "--problems", path, "--out", str(tmp_path), "--workers", "1"]) == 1
    assert "the reference of T/1 fails its own test" in capsys.readouterr().out
    assert main(["grade", "empty", "--problems", path, "--out", str(tmp_path), "--workers", "1"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--problems", "nowhere.jsonl"], 3, "nowhere.jsonl: no such file"),
        (["--problems", "PROBLEMS", "--k", "a"], 2, "is no list of numbers"),
        (["--problems", "PROBLEMS", "--timeout", "0"], 2, "--timeout 0"),
        (["--problems", "PROBLEMS", "--workers", "0"], 2, "--workers is 0"),
    ],
)
def test_refused(
    tmp_path: Path, problems: str, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [problems if a == "PROBLEMS" else a for a in arguments]
    assert main(["grade", "references", *given, "--out", str(tmp_path)]) == code
    assert said in capsys.readouterr().err


def test_choosing_by_log_probability_and_temperatures() -> None:
    def graded(task: int, index: int, passed: bool, logprob: float, temperature: float) -> Graded:
        cause = "passed" if passed else "wrong answer"
        return Graded(task=str(task), index=index, cause=cause, mean_logprob=logprob, temperature=temperature)

    # Cold samples are all alike, right for half of the problems; one hot sample in five is right, the likeliest.
    cold = [graded(t, i, t % 2 == 0, -1.0 - i, 0.2) for t in range(40) for i in range(5)]
    hot = [graded(t, i, i == 3, -0.5 if i == 3 else -2.0, 0.8) for t in range(40) for i in range(5)]
    report = report_on([*cold, *hot], "t", ks=(1, 5))
    assert report.estimate("pass@1", "T=0.2").value == 0.5
    assert report.estimate("pass@5", "T=0.8").value == 1.0
    assert report.estimate("pass@1 at the best setting", "T=0.2, other half").n == 20
    assert report.estimate("pass@5 at the best setting", "T=0.8, other half").value == 1.0
    assert report.estimate("gained by mean log-probability over a random one", "T=0.8").value == pytest.approx(0.8)
    assert report.estimate("any sample right", "T=0.2").value == 0.5
    assert len(list(report.figures)) == 2


def test_likeness_to_the_reference(tmp_path: Path, problems: str, held: Protection) -> None:
    texts = [
        (i, text) for i in range(4) for text in (RIGHT[i], "    while False:\n        pass\n    raise KeyError(x)\n")
    ]
    config = Grading(samples=samples(tmp_path, *texts), problems=problems, bleu=True)
    report = grade(config, held, root=tmp_path).report
    assert report.estimate("AUROC of BLEU for being right").value == 1.0
    assert "Likeness to the reference" in [figure.title for figure in report.figures]


def test_bleu() -> None:
    tokens = code_tokens("def f(x):\n    return 'a b' + x1")
    assert tokens == ["def", "f", "(", "x", ")", ":", "return", "'a b'", "+", "x1"]
    assert bleu(tokens, tokens) == 1.0
    assert bleu([], tokens) == bleu(tokens, []) == bleu(["z"], tokens) == 0.0
    assert 0 < bleu(tokens[:5], tokens) < bleu(tokens[:9], tokens) < 1
    # one token of four differs: 3/4, then (1+1)/(3+1), (0+1)/(2+1), (0+1)/(1+1)
    assert bleu(["a", "b", "z", "d"], ["a", "b", "c", "d"]) == pytest.approx((3 / 4 * 2 / 4 * 1 / 3 * 1 / 2) ** 0.25)


def test_what_the_sandbox_failed_on_is_in_no_number() -> None:
    good = [Graded(task=str(t), index=0, cause="passed") for t in range(3)]
    lost = Graded(task="3", index=0, cause="infrastructure")
    report = report_on([*good, lost], "t")
    assert report.estimate("pass@1").n == 3
    assert "1 samples could not be judged" in report.notes[0]


def test_grade_from_python(tmp_path: Path, problems: str) -> None:
    report = gnomon.grade("references", problems, workers=1, root=tmp_path)
    assert report.estimate("pass@1").value == 1.0
    with pytest.raises(UsageError, match="unknown key 'time'"):
        gnomon.grade("references", problems, time=3, root=tmp_path)
