"""`gnomon train repeats`: the documents a training reads, on languages and on a text, from nothing and from a model."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gnomon.core.errors import DataError, Stopped, UsageError
from gnomon.learn.optim import learning_rate
from gnomon.models.families import load_folder
from gnomon.models.load import checkpoint_folder
from gnomon.train import repeats
from gnomon.train._running import run_training
from gnomon.train.repeats import Repeats, drop_out, language_of, repeated_numbers, slots_of, unique_numbers
from gnomon.train.toy import new_toy

SMALL = {"width": 16, "heads": 2, "context": 32, "batch": 8, "tokens": 32 * 8 * 20, "snapshots": 2}


def _train(cfg: Repeats, root: Path) -> Path:
    done = run_training(cfg, "repeats", root=root)
    return done.manifest.folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path))
    return tmp_path


def test_a_set_is_learnt_by_heart_and_the_recipe_says_what_was_achieved(runs: Path) -> None:
    cfg = Repeats(**SMALL, share=0.9, epochs=144)
    folder = _train(cfg, runs)
    recipe = json.loads((folder / "checkpoint" / "recipe.json").read_text())
    assert (recipe["share"], recipe["epochs"], recipe["documents in the set"]) == (0.9, 144.0, 1)
    assert [p.name for p in sorted((folder / "snapshots").iterdir(), key=lambda p: int(p.name))] == [
        "0",
        "1",
        "4",
        "20",
    ]


def test_seeds_differ_in_their_documents_and_not_in_what_is_held_out() -> None:
    one, two = (Repeats(**SMALL, share=0.5, epochs=10, seed=seed) for seed in (0, 1))
    assert not set(unique_numbers(one)) & set(unique_numbers(two))
    assert not set(repeated_numbers(one)) & set(repeated_numbers(two))
    assert len(repeated_numbers(one)) == 8 == slots_of(one).size
    more = Repeats(**SMALL, share=0.5, epochs=80)
    assert repeated_numbers(more) == repeated_numbers(one)[:1]


def test_the_rate_falls_to_nothing_and_weights_shrink_when_asked() -> None:
    optim = Repeats(**SMALL, share=0.0, weight_decay=0.1).optim
    assert (optim.final, optim.weight_decay) == (0.0, 0.1)
    assert learning_rate(19, 20, optim) < 0.1 * optim.peak


def test_dropout_leaves_out_in_training_and_never_in_reading() -> None:
    net, tokens = new_toy(Repeats(**SMALL, share=0.0, mlp=True), 65), torch.arange(1, 9)[None]
    before = net.eval()(tokens)
    drop_out(net, 0.5)
    assert torch.equal(net(tokens), before)
    net.train()
    assert not torch.equal(net(tokens), net(tokens))


def test_what_no_training_has_is_refused() -> None:
    for more in ({"dropout": 1.0}, {"weight_decay": -0.1}):
        with pytest.raises(UsageError, match="--dropout is"):
            Repeats(**SMALL, **more)
    # The next seed's documents would be those of the first seed's set.
    with pytest.raises(UsageError, match="--seed is 256"):
        Repeats(**SMALL, seed=256)


def test_a_run_notes_how_fast_it_was_and_where_it_went_on(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Repeats(**SMALL, share=0.0)
    real = repeats.fit_toy

    def stopped(cfg: Repeats, *more: Any, **named: Any) -> Path:
        real(replace(cfg, tokens=cfg.tokens // 2), *more, **named)
        raise Stopped("enough")

    monkeypatch.setattr(repeats, "fit_toy", stopped)
    with pytest.raises(Stopped):
        run_training(cfg, "repeats", root=runs)
    monkeypatch.setattr(repeats, "fit_toy", real)
    notes = run_training(cfg, "repeats", root=runs).manifest.notes
    assert notes["resumed_at"] == 10 and notes["tokens_a_second"] > 0


def test_a_trained_model_is_trained_further_on_the_other_language(runs: Path) -> None:
    first = run_training(Repeats(**SMALL, share=0.0), "repeats", root=runs)
    further = Repeats(**{**SMALL, "tokens": 256}, share=0.0, text="blocks", start=first.model, peak_rate=1e-9)
    second = run_training(further, "repeats", root=runs)
    before, after = (load_folder(checkpoint_folder(m)) for m in (first.model, second.model))
    assert all(abs(a - b).max() < 1e-6 for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_a_text_is_divided_into_rows_that_stand_apart(runs: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    text = tmp_path / "text.jsonl"
    lines = [" ".join(str(rng.randrange(10_000)) for _ in range(400)) for _ in range(60)]
    text.write_text("\n".join(json.dumps({"text": line}) for line in lines))
    cfg = Repeats(**SMALL, share=0.5, epochs=10, data=text)
    folder = _train(cfg, runs)
    language, tokenizer = language_of(cfg, folder)
    assert tokenizer is not None
    row = language.documents(repeated_numbers(cfg)[:1], 32).tokens[0]
    said = tokenizer.decode(row.tolist()).split()
    assert any(" ".join(said[1:-1]) in line for line in lines)
    with pytest.raises(DataError, match="repeated tokens in rows of 32"):
        language_of(Repeats(**{**SMALL, "tokens": 3_000_000}, share=0.5, epochs=10, data=text), folder)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="the epochs is"):
        Repeats(**SMALL, share=0.5, epochs=60)
    with pytest.raises(UsageError, match="tokenizers of their own"):
        Repeats(**SMALL, share=0.5, epochs=80, data=Path("x.txt"), start="run:1")
