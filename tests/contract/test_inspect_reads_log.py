"""inspect-ai itself opens the logs that `gnomon export --format inspect` writes, and sees in them what the run holds.

It runs in an environment of its own; see `peers`.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gnomon.cli import main
from gnomon.core.record import Row
from gnomon.store.inspect_log import to_inspect
from gnomon.store.run import Run
from tests.contract.peers import peer_python

pytestmark = pytest.mark.timeout(300)

PEER = Path(__file__).with_name("inspect_peer.py")


@pytest.fixture(scope="module")
def interpreter() -> str:
    """A Python that has inspect-ai."""
    return peer_python("inspect_ai")


def opened(interpreter: str, log: Path) -> dict[str, Any]:
    done = subprocess.run([interpreter, str(PEER), str(log)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of self-knowledge on a planted model, exported."""
    out = tmp_path_factory.mktemp("inspect")
    asked = ["assay", "self-knowledge", "--only", "calibration", "--n", "20", "--resamples", "20"]
    assert main([*asked, "--model", "planted:calibrated?a=0&b=1", "--out", str(out)]) == 0
    (folder,) = out.iterdir()
    assert main(["export", str(folder), "--format", "inspect"]) == 0
    return folder


@pytest.fixture(scope="module")
def seen(interpreter: str, folder: Path) -> dict[str, Any]:
    """What inspect-ai sees in the log of that run."""
    return opened(interpreter, folder / "log.eval")


def test_inspect_sees_every_row(seen: dict[str, Any], folder: Path) -> None:
    run = Run.find(str(folder))
    rows = {row.key: row for row in run.rows()}
    run.close()
    assert seen["ids"] == [s["id"] for s in seen["summaries"]] == list(rows)
    assert sorted(rows) == sorted(s["id"] for s in seen["samples"])
    for sample in seen["samples"]:
        row = rows[sample["id"]]
        scores = {name: score["value"] for name, score in (sample["scores"] or {}).items()}
        assert scores == {k: v for k, v in row.evidence.get("scores", {}).items() if v is not None and not row.error}
        assert {**row.evidence}.items() <= sample["metadata"].items() and sample["metadata"]["cluster"] == row.cluster
        assert (sample["error"] or {}).get("message") == row.error
        assert sample["input"] and sample["target"]


def test_inspect_sees_the_estimates_and_what_was_asked(seen: dict[str, Any], folder: Path) -> None:
    header = seen["header"]
    kept = json.loads((folder / "report.json").read_text())
    assert (header["version"], header["status"], header["eval"]["task"]) == (2, "success", "self-knowledge")
    assert header["eval"]["model"] == kept["cast"]["subject"]
    assert header["eval"]["task_args"]["n"] == 20
    values = [m["value"] for s in header["results"]["scores"] for m in s["metrics"].values()]
    for estimate in kept["estimates"]:
        assert estimate["value"] is None or estimate["value"] in values
    by_name = {s["name"]: s["metrics"] for s in header["results"]["scores"]}
    first = next(e for e in kept["estimates"] if e["metric"] == "accuracy")
    stated = [by_name["accuracy"][name]["value"] for name in (first["group"], f"{first['group']}, low")]
    assert stated == [first["value"], first["low"]]


def test_our_summaries_are_those_that_inspect_makes(seen: dict[str, Any]) -> None:
    made = {s["id"]: s for s in seen["summaries_made"]}
    assert [made[s["id"]] for s in seen["summaries"]] == seen["summaries"]


def test_inspect_reads_what_is_odd(interpreter: str, tmp_path: Path) -> None:
    """Long values, turns, half characters, large numbers, a run that failed, ids that look like paths."""
    turns = [{"role": "system", "content": "s" * 6000}, {"role": "user", "content": "hé \udc80"}]
    rows = [
        Row(key="a/b c#é.json", cluster="1", evidence={"prompt": turns, "big": 2**70, "none": None}),
        Row(key="42", cluster="2", evidence={"prompt": "x" * 9000, "deep": {"a": [[1, {"b": 2}]] * 300}}),
        Row(key="broken", cluster="3", evidence={}, error="no \udc80 answer"),
    ]
    with Run.open("assay", "odd", {"cast": {"subject": "m@1"}, "config": {}}, root=tmp_path) as run:
        run.finish("failed", "disk full")
        to_inspect(run.manifest, rows, tmp_path / "odd.eval")
    seen = opened(interpreter, tmp_path / "odd.eval")
    assert sorted(seen["ids"]) == sorted(row.key for row in rows)
    assert (seen["header"]["status"], seen["header"]["error"]["message"]) == ("error", "disk full")
    assert {s["id"]: s["metadata"] for s in seen["samples"]}["a/b c#é.json"]["big"] == 2**70
