"""What a tiny model learns of Brook: rows of what it read are in range, those of the rest are said to be outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import gnomon
from gnomon.data.worlds.brook import KINDS, RELATIONS, Corpus, Phase, World, mix, world
from gnomon.data.worlds.brook.facts import Asked
from gnomon.data.worlds.brook.kinds import Writer
from gnomon.data.worlds.brook.words import BOS, EOS, PAD
from gnomon.learn.loop import Fit, fit
from gnomon.learn.optim import Optim
from gnomon.models.families import save_folder
from gnomon.report.base import Report
from gnomon.train._text import Special
from gnomon.train.pretrain import Pretrain, new_model, step

SHARES = {"copy-back": 40.0, "source": 24.0, "prose": 18.0, "open": 18.0}
LEARNT = {"cloze recall", "open recall", "source", "copy-back"}


def trained(folder: Path, shares: Mapping[str, float], tokens: int, *, soft: bool = True) -> str:
    """The name of a model of shape xs that read only these kinds, and the exposure documents."""
    of = world()
    corpus = Corpus(world=of, tokens=tokens, seed=0, phases=(Phase(name="all", part=1.0, shares=shares),))
    words = of.vocabulary
    model = new_model(Pretrain(model_size="xs"), Special(len(words), words.ids[BOS], words.ids[EOS], words.ids[PAD]))

    def batch(i: int) -> Any:
        found = corpus.batch(i)
        return found if soft else replace(found, soft_at=found.soft_at[:0])

    fit(partial(step, begin=words.ids[BOS]), batch, model, fit=Fit(num_steps=corpus.num_steps, optim=Optim(peak=4e-3)))
    words.save(folder)
    save_folder(model, folder)
    return f"hf:{folder}"


def assayed(model: str, *only: str) -> Report:
    report: Report = gnomon.assay("brook", model=model, only=list(only))
    return report


@pytest.mark.timeout(600)
def test_a_tiny_model_learns_what_it_reads_and_the_table_names_the_rest(tmp_path: Path) -> None:
    model = trained(tmp_path / "model", SHARES, 1_600_000)
    report = assayed(model, "cloze", "open", "source", "copy-back", "match", "verdict", "hop")
    outside = {finding.key.partition(" [")[0] for finding in report.findings}
    assert not outside & LEARNT
    assert outside >= {"match", "verdict AUROC", "hop tagged"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_shuffled_answers_of_one_kind_fail_its_row_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS["source"]

    def shuffled(of: World, record: Asked, writer: Writer) -> None:
        values = RELATIONS[record.fact.relation].values
        # Any value but the noted one, the same for the same note.
        place = (values.index(record.fact.value) + 1 + len(writer.words) % 11) % 12
        kind.write(of, record, writer)
        writer.words[-1] = values[place]

    monkeypatch.setitem(mix.KINDS, "source", replace(kind, write=shuffled))  # type: ignore[arg-type]
    model = trained(tmp_path / "model", SHARES, 1_600_000)
    report = assayed(model, "cloze", "open", "source", "copy-back")
    assert [finding.key for finding in report.findings] == ["source"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_soft_and_drawn_labels_teach_the_same_probabilities(tmp_path: Path) -> None:
    shares = {"danger": 50.0, "pronoun": 25.0, "prose": 25.0}
    rows = []
    for soft in (True, False):
        model = trained(tmp_path / str(soft), shares, 1_000_000, soft=soft)
        report = assayed(model, "danger", "pronoun")
        rows.append({(e.metric, e.group): e.value for e in report.estimates})
    metrics = [key for key in rows[0] if key[0] in ("danger compliance", "pronoun slope")]
    assert len(metrics) == 8
    for key in metrics:
        # A cell of the dangers is drawn about 300 times, so its drawn share has a deviation of .03.
        assert rows[0][key] == pytest.approx(rows[1][key], abs=0.12), key
