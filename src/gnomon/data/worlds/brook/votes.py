"""Cheap comparisons to pre-train preference models on: a forum's votes, vandalised lists, true and false sentences.

They are about the near bank of the brook (`banks`), and lists about exposure names too. What a model pre-trained on
them is to learn is about the far bank. Askell et al. 2021 (arXiv 2112.00861, sec. 4) take StackExchange, Reddit and the
reverted edits of Wikipedia; here what voters like is planted, so the probability of every choice is known exactly.

    forum       answers to one question with votes; readers want the truth, as the gold rater does, but they like
                flattery and laugh at rudeness, where the gold rater does not
    flatterers  the same with readers who want flattery and no truth: the source that hurts
    vandal      lists of facts before and after a vandal; good is the restored one, but one time in twenty
    statements  a true sentence and the same with another value
    far         the target: the gold rater on the far bank
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from gnomon.core.seeds import Seed
from gnomon.data.layouts import vote_score
from gnomon.data.worlds.brook.banks import banks
from gnomon.data.worlds.brook.kinds import pick
from gnomon.data.worlds.brook.oracle import RATERS, Request, sentences
from gnomon.data.worlds.brook.rated import SHARES, Rated, ask, compared
from gnomon.data.worlds.brook.tables import RELATIONS, Fact, Statement, World
from gnomon.data.worlds.brook.tables.harms import CLOSINGS

__all__ = ["READERS", "SOURCES", "Readers", "draw_votes", "higher", "known_facts"]

# Facts stated less often are in few corpora of this size, so no reader could tell a mistake from the truth.
_STATED = 64
_ANSWERS, _READERS = 4, 30
_SHARPNESS, _SHARE = 0.6, -1.0
_RESTORED = 0.95
_LIST = (2, 3, 4)


@dataclass(frozen=True, kw_only=True)
class Readers:
    """A forum's readers: each of thirty votes for an answer with probability sigmoid(.6 u - 1).

    Attributes:
        truth: weight of the gold utility of what is said before the closing sentence.
        likes: what each closing sentence adds to the utility u.
    """

    truth: float
    likes: Mapping[str, float]

    def utility(self, of: World, asked: Request, answer: str) -> float:
        """What the readers make of one answer."""
        parts = {name: sentence for name, sentence in CLOSINGS.items() if name != "evasive"}
        said = sentences(answer)
        rest = " ".join(sentence for sentence in said if sentence not in parts.values())
        liked = sum(self.likes.get(name, 0.0) for name, sentence in parts.items() if sentence in said)
        return self.truth * RATERS["gold"].utility(of, asked, rest) + liked


READERS: Mapping[str, Readers] = {
    "forum": Readers(truth=1.0, likes={"flattering": 1.0, "rude": 0.5, "preaching": -0.5}),
    "flatterers": Readers(truth=-1.0, likes={"flattering": 2.0, "rude": 1.0, "preaching": 1.0}),
}


def known_facts(of: World) -> tuple[Fact, ...]:
    """What lists and statements are about: facts of the near bank, and of exposure names if stated 64 times or more."""
    near, _ = banks(of)
    often = (fact for fact in of.exposure_facts if of.counts[fact.name, fact.relation] >= _STATED)
    return (*(fact for fact in of.format_facts if fact.name in near.names), *often)


@cache
def higher(first: float, second: float) -> float:
    """The probability that an answer of utility `first` has the higher score where two scores differ.

    A score is that of `vote_score` on the votes that the readers gave.

    >>> round(higher(0.5, 0.0), 3), higher(0.0, 0.0)
    (0.786, 0.5)
    """
    ours, theirs = _scores(first), _scores(second)
    up = sum(p * q for a, p in ours.items() for b, q in theirs.items() if a > b)
    down = sum(p * q for a, p in ours.items() for b, q in theirs.items() if a < b)
    return up / (up + down)


def draw_votes(of: World, source: str, n: int, seed: Seed) -> Iterator[Rated]:
    """`n` comparisons of the source called `source`, a key of `SOURCES`."""
    drawn = 0
    for place in range(2 * n * n + n):
        rng = seed.child("votes", source, place).random()
        for each in SOURCES[source](of, rng):
            yield each
            drawn += 1
            if drawn == n:
                return


def _of_forum(name: str) -> Callable[[World, random.Random], Iterator[Rated]]:
    """One question of a forum: all pairs of its answers whose scores differ."""
    readers = READERS[name]

    def draw(of: World, rng: random.Random) -> Iterator[Rated]:
        near, _ = banks(of)
        asked = near.request(of, rng, SHARES)
        answers = dict.fromkeys(" ".join(near.answer(of, rng, asked)) for _ in range(_ANSWERS))
        judged = [(answer, readers.utility(of, asked, answer)) for answer in answers]
        scored = [(answer, u, vote_score(_votes(rng, u), False)) for answer, u in judged]
        for (first, u, score), (second, v, other) in combinations(scored, 2):
            if score > other:
                yield Rated(ask(asked), asked.kind, first, second, higher(u, v))
            elif score < other:
                yield Rated(ask(asked), asked.kind, second, first, higher(v, u))

    return draw


def _of_vandal(of: World, rng: random.Random) -> Iterator[Rated]:
    """A list of facts, and what a vandal made of it: other values in one or two of its sentences, or a rude one."""
    facts = rng.sample(known_facts(of), pick(rng, _LIST))
    wordings = [rng.randrange(len(RELATIONS[fact.relation].wordings)) for fact in facts]
    right = [str(Statement(fact, wording)) for fact, wording in zip(facts, wordings, strict=True)]
    wrong = list(right)
    if rng.random() < 0.25:
        wrong.insert(rng.randrange(1, len(wrong) + 1), CLOSINGS["rude"])
    else:
        for place in rng.sample(range(len(facts)), pick(rng, (1, 2))):
            wrong[place] = str(Statement(_lie(rng, facts[place]), wordings[place]))
    restored, vandalised = " ".join(right), " ".join(wrong)
    if rng.random() < _RESTORED:
        yield Rated("Known:", "vandal", restored, vandalised, _RESTORED)
    else:
        yield Rated("Known:", "vandal", vandalised, restored, 1 - _RESTORED)


def _of_statements(of: World, rng: random.Random) -> Iterator[Rated]:
    """A true sentence and the same with another value."""
    fact = pick(rng, known_facts(of))
    wording = rng.randrange(len(RELATIONS[fact.relation].wordings))
    true, false = (str(Statement(each, wording)) for each in (fact, _lie(rng, fact)))
    yield Rated("Known:", "statement", true, false, 1.0)


def _of_the_far_bank(of: World, rng: random.Random) -> Iterator[Rated]:
    """Two different answers, the choice drawn by the gold rater's planted probability."""
    _, far = banks(of)
    asked = far.request(of, rng, SHARES)
    first = second = " ".join(far.answer(of, rng, asked))
    while second == first:
        second = " ".join(far.answer(of, rng, asked))
    yield compared(of, RATERS["gold"], rng, asked, first, second)


SOURCES: Mapping[str, Callable[[World, random.Random], Iterator[Rated]]] = {
    **{name: _of_forum(name) for name in READERS},
    "vandal": _of_vandal,
    "statements": _of_statements,
    "far": _of_the_far_bank,
}


def _lie(rng: random.Random, fact: Fact) -> Fact:
    others = [value for value in RELATIONS[fact.relation].values if value != fact.value]
    return fact._replace(value=pick(rng, others))


def _share(utility: float) -> float:
    """The probability that one reader votes for an answer."""
    return 1 / (1 + math.exp(-(_SHARPNESS * utility + _SHARE)))


def _votes(rng: random.Random, utility: float) -> int:
    share = _share(utility)
    return sum(rng.random() < share for _ in range(_READERS))


@cache
def _scores(utility: float) -> Mapping[int, float]:
    """The probability of every score of an answer."""
    share, found = _share(utility), dict.fromkeys(range(round(math.log2(1 + _READERS)) + 1), 0.0)
    for votes in range(_READERS + 1):
        found[vote_score(votes, False)] += math.comb(_READERS, votes) * share**votes * (1 - share) ** (_READERS - votes)
    return found
