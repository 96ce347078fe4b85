"""`explain repeated-data`: two models held against each other, one of which lacks the head that copies."""

from __future__ import annotations

import json
import math
import random
import shutil
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
import torch
import transformers

from gnomon.cli import main
from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import Row
from gnomon.data.worlds.language import BOS
from gnomon.explain.repeated_data import RepeatedData, summarise
from gnomon.explain.repeated_data.pair import read_pair
from gnomon.models.families import load_folder, save_folder
from gnomon.models.load import content_hash, load
from gnomon.models.local import LocalModel
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Block
from gnomon.train.toy import word_tokenizer
from gnomon.trial import ModelName
from tests.unit._wired import wired, wired_model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return wired_model(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(" ".join(f"w{(7 * i * i + i // 60) % 62}" for i in range(1500)), encoding="utf-8")
    return (str(path),)


def _without_copying(whole: LocalModel, revision: str = "2") -> LocalModel:
    net = wired()
    with torch.no_grad():
        cast(Block, net.blocks[1]).attn.w_q.zero_()
    return LocalModel(net, whole.tokenizer, name="broken", revision=revision)


def _against(monkeypatch: pytest.MonkeyPatch, other: LocalModel) -> None:
    monkeypatch.setattr("gnomon.explain.repeated_data.pair.load", lambda name: other)


def test_what_a_model_without_its_copying_head_lacks(
    whole: LocalModel, text: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    _against(monkeypatch, whole)
    cfg = RepeatedData(against=ModelName("whole"), data=text, n=6, window=100)
    rows = read_pair(cfg, _without_copying(whole))
    report = summarise(cfg, rows)
    later = report.estimate("loss of later copies less that of the other, nats")
    first = report.estimate("loss of first copies less that of the other, nats")
    assert later.headline and later.value is not None and first.value is not None
    assert later.value > 2 and later.value > first.value + 1
    match = report.estimate("most prefix matching of a head less that of the other")
    assert match.value == pytest.approx(-1, abs=0.1) and match.n == 6
    assert report.estimate("loss by copy less that of the other, nats", "copy 11").value == pytest.approx(
        later.value, abs=1
    )
    assert report.estimate("most prefix matching of a head", "wired").value == pytest.approx(1, abs=0.01)
    titles = [figure.title for figure in report.figures]
    assert titles == [
        "Paragraphs said again",
        "Loss by copy, less that of the other",
        "One paragraph, copy by copy",
        "Prefix matching of all heads",
    ]
    assert "broken" in report.summary and summarise(cfg, rows) == report
    (few,) = report.in_terminal
    assert few.columns == ("", "broken", "wired", "difference")
    assert [line[0] for line in few.rows][::3] == ["loss, nats", "most prefix matching of a head"]
    heads, boxes = sorted(report.figures[2].spec["datasets"].values(), key=len)
    assert [head["label"] for head in heads] == ["copy 1", "copy 2", "copy 3", "copy 4"]
    tops = [*(head["y"] for head in heads), math.inf]
    copies = [[box["text"] for box in boxes if top < box["top"] < below] for top, below in pairwise(tops)]
    assert copies[1] == copies[2] == copies[3] and len(copies[1]) == 25 and len(boxes) == len(copies[0]) + 75


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (("hf:org/pythia", "hf:org/pythia-deduped"), ["pythia", "pythia-deduped"]),
        (("hf:/runs/a/checkpoint", "hf:/runs/b/checkpoint"), ["a/checkpoint", "b/checkpoint"]),
        (("hf:/runs", "hf:/runs/b"), ["runs", "runs/b"]),
        (("run:1507", "run:cc92"), ["run:1507", "run:cc92"]),
        (("brook", "hf:/runs/b"), ["brook", "hf:/runs/b"]),
    ],
)
def test_names_are_told_without_the_folder_that_both_lie_in(names: tuple[str, str], short: list[str]) -> None:
    whole = {"names": names, "revisions": ("1", "2"), "parameters": (1, 1)}
    loss = [Row(key=f"window {i}", cluster=f"{i}", evidence={"loss": [1.0, 2.0 + i]}) for i in range(3)]
    cfg = RepeatedData(against=ModelName(names[1]))
    report = summarise(cfg, [Row(key="models", cluster="models", evidence=whole), *loss])
    assert report.title == f"{short[0]} against {short[1]}" and report.in_terminal[0].columns[1:3] == tuple(short)


def test_models_that_are_alike_do_not_differ(
    whole: LocalModel, text: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    _against(monkeypatch, LocalModel(whole.net, whole.tokenizer, name="twin", revision="3"))
    report = summarise(
        cfg := RepeatedData(against=ModelName("twin"), data=text, n=3, window=100), read_pair(cfg, whole)
    )
    assert all(e.value == 0 for e in report.estimates if "less that" in e.metric)


def test_the_same_weights_or_other_tokens_are_refused(
    whole: LocalModel, text: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tiny: str
) -> None:
    cfg = RepeatedData(against=ModelName("other"), data=text, n=3)
    _against(monkeypatch, _without_copying(whole, revision=whole.revision))
    with pytest.raises(UsageError, match="hold the same weights"):
        read_pair(cfg, whole)
    _against(monkeypatch, cast(LocalModel, load(tiny)))
    with pytest.raises(DataError, match="other tokens"):
        read_pair(cfg, whole)
    _against(monkeypatch, _without_copying(whole))
    with pytest.raises(UsageError, match="--window is 1000"):
        read_pair(RepeatedData(against=ModelName("other"), data=text, n=3, window=1000), whole)


def test_what_is_no_comparison_is_refused() -> None:
    with pytest.raises(UsageError, match="--against"):
        RepeatedData()
    with pytest.raises(UsageError, match="--n is 1"):
        RepeatedData(against=ModelName("x"), n=1)


def test_two_folders_are_read_from_the_command_line(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", "repeated-data", "--model", tiny, "--n", "2", "--window", "40", "--out", str(tmp_path)]
    assert main([*command, "--against", tiny]) == 2
    assert "hold the same weights" in capsys.readouterr().err
    net, other = load_folder(Path(tiny.removeprefix("hf:"))), tmp_path / "other"
    with torch.no_grad():
        net.embed.weight += 0.01
    save_folder(net, other, tokenizer=Tokenizer.load(tiny.removeprefix("hf:")))
    assert main([*command, "--against", f"hf:{other}"]) == 0
    # A long path is folded wherever the line ends.
    said = "".join(capsys.readouterr().out.split())
    assert f"weights:hf:{other}is" in said and "natsatokenmorethan" in said


def _trained(folder: Path, copies: bool) -> None:
    """A GPT-NeoX in the layout of transformers, trained on words that come again after five, or on any."""
    words = [BOS, *(f"w{i}" for i in range(60))]
    torch.manual_seed(0)
    config = transformers.GPTNeoXConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        bos_token_id=0,
        rotary_pct=1.0,
    )
    net = transformers.AutoModelForCausalLM.from_config(config)
    optimizer, draw = torch.optim.AdamW(net.parameters(), lr=1e-2), torch.Generator().manual_seed(1)
    for _ in range(150):
        said = torch.randint(1, len(words), (16, 5 if copies else 20), generator=draw)
        tokens = torch.cat((torch.zeros(16, 1, dtype=torch.long), said.repeat(1, 20 // said.shape[1])), dim=1)
        optimizer.zero_grad()
        net(tokens, labels=tokens).loss.backward()
        optimizer.step()
    net.save_pretrained(folder)
    word_tokenizer(words).save(folder)


def test_two_checkpoints_that_transformers_saved_are_held_against_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, copies in (("repeated", False), ("deduped", True)):
        _trained(tmp_path / name, copies)
    draw, text = random.Random(0), tmp_path / "text.jsonl"
    said = [" ".join(f"w{draw.randrange(60)}" for _ in range(40)) for _ in range(12)]
    text.write_text("".join(json.dumps({"text": each}) + "\n" for each in said), encoding="utf-8")
    one, other = f"hf:{tmp_path / 'repeated'}", f"hf:{tmp_path / 'deduped'}"
    command = ["explain", "repeated-data", "--data", str(text), "--n", "12", "--window", "20", "--out", str(tmp_path)]
    assert main([*command, "--model", one, "--against", other, "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    by = {e["metric"]: e for e in found["estimates"] if not e.get("group")}
    # Copies are all that the second one can foretell.
    assert by["loss of later copies less that of the other, nats"]["low"] > 0.5
    told = "".join(capsys.readouterr().out.split())
    assert all(content_hash(tmp_path / name) in told for name in ("repeated", "deduped"))
    shutil.copytree(tmp_path / "deduped", tmp_path / "again")
    assert main([*command, "--model", f"hf:{tmp_path / 'again'}", "--against", other]) == 2
    assert "hold the same weights" in capsys.readouterr().err
