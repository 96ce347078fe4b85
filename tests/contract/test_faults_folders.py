"""Model folders that are missing, damaged or unfit: one line that names the file, and the exit code of a bad model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers as tk
from faults import SMALL, checkpoint, estimates, fails, jsonl, run, the_run, tiny, wordy

WORDS = ["Question:", "Choices:", "Answer:", "What", "is", *"123456789", "one", "two"]
LETTERS = ["(A)", "(B)", "(C)"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


DAMAGES: dict[str, tuple[str, Callable[[Path], object], list[str]]] = {
    "half": ("model.safetensors", lambda f: cut(f, 0.5), ["damaged or cut short", "download it again"]),
    "empty": ("model.safetensors", lambda f: cut(f, 0), ["damaged or cut short", "download it again"]),
    "pointer": (
        "model.safetensors",
        lambda f: f.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"),
        ["is a Git LFS pointer, not the weights", "run git lfs pull"],
    ),
    "no-weights": ("model.safetensors", Path.unlink, ["the file is missing", "weights must be safetensors"]),
    "no-config": ("config.json", Path.unlink, ["no model is here", "give a folder in Hugging Face layout"]),
    "cut-config": ("config.json", lambda f: cut(f, 0.5), ["not valid JSON"]),
    "binary-config": ("config.json", lambda f: f.write_bytes(b"\xff\xfe\x00"), ["not valid JSON"]),
    "list-config": ("config.json", lambda f: f.write_text("[]"), ["not a JSON object"]),
    "cut-tokenizer": ("tokenizer.json", lambda f: cut(f, 0.5), ["not a readable tokenizer"]),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_file_is_named(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, damage, said = DAMAGES[case]
    damage(checkpoint(tmp_path / "model") / name)
    fails(capsys, 3, [*SMALL, "--model", "hf:./model"], f"model/{name}: ", *said)


def test_a_folder_without_a_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkpoint(tmp_path / "model") / "tokenizer.json").unlink()
    fails(capsys, 3, [*SMALL, "--model", "hf:./model"], "model: no tokenizer can be loaded")


@pytest.mark.parametrize("name", ["./missing", "/nowhere/model", "~/no-such-model", "no such folder"])
def test_a_missing_folder(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, 3, [*SMALL, "--model", f"hf:{name}"], f"there is no folder {name!r}; give a folder, or a hub id")


def test_a_name_that_the_hub_cannot_give(capsys: pytest.CaptureFixture[str]) -> None:
    said = ["cannot get 'org/none' at revision 'v9'", "no folder 'org/none' here", "check the id and the network"]
    fails(capsys, 3, [*SMALL, "--model", "hf:org/none@v9"], *said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden_size": "wide"}, "expected int, got str"),
        ({"num_attention_heads": 0}, "neither our decoder nor transformers"),
        ({"num_hidden_layers": 7}, "tensor 'model.layers.6.input_layernorm.weight' is missing; is the download"),
        ({"vocab_size": 7}, "has shape (500, 96), and config.json implies (7, 96)"),
        ({"model_type": "zork", "architectures": ["Zork"]}, "has model type `zork` but Transformers does not"),
    ],
)
def test_a_config_that_does_not_fit(
    change: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = json.loads((checkpoint(tmp_path / "model", change) / "config.json").read_text())
    said = said.replace("(500, 96)", f"({len(_vocabulary(tmp_path / 'model'))}, {shape['hidden_size']})")
    fails(capsys, 3, [*SMALL, "--model", "hf:./model"], "model", said.replace(", 96)", f", {shape['hidden_size']})"))


def _vocabulary(folder: Path) -> dict[str, int]:
    return dict(tk.Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab())


def questions(folder: Path, count: int = 3, wording: str = "What is {}") -> str:
    choices = [{"question": wording.format(n), "choices": ["one", "two"], "answer": 0} for n in range(1, count + 1)]
    return str(jsonl(folder / "items.jsonl", *choices))


@pytest.mark.parametrize(
    ("words", "unknown", "said"),
    [
        ([*WORDS, "(A)"], None, "the text cannot be tokenized (WordLevel error: Missing [UNK] token"),
        ([*WORDS, "(A)"], "[UNK]", "the tokenizer has no token for '(B)'; use a model whose vocabulary holds every"),
        (WORDS, "[UNK]", "the tokenizer has no token for '(A)', '(B)'; use a model whose vocabulary holds every"),
    ],
    ids=["closed", "one", "both"],
)
def test_letters_that_the_tokenizer_lacks_are_named(
    words: list[str], unknown: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(tmp_path / "model", wordy(words, unknown))
    command = [*SMALL, "--data", questions(tmp_path), "--model", "hf:./model"]
    for errors in ("0.01", "1"):
        line = fails(capsys, 3, [*command, "--max-errors", errors], "item calibration/lettered-0/items-1: ", said)
        assert "'(B)'" in line and "in error" not in line
    tiny(tmp_path / "model", wordy([*WORDS, *LETTERS], "[UNK]"))
    assert run(capsys, *command).code == 0


def test_a_prompt_beyond_the_context_is_an_error_row_and_too_many_fail_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(tmp_path / "model", wordy([*WORDS, *LETTERS], "[UNK]"), positions=24)
    data = questions(tmp_path, 110)
    command = [*SMALL, "--data", data, "--n", "500", "--model", "hf:./model"]
    with open(data, "a") as file:
        file.write(json.dumps({"question": "What is " * 20, "choices": ["one", "two"], "answer": 0}) + "\n")
    said = run(capsys, *command, "--json", "x.json")
    told = " ".join(said.out.split())
    assert said.code == 0 and "1 of 111 items are in error and left out; the first, calibration/lettered-0/" in told
    assert estimates("x.json")[0]["n"] == 110
    with the_run() as found:
        (row,) = [r for r in found.rows() if r.error]
        assert row.error is not None and "the prompt with its continuation has 4" in row.error
        assert "and the model's context holds 24" in row.error and "shorten the prompt" in row.error
    with open(data, "a") as file:
        file.write(json.dumps({"question": "What is one? " * 20, "choices": ["one", "two"], "answer": 0}) + "\n")
    fails(capsys, 4, command, "2 of 112 items are in error, more than --max-errors allows", "context holds 24")
    assert run(capsys, *command, "--max-errors", "0.02").code == 0
