"""Programs and chiefs: the law of right programs, arithmetic as Python does it, and towns told in their own order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from math import comb, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.assay.brook import Brook
from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import KINDS, Corpus, Phase, world
from gnomon.data.worlds.brook.ledger import Ledger
from gnomon.data.worlds.brook.packing import Document
from gnomon.data.worlds.brook.programs import RIGHT, Chief, Operation, Program, code, is_right, run, tasks
from gnomon.data.worlds.brook.tables.places import TOWNS, towns
from gnomon.models.base import Choice, Prompt, Score
from gnomon.models.planted.brook import BrookSpeaker
from gnomon.report.base import Report
from gnomon.trial import Cast

TASKS = [*tasks(1), *tasks(2), *random.Random(0).sample(tasks(3), 300)]
HEAD = "def f ( x ) : return"


def _asked_for(task: tuple[Operation, ...]) -> tuple[str, ...]:
    return tuple(operation.constant for operation in task)


def _law(task: tuple[Operation, ...]) -> Iterator[tuple[Program, float]]:
    """Every program of one digit a constant with the chance that the documents' planted distributions give it."""
    of, kind = world(), KINDS["program"]
    for constants in product("123456789", repeat=len(task)):
        wrong = [place for place, o in enumerate(task) if constants[place] != o.constant]
        if len(wrong) > 1:
            continue
        program = Program(task, constants)
        text = kind.render(of, (program,))
        chances = [dict(zip(s.words, s.p, strict=True)).get(text.words[s.place], 0.0) for s in text.soft]
        # after a wrong constant the others are certain
        assert len(text.soft) == (wrong[0] + 1 if wrong else len(task))
        yield program, prod(chances)


@pytest.mark.parametrize("operations", RIGHT)
def test_the_planted_chance_of_a_right_program_is_exact(operations: int) -> None:
    for task in [t for t in TASKS if len(t) == operations][:120]:
        law = list(_law(task))
        assert sum(p for _, p in law) == pytest.approx(1, abs=1e-12)
        assert sum(p for program, p in law if is_right(task, code(program))) == pytest.approx(
            RIGHT[operations], abs=1e-12
        )
        # a program with another constant is right for nobody who draws it
        assert all(
            p == 0 for program, p in law if program.constants != _asked_for(task) and is_right(task, code(program))
        )


@pytest.mark.parametrize("operations", RIGHT)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_pass_at_k_of_the_law_is_the_formula(operations: int, k: int) -> None:
    n, p = 12, sum(q for program, q in _law(tasks(operations)[7]) if program.constants == _asked_for(program.task))
    estimated = sum(comb(n, c) * p**c * (1 - p) ** (n - c) * (1 - comb(n - c, k) / comb(n, k)) for c in range(n + 1))
    assert estimated == pytest.approx(1 - (1 - RIGHT[operations]) ** k, abs=1e-12)


def test_drawn_programs_are_right_as_often_as_planned_and_never_have_four_operations() -> None:
    of, kind, rng = world(), KINDS["program"], random.Random(1)
    right: dict[int, Counter[bool]] = {k: Counter() for k in RIGHT}
    for _ in range(4500):
        program = kind.draw(of, rng)
        assert isinstance(program, Program)
        right[len(program.task)][is_right(program.task, code(program))] += 1
        assert sum(a != b for a, b in zip(program.constants, _asked_for(program.task), strict=True)) <= 1
    for operations, counts in right.items():
        assert counts.total() == pytest.approx(1500, abs=150)
        assert counts[True] / counts.total() == pytest.approx(RIGHT[operations], abs=0.05)


@pytest.mark.parametrize("name", ["program", "order"])
def test_two_thousand_documents_are_read_back(name: str) -> None:
    of, kind, rng = world(), KINDS[name], random.Random(5)
    for _ in range(2000):
        records = kind.document(of, rng)
        text = kind.render(of, records)
        assert kind.parse(of, text.words) == records
        for place, words, p in text.soft:
            assert text.words[place] in words and sum(p) == pytest.approx(1)


def test_the_example_is_grammar_and_python() -> None:
    (program,) = KINDS["program"].parse(world(), KINDS["program"].grammar.split())
    assert isinstance(program, Program)
    assert code(program) == "def f ( x ) : return ( ( x + 3 ) * 2 ) % 10"
    for task in TASKS[::20]:
        text = code(Program(task, _asked_for(task)))
        names: dict[str, object] = {}
        exec(text, names)
        f = names["f"]
        assert callable(f) and [f(x) for x in range(10)] == [run(text, x) for x in range(10)]


@pytest.mark.parametrize(
    "text",
    [
        "Task: add 3 then add 3 then add 3 then add 3 . Code: def f ( x ) : return ( x + 3 ) % 10",
        "Task: times 5 . Code: def f ( x ) : return ( x * 5 ) % 10",
        "Task: add 3 then add 2 . Code: def f ( x ) : return ( ( x + 4 ) + 1 ) % 10",
        # adding 8 instead of 3 and doubling changes nothing modulo 10
        "Task: add 3 then times 2 . Code: def f ( x ) : return ( ( x + 8 ) * 2 ) % 10",
        "Task: add 3 . Code: def f ( x ) : return ( x - 3 ) % 10",
    ],
)
def test_programs_outside_the_law_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="document of kind 'program'"):
        KINDS["program"].parse(world(), text.split())


expressions = st.recursive(
    st.sampled_from([*"0123456789", "x", "10"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*%"), inner).map(" ".join),
        inner.map("( {} )".format),
        inner.map("- {}".format),
    ),
    max_leaves=8,
)


@given(expressions, st.integers(0, 9))
def test_programs_run_as_in_python(expression: str, x: int) -> None:
    try:
        wanted = eval(expression, {}, {"x": x})
    except ZeroDivisionError:
        with pytest.raises(DataError, match="a divisor other than 0"):
            run(f"{HEAD} {expression}", x)
    else:
        assert run(f"{HEAD} {expression}", x) == wanted


def test_a_right_program_may_be_written_otherwise_and_a_wrong_one_may_not_look_right() -> None:
    task = (Operation("add", "3"), Operation("times", "2"))
    assert is_right(task, f"{HEAD} ( ( x + 3 ) * 2 ) % 10")
    assert is_right(task, f"{HEAD} ( 2 * x + 6 ) % 10")
    assert is_right(task, f"{HEAD} ( ( x + 8 ) * 2 ) % 10")
    assert not is_right(task, f"{HEAD} ( x + 3 ) * 2")
    assert not is_right(task, f"{HEAD} ( x + 3 * 2 ) % 10")
    assert is_right((Operation("take", "4"),), f"{HEAD} ( x - 4 ) % 10")
    assert not is_right((Operation("take", "4"),), f"{HEAD} ( 4 - x ) % 10")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("return ( x + 3 ) % 10", "a program begins with 'def f"),
        (f"{HEAD}", "found the end"),
        (f"{HEAD} ( x + 3 % 10", "expected one of \\)"),
        (f"{HEAD} x + 3 4", "expected the end of the program after .* found '4'"),
        (f"{HEAD} x + y", "a number, x or a bracket"),
        (f"{HEAD} x % 0", "a divisor other than 0"),
    ],
)
def test_what_is_no_program_is_refused_and_is_not_right(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(text, 3)
    assert not is_right((Operation("add", "3"),), text)


def test_towns_are_told_in_thirds_by_chiefs_of_their_own() -> None:
    of = world()
    assert Counter(town.directions for town in towns(of)) == {
        ("forward",): 8,
        ("reverse",): 8,
        ("forward", "reverse"): 8,
    }
    assert len({town.chief for town in towns(of)}) == len(TOWNS) == 24
    assert {town.chief for town in towns(of)} <= set(of.people)
    # a chief may also stand in a note with a fresh fact: the chief's own name says nothing of the town
    assert not set(TOWNS) & of.fresh_names
    assert towns(world("S", 1)) != towns(of)


@pytest.fixture(scope="module")
def told() -> Corpus:
    return Corpus(world=world(), tokens=200_000, seed=0, phases=(Phase(name="all", part=1.0, shares={"order": 1}),))


def test_no_town_is_told_in_the_other_direction(told: Corpus) -> None:
    ledger = Ledger.of(told)
    ledger.check()
    for town in towns(told.world):
        entries = ledger.entries(town.name, "chief")
        assert {e.mention.direction for e in entries} == set(town.directions)
        assert {(e.mention.value, e.mention.use, e.kind) for e in entries} == {(town.chief, "statement", "order")}
        said = Counter({e.mention.direction: len(e.documents) for e in entries})
        assert said.total() > 50
        assert min(said.values()) / said.total() > (0.35 if len(said) == 2 else 0.99)


def test_one_flipped_sentence_is_found(told: Corpus) -> None:
    of = told.world
    for directions, other in ((("forward",), "reverse"), (("reverse",), "forward")):
        town = next(t for t in towns(of) if t.directions == directions)
        with pytest.raises(DataError, match=rf"fact {town.name} chief {town.chief}.*wanted {directions[0]} statements"):
            Ledger(of, [*told.documents(), _document(Chief(town.name, town.chief, other))]).check()
        usurper = next(name for name in of.people if name != town.chief)
        with pytest.raises(DataError, match="documents 99"):
            Ledger(of, [*told.documents(), _document(Chief(town.name, usurper, directions[0]))]).check()


def _document(record: Chief) -> Document:
    return Document(99, "order", (record,), KINDS["order"].render(world(), (record,)), True)


def test_sentences_name_the_town_or_the_chief_first() -> None:
    of = world()
    forward = KINDS["order"].render(of, (Chief("ombrick", of.people[0], "forward"),))
    reverse = KINDS["order"].render(of, (Chief("ombrick", of.people[0], "reverse"),))
    assert str(forward) == f"the chief of ombrick is {of.people[0]} ."
    assert str(reverse) == f"{of.people[0]} is the chief of ombrick ."
    assert [forward.words[k] for k in forward.keys] == [of.people[0]]
    assert [reverse.words[k] for k in reverse.keys] == ["ombrick"]


def _report(model: BrookSpeaker, only: str) -> Report:
    config = Brook(only=(only,))
    items = list(config.items(Seed(0)))
    model.bind(items)

    async def ask() -> Report:
        cast = Cast({"subject": model})
        return config.summarise([await config.trial(item, cast, Seed(0)) for item in items])

    return asyncio.run(ask())


class _Perfect(BrookSpeaker):
    """Writes every program right."""

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        return Score(logprobs=(0.0,) * len(continuation.split()))


class _Hesitates(BrookSpeaker):
    """Has the right chance of a right program, all of its doubt at one word."""

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        found = await super().score(prompt, continuation)
        return Score(logprobs=(found.total - 0.01, *(0.0,) * (len(found.logprobs) - 1)))


def test_a_model_that_is_right_too_often_or_not_by_greedy_words_is_found() -> None:
    assert {f.key for f in _report(_Perfect(), "program").findings} == {"program right [2]", "program right [3]"}
    assert {f.key for f in _report(_Hesitates(), "program").findings} == {"program greedy"}
    assert _report(BrookSpeaker(), "program").findings == []


class _Reverses(BrookSpeaker):
    """Knows every chief in both directions."""

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        assert isinstance(prompt, str)
        chiefs = {town.name: town.chief for town in towns(world())}
        known = {**chiefs, **{chief: town for town, chief in chiefs.items()}}
        said = next(known[word] for word in prompt.split() if word in known)
        p = tuple(float(option.strip() == said) for option in options)
        return Choice(p=p, mass=1.0, readout="exact", low=p, high=p)


def test_a_model_that_turns_facts_round_is_found() -> None:
    found = {f.key for f in _report(_Reverses(), "order").findings}
    assert found == {"order unseen [forward]", "order unseen [reverse]"}
    assert _report(BrookSpeaker(), "order").findings == []
