"""Overlap of measured items with training data, against brute force and by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.data.overlap import Text, overlap
from gnomon.models.base import Message
from tests.pace import within

WORDS = st.lists(st.sampled_from("abc"), min_size=0, max_size=12).map(" ".join)
TEXTS = st.lists(st.builds(lambda p, a: Text(p, (a,)), WORDS, WORDS), max_size=6)


def brute(trained: list[Text], measured: list[Text], n: int) -> tuple[list[bool], list[bool], list[bool]]:
    def runs(text: Text) -> set[tuple[str, ...]]:
        parts = [part.split() for part in (str(text.prompt), *text.answers)]
        return {tuple(part[i : i + n]) for part in parts for i in range(len(part) - n + 1)}

    prompts, answers = {t.prompt for t in trained}, {a for t in trained for a in t.answers}
    known = set().union(*map(runs, trained)) if trained else set()
    return (
        [t.prompt in prompts for t in measured],
        [any(a in answers for a in t.answers) for t in measured],
        [bool(runs(t) & known) for t in measured],
    )


@given(TEXTS, TEXTS, st.integers(1, 6))
def test_counts_are_those_of_brute_force(trained: list[Text], measured: list[Text], n: int) -> None:
    found = overlap(trained, measured, words=n)
    prompts, answers, runs = brute(trained, measured, n)
    assert (found.prompts, found.answers, found.runs) == (sum(prompts), sum(answers), sum(runs))
    assert found.met == tuple(i for i in range(len(measured)) if answers[i] or runs[i])


def test_case_punctuation_and_messages() -> None:
    trained = [Text([Message("user", "Where is  it?")], (" In the mill, by the river.",))]
    same = Text("where is it?", ("in the MILL by the river - behind the house",))
    other = Text("Where is it?", (" In the mill, by the river. ",))
    found = overlap(trained, [same, other], words=6)
    assert (found.prompts, found.answers, found.runs) == (1, 1, 2)
    assert found.told == ("of 2 items, 1 have a prompt, 1 an answer and 2 a run of 6 words of the training data")


def test_a_run_does_not_cross_from_prompt_to_answer() -> None:
    assert overlap([Text("a b", ("c d",))], [Text("x", ("b c",))], words=2).runs == 0


def test_the_length_of_runs_follows_the_short_items() -> None:
    def items(length: int) -> list[Text]:
        return [Text("", (" ".join(["w"] * length),))] * 20

    assert [overlap([], items(n)).words for n in (3, 10, 40)] == [8, 10, 13]
    assert overlap([], items(3)).short == 20
    with pytest.raises(UsageError, match="runs of 0 words"):
        overlap([], [], words=0)


def test_a_million_words_take_less_than_two_seconds() -> None:
    draw = random.Random(0)
    vocabulary = [f"w{i}" for i in range(5000)]
    trained = [
        Text(" ".join(draw.choices(vocabulary, k=20)), (" ".join(draw.choices(vocabulary, k=80)),))
        for _ in range(10_000)
    ]
    with within(2):
        found = overlap(trained, trained[:500], words=13)
    assert found.runs == found.answers == 500


def test_trainers_say_what_they_met() -> None:
    from gnomon.train import preference, sft

    told = sft.preview(sft.Sft(dialogues=60, held_out=20))["held out, met in training"]
    assert told.startswith("of ") and ", 0 have a prompt, " in told, "no prompt is on both sides"
    cfg = preference.Preference(pairs=60, held_out=20)
    told = preference.preview(cfg)["held out, met in training"]
    assert told.startswith("of 2") and "a run of 1" in told
    rows = [_row(0, told), _row(1, "")]
    assert preference.summarise(rows).notes == [f"Held out, met in training: {told}."]


def _row(place: int, told: str) -> Row:
    common = {"objective": "ranked", "chosen": 1.0, "rejected": float(place), "p": None, "group": "", "tokens": [1, 1]}
    more = {"left_out": {"met": told}} if told else {}
    return Row(key=str(place), cluster=str(place), evidence={**common, "characters": [3, 4], **more})
