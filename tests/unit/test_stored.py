"""Weights as they are found in the world: shards and pickles, old and new, of every family; and what is refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file
from torch import Tensor

from gnomon.core.errors import DataError, ModelError
from gnomon.data.worlds.copies import Copies
from gnomon.models.families import load_folder
from gnomon.study.induction_family import InductionFamily, study
from gnomon.study.induction_family.series import check, of_names
from gnomon.train.toy import word_tokenizer

SIZES: dict[str, Any] = {
    "vocab_size": 70, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 128,
}  # fmt: skip
FAMILIES: dict[str, Callable[[], Any]] = {
    "gpt2": lambda: hf.GPT2Config(vocab_size=70, n_embd=16, n_layer=2, n_head=2, n_positions=64),
    "neox": lambda: hf.GPTNeoXConfig(**SIZES, rotary_pct=0.25, tie_word_embeddings=False),
    "llama": lambda: hf.LlamaConfig(**SIZES, num_key_value_heads=1, tie_word_embeddings=True),
    "qwen2": lambda: hf.Qwen2Config(**SIZES, num_key_value_heads=1, tie_word_embeddings=True),
    "qwen3": lambda: hf.Qwen3Config(**SIZES, num_key_value_heads=1, head_dim=12),
}
STEPS = (0, *(2**i for i in range(10)), 1000, 2000, 3000, 16000, 143000)


def drawn(family: str, folder: Path, seed: int = 0) -> Any:
    """A model of transformers, whose config is in the folder."""
    torch.manual_seed(seed)
    model = hf.AutoModelForCausalLM.from_config(FAMILIES[family]()).eval().requires_grad_(False)
    model.config.save_pretrained(folder)
    return model


def safetensors_shards(model: Any, folder: Path) -> None:
    model.save_pretrained(folder, max_shard_size="4KB")
    assert len(list(folder.glob("*.safetensors"))) > 2


def as_stored(model: Any, folder: Path) -> dict[str, Tensor]:
    """The tensors by the names of published folders; a head that is tied to the embedding is among them, as it was."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        model.save_pretrained(place)
        found = load_file(Path(place) / "model.safetensors")
    tied = model.config.tie_word_embeddings
    return found | ({"lm_head.weight": model.get_input_embeddings().weight} if tied else {})


def one_pickle(model: Any, folder: Path) -> None:
    torch.save(as_stored(model, folder), folder / "pytorch_model.bin")


def old_pickle(model: Any, folder: Path) -> None:
    torch.save(as_stored(model, folder), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def pickle_shards(model: Any, folder: Path) -> None:
    names: dict[str, str] = {}
    whole = as_stored(model, folder)
    for part in range(3):
        file = f"pytorch_model-{part + 1:05}-of-00003.bin"
        some = {name: whole[name] for name in list(whole)[part::3]}
        torch.save(some, folder / file)
        names |= dict.fromkeys(some, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": names}))


@pytest.mark.parametrize("stored", [safetensors_shards, one_pickle, old_pickle, pickle_shards])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_logits_are_those_of_transformers(family: str, stored: Callable[[Any, Path], None], tmp_path: Path) -> None:
    reference = drawn(family, tmp_path)
    stored(reference, tmp_path)
    tokens_BT = torch.randint(70, (2, 40), generator=torch.Generator().manual_seed(0))
    found = load_folder(tmp_path)
    assert found.config.tie_embeddings == (family not in ("neox", "qwen3"))
    with torch.no_grad():
        torch.testing.assert_close(found(tokens_BT), reference(tokens_BT).logits, atol=1e-4, rtol=0)


def test_safetensors_are_read_where_there_are_both(tmp_path: Path) -> None:
    reference = drawn("gpt2", tmp_path)
    reference.save_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"no")
    assert torch.equal(load_folder(tmp_path).embed.weight, reference.get_input_embeddings().weight)


class Trap:
    """What a pickle can hold that is no tensor."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch trapped",)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (Trap(), "holds more than tensors"),
        ({"transformer.wte.weight": Trap()}, "holds more than tensors"),
        ({"transformer.wte.weight": 1}, "holds more than tensors by name"),
        ([torch.ones(1)], "holds more than tensors by name"),
    ],
)
def test_a_pickle_that_is_more_than_tensors_is_not_run(
    held: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn("gpt2", tmp_path)
    torch.save(held, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=said) as caught:
        load_folder(tmp_path)
    assert "take the weights as safetensors" in str(caught.value) and not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("stored", [one_pickle, old_pickle])
def test_a_pickle_that_is_cut_short_is_damaged(stored: Callable[[Any, Path], None], tmp_path: Path) -> None:
    stored(drawn("gpt2", tmp_path), tmp_path)
    file = tmp_path / "pytorch_model.bin"
    whole = file.read_bytes()
    for size in (4, len(whole) // 2, len(whole) - 100):
        file.write_bytes(whole[:size])
        with pytest.raises(ModelError, match=r"pytorch_model\.bin: damaged or cut short"):
            load_folder(tmp_path)
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ModelError, match="is a Git LFS pointer"):
        load_folder(tmp_path)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub with revisions of one NeoX, whose weights are pickles."""
    place = tmp_path / "hub"
    for step in STEPS:
        folder = place / f"step{step}"
        one_pickle(drawn("neox", folder, seed=step), folder)
        word_tokenizer(Copies().words).save(folder)

    def got(repo: str, *, revision: str, allow_patterns: list[str]) -> str:
        assert repo == "org/pythia"
        here = tmp_path / "cache" / revision
        here.mkdir(parents=True, exist_ok=True)
        for file in (file for pattern in allow_patterns for file in (place / revision).glob(pattern)):
            shutil.copy(file, here)
        return str(here)

    refs = SimpleNamespace(branches=[SimpleNamespace(name=name) for name in ("main", *os.listdir(place))], tags=[])
    monkeypatch.setattr(huggingface_hub, "list_repo_refs", lambda _: refs)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", got)
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path / "runs"))
    return place


def test_a_family_of_revisions_is_read(hub: Path, tmp_path: Path) -> None:
    file, draw = tmp_path / "texts.jsonl", random.Random(0)
    texts = [" ".join(draw.choices(Copies().words, k=80)) for _ in range(6)]
    file.write_text("\n".join(json.dumps({"text": each}) for each in texts))
    few: dict[str, Any] = {"documents": 4, "sequences": 2, "ablated": 0, "window": 64, "data": (str(file),)}
    cfg = InductionFamily(model=("hf:org/pythia@step*",), tokens_a_step=2_097_152, **few)
    report = study(cfg, None, 1).report
    assert report.title == "1 training, 16 snapshots" and "no sudden change" in report.summary


def test_revisions_that_serve_the_last_weights_are_refused(hub: Path) -> None:
    for step in (4, 256):
        (hub / f"step{step}" / "pytorch_model.bin").write_bytes((hub / "step143000/pytorch_model.bin").read_bytes())
    with pytest.raises(DataError, match="hold the same weights: steps 4, 256, 143000"):
        check(of_names(["hf:org/pythia@step*"], 0))
