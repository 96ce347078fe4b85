"""Does a head that finds what came before also find what means the same in another language?

Olsson et al. 2022 (arXiv 2209.11895), argument 4: the same sentences in English, French and German. From a word of the
later languages a head that matches meanings looks at what an earlier language says where the next word is to be said:
in French the noun stands before its colour, so that this is not what followed the word's own translation. Departure:
our own sentences, of words that are one for one, with masculine nouns.
"""

from __future__ import annotations

from random import Random

from gnomon.core.seeds import Seed
from gnomon.explain.induction.generality import Look, Sought, sought
from gnomon.models.tokenizer import Tokenizer

__all__ = ["ORDERS", "WORDS", "translated"]

WORDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "the": (("the", "le", "der"),),
    "colour": (
        ("red", "rouge", "rote"),
        ("black", "noir", "schwarze"),
        ("white", "blanc", "weiße"),
        ("green", "vert", "grüne"),
        ("yellow", "jaune", "gelbe"),
        ("blue", "bleu", "blaue"),
    ),
    "noun": (
        ("dog", "chien", "Hund"),
        ("king", "roi", "König"),
        ("fish", "poisson", "Fisch"),
        ("garden", "jardin", "Garten"),
        ("hat", "chapeau", "Hut"),
        ("cheese", "fromage", "Käse"),
        ("coat", "manteau", "Mantel"),
        ("wine", "vin", "Wein"),
    ),
    "is": (("is", "est", "ist"),),
    "how": (("here", "ici", "hier"), ("old", "vieux", "alt"), ("alone", "seul", "allein"), ("new", "neuf", "neu")),
}
"""What each place of a sentence may be, in the three languages."""

ORDERS = (
    ("English", ("the", "colour", "noun", "is", "how")),
    ("French", ("the", "noun", "colour", "is", "how")),
    ("German", ("the", "colour", "noun", "is", "how")),
)
"""The languages, and the order of their sentences."""

_SENTENCES = 4


def translated(tokenizer: Tokenizer, n: int, seed: Seed) -> list[Sought]:
    """`n` prompts of four sentences in each language; errors as in `sought`."""
    return [_prompt(tokenizer, seed.child("translations", place).random()) for place in range(n)]


def _prompt(tokenizer: Tokenizer, rng: Random) -> Sought:
    """No word but the article and the verb stands in two sentences."""
    drawn = {slot: rng.sample(some, min(_SENTENCES, len(some))) for slot, some in WORDS.items()}
    text, looks = "", []
    said: dict[tuple[int, str], list[int]] = {}
    for language, (name, order) in enumerate(ORDERS):
        text += f"{name} :"
        here: dict[tuple[int, str], int] = {}
        before = [letter for letters in said.values() for letter in letters]
        for sentence in range(_SENTENCES):
            for place, slot in enumerate(order):
                text += " "
                here[sentence, slot] = len(text)
                text += drawn[slot][sentence % len(drawn[slot])][language]
                if before and place + 1 < len(order):
                    looks.append(Look(len(text) - 1, tuple(said[sentence, order[place + 1]]), before))
            text += " ."
        text += "\n"
        for word, letter in here.items():
            said.setdefault(word, []).append(letter)
    return sought(tokenizer, text, looks, "translations")
