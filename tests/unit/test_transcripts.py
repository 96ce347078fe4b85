"""Comparisons as hh-rlhf's transcripts: what is written reads back as the same comparisons, the rest says why not."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.cli import main
from gnomon.core.errors import UsageError
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import Comparison, open_comparisons
from gnomon.data.feedback import Judgement, append
from gnomon.data.hub import find_file
from gnomon.data.transcripts import write_transcripts
from gnomon.models.base import Message
from gnomon.store.run import Run
from tests.unit.test_feedback import GOOD

WORDS = st.lists(st.sampled_from(["a", " ", "\n", ":", "Human:", "Assistant:", "\n\n"]), max_size=8).map("".join)
TALK = (Message("user", "hi"), Message("assistant", "hello"), Message("user", "and?"))


def comparison(chosen: str, rejected: str, prompt: object = TALK) -> Comparison:
    return Comparison(id="x", prompt=prompt, chosen=chosen, rejected=rejected)  # type: ignore[arg-type]  # some are wrong


@given(WORDS, WORDS)
def test_what_is_written_reads_back(tmp_path_factory: pytest.TempPathFactory, chosen: str, rejected: str) -> None:
    path = tmp_path_factory.mktemp("x") / "x.jsonl"
    left_out = write_transcripts([comparison(chosen, rejected)], path)
    if left_out:
        assert path.read_bytes() == b""
        return
    (found,) = open_comparisons(str(path), 0, Seed(0)).comparisons
    assert (found.chosen, found.rejected) == (f" {chosen.strip()}", f" {rejected.strip()}")
    assert found.prompt == "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: and?\n\nAssistant:"


def test_ordinary_answers_are_written_as_published(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    assert write_transcripts([comparison("one\n\ntwo", " three ")], path) == {}
    before = "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: and?\n\nAssistant:"
    assert json.loads(gzip.decompress(path.read_bytes())) == {
        "chosen": f"{before} one\n\ntwo",
        "rejected": f"{before} three",
    }
    first = path.read_bytes()
    write_transcripts([comparison("one\n\ntwo", " three ")], path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (comparison("a\n\nHuman: more", "b"), "an answer would be read as another"),
        (comparison("a", "b\n\nAssistant: more"), "an answer would be read as another"),
        (comparison("a", "b", (Message("system", "Be brief."), *TALK)), "its prompt is no conversation"),
        (comparison("a", "b", "Chat: Human: hi Assistant:"), "its prompt is no conversation"),
    ],
)
def test_what_the_layout_cannot_hold_is_left_out_and_named(tmp_path: Path, given: Comparison, why: str) -> None:
    left_out = write_transcripts([given, replace(comparison("a", "b"), id="y")], tmp_path / "x.jsonl")
    assert list(left_out) == ["x"] and why in left_out["x"]
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 1


def test_the_command_exports_judgements(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def judged(**changes: object) -> Judgement:
        return replace(GOOD, **changes)  # type: ignore[arg-type]  # by name

    source = tmp_path / "f.jsonl"
    for each in (judged(), judged(study="red-team"), judged(verdict="skip"), judged(verdict=4)):
        append(source, each)
    append(source, judged(answers=("a\n\nHuman: b", "c")))
    assert main(["export", str(source), "--format", "hh-rlhf"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'f.hh-rlhf.jsonl.gz'}\n"
    assert err.splitlines() == [
        "left out: 1 (skip)",
        "left out: 1 (weakest preference)",
        "left out: f-5 (an answer would be read as another: it holds what opens a turn, or nothing)",
    ]
    found = open_comparisons(out.strip(), 0, Seed(0)).comparisons
    assert [c.chosen for c in found] == [" At the mill.", " No idea."]
    assert main(["export", str(source), "--to", "hh-rlhf", "--file", str(tmp_path / "no/x.jsonl")]) == 4
    assert "cannot write it: No such file or directory" in capsys.readouterr().err
    assert main(["export", "7f3a", "--to", "hh-rlhf"]) == 3
    assert "7f3a: no such file" in capsys.readouterr().err


def test_what_a_run_left_is_found_by_its_name() -> None:
    with Run.open("study", "agreement", {"a": 1}) as run:
        append(run.folder / "feedback.jsonl", GOOD)
    with Run.open("study", "elo", {"a": 1}) as other:
        pass
    assert find_file(f"run:{run.id}") == run.folder / "feedback.jsonl"
    assert len(open_comparisons(f"run:{run.id}", 0, Seed(0)).comparisons) == 1
    with pytest.raises(UsageError, match="names no file of the run, and it left no data of its own"):
        find_file(f"run:{other.id}")
    assert find_file(f"run:{other.id}/x.jsonl") == other.folder / "x.jsonl"
    with pytest.raises(UsageError, match="no run is called 'zzz'"):
        find_file("run:zzz")
