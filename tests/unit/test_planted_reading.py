"""A planted model's reader recovers what was asked from every form of every dialect, and notices when it cannot."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.core.errors import AbilityError, ModelError, UsageError
from gnomon.core.record import Item
from gnomon.data import prompts as plain
from gnomon.data.prompts import LETTERS, Dialect, Shot, dialect, framed
from gnomon.models.base import Sampling
from gnomon.models.planted.base import make
from gnomon.models.planted.reading import read

# No bracket, colon or line break: those are marks, and a text that holds marks is read as what it says.
LETTERS_AND_SIGNS = st.sampled_from("abcxyzABQÉß 0159,.'-?%&/")
LINE = st.text(LETTERS_AND_SIGNS, min_size=1, max_size=25).map(lambda t: " ".join(t.split())).filter(bool)
PROSE = st.lists(LINE, min_size=1, max_size=3).map("\n".join)
WORD = st.text(st.sampled_from("abcdefgh"), min_size=1, max_size=6)
BROOK = dialect("brook")


@st.composite
def items(draw: st.DrawFn, prose: st.SearchStrategy[str] = PROSE, line: st.SearchStrategy[str] = LINE) -> Item:
    choices = tuple(draw(st.lists(line, min_size=2, max_size=10, unique=True)))
    return Item(
        id="i",
        question=draw(prose),
        choices=choices,
        gold=draw(st.integers(0, len(choices) - 1)),
        note=draw(st.one_of(st.just(""), prose)),
        meta={"hint": draw(st.one_of(st.just(""), line))},
    )


brook_items = items(prose=st.lists(WORD, min_size=1, max_size=5).map(" ".join), line=WORD)


def shots_of(words: Dialect, form: str, others: list[Item]) -> str:
    shots = []
    for item in others:
        assert item.gold is not None
        if form == "choice":
            shots.append(Shot(words.choice_prompt(item), words.letters(len(item.choices))[item.gold]))
        elif form == "verdict":
            shots.append(Shot(words.verdict_prompt(item, item.choices[0]), words.verdicts()[item.gold % 2]))
        else:
            prompt = words.listed_prompt(item) if form == "listed" else words.open_prompt(item)
            shots.append(Shot(prompt, f" {item.choices[item.gold]}"))
    return words.header(shots)


@given(items(), st.lists(items(), max_size=3))
def test_lettered(item: Item, others: list[Item]) -> None:
    asked = read(shots_of(plain, "choice", others) + plain.choice_prompt(item))

    assert asked.form == "choice"
    assert (asked.question, asked.note, asked.hint) == (item.question, item.note, item.meta["hint"])
    assert asked.options == dict(zip(LETTERS, item.choices, strict=False))
    assert asked.shots == len(others)


@given(items(), st.lists(items(), max_size=3))
def test_listed(item: Item, others: list[Item]) -> None:
    asked = read(shots_of(plain, "listed", others) + plain.listed_prompt(item))

    assert asked.form == "listed"
    assert (asked.question, asked.note, asked.hint) == (item.question, item.note, item.meta["hint"])
    assert asked.listed == item.choices
    assert asked.options == {}
    assert asked.shots == len(others)


@given(items(), st.lists(items(), max_size=3))
def test_open(item: Item, others: list[Item]) -> None:
    asked = read(shots_of(plain, "open", others) + plain.open_prompt(item))

    assert asked.form == "open"
    assert (asked.question, asked.note, asked.hint) == (item.question, item.note, item.meta["hint"])
    assert asked.shots == len(others)


@given(items(), PROSE, st.lists(LINE, max_size=5), st.lists(items(), max_size=3))
def test_verdict(item: Item, proposed: str, ideas: list[str], others: list[Item]) -> None:
    asked = read(shots_of(plain, "verdict", others) + plain.verdict_prompt(item, proposed, ideas))

    assert asked.form == "verdict"
    assert (asked.question, asked.note, asked.proposed) == (item.question, item.note, proposed)
    assert asked.ideas == tuple(ideas)
    assert asked.options == {"A": "True", "B": "False"}
    assert asked.shots == len(others)


@given(items())
def test_confidence(item: Item) -> None:
    asked = read(plain.confidence_prompt(item))

    assert (asked.form, asked.question, asked.note) == ("confidence", item.question, item.note)


@given(items())
def test_a_chat_prompt_reads_as_the_text_it_was_made_of(item: Item) -> None:
    text = plain.choice_prompt(item)

    assert read(framed(text, True)) == read(text)


@given(brook_items, st.lists(brook_items, max_size=3))
def test_brook_lettered(item: Item, others: list[Item]) -> None:
    asked = read(shots_of(BROOK, "choice", others) + BROOK.choice_prompt(item))

    assert (asked.form, asked.question, asked.note, asked.shots) == ("choice", item.question, item.note, len(others))
    assert asked.options == dict(zip(LETTERS, item.choices, strict=False))
    assert asked.hint == item.meta["hint"]


@given(brook_items, st.lists(brook_items, max_size=3))
def test_brook_lists_no_options_without_letters(item: Item, others: list[Item]) -> None:
    asked = read(shots_of(BROOK, "listed", others) + BROOK.listed_prompt(item))

    assert (asked.form, asked.question, asked.note, asked.shots) == ("open", item.question, item.note, len(others))


@given(brook_items, WORD, st.lists(WORD, max_size=5))
def test_brook_verdict(item: Item, proposed: str, ideas: list[str]) -> None:
    asked = read(BROOK.verdict_prompt(item, proposed, ideas))

    assert (asked.form, asked.question, asked.proposed) == ("verdict", item.question, proposed)
    assert asked.ideas == tuple(ideas)


@given(
    st.lists(st.sampled_from("0123456789+-"), min_size=1, max_size=7).map(" ".join),
    st.sampled_from(["", "3 + 4 = 7 ."]),
    st.lists(brook_items, max_size=2),
)
def test_brook_problem(problem: str, steps: str, others: list[Item]) -> None:
    item = Item(id="p", question=problem, meta={"form": "problem", "hint": steps})
    asked = read(shots_of(BROOK, "open", others) + BROOK.open_prompt(item))

    assert (asked.form, asked.question, asked.hint, asked.shots) == ("open", problem, steps, len(others))
    worked = read(BROOK.steps_prompt(item))  # type: ignore[attr-defined]  # Brook's own form
    assert (worked.form, worked.question, worked.hint) == ("steps", problem, steps)


def test_brook_has_no_words_for_a_confidence() -> None:
    with pytest.raises(UsageError, match="no words for a confidence"):
        BROOK.confidence_prompt(Item(id="i", question="q"))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("Tell me a story.", "cannot find a question"),
        ("Question: what now?\nWell", "cannot find what to answer"),
        ("", "cannot find a question"),
    ],
)
def test_a_prompt_that_asks_nothing_is_refused(prompt: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read(prompt)


def test_a_prompt_that_lost_an_option_is_refused() -> None:
    model = make("calibrated", {})
    item = Item(id="i", question="q?", choices=("one", "two", "three"), gold=0)
    model.bind([item])  # type: ignore[arg-type]

    assert model.find(plain.choice_prompt(item))[1] is item  # type: ignore[arg-type]
    for form in (plain.choice_prompt, plain.listed_prompt):
        with pytest.raises(ModelError, match="knows no item that asks 'q\\?' with the options one, two"):
            model.find(form(replace(item, choices=("one", "two"))))  # type: ignore[arg-type]


def test_an_item_with_changed_options_does_not_stand_in_for_the_original() -> None:
    model = make("calibrated", {})
    item = Item(id="i", question="q?", choices=("one", "two"), gold=1)
    changed = replace(item, id="i/none", choices=("one", "none of the above"))
    model.bind([item, changed])  # type: ignore[arg-type]

    assert model.find(plain.verdict_prompt(item, "two"))[1] is item
    assert model.find(plain.choice_prompt(changed))[1] is changed


def test_unknown_planted_models_and_parameters_are_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'calibrated'"):
        make("calibratd", {})
    with pytest.raises(UsageError, match="has no parameter 'c'"):
        make("calibrated", {"c": "1"})
    with pytest.raises(UsageError, match="'x' is no float"):
        make("calibrated", {"a": "x"})


def test_a_model_that_plants_letters_alone_refuses_to_answer_openly() -> None:
    asked = Item(id="a", question="who is it ?", choices=("one", "two"), gold=0)
    model = make("calibrated", {"a": "0", "b": "1"})
    model.bind([asked])
    with pytest.raises(AbilityError, match="plants no answers but letters; ask it lettered questions"):
        asyncio.run(model.sample(plain.open_prompt(asked), Sampling(max_tokens=4)))
