"""Chains of small string operations: how fast does a model fail as a task gets longer?

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", sec. 6 and appendix C: thirteen operations, m
different ones of which are asked for in a row. The published finding is that each further one divides the pass rate by
2 to 3.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from gnomon.core.seeds import Seed
from gnomon.data.code_problem import Problem, beside_reference

__all__ = ["BLOCKS", "LENGTHS", "PLANTED_RATE", "Block", "chain_inputs", "chain_problems"]

LENGTHS = (1, 2, 3, 4, 5)
# What a planted programmer keeps of its pass rate with each block.
PLANTED_RATE = 0.7
_TESTS = 24
_WORDS = ("every", "Apple", "tree", "seven", "Bees", "", "a", "e!", "What?", "no.", "TWO  gaps", "eel", "x", "Enough!")


class Block(NamedTuple):
    """One operation: what it does, in words and as a line of Python on `s`."""

    words: str
    code: str


BLOCKS = (
    Block("remove all instances of the letter e from the string", 's = s.replace("e", "")'),
    Block("replace all spaces with exclamation points in the string", 's = s.replace(" ", "!")'),
    Block("convert the string s to lowercase", "s = s.lower()"),
    Block("remove the first and last two characters of the string", "s = s[2:-2]"),
    Block("removes all vowels from the string", 's = "".join(c for c in s if c not in "aeiouAEIOU")'),
    Block("remove every third character from the string", 's = "".join(c for i, c in enumerate(s) if i % 3 != 2)'),
    Block("drop the last half of the string, as computed by characters", "s = s[: len(s) // 2]"),
    Block("replace spaces with triple spaces", 's = s.replace(" ", "   ")'),
    Block("reverse the order of words in the string", 's = " ".join(s.split()[::-1])'),
    Block("drop the first half of the string, as computed by words", 's = " ".join(s.split()[len(s.split()) // 2 :])'),
    Block("add the word apples after every word in the string", 's = " ".join(w + " apples" for w in s.split())'),
    Block(
        "make every other character in the string uppercase",
        's = "".join(c.upper() if i % 2 == 0 else c for i, c in enumerate(s))',
    ),
    Block(
        "delete all exclamation points, question marks, and periods from the string",
        "s = s.translate({33: None, 63: None, 46: None})",
    ),
)


def chain_problems(n: int, seed: Seed) -> Iterator[Problem]:
    """About `n` chains, as many of each length."""
    for place, length in enumerate(LENGTHS):
        rng = seed.child("chains", length).random()
        for number in range(n // len(LENGTHS) + (place < n % len(LENGTHS))):
            yield _problem(f"{length}-{number}", rng.sample(BLOCKS, length), rng)


def chain_inputs(rng: random.Random) -> list[str]:
    """Strings to try a chain on: none, one word, then several."""
    return ["", "word", *(" ".join(rng.choices(_WORDS, k=rng.randint(1, 8))) for _ in range(_TESTS - 2))]


def _problem(name: str, blocks: list[Block], rng: random.Random) -> Problem:
    steps = "\n".join(f"    -{block.words}" for block in blocks)
    opening = (
        'def string_manipulation(s: str):\n    """\n    This function takes a string as input, then returns the result '
        f'of performing\n    the following sequence of manipulations on that string:\n{steps}\n    """\n'
    )
    reference = opening + "".join(f"    {block.code}\n" for block in blocks) + "    return s\n"
    test = (
        f"INPUTS = {chain_inputs(rng)!r}\n\ndef check(candidate):\n    for s in INPUTS:\n"
        "        assert candidate(s) == REFERENCE(s), repr(s)\n"
    )
    level = f"{len(blocks)} block{'s' * (len(blocks) > 1)}"
    return beside_reference(f"chain/{name}", opening, "string_manipulation", reference, test, level=level)
