"""Families of snapshots: found by name, read once, dated where a change was planted, refused where they are none."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from gnomon.cli import main
from gnomon.core.errors import DataError, ModelError, UsageError
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.copies import Copies
from gnomon.explain.induction.sequences import Repeats, bands, repeats
from gnomon.explain.induction.snapshots import Shown, picked, read_snapshot
from gnomon.models.ablation import ablated_losses
from gnomon.models.families import save_folder
from gnomon.models.tails import token_losses
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig
from gnomon.report.page import page
from gnomon.study._trained import RESULTS
from gnomon.study.induction_family import InductionFamily, study
from gnomon.study.induction_family.changes import Seen, changes
from gnomon.study.induction_family.measured import Measured, measure
from gnomon.study.induction_family.page import dated, report
from gnomon.study.induction_family.rows import rows
from gnomon.study.induction_family.series import Series, Snapshot, check, of_names
from gnomon.train._running import run_training
from gnomon.train.toy import Toy, new_toy, word_tokenizer

SMALL = {"width": 16, "heads": 2, "batch": 8, "tokens": 128 * 8 * 24, "snapshots": 12}
STEPS = np.unique(np.round(np.geomspace(4, 1000, 30))).astype(int)
DOCUMENTS, SEQUENCES, LENGTH = 24, 8, 32


def planted(change: float | None, *, name: str = "planted", missing: Sequence[int] = ()) -> Measured:
    """A series whose second layer's first head, and the losses with it, change at so many steps; None: never."""
    rng = np.random.default_rng(0)
    level = rng.normal(0, 0.2, DOCUMENTS)
    rows = []
    for step in (0, *STEPS):
        done = 0.0 if change is None or not step else 1 / (1 + math.exp(-(math.log(step) - math.log(change)) / 0.15))

        def around(mean: float, size: int, spread: float = 0.02) -> list[float]:
            return (mean + rng.normal(0, spread, size)).round(4).tolist()

        late = 3.0 - 0.02 * math.log(step + 1)
        losses = {
            "loss": (level + around(late - 0.5 * done, DOCUMENTS)).tolist(),
            "icl": (level + around(-0.05 - 0.9 * done, DOCUMENTS)).tolist(),
            "by index": [late - done * (place > 15) for place in range(LENGTH - 1)],
            "fresh": around(3 + 0.1 * done, DOCUMENTS),
            "copied": [*around(3 - 2 * done, DOCUMENTS - 1), None],
        }
        heads = [[0.03, 0.03], [0.03 + 0.7 * done, 0.03]]
        evidence: dict[str, Any] = {
            "prefix": [[around(head, SEQUENCES, 0.01) for head in layer] for layer in heads],
            "previous": [[0.03 + 0.6 * done, 0.03], [0.03, 0.03]],
            "copying": [[-0.9, -0.9], [2 * done - 1, -0.9]],
            "chance": -0.85,
            "trace": [[None, None], [done, 0.0]],
            "picked": around(late - done, 40),
            "losses": losses,
            "without": {
                "icl": [[around(0, 8), around(0, 8)], [around(0.9 * done, 8), around(0, 8)]],
                "picked": [[around(0, 20), around(0, 20)], [around(done, 20), around(0, 20)]],
            },
        }
        if step not in missing:
            rows.append(Row(key=str(step), cluster=str(step), evidence=evidence))
    snapshots = tuple(Snapshot(int(s), f"m@{s}", "" if s in missing else f"h{s}") for s in (0, *STEPS))
    return Measured(Series(name, name, snapshots, 1000, 2), "id", rows)


def shown(length: int = LENGTH, documents: int = DOCUMENTS) -> Shown:
    made = Copies().documents(range(documents), length)
    return Shown(
        repeats=repeats(range(1, 65), 2, Seed(0), bos=0, period=8),
        tokens_NT=torch.from_numpy(made.tokens),
        clusters=tuple(map(str, range(documents))),
        is_copy_NT=torch.from_numpy(made.is_copy),
        ablated=3,
        picked_MP=picked(documents, length, Seed(0)),
        late=bands(length)[0],
        early=bands(length)[1],
    )


def test_a_planted_change_is_dated_by_every_sign() -> None:
    found = changes(Seen(planted(120.0)), shown().clusters)
    for of in (found.icl, found.heads):
        assert of.detected and of.t50.value == pytest.approx(120_000, rel=0.1)
    assert found.bend.detected and found.bend.low < 120_000 < found.bend.high
    assert found.copied is not None and found.copied.value == pytest.approx(-1.7, abs=0.15)
    assert found.fresh is not None and found.fresh.value == pytest.approx(0.1, abs=0.05)
    # Only the head that changed is part of the change: all of the picked tokens lose one nat.
    assert found.along is not None
    assert found.along[-1, 1, 0] == pytest.approx(math.sqrt(20), abs=0.3)
    assert np.abs(found.along[:, 0]).max() < 0.2


def test_the_page_says_what_was_planted_and_draws_gaps_as_gaps() -> None:
    series = [planted(120.0, missing=[int(STEPS[9]), int(STEPS[20])]), planted(None, name="flat")]
    made = report(dated(series, shown()), shown())
    assert "planted: in-context learning changes suddenly in 1 of 1 training" in made.summary
    assert "the two windows overlap in 1" in made.summary
    assert "flat: no sudden change in 1 training" in made.summary
    assert made.estimate("the first of these over the second", "planted").value == pytest.approx(1, abs=0.1)
    assert made.estimate("tokens to half of the change of prefix matching", "flat").value is None
    assert any(f"planted: {STEPS[9]}, {STEPS[20]}" in note for note in made.notes)
    assert any("rises until 2k tokens" in note for note in made.notes)
    titles = [figure.title for figure in made.figures]
    assert [title[0] for title in titles[:9]] == list("123456789")
    lines = next(f.spec for f in made.figures if f.title.startswith("6."))
    (rows,) = lines["datasets"].values()
    broken = [v for v in rows if v.get("line") == "planted, head 1.0" and v["y"] is None]
    assert [v["x"] for v in broken] == [1000 * int(STEPS[9]), 1000 * int(STEPS[20])]
    assert "Model analysis table" in page(made)


def test_the_table_has_a_row_a_model_and_what_was_not_read_is_none() -> None:
    there, flat = planted(120.0, missing=[int(STEPS[9])]), planted(None, name="flat")
    found = rows(told := dated([there, flat], shown()))
    assert len(found) == len(there.rows) + len(flat.rows) and len({row.key for row in found}) == len(found)
    last, first = found[len(there.rows) - 1].evidence, found[0].evidence
    assert (last["training"], last["step"], last["tokens"]) == ("planted", 1000, 1_000_000.0)
    assert last["icl"] == pytest.approx(told[0].seen.losses("icl")[-1].mean(), abs=1e-4)
    assert last["copied"] == pytest.approx(1.0, abs=0.1)
    assert last["heads"]["1.0"]["prefix"] == pytest.approx(0.73, abs=0.02)
    assert last["heads"]["1.0"]["along"] == pytest.approx(math.sqrt(20), abs=0.3)
    assert first["heads"]["0.0"]["trace"] is None and "along" not in found[-1].evidence["heads"]["1.0"]
    # The window is where the change lies, and a training without a change has none.
    inside = [row.evidence["tokens"] for row in found if row.evidence["in window"]]
    assert inside and min(inside) > 60_000 and max(inside) < 240_000
    assert len(last["loss by index"]) == LENGTH - 1


def test_seeds_of_one_kind_are_read_together() -> None:
    one, two, three = (planted(at, name=f"s{at:g}") for at in (100.0, 120.0, 144.0))
    same = [each._replace(series=each.series._replace(kind="two layers")) for each in (one, two, three)]
    made = report(dated(same, shown()), shown())
    half = made.estimate("tokens to half of the change of in-context learning", "two layers")
    assert half.n == 3 and half.value == pytest.approx(121_000, rel=0.05) and half.low is not None
    assert "in 3 of 3 trainings" in made.summary


def test_too_few_snapshots_are_refused() -> None:
    few = planted(120.0)
    with pytest.raises(DataError, match="has 5 trained snapshots"):
        changes(Seen(few._replace(rows=few.rows[:6])), shown().clusters)


def test_what_is_read_of_a_model_is_what_a_forward_says() -> None:
    of, net = shown(), new_toy(Toy(**SMALL), 65).eval()
    found = read_snapshot(net, of)
    with torch.no_grad():
        losses = token_losses(net(of.tokens_NT), of.tokens_NT)
    late, early = of.late, of.early
    assert found["losses"]["icl"] == pytest.approx(
        (losses[:, late].mean(1) - losses[:, early].mean(1)).tolist(), abs=1e-4
    )
    assert found["losses"]["by index"] == pytest.approx(losses.mean(0).tolist(), abs=1e-4)
    copied = of.is_copy_NT[:, 1:] if of.is_copy_NT is not None else None
    assert copied is not None
    want = [float(row[mask].mean()) if mask.any() else None for row, mask in zip(losses, copied, strict=True)]
    for value, wanted in zip(found["losses"]["copied"], want, strict=True):
        assert value == (None if wanted is None else pytest.approx(wanted, abs=1e-4))
    assert found["picked"][:4] == pytest.approx(losses[0, of.picked_MP[0]].tolist(), abs=1e-4)
    lost = ablated_losses(net, of.tokens_NT[:3], "frozen")
    change = lost.without_LHBT[1, 1] - lost.whole_BT
    assert found["without"]["picked"][1][1] == pytest.approx(
        change.gather(1, of.picked_MP[:3]).flatten().tolist(), abs=2e-4
    )
    assert found["trace"][0] == [None, None]


def test_a_loss_that_is_the_same_at_every_place_is_no_in_context_learning() -> None:
    net = new_toy(Toy(**SMALL), 65).eval()
    with torch.no_grad():
        net.w_u.zero_()
    found = read_snapshot(net, shown())["losses"]
    assert found["loss"] == pytest.approx([math.log(65)] * DOCUMENTS, abs=1e-4)
    assert found["icl"] == pytest.approx([0.0] * DOCUMENTS, abs=1e-4)


def test_the_late_and_the_early_are_said_or_refused() -> None:
    assert bands(512, 500, 50) == (slice(499, 500), slice(49, 50))
    with pytest.raises(DataError, match="--late 255 --early 25"):
        bands(256, 500, 50)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs that holds one training with snapshots."""
    root = tmp_path_factory.mktemp("runs")
    run_training(Toy(**SMALL), "toy", root=root)
    return root


def the_run(root: Path) -> str:
    (folder,) = root.glob("train-toy-*")
    return folder.name.rpartition("-")[2]


def test_a_family_of_ones_own_is_read_once(family: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(family, tmp_path / "runs")
    model = f"run:{the_run(family)}"
    cfg = InductionFamily(model=(f"{model}@*",), documents=8, sequences=2, ablated=2, window=64, tokens_a_step=1024)
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path / "runs"))
    first = study(cfg, None, 1)
    assert "no sudden change in 1 training" in first.report.summary
    assert not any("copied" in e.metric for e in first.report.estimates)
    monkeypatch.setattr("gnomon.study.induction_family.measured.read_snapshot", lambda *_: pytest.fail("read again"))
    assert study(cfg, None, 1).report.estimates == first.report.estimates


def test_the_command_writes_the_page(family: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(family, tmp_path / "runs")
    words = f"--model run:{the_run(family)}@* --documents 4 --sequences 2 --ablated 0 --window 64".split()
    assert main(["study", "induction-family", *words, "--out", str(tmp_path / "runs")]) == 0
    (folder,) = (tmp_path / "runs").glob("study-induction-family-*")
    assert (folder / "dates.csv").is_file()
    told = capsys.readouterr().out
    table = pq.read_table(folder / RESULTS)
    assert table.num_rows == 12 and {"evidence.heads.1.1.prefix", "evidence.first component"} <= set(table.column_names)
    assert "9. Heads left out" not in (folder / "report.html").read_text()
    assert "steps to half of the change" in told


def test_names_are_put_in_order_and_patterns_stand_for_what_is_there(family: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNOMON_RUNS", str(family))
        (series,) = of_names([f"run:{the_run(family)}@*"], 0)
        assert [s.step for s in series.snapshots][:3] == [0, 1, 2] and series.snapshots[-1].step == 24
        assert series.name == f"run:{the_run(family)}"
    for step in (20, 3, 100):
        (tmp_path / f"step-{step}").mkdir()
    two = of_names([f"hf:{tmp_path}/step-*", "hf:a/b@step7", "hf:a/b@step512"], 64)
    assert [[s.step for s in each.snapshots] for each in two] == [[3, 20, 100], [7, 512]]
    assert [each.name for each in two] == [f"hf:{tmp_path}", "hf:a/b"] and two[0].tokens_a_step == 64


def test_revisions_of_the_hub_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    refs = SimpleNamespace(branches=[SimpleNamespace(name=n) for n in ("main", "step0", "step512")], tags=[])
    monkeypatch.setattr("huggingface_hub.list_repo_refs", lambda _: refs)
    (series,) = of_names(["hf:org/name@step*"], 2)
    assert [s.model for s in series.snapshots] == ["hf:org/name@step0", "hf:org/name@step512"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["brook"], "does not say its step"),
        (["run:e9d4"], "does not say its step"),
        (["run:a@1"], "has one snapshot"),
        (["hf:a/b@step1", "hf:a/b@1"], "step 1 is named twice"),
        (["hf:/nowhere/step*"], "nothing fits"),
        (["openai:x*"], "no pattern of models"),
    ],
)
def test_names_that_make_no_family_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        of_names(names, 0)


def snapshot(folder: Path, seed: int, words: Sequence[str] | None = None) -> None:
    tokenizer: Tokenizer = word_tokenizer(words or Copies().words)
    save_folder(new_toy(Toy(**SMALL, seed=seed), tokenizer.vocab_size), folder, tokenizer=tokenizer)


def test_weights_that_are_the_same_at_two_steps_are_refused(tmp_path: Path) -> None:
    for step, seed in ((1, 0), (10, 1), (100, 0), (1000, 2)):
        snapshot(tmp_path / f"step{step}", seed)
    written = json.loads((tmp_path / "step1" / "config.json").read_text())
    (tmp_path / "step1" / "config.json").write_text(json.dumps(written | {"transformers_version": "4.0.0"}))
    with pytest.raises(DataError, match="hold the same weights: steps 1, 100"):
        check(of_names([f"hf:{tmp_path}/step*"], 0))


def test_models_that_are_missing_are_gaps_and_a_family_of_gaps_is_refused(tmp_path: Path) -> None:
    for step in (1, 100):
        snapshot(tmp_path / f"step{step}", step)
    names = [f"hf:{tmp_path}/step{step}" for step in (1, 10, 100)]
    (series,) = check(of_names(names, 0))
    assert [each.step for each in series.missing] == [10]
    with pytest.raises(ModelError):
        check(of_names([f"hf:{tmp_path}/gone{step}" for step in (1, 2)], 0))


def test_models_of_different_tokenizers_are_refused(tmp_path: Path) -> None:
    snapshot(tmp_path / "step1", 0)
    snapshot(tmp_path / "step2", 1, [*Copies().words, "extra"])
    with pytest.raises(DataError, match="have different tokenizers"):
        check(of_names([f"hf:{tmp_path}/step*"], 0))


@pytest.mark.parametrize("layers", [(0, 1), (0,)])
def test_a_family_whose_windows_hold_no_earlier_copy_is_refused(layers: tuple[int, ...], tmp_path: Path) -> None:
    shape: dict[str, Any] = {"window": 7, "window_layers": layers, "d_mlp": 8, "family": "gnomon-attn"}
    net = Transformer(TransformerConfig(vocab_size=65, d_model=8, num_layers=2, num_heads=2, **shape))
    save_folder(net, tmp_path / "step1", tokenizer=word_tokenizer(Copies().words))
    series = Series("narrow", "narrow", (Snapshot(1, f"hf:{tmp_path}/step1", "h"),), 1)
    if layers == (0, 1):
        with pytest.raises(UsageError, match=r"sees 7 tokens, and an earlier copy lies 7 back"):
            measure([series], shown(), root=tmp_path, workers=1)
        return
    (found,) = measure([series], shown(), root=tmp_path, workers=1)
    prefix = Seen(found).prefix
    assert np.isnan(prefix[0, 0]).all() and np.isfinite(prefix[0, 1]).all()
    assert np.isfinite(Seen(found).largest).all()


@pytest.mark.parametrize(
    "wrong",
    [{"seeds": 0}, {"ablated": 200}, {"late": 50}, {"data": ("a.txt",)}, {"snapshots": 1}, {"sequences": 1}],
)
def test_a_study_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        InductionFamily(**wrong)


def test_repeats_need_no_more_than_they_say() -> None:
    of: Repeats = repeats(range(60), 1, Seed(0), period=8)
    assert of.tokens_NT.shape == (1, 32) and of.places[0] == 8
