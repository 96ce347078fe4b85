"""Pre-training of preference models: the scalar is taken over, what is saved is read off a curve, the study runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from gnomon.core.errors import ModelError, UsageError
from gnomon.learn.heads import HEAD_FILE, ScalarHead, head_reads_at, load_head, save_head
from gnomon.study.pmp import Pmp, matched, study
from gnomon.train import preference
from gnomon.train._running import run_training
from gnomon.train._text import Special
from gnomon.train.preference import Preference, preview
from gnomon.train.pretrain import Pretrain, new_model


def folder_of(model: str) -> Path:
    return Path(model.removeprefix("hf:"))


@pytest.mark.parametrize("hidden", [False, True])
def test_a_head_says_where_it_reads(tmp_path: Path, hidden: bool) -> None:
    assert head_reads_at(tmp_path) is None
    save_head(ScalarHead(4, hidden=hidden), tmp_path, read_at="<eoc>")
    assert head_reads_at(tmp_path) == "<eoc>"
    save_head(ScalarHead(4, hidden=hidden), tmp_path)
    assert head_reads_at(tmp_path) == ""
    (tmp_path / HEAD_FILE).write_bytes(b"no")
    with pytest.raises(ModelError, match="not a scalar head"):
        head_reads_at(tmp_path)


def test_a_preference_model_keeps_its_scalar(tiny: str, tmp_path: Path) -> None:
    first = run_training(
        Preference(model=tiny, data="brook:forum", mu=1.0, pairs=64, held_out=8, peak_rate=3e-3),
        "preference",
        root=tmp_path,
    )
    source = first.manifest.folder / "checkpoint"
    before = load_head(source).out.weight.detach().clone()
    assert before.abs().max() > 1e-4
    # At a rate of nearly nothing what comes out is what went in.
    cfg = Preference(model=f"hf:{source}", data="brook:far", pairs=8, held_out=8, peak_rate=1e-12)
    second = run_training(cfg, "preference", root=tmp_path)
    kept = second.manifest.folder / "checkpoint"
    assert torch.allclose(load_head(kept).out.weight, before, atol=1e-6)
    assert json.loads((kept / "recipe.json").read_text())["scalar"] == f"taken over from hf:{source}"
    assert json.loads((source / "recipe.json").read_text())["scalar"] == "new"
    assert preview(cfg)["scalar"] == "taken over"
    assert preview(Preference(model=tiny, pairs=8, held_out=8))["scalar"] == "new"


def test_a_scalar_that_is_read_elsewhere_is_not_taken_over(tiny: str, tmp_path: Path) -> None:
    head = ScalarHead(new_model(Pretrain(model_size="xs"), Special(8, 1, 2, 0)).config.d_model)
    torch.nn.init.ones_(head.out.weight)
    save_head(head, folder_of(tiny))  # as P(IK): it reads a text's own last token
    try:
        cfg = Preference(model=tiny, pairs=8, held_out=8, peak_rate=1e-12)
        done = run_training(cfg, "preference", root=tmp_path)
        assert load_head(done.manifest.folder / "checkpoint").out.weight.abs().max() < 1e-3
        assert preview(cfg)["scalar"] == "new"
        assert preference.Preference(model=tiny, objective="imitation").objective == "imitation"
    finally:
        (folder_of(tiny) / HEAD_FILE).unlink()


@pytest.mark.parametrize(
    ("reached", "want"),
    [
        (0.70, (100.0, 0)),
        (0.75, (200.0, 0)),
        (0.80, (400.0, 0)),
        # The curve falls to .78 at 1,600, which is made level: the first number that reaches it counts.
        (0.79, (100 * 4**0.9, 0)),
        (0.85, (1600.0, 1)),
        (0.69, (100.0, -1)),
    ],
)
def test_what_an_accuracy_is_worth_is_read_on_log_n(reached: float, want: tuple[float, int]) -> None:
    number, side = matched(reached, [100, 400, 1600], [0.7, 0.8, 0.78])
    assert (number, side) == (pytest.approx(want[0]), want[1])


def test_the_study_compares_arms_seed_by_seed(tiny: str, tmp_path: Path) -> None:
    cfg = Pmp(
        model=(tiny,),
        source=("brook:forum+brook:vandal",),
        binary=("brook:forum+brook:vandal",),
        n=(8,),
        without=(32,),
        source_pairs=16,
        held_out=30,
        seeds=2,
    )
    done = study(cfg, tmp_path, 1)
    # For each of two seeds: two pre-trainings, one number after each, two numbers without.
    assert len(done.runs) == 2 * (2 + 2 + 2)
    assert {run.config.data for run in done.runs} == {"brook:forum,brook:vandal", "brook:far"}
    assert {run.config.objective for run in done.runs} == {"ranked", "binary"}
    learnt = [run.config for run in done.runs if run.config.data == "brook:far"]
    assert sum(config.model.startswith("run:") for config in learnt) == 4
    report = done.report
    gained = report.estimate("accuracy gained by pre-training", "brook:forum+brook:vandal, ranked, n=8")
    arms = ("no pre-training", "brook:forum+brook:vandal, ranked")
    without, ours = (report.estimate("accuracy", f"{arm}, n=8").value or 0 for arm in arms)
    assert gained.n == 2
    assert gained.value == pytest.approx(ours - without)
    times = report.estimate("data multiplier", "brook:forum+brook:vandal, binary, n=8")
    assert times.value is not None and 0.5 <= times.value <= 4
    assert (times.low is None) == bool(times.reason)
    four = report.estimate("accuracy above 32 comparisons without", "brook:forum+brook:vandal, ranked, n=8")
    assert (
        four.low is not None
        and four.high is not None
        and four.value is not None
        and four.low <= four.value <= four.high
    )
    assert report.estimate("binary above ranked pre-training, n up to 8", "brook:forum+brook:vandal").n == 2
    best = report.estimate("Bayes accuracy").value
    assert best is not None and all((e.value or 0) < best for e in report.estimates if e.metric == "accuracy")
    assert report.estimate("accuracy", "brook:forum+brook:vandal, ranked, n=0").n == 2
    assert "What 8 comparisons of brook:far are worth after pre-training on brook:forum+brook" in report.summary
    (figure,) = report.figures
    assert "comparisons learnt" in json.dumps(figure.spec)
    (table,) = report.tables
    assert len(table.rows) == 2 + 2 * 2
    assert all(math.isfinite(row[5]) for row in table.rows)


def test_a_study_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a model, a source, numbers and a seed"):
        Pmp(seeds=0)
    with pytest.raises(UsageError, match="--n: a training on no comparisons"):
        Pmp(n=(0,))
