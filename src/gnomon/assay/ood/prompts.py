"""Which prompts are helpful and which harmful, what each is about, and who may be seen when.

A helpful prompt has one role wherever it is drawn: detectors are fitted on it, thresholds are set on it, or it is
tested. One in four of the helpful topics is kept from fitting altogether: its prompts are harmless and new, and tell a
detector of harm from one of novelty. Which prompts and topics these are does not depend on the seed.

    brook       facts and recipes of safe things, against recipes of dangerous ones; both are asked in all the ways in
                which attacks are worded, so that only what is asked for differs
    FILE        rows of `prompt` (text, or messages) with `harmful` (true or false) and perhaps `topic`; or whole
                transcripts as hh-rlhf has them, `chosen`, of which the first human turn is taken
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, islice, product
from typing import Any, Literal, NamedTuple

from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import Item, text_digest
from gnomon.core.seeds import Seed
from gnomon.data.assistants import as_dialogue
from gnomon.data.hub import find_file
from gnomon.data.records import BadRow, Record, read, text_of, turns
from gnomon.models.base import Message, Prompt

__all__ = ["Prompts", "Role", "numbered", "open_prompts", "prompt_of", "some"]

Role = Literal["fit", "reference", "tested"]
_ROLES: tuple[Role, ...] = ("fit", "fit", "reference", "tested")
_CLASSES = ("helpful", "harmful")
_NEW = 4
_FIRST_TURN = re.compile(r"\s*Human:(.*?)(?=\n\n(?:Human|Assistant):|\Z)", re.S)
_FLAGS = {"true": 1, "1": 1, "false": 0, "0": 0}


class Prompts(NamedTuple):
    """The prompts of a source.

    Attributes:
        helpful: helpful prompts of known topics in an order drawn from a seed; without end where they are made.
        harmful: every harmful prompt once, likewise.
        new: harmless prompts of topics that no other helpful prompt has, each once.
        notes: what was left out, a line each.
    """

    helpful: Callable[[Seed], Iterator[Item]]
    harmful: Callable[[Seed], list[Item]]
    new: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()


def open_prompts(data: Sequence[str], outliers: Sequence[str], *, drop_bad: bool = False) -> Prompts:
    """The prompts that `data` names; with `outliers` its rows are helpful and those of `outliers` harmful.

    Raises:
        DataError: a file cannot be read, or holds prompts of one kind alone.
        UsageError: a world that brings its own harmful prompts is given others, or stands beside other sources.
    """
    worlds = {"brook": _brook, "synthetic": _synthetic}
    named = [name for name in (*data, *outliers) if name in worlds]
    if not named:
        return _of_files(data, outliers, drop_bad)
    if outliers or len(data) > 1:
        raise UsageError(f"{named[0]} has helpful and harmful prompts of its own", todo="name it alone, or files alone")
    return worlds[named[0]]()


def some(prompts: Prompts, role: Role, n: int, seed: Seed) -> list[Item]:
    """The first `n` helpful prompts of a role in the order drawn from `seed`, or as many as there are."""
    return list(islice((item for item in prompts.helpful(seed) if _role(item) == role), n))


def numbered(part: str, items: Sequence[Item]) -> Iterator[Item]:
    """`items` with `part`, and ids that say which prompt it is and how often it came before."""
    seen: Counter[str] = Counter()
    for item in items:
        seen[item.cluster] += 1
        yield replace(item, id=f"{part}-{item.cluster}-{seen[item.cluster]}", part=part)


def prompt_of(item: Item) -> Prompt:
    """What the model reads."""
    said = item.meta["prompt"]
    return said if isinstance(said, str) else [Message(*each) for each in said]


def _role(item: Item) -> Role:
    return _ROLES[Seed(0).child("ood", "role", item.cluster).value % len(_ROLES)]


def _new_topics(topics: Sequence[str]) -> set[str]:
    """One in four of the topics."""
    drawn = sorted(dict.fromkeys(topics), key=lambda topic: Seed(0).child("ood", "new", topic).value)
    return set(drawn[: len(drawn) // _NEW])


def _item(question: str, harmful: int, *, prompt: Any = None, topic: str = "", **meta: Any) -> Item:
    cluster = text_digest(question)
    meta = {"prompt": prompt or question, "topic": topic, **meta}
    return Item(id=cluster, cluster=cluster, question=question, choices=_CLASSES, gold=harmful, meta=meta)


def _shuffled(items: Sequence[Item]) -> Callable[[Seed], list[Item]]:
    return lambda seed: seed.child("order").random().sample(items, len(items))


def _brook() -> Prompts:
    from gnomon.data.worlds.brook.oracle import Request, question
    from gnomon.data.worlds.brook.tables import world
    from gnomon.data.worlds.brook.tables.harms import FAMILIES, harms

    of = world()
    table, new = harms(of), _new_topics(harms(of).things)
    facts = [Request("fact", fact.name, fact.relation) for fact in of.format_facts]
    recipes = [Request("recipe", thing) for thing in table.things if thing not in new]

    def made(asked: Request, mark: str, family: str) -> Item:
        words = f"{mark} Human: {FAMILIES[family].prefix} {question(asked)} Assistant:"
        topic = "" if asked.kind == "fact" else asked.about
        return _item(" ".join(words.split()), int(asked.kind == "danger"), topic=topic, asked=family)

    def all_ways(kind: str, topics: Iterable[str]) -> list[Item]:
        return [made(Request(kind, topic), *way) for topic in topics for way in product(_MARKS, FAMILIES)]

    def helpful(seed: Seed) -> Iterator[Item]:
        for place in count():
            rng = seed.child("brook", place).random()
            yield made(rng.choice(rng.choice((facts, recipes))), rng.choice(_MARKS), rng.choice(list(FAMILIES)))

    return Prompts(helpful, _shuffled(all_ways("danger", table.dangers)), tuple(all_ways("recipe", sorted(new))))


# How a document with a request begins; whether there is a mark says nothing of what is asked.
_MARKS = ("", "Chat:", "Talk:")


def _synthetic() -> Prompts:
    """Numbered requests about nothing, for planted models."""

    def made(kind: int, number: int) -> Item:
        question = f"Which way goes {_CLASSES[kind]} number {number}?"
        return _item(question, kind, prompt=as_dialogue(question), topic=f"topic {number % 8}" if kind else "")

    def helpful(seed: Seed) -> Iterator[Item]:
        rng = seed.child("helpful").random()
        while True:
            yield made(0, rng.randrange(10**9))

    def harmful(seed: Seed) -> list[Item]:
        rng = seed.child("harmful").random()
        return [made(1, number) for number in rng.sample(range(10**9), 400)]

    return Prompts(helpful, harmful)


def _of_files(data: Sequence[str], outliers: Sequence[str], drop_bad: bool) -> Prompts:
    sides = [(spec, 0 if outliers else None) for spec in data] + [(spec, 1) for spec in outliers]
    found, notes = [], []
    for spec, side in sides:
        rows = read(find_file(spec), partial(_made, side=side), drop_bad=drop_bad)
        found += [replace(item, source=spec, meta={**item.meta, "sha256": rows.sha256}) for item in rows.things]
        notes += [f"{rows.num_bad} rows of {spec} cannot be used; the first: {rows.bad[0]}"] if rows.num_bad else []
    by_class: list[dict[str, Item]] = [{}, {}]
    for item in found:
        by_class[item.gold or 0].setdefault(item.cluster, item)
    both = by_class[0].keys() & by_class[1].keys()
    if both:
        notes.append(f"{len(both)} prompts are called helpful and harmful, and are left out")
    helpful, harmful = ([item for key, item in side.items() if key not in both] for side in by_class)
    for name, some_ in (("helpful", helpful), ("harmful", harmful)):
        if not some_:
            todo = "flag rows harmful: true or false, or give two files: --data HELPFUL --outliers HARMFUL"
            raise DataError(f"no prompt is {name}", where=", ".join((*data, *outliers)), todo=todo)
    new = _new_topics([topic for item in helpful if (topic := item.meta["topic"])])
    known = _shuffled([item for item in helpful if item.meta["topic"] not in new])
    strange = tuple(item for item in helpful if item.meta["topic"] in new)
    return Prompts(lambda seed: iter(known(seed)), _shuffled(harmful), strange, tuple(notes))


def _made(record: Record, name: str, side: int | None) -> Iterator[Item]:
    """The prompt of a row; `side` is the class of its file, None where each row says its own."""
    harmful, topic = _flag(record, side), str(record.get("topic") or "")
    if "prompt" not in record and "chosen" in record:
        turn = _FIRST_TURN.match(text_of(record, "chosen"))
        if not turn or not turn[1].strip():
            raise BadRow("'chosen' does not begin with a human turn")
        yield _item(turn[1].strip(), harmful, prompt=as_dialogue(turn[1]), topic=topic)
    elif isinstance(record.get("prompt"), list):
        said = [list(message) for message in turns(record["prompt"], "prompt")]
        yield _item("\n\n".join(words for _, words in said), harmful, prompt=said, topic=topic)
    else:
        yield _item(text_of(record, "prompt"), harmful, topic=topic)


def _flag(record: Record, side: int | None) -> int:
    if "harmful" not in record:
        if side is None:
            raise BadRow("it has no 'harmful'")
        return side
    said = record["harmful"]
    flag = _FLAGS.get(str(said).lower())
    if flag is None:
        raise BadRow(f"'harmful' is {said!r}, not true or false")
    if side not in (None, flag):
        raise BadRow(f"it is flagged {_CLASSES[flag]} in a file of {_CLASSES[1 - flag]} prompts")
    return flag
