"""`gnomon assay code` on servers of both dialects: stops, several samples, log-probabilities, faults, kills."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import estimates, jsonl, run, the_run

from gnomon.models.base import Prompt, Sampling
from tests.servers import Faults, letters, serving_in_thread

PROBLEMS = [
    {
        "task_id": f"T/{i}",
        "prompt": f'def add{i}(x):\n    """x and {i}."""\n',
        "entry_point": f"add{i}",
        "canonical_solution": f"    return x + {i}\n",
        "test": f"def check(candidate):\n    assert candidate(1) == {i + 1}\n    assert candidate(5) == {i + 5}\n",
    }
    for i in range(1, 13)
]


class Programmer:
    """Adds right where the number is even, and goes on with what a stop has to cut off."""

    def __init__(self, cut: bool = False) -> None:
        self.behind, self.cut = letters(0.5, 0.3, 0.1, 0.1), cut
        self.asked, self.left = 0, 0
        self.then: Callable[[], object] = lambda: None

    async def draw(self, prompt: Prompt, how: Sampling) -> tuple[list[str], str]:
        text = prompt if isinstance(prompt, str) else prompt[-1].content
        found = re.search(r"def add(\d+)", text)
        if found is None:
            return await self.behind.draw(prompt, how)
        self.asked, self.left = self.asked + 1, self.left - 1
        if self.left == 0:
            self.then()
        i = int(found[1])
        body = f"    return x + {i + i % 2}\n"
        said = body if isinstance(prompt, str) else f"So:\n```python\ndef add{i}(x):\n{body}```\n"
        tail = "" if how.stop or not isinstance(prompt, str) else "\ndef more(:\n"
        tokens = re.findall(r"\s*\S+|\s+$", said + tail)
        return (tokens[:2], "length") if self.cut else (tokens, "stop")

    async def top(self, prompt: Prompt) -> dict[str, float]:
        return await self.behind.top(prompt)

    async def scored(self, text: str) -> None:
        return None


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key")
    jsonl(tmp_path / "problems.jsonl", PROBLEMS)


def command(model: str, *more: str) -> list[str]:
    return ["assay", "code", "--data", "problems.jsonl", "--model", model, "--samples", "3", "--json", "x.json", *more]


def passed(capsys: pytest.CaptureFixture[str], model: str, *more: str) -> dict[str, Any]:
    """pass@1 and whatever else was estimated; the run holds three samples of each problem."""
    assert run(capsys, *command(model, *more)).code == 0
    with the_run() as found:
        assert [len(row.evidence["samples"]) for row in found.rows()] == [3] * len(PROBLEMS)
    return {each["metric"]: each["value"] for each in json.loads(Path("x.json").read_text())["estimates"]}


@pytest.mark.parametrize(
    "faults",
    [
        Faults(),
        Faults(ignores_n=True),
        Faults(statuses=[(429, {"retry-after": "0"}), 503]),
        Faults(cut_body=1),
        Faults(half_json=1),
        Faults(keeps_stop=True),
    ],
    ids=["well", "one at a time", "429 and 503", "cut", "half", "keeps stops"],
)
def test_faults_of_a_server_change_no_verdict(faults: Faults, capsys: pytest.CaptureFixture[str]) -> None:
    with serving_in_thread(Programmer(), faults=faults) as server:
        assert passed(capsys, f"{server.url}#planted")["pass@1"] == 0.5
        asked = [call.body for call in server.calls if "def add" in json.dumps(call.body)]
        assert all("\ndef" in body["stop"] for body in asked)
    with the_run() as found:
        (right, *_) = [s for row in found.rows() for s in row.evidence["samples"] if s["cause"] == "passed"]
    assert right["tokens"] > 0 and (right["logprob"] is None) is faults.keeps_stop


def test_without_log_probabilities_nothing_is_chosen_by_them(capsys: pytest.CaptureFixture[str]) -> None:
    with serving_in_thread(Programmer(), faults=Faults(ignores_logprobs=True)) as server:
        found = passed(capsys, f"{server.url}#planted")
    assert found["pass@1"] == 0.5 and not any("log-probability" in metric for metric in found)


def test_answers_that_are_cut_off_are_wrong_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    with serving_in_thread(Programmer(cut=True)) as server:
        assert passed(capsys, f"{server.url}#planted")["pass@1"] == 0.0
    with the_run() as found:
        assert {s["finish"] for row in found.rows() for s in row.evidence["samples"]} == {"length"}


def test_anthropic_answers_in_fenced_blocks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(statuses=[529], no_text=True)
    with serving_in_thread(Programmer(), faults=faults, model="claude-x") as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.root)
        assert passed(capsys, "anthropic:claude-x", "--ask", "chat")["pass@1"] == 0.5
    with the_run() as found:
        assert {s["route"] for row in found.rows() for s in row.evidence["samples"]} == {"fence"}


def test_what_was_sampled_before_a_kill_is_not_sampled_again(capsys: pytest.CaptureFixture[str]) -> None:
    programmer = Programmer()
    with serving_in_thread(programmer) as server:
        whole = command(f"{server.url}#planted", "--workers", "1")
        programmer.left = 25
        child = subprocess.Popen([sys.executable, "-m", "gnomon", *whole], stderr=subprocess.DEVNULL)
        programmer.then = child.kill
        assert child.wait() == -signal.SIGKILL
        before = programmer.asked
        assert run(capsys, *whole).code == 0
    assert programmer.asked - before < 3 * len(PROBLEMS), "calls that were answered are not made again"
    (found,) = [each["value"] for each in estimates("x.json") if each["metric"] == "pass@1"]
    assert found == 0.5
