"""`gnomon trace`: what a project's tests were answered becomes tests, and nothing of the project gets out."""

from __future__ import annotations

import io
import json
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gnomon.cli import main
from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.data.code_mutants import mutants
from gnomon.data.code_sets import Problem, read_problems
from gnomon.grade.tracing import Traced, Tracing, running, trace
from gnomon.grade.tracing.problems import Unfit, assertions, literal
from gnomon.grade.tracing.recorder import _spread
from gnomon.grade.tracing.running import Recorded
from gnomon.sandbox import Judges, Limits, Protection, SandboxError, protect
from gnomon.sandbox.codec import encode
from gnomon.trial.code import check_of
from tests.unit._traced import BWRAP, LEFT_OUT, PRICES, TESTS, TEXTS


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def held() -> Protection:
    return protect()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, held: Protection) -> Traced:
    files = {"shop/__init__.py": "", "shop/prices.py": PRICES, "shop/texts.py": TEXTS, "tests/test_shop.py": TESTS}
    project = written(tmp_path_factory.mktemp("sample"), files)
    return trace(Tracing(project=project), held, root=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def problems(traced: Traced) -> dict[str, Problem]:
    return read_problems(traced.problems)


def test_functions_that_can_stand_alone_become_problems_and_others_say_why_not(
    traced: Traced, problems: dict[str, Problem]
) -> None:
    kept = ("prices.gross", "prices.total", "prices.positive", "prices.groups", "prices.emptied")
    assert set(problems) == {f"shop.{name}" for name in (*kept, "texts.title", "texts.wrap", "texts.first")}
    table = {why: count for why, count, _ in traced.report.tables[1].rows}
    assert table == Counter(LEFT_OUT.values())
    assert traced.report.estimate("functions that make a problem").n == len(problems) + len(LEFT_OUT)


def test_a_problem_is_what_the_function_needs_its_signature_its_docstring_and_its_calls(
    problems: dict[str, Problem],
) -> None:
    gross, total = problems["shop.prices.gross"], problems["shop.prices.total"]
    assert gross.prompt.startswith("from math import ceil\nRATE = 0.19\n\n\ndef gross(net: float) -> float:\n")
    assert gross.prompt.endswith('"""The price with tax, rounded up to whole cents."""\n')
    assert gross.reference.endswith("    return ceil(net * (1 + RATE) * 100) / 100\n")
    assert gross.test.count("assert") == 20
    assert "def positive(number):" in total.prompt and "texts" not in total.prompt.partition("def total")[0]
    assert "candidate([1, 2], 3, discount=0, named=4) == 10" in total.test
    assert "candidate(['a', 'b']) == 'b'" in problems["shop.prices.emptied"].test


def test_recorded_tests_pass_on_the_function_and_fail_on_most_faulty_ones(
    traced: Traced, problems: dict[str, Problem], held: Protection
) -> None:
    found: list[bool] = []
    with Judges(1, Limits(), held) as judges:
        for problem in problems.values():
            check = check_of(problem)
            assert judges.verdict(check, problem.reference).passed, problem.id
            faulty = mutants(problem.reference, problem.entry_point, 99, Seed(1))
            found += [not judges.verdict(check, source).passed for source in faulty]
    assert len(found) > 30
    assert sum(found) / len(found) >= 0.8
    told = traced.report.estimate("faulty versions that the tests refuse")
    assert told.value is not None and told.value >= 0.7
    assert told.clusters == len(problems) - 1  # one function has nothing to change


def test_the_command_writes_what_grade_and_train_read(
    traced: Traced, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = written(
        tmp_path / "own",
        {
            "texts.py": TEXTS,
            "test_texts.py": "import texts\n\ndef test_first():\n"
            "    assert [texts.first(x) for x in ('ab', 'c')] == ['a', 'c']\n",
        },
    )
    words = ["trace", str(project), "--to", str(tmp_path / "p.jsonl")]
    assert main(words) == 0
    first = capsys.readouterr()
    assert "1 problems with 2 recorded calls, of 1 functions" in first.out
    assert main(words) == 0
    assert capsys.readouterr().out == first.out
    assert main(["grade", "references", "--problems", str(tmp_path / "p.jsonl")]) == 0
    assert main(["grade", "empty", "--problems", str(tmp_path / "p.jsonl")]) == 0
    (row,) = map(json.loads, (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines())
    assert set(row) == {"task_id", "prompt", "canonical_solution", "entry_point", "test"}


def test_the_tests_reach_nothing_but_the_project(tmp_path: Path, held: Protection) -> None:
    """The project's own tests assert that each attempt is refused, so that their status is 0."""
    secret = written(tmp_path, {"secret.txt": "x"}) / "secret.txt"
    attempts = f"""
    import os, pathlib, shutil, socket, subprocess, sys
    import pytest
    import doubling

    HERE = pathlib.Path(__file__).parent
    ATTEMPTS = [
        lambda: open({str(secret)!r}).read(),
        lambda: os.listdir({str(tmp_path)!r}),
        lambda: (HERE / "left.txt").write_text("x"),
        lambda: open({str(tmp_path / "left.txt")!r}, "w"),
        lambda: socket.socket(),
        lambda: os.fork(),
        lambda: subprocess.run(["true"]),
        lambda: os.kill(os.getppid(), 0),
        lambda: os.unlink(__file__),
        lambda: os.environ["SECRET_TOKEN"],
    ]

    @pytest.mark.parametrize("attempt", ATTEMPTS)
    def test_refused(attempt):
        with pytest.raises((OSError, KeyError)):
            attempt()

    def test_called():
        assert doubling.double(2) == 4
        assert doubling.double(3) == 6
    """
    code = f"""
    def mark():
        try:
            open({str(tmp_path / "left.txt")!r}, "w")
        except OSError:
            return 2

    TWO = mark()

    def double(x):
        '''Twice x.'''
        return TWO * x
    """
    project = written(tmp_path / "own", {"test_it.py": textwrap.dedent(attempts), "doubling.py": textwrap.dedent(code)})
    found = trace(Tracing(project=project), held, root=tmp_path / "runs")
    assert found.manifest.notes["tests_status"] == 0
    assert len(read_problems(found.problems)) == 1
    assert not list(project.parent.glob("**/left.txt"))


def test_inside_bubblewrap_the_project_is_shown_and_the_environment_set(tmp_path: Path, held: Protection) -> None:
    """A stand-in for bubblewrap clears the environment, reads its options as that does, and starts the rest."""
    stand_in = written(tmp_path, {"bwrap.py": BWRAP}) / "bwrap.py"
    wrapper = (sys.executable, str(stand_in), "--clearenv", "--chdir", "/")
    files = {
        "src/own.py": TEXTS,
        "test_own.py": "import own\n\ndef test_it():\n    assert own.first('ab') != own.first('ba')",
    }
    project = written(tmp_path / "project", files)
    inside = replace(held, layers=(*held.layers, "bubblewrap"), wrapper=wrapper)
    found, status = running.record(
        running.Tests(project=project, command="pytest -q", python="", most=5, cpu_seconds=60, memory_bytes=4 << 30),
        inside,
    )
    assert (status, [(each.name, len(each.pairs)) for each in found]) == (0, [("first", 2)])
    assert (tmp_path / "shown.txt").read_text() == f"{project}\n"


def test_where_nothing_holds_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nothing(*, strong: bool, unsafe: bool) -> Protection:
        raise SandboxError("candidates would be free")

    monkeypatch.setattr("gnomon.cli.trace.protect", nothing)
    assert main(["trace", str(tmp_path)]) == 4


def test_what_holds_is_tried_before_the_tests_run(tmp_path: Path, held: Protection) -> None:
    project = written(tmp_path, {"test_x.py": "def test_x():\n    open('left.txt', 'w')\n"})
    for lacking, what in (("landlock", "read other files, write files"), ("seccomp", "open sockets, start processes")):
        less = replace(held, layers=tuple(layer for layer in held.layers if layer != lacking))
        with pytest.raises(SandboxError, match=f"free to {what}$|free to {what}[;,]"):
            trace(Tracing(project=project), less, root=tmp_path / "runs")
    assert not (project / "left.txt").exists()


@pytest.mark.parametrize(
    ("files", "config", "what"),
    [
        ({"test_x.py": "def test_x():\n    pass\n"}, {}, "called no function"),
        ({"test_x.py": "import os\nos._exit(3)\n"}, {}, "did not come to their end \\(status 3\\)"),
        ({"test_x.py": "while True: pass\n"}, {"timeout": 1}, "did not come to their end \\(SIG"),
        ({}, {"tests": "nothing_of_this_name"}, "No module named"),
    ],
)
def test_tests_that_cannot_be_traced_are_said(
    files: dict[str, str], config: dict[str, Any], what: str, tmp_path: Path, held: Protection
) -> None:
    with pytest.raises(DataError, match=what):
        trace(Tracing(project=written(tmp_path, files), **config), held, root=tmp_path / "runs")


def test_bad_settings_are_refused(tmp_path: Path, held: Protection) -> None:
    with pytest.raises(DataError, match="is no folder"):
        trace(Tracing(project=tmp_path / "none"), held, root=tmp_path / "runs")
    for words in ("", "./run.sh", "tests/test_x.py"):
        with pytest.raises(UsageError, match="--tests"):
            trace(Tracing(project=tmp_path, tests=words), held, root=tmp_path / "runs")
    assert main(["trace", str(tmp_path), "--pairs", "1"]) == 2


def test_records_are_data(tmp_path: Path) -> None:
    """What the sandbox sends may be anything; it is never run, and what is no record is refused."""
    base: dict[str, Any] = {"file": "a.py", "name": "f", "line": 1, "calls": 1, "reason": "", "branches": 0}

    def read(record: dict[str, Any]) -> list[Recorded]:
        return running._read(io.BytesIO(json.dumps(record).encode()), tmp_path)[0]

    hostile = "1); import os; os._exit(0); ("
    (found,) = read({**base, "pairs": [[encode([[hostile], {}]).decode(), encode(hostile).decode()]] * 2})
    assert literal(found.pairs[0][0][0]) == repr(hostile)
    for pairs in ([["1", "2"]], [["[1, 2]", "3"]], [["x", "1"]], [[1, 2]], 3):
        with pytest.raises(DataError, match="damaged"):
            read({**base, "pairs": pairs})
    for name in ("a b", "x=1, y"):
        with pytest.raises(Unfit):
            assertions(found._replace(pairs=[([], {name: 1}, 2), ([], {}, 3)]))


@pytest.mark.parametrize(
    "value",
    [None, True, -3, 1.5, float("inf"), 2 + 1j, "a'\n\\é", b"\0", [], (), (1,), {"a": [1]}, {1, 2}, set(), frozenset()],
)
def test_literals_are_what_they_stand_for(value: Any) -> None:
    found = eval(literal([value, (value,), {"k": value}]))
    assert found == [value, (value,), {"k": value}]
    assert type(found[0]) is type(value)


def test_calls_are_spread_over_branches() -> None:
    def steps(*numbers: int) -> frozenset[tuple[int, int]]:
        return frozenset((n, n + 1) for n in numbers)

    lines = [steps(1, 2)] * 50 + [steps(1, 3)] + [steps(1, 2)] * 50 + [steps(4, 5)]
    assert {50, 101} <= set(_spread(lines, 5))
    assert len(_spread(lines, 5)) == 5
    assert _spread(lines, 200) == list(range(102))


FAULTY: list[tuple[str, Callable[[list[str]], bool]]] = [
    ("x + 1 < 2", lambda found: sorted(found) == ["x + 1 < 3", "x + 1 <= 2", "x + 2 < 2", "x - 1 < 2"]),
    ("max(x, 'a')", lambda found: found == ["max('a', x)"]),
    ("x and 'a'", lambda found: found == ["x or 'a'"]),
    ("x", lambda found: found == []),
]


@pytest.mark.parametrize(("body", "right"), FAULTY)
def test_faults_are_one_change_each(body: str, right: Callable[[list[str]], bool]) -> None:
    source = f'def f(x):\n    """1 < 2"""\n    return {body}\n'
    found = mutants(source, "f", 99, Seed(0))
    assert right([text.partition("return ")[2] for text in found])
    assert mutants(source, "f", 1, Seed(0)) == mutants(source, "f", 1, Seed(0))


def test_one_fault_is_another_argument() -> None:
    found = mutants("def f(a, b, c):\n    n = a\n    return n[c]\n", "f", 99, Seed(0))
    assert [text.splitlines()[1:] for text in found] == [
        ["    n = b", "    return n[c]"],
        ["    n = a", "    return n[a]"],
    ]
