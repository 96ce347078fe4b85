"""Probabilities of options from what an endpoint gives: token scores, top-k lists or samples.

Pure functions. What all options begin with is forced where a server can be forced; a word is never cut in two, so
that a tokenizer meets the text it was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gnomon.core.errors import DataError
from gnomon.models.base import Choice

__all__ = ["Options", "exact", "from_counts", "from_top", "match", "split"]


class Options(NamedTuple):
    """Options taken apart: each is `forced` + `rests[i]` + closing punctuation that all share."""

    forced: str
    rests: tuple[str, ...]


def split(options: Sequence[str]) -> Options:
    """The common beginning of `options` that can be forced, and what is left of each.

    The beginning ends neither inside a word nor in white space. Closing punctuation that all share is dropped
    where the options stay distinguishable without it.

    Raises:
        DataError: fewer than two options, an empty one, or two alike.

    >>> split([" (A)", " (B)"])
    Options(forced=' (', rests=('A', 'B'))
    >>> split([" mill", " man"])
    Options(forced='', rests=(' mill', ' man'))
    >>> split([" (1)", " (10)"])
    Options(forced=' (', rests=('1)', '10)'))
    """
    if len(options) < 2 or len(set(options)) < len(options) or not all(o.strip() for o in options):
        raise DataError(f"options {list(options)!r} must be two or more, not empty, all different")
    forced = _shared(options)
    while forced and not _whole(forced, options):
        forced = forced[:-1]
    rests = [o[len(forced) :] for o in options]
    closing = _shared([r[::-1] for r in rests])[::-1]
    while closing and any(c.isalnum() or c.isspace() for c in closing):
        closing = closing[1:]
    bare = [r.removesuffix(closing) for r in rests]
    return Options(forced, tuple(bare if closing and _prefix_free(bare) else rests))


def exact(totals: Sequence[float]) -> Choice:
    """The choice behind full log-probabilities, nats, shape [options]."""
    top = max(totals)
    weights = [math.exp(t - top) for t in totals]
    p = tuple(w / sum(weights) for w in weights)
    mass = min(1.0, math.exp(top) * sum(weights))
    return Choice(p=p, mass=mass, readout="exact", low=p, high=p)


def from_top(top: Sequence[tuple[str, float]], rests: Sequence[str], reached: float = 1.0) -> Choice | None:
    """The choice behind the most probable next tokens; a word is read by its first token.

    An option that no token begins is at most as probable as the last token listed, and all such options together
    at most as probable as everything not listed. `low` and `high` are the ends of what that allows; `p` gives a hidden
    option half its bound.

    Args:
        top: (token, log-probability in nats), any order.
        rests: options from the place where the token stands.
        reached: probability that the model gets to this place by itself; 1 where it was forced there.

    Returns:
        None when most of the mass is on tokens that begin several options.
    """
    known, shared, possible, torn = _tally(top, rests)
    listed = sum(math.exp(lp) for _, lp in top)
    missing = [i for i in range(len(rests)) if known[i] == 0.0 and possible[i] == 0.0]
    if torn > sum(known):
        return None
    residual = max(0.0, 1.0 - listed)
    bound = min(math.exp(min(lp for _, lp in top)), residual)
    for i in missing:
        possible[i] += bound
        shared[i] += 0.5 * min(bound, residual / len(missing))
    extra = torn + min(bound * len(missing), residual)
    return _bounded(known, shared, possible, extra, reached)


def from_counts(counts: Sequence[int], drawn: int) -> Choice:
    """The choice behind `drawn` samples of which `counts[i]` gave option i: p = (count + 1/2) / (n + K/2).

    `n` counts the samples that gave one of the options, `mass` is their share of all drawn. With none, p is uniform,
    n and mass are 0.

    >>> from_counts([3, 0], 4).p
    (0.875, 0.125)
    """
    n = sum(counts)
    p = tuple((c + 0.5) / (n + len(counts) / 2) for c in counts)
    return Choice(p=p, mass=n / drawn, readout="sampled", n=n, low=p, high=p)


def match(text: str, rests: Sequence[str]) -> int | None:
    """Index of the option that `text` begins with, the longest first; None when it begins with none.

    >>> match("10) twelve", ["1", "10"])
    1
    >>> match("Arthur", ["A", "B"]) is None
    True
    """
    text = text.lstrip()
    for i in sorted(range(len(rests)), key=lambda i: -len(rests[i])):
        if _begins(text, rests[i].lstrip()):
            return i
    return None


def _shared(texts: Sequence[str]) -> str:
    """What all of `texts` begin with."""
    first, last = min(texts), max(texts)
    for i, (a, b) in enumerate(zip(first, last, strict=False)):
        if a != b:
            return first[:i]
    return first


def _whole(forced: str, options: Sequence[str]) -> bool:
    if forced[-1].isspace():
        return False
    after = [o[len(forced) :][:1] for o in options]
    return all(after) and not (forced[-1].isalnum() and any(c.isalnum() for c in after))


def _prefix_free(rests: Sequence[str]) -> bool:
    return not any(a.startswith(b) for a in rests for b in rests if a is not b) and all(rests)


def _begins(text: str, rest: str) -> bool:
    follows = text[len(rest) : len(rest) + 1]
    return text.startswith(rest) and not (rest[-1].isalnum() and follows.isalnum())


def _tally(
    top: Sequence[tuple[str, float]], rests: Sequence[str]
) -> tuple[list[float], list[float], list[float], float]:
    """Per option: mass it surely has, its equal share of mass that several could have, most that it could have.

    The last value is the mass that several options could have.
    """
    known, shared, possible = ([0.0] * len(rests) for _ in range(3))
    torn = 0.0
    bare = [r.lstrip() for r in rests]
    for token, lp in top:
        t = token.lstrip()
        fits = [i for i, r in enumerate(bare) if t and (r.startswith(t) or _begins(t, r))]
        if len(fits) == 1:
            known[fits[0]] += math.exp(lp)
        elif fits:
            torn += math.exp(lp)
            for i in fits:
                possible[i] += math.exp(lp)
                shared[i] += math.exp(lp) / len(fits)
    return known, shared, possible, torn


def _bounded(
    known: Sequence[float], shared: Sequence[float], possible: Sequence[float], extra: float, reached: float
) -> Choice:
    sure = sum(known)
    total = sure + sum(shared)
    if total <= 0.0:
        k = len(known)
        return Choice(p=(1 / k,) * k, mass=0.0, readout="topk", low=(0.0,) * k, high=(1.0,) * k)
    p = tuple((a + s) / total for a, s in zip(known, shared, strict=True))
    others = [min(extra, sum(possible) - u) for u in possible]
    low = [a / (sure + o) if sure + o else 0.0 for a, o in zip(known, others, strict=True)]
    high = [(a + u) / (sure + u) if sure + u else 1.0 for a, u in zip(known, possible, strict=True)]
    if not any(possible):
        low, high = list(p), list(p)
    return Choice(p=p, mass=min(1.0, total * reached), readout="topk", low=tuple(low), high=tuple(high))
