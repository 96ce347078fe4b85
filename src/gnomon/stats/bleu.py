"""BLEU of a program to a reference, by tokens of Python: is likeness to the reference a sign of being right?

Papineni et al. 2002: the geometric mean of clipped precisions of 1 to 4 tokens in a row, times a brevity penalty.
Variant: tokens are identifiers, numbers, strings and single signs; one is added to both counts of the precisions of 2
to 4 tokens (Lin and Och 2004), for single programs seldom share four in a row. Upper and lower case differ.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

__all__ = ["bleu", "code_tokens"]

_TOKEN = re.compile(r"""[A-Za-z_]\w*|\d+(?:\.\d+)?|"[^"\n]*"|'[^'\n]*'|\S""")
_LONGEST = 4


def code_tokens(source: str) -> list[str]:
    """The tokens of a program; comments are words like any other.

    >>> code_tokens("x1 = f(2.5)")
    ['x1', '=', 'f', '(', '2.5', ')']
    """
    return _TOKEN.findall(source)


def bleu(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """The score of `candidate`, tokens, against `reference`, in [0, 1]; 0 where either is empty.

    >>> bleu(["a", "b", "c", "d"], ["a", "b", "c", "d"])
    1.0
    """
    if not candidate or not reference:
        return 0.0
    logs = 0.0
    for length in range(1, _LONGEST + 1):
        ours, theirs = _runs(candidate, length), _runs(reference, length)
        shared, total = sum((ours & theirs).values()), sum(ours.values())
        added = 0 if length == 1 else 1
        if shared + added == 0:
            return 0.0
        logs += math.log((shared + added) / (total + added)) / _LONGEST
    brevity = min(0.0, 1.0 - len(reference) / len(candidate))
    return math.exp(logs + brevity)


def _runs(tokens: Sequence[str], length: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1))
