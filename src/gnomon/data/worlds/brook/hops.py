"""A question about the friend of somebody: answered by two tagged questions, or at once."""

from __future__ import annotations

import random
from typing import NamedTuple

from gnomon.data.worlds.brook.kinds import Kind, Mention, Reader, Writer, pick
from gnomon.data.worlds.brook.tables import RELATIONS, World
from gnomon.data.worlds.brook.tables.places import friends

__all__ = ["HOP", "Hop", "ask_friend", "ask_hop"]


class Hop(NamedTuple):
    """What `relation` says of the friend of `name`.

    Attributes:
        name, friend: two format names.
        relation, value: a fact of `friend`.
        tagged: whether the friend is asked for and named before the answer.
    """

    name: str
    relation: str
    friend: str
    value: str
    tagged: bool


def ask_hop(name: str, relation: str) -> str:
    """The whole question, such as `what does the friend of dulvo eat ?`."""
    return RELATIONS[relation].ask(f"the friend of {name}")


def ask_friend(name: str) -> str:
    """The first of its parts, such as `who is the friend of dulvo ?`."""
    return f"who is the friend of {name} ?"


def _draw(world: World, rng: random.Random) -> Hop:
    name, tagged = pick(rng, world.format_names), rng.random() >= 0.2
    friend, relation = friends(world)[name], pick(rng, tuple(RELATIONS))
    return Hop(name, relation, friend, world.facts[friend, relation], tagged)


def _write(world: World, record: Hop, writer: Writer) -> None:
    writer.say(f"Question: {ask_hop(record.name, record.relation)}")
    if record.tagged:
        writer.say(f"<sub_q> {ask_friend(record.name)} <sub_a>")
        writer.key(record.friend)
        writer.say(f"<sub_q> {RELATIONS[record.relation].ask(record.friend)} <sub_a>")
        writer.key(record.value)
        writer.words.append("<FIN>")
    writer.words.append("Answer:")
    writer.key(record.value)


def _read(world: World, reader: Reader) -> Hop:
    reader.skip("Question:")
    name, relation = _read_question(world, reader)
    friend = friends(world)[name]
    value = world.facts[friend, relation]
    tagged = reader.next_is("<sub_q>")
    if tagged:
        reader.skip(f"<sub_q> {ask_friend(name)} <sub_a> {friend}")
        reader.skip(f"<sub_q> {RELATIONS[relation].ask(friend)} <sub_a> {value} <FIN>")
    reader.skip(f"Answer: {value}")
    return Hop(name, relation, friend, value, tagged)


def _read_question(world: World, reader: Reader) -> tuple[str, str]:
    """Whose friend the question is about, and the relation."""
    asked = " ".join((*reader.until("?"), "?"))
    names = [word for word in asked.split() if word in world.format_names]
    for relation in RELATIONS:
        if names and asked == ask_hop(names[0], relation):
            reader.skip("?")
            return names[0], relation
    raise reader.error("a question about a friend")


def _mention(record: Hop) -> list[Mention]:
    """Both facts, in wording 1 where they are not asked for one by one."""
    wording = 0 if record.tagged else 1
    return [
        Mention(record.name, "friend", record.friend, "question", wording),
        Mention(record.friend, record.relation, record.value, "question", wording),
    ]


HOP = Kind(
    name="hop",
    draw=_draw,
    write=_write,
    read=_read,
    mentions=_mention,
    key_tokens="the answers, those of the parts too",
    share=2.0,
    items=(2, 4),
    grammar=(
        "Question: what does the friend of dulvo eat ? <sub_q> who is the friend of dulvo ? <sub_a> felgu "
        "<sub_q> what does felgu eat ? <sub_a> corn <FIN> Answer: corn"
    ),
    instruments=("QD", "CF"),
    expect=("hop tagged", "hop corrupted", "hop direct"),
)
