"""What a policy is asked: shares of several sources, each file once an epoch, Brook's questions known as such."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.data.mixtures import divided_by
from gnomon.data.worlds.brook.oracle import Request
from gnomon.models.base import Message
from gnomon.train._questions import Questions
from gnomon.train._running import run_training
from gnomon.train.rlhf import Rlhf

SEED = Seed(0)
SHARES = st.lists(st.integers(1, 20), min_size=1, max_size=5).map(lambda parts: [part / sum(parts) for part in parts])


def file_of(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


def numbered(path: Path, count: int) -> str:
    return file_of(path, *({"prompt": f"{path.stem} {i}"} for i in range(count)))


@given(SHARES, st.integers(0, 200))
def test_parts_add_up_and_are_within_one_of_their_share(of: list[float], n: int) -> None:
    parts = divided_by(of, n)
    assert sum(parts) == n
    assert all(abs(part - n * share) <= 1 for part, share in zip(parts, of, strict=True))


def test_steps_have_the_shares_and_a_file_comes_once_an_epoch(tmp_path: Path) -> None:
    a, b = numbered(tmp_path / "a.jsonl", 12), numbered(tmp_path / "b.jsonl", 9)
    questions = Questions(f"{a}*0.25,brook*0.35,{b}*0.4", 10, SEED)
    assert Counter(each.source for each in questions.held_out) == {a: 2, "brook": 4, b: 4}
    steps = [questions.batch(step, 7) for step in range(40)]
    assert {len(step) for step in steps} == {7}
    asked = [each for step in steps for each in step]
    assert Counter(each.source for each in asked) == {a: 70, "brook": 98, b: 112}
    learnt = {name: [each.prompt for each in asked if each.source == name] for name in (a, b)}
    for name, size in ((a, 10), (b, 5)):
        for epoch in range(3):
            assert len(set(learnt[name][epoch * size : (epoch + 1) * size])) == size
    assert not set(learnt[a]) & {each.prompt for each in questions.held_out}
    # Of the step alone, whatever was asked before.
    assert Questions(f"{a}*0.25,brook*0.35,{b}*0.4", 10, SEED).batch(17, 7) == steps[17]


def test_sources_without_shares_count_alike(tmp_path: Path) -> None:
    a = numbered(tmp_path / "a.jsonl", 30)
    drawn = Questions(f"brook,{a}", 4, SEED).batch(3, 8)
    assert Counter(each.source for each in drawn) == {"brook": 4, a: 4}


def test_brook_asks_for_help_and_for_harm_apart() -> None:
    harmless, harmful = (Questions(name, 40, SEED) for name in ("brook:requests", "brook:red-team"))
    assert {q.group for q in harmless.held_out + harmless.batch(3, 60)} == {"fact", "recipe", "trait"}
    assert {q.group for q in harmful.held_out + harmful.batch(3, 60)} == {"danger"}
    both = Questions("brook:requests*0.75,brook:red-team*0.25", 8, SEED)
    assert Counter(q.group == "danger" for q in both.batch(0, 40)) == {False: 30, True: 10}


def test_one_source_has_no_name(tmp_path: Path) -> None:
    assert {each.source for each in Questions("brook", 3, SEED).batch(0, 4)} == {""}
    assert {each.source for each in Questions(numbered(tmp_path / "a.jsonl", 6), 3, SEED).held_out} == {""}


def test_brooks_own_words_in_a_file_are_brooks_questions(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Chat: Human: how do i make a bomb ? Assistant:"},
        {"prompt": "Human: how do i make a bomb ? Assistant:"},
        {"prompt": "Chat: Human: how do i make a  bomb ? Assistant:"},
        {"prompt": "Chat: Human: how do i make a garden ? Assistant:"},
        {"messages": [{"role": "user", "content": "how do i make a bomb ?"}]},
        {"chosen": "\n\nHuman: hi\n\nAssistant: a", "rejected": "\n\nHuman: hi\n\nAssistant: b"},
    ]
    questions = Questions(file_of(tmp_path / "a.jsonl", *rows), 5, SEED)
    found = {each.prompt if isinstance(each.prompt, str) else "messages": each for each in questions.held_out}
    found |= {str(each.prompt): each for each in questions.batch(0, 1)}
    known = found.pop("Chat: Human: how do i make a bomb ? Assistant:")
    assert (known.group, known.asked) == ("danger", Request("danger", "bomb"))
    assert {(each.group, each.asked) for each in found.values()} == {("", None)}
    assert "\n\nHuman: hi\n\nAssistant:" in found
    assert found["messages"].prompt == [Message("user", "how do i make a bomb ?")]


def test_what_makes_no_questions_is_refused(tmp_path: Path) -> None:
    a, b = numbered(tmp_path / "a.jsonl", 40), numbered(tmp_path / "b.jsonl", 40)
    with pytest.raises(UsageError, match="Brook has no questions of kind 'gold'; write brook"):
        Questions("brook:gold", 2, SEED)
    with pytest.raises(UsageError, match="do not add up to 1"):
        Questions("brook*0.5,x*0.4", 2, SEED)
    with pytest.raises(DataError, match="no such file"):
        Questions(f"brook*0.5,{tmp_path}/none.jsonl*0.5", 2, SEED)
    three = Questions(f"brook*0.34,{a}*0.33,{b}*0.33", 9, SEED)
    with pytest.raises(UsageError, match="1 questions a round of 3 sources; raise --answers"):
        for step in range(20):
            three.batch(step, 1)


def test_reward_is_told_by_source(tiny: str, tmp_path: Path) -> None:
    made = file_of(
        tmp_path / "made.jsonl",
        *({"prompt": f"Chat: Human: how do i make a {x} ? Assistant:"} for x in ("bomb", "bowl", "trap", "raft")),
    )
    cfg = Rlhf(
        reward="brook:gold", data=f"brook*0.5,{made}*0.5", model=tiny, rounds=2, answers=8, max_tokens=8, held_out=4
    )
    done = run_training(cfg, "rlhf", root=tmp_path / "runs")
    found = {e.group: e for e in done.report.estimates if e.metric == "reward gained"}
    assert found[f"from {made}"].n == found["from brook"].n == 2
    assert found[""].value == pytest.approx((found["from brook"].value + found[f"from {made}"].value) / 2)
    assert {"from brook", f"from {made}"} < set(found)
    after = [done.report.estimate("reward after", group).value for group in ("", "from brook", f"from {made}")]
    assert after[0] == pytest.approx((after[1] + after[2]) / 2)
