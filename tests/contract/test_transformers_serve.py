"""The server that `transformers` brings, over the checkpoint that ships: what it is seen to do, and what is read.

It gives no log-probabilities, ignores `n`, and samples only where the checkpoint's generation_config.json says so. The
environment that `make bench` fills has it; where none has, these tests are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import checkpoint, fails, run

from benches.beside import Served, served
from gnomon.store.run import Run, list_runs
from tests.contract.peers import peer_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NEEDED = ("fastapi", "uvicorn", "torch", "transformers.cli.transformers")
SAMPLES = 40
ASSAY = ["assay", "self-knowledge", "--only", "calibration", "--n", "8", "--resamples", "20"]


@pytest.fixture(scope="module")
def interpreter() -> str:
    """A Python that can run `transformers serve`."""
    return peer_python(*NEEDED)


def serving(interpreter: str, folder: Path, **generation: bool) -> Iterator[Served]:
    checkpoint(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    # Brook's vocabulary is closed, and a probe asks in English.
    tokenizer["model"]["unk_token"] = "."
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "generation_config.json").write_text(json.dumps(generation))
    with served(interpreter, folder, folder.with_suffix(".log")) as server:
        yield server


@pytest.fixture(scope="module")
def sampling(interpreter: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server, told to sample."""
    yield from serving(interpreter, tmp_path_factory.mktemp("sampling") / "model", do_sample=True)


@pytest.fixture(scope="module")
def greedy(interpreter: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The server as it is by default."""
    yield from serving(interpreter, tmp_path_factory.mktemp("greedy") / "model")


def the_run_of(model: str) -> Run:
    [found] = [m for m in list_runs() if str(m.identity["cast"]["subject"]).startswith(model)]
    return Run.find(str(found.folder))


def test_sampled_readings_agree_with_the_weights(sampling: Served, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{sampling.url}/v1#{sampling.model}"
    lettered = [*ASSAY, "--forms", "lettered", "--samples", str(SAMPLES)]
    assert run(capsys, *lettered, "--model", name).code == 0
    assert run(capsys, *lettered, "--model", f"hf:{sampling.model}").code == 0

    with the_run_of(name) as served_run, the_run_of("hf:") as local_run:
        rows, known = served_run.rows(), {row.key: row.evidence for row in local_run.rows()}
        proof = served_run.manifest.notes["cast"][name]

    assert proof["abilities"] == ["sample"], "it gives no log-probabilities"
    held = {(step["asks"], step["route"]): step["held"] for step in proof["probe"]}
    assert held["completions", "/completions"] and held["draws differ", "/chat/completions"]
    assert not any(held[asks, route] for asks, route in held if asks.startswith(("top", "score", "n", "prefill")))
    assert {row.key for row in rows} == set(known) and len(rows) == 8
    for row in rows:
        assert row.error is None and row.evidence["readout"] == "sampled"
        assert row.evidence["n"] == SAMPLES
        # Five standard errors of a share of this many draws, and half a draw added to each option.
        for p, exact in zip(row.evidence["p"], known[row.key]["p"], strict=True):
            assert p == pytest.approx(exact, abs=5 * (exact * (1 - exact) / SAMPLES) ** 0.5 + 2 / SAMPLES)


def test_a_greedy_server_is_told_apart_from_a_sure_model(greedy: Served, capsys: pytest.CaptureFixture[str]) -> None:
    said = ["the server gave one text to all seeds at temperature 1", '"do_sample": true in generation_config.json']
    fails(capsys, 3, [*ASSAY, "--model", f"{greedy.url}/v1#{greedy.model}"], *said)
    exact = ["--readout exact needs SCORE", "--readout sampled --samples 20"]
    fails(capsys, 3, [*ASSAY, "--model", f"{greedy.url}/v1#{greedy.model}", "--readout", "exact"], *exact)
