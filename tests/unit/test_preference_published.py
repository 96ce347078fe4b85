"""A preference model of bytes on the published comparisons themselves, by the command a user types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from gnomon.cli import main
from gnomon.models.families import save_folder
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig

FILE = "hh-rlhf/harmless-base-test.jsonl.gz"


@pytest.fixture
def of_bytes(tmp_path: Path) -> str:
    """A folder in Hugging Face layout whose model reads any text byte by byte, and has learnt nothing yet."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]  # its stubs
    backend.decoder = decoders.ByteLevel()  # type: ignore[assignment]  # its stubs
    backend.add_special_tokens(["</s>"])
    config = TransformerConfig(
        vocab_size=backend.get_vocab_size(), d_model=16, num_layers=1, num_heads=2, d_mlp=32, max_positions=256
    )
    net = Transformer(config, generator=torch.Generator().manual_seed(0))
    save_folder(net, tmp_path / "bytes", tokenizer=Tokenizer(backend, special={"eos_token": "</s>"}))
    return f"hf:{tmp_path / 'bytes'}"


def test_published_comparisons_train_a_model_of_bytes(
    gnomon_data: Path, of_bytes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (gnomon_data / FILE).is_file():
        pytest.skip(f"{gnomon_data} holds no {FILE}")
    command = ["train", "preference", "--data", FILE, "--model", of_bytes, "--pairs", "64", "--held-out", "60"]
    assert main([*command, "--json", str(tmp_path / "a.json")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "of the comparisons held out; picking the longer answer on 0." in said
    # Four answers are empty, and five pairs of transcripts differ before the last one.
    assert "9 of 2312 rows cannot be used" in said
    found = {(e["metric"], e.get("group", "")): e for e in json.loads((tmp_path / "a.json").read_text())["estimates"]}
    for metric in ("accuracy", "accuracy of length alone"):
        assert 0 <= found[metric, ""]["low"] < found[metric, ""]["value"] < found[metric, ""]["high"] <= 1
    assert main(["train", "preference", "--data", FILE, "--model", of_bytes, "--dry-run"]) == 0
    assert "right on 0.446 (0.4" in " ".join(capsys.readouterr().out.split())
