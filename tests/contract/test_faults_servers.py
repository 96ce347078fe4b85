"""Servers that misbehave under `gnomon assay`: outlasted with the numbers of a good one, or one clear line."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faults import SMALL, Waits, estimates, fails, run, the_run

from gnomon.models import endpoint
from gnomon.models.http import Retry
from gnomon.store.run import Run, list_runs
from tests.servers import Faults, letters, serving_in_thread

ROOT = Path(__file__).parents[2]
ASSAY = [*SMALL, "--data", "synthetic", "--n", "24"]
LETTERS = (0.5, 0.3, 0.1, 0.1)
AGAIN = "then give the same command again to resume"


@pytest.fixture(autouse=True)
def waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Waits:
    monkeypatch.chdir(tmp_path)
    found = Waits()
    monkeypatch.setattr(endpoint, "Retry", functools.partial(Retry, attempts=4, timeout_s=30.0, pause=found))
    return found


def answers(found: Run) -> dict[str, Any]:
    with found:
        return {row.key: (row.evidence.get("p"), row.error) for row in found.rows()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Any]:
    """Answers and estimates of a run on a good server."""
    folder = tmp_path_factory.mktemp("good")
    with serving_in_thread(letters(*LETTERS)) as server:
        name, out = f"{server.url}#planted", ["--out", str(folder / "runs"), "--json", str(folder / "x.json")]
        command = [sys.executable, "-m", "gnomon", *ASSAY, "--model", name, *out]
        subprocess.run(command, check=True, capture_output=True)
    (listed,) = list_runs(folder / "runs")
    return answers(Run.find(str(listed.folder))), estimates(folder / "x.json")


@pytest.mark.parametrize(
    ("faults", "retries"),
    [
        (Faults(), 0),
        (Faults(statuses=[(429, {"Retry-After": "7"})] * 3), 3),
        (Faults(statuses=[500, 503, 502]), 3),
        (Faults(cut_body=3), 3),
        (Faults(half_json=3), 3),
        (Faults(no_chat=True), 0),
        (Faults(refuses_unknown=True, refuses_prefill=True), 0),
    ],
    ids=["none", "429", "5xx", "cut", "half", "no-chat", "strict"],
)
def test_passing_faults_change_no_number(
    faults: Faults,
    retries: int,
    undisturbed: tuple[dict[str, Any], Any],
    waits: Waits,
    capsys: pytest.CaptureFixture[str],
) -> None:
    slow = bool(faults.statuses) and isinstance(faults.statuses[0], tuple)
    with serving_in_thread(letters(*LETTERS), faults=faults) as server:
        assert run(capsys, *ASSAY, "--model", f"{server.url}#planted", "--json", "x.json").code == 0
    assert (answers(the_run()), estimates("x.json")) == undisturbed
    assert len(waits) == retries and all(w >= 7 for w in waits) == (slow or not waits)


@pytest.mark.parametrize(
    "faults",
    [Faults(ignores_logprobs=True), Faults(null_logprobs=True), Faults(ignores_logprobs=True, ignores_n=True)],
    ids=["ignored", "null", "n"],
)
def test_without_log_probabilities_answers_are_counted_and_the_report_says_so(
    faults: Faults, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving_in_thread(letters(*LETTERS), faults=faults) as server:
        model = ["--model", f"{server.url}#planted"]
        said = ["needs SCORE", f"model '{server.url}#planted' can PREFILL, SAMPLE", "--readout sampled --samples 20"]
        fails(capsys, 3, [*ASSAY, *model, "--readout", "exact"], *said)
        assert run(capsys, *ASSAY, *model, "--readout", "sampled", "--samples", "20", "--json", "x.json").code == 0
    shown = [e for e in estimates("x.json") if e["value"] is not None]
    assert {e["readout"] for e in shown} == {"sampled"}
    stated = next(e["value"] for e in shown if e["metric"] == "confidence")
    assert 0.4 < stated < 0.6, "each letter's share of 20 answers, not of one"


LASTING: dict[str, tuple[Faults, list[str]]] = {
    "500": (Faults(statuses=[500] * 999), ["HTTP 500: planned 500, after 4 attempts", AGAIN]),
    "429": (Faults(statuses=[429] * 999), ["HTTP 429: planned 429, after 4 attempts", AGAIN]),
    "429-long": (
        Faults(statuses=[(429, {"Retry-After": "3600"})] * 9),
        ["HTTP 429: planned 429, after 1 attempts, and it asks to wait 3600 s"],
    ),
    "html": (Faults(html=True), ["answered with an HTML page, not JSON; check the URL; it often ends in /v1"]),
    "401": (Faults(key="other"), ["a key is needed (HTTP 401)", "the environment variable GNOMON_API_KEY"]),
    "hangs": (Faults(hangs=True), ["no answer within 0.5 s, after 4 attempts", AGAIN]),
    "cut": (Faults(cut_body=999), ["the reply was cut off, after 4 attempts", AGAIN]),
    "half": (Faults(half_json=999), ["the reply is not whole JSON", AGAIN]),
    "credit": (Faults(error_200="no credit"), ["no credit", "check URL and model name"]),
    "routes": (Faults(no_chat=True, no_text=True), ["answers neither /chat/completions", "nor /completions"]),
    "chat-only": (Faults(no_text=True), ["does not answer /completions, which plain text would go to", "with --chat"]),
    "greedy": (
        Faults(greedy=True, ignores_logprobs=True),
        ["one text to all seeds at temperature 1", "make it sample"],
    ),
}


@pytest.mark.parametrize("case", LASTING)
def test_lasting_faults_end_in_one_line_and_the_same_command_finishes_later(
    case: str,
    undisturbed: tuple[dict[str, Any], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faults, said = LASTING[case]
    with serving_in_thread(letters(*LETTERS), faults=faults) as server:
        command = [*ASSAY, "--model", f"{server.url}#planted", "--json", "x.json"]
        with monkeypatch.context() as impatient:
            if case == "hangs":
                impatient.setattr(endpoint, "Retry", functools.partial(endpoint.Retry, timeout_s=0.5))
            assert server.url in fails(capsys, 3, command, *said)
        server.faults = Faults()
        assert run(capsys, *command).code == 0
    assert (answers(Run.find(_done())), estimates("x.json")) == undisturbed


def _done() -> str:
    (done,) = [m for m in list_runs() if m.status == "done"]
    return str(done.folder)


def test_chat_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with serving_in_thread(letters(*LETTERS), faults=Faults(no_chat=True)) as server:
        command = [*ASSAY, "--model", f"{server.url}#planted", "--chat"]
        fails(capsys, 3, command, "does not answer /chat/completions, which messages would go to", "ask without --chat")


def test_another_model_than_is_served(capsys: pytest.CaptureFixture[str]) -> None:
    with serving_in_thread(letters(*LETTERS)) as server:
        said = ["no model 'other' or no such route", f"see {server.url}/models for what it serves"]
        fails(capsys, 3, [*ASSAY, "--model", f"{server.url}#other"], *said)
        wrong = [*ASSAY, "--model", f"{server.url}#planted?samples=few"]
        fails(capsys, 2, wrong, "samples=few must be a whole number, 2 or more")
        fails(capsys, 2, [*ASSAY, "--model", f"{server.url}#planted?n=3"], "no option 'n'; known: readout, samples")


def test_a_server_that_is_dead_from_the_start(waits: Waits, capsys: pytest.CaptureFixture[str]) -> None:
    with serving_in_thread(letters(*LETTERS)) as server:
        url = server.url
    fails(capsys, 3, [*ASSAY, "--model", f"{url}#planted"], url, "cannot connect (Connection refused)", AGAIN)
    assert len(waits) == 3 and list_runs() == []


def test_a_finished_run_needs_no_server_and_an_unfinished_one_does(capsys: pytest.CaptureFixture[str]) -> None:
    with serving_in_thread(letters(*LETTERS)) as server:
        port, command = server.port, [*ASSAY, "--model", f"{server.url}#planted", "--json", "x.json"]
        assert run(capsys, *command).code == 0
        asked, before, kept = len(server.calls), estimates("x.json"), the_run().manifest.notes
        assert run(capsys, *command).code == 0
        assert len(server.calls) == asked, "not even a probe"
    Path("x.json").unlink()
    assert run(capsys, *command).code == 0
    assert estimates("x.json") == before and the_run().status == "done"
    assert the_run().manifest.notes == kept and kept["usage"]["subject"]["calls"] > 24
    for other in (["--samples", "31"], ["--seed", "1"], ["--fresh"]):
        fails(capsys, 3, [*command, *other], "cannot connect (Connection refused)")
    assert run(capsys, *command).code == 0, "a refused --fresh has emptied nothing"
    with serving_in_thread(letters(*LETTERS), port=port) as server:
        assert run(capsys, *command, "--fresh").code == 0 and server.calls


# Exits in the middle of its n-th answer, as a server that the system kills.
DYING = """
import asyncio, os, sys
from tests.servers import letters, serving

class Dying:
    def __init__(self, behind, left):
        self.behind, self.left = behind, left
    def __getattr__(self, name):
        self.left -= 1
        if self.left == 0:
            os._exit(1)
        return getattr(self.behind, name)

async def main():
    async with serving(Dying(letters(*map(float, sys.argv[2:])), int(sys.argv[1]))) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_server_that_dies_in_the_middle_costs_no_row_that_was_answered(
    undisturbed: tuple[dict[str, Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    start = [sys.executable, "-c", DYING, "80", *map(str, LETTERS)]
    dying = subprocess.Popen(start, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert dying.stdout is not None
    port = int(dying.stdout.readline())
    command = [*ASSAY, "--model", f"http://127.0.0.1:{port}/v1#planted", "--json", "x.json"]
    fails(capsys, 4, command, "1 of 24 items are in error, more than --max-errors allows", "after 4 attempts", AGAIN)
    dying.communicate()
    good = {k for k, (_, error) in answers(the_run()).items() if error is None}
    assert 4 <= len(good) < 24 and {k: undisturbed[0][k] for k in good}.items() <= answers(the_run()).items()
    with serving_in_thread(letters(*LETTERS), port=port) as server:
        assert run(capsys, *command).code == 0
        # Prompts, not calls: a busy machine answers some too late.
        asked = {c.body["prompt"] for c in server.calls if "Paris" not in str(c.body) and c.body.get("echo")}
        assert 0 < len(asked) <= 4 * (24 - len(good))
    assert (answers(the_run()), estimates("x.json")) == undisturbed
