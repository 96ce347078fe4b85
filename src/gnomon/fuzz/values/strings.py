"""Strings: lengths, patterns and formats as strategies, and strings that are known to be stumbled over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy
from jsonschema_rs import Draft202012Validator
from jsonschema_rs.canonical import StringView

from gnomon.fuzz.values.formats import FORMATS
from gnomon.fuzz.values.patterns import Repetition, repetition, shortened, to_python

__all__ = ["AWKWARD", "LONG", "TEXT", "keys_like", "near_pattern", "string_edges", "string_strategy", "sure"]

# UTF-8 cannot carry lone surrogates, so JSON text cannot either; those are sent as escapes by who writes the bytes.
ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
# All that UTF-8 can carry; `codec="utf-8"` means the same and tries each character, for 0.8 s.
ANY = st.characters(exclude_categories=["Cs"])
CHARACTER = st.one_of(ASCII, ANY)
PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

LONG = 2**16 + 64
"Least lengths above this are not built."

MOST_DRAWN = 24
"Characters beyond the least length that are drawn."

_FILLS = "aA0"

AWKWARD = (
    "",
    "\0",
    " ",
    "😀",
    "null",
    "0",
    "-1",
    "'",
    "9" * 40,
    "../",
    "\r\nx: y",
    "%00",
    "é",
    "NaN",
    "<script>alert(1)</script>",
    '"',
    "{{7*7}}",
    "true",
    "ß",
    "\u202e",
    "%2F",
    "\\",
    "' OR '1'='1",
    "a\u200db",
    "\ufeff",
    "${7*7}",
)
"""Strings that servers stumble over, the worst first: empty, other types as text, invisible, of several bytes, escapes,
injections, long."""


def _text(low: int, high: int) -> SearchStrategy[str]:
    """Text of a length: as often plain or printable as any at all, for what is odd everywhere never gets far."""
    return st.one_of([st.text(alphabet, min_size=low, max_size=high) for alphabet in (PLAIN, ASCII, CHARACTER)])


TEXT = _text(0, 20)
"Any text, short."


def string_strategy(view: StringView, accepts: Callable[[str], bool]) -> SearchStrategy[str]:
    """Strings that the view admits.

    Args:
        view: lengths, patterns and formats, wanted and barred.
        accepts: the judge, used where a string cannot be built to fit.
    """
    low, high = min(view.min_length or 0, LONG), view.max_length
    if view.formats:
        drawn = [FORMATS[name].strategy if name in FORMATS else _sized(low, high) for name in view.formats]
        return st.one_of(drawn).filter(accepts) if len(drawn) > 1 else drawn[0].filter(accepts)
    if view.patterns:
        return _matching(view.patterns[0], low, high).filter(accepts)
    plain = _sized(low, high)
    if view.excluded_patterns or view.excluded_formats:
        near = [near_pattern(pattern) for pattern in view.excluded_patterns]
        near += [st.sampled_from(FORMATS[name].misses) for name in view.excluded_formats if name in FORMATS]
        return st.one_of([*near, plain]).filter(accepts)
    return plain.filter(accepts) if view.excluded else plain


def sure(view: StringView) -> Callable[[Callable[[Any], bool]], Callable[[Any], bool]]:
    """Makes the validator's judgement one that servers share.

    What must not match is of printable ASCII: engines disagree about line breaks and about classes of other characters.
    A length that is out of reach is not asked for.
    """

    def narrow(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
        if (view.min_length or 0) > LONG:
            return lambda text: isinstance(text, str)
        if view.excluded_patterns:
            return lambda text: isinstance(text, str) and text.isascii() and text.isprintable() and accepts(text)
        return accepts

    return narrow


def string_edges(view: StringView) -> list[tuple[str, str]]:
    """Strings at the borders of the view, each with the keyword whose border it is; some lie beyond it."""
    low, high = view.min_length or 0, view.max_length
    found = [(text, "type") for text in AWKWARD]
    for name in view.formats:
        if name in FORMATS:
            found += [(text, "format") for text in (*FORMATS[name].edges, *FORMATS[name].misses)]
    for pattern in view.patterns:
        found += [(text, "pattern") for text in _examples(pattern)]
    if view.formats or (view.patterns and high is None and not low):
        return found
    if low <= LONG:
        found += _of_sizes((low - 1, low, low + 1), view.patterns, "minLength")
    ends = (high + 1, high, high - 1) if high is not None else (2**16 + 1,)
    return found + _of_sizes([size for size in ends if size <= 2**16 + 1], view.patterns, "maxLength")


@lru_cache(maxsize=1024)
def near_pattern(pattern: str) -> SearchStrategy[str]:
    """Strings that all but match: a match with a character changed, added or taken away."""
    return st.builds(_altered, _matching(pattern, 0, None), st.integers(0, 9), st.sampled_from("~ 0aZ/"))


def keys_like(pattern: str) -> SearchStrategy[str]:
    """Names that match the pattern."""
    return _matching(pattern, 0, None)


def _altered(text: str, place: int, other: str) -> str:
    if place < 3 or not text:
        return (text + other, other + text, text[:-1])[place % 3]
    at = place % len(text)
    return text[:at] + other + text[at + 1 :]


def _of_sizes(sizes: Iterable[int], patterns: Sequence[str], keyword: str) -> list[tuple[str, str]]:
    """A string of each size, of one character said again and again; none where the patterns admit none of those."""
    if not patterns:
        return [("a" * size, keyword) for size in sizes if size >= 0]
    judge = Draft202012Validator({"allOf": [{"pattern": pattern} for pattern in patterns]})
    found = (next((each * size for each in _FILLS if judge.is_valid(each * size)), None) for size in sizes if size >= 0)
    return [(text, keyword) for text in found if text is not None]


def _examples(pattern: str) -> Sequence[str]:
    """The pattern's own letters where it is little more; else what is always worth a try."""
    plain = re.sub(r"[\^$]", "", pattern)
    return [plain] if plain.isalnum() else [""]


def _sized(low: int, high: int | None) -> SearchStrategy[str]:
    most = low + MOST_DRAWN if high is None else min(high, low + MOST_DRAWN)
    if low > MOST_DRAWN:
        # One short text, padded: drawing thousands of characters one by one would cost as many choices.
        return _text(0, most - low).map(lambda text: text + "a" * low)
    return _text(low, most)


@lru_cache(maxsize=1024)
def _matching(pattern: str, low: int, high: int | None) -> SearchStrategy[str]:
    repeated = repetition(pattern, low, high)
    if repeated is not None:
        return _repeated(repeated)
    drawn = _from_pattern(shortened(pattern))
    if drawn is None:
        # What Python cannot read as a pattern is met by luck or not at all.
        return _sized(low, high)
    if low == 0 and high is None:
        return drawn
    stretched = drawn.map(lambda text: text if len(text) >= low else text + text[-1:] * (low - len(text)))
    return st.one_of(drawn, stretched, drawn.map(lambda text: text if high is None else text[:high]))


def _repeated(of: Repetition) -> SearchStrategy[str]:
    """A class repeated: a few characters, and as many more of the last of them as the least number asks for."""
    pad = max(0, min(of.least, LONG) - MOST_DRAWN)
    least = min(of.least, LONG) - pad
    most = least + MOST_DRAWN if of.most is None else min(of.most - pad, least + MOST_DRAWN)
    drawn = _from_pattern(f"^{of.unit}{{{least},{most}}}$")
    if drawn is None:
        return _sized(of.least, of.most)
    return drawn.map(lambda text: text + text[-1:] * pad) if pad else drawn


def _from_pattern(pattern: str) -> SearchStrategy[str] | None:
    try:
        compiled = re.compile(to_python(pattern))
        drawn = st.from_regex(compiled, alphabet=CHARACTER)
        drawn.validate()
    except (re.error, InvalidArgument, OverflowError, RecursionError):
        return None
    return drawn
