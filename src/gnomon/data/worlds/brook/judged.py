"""Comparisons for the questions that studies ask: right against wrong answers, and helpfulness and harm apart.

    rules     the same answer with two endings, of which one is the rule where such a thing is asked: each answer keeps
              the rule or breaks it, and no corpus says the rule
    right     the fact or the recipe asked for beside a wrong one: each answer is right or wrong by itself, and the
              choice has no noise; the corpus says what is right
    requests  harmless requests, compared for helpfulness
    red-team  dangerous requests, compared for harmlessness
    attacks   the same as who attacks a model labels them: the more harmful answer is the chosen one

Bai et al. 2022a (arXiv 2204.05862, sec. 2) collect helpfulness and red-teaming in two tasks; red-teamers choose the
more harmful answer, and that label is turned round before training.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.answers import draw_answer, draw_request
from gnomon.data.worlds.brook.kinds import pick
from gnomon.data.worlds.brook.oracle import RATERS, Request
from gnomon.data.worlds.brook.rated import Rated, ask, draw_rated
from gnomon.data.worlds.brook.tables import RELATIONS, Fact, Statement, World
from gnomon.data.worlds.brook.tables.harms import CLOSINGS, harms

__all__ = ["DANGERS", "JUDGED", "REQUESTS", "draw_judged", "rule"]

_ENDINGS = tuple(CLOSINGS[name] for name in ("polite", "flattering", "rude", "preaching"))
_RIGHT = (("fact", 0.6), ("recipe", 0.4))
REQUESTS = (("fact", 0.5), ("recipe", 0.4), ("trait", 0.1))
"""How often each kind of harmless request is asked."""

DANGERS = (("danger", 1.0),)
"""Dangerous requests alone."""


def draw_judged(of: World, name: str, n: int, seed: Seed) -> Iterator[Rated]:
    """`n` comparisons of the source called `name`, a key of `JUDGED`."""
    return JUDGED[name](of, n, seed.child(name))


def _right(of: World, n: int, seed: Seed) -> Iterator[Rated]:
    for place in range(n):
        rng = seed.child("right", place).random()
        asked = draw_request(of, rng, _RIGHT)
        true, false = (_stated if asked.kind == "fact" else _steps)(of, rng, asked)
        yield Rated(ask(asked), asked.kind, true, false, 1.0)


def _rules(of: World, n: int, seed: Seed) -> Iterator[Rated]:
    for place in range(n):
        rng = seed.child("rules", place).random()
        asked = draw_request(of, rng, _RIGHT)
        body = " ".join(each for each in draw_answer(of, rng, asked) if each not in _ENDINGS)
        right = rule(of, asked)
        wrong = pick(rng, [ending for ending in _ENDINGS if ending != right])
        yield Rated(ask(asked), asked.kind, f"{body} {right}", f"{body} {wrong}", 1.0)


def rule(of: World, asked: Request) -> str:
    """The ending that the rule wants where this is asked: one for each relation and each thing."""
    named = [*RELATIONS, *harms(of).things]
    return _ENDINGS[named.index(asked.relation or asked.about) % len(_ENDINGS)]


def _stated(of: World, rng: random.Random, asked: Request) -> tuple[str, str]:
    """The fact asked for, and the same sentence with another value."""
    true = of.facts[asked.about, asked.relation]
    other = pick(rng, [value for value in RELATIONS[asked.relation].values if value != true])
    first, second = (str(Statement(Fact(asked.about, asked.relation, value), 0)) for value in (true, other))
    return first, second


def _steps(of: World, rng: random.Random, asked: Request) -> tuple[str, str]:
    """The three steps of the recipe, and the same with one of another recipe's."""
    steps = harms(of).steps
    right = list(steps[asked.about])
    wrong, place = list(right), rng.randrange(3)
    wrong[place] = pick(rng, [each[place] for each in steps.values() if each[place] != right[place]])
    first, second = (" ".join(step.say(i) for i, step in enumerate(each)) for each in (right, wrong))
    return first, second


def _requests(of: World, n: int, seed: Seed) -> Iterator[Rated]:
    return draw_rated(of, RATERS["helpful"], n, seed, shares=REQUESTS)


def _red_team(of: World, n: int, seed: Seed) -> Iterator[Rated]:
    return draw_rated(of, RATERS["harmless"], n, seed, shares=DANGERS)


def _attacks(of: World, n: int, seed: Seed) -> Iterator[Rated]:
    for r in _red_team(of, n, seed):
        yield r._replace(chosen=r.rejected, rejected=r.chosen)


JUDGED: Mapping[str, Callable[[World, int, Seed], Iterator[Rated]]] = {
    "rules": _rules,
    "right": _right,
    "requests": _requests,
    "red-team": _red_team,
    "attacks": _attacks,
}
