"""Whether a program printed what it was to print."""

from __future__ import annotations

import math

__all__ = ["same_output"]


def same_output(printed: str, wanted: str) -> bool:
    """Whether two texts agree line by line, without blanks at line ends and empty lines at the end; where a line
    differs, word by word, numbers with a point or an exponent within 1e-6.

    Order always counts, and so do upper and lower case.

    >>> same_output("1 2.0000000001 ", "1 2.0")
    True
    >>> same_output("2 1", "1 2")
    False
    """
    ours, theirs = _lines(printed), _lines(wanted)
    return len(ours) == len(theirs) and all(a == b or _same_words(a, b) for a, b in zip(ours, theirs, strict=True))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _same_words(ours: str, theirs: str) -> bool:
    a, b = ours.split(), theirs.split()
    return len(a) == len(b) and all(x == y or _close(x, y) for x, y in zip(a, b, strict=True))


def _close(ours: str, theirs: str) -> bool:
    # whole numbers and words must agree exactly
    if not any(mark in theirs for mark in ".eE"):
        return False
    try:
        return math.isclose(float(ours), float(theirs), rel_tol=1e-6, abs_tol=1e-6)
    except ValueError:
        return False
