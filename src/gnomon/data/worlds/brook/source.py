"""Items about Brook, as many as wanted: questions on facts, and sums.

A fact item serves every form: it has options for a lettered question, answers for an open one, and a value to propose
for a verdict. Groups say how well a trained model can know it:

    format           facts seen in every format
    exposure-16      facts stated 16 times in prose and never asked about (likewise 1, 4, 64, 256)
    novel            names whose facts cannot be known; the gold option is drawn uniformly
    note             such names, with a note that says the fact
    sum-3            sums of 3 operations (likewise 1, 2, 4, 5), steps in `meta`
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from gnomon.core.errors import UsageError, closest
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.base import Source
from gnomon.data.worlds.brook.facts import fresh_fact
from gnomon.data.worlds.brook.reasoning import answer, draw_sum, problem, steps
from gnomon.data.worlds.brook.tables import COUNTS, RELATIONS, Fact, World, world

__all__ = ["EXPOSURE", "GROUPS", "SUMS", "brook", "items"]

EXPOSURE = tuple(f"exposure-{count}" for count in COUNTS)
SUMS = tuple(f"sum-{count}" for count in range(1, 6))
GROUPS = ("format", *EXPOSURE, "novel", "note", *SUMS)
# What an assay of calibration asks by default: known, half known and unknowable facts alike.
FACTS: Mapping[str, float] = {"format": 2, **dict.fromkeys(EXPOSURE, 1), "novel": 1, "note": 1}


def items(mix: Mapping[str, float], n: int, seed: Seed, *, of: World | None = None, num_choices: int = 4) -> list[Item]:
    """`n` items in the proportions of `mix`, groups interleaved.

    Facts of a group are asked about in a drawn order, again and again with new distractors, so `n` has no limit.

    Args:
        mix: weight by group; groups are those of `GROUPS`.
        n: how many.
        seed: of all draws; more items of the same seed begin with the same ones.
        of: the world; None is the shipped one.
        num_choices: options of a fact item, 2 to 10.

    Returns:
        Items whose cluster is the fact (or the sum) and whose `meta` has `group`, `count` (statements in the corpus;
        None where it is not planted), `name`, `relation`, `value` and `sentence` (the fact in words, for a note).
        Sums have `form: problem`, `operations` and `steps` instead.

    Raises:
        UsageError: an unknown group, or a weight below 0.
    """
    for group, weight in mix.items():
        if group not in GROUPS:
            raise UsageError(f"no group of Brook's items is called {group!r}", todo=closest(group, GROUPS))
        if not weight >= 0:
            raise UsageError(f"the weight of group {group} is {weight}", todo="use 0 or more")
    if not 2 <= num_choices <= 10:
        raise UsageError(f"{num_choices} choices an item", todo="use 2 to 10")
    of = of or world()
    asked = dict.fromkeys(mix, 0)
    made = []
    for _ in range(n if any(mix.values()) else 0):
        # the group furthest behind its weight; ties go to the first
        group = min((g for g in mix if mix[g] > 0), key=lambda g: (asked[g] + 0.5) / mix[g])
        made.append(_item(of, group, asked[group], seed.child("brook", group), num_choices))
        asked[group] += 1
    return made


def brook(n: int, seed: Seed, mix: Mapping[str, float] = FACTS, *, of: World | None = None) -> Source:
    """`n` items of Brook as a source, for every evaluation that asks questions."""
    of = of or world()
    where = f"brook preset {of.preset} seed {of.seed}"
    listed = tuple(items(mix, n, seed, of=of))
    return Source(name="brook", where=where, licence="generated", dialect="brook", items=listed)


def _item(of: World, group: str, number: int, seed: Seed, num_choices: int) -> Item:
    rng = seed.child(number).random()
    if group in SUMS:
        return _sum(group, number, rng)
    if group in ("novel", "note"):
        fact = fresh_fact(of, rng, of.novel_names)
    else:
        facts = _facts(of, group)
        lap, place = divmod(number, len(facts))
        fact = facts[seed.child("order", lap).random().sample(range(len(facts)), len(facts))[place]]
    return _question(of, group, number, fact, rng, num_choices)


def _facts(of: World, group: str) -> Sequence[Fact]:
    if group == "format":
        return of.format_facts
    count = int(group.partition("-")[2])
    return [fact for fact in of.exposure_facts if of.counts[fact.name, fact.relation] == count]


def _question(of: World, group: str, number: int, fact: Fact, rng: random.Random, num_choices: int) -> Item:
    relation = RELATIONS[fact.relation]
    options = rng.sample([value for value in relation.values if value != fact.value], num_choices - 1)
    gold = rng.randrange(num_choices)
    options.insert(gold, fact.value)
    sentence = relation.say(fact.name, fact.value, rng.randrange(len(relation.wordings)))
    return Item(
        id=f"{group}-{number}",
        cluster=f"{fact.name} {fact.relation}",
        question=relation.ask(fact.name),
        choices=tuple(options),
        gold=gold,
        answers=(fact.value,),
        note=sentence if group == "note" else "",
        part="facts",
        source="brook",
        meta={
            "group": group,
            "count": of.counts.get((fact.name, fact.relation)),
            **fact._asdict(),
            "sentence": sentence,
        },
    )


def _sum(group: str, number: int, rng: random.Random) -> Item:
    operations = int(group.partition("-")[2])
    record = draw_sum(rng, operations, operations)
    return Item(
        id=f"{group}-{number}",
        cluster=problem(record),
        question=problem(record),
        answers=(answer(record),),
        part="sums",
        source="brook",
        meta={"group": group, "form": "problem", "operations": operations, "steps": steps(record)},
    )
