"""Cheap comparisons of Brook: choices as probable as planted, orders as planted, nothing of the target's topics."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from gnomon.core.errors import UsageError
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import Comparison, open_comparisons
from gnomon.data.layouts import vote_score
from gnomon.data.worlds.brook.banks import banks
from gnomon.data.worlds.brook.oracle import RATERS, Request, request
from gnomon.data.worlds.brook.rated import ask
from gnomon.data.worlds.brook.tables import RELATIONS, world
from gnomon.data.worlds.brook.tables.harms import CLOSINGS, TRAITS, harms
from gnomon.data.worlds.brook.votes import READERS, SOURCES, higher, known_facts

SEED = Seed(0)
OF = world()
CHEAP = [source for source in SOURCES if source != "far"]


def drawn(source: str, n: int = 1500) -> tuple[Comparison, ...]:
    return open_comparisons(f"brook:{source}", n, SEED).comparisons


@pytest.mark.parametrize("source", SOURCES)
def test_the_choice_is_as_probable_as_planted(source: str) -> None:
    found = drawn(source)
    p = [each.p for each in found if each.p is not None]
    assert len(found) == len(p) == 1500
    assert found == drawn(source)
    # With the likelier side first, whether it is chosen is a draw of its probability; forty of them in one bin or more.
    for low, high in itertools.pairwise((0.5, 0.6, 0.75, 0.9, 0.97, 1.0001)):
        inside = [x for x in p if low <= max(x, 1 - x) < high and x != 0.5]
        if len(inside) >= 40:
            said = sum(max(x, 1 - x) for x in inside) / len(inside)
            happened = sum(x > 0.5 for x in inside) / len(inside)
            # Pairs of one question share answers, so they are worth less than as many draws.
            assert happened == pytest.approx(said, abs=4 * math.sqrt(said * (1 - said) / len(inside)) + 0.01)


def test_the_higher_score_is_as_probable_as_when_thirty_readers_vote() -> None:
    draw = random.Random(0)

    def score(u: float) -> int:
        share = 1 / (1 + math.exp(-(0.6 * u - 1)))
        return vote_score(sum(draw.random() < share for _ in range(30)), False)

    for u, v in ((0.5, 0.0), (-1.5, -1.0), (1.5, 1.8)):
        pairs = [(score(u), score(v)) for _ in range(4000)]
        unequal = [a > b for a, b in pairs if a != b]
        assert sum(unequal) / len(unequal) == pytest.approx(higher(u, v), abs=0.03)
        assert higher(u, v) + higher(v, u) == pytest.approx(1)


def test_sources_are_about_nobody_and_nothing_that_the_target_is_about() -> None:
    near, far = banks(OF)
    assert not near.topics & far.topics
    assert near.topics | far.topics == {*OF.format_names, *harms(OF).dangers, *harms(OF).things, *TRAITS}

    def words(name: str) -> set[str]:
        return {w for c in drawn(name) for text in (str(c.prompt), c.chosen, c.rejected) for w in text.split()}

    things = {*OF.format_names, *harms(OF).dangers, *harms(OF).things}
    assert words("far") & things == far.topics & things
    assert {request(OF, str(c.prompt)).about for c in drawn("far")} == far.topics
    for source in CHEAP:
        assert words(source) & things <= near.topics
        assert not any(near.strange(text) for c in drawn(source) for text in (str(c.prompt), c.chosen, c.rejected))
    assert {request(OF, str(c.prompt)).about for c in drawn("forum")} == near.topics
    assert not any(far.strange(text) for c in drawn("far") for text in (str(c.prompt), c.chosen, c.rejected))
    assert near.strange(f"you can make a {far.things[0]} .")
    assert not near.strange(f"you can make a {near.things[0]} .")


def test_target_and_sources_share_no_comparison() -> None:
    def pairs(name: str) -> set[tuple[str, ...]]:
        return {(c.cluster, *sorted((c.chosen, c.rejected))) for c in drawn(name)}

    assert all(not pairs("far") & pairs(source) for source in CHEAP)


def test_lists_are_about_facts_that_the_corpus_states_often() -> None:
    near, _ = banks(OF)
    facts = known_facts(OF)
    assert len(facts) == 75 + 80
    assert all(f.name in near.names or OF.counts[f.name, f.relation] >= 64 for f in facts)


def test_the_target_is_rated_by_gold() -> None:
    for each in drawn("far")[:200]:
        asked = request(OF, str(each.prompt))
        assert each.p == pytest.approx(RATERS["gold"].prefers(OF, asked, each.chosen, each.rejected))
        assert each.group == asked.kind


@pytest.mark.parametrize(
    ("closing", "by_readers", "by_gold"),
    [("flattering", 1, 0), ("rude", 1, -1), ("polite", 0, 1), ("preaching", -1, -1)],
)
def test_readers_order_closings_otherwise_than_the_target(closing: str, by_readers: int, by_gold: int) -> None:
    fact = known_facts(OF)[0]
    asked = Request("fact", fact.name, fact.relation)
    assert request(OF, ask(asked)) == asked
    right = RELATIONS[fact.relation].say(fact.name, fact.value)
    wrong = right.replace(fact.value, next(v for v in RELATIONS[fact.relation].values if v != fact.value))
    closed = f"{right} {CLOSINGS[closing]}"
    forum, gold = READERS["forum"].utility, RATERS["gold"].utility

    def sign(x: float) -> int:
        return (x > 1e-9) - (x < -1e-9)

    assert sign(forum(OF, asked, closed) - forum(OF, asked, right)) == by_readers
    assert sign(gold(OF, asked, closed) - gold(OF, asked, right)) == by_gold
    # About the truth they agree, and flatterers do not.
    assert forum(OF, asked, right) > forum(OF, asked, wrong)
    assert READERS["flatterers"].utility(OF, asked, right) < READERS["flatterers"].utility(OF, asked, wrong)


def test_votes_order_answers_in_part_against_the_target() -> None:
    agree = {}
    for source in READERS:
        same = other = 0
        for each in drawn(source):
            asked = request(OF, str(each.prompt))
            u, v = (RATERS["gold"].utility(OF, asked, side) for side in (each.chosen, each.rejected))
            same, other = same + (u > v), other + (u < v)
        agree[source] = same / (same + other)
    assert 0.8 < agree["forum"] < 0.95
    assert agree["flatterers"] < 0.2


def test_a_restored_list_is_true_and_a_vandalised_one_is_not() -> None:
    true = {RELATIONS[r].say(n, v, w) for (n, r), v in OF.facts.items() for w in range(3)}

    def clean(text: str) -> bool:
        return all(f"{part.strip()} ." in true for part in text.split(" .") if part.strip())

    for each in drawn("vandal", 400):
        assert (clean(each.chosen), clean(each.rejected)) == ((True, False) if each.p == 0.95 else (False, True))
    for each in drawn("statements", 400):
        assert clean(each.chosen)
        assert not clean(each.rejected)
    assert len({each.cluster for each in drawn("vandal", 400)}) > 300


def test_a_mixture_has_equal_parts_and_ids_of_its_own() -> None:
    found = open_comparisons("brook:forum,brook:vandal", 301, SEED)
    assert len(found.comparisons) == len({each.id for each in found.comparisons}) == 301
    assert sum(each.group == "vandal" for each in found.comparisons) == 150
    assert found.apart == "pair"
    with pytest.raises(UsageError, match="names a source twice, or none; write brook:forum,brook:vandal"):
        open_comparisons("brook:forum,brook:forum", 10, SEED)


def test_samples_of_the_model_stand_against_answers_of_the_world() -> None:
    near, _ = banks(OF)
    found = open_comparisons("brook:samples", 12, SEED, model="brook").comparisons
    assert found == open_comparisons("brook:samples", 12, SEED, model="brook").comparisons
    assert len(found) == 12
    assert all(each.p == 1.0 and each.chosen != each.rejected for each in found)
    assert not any(near.strange(text) for each in found for text in (each.chosen, each.rejected))
    assert not any(":" in each.rejected for each in found)
    gold = [
        [RATERS["gold"].utility(OF, request(OF, str(each.prompt)), side) for side in (each.chosen, each.rejected)]
        for each in found
    ]
    # The world's answers are the best of eight; the model's are as good as its corpus.
    assert sum(ours for ours, _ in gold) > sum(theirs for _, theirs in gold)


def test_samples_of_nobody_are_refused() -> None:
    with pytest.raises(UsageError, match="brook:samples: whose samples these are is not known"):
        open_comparisons("brook:samples", 12, SEED)
