"""A run written as an Inspect log: the archive's members, what rows and estimates become, what must not be in it."""

from __future__ import annotations

import json
import resource
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from _fakes import install

from gnomon.cli import main
from gnomon.core import registry
from gnomon.core.errors import UsageError
from gnomon.core.record import Item, Row
from gnomon.store.inspect_log import to_inspect
from gnomon.store.manifest import Manifest

IDENTITY = {
    "config": {"n": 3, "url": "http://me:hunter2@host/v1"},
    "seed": 7,
    "items": "abc",
    "cast": {"subject": "brook@r1", "judge": "fake@2", "labels": "brook@r1"},
}
ITEM = Item(id="a/1", question="Which?", choices=("mill", "inn"), gold=1, note="A note.")
ASKED = Row(key="a/1", cluster="c", evidence={"p": [0.3, 0.7], "scores": {"accuracy": 1.0, "late": None}})
FAILED = Row(key="b", cluster="b", evidence={"part": "x"}, error="http://host/v1: no answer")
ESTIMATES = [
    {"metric": "ECE", "value": 0.1, "low": None, "high": None, "n": 2, "clusters": 2, "group": "listed"},
    {"metric": "accuracy", "value": 0.5, "low": 0.1, "high": 0.9, "n": 2, "clusters": 2},
    {"metric": "AUROC", "value": None, "low": None, "high": None, "n": 2, "clusters": 2, "reason": "one class"},
]


def manifest(**changes: Any) -> Manifest:
    whole = {
        "id": "7f3a91c2", "verb": "assay", "name": "coin", "identity": IDENTITY, "status": "done",
        "started": "2026-01-02T03:04:05.678+00:00", "finished": "2026-01-02T03:05:05.678+00:00",
        "versions": {"python": "3.11.7"},
    }  # fmt: skip
    return Manifest(**{**whole, **changes})


def written(path: Path, rows: list[Row], **more: Any) -> dict[str, Any]:
    """The archive's members, parsed, by name."""
    to_inspect(manifest(**more.pop("run", {})), rows, path, **more)
    with ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


@pytest.fixture
def log(tmp_path: Path) -> dict[str, Any]:
    return written(tmp_path / "x.eval", [ASKED, FAILED], items={"a/1": ITEM}, estimates=ESTIMATES)


def test_members_are_those_of_the_format(log: dict[str, Any]) -> None:
    samples = ["samples/a/1_epoch_1.json", "samples/b_epoch_1.json"]
    assert list(log) == ["_journal/start.json", *samples, "summaries.json", "header.json"]
    header = log["header.json"]
    assert list(header) == ["version", "status", "eval", "plan", "results", "stats", "error"]
    assert (header["version"], header["status"], header["error"]) == (2, "success", None)
    assert log["_journal/start.json"]["version"] == 2


def test_a_row_becomes_a_sample(log: dict[str, Any]) -> None:
    sample = log["samples/a/1_epoch_1.json"]
    assert (sample["id"], sample["epoch"], sample["input"]) == ("a/1", 1, "A note.\n\nWhich?")
    assert (sample["choices"], sample["target"]) == (["mill", "inn"], "inn")
    assert sample["scores"] == {"accuracy": {"value": 1.0, "answer": "inn"}}
    assert sample["metadata"] == {"cluster": "c", "input_is": "question", **ASKED.evidence}
    assert sample["messages"] == [{"role": "user", "content": "A note.\n\nWhich?"}]
    assert [e["event"] for e in sample["events"]] == ["sample_init", "score"]
    failed = log["samples/b_epoch_1.json"]
    assert [e["event"] for e in failed["events"]] == ["sample_init", "error"]
    assert failed["error"]["message"] == FAILED.error and failed["scores"] is None and failed["input"] == ""
    assert failed["metadata"]["input_is"] == "unknown"


def test_a_kept_prompt_and_kept_texts_are_shown(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}]
    rows = [
        Row(key="1", cluster="1", evidence={"prompt": "Asked so:", "samples": [{"text": "x"}, {"text": "y"}]}),
        Row(key="2", cluster="2", evidence={"prompt": turns, "samples": 4}),
        Row(key="3", cluster="3", evidence={}),
    ]
    items = {"3": Item(id="3", question="?", answers=("a", "b"), meta={"prompt": "Q: ?"}), "1": ITEM}
    log = written(tmp_path / "x.eval", rows, items=items)
    one, two, three = (log[f"samples/{key}_epoch_1.json"] for key in "123")
    assert (one["input"], one["metadata"]["input_is"]) == ("Asked so:", "prompt") and "prompt" not in one["metadata"]
    assert [c["message"]["content"] for c in one["output"]["choices"]] == ["x", "y"]
    assert [m["role"] for m in one["messages"]] == ["user", "assistant"]
    assert two["input"] == turns and two["output"]["choices"] == []
    assert (three["input"], three["target"]) == ("Q: ?", ["a", "b"])


def test_estimates_become_metrics_with_their_intervals(log: dict[str, Any]) -> None:
    results = log["header.json"]["results"]
    assert (results["total_samples"], results["completed_samples"]) == (2, 1)
    scores = {s["name"]: s for s in results["scores"]}
    # Inspect View lists samples by the first score, so one that samples carry stands first.
    assert list(scores) == ["accuracy", "ECE"]
    assert {k: m["value"] for k, m in scores["accuracy"]["metrics"].items()} == {"value": 0.5, "low": 0.1, "high": 0.9}
    assert (scores["accuracy"]["scored_samples"], scores["accuracy"]["unscored_samples"]) == (1, 1)
    assert list(scores["ECE"]["metrics"]) == ["listed"] and scores["ECE"]["metrics"]["listed"]["metadata"]["n"] == 2
    assert results["metadata"]["estimates"] == ESTIMATES


def test_the_header_says_what_was_asked_of_which_model(log: dict[str, Any]) -> None:
    spec = log["header.json"]["eval"]
    assert (spec["task"], spec["run_id"], spec["model"]) == ("coin", "7f3a91c2", "brook@r1")
    assert spec["model_roles"] == {"judge": {"model": "fake@2"}}
    assert spec["dataset"]["sample_ids"] == ["a/1", "b"] and spec["dataset"]["samples"] == 2
    assert spec["task_args"]["n"] == 3 and spec["metadata"]["seed"] == 7
    assert spec["packages"] == {"python": "3.11.7"}


@pytest.mark.parametrize(
    ("status", "theirs", "error"),
    [("failed", "error", {"message": "boom", "traceback": "", "traceback_ansi": ""}), ("stopped", "cancelled", None)],
)
def test_how_the_run_ended(tmp_path: Path, status: str, theirs: str, error: Any) -> None:
    header = written(tmp_path / "x.eval", [], run={"status": status, "error": "boom"})["header.json"]
    assert (header["status"], header["error"]) == (theirs, error)


def test_summaries_shorten_what_is_long(tmp_path: Path) -> None:
    evidence = {"prompt": "x" * 6000, "text": "y" * 2000, "list": list(range(1000)), "p": [0.5], "none": None}
    (summary,) = written(tmp_path / "x.eval", [Row(key="k", cluster="k", evidence=evidence)])["summaries.json"]
    assert summary["input"] == "x" * 5120 + "...\n(content truncated)"
    metadata = summary["metadata"]
    assert len(metadata["text"]) == 1024 and metadata["list"] == "Key removed from summary (> 1k)"
    assert metadata["p"] == [0.5] and metadata["none"] is None and summary["completed"]


def test_no_secret_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    echo = Row(key="k", cluster="k", evidence={"said": "key sk-very-secret"}, error="401 for sk-very-secret")
    text = json.dumps(written(tmp_path / "x.eval", [echo]))
    assert "sk-very-secret" not in text and "hunter2" not in text and "http://host/v1" in text


def test_half_characters_are_replaced(tmp_path: Path) -> None:
    log = written(tmp_path / "x.eval", [Row(key="k", cluster="k", evidence={"text": "a\udc80é"})])
    assert log["samples/k_epoch_1.json"]["metadata"]["text"] == "a?é"


def test_the_same_run_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to_inspect(manifest(), [ASKED], tmp_path / "a.eval")
    monkeypatch.setattr(time, "time", lambda: 2e9)
    to_inspect(manifest(), [ASKED], tmp_path / "b.eval")
    assert (tmp_path / "a.eval").read_bytes() == (tmp_path / "b.eval").read_bytes()


def test_a_failure_leaves_the_older_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "x.eval"
    to_inspect(manifest(), [ASKED], path)
    before = path.read_bytes()

    def breaking() -> Iterator[Row]:
        yield ASKED
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_inspect(manifest(), breaking(), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_only_evaluations_have_such_a_log(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this run is of train"):
        to_inspect(manifest(verb="train"), [], tmp_path / "x.eval")
    assert not list(tmp_path.iterdir())


def test_ten_thousand_rows_take_seconds_and_little_memory(tmp_path: Path) -> None:
    def rows() -> Iterator[Row]:
        for i in range(10_000):
            evidence = {"prompt": f"{i} " + "word " * 200, "p": [0.25] * 4, "scores": {"accuracy": i % 2}}
            yield Row(key=f"row-{i}", cluster=f"{i // 4}", evidence=evidence)

    began = resource.getrusage(resource.RUSAGE_SELF)
    to_inspect(manifest(), rows(), tmp_path / "x.eval")
    spent = resource.getrusage(resource.RUSAGE_SELF).ru_utime - began.ru_utime
    tracemalloc.start()
    to_inspect(manifest(), rows(), tmp_path / "y.eval")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with ZipFile(tmp_path / "x.eval") as archive:
        assert len(archive.namelist()) == 10_003 and len(json.loads(archive.read("summaries.json"))) == 10_000
    # The rows are 12 MB as JSON; what stays is the archive's directory and the keys.
    assert spent < 8 and peak < 12e6, (spent, peak)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield install(tmp_path, monkeypatch)
    registry.names.cache_clear()


def test_the_command_writes_questions_and_metrics(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assay", "coin", "--n", "4"]) == 0
    (folder,) = Path("runs").iterdir()
    capsys.readouterr()
    assert main(["export", str(folder), "--format", "inspect"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (f"{folder}/log.eval\n", "")
    with ZipFile(folder / "log.eval") as archive:
        header = json.loads(archive.read("header.json"))
        sample = json.loads(archive.read("samples/coin-3_epoch_1.json"))
    assert (sample["input"], sample["target"], sample["choices"]) == ("coin 3?", "tails", ["heads", "tails"])
    assert header["results"]["scores"][0]["metrics"]["value"]["value"] == 1.0
    # Code that changed since draws other items; they are not put beside answers to the old ones.
    identity = json.loads((folder / "run.json").read_text())
    identity["identity"]["items"] = "0" * 32
    (folder / "run.json").write_text(json.dumps(identity))
    (folder / "report.json").unlink()
    assert main(["export", str(folder), "--to", "inspect", "--file", "other.eval"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert "samples go without question" in told[0] and "no report.json" in told[1]
    assert main(["export", str(folder), "--to", "inspect", "--file", "other.zip"]) == 2
