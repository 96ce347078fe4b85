"""What the tests of faults share: a command run in this process, small evaluations, folders to damage."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tokenizers as tk
import torch

from gnomon.cli import main
from gnomon.models.families import save_folder
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig
from gnomon.store.run import Run, list_runs

__all__ = ["SMALL", "Said", "checkpoint", "estimates", "fails", "jsonl", "run", "the_run", "tiny", "wordy"]

# An evaluation whose planted subject answers in a few milliseconds.
SMALL = ["assay", "self-knowledge", "--only", "calibration", "--forms", "lettered", "--shots", "0", "--resamples", "20"]
# What a bar leaves behind where a command takes more than two seconds.
_PROGRESS = re.compile(r"[\w-]+: (preparing|\d+/\d+)")
_NOISE = re.compile(r"Traceback|Unclosed|GNOMON_DEBUG|never (awaited|retrieved)")


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    line: str


def run(capsys: pytest.CaptureFixture[str], *command: str) -> Said:
    """Runs `gnomon COMMAND` here; `line` is what it says after "gnomon: ", "" when it says nothing."""
    capsys.readouterr()
    code = main(list(command))
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("gnomon: ")]
    assert len(lines) == (code not in (0, 1)), (command, code, err)
    assert not _NOISE.search(err), err
    assert all(line.startswith(("gnomon: ", "page: ")) or _PROGRESS.match(line) for line in err.splitlines()), err
    return Said(code, out, lines[0].removeprefix("gnomon: ") if lines else "")


def fails(capsys: pytest.CaptureFixture[str], code: int, command: Sequence[str], *parts: str) -> str:
    """Runs a command that must end with `code`, and checks that its one line says each of `parts`."""
    said = run(capsys, *command)
    assert said.code == code and not said.out, (command, said)
    for part in parts:
        assert part in said.line, said.line
    return said.line


def the_run() -> Run:
    """The only run there is."""
    (listed,) = list_runs()
    return Run.find(str(listed.folder))


def estimates(path: str | Path) -> Any:
    """The estimates that `--json` wrote."""
    return json.loads(Path(path).read_text())["estimates"]


def jsonl(path: Path, *records: object) -> Path:
    """A file of JSON lines; text stands for itself."""
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    path.write_text("\n".join(lines) + "\n")
    return path


def checkpoint(folder: Path, change: Mapping[str, Any] | None = None) -> Path:
    """A copy of the checkpoint that ships, with keys of its config.json replaced."""
    shipped = Path(str(resources.files("gnomon") / "data" / "worlds" / "brook" / "checkpoint"))
    shutil.copytree(shipped, folder)
    if change:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | dict(change)))
    return folder


def tiny(folder: Path, backend: tk.Tokenizer, *, positions: int = 512) -> Path:
    """A folder with a random Llama around a tokenizer."""
    torch.manual_seed(0)
    config = TransformerConfig(
        vocab_size=backend.get_vocab_size(), d_model=8, num_layers=1, num_heads=2, d_mlp=8, max_positions=positions
    )
    save_folder(Transformer(config), folder, tokenizer=Tokenizer(backend))
    return folder


def wordy(words: Sequence[str], unknown: str | None) -> tk.Tokenizer:
    """A tokenizer of whole words; other words become `unknown`, or cannot be tokenized."""
    vocabulary = {word: i for i, word in enumerate([*([unknown] if unknown else []), *words])}
    how = {"unk_token": unknown} if unknown else {}
    backend = tk.Tokenizer(tk.models.WordLevel(vocabulary, **how))
    backend.pre_tokenizer = tk.pre_tokenizers.WhitespaceSplit()
    return backend


class Waits(list[float]):
    """Records the pauses between attempts instead of pausing."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)
        await asyncio.sleep(0)
