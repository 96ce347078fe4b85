"""What the documents say is true: their commands run, their links lead somewhere, their generated parts are fresh."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from gnomon.cli import main
from tests.house.documents import Command, blocks, commands, documents, small
from tests.house.tree import ROOT
from tests.servers import letters, serving_in_thread

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in documents()]
NAMED = re.compile(r"`(\w+(?:/\w+)*\.py)`((?:, `_?\w+`)+)")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server that answers any lettered question."""
    with serving_in_thread(letters(0.3, 0.2, 0.1, *[0.4 / 7] * 7)) as running:
        yield running.url


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order and in one folder, as a reader would type them."""
    _run([c for c in commands(page) if not c.slow], server, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", PAGES)
def test_slow_commands_run(page: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run([c for c in commands(page) if c.slow], server, tmp_path, monkeypatch)


@pytest.mark.parametrize("page", PAGES)
def test_flags_are_there(page: Path) -> None:
    """Of every command, those too that no test can run."""
    for command in commands(page):
        named = command.words[: 3 if command.words[0] == "study" else 2]
        unknown = {w.split("=")[0] for w in command.words if w.startswith("--")} - _flags(named)
        assert not unknown, f"{command.where}: {unknown}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]
    assert [t for t in targets if not (page.parent / t).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_in_a_file_is_defined_there(page: Path) -> None:
    for file, names in NAMED.findall(page.read_text(encoding="utf-8")):
        text = (ROOT / "src/gnomon" / file).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"^\s*(def|class) {name}\b|^{name}\b", text, re.M), f"{page.name}: {file} has no {name}"


@pytest.mark.parametrize("script", [pytest.param(p, id=p.name) for p in EXAMPLES])
def test_examples_run(script: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_evaluation_that_contributing_shows_works(tmp_path: Path) -> None:
    """The one file it speaks of is put into the package's path, asked, and held against its planted truth."""
    (source,) = [b.text for b in blocks(ROOT / "CONTRIBUTING.md") if b.language == "python"]
    (tmp_path / "overconfidence.py").write_text(source, encoding="utf-8")
    start = (
        "import sys, gnomon.assay\n"
        f"gnomon.assay.__path__.append({str(tmp_path)!r})\n"
        "from gnomon.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", start, *words], cwd=tmp_path, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "overconfidence" in run("list")
    assert "Questions to ask." in run("assay", "overconfidence", "--help")
    assert "[" in run("assay", "overconfidence", "--data", "synthetic", "--model", "planted:calibrated", "--n", "50")
    assert "yes" in run("validate", "overconfidence", "--replications", "60")


def test_the_list_of_commands_is_fresh() -> None:
    """`make docs` writes it."""
    done = subprocess.run([sys.executable, ROOT / "docs/make.py", "--print"], capture_output=True, text=True)
    written = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("commands.md", "brook-kinds.md"))
    assert done.stdout == written, done.stderr or "run `make docs`"


@cache
def _flags(words: tuple[str, ...]) -> set[str]:
    """Every flag that the help of a command names."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main([*(w for w in words if not w.startswith("-")), "--help"]) == 0
    return {"--help", *re.findall(r"--[a-z][a-z-]*", shown.getvalue())}


def _run(todo: list[Command], server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GNOMON_RUNS", str(folder / "runs"))
    _any_checkpoint(folder / "my-checkpoint")
    for command in todo:
        if _cannot_run(command):
            continue
        words = [_filled(word, server) for word in small(command.words)]
        if "RUN" in words:
            words = _with_runs(words)
        # 1 is "done, with findings": a result like any other.
        assert main(words) in (0, 1), f"{command.where}: gnomon {' '.join(words)}"


def _any_checkpoint(folder: Path) -> None:
    """Stands for a reader's own model: it can read any text, and knows nothing."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from gnomon.models.tokenizer import Tokenizer as Ours
    from tests.contract.faults import tiny

    letters_of_bytes = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters_of_bytes)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["</s>"])
    tiny(folder, backend, positions=16384)
    Ours(backend, special={"eos_token": "</s>"}).save(folder)


def _cannot_run(command: Command) -> bool:
    """Models elsewhere and published data; validations take minutes, and tests of their own hold them."""
    if command.elsewhere or command.words[0] == "validate":
        return True
    data = command.words[command.words.index("--data") + 1] if "--data" in command.words else "brook"
    return data.partition(":")[0] not in ("brook", "synthetic") and not os.environ.get("GNOMON_DATA")


def _filled(word: str, server: str) -> str:
    word = word.replace("hf:FOLDER", "hf:my-checkpoint")
    return re.sub(r"^http://[\w.]+:\w+/v1#\w+", f"{server}#planted", word)


def _with_runs(words: list[str]) -> list[str]:
    """Every RUN replaced by the latest runs of the evaluation that has most of them."""
    from gnomon.store.run import list_runs

    by_name: dict[str, list[str]] = {}
    for manifest in list_runs():
        by_name.setdefault(manifest.name, []).append(manifest.id)
    ids = iter(max(by_name.values(), key=len))
    return [next(ids) if word == "RUN" else word for word in words]
