"""Worked verdicts to show before a self-evaluation: six fixed ones, or as many as wanted from the data.

Kadavath et al. 2022, sec. 4.1 and appendix: the fixed header has trivia, arithmetic and fill-in-the-blank questions,
the same six with and without brainstormed answers. The wording here is our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gnomon.assay.self_knowledge.asking import wording
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.prompts import Shot

__all__ = ["SIX", "Worked", "from_data", "header", "six"]

NUM_IDEAS = 5


class Worked(NamedTuple):
    """One worked verdict: a question, brainstormed answers, the judged one, and whether it is right."""

    question: str
    ideas: tuple[str, ...]
    proposed: str
    right: bool


SIX = (
    Worked(
        "Which planet is known for its bright rings?",
        ("Saturn", "Jupiter", "Saturn", "Neptune", "Saturn"),
        "Saturn",
        True,
    ),
    Worked("What is 27 + 48?", ("75", "65", "75", "74", "85"), "65", False),
    Worked(
        "The cook tasted the soup and reached for the ____.", ("salt", "pepper", "salt", "moon", "spoon"), "salt", True
    ),
    Worked(
        "Who wrote the play about the prince of Denmark?",
        ("Marlowe", "Jonson", "Marlowe", "Shakespeare", "Kyd"),
        "Marlowe",
        False,
    ),
    Worked("What is 12 * 9?", ("108", "108", "118", "98", "108"), "108", True),
    Worked("After a week without rain the garden was very ____.", ("dry", "wet", "dry", "green", "wet"), "wet", False),
)


def six(with_ideas: bool) -> str:
    """The fixed header, in the plain dialect."""
    return header([Item(id="worked", question=w.question) for w in SIX], SIX, with_ideas)


def from_data(items: Sequence[Item], seed: Seed, with_ideas: bool) -> str:
    """A header of the data's own questions, half of the proposed answers another question's."""
    return header(
        items,
        [_worked(item, items, seed.child("worked", item.id), i % 2 == 0) for i, item in enumerate(items)],
        with_ideas,
    )


def header(items: Sequence[Item], worked: Sequence[Worked], with_ideas: bool) -> str:
    """Worked verdicts, ready to stand before another."""
    if not items:
        return ""
    words = wording(items[0])
    true, false = words.verdicts()
    shots = [
        Shot(words.verdict_prompt(item, w.proposed, w.ideas if with_ideas else ()), true if w.right else false)
        for item, w in zip(items, worked, strict=True)
    ]
    return words.header(shots)


def _worked(item: Item, items: Sequence[Item], seed: Seed, right: bool) -> Worked:
    rng = seed.random()
    own = item.answers[0]
    others = [i.answers[0] for i in items if i.answers[0] not in item.answers] or [f"not {own}"]
    proposed = own if right else rng.choice(others)
    ideas = [proposed, own, *rng.choices(others, k=NUM_IDEAS - 2)]
    rng.shuffle(ideas)
    return Worked(item.question, tuple(ideas), proposed, right)
