"""Pretraining: the loss against a word-by-word oracle, the checkpoint against its reference implementation."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from gnomon.assay.brook.recipe import recipe_of
from gnomon.core.config import to_json
from gnomon.core.errors import DataError, Stopped, UsageError
from gnomon.core.registry import method
from gnomon.data.worlds.brook.mix import KINDS, Corpus
from gnomon.data.worlds.brook.packing import Batch
from gnomon.data.worlds.brook.tables import world
from gnomon.models.load import load
from gnomon.models.local import LocalModel
from gnomon.models.transformer import Transformer, TransformerConfig, num_parameters
from gnomon.store.run import Run
from gnomon.train._readout import brook_readout
from gnomon.train._text import open_text, read_texts
from gnomon.train.pretrain import SHAPES, Pretrain, Special, document_mask, identity, new_model, preview, step, train

BEGIN = 1


@pytest.fixture(scope="module")
def model() -> Transformer:
    config = TransformerConfig(vocab_size=768, d_model=16, num_layers=2, num_heads=2, d_mlp=32)
    model = Transformer(config, generator=torch.Generator().manual_seed(0))
    # Far from uniform, so that a wrong word or weight shows in the loss.
    model.embed.weight.data.mul_(30)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """A batch with many planted distributions."""
    corpus = Corpus.of(world("S", 0), tokens=200_000)
    return max((corpus.batch(i) for i in range(0, corpus.num_steps, 8)), key=lambda batch: len(batch.soft_at))


def oracle(model: Transformer, batch: Batch) -> float:
    """The loss by one forward a document and one sum a word."""
    total = weight = 0.0
    soft: dict[int, list[tuple[int, float]]] = {}
    for place, token, p in zip(batch.soft_at, batch.soft_tokens, batch.soft_p, strict=True):
        soft.setdefault(int(place), []).append((int(token), float(p)))
    for r, row in enumerate(batch.tokens.tolist()):
        starts = [t for t, token in enumerate(row) if token == BEGIN] + [len(row)]
        for start, end in pairwise(starts):
            logp = torch.log_softmax(model(torch.tensor([row[start:end]]))[0].double(), -1)
            for t in range(start + 1, end):
                targets = soft.get(r * len(row) + t, [(row[t], 1.0)])
                w = float(batch.weights[r, t])
                total -= w * sum(p * float(logp[t - start - 1, token]) for token, p in targets)
                weight += w
    return total / weight


def test_the_loss_is_the_weighted_cross_entropy_with_the_planted_distributions(
    model: Transformer, batch: Batch
) -> None:
    assert len(batch.soft_at) > 0
    assert step(model, batch, begin=BEGIN).loss.item() == pytest.approx(oracle(model, batch), rel=1e-5)


def test_sampled_labels_are_the_words_in_the_text(model: Transformer, batch: Batch) -> None:
    none = np.empty(0, np.int64)
    sampled = Batch(batch.tokens, batch.weights, none, none.astype(np.int32), none.astype(np.float32))
    assert step(model, sampled, begin=BEGIN).loss.item() == pytest.approx(oracle(model, sampled), rel=1e-5)
    assert step(model, sampled, begin=BEGIN).loss.item() != pytest.approx(oracle(model, batch), abs=1e-3)


def test_a_document_sees_itself_and_the_past_only() -> None:
    mask = document_mask(torch.tensor([[1, 7, 8, 1, 9]]), 1)[0, 0].tolist()
    assert mask == [
        [True, False, False, False, False],
        [True, True, False, False, False],
        [True, True, True, False, False],
        [False, False, False, True, False],
        [False, False, False, True, True],
    ]


def test_shapes_have_the_sizes_that_are_promised() -> None:
    special = Special(768, 1, 2, 0)
    sizes = {name: num_parameters(new_model(Pretrain(model_size=name), special)) for name in SHAPES}  # type: ignore[arg-type]
    assert {name: round(n / 1e6, 2) for name, n in sizes.items()} == {"xs": 0.09, "s": 0.29, "m": 1.3, "l": 2.8}


def test_the_same_seed_draws_the_same_weights_and_another_seed_others() -> None:
    special = Special(64, 1, 2, 0)
    first, again, other = (new_model(Pretrain(model_size="xs", seed=s), special).embed.weight for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_dry_run_says_what_would_be_trained_on() -> None:
    found = preview(Pretrain(model_size="xs", tokens=200_000))
    assert found["vocabulary"] <= 768
    assert found == preview(Pretrain(model_size="xs", tokens=200_000))
    assert found["corpus_hash"] != preview(Pretrain(model_size="xs", tokens=400_000, seed=1))["corpus_hash"]
    shares = {k.removeprefix("share of "): v.split() for k, v in found.items() if k.startswith("share of ")}
    assert sum(float(v[0]) for v in shares.values()) == pytest.approx(100, abs=0.2)
    assert sum(float(v[3]) for v in shares.values()) == pytest.approx(100, abs=0.2)
    assert set(shares) == {kind.name for kind in KINDS.values() if kind.share or kind.plan} | {"match-drill"}


@pytest.mark.slow
def test_the_shipped_recipe_is_that_of_the_command_and_its_shares_are_those_planned() -> None:
    recipe = recipe_of(load("brook"))["recipe"]
    found = preview(Pretrain(**{k: v for k, v in recipe["config"].items() if k in ("model_size", "seed", "tokens")}))
    for key in ("corpus_hash", "hash_of_steps", "parameters", "vocabulary"):
        assert found[key] == recipe[key]
    for kind, told in found.items():
        if kind.startswith("share of "):
            share, _, _, planned, _ = told.split()
            assert float(share) == pytest.approx(float(planned), abs=0.5), kind


def test_it_is_the_method_that_the_command_finds() -> None:
    assert method("train", "pretrain") is Pretrain


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tokens": 10}, "--tokens is 10; give at least 512, one step"),
        ({"tokens": -1}, "--tokens is -1"),
        ({"tokenizer": Path("t")}, "--tokenizer needs --data; Brook has its own tokenizer"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Pretrain(**given)  # type: ignore[arg-type]  # wrong on purpose


def test_a_dry_run_of_own_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--dry-run describes Brook's corpus; leave --data out"):
        preview(Pretrain(data=tmp_path))


STORY = "the miller lives in the mill and eats corn . the smith lives in the forge and eats bread . " * 60


def pretrain(cfg: Pretrain, root: Path) -> Path:
    with Run.open("train", "pretrain", {"config": to_json(cfg)}, root=root) as run:
        return train(cfg, run)


@pytest.fixture(scope="module")
def story_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint trained for 30 steps on a text file, and the file."""
    folder = tmp_path_factory.mktemp("story")
    (folder / "story.txt").write_text(STORY, encoding="utf-8")
    cfg = Pretrain(model_size="xs", data=folder / "story.txt", tokens=30 * 1024)
    return pretrain(cfg, folder / "runs"), folder / "story.txt"


def test_own_text_is_learnt_and_the_checkpoint_equals_the_reference_implementation(
    story_run: tuple[Path, Path],
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from gnomon.models.families import load_folder

    folder, _ = story_run
    theirs, coder = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    tokens = coder(STORY[:400], return_tensors="pt").input_ids
    with torch.no_grad():
        want = theirs(tokens).logits
        torch.testing.assert_close(load_folder(folder).eval()(tokens), want, atol=1e-5, rtol=1e-5)
        loss = torch.nn.functional.cross_entropy(want[0, :-1], tokens[0, 1:]).item()
    assert loss < 0.6 * math.log(theirs.config.vocab_size)
    assert coder.decode(tokens[0]) == STORY[:400]


def test_the_recipe_says_how_it_was_made(story_run: tuple[Path, Path]) -> None:
    recipe = json.loads((story_run[0] / "recipe.json").read_text())
    assert recipe["config"]["model_size"] == "xs"
    assert recipe["text_tokens"] > 300
    assert len(recipe["corpus_hash"]) == 16


def test_a_run_that_was_stopped_gives_the_same_checkpoint(
    story_run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    from gnomon.train._text import TextCorpus

    whole, text = story_run
    cfg = Pretrain(model_size="xs", data=text, tokens=30 * 1024)
    plain = TextCorpus.batch

    def interrupting(self: TextCorpus, index: int) -> Batch:
        if index == 11:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(TextCorpus, "batch", interrupting)
        with pytest.raises(Stopped):
            pretrain(cfg, tmp_path)
    again = pretrain(cfg, tmp_path)
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_every_window_of_the_text_is_seen_once_an_epoch(story_run: tuple[Path, Path], tmp_path: Path) -> None:
    corpus = open_text(story_run[1], story_run[0], tmp_path, num_tokens=64 * 40, rows=4, width=16, seed=0)
    num_windows = len(corpus.tokens) // 16
    rows = np.concatenate([corpus.batch(s).tokens for s in range(-(-2 * num_windows // 4))])
    want = sorted(map(tuple, corpus.tokens[: num_windows * 16].reshape(-1, 16).tolist()))
    for epoch in (0, 1):
        seen = rows[epoch * num_windows : (epoch + 1) * num_windows].tolist()
        assert sorted(map(tuple, seen)) == want
    assert np.array_equal(corpus.batch(1).tokens, rows[4:8]), "a batch depends on its step alone"


def test_text_files_of_every_kind_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "a.txt").write_text("one", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": "two"}\n\n{"text": "three"}\n', encoding="utf-8")
    table = pa.table({"text": ["four", None, " "]})
    pq.write_table(table, tmp_path / "c.parquet")
    with pa.OSFile(str(tmp_path / "d.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "e.bin").write_bytes(b"\xff")
    assert list(read_texts(tmp_path)) == ["one", "two", "three", "four", "four"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"text": "a"}\n{', r"x.jsonl:2: not JSON"),
        ("d.jsonl", b"[" * 100_000, r"d.jsonl:1: not JSON"),
        ("x.jsonl", b'{"body": "a"}', r'x.jsonl:1: the line has no text; lines look like \{"text": "..."\}'),
        ("x.txt", b"\xff\xfe\xfa", r"x.txt: cannot be read as text"),
        ("x.parquet", b"no", r"x.parquet: no column 'text' to read"),
        ("x.bin", b"", r"no text there; give a file or folder of .txt"),
    ],
)
def test_files_that_hold_no_text_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_texts(tmp_path))


def test_too_little_text_and_a_folder_without_tokenizer_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("too short", encoding="utf-8")
    with pytest.raises(DataError, match=r"the text has \d+ tokens, a row needs 256; give more text"):
        pretrain(Pretrain(model_size="xs", data=tmp_path / "x.txt", tokens=2048), tmp_path / "runs")
    with pytest.raises(DataError, match=r"no tokenizer.json there; give a Hugging Face tokenizer folder"):
        pretrain(Pretrain(data=tmp_path / "x.txt", tokenizer=tmp_path), tmp_path / "runs")


def test_the_shipped_weights_are_those_whose_training_is_told() -> None:
    model = load("brook")
    assert isinstance(model, LocalModel)
    told = {name: curve[-1][1] for name, curve in model.recipe["readouts"].items()}
    with torch.no_grad():
        found = brook_readout(world("S", 0))(model.net)
    assert set(found) == set(told)
    # Weights ship in half precision, and arithmetic differs between builds.
    assert found == {name: pytest.approx(value, rel=0.02, abs=0.01) for name, value in told.items()}


def test_only_kinds_of_the_corpus_are_read() -> None:
    corpus = Corpus.of(world("knowledge", 0), tokens=2_000_000, seed=0)
    model = new_model(Pretrain(model_size="xs"), Special(len(corpus.world.vocabulary), 1, 2, 0))
    with torch.no_grad():
        found = brook_readout(corpus.world, corpus.planned_shares(), documents=1)(model)
    assert {name for name in found if not name.startswith("exposure-")} == set(corpus.planned_shares()) - {"exposure"}


def test_a_run_on_own_text_is_named_by_what_the_files_hold(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.mkdir()
    (text / "a.txt").write_text("the mill is old")
    (text / "b.bin").write_text("not read")
    cfg = Pretrain(data=text)
    first = identity(cfg)
    (text / "b.bin").write_text("not read either")
    assert identity(cfg) == first and "brook" not in first
    (text / "a.txt").write_text("the mill is new")
    assert identity(cfg) != first
    assert identity(Pretrain(data=text / "a.txt")) != identity(cfg)
    with pytest.raises(DataError, match="no text there"):
        identity(Pretrain(data=tmp_path / "nothing"))
