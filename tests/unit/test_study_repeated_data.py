"""What a family of trainings on repeated data says: planted families come back, and a small one is trained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from gnomon.core.errors import DataError, Diverged, UsageError
from gnomon.core.record import Row
from gnomon.report.base import Report
from gnomon.store.export import read_parquet
from gnomon.store.run import Run
from gnomon.study._trained import Trained, run_trainings, train_all
from gnomon.study.repeated_data import RepeatedData, row_of, study
from gnomon.study.repeated_data.estimates import curves
from gnomon.study.repeated_data.family import WITHOUT_COPIES, Family
from gnomon.study.repeated_data.summary import report
from gnomon.train import repeats
from gnomon.train.toy import HELD_OUT

EPOCHS = (8.0, 32.0, 100.0, 320.0, 800.0)
SIZES = {16: 1e4, 32: 4e4, 64: 16e4}
# Nats added at each number of epochs; the largest size is hurt most, and earliest.
ADDED = {16: (0, 0, 0.1, 0.4, 0.1), 32: (0, 0.1, 0.6, 0.3, 0.1), 64: (0, 0.2, 0.8, 0.2, 0.1)}
STEPS = [0, 5, 10, 20, 50, 100, 200]


def _measured(size: float, loss: float, rng: np.random.Generator, *, hump: float, matching: float) -> dict[str, Any]:
    noise = 0.01 * rng.normal()
    curve = loss + np.array([1.0, 0.5, 0.3, 0.2 + hump, 0.3 + hump, 0.1, 0.0]) + noise
    return {
        "parameters": size,
        "share": 0.5,
        "epochs": 8.0,
        "documents": 4,
        "tokens a step": 100,
        "training": loss,
        "uniform": np.log(65),
        "curve": {"steps": STEPS, "held-out": curve.tolist(), "set": [4, 3, 2, 1, 0.2, 0.1, 0.05], "unique": [3.0] * 7},
        "held-out": (loss + noise + 0.02 * rng.normal(size=20)).tolist(),
        "by index": [loss] * 15,
        "set": [0.05] * 4,
        "known": [1, 1, 1, 0] * 8,
        "known, held out": [0] * 20,
        "copying": [[loss, loss - matching, loss - matching] for _ in range(6)],
        "said": {"words": ["ba", "be", "ba", "be"], "losses": [loss, loss - matching, loss]},
        "heads": [[0.05, matching], [0.1, 0.02]],
        "prefix": (matching + 0.01 * rng.normal(size=6)).tolist(),
        "other": (loss + 2 + 0.02 * rng.normal(size=8)).tolist(),
    }


def _rows(seeds: int) -> list[Row]:
    rows = []

    def add(kind: str, width: int, seed: int, share: float, epochs: float, **planted: float) -> None:
        rng = np.random.default_rng([seed, width, int(100 * share), int(epochs), len(kind)])
        loss = 4.0 - 0.2 * np.log(SIZES[width] / 1e4) + planted.get("added", 0.0)
        measured = _measured(
            SIZES[width], loss, rng, hump=planted.get("hump", 0.0), matching=planted.get("matching", 0.6)
        )
        place = {"kind": kind, "width": width, "seed": seed, "share": share, "epochs": epochs}
        rows.append(Row(key=f"{len(rows)}", cluster=str(seed), evidence={**place, "run": "x", "measured": measured}))

    for seed in range(seeds):
        for width in SIZES:
            add("control", width, seed, 0.0, 1.0)
            for share in (0.5, 0.9):
                add("fewer tokens", width, seed, share, 1.0, added=0.1 * share)
                for added, epochs in zip(ADDED[width], EPOCHS, strict=True):
                    hump = 0.8 if (share, epochs) == (0.9, 320.0) else 0.0
                    add("repeats", width, seed, share, epochs, added=added * share, hump=hump, matching=0.6 - added / 2)
            add("scratch", width, seed, 0.0, 1.0)
            add("tuned", width, seed, 0.0, 1.0, added=-0.3)
            add("tuned", width, seed, 0.9, 100.0, added=0.2)
        add("other draw", 32, seed, 0.0, 1.0)
        add("without copies", 64, seed, 0.0, 1.0, matching=0.04)
        add("without copies, repeats", 64, seed, 0.9, 100.0, added=0.5, matching=0.04)
        add("repeats early, repeats", 64, seed, 0.9, 100.0, added=0.1)
        add("dropout", 64, seed, 0.0, 1.0, added=0.1)
        add("dropout, repeats", 64, seed, 0.9, 100.0, added=0.3)
    return rows


@pytest.fixture(scope="module")
def planted() -> Report:
    return report(_rows(3))


def test_the_planted_damage_is_read_at_its_worst(planted: Report) -> None:
    found = planted.estimate("test loss added by repeats, nats", "160k, 90% repeats, 100 epochs")
    assert found.headline and found.low is not None and found.low <= 0.72 <= (found.high or 0)
    assert planted.estimate("test loss added by repeats, nats", "10k, 50% repeats, 320 epochs").value == pytest.approx(
        0.2, abs=0.03
    )
    lost = planted.estimate("change of the most prefix matching of a head", "160k, 90% repeats, 100 epochs")
    assert lost.value == pytest.approx(-0.4, abs=0.02)
    control = planted.estimate(
        "change of the most prefix matching of a head", "a language without copies, 160k, 90% repeats, 100 epochs"
    )
    assert control.low is not None and control.low <= 0 <= (control.high or 0)


def test_what_repeats_cost_beside_leaving_them_out_is_what_was_planted(planted: Report) -> None:
    found = planted.estimate("of it more than where repeats are left out, nats", "160k, 90% repeats, 100 epochs")
    assert found.value == pytest.approx(0.72 - 0.09, abs=0.02)


def test_a_terminal_shows_a_line_a_size_and_share(planted: Report) -> None:
    table = planted.in_terminal[0]
    lines = {(row[0], row[1]): row for row in table.rows}
    assert len(table.rows) == 6 and lines["160k", "90%"][2] == "100" and lines["160k", "90%"][3].startswith("0.72 (")


def test_models_of_another_draw_are_worth_their_own_size(planted: Report) -> None:
    group = "no repeats, another draw, 40k"
    for metric, null in (("effective size over size, by test loss", 1.0), ("test loss added by repeats, nats", 0.0)):
        found = planted.estimate(metric, group)
        assert found.null == null and found.low is not None and found.low <= null <= (found.high or 0)


def test_effective_sizes_are_those_of_the_planted_ladder(planted: Report) -> None:
    # 0.4 nats are worth a factor of exp(2); the middle size loses 0.3 at half its data.
    found = planted.estimate("effective size over size, by test loss", "40k, 50% repeats, 100 epochs")
    assert found.value is None or found.value == pytest.approx(np.exp(-1.5), rel=0.3)
    beyond = planted.estimate("effective size over size, by test loss", "160k, 90% repeats, 100 epochs")
    assert beyond.value == pytest.approx(np.exp(-3.6), rel=0.2) or "at most" in beyond.reason


def test_peaks_are_found_over_epochs_and_within_training_and_not_without_repeats(planted: Report) -> None:
    assert "peak" in planted.estimate("height of the peak over epochs, nats", "160k, 90% repeats").reason
    inside = planted.estimate("height of the peak within training, nats", "160k, 90% repeats, 320 epochs")
    assert inside.reason.startswith("peak") and inside.value == pytest.approx(0.8, abs=0.05)
    assert planted.estimate("height of the peak within training, nats", "160k, no repeats").value == pytest.approx(
        0.1, abs=0.02
    )
    assert (
        "insufficient evidence"
        in report(_rows(1)).estimate("height of the peak over epochs, nats", "10k, 90% repeats").reason
    )


def test_the_region_moves_to_fewer_epochs_with_size(planted: Report) -> None:
    table = next(t for t in planted.tables if t.title == "Region of poor performance")
    worst = {row[1]: row[2] for row in table.rows if row[0] == "90%" and row[2] is not None}
    assert worst == {"10k": 320.0, "40k": 100.0, "160k": 100.0}
    laws = [row[-1] for row in table.rows if row[1] == "all"]
    assert any(text.startswith("right: ") and "N^-" in text for text in laws)


def test_training_further_is_held_against_training_from_scratch(planted: Report) -> None:
    metric = "loss further trained less that from scratch, nats"
    assert planted.estimate(metric, "40k, after 90% repeats, 100 epochs").value == pytest.approx(0.2, abs=0.03)
    assert planted.estimate(metric, "40k, after no repeats").value == pytest.approx(-0.3, abs=0.03)
    worth = "effective size over size after training further, beside models from scratch"
    assert planted.estimate(worth, "40k, after 90% repeats, 100 epochs").value == pytest.approx(np.exp(-1), rel=0.2)
    reached = "share of the tokens that reach what scratch reaches"
    assert planted.estimate(reached, "40k, after 90% repeats, 100 epochs").reason == "not reached"
    assert planted.estimate(reached, "40k, after no repeats").value == pytest.approx(0.075, abs=0.03)


def test_what_is_done_against_learning_by_heart_is_held_against_nothing_done(planted: Report) -> None:
    group = "dropout, 160k, 90% repeats, 100 epochs"
    assert planted.estimate("test loss added by repeats, nats", group).value == pytest.approx(0.2, abs=0.03)
    assert planted.estimate("test loss less that with nothing done, nats", group).value == pytest.approx(
        -0.42, abs=0.03
    )
    price = planted.estimate("test loss that it adds without repeats, nats", group)
    assert price.value == pytest.approx(0.1, abs=0.03)
    early = "repeats early, 160k, 90% repeats, 100 epochs"
    assert planted.estimate("test loss added by repeats, nats", early).value == pytest.approx(0.1, abs=0.03)
    assert not [e for e in planted.estimates if e.group == early and "without repeats" in e.metric]
    _, against = planted.in_terminal
    done = {line[0]: line[1:] for line in against.rows}
    assert early in done and done[early][0].startswith("0.1") and done[early][2] == ""


def test_losses_are_told_in_tokens_that_are_worth_as_much(planted: Report) -> None:
    metric = "share of the tokens after which models without repeats had as low a test loss"
    # 0.3 nats above the end of a curve that first is there after 10 of 200 steps.
    found = planted.estimate(metric, "40k, 50% repeats, 100 epochs")
    assert found.value == pytest.approx(0.05, abs=0.02) and found.n == 3
    early = planted.estimate("added where training stops at its lowest test loss, nats", "40k, 50% repeats, 100 epochs")
    assert early.value == pytest.approx(0.3, abs=0.03)


def _with_diverged(*lost: tuple[str, int, float, float]) -> list[Row]:
    rows = []
    for row in _rows(2):
        place = tuple(row.evidence[name] for name in ("kind", "width", "share", "epochs"))
        gone = row.evidence["seed"] == 0 and place in lost
        rows.append(
            Row(
                key=row.key, cluster=row.cluster, evidence={**row.evidence, "diverged": "nan"} if gone else row.evidence
            )
        )
    return rows


def test_what_diverged_is_left_out_and_named() -> None:
    found = report(_with_diverged(("repeats", 32, 0.9, 100.0), ("scratch", 16, 0.0, 1.0)))
    assert any(note.startswith("2 of 108 trainings diverged and are left out: ") for note in found.notes)
    table = next(t for t in found.tables if t.title == "Trainings")
    assert sum(row[0] == SIZES[32] for row in table.rows) == 10 and sum(row[0] == SIZES[64] for row in table.rows) == 11
    assert len(list(found.figures)) > 10
    # Models of the smallest size have nothing left to be held against.
    assert not any("10k, after" in e.group for e in found.estimates)
    without = Family.of(_with_diverged(("control", 16, 0.0, 1.0)))
    assert without.widths == [32, 64] and without.epochs(16, 0.9) == []


def test_a_share_of_which_nothing_is_left_stops_the_study() -> None:
    lost = [("repeats", 32, 0.9, epochs) for epochs in EPOCHS]
    with pytest.raises(DataError, match=r"every training of width 32 at a share of 0.9 diverged"):
        Family.of(_with_diverged(*lost))


def test_copying_that_a_short_context_does_not_hold_is_not_read_and_says_so() -> None:
    rows = _rows(1)
    for row in rows:
        for name in ("copying", "said", "heads", "prefix"):
            del row.evidence["measured"][name]
    found = report([row for row in rows if row.evidence["kind"] in ("control", "repeats", "scratch", "tuned")])
    assert "the context does not hold two copies of five tokens: copying is not read" in found.notes
    assert not any("by copying" in e.metric for e in found.estimates) and len(list(found.figures)) > 8


def test_every_figure_is_drawn(planted: Report) -> None:
    titles = [figure.title for figure in planted.figures]
    for words in ("added by repeats", "against epochs", "Region", "on the set", "over training by epochs", "by heart"):
        assert any(words in f"{t} {f.caption}" for t, f in zip(titles, planted.figures, strict=True)), words
    for words in (
        "said by heart",
        "done against",
        "Effective size",
        "by copy",
        "said again",
        "Prefix matching",
        "other language",
    ):
        assert any(words in title for title in titles), words


def test_a_small_family_is_trained_measured_and_found_again(tmp_path: Path) -> None:
    cfg = RepeatedData(widths=(16, 32), shares=(0.5,), epochs=(5, 10), tokens=10_240, context=64, fine_tune=4096)
    first = study(cfg, tmp_path, 1)
    kinds = [row.evidence["kind"] for row in first.rows]
    assert kinds.count("repeats") == 4 and kinds.count("tuned") == 4
    cell = Family.of(first.rows).cell(32, 0.5, 10)[0]
    assert (cell["documents"], cell["epochs"]) == (8, 10.0)
    assert len(cell["curve"]["steps"]) == len(cell["curve"]["set"]) > 5
    again = study(cfg, tmp_path, 1)
    assert [r.evidence for r in again.rows] == [r.evidence for r in first.rows]
    assert again.report.summary == first.report.summary


def test_the_table_of_results_has_a_line_a_training(tmp_path: Path) -> None:
    cfg = RepeatedData(widths=(16,), shares=(0.5,), epochs=(10,), tokens=10_240, context=64, fine_tune=0, mitigate=True)
    done, run = run_trainings(cfg, "repeated-data", root=tmp_path)
    lines = pq.read_table(run.folder / "results.parquet")
    kinds = lines["evidence.kind"].to_pylist()
    assert kinds.count("control") == kinds.count("repeats") == kinds.count("dropout, repeats") == 1 and len(kinds) == 11
    assert min(lines["evidence.means.tokens a second"].to_pylist()) > 0
    assert set(lines["evidence.means.resumed at"].to_pylist()) == {0}
    losses_told = dict(zip(lines["key"].to_pylist(), lines["evidence.means.test loss"].to_pylist(), strict=True))
    cell = Family.of(done.rows).cell(16, 0.5, 10)[0]
    assert losses_told["repeats, width 16, share 0.5, epochs 10, seed 0"] == pytest.approx(np.mean(cell["held-out"]))
    assert "test loss that it adds without repeats, nats" in {e.metric for e in done.report.estimates}


def test_a_training_that_diverges_is_marked_and_tried_again_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = repeats.train

    def train(cfg: repeats.Repeats, run: Run) -> Path:
        if cfg.epochs == 10 and cfg.peak_rate > 0.009:
            raise Diverged("the loss of step 3 is nan")
        return real(cfg, run)

    monkeypatch.setattr(repeats, "train", train)
    small = {"widths": (16,), "shares": (0.5,), "epochs": (5, 10), "tokens": 10_240, "context": 64, "fine_tune": 0}
    done = study(RepeatedData(**small, without_copies=False), tmp_path, 1)
    lost = {row.evidence["epochs"]: row.evidence["diverged"] for row in done.rows if "diverged" in row.evidence}
    assert lost == {10: "the loss of step 3 is nan"}
    assert "1 of 5 trainings diverged" in " ".join(done.report.notes) and len(done.runs) == 4
    again = study(RepeatedData(**small, without_copies=False, retry=True), tmp_path, 1)
    assert [row.evidence["rate"] for row in again.rows] == [0.01, 0.01, 0.005, 0.01, 0.01]
    assert not any("diverged" in row.evidence for row in again.rows)
    with pytest.raises(Diverged):
        train_all([RepeatedData(**small).cells()[2].config(RepeatedData(**small))], root=tmp_path)


def test_a_training_that_ends_worse_than_a_guess_has_diverged() -> None:
    cfg = RepeatedData(widths=(16,), shares=(0.5,), epochs=(4,))
    found = Trained(cfg.cells()[0].config(cfg), "x", "run:x", [], Report(title="x", estimates=[]))
    measured = _measured(1e4, 4.0, np.random.default_rng(0), hump=0, matching=0.5)
    assert "diverged" not in row_of(cfg.cells()[0], found, measured).evidence
    told = row_of(cfg.cells()[0], found, {**measured, "training": 5.0}).evidence["diverged"]
    assert told == "the last steps cost 5.00 nats, a guess 4.17"
    # Where repeats are early the last steps are of what comes once.
    early = cfg.cells()[0]._replace(kind="repeats early, repeats", share=0.5, epochs=4)
    assert "diverged" not in row_of(early, found, {**measured, "training": 5.0}).evidence


def test_a_family_on_the_other_language_is_read_like_the_first(tmp_path: Path) -> None:
    small = {"widths": (16,), "shares": (0.5,), "epochs": (10,), "tokens": 10_240, "context": 64}
    done = study(RepeatedData(**small, text="blocks", fine_tune=4096), tmp_path, 1)
    kinds = [row.evidence["kind"] for row in done.rows]
    assert "without copies" not in kinds and kinds.count("tuned") == 2
    texts = {row.evidence["kind"]: each.config.text for row, each in zip(done.rows, done.runs, strict=True)}
    assert (texts["repeats"], texts["tuned"], texts["scratch"]) == ("blocks", "copies", "copies")
    cell = Family.of(done.rows).cell(16, 0.5, 10)[0]
    assert len(cell["fresh"]) == len(cell["held-out"]) and cell["fresh"] != cell["held-out"] and "other" in cell


@pytest.mark.slow
def test_processes_that_torchrun_started_share_a_family(tmp_path: Path) -> None:
    """Two of them train each a part, and leave what one alone leaves."""
    flags = "--widths 16,32 --shares 0.5 --epochs 5,10 --tokens 10240 --context 64 --fine-tune 0"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "gnomon"]
    command = [*torchrun, "study", "repeated-data", *flags.split(), "--out", str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    cfg = RepeatedData(widths=(16, 32), shares=(0.5,), epochs=(5.0, 10.0), tokens=10_240, context=64, fine_tune=0)
    alone, _ = run_trainings(cfg, "repeated-data", root=tmp_path / "one")
    (written,) = (tmp_path / "two").glob("study-repeated-data-*")
    two, one = ([_timeless(row) for row in some] for some in (read_parquet(written / "results.parquet"), alone.rows))
    assert two == one
    assert len(list((tmp_path / "two").glob("train-*"))) == len(alone.rows)


def _timeless(row: Row) -> dict[str, Any]:
    """What a row says, without how fast it was."""
    kept = {name: value for name, value in row.evidence.items() if name not in ("means", "measured")}
    for name in ("means", "measured"):
        kept[name] = {key: value for key, value in row.evidence[name].items() if key != "tokens a second"}
    return kept


def test_documents_that_are_not_apart_stop_the_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = RepeatedData(widths=(16,), shares=(0.5,), epochs=(4,), tokens=20_480, context=64)
    monkeypatch.setattr("gnomon.study.repeated_data.unique_numbers", lambda cfg: [*range(5), HELD_OUT + 3])
    with pytest.raises(DataError, match="held_out: 1 of 256 rows share 50 tokens with unique"):
        study(cfg, tmp_path, 1)


def test_what_is_no_family_is_refused() -> None:
    for more, words in (
        ({"widths": ()}, "needs a width"),
        ({"widths": (0,)}, "--width is 0"),
        ({"seeds": 129}, "1 to 128 seeds"),
        ({"epochs": (8, 8)}, "named twice"),
        ({"shares": (0.0,)}, "trained anyway"),
        ({"fine_tune": -1}, "--fine-tune is -1"),
        ({"epochs": (6000,)}, "the epochs is"),
    ):
        with pytest.raises(UsageError, match=words):
            RepeatedData(**more)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_signatures_of_repeated_data_show(tmp_path: Path) -> None:
    """Harm at middle epochs and not at few, a descent within training after the harm, and no induction head there."""
    cfg = RepeatedData(widths=(48, 64), shares=(0.5,), epochs=(25, 200, 400), fine_tune=0)
    done = study(cfg, tmp_path, 2)
    of = Family.of(done.rows)
    for width in cfg.widths:
        few, middle, many = of.damage(width, 0.5).mean(axis=0)
        assert middle > many + 0.05 and middle > few + 1
        assert few < 0.15
        assert np.mean(of.cell(width, 0.5, 200)[0]["set"]) < 0.2
        (rises,) = curves(of.cell(width, 0.5, 400))
        top = int(rises[5:].argmax()) + 5
        assert rises[top] > max(rises[:top].min(), rises[-1]) + 0.15
        assert all(of.cell(width, 0.5, 400)[0]["known"])
    control, harmless, worst = of.control(64)[0], of.cell(64, 0.5, 25)[0], of.cell(64, 0.5, 200)[0]
    assert min(np.mean(control["prefix"]), np.mean(harmless["prefix"])) > 0.3
    assert np.mean(worst["prefix"]) < 0.1
    assert (
        np.mean([copies[1:] for copies in worst["copying"]])
        > np.mean([copies[1:] for copies in control["copying"]]) + 2
    )
    without = [of.places[place][0] for place in of.places if place[0].startswith(WITHOUT_COPIES)]
    assert len(without) == 2 and all(np.mean(each["prefix"]) < 0.1 for each in without)
