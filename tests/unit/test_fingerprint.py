"""Runs of Brook are named by the Brook that they were made with; other runs are not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gnomon.assay.hhh import HHH
from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.core.config import build
from gnomon.core.registry import method
from gnomon.data.worlds import fingerprint as module
from gnomon.data.worlds.fingerprint import fingerprint, in_identity
from gnomon.explain._running import run_explanation
from gnomon.explain.induction import Induction
from gnomon.store.run import Run
from gnomon.study._answers import Ask, answer_all
from gnomon.train._running import _identity
from gnomon.trial.runner import run_evaluation


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it, and Brook is another."""
    return lambda: monkeypatch.setattr(module, "fingerprint", lambda: "other")


def test_every_source_file_of_the_world_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = tmp_path / "brook" / "tables"
    tables.mkdir(parents=True)
    (tmp_path / "brook" / "oracle.py").write_text("a = 1\n")
    (tables / "facts.py").write_text("b = 1\n")
    (tmp_path / "brook" / "model.safetensors").write_text("weights")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "fingerprint.py"))

    def now() -> str:
        return fingerprint.__wrapped__()

    first = now()
    (tmp_path / "brook" / "model.safetensors").write_text("other weights")
    assert now() == first
    (tables / "facts.py").write_text("b = 2\n")
    second = now()
    (tables / "facts.py").rename(tables / "places.py")
    assert len({first, second, now()}) == 3


@pytest.mark.parametrize(
    ("specs", "named"),
    [
        (["brook"], True),
        (["brook:flattered"], True),
        (["pairs.jsonl*0.5, brook*0.5"], True),
        (["brook:forum+brook:vandal"], True),
        (["synthetic", "brook-facts"], True),
        (["run:7f3a", "", "synthetic", "brook-assistant"], False),
        (["brooks.jsonl", "folder/brook", "brook.jsonl"], False),
    ],
)
def test_who_names_brook(specs: Sequence[str], named: bool) -> None:
    assert in_identity(specs) == ({"brook": fingerprint()} if named else {})


def test_nothing_of_brook_is_imported_for_it() -> None:
    code = "import sys, gnomon.data.worlds.fingerprint as f; f.fingerprint(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "torch", "gnomon.data.worlds.brook"} & set(loaded)


@pytest.mark.parametrize(
    ("name", "brook", "without"),
    [
        ("preference", {}, {"data": "FILE"}),
        ("sft", {}, {"data": "FILE"}),
        ("rlhf", {"reward": "brook:gold", "data": "FILE"}, {"reward": "brook-assistant", "data": "FILE"}),
        ("rlhf", {"reward": "brook-assistant"}, {"reward": "brook-assistant", "data": "FILE"}),
        ("distill", {}, {"data": ("FILE",)}),
        ("pretrain", {}, {"data": "FILE"}),
    ],
)
def test_trainings_on_brook_are_others_with_another_brook(
    name: str, brook: dict[str, Any], without: dict[str, Any], tmp_path: Path, other: Any
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')

    def config(given: dict[str, Any]) -> Any:
        put = {"FILE": str(file), ("FILE",): (str(file),)}
        return build(method("train", name), {key: put.get(value, value) for key, value in given.items()})

    own, free = config(brook), config(without)
    before = _identity(own), _identity(free)
    assert before[0]["brook"] == fingerprint() and "brook" not in before[1]
    other()
    assert _identity(own) == {**before[0], "brook": "other"}
    assert _identity(free) == before[1]


def test_evaluations_on_brook_are_others_with_another_brook(tmp_path: Path, other: Any) -> None:
    def ask(config: Any, name: str, model: str) -> Run:
        return asyncio.run(run_evaluation(config, name, {"subject": model}, root=tmp_path)).run

    free = SelfKnowledge(n=4, data=("synthetic",), only=("calibration",), forms=("lettered",), shots=(0,), resamples=9)
    asked = {"hhh": (HHH(n=4), "brook"), "self-knowledge": (free, "planted:calibrated")}
    before = {name: ask(config, name, model) for name, (config, model) in asked.items()}
    assert "brook" in before["hhh"].manifest.identity and "brook" not in before["self-knowledge"].manifest.identity
    other()
    after = {name: ask(config, name, model) for name, (config, model) in asked.items()}
    assert after["hhh"].id != before["hhh"].id
    assert after["self-knowledge"].id == before["self-knowledge"].id


def test_explanations_and_answers_on_brook_are_others_with_another_brook(tmp_path: Path, other: Any) -> None:
    text = tmp_path / "text.txt"
    text.write_text(" ".join(["the mill is old ."] * 400))
    asks = [Ask(model="brook", values=("brook:gold",), n=2, max_tokens=2)]

    def runs() -> tuple[str, str, set[str]]:
        own, free = (
            run_explanation(Induction(data=data, n=2, windows=2, window=40), "induction", root=tmp_path)
            for data in (("brook",), (str(text),))
        )
        answer_all(asks, root=tmp_path)
        return own.manifest.id, free.manifest.id, {path.name for path in tmp_path.glob("study-answers-*")}

    before = runs()
    other()
    after = runs()
    assert after[0] != before[0] and after[1] == before[1]
    assert len(before[2]) == 1 and len(after[2]) == 2
