"""The sandbox holds what runs in it, and the judge says what became of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gnomon.sandbox import Check, Job, Judges, Limits, Protection, SandboxError, Verdict, protect
from gnomon.sandbox import protection as protection_module
from tests.unit._hostile import HOSTILE

SQUARES = Check(names=("f",), test="assert f(2) == 4\nassert f(3) == 9")
QUICK = Limits(cpu_seconds=0.3, memory_bytes=512 << 20)


@pytest.fixture(scope="module")
def held() -> Protection:
    return protect()


@pytest.fixture(scope="module")
def judges(held: Protection) -> Iterator[Judges]:
    with Judges(1, QUICK, held) as pool:
        yield pool


def processes() -> set[int]:
    """All processes but kernel threads."""
    found = set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/exe"):
                found.add(int(name))
        except OSError:
            continue
    return found


def below(pid: int) -> set[int]:
    """Descendants of a process, itself left out."""
    parents = {}
    for other in processes():
        try:
            parents[other] = int(Path(f"/proc/{other}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found: set[int] = set()
    while True:
        more = {p for p, parent in parents.items() if parent == pid or parent in found} - found
        if not more:
            return found
        found |= more


def test_right_and_wrong(judges: Judges) -> None:
    assert judges.verdict(SQUARES, "def f(x): return x * x").passed
    assert judges.verdict(SQUARES, "def f(x): return 4").cause == "wrong answer"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("def f(x): return None", "wrong answer"),
        ("def f(x): raise ValueError('no')", "exception"),
        ("def f(x: return", "syntax"),
        ("def f(x): return '\0'", "syntax"),
        ("def f(x): return '\ud800'", "syntax"),
        ("", "no entry point"),
        ("def g(x): return x", "no entry point"),
        ("f = 3", "exception"),
        ("def f(x): return object()", "unreadable answer"),
        ("import sys\nsys.exit(0)", "exception"),
        ("import numpy_that_is_not_there", "exception"),
    ],
)
def test_causes(judges: Judges, source: str, cause: str) -> None:
    assert judges.verdict(SQUARES, source).cause == cause


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_held(judges: Judges, name: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    program = HOSTILE[name]
    before = time.monotonic()
    verdict = judges.verdict(SQUARES, program.source.replace("{folder}", str(tmp_path)))
    assert verdict.cause in program.causes, verdict
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "kept"
    assert (tmp_path / "kept").stat().st_mode & 0o777 != 0o777
    assert time.monotonic() - before < 60
    assert judges.verdict(SQUARES, "def f(x): return x * x").passed


def test_nothing_is_left(held: Protection) -> None:
    names = ["daemon left behind", "fork bomb that goes on", "stops itself", "signals masked", "closes its pipes"]
    others = below(os.getpid())
    with Judges(1, Limits(cpu_seconds=0.1), held) as pool:
        pool.verdict(SQUARES, "def f(x): return x * x")
        ours = below(os.getpid()) - others
        for name in names:
            pool.verdict(SQUARES, HOSTILE[name].source)
        assert below(os.getpid()) - others == ours
    assert below(os.getpid()) & ours == set()


@pytest.mark.slow
def test_a_thousand_hostile_runs_leave_nothing(held: Protection, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    programs = [(n, h.source.replace("{folder}", str(tmp_path))) for n, h in HOSTILE.items()]
    jobs = [Job(f"{i}:{n}", SQUARES, s) for i in range(-(-1000 // len(programs))) for n, s in programs][:1000]
    with Judges(2, Limits(cpu_seconds=0.1, memory_bytes=256 << 20), held) as pool:
        pool.verdict(SQUARES, "def f(x): return x * x")
        found = dict(pool.all(jobs))
        ours = below(os.getpid())
        assert len(ours) == 6  # two judges, a zygote and its watcher each
    assert len(found) == 1000
    assert [k for k, v in found.items() if v.cause == "infrastructure"] == []
    wrong = {k: v for k, v in found.items() if v.passed != ("daemon left behind" in k)}
    assert wrong == {}
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    assert processes() & ours == set()


@pytest.mark.slow
def test_two_graders_at_once_on_a_busy_machine_say_the_same(held: Protection) -> None:
    work = "def f(x):\n    for _ in range({n}): pass\n    return x * x"
    jobs = [Job(f"{n}", SQUARES, work.format(n=n)) for n in (10, 10**5, 10**6, 3 * 10**6, 10**9)]
    jobs.append(Job("sleeps", SQUARES, "import time\ndef f(x):\n    time.sleep(0.05)\n    return x * x"))
    jobs.append(Job("oversleeps", SQUARES, HOSTILE["endless sleep"].source))
    limits = Limits(cpu_seconds=1.0)
    with Judges(1, limits, held) as pool:
        alone = dict(pool.all(jobs))
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    found: list[dict[str, Verdict]] = []

    def grader() -> None:
        with Judges(2, limits, held) as pool:
            found.append(dict(pool.all(jobs)))

    graders = [threading.Thread(target=grader) for _ in range(2)]
    try:
        for thread in graders:
            thread.start()
        for thread in graders:
            thread.join()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    causes = {key: verdict.cause for key, verdict in alone.items()}
    assert causes["1000000000"] == causes["oversleeps"] == "timeout" and causes["3000000"] == "passed"
    assert [{k: v.cause for k, v in each.items()} for each in found] == [causes, causes]


def test_standard_library_runs(judges: Judges) -> None:
    source = """
import asyncio, collections, dataclasses, enum, zoneinfo
from concurrent.futures import ThreadPoolExecutor

@dataclasses.dataclass
class Box:
    value: int

async def square(x):
    return Box(x).value ** 2

def f(x):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda v: asyncio.run(square(v)), [x]))[0]
"""
    assert judges.verdict(SQUARES, source).passed


def test_a_test_sees_changes_of_arguments_where_it_asks_to(judges: Judges) -> None:
    test = "xs = [3, 1, 2]\nf(xs)\nassert xs == [1, 2, 3]"
    source = "def f(xs): xs.sort()"
    assert judges.verdict(Check(names=("f",), test=test, back=True), source).passed
    assert not judges.verdict(Check(names=("f",), test=test), source).passed


def test_functions_as_arguments_are_called_back(judges: Judges) -> None:
    check = Check(names=("f",), test="assert f(lambda x: x + 1, [1, 2]) == [2, 3]")
    assert judges.verdict(check, "def f(g, xs): return [g(x) for x in xs]").passed


def test_helpers_are_the_references(judges: Judges) -> None:
    setup = "def double(x): return 2 * x\ndef f(x): return double(x) // 2"
    check = Check(names=("f",), setup=setup, test="def check(g):\n    assert g(double(3)) == 6", call="check")
    assert judges.verdict(check, "def double(x): return 0\ndef f(x): return x").passed


def test_the_global_name_is_the_candidates_or_the_references() -> None:
    setup = "def f(x): return x"
    test = "def check(g):\n    assert g(1) == f(1)"
    faithful = Check(names=("f",), setup=setup, test=test, call="check")
    strict = Check(names=("f",), setup=setup, test=test, call="check", reference_bound=True)
    with Judges(1, QUICK) as pool:
        assert pool.verdict(faithful, "def f(x): return 7").passed
        assert not pool.verdict(strict, "def f(x): return 7").passed


def test_a_test_that_hangs_on_an_answer_costs_one_judge(held: Protection) -> None:
    check = Check(names=("f",), test="n = f(0)\nwhile n: pass")
    with Judges(1, QUICK, held) as pool:
        [worker] = pool._all
        os.kill(worker._process.pid, 24)  # what the kernel sends when the test's time is over
        assert pool.verdict(check, "def f(x): return 0").cause in ("passed", "unreadable answer")
        assert pool.verdict(check, "def f(x): return 0").passed


def test_a_lost_zygote_is_replaced(held: Protection) -> None:
    with Judges(1, QUICK, held) as pool:
        assert pool.verdict(SQUARES, "def f(x): return x * x").passed
        zygote, watcher = sorted(below(pool._all[0]._process.pid))
        os.kill(zygote, 9)
        assert pool.verdict(SQUARES, "def f(x): return x * x").passed
        assert not below(os.getpid()) & {zygote, watcher}
        assert pool.verdict(SQUARES, "def f(x): return x * x").passed


def test_programs_are_run_whole(judges: Judges) -> None:
    check = Check(programs=(("3\n1 2 3\n", "6\n"), ("1\n0.1\n", "0.1")))
    right = "n = int(input())\nprint(sum(map(float, input().split())))"
    exact = "import sys\nprint(sum(map(eval, sys.stdin.read().split()[1:])))"
    assert judges.verdict(check, right).cause == "wrong answer"
    assert judges.verdict(check, exact).passed
    assert judges.verdict(check, "import sys\nsys.exit(3)").cause == "exception"
    assert judges.verdict(check, "while True: print('x' * 10000)").cause == "too much output"
    assert judges.verdict(check, "input(").cause == "syntax"
    assert judges.verdict(check, "while True: pass").cause == "timeout"


def test_too_little_protection_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection_module.landlock, "abi", lambda: 0)
    with pytest.raises(SandboxError, match="free to read other files"):
        protect()
    assert "read other files" in protect(unsafe=True).open


def test_strong_mode_without_bubblewrap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection_module.bubblewrap, "program", lambda: "")
    with pytest.raises(SandboxError, match="bubblewrap"):
        protect(strong=True)


def test_verdicts_are_plain() -> None:
    assert Verdict(cause="passed").passed
    assert not Verdict(cause="crash").passed


def test_what_forks_where_it_can_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without seccomp, as on a processor that it does not know, descendants of the candidate are looked for."""
    monkeypatch.setattr(protection_module.seccomp, "available", lambda: False)
    source = """
import os, time
def f(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(300)
        os._exit(0)
    return x * x
"""
    weak = protect(unsafe=True)
    if "start processes" not in weak.open:
        return  # limits alone keep this user from it
    with Judges(1, QUICK, weak) as pool:
        assert pool.verdict(SQUARES, "def f(x): return x * x").passed
        ours = below(os.getpid())
        for _ in range(3):
            assert pool.verdict(SQUARES, source).passed
        assert below(os.getpid()) == ours
