"""Commands killed, interrupted, locked out or short of disk: nothing kept is lost, and the same command finishes."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from faults import SMALL, estimates, fails, run, the_run

from gnomon.models.base import Prompt, Sampling
from gnomon.store.run import Run, list_runs
from tests.servers import Faults, letters, serving_in_thread

ITEMS = 320
COMMAND = [*SMALL, "--data", "synthetic", "--n", str(ITEMS), "--json", "x.json"]
# Without echo each item costs one call.
ONE_CALL = Faults(no_echo=True)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Watched:
    """Answers with letters; when `left` more items have been asked, `then` is called once, before the answer."""

    def __init__(self, then: Callable[[], object], left: int) -> None:
        self.behind, self.then, self.left, self.items = letters(0.5, 0.3, 0.1, 0.1), then, left, 0

    async def draw(self, prompt: Prompt, how: Sampling) -> tuple[list[str], str]:
        return await self.behind.draw(prompt, how)

    async def top(self, prompt: Prompt) -> Mapping[str, float]:
        if "France" not in str(prompt):
            self.items, self.left = self.items + 1, self.left - 1
            if self.left == 0:
                await asyncio.to_thread(self.then)
        return await self.behind.top(prompt)

    async def scored(self, text: str) -> list[tuple[str, float | None]] | None:
        return None


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any]:
    """Answers and estimates of the command on a server where nothing happens."""
    folder = tmp_path_factory.mktemp("good")
    with serving_in_thread(letters(0.5, 0.3, 0.1, 0.1), faults=ONE_CALL) as server:
        command = [sys.executable, "-m", "gnomon", *COMMAND, "--model", f"{server.url}#planted", "--out", "runs"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)
    (listed,) = list_runs(folder / "runs")
    return answers(Run.find(str(listed.folder))), estimates(folder / "x.json")


def answers(of: Run | None = None) -> dict[str, Any]:
    with of or the_run() as found:
        return {row.key: (row.evidence.get("p"), row.error) for row in found.rows()}


def test_kills_at_any_row_lose_no_committed_one(
    good: tuple[dict[str, Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    child: list[subprocess.Popen[bytes]] = []
    watched = Watched(lambda: child[-1].kill(), 0)
    with serving_in_thread(watched, faults=ONE_CALL) as server:
        command = [*COMMAND, "--model", f"{server.url}#planted"]
        kept: dict[str, Any] = {}
        for left in (300, 10):
            watched.left = left
            child.append(subprocess.Popen([sys.executable, "-m", "gnomon", *command], stderr=subprocess.DEVNULL))
            assert child[-1].wait() == -signal.SIGKILL
            assert [m.status for m in list_runs()] == ["stopped"]
            assert kept.items() <= answers().items() and answers().items() <= good[0].items()
            kept = answers()
            # With 64 calls in flight, 236 were answered; 200 make a commit, and so does a second.
            assert kept
        before = watched.items
        assert run(capsys, *command).code == 0
        assert watched.items - before <= ITEMS - len(kept), "rows that are kept are not asked again"
    assert (answers(), estimates("x.json")) == good


def test_ctrl_c_saves_what_is_answered_and_names_the_command_that_goes_on(
    good: tuple[dict[str, Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    watched = Watched(lambda: os.kill(os.getpid(), signal.SIGINT), 150)
    with serving_in_thread(watched, faults=ONE_CALL) as server:
        command = [*COMMAND, "--model", f"{server.url}#planted"]
        line = fails(capsys, 130, [*command, "--fresh"], "stopped; what is done is saved; resume with: gnomon assay ")
        kept = answers()
        assert 80 < len(kept) < ITEMS and kept.items() <= good[0].items()
        assert run(capsys, "runs").out.count("stopped") == 1
        again = shlex.split(line.partition("resume with: gnomon ")[2])
        assert again == command
        before = watched.items
        assert run(capsys, *again).code == 0
        assert watched.items - before <= ITEMS - len(kept)
    assert (answers(), estimates("x.json")) == good


def test_a_second_process_on_the_run_is_refused_and_disturbs_nothing(
    good: tuple[dict[str, Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[subprocess.CompletedProcess[str]] = []
    command = list(COMMAND)

    def second() -> None:
        ended.append(subprocess.run([sys.executable, "-m", "gnomon", *command], capture_output=True, text=True))

    with serving_in_thread(Watched(second, 50), faults=ONE_CALL) as server:
        command += ["--model", f"{server.url}#planted"]
        assert run(capsys, *command).code == 0
    (other,) = ended
    assert other.returncode == 4 and not other.stdout
    wait = "wait for it, or stop it and give the same command again"
    told = rf"gnomon: \S+/assay-self-knowledge-\w+: process {os.getpid()} is working on this run; {wait}\n"
    assert re.fullmatch(told, other.stderr)
    assert (answers(), estimates("x.json")) == good


LIMITED = """
import resource, sys
from gnomon.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


def test_a_full_disk_keeps_the_rows_and_the_same_command_resumes(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*COMMAND, "--model", "planted:calibrated"]
    limited = [sys.executable, "-c", LIMITED, "110000", *command]
    ended = subprocess.run(limited, capture_output=True, text=True)
    assert ended.returncode == 4 and not ended.stdout
    told = r"gnomon: \S+: cannot write \(disk I/O error\); (\d+) rows are saved; free space and give the same command"
    found = re.match(told, ended.stderr)
    assert found and ended.stderr.count("\n") == 1, ended.stderr
    assert len(answers()) == int(found[1]) < ITEMS
    assert run(capsys, *command).code == 0
    resumed = answers(), estimates("x.json")
    assert run(capsys, *command, "--fresh").code == 0
    assert (answers(), estimates("x.json")) == resumed


def test_a_page_that_finds_no_room_costs_no_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*SMALL, "--data", "synthetic", "--n", "30", "--model", "planted:calibrated", "--json", "x.json"]
    replace = os.replace

    def full(source: str, target: Path) -> None:
        if target.name == "report.html":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as short:
        short.setattr(os, "replace", full)
        fails(capsys, 4, command, "report.html: cannot write (No space left on device)", "give the same command again")
    assert len(answers()) == 30
    assert run(capsys, *command).code == 0
    assert '"items_asked": 0' in Path("x.json").read_text()


def test_a_full_disk_behind_stdout() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "gnomon", "list"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 4
    assert re.fullmatch(r"gnomon: cannot write \(No space left on device\); free space and .*\n", ended.stderr)
