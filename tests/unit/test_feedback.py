"""People's judgements: what a row must hold, what it says, how it is kept, and what becomes of it in training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gnomon.core.errors import DataError, RunError
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import open_comparisons
from gnomon.data.feedback import STEPS, Judgement, append, as_line, open_judgements
from gnomon.models.base import Message
from tests.house.tree import ROOT

SEED = Seed(0)
GOOD = Judgement(
    study="helpful",
    conversation="c1",
    messages=(Message("user", "Where is it ?"),),
    answers=("At the mill.", "No idea."),
    models=("run:a", "run:b"),
    shown=(1, 0),
    verdict=8,
    worker="w1",
    seed=3,
    time="2026-03-01T09:30:00+00:00",
)


def written(path: Path, *judgements: Judgement) -> Path:
    for each in judgements:
        append(path, each)
    return path


def row(**changes: Any) -> dict[str, Any]:
    return {**json.loads(as_line(GOOD)), **changes}


def test_a_judgement_comes_back_as_it_was_written(tmp_path: Path) -> None:
    other = replace(GOOD, study="red-team", verdict="both bad", answers=("α\n", "\u2028b"), seed=-1)
    found = open_judgements(str(written(tmp_path / "f.jsonl", GOOD, other)))
    assert found.things == (GOOD, other)
    assert (tmp_path / "f.jsonl").read_bytes().count(b"\n") == 2


@pytest.mark.parametrize("shown", [(0, 1), (1, 0)])
def test_the_scale_runs_from_the_answer_shown_first_to_the_other(shown: tuple[int, int]) -> None:
    steps = [replace(GOOD, shown=shown, verdict=step) for step in range(1, STEPS + 1)]
    assert [each.picked for each in steps] == [shown[0]] * 4 + [shown[1]] * 4
    assert [each.strength for each in steps] == [4, 3, 2, 1, 1, 2, 3, 4]
    assert [each.unused for each in steps] == [""] * 3 + ["weakest preference"] * 2 + [""] * 3


def test_who_red_teams_picks_the_more_harmful() -> None:
    assert (GOOD.picked, GOOD.better) == (0, 0)
    attack = replace(GOOD, study="red-team")
    assert (attack.picked, attack.better) == (0, 1)
    assert replace(attack, verdict="skip").better is None


def test_an_item_is_the_same_in_whatever_order_its_answers_stand() -> None:
    turned = replace(GOOD, answers=GOOD.answers[::-1], worker="w2", verdict=2, seed=9)
    assert turned.item == GOOD.item
    assert len({GOOD.item, replace(GOOD, study="red-team").item, replace(GOOD, answers=("a", "b")).item}) == 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"verdict": 0}, "'verdict' is 0, not 1 to 8 or one of tie, skip, both bad"),
        ({"verdict": True}, "'verdict' is True, not 1 to 8"),
        ({"verdict": "good"}, "'verdict' is 'good', not 1 to 8"),
        ({"study": "harmless"}, "'study' is 'harmless', not helpful or red-team"),
        ({"study": ["helpful"]}, "'study' is ['helpful'], not helpful or red-team"),
        ({"shown": [1, 1]}, "'shown' is [1, 1], not [0, 1] or [1, 0]"),
        ({"shown": [True, False]}, "'shown' is [True, False], not two numbers"),
        ({"answers": ["a"]}, "'answers' is ['a'], not two texts"),
        ({"answers": ["a", " "]}, "one of 'answers' is empty"),
        ({"models": ["a", 3]}, "'models' is ['a', 3], not two texts"),
        ({"worker": ""}, "'worker' is empty"),
        ({"seed": "3"}, "'seed' is '3', not a whole number"),
        ({"time": "yesterday"}, "'time' is 'yesterday', not a moment with its zone"),
        ({"time": "2026-03-01T09:30:00"}, "not a moment with its zone"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "its last message is not the user's"),
        ({"extra": 1}, "'extra' is no field of a judgement"),
    ],
)
def test_a_row_that_is_no_judgement_says_why(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    (tmp_path / "f.jsonl").write_text(f"{as_line(GOOD)}\n{json.dumps(row(**changes))}\n", encoding="utf-8")
    for opened in (open_judgements, lambda spec: open_comparisons(spec, 0, SEED)):
        with pytest.raises(DataError, match=r"1 of 2 rows cannot be used \(line 2: ") as refused:
            opened(str(tmp_path / "f.jsonl"))
        assert why in str(refused.value)


@pytest.mark.parametrize("field", ["worker", "time", "conversation", "models"])
def test_a_field_that_is_missing_is_named(tmp_path: Path, field: str) -> None:
    lacking = {name: value for name, value in row().items() if name != field}
    (tmp_path / "f.jsonl").write_text(json.dumps(lacking), encoding="utf-8")
    with pytest.raises(DataError, match=f"line 1: it has no '{field}'"):
        open_comparisons(str(tmp_path / "f.jsonl"), 0, SEED)


def test_what_trains_nothing_is_counted_by_why(tmp_path: Path) -> None:
    verdicts: list[Any] = [1, 4, 5, 5, "tie", "skip", "both bad", "both bad", "both bad"]
    judgements = [replace(GOOD, verdict=verdict) for verdict in verdicts]
    same = replace(GOOD, answers=("a", "a "))
    found = open_comparisons(str(written(tmp_path / "f.jsonl", *judgements, same)), 0, SEED)
    assert found.unused == {
        "weakest preference": 3,
        "tie": 1,
        "skip": 1,
        "both bad": 3,
        "the same answer twice": 1,
    }
    (kept,) = found.comparisons
    assert (kept.prompt, kept.chosen, kept.rejected) == (GOOD.messages, *GOOD.answers[::-1])


def test_the_label_of_red_teaming_is_turned_round(tmp_path: Path) -> None:
    attack = replace(GOOD, study="red-team", answers=("First melt it.", "I will not."), shown=(0, 1), verdict=1)
    (found,) = open_comparisons(str(written(tmp_path / "f.jsonl", attack)), 0, SEED).comparisons
    assert (found.chosen, found.rejected) == ("I will not.", "First melt it.")


def test_turns_of_one_conversation_stay_on_one_side(tmp_path: Path) -> None:
    turns = [
        replace(GOOD, conversation=f"c{i}", messages=(Message("user", f"Turn {turn}"),))
        for i in range(20)
        for turn in range(4)
    ]
    given = open_comparisons(str(written(tmp_path / "f.jsonl", *turns)), 0, SEED)
    train, held = given.split(20, SEED)
    assert (len(train), len(held), len({c.cluster for c in held})) == (60, 20, 5)
    assert not {c.cluster for c in train} & {c.cluster for c in held}
    # The same two answers to another turn are another comparison.
    assert len({c.pair for c in given.comparisons}) == 4


def test_a_line_that_a_kill_cut_short_is_one_bad_row(tmp_path: Path) -> None:
    path = written(tmp_path / "f.jsonl", GOOD, GOOD)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(DataError, match=r"1 of 2 rows cannot be used \(line 2: it is no JSON"):
        open_judgements(str(path))
    append(path, GOOD)
    found = open_judgements(str(path), drop_bad=True)
    assert (found.things, found.num_bad) == ((GOOD, GOOD), 1)
    # A last line that somebody saved without its end is whole.
    path.write_bytes(whole[:-1])
    append(path, GOOD)
    assert len(open_judgements(str(path)).things) == 3


ENDLESS = """
import sys
from pathlib import Path
from gnomon.data.feedback import append
from tests.unit.test_feedback import GOOD
while True:
    append(Path(sys.argv[1]), GOOD)
    print(flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    with subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        acknowledged = sum(len(child.stdout.readline()) for _ in range(30))
        os.kill(child.pid, signal.SIGKILL)
        acknowledged += len(child.stdout.read())
    append(path, GOOD)
    assert len(open_judgements(str(path), drop_bad=True).things) > acknowledged


def test_several_who_add_at_once_lose_nothing(tmp_path: Path) -> None:
    path, long = tmp_path / "f.jsonl", replace(GOOD, answers=("x" * 20_000, "y"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: append(path, replace(long, seed=i)), range(40)))
    assert sorted(each.seed for each in open_judgements(str(path)).things) == list(range(40))


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "f.jsonl", GOOD)
    before, write = path.read_bytes(), os.write

    def half(handle: int, data: bytes) -> int:
        if len(data) < len(before):
            raise OSError(28, "No space left on device")
        return write(handle, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(RunError, match="No space left on device"):
        append(path, GOOD)
    assert path.read_bytes() == before
