"""The commands that the documents show, and how a test runs them: placeholders filled, sizes made small."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.house.tree import ROOT

FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```", re.M | re.S)
COMMENT = re.compile(r"\s+#\s.*$|^#.*$", re.M)
# Sizes at which every command ends in seconds; a document's own values are for its readers.
SMALL = {
    "assay self-knowledge": {"--n": "20", "--samples": "4", "--resamples": "200", "--head-questions": "40"},
    "study sizes": {"--n": "20", "--samples": "4", "--resamples": "200", "--head-questions": "40"},
    "study judges": {"--n": "20", "--samples": "4", "--resamples": "200"},
    "study objectives": {"--pairs": "40", "--held-out": "20", "--seeds": "1"},
    "study preference-scaling": {"--pairs": "40", "--held-out": "20", "--seeds": "1"},
    "study tension": {"--shares": "0,1", "--weights": "0", "--pairs": "40", "--test": "20", "--seeds": "1"},
    "study rlhf": {"--pairs": "20", "--few": "10", "--rounds": "2", "--snapshots": "1", "--held-out": "10", "--n": "3"},
    "study agreement": {"--n": "30", "--resamples": "100"},
    "study prompts": {"--n": "20"},
    "study robustness": {
        "--data": "brook",
        "--pairs": "24",
        "--rounds": "4",
        "--every": "2",
        "--probes": "6",
        "--held-out": "10",
        "--seeds": "1",
    },
    "study best-of": {"--pairs": "24", "--rounds": "2", "--answers": "8", "--k": "1,4", "--n": "6"},
    "study online": {
        "--pairs": "24",
        "--rounds": "2",
        "--policy-rounds": "2",
        "--snapshots": "1",
        "--best-of": "2",
        "--test": "6",
        "--judged": "6",
        "--seeds": "1",
    },
    "study frontier": {
        "--shares": "0,0.5",
        "--attacks": "0.9",
        "--pairs": "24",
        "--rounds": "2",
        "--snapshots": "1",
        "--n": "6",
        "--test": "6",
        "--seeds": "1",
    },
    "study repeated-data": {
        "--widths": "16,32",
        "--shares": "0.5",
        "--epochs": "4,10",
        "--tokens": "20480",
        "--context": "64",
        "--fine-tune": "4096",
        "--seeds": "1",
    },
    "train repeats": {"--tokens": "20480", "--share": "0.5", "--epochs": "40", "--snapshots": "2"},
    "study pmp": {"--n": "8", "--without": "32", "--source-pairs": "16", "--held-out": "20", "--seeds": "1"},
    "assay brook": {"--n": "20"},
    "assay hhh": {"--n": "10"},
    "assay comparisons": {"--n": "20"},
    "assay sentiment": {"--n": "4"},
    "assay utterances": {"--n": "20"},
    "assay instructions": {"--n": "20"},
    "assay ability": {"--n": "6"},
    "assay toxicity": {"--n": "4"},
    "assay ood": {"--n": "20", "--fit": "80"},
    "assay code": {"--n": "6", "--samples": "2"},
    "assay docstrings": {"--n": "6", "--samples": "2"},
    "train code": {"--problems": "20", "--held-out": "4", "--samples": "2", "--epochs": "1"},
    "train docstring": {"--problems": "20", "--held-out": "4", "--samples": "2", "--epochs": "1"},
    "train sft": {"--dialogues": "64", "--held-out": "20"},
    "train rlhf": {"--rounds": "2", "--answers": "8", "--held-out": "10"},
    "train distill": {"--texts": "64", "--held-out": "20"},
    "study assistant": {"--texts": "32", "--held-out": "8", "--n": "2", "--lengths": "2", "--tasks": "brook-facts"},
    "train toy": {"--tokens": "16384", "--snapshots": "2"},
    "study induction-family": {
        "--tokens": "65536",
        "--snapshots": "12",
        "--seeds": "1",
        "--documents": "8",
        "--sequences": "2",
        "--ablated": "2",
    },
    "train preference": {"--pairs": "64", "--held-out": "20"},
    "train pretrain": {"--model-size": "xs", "--tokens": "150000", "--watch-every": "0"},
}
SOMEWHERE = re.compile(r"(openai|anthropic):\S+|hf:[\w-]+/[\w.-]+@\S+")


class Block(NamedTuple):
    """A fenced block: its language, the rest of the line that opens it, its text and its first line's number."""

    language: str
    info: str
    text: str
    line: int


class Command(NamedTuple):
    """A `gnomon` command of a document: where it stands, its words, and whether the document calls it slow."""

    where: str
    words: tuple[str, ...]
    slow: bool

    @property
    def elsewhere(self) -> bool:
        """Whether it needs a model that is not here: an API with a key, or a download."""
        return any(SOMEWHERE.fullmatch(word) for word in self.words)


def documents() -> list[Path]:
    """The project's pages."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        yield Block(found[1], found[2].strip(), found[3], text.count("\n", 0, found.start()) + 2)


def commands(page: Path) -> list[Command]:
    """The `gnomon` commands in a page's ```sh blocks; ```sh slow``` marks those that take minutes."""
    found = []
    for block in blocks(page):
        if block.language != "sh":
            continue
        text = COMMENT.sub("", block.text.replace("\\\n", "  "))
        for number, line in enumerate(text.split("\n")):
            if line.startswith("gnomon "):
                where = f"{page.relative_to(ROOT)}:{block.line + number}"
                found.append(Command(where, tuple(shlex.split(line)[1:]), "slow" in block.info))
    return found


def small(words: tuple[str, ...]) -> list[str]:
    """The command with the sizes of `SMALL` in place of the document's."""
    sizes = SMALL.get(" ".join(words[:2]), {})
    kept = list(words)
    if "--dry-run" in words or "--help" in words:
        return kept
    for flag, value in sizes.items():
        if flag in kept:
            kept[kept.index(flag) + 1] = value
        else:
            kept += [flag, value]
    return kept
