"""`gnomon train toy`: what it reads, what it keeps on the way, and that stopping changes nothing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from gnomon.core.errors import Stopped, UsageError
from gnomon.data.worlds.copies import Copies
from gnomon.data.worlds.language import Documents
from gnomon.explain._running import run_explanation
from gnomon.explain.induction import Induction
from gnomon.models.families import load_folder
from gnomon.models.load import checkpoint_folder
from gnomon.store.run import Run
from gnomon.train._running import run_training
from gnomon.train.toy import HELD_OUT, TEXT, Drawn, Schedule, Toy, fit_toy, fresh, losses_by_kind, snapshot_steps

SMALL = {"width": 16, "heads": 2, "context": 32, "batch": 8, "tokens": 32 * 8 * 24, "snapshots": 4}


def weights(model: str) -> list[torch.Tensor]:
    return list(load_folder(checkpoint_folder(model)).state_dict().values())


def test_models_on_the_way_have_names_and_the_first_has_learnt_nothing(tmp_path: Path) -> None:
    done = run_training(Toy(**SMALL), "toy", root=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNOMON_RUNS", str(tmp_path))
        steps = snapshot_steps(Toy(**SMALL))
        assert steps[0] == 0 and steps[-1] == 24 and len(steps) == 6
        read = {
            step: {m.name: m.value for m in Run.find(done.manifest.id, root=tmp_path).metrics() if m.step == step}
            for step in steps
        }
        assert read[0]["held-out loss"] == pytest.approx(np.log(65), abs=0.1)
        assert read[24]["held-out loss"] < read[0]["held-out loss"]
        assert set(read[0]) == {"held-out loss", "held-out fresh", "held-out copied"}
        assert all(torch.equal(*two) for two in zip(weights(f"{done.model}@24"), weights(done.model), strict=True))
        config = json.loads((checkpoint_folder(done.model) / "recipe.json").read_text())
        assert config["tokens_a_step"] == 256 and 2 < config["floor"] < 4


def test_a_run_that_was_stopped_gives_the_same_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_training(Toy(**SMALL), "toy", root=tmp_path / "a")
    plain = Copies.documents

    def interrupting(self: Copies, indices: Sequence[int], length: int) -> Documents:
        if indices[0] == 16 * 8:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, indices, length)

    with monkeypatch.context() as patch:
        patch.setattr(Copies, "documents", interrupting)
        with pytest.raises(Stopped, match="after step 17 of 24"):
            run_training(Toy(**SMALL), "toy", root=tmp_path / "b")
    again = run_training(Toy(**SMALL), "toy", root=tmp_path / "b")
    for name in ("checkpoint", *(f"snapshots/{step}" for step in snapshot_steps(Toy(**SMALL)))):
        first, second = ((each.manifest.folder / name / "model.safetensors").read_bytes() for each in (whole, again))
        assert first == second


def test_no_document_comes_twice_and_none_that_is_held_out() -> None:
    schedule = fresh(4)
    seen = [index for step in range(10) for index in schedule.of(step).indices]
    assert seen == list(range(40)) and max(seen) < HELD_OUT


def test_another_schedule_decides_what_is_read_and_its_parts_are_logged(tmp_path: Path) -> None:
    cfg = Toy(**SMALL | {"snapshots": 0})
    asked: list[int] = []

    def of(step: int) -> Drawn:
        asked.append(step)
        return Drawn([*range(step * 4, step * 4 + 4), *[10_000] * 4], [0] * 4 + [1] * 4)

    with Run.open("train", "toy", {"test": 1}, root=tmp_path) as run:
        fit_toy(cfg, run, cfg.language(), Schedule(of, ("unique", "again")), {"share": 0.5})
        last = {m.name: m.value for m in run.metrics() if m.step == 20}
    assert set(asked) == set(range(24))
    assert last["again"] < last["unique"]
    assert last["loss"] == pytest.approx((last["again"] + last["unique"]) / 2, abs=1e-5)
    assert json.loads((run.folder / "checkpoint" / "recipe.json").read_text())["share"] == 0.5


def test_losses_are_split_exactly() -> None:
    made = Copies().documents(range(6), 64)
    losses = torch.rand(6, 63)
    found = losses_by_kind(losses, made)
    copied = torch.from_numpy(made.is_copy[:, 1:])
    share = copied.float().mean()
    assert found["loss"] == pytest.approx(float(share * found["copied"] + (1 - share) * found["fresh"]), abs=1e-6)
    assert found["copied"] == pytest.approx(float(losses[copied].mean()))
    assert set(losses_by_kind(losses, Copies(copy_rate=0).documents(range(6), 64))) == {"loss", "fresh"}


def test_its_heads_are_read_on_the_text_that_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path))
    done = run_training(Toy(**SMALL | {"context": 128, "tokens": 128 * 8 * 2, "snapshots": 0}), "toy")
    cfg = Induction(data=(str(done.manifest.folder / TEXT),), only=("attention",), n=2, windows=4, window=64)
    found = run_explanation(cfg, "induction", done.model)
    assert len(found.report.tables[0].rows) == 4


@pytest.mark.parametrize(
    "wrong", [{"heads": 3}, {"tokens": 100}, {"context": 1}, {"snapshots": -1}, {"layers": 0}, {"copy_rate": 2.0}]
)
def test_what_cannot_be_trained_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Toy(**wrong)  # type: ignore[arg-type]
