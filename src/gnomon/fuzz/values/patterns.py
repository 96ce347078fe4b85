"""Patterns of JSON Schema (ECMA-262) as Python has them, with a length where the pattern lets it be written in."""

from __future__ import annotations

import re
from math import prod
from typing import NamedTuple

__all__ = ["Repetition", "is_heavy", "repetition", "shortened", "to_python"]

PROPERTIES = {
    "L": "a-zA-Zéßж",
    "Letter": "a-zA-Zéßж",
    "Lu": "A-ZÉЖ",
    "Ll": "a-zéßж",
    "N": "0-9",
    "Nd": "0-9",
    "P": "!-#%-*,-/:;?@_",
    "Z": " ",
    "Zs": " ",
    "S": "$+<=>^|~",
}
"Some of the characters of a Unicode property; values are drawn from these alone."

TOKEN = re.compile(r"\\p\{(?:\w+=)?(\w+)\}|\\[dDwWsS]|\\.|\(\?<(?![=!])|\[\^?\]?|\]|\$|.", re.DOTALL)
CLASSES = {r"\d": "0-9", r"\w": "a-zA-Z0-9_", r"\s": r" \t\n\r\f\v"}
REPEATED = re.compile(
    r"\^?(?P<unit>\[\^?(?:\\.|[^\]\\])+\]|\\[dw]|\.)(?P<count>[*+]|\{(?P<low>\d+)(?P<comma>,)?(?P<high>\d+)?\})\$"
)
COUNT = re.compile(r"\{(\d+),(\d+)\}")
MOST_STATES = 20_000
"Product of the counts of a pattern with counted groups."

FEW = 8
"Repetitions beyond the least that are drawn."


class Repetition(NamedTuple):
    """A class of characters and how often it stands; `most` None for any number."""

    unit: str
    least: int
    most: int | None


def to_python(pattern: str) -> str:
    """The pattern for `re`: `$` is the very end, classes are ASCII, groups and properties are written its way.

    >>> to_python("^\\\\d+$")
    '^[0-9]+\\\\Z'
    >>> to_python("[\\\\p{Lu}x](?<y>a)")
    '[A-ZÉЖx](?P<y>a)'
    """
    found, inside = [], False
    for match in TOKEN.finditer(pattern):
        token = match.group()
        if match.group(1):
            letters = PROPERTIES.get(match.group(1), "a-z")
            found.append(letters if inside else f"[{letters}]")
        elif token in CLASSES:
            found.append(CLASSES[token] if inside else f"[{CLASSES[token]}]")
        elif not inside and token.startswith("[") and token != "[":
            inside = True
            found.append(token)
        elif token == "[":
            found.append(r"\[" if inside else token)
            inside = True
        elif token == "]":
            inside = False
            found.append(token)
        else:
            found.append({"$": r"\Z", "(?<": "(?P<", r"\/": "/", r"\Z": "Z"}.get(token, token) if not inside else token)
    return "".join(found)


def repetition(pattern: str, low: int, high: int | None) -> Repetition | None:
    """A pattern that is one repeated class, with a length taken into account; None for any other, and for no length.

    >>> repetition("^[a-z]+$", 3, 8)
    Repetition(unit='[a-z]', least=3, most=8)
    >>> repetition("^(ab)+$", 3, 8) is None
    True
    """
    match = REPEATED.fullmatch(pattern)
    if match is None or not pattern.startswith("^"):
        return None
    least = int(match["low"] or 0) if match["count"].startswith("{") else int(match["count"] == "+")
    most = int(match["high"]) if match["high"] else least if match["low"] and not match["comma"] else None
    ends = [end for end in (most, high) if end is not None]
    least = max(least, low)
    most = min(ends) if ends else None
    return Repetition(match["unit"], least, most) if most is None or most >= least else None


def is_heavy(pattern: object) -> bool:
    """Whether counts in a pattern multiply to so many states that a single match may take seconds.

    >>> is_heavy("^[a-z]{1,500}$"), is_heavy("^((a{1,50}){1,50}){1,50}$")
    (False, True)
    """
    counts = [int(high) for _, high in COUNT.findall(pattern)] if isinstance(pattern, str) and "){" in pattern else []
    return prod(counts) > MOST_STATES


def shortened(pattern: str) -> str:
    """The pattern with wide counts cut to a few, which matches less and can be drawn from.

    >>> shortened("^(a{2,500}){3,}$")
    '^(a{2,10}){3,}$'
    """
    return COUNT.sub(lambda m: f"{{{m[1]},{min(int(m[2]), int(m[1]) + FEW)}}}", pattern)
