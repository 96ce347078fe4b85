"""A small project with tests, its functions of every kind, and a stand-in for bubblewrap."""

from __future__ import annotations

PRICES = '''
import functools, random
from dataclasses import dataclass
from math import ceil

from shop import texts

RATE = 0.19
SEEN = []


@dataclass
class Item:
    name: str

    def label(self):
        """What is shown."""
        return self.name.upper()


def gross(net: float) -> float:
    """The price with tax, rounded up to whole cents."""
    return ceil(net * (1 + RATE) * 100) / 100


def total(prices, *more, discount=0, **texts):
    """The sum of all prices, less `discount` per cent."""
    found = sum(prices) + sum(more) + sum(texts.values())
    if discount:
        found = found * (100 - discount) // 100
    return positive(found)


def positive(number):
    """The number, or 0 where it is below."""
    if number < 0:
        return 0
    return number


def groups(words):
    """Words by their first letter."""
    found = {}
    for word in words:
        found.setdefault(word[:1], set()).add(word)
    return found


def emptied(words):
    """The last word, which is taken off."""
    return words.pop() if words else ""


def each(prices):
    """Yields."""
    yield from prices


def luck(n):
    """A number below n."""
    return random.randrange(10 ** n)


def seen(word):
    """How many words were seen so far."""
    SEEN.append(word)
    return len(SEEN)


def label_of(item):
    """The label of an item."""
    return item.label()


def shout(word):
    """Prints loudly."""
    print(word.upper())


def lines_of(path):
    """How many lines a file has."""
    from pathlib import Path
    return len(Path(path).read_text().splitlines())


@functools.lru_cache
def cached(n):
    """n squared."""
    return n * n


def named(word):
    """Uses another file."""
    return texts.title(word)


def always(word):
    """Is always true."""
    return len(word) > -1


def bare(word):
    return word[::-1]


def itself(word):
    """Itself."""
    return str(word)
'''
TEXTS = '''
def title(text):
    """The text with every word's first letter large; short words stay unless they come first."""
    words = text.split()
    return " ".join(w if len(w) < 3 and i else w.capitalize() for i, w in enumerate(words))


def wrap(text, width=10):
    """Lines of at most `width` characters, broken at spaces; longer words stand alone."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def first(text):
    """The first letter; raises for empty texts."""
    if not text:
        raise ValueError(text)
    return text[0]
'''
TESTS = """
import pytest
from shop import prices, texts


def test_prices():
    assert [prices.gross(x / 4) for x in range(30)][4] == 1.19
    assert prices.total([1, 2], 3, named=4) == 10
    assert prices.total([100], discount=10) == 90
    assert prices.total([-5]) == 0
    assert prices.total([1]) == 1
    assert prices.groups(["ab", "ac", "b"]) == {"a": {"ab", "ac"}, "b": {"b"}}
    prices.groups([])
    words = ["a", "b"]
    assert [prices.emptied(words) for _ in range(3)] == ["b", "a", ""]
    list(prices.each([1]))
    for n in range(5, 15):
        for function in (prices.luck, prices.cached):
            function(n)
        for function in (prices.seen, prices.always, prices.bare, prices.itself):
            function("x" * n)
    assert prices.label_of(prices.Item("a")) == "A"
    prices.shout("a"), prices.shout("b")
    prices.lines_of(__file__), prices.lines_of(prices.__file__)


def test_texts():
    assert prices.named("a tale of two") == "A Tale of Two"
    assert prices.named("b") == "B"
    for text in ("", "a b c", "one two three four", "a verylongwordindeed b"):
        texts.wrap(text)
        texts.wrap(text, width=5)
    with pytest.raises(ValueError):
        texts.first("")
    assert texts.first("ab") == "a"
    assert texts.first("cd") == "c"
"""
BWRAP = """
import os, pathlib, sys

words, environment, folder = sys.argv[1:], {}, "/"
while words[0].startswith("--"):
    option = words.pop(0)
    count = {"--clearenv": 0, "--chdir": 1, "--setenv": 2, "--ro-bind": 2, "--bind": 2}[option]
    values, words = words[:count], words[count:]
    if option == "--setenv":
        environment[values[0]] = values[1]
    elif option == "--chdir":
        folder = values[0]
os.chdir(folder)
(pathlib.Path(__file__).parent / "shown.txt").write_text(f"{folder}\\n")
os.execve(words[0], words, environment)
"""
LEFT_OUT = {
    "label": "method",
    "each": "generator or coroutine",
    "luck": "answers differ",
    "seen": "answers differ",
    "label_of": "values are not plain",
    "shout": "reads or writes",
    "lines_of": "reads or writes",
    "cached": "decorated or replaced",
    "named": "needs other files of the project",
    "always": "one answer",
    "bare": "no docstring",
    "itself": "returns its argument",
}
