"""Relations, facts and how often a fact is stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gnomon.data.worlds.brook.words import listed

__all__ = ["COUNTS", "PRESETS", "RELATIONS", "WORDS", "Fact", "Preset", "Relation", "Statement"]

# Statements of a fact in the whole corpus, one fact in five each.
COUNTS = (1, 4, 16, 64, 256)


class Fact(NamedTuple):
    """One planted truth: `relation` of `name` is `value`; all are words of Brook."""

    name: str
    relation: str
    value: str


class Statement(NamedTuple):
    """A fact said in a sentence; `wording` is the place of the wording in its relation's list."""

    fact: Fact
    wording: int

    def __str__(self) -> str:
        return RELATIONS[self.fact.relation].say(self.fact.name, self.fact.value, self.wording)


@dataclass(frozen=True, kw_only=True)
class Relation:
    """One of five relations between a name and one of twelve values.

    Attributes:
        name: one word, the key in `RELATIONS`.
        question: template with `{n}` for the name.
        wordings: templates with `{n}` and `{v}`, the name before the value.
        values: twelve words, no two relations share one.
    """

    name: str
    question: str
    wordings: tuple[str, ...]
    values: tuple[str, ...]

    def ask(self, name: str) -> str:
        """The question about `name`, such as `where does dulo live ?`."""
        return self.question.replace("{n}", name)

    def say(self, name: str, value: str, wording: int = 0) -> str:
        """The sentence that says it, such as `dulo lives in the mill .`."""
        return self.wordings[wording].replace("{n}", name).replace("{v}", value)


_ALL = (
    Relation(
        name="home",
        question="where does {n} live ?",
        wordings=("{n} lives in the {v} .", "the home of {n} is the {v} .", "the place where {n} lives is the {v} ."),
        values=listed("barn mill cave tower hut inn ship tent fort hall lodge cabin"),
    ),
    Relation(
        name="meal",
        question="what does {n} eat ?",
        wordings=("{n} eats {v} .", "the meal of {n} is {v} .", "the food that {n} eats is {v} ."),
        values=listed("figs corn bread fish nuts soup rice eggs plums beans cheese honey"),
    ),
    Relation(
        name="color",
        question="which color does {n} like ?",
        wordings=("{n} likes {v} .", "the color of {n} is {v} .", "the color that {n} likes is {v} ."),
        values=listed("red blue green black white pink brown gray gold violet orange yellow"),
    ),
    Relation(
        name="animal",
        question="which animal does {n} keep ?",
        wordings=("{n} keeps a {v} .", "the animal of {n} is a {v} .", "the animal that {n} keeps is a {v} ."),
        values=listed("goat dog cat horse duck hen sheep wolf fox frog cow mouse"),
    ),
    Relation(
        name="music",
        question="what does {n} play ?",
        wordings=("{n} plays the {v} .", "the music of {n} is the {v} .", "the thing that {n} plays is the {v} ."),
        values=listed("flute drum harp horn lute bell fiddle pipe lyre gong cello banjo"),
    ),
)
RELATIONS: Mapping[str, Relation] = {relation.name: relation for relation in _ALL}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How large a world is: names in each set, and token ids in the vocabulary."""

    format_names: int
    exposure_names: int
    novel_names: int
    people: int
    vocabulary: int


PRESETS: Mapping[str, Preset] = {
    "S": Preset(format_names=30, exposure_names=40, novel_names=20, people=30, vocabulary=768),
    # 2,000 exposure facts: enough to train a head that predicts what the model knows.
    "knowledge": Preset(format_names=100, exposure_names=400, novel_names=20, people=30, vocabulary=1024),
}

WORDS = tuple(
    dict.fromkeys(
        word
        for relation in _ALL
        for text in (relation.question, *relation.wordings, *relation.values)
        for word in text.split()
        if word not in ("{n}", "{v}")
    )
)
