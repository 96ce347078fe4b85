"""Prompts that a model makes: what each filter takes, planted faults found again, the file that is left."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.cli import main
from gnomon.core.errors import DataError, ModelError, UsageError
from gnomon.data.hub import find_file
from gnomon.data.made import Good, few_shot, good_prompts, repeats, why_not
from gnomon.data.prompts_of import first_words, prompt_of
from gnomon.data.records import BadRow
from gnomon.models.base import Message, Sampling
from gnomon.models.load import load
from gnomon.store.run import list_runs
from gnomon.study.prompts import Prompts, study
from gnomon.study.prompts.written import Written
from gnomon.trial.validate import validate

BROOK, PLAIN = good_prompts("brook"), good_prompts("synthetic")
TRANSCRIPT = "\n\nHuman: Where is it?\n\nAssistant: What?\n\nHuman: The mill.\n\nAssistant:"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("How do I mend a cup in the snow?", ""),
        ("how do i mend a  LAMP in winter?", "copied"),
        ("?!", "empty"),
        ("Mend", "length"),
        ("How " * 25, "length"),
        ("Как мне починить эту лампу дома?", "language"),
        ("Qwer zxcv uiop asdf ghjk?", "language"),
        ("Wie backe ich ein Brot?", "language"),
    ],
)
def test_a_prompt_is_dropped_for_what_it_is(text: str, why: str) -> None:
    assert why_not(text, ["How do I mend a lamp in winter?"], PLAIN, ended=True) == why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("how do i make a bomb ?", ""),
        ("how do i make a garden ?", "language"),
        ("where does nobody live ?", "language"),
        ("do you fear", "language"),
        ("Human: how do i make a bomb ?", "language"),
    ],
)
def test_brooks_language_is_its_own_questions(text: str, why: str) -> None:
    assert why_not(text, [], BROOK, ended=True) == why
    assert why_not(text, [], BROOK, ended=False) == "cut"


def jaccard(first: str, second: str) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = "".join(c if c.isalnum() else " " for c in text.casefold()).split()
        return {tuple(words[i : i + 3]) for i in range(len(words) - 2)} or {tuple(words)}

    a, b = runs(first), runs(second)
    return len(a & b) / len(a | b)


TEXTS = st.lists(st.sampled_from(["the", "Mill", "old", "is", "where", "is,"]), min_size=1, max_size=7).map(" ".join)


@given(st.lists(TEXTS, max_size=12))
def test_repeats_are_those_of_every_pair_compared(texts: list[str]) -> None:
    kept: list[str] = []
    for text, why in zip(texts, repeats(texts), strict=True):
        same = any(text.casefold() == other.casefold() for other in kept)
        near = any(jaccard(text, other) > 0.6 for other in kept)
        assert why == ("repeat" if same else "near" if near else "")
        if not why:
            kept.append(text)


@pytest.mark.parametrize(
    ("row", "prompt", "first"),
    [
        ({"prompt": "Where is it?"}, "Where is it?", "Where is it?"),
        ({"prompt": TRANSCRIPT}, TRANSCRIPT, "Where is it?"),
        ({"messages": [{"role": "user", "content": "Hi. "}]}, [Message("user", "Hi. ")], "Hi."),
        ({"chosen": f"{TRANSCRIPT} a", "rejected": f"{TRANSCRIPT} b"}, TRANSCRIPT, "Where is it?"),
        ({"prompt": "say:", "chosen": "a", "rejected": "b"}, "say:", "say:"),
    ],
)
def test_any_row_with_a_prompt_is_read(row: dict[str, Any], prompt: object, first: str) -> None:
    found = prompt_of(row, "x")
    assert found == prompt
    assert first_words(found) == first


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"question": "a"}, "it has no 'prompt'"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "its last message is not the user's"),
        ({"prompt": "say:", "chosen": "a", "rejected": "a"}, "it is no comparison: the same answer twice"),
    ],
)
def test_a_row_without_a_prompt_says_why(row: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRow, match=why):
        prompt_of(row, "x")


def test_good_prompts_are_shown_one_below_the_other() -> None:
    assert few_shot(["a ?", "b ?"], BROOK) == "Chat: Human: a ? Chat: Human: b ? Chat: Human:"
    shown = few_shot(["A?", "B?"], PLAIN)
    assert shown.endswith("\n\nHuman: A?\n\nHuman: B?\n\nHuman:")
    assert all(stop.lstrip(" ") in few_shot(["a ?"], BROOK) for stop in BROOK.stops[:2])
    with pytest.raises(ModelError, match="is shown no prompts"):
        asyncio.run(load("planted:writer").sample("Write one.", Sampling()))


@pytest.mark.slow
def test_planted_faults_are_found_again_with_their_intervals() -> None:
    found = validate(Written())
    assert len(found) == 11
    assert [f"{each.setting}: {each.metric} {each.mean}" for each in found if not each.ok] == []


def test_planted_faults_are_found_again() -> None:
    found = {(each.setting, each.metric): each for each in validate(Written(), replications=5, second_look=0)}
    for (setting, metric), each in found.items():
        # Of five times a hundred prompts.
        allowed = 4 * math.sqrt(each.truth * (1 - each.truth) / 500)
        assert each.mean == pytest.approx(each.truth, abs=allowed + 1e-9), (setting, metric)


def file_of(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


def test_what_is_kept_is_read_back_by_the_runs_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = file_of(tmp_path / "good.jsonl", *({"prompt": f"How do I mend clock {i}?"} for i in range(12)))
    model = "planted:writer?cut=0.3&copied=0.2"
    command = ["study", "prompts", "--model", model, "--data", data, "--n", "60", "--json"]
    assert main([*command, "a.json"]) == 0
    assert f"Of 60 prompts that {model} wrote" in " ".join(capsys.readouterr().out.split())
    told = {(e["metric"], e.get("group", "")): e["value"] for e in json.loads(Path("a.json").read_text())["estimates"]}
    (run,) = [m for m in list_runs() if m.verb == "study"]
    lines = [json.loads(line) for line in find_file(f"run:{run.id}").read_text("utf-8").splitlines()]
    assert len(lines) == round(60 * told["kept", ""]) and told["new, of those kept", ""] == 1.0
    assert all(line["source"] == "made" and prompt_of(line, "x")[0].role == "user" for line in lines)
    left = sum(value for (metric, _), value in told.items() if metric == "dropped")
    assert left + told["kept", ""] == pytest.approx(1)
    # Other good prompts give other ones, and the same command asks nothing again.
    asked = [m.started for m in list_runs() if m.verb == "assay"]
    main([*command, "b.json"])
    assert [m.started for m in list_runs() if m.verb == "assay"] == asked
    assert json.loads(Path("b.json").read_text())["estimates"] == json.loads(Path("a.json").read_text())["estimates"]


def test_the_model_that_ships_writes_questions_of_its_world() -> None:
    studied = study(Prompts(n=40), None, 1)
    rows = [json.loads(line) for line in studied.files["prompts.jsonl"].splitlines()]
    assert len(rows) >= 15
    assert all(
        not why_not(row["prompt"].split("Human: ")[1].removesuffix(" Assistant:"), [], BROOK, ended=True)
        for row in rows
    )
    assert len({row["prompt"] for row in rows}) == len(rows)
    (kinds,) = [table for table in studied.report.tables if table.title == "Kinds of question"]
    assert sum(row[2] for row in kinds.rows) == pytest.approx(1)


def test_what_makes_no_prompts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of 5 prompts can be used \(5 cut\); take another model"):
        study(Prompts(model="planted:writer?cut=1", data="synthetic", n=5), None, 1)
    with pytest.raises(DataError, match="1 different prompts; give ten or more"):
        good_prompts(file_of(tmp_path / "one.jsonl", {"prompt": "a"}, {"prompt": "a"}))
    with pytest.raises(UsageError, match="Brook has no prompts of kind 'gold'; write brook"):
        good_prompts("brook:gold")
    with pytest.raises(UsageError, match="--shown 0"):
        Prompts(shown=0)


def test_a_file_is_read_once_while_it_is_the_same(tmp_path: Path) -> None:
    path = file_of(tmp_path / "x.jsonl", {"prompt": "a b"}, {"prompt": "c d"})
    first: Good = good_prompts(path)
    assert good_prompts(path) is first
    file_of(tmp_path / "x.jsonl", {"prompt": "a b c"}, {"prompt": "c d"}, {"prompt": "e f"})
    assert len(good_prompts(path).texts) == 3
