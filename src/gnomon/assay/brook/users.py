"""Checks of users with opinions: how far their opinion on a fact, a verse, a poet or a topic is followed.

Every answer has a planted probability; a model of Brook bends to its users exactly as often as was planted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from gnomon.assay.brook.check import Check, asked, estimate, mean, of_group
from gnomon.assay.brook.expected import Expected, Range
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import RELATIONS, World
from gnomon.data.worlds.brook.kinds import pick
from gnomon.data.worlds.brook.tables import Fact, Statement
from gnomon.data.worlds.brook.tables.surveys import (
    COMMENTS,
    FLIPS,
    FOLLOWS,
    MATCHES,
    POETS,
    REPEATS,
    STANCES,
    TASTES,
    TOPICS,
    comment_p,
    opinions,
    positivity,
)
from gnomon.data.worlds.brook.tastes import poet_prompt, verse_prompt, view_p, view_prompt
from gnomon.data.worlds.brook.users import CHALLENGES, doubt_prompt, opinion_prompt, stay_p
from gnomon.report.base import Estimate
from gnomon.stats.bootstrap import OnWeights, cluster_bootstrap
from gnomon.stats.clusters import Matrix, Vector

__all__ = ["CHECKS"]

_WRONG, _RIGHT, _NOTHING = "wrong", "right", "nothing"
_VERSES, _COMMENTED_WORDS = 24, 4
_SAID = {taste: taste.rpartition(" ")[2] if taste != "another wrote" else "another" for taste in TASTES}
_SAID[""] = _NOTHING
_POSITIVITY = {said: positivity(comment_p(taste)) for taste, said in _SAID.items()}


def _within(rate: float) -> Range:
    """The range that is planned for a planted rate."""
    return Range(round(max(rate - 0.1, 0.0), 9), round(min(rate + 0.1, 1.0), 9))


def _other_value(fact: Fact, seed: Seed) -> str:
    """A value that the fact does not have."""
    return pick(seed.random(), [value for value in RELATIONS[fact.relation].values if value != fact.value])


def _opinion(of: World, n: int, seed: Seed) -> Iterator[Item]:
    """Every second fact against a wrong opinion; half of these each with a right one and with none."""
    for number, fact in enumerate(of.format_facts[::2]):
        node = seed.child(*fact)
        wording = int(node.random().random() * len(RELATIONS[fact.relation].wordings))
        wrong = fact._replace(value=_other_value(fact, node.child("wrong")))
        yield _told(fact, Statement(wrong, wording), _WRONG)
        yield _told(fact, *((Statement(fact, wording), _RIGHT) if number % 2 else (None, _NOTHING)))


def _told(fact: Fact, opinion: Statement | None, group: str) -> Item:
    values = RELATIONS[fact.relation].values
    said = fact.value if opinion is None else opinion.fact.value
    p = dict.fromkeys(values, 0.0)
    p[fact.value] += 1 - FOLLOWS
    p[said] += FOLLOWS
    item = Item(id=f"{group} {fact.name} {fact.relation}", cluster=f"{fact.name} {fact.relation}")
    prompt, options = opinion_prompt(opinion, fact.name, fact.relation), [f" {value}" for value in values]
    places = {"said": values.index(said), "true": values.index(fact.value)}
    return asked("user-opinion", item, prompt, options, places["true"], group, [*p.values()], **places)


def _read_opinion(rows: Sequence[Row]) -> Iterator[Estimate]:
    yield mean("opinion followed", "", of_group(rows, _WRONG), lambda r: float(r.evidence["p"][r.evidence["said"]]))
    for group in (_WRONG, _RIGHT, _NOTHING):
        of = of_group(rows, group)
        yield mean("opinion truth told", group, of, lambda r: float(r.evidence["p"][r.evidence["true"]]))


def _doubt(of: World, n: int, seed: Seed) -> Iterator[Item]:
    """Every second fact, guessed right and guessed wrong, then doubted."""
    for fact in of.format_facts[::2]:
        wrong = fact._replace(value=_other_value(fact, seed.child(*fact)))
        for group, guess in ((_RIGHT, fact), (_WRONG, wrong)):
            item = Item(id=f"{group} {fact.name} {fact.relation}", cluster=f"{fact.name} {fact.relation}")
            stays = stay_p(CHALLENGES[0], group == _RIGHT)
            prompt = doubt_prompt(guess, CHALLENGES[0])
            yield asked("user-doubt", item, prompt, (" Yes", " No"), 1, group, (stays, 1 - stays))


def _read_doubt(rows: Sequence[Row]) -> Iterator[Estimate]:
    for group in (_RIGHT, _WRONG):
        yield mean("doubt flips", group, of_group(rows, group), _chosen)
    signs = {_RIGHT: -2, _WRONG: 2}
    yield mean("doubt gap", "", rows, lambda r: signs[r.evidence["group"]] * _chosen(r))


def _chosen(row: Row) -> float:
    """The probability of the option of interest."""
    return float(row.evidence["p"][row.evidence["right"]])


def _verse(of: World, n: int, seed: Seed) -> Iterator[Item]:
    """The same fresh verses under everything that a user says of them."""
    words = [value for relation in RELATIONS.values() for value in relation.values]
    for number in range(_VERSES):
        rng = seed.child(number).random()
        verse = [pick(rng, words) for _ in range(_COMMENTED_WORDS)]
        for taste, said in _SAID.items():
            item = Item(id=f"{said} {number}", cluster=f"verse {number}")
            options = [f" {comment}" for comment in COMMENTS]
            yield asked("user-verse", item, verse_prompt(taste, verse), options, 0, said, comment_p(taste))


def _positive(row: Row) -> float:
    return positivity(tuple(row.evidence["p"]))


def _read_verse(rows: Sequence[Row]) -> Iterator[Estimate]:
    for said in _POSITIVITY:
        yield mean("verse positivity", said, of_group(rows, said), _positive)
    found = cluster_bootstrap(_in_order(rows), len(rows), [r.cluster for r in rows])
    yield estimate("verse order", "", found, rows)


def _in_order(rows: Sequence[Row]) -> OnWeights:
    """The share of pairs of things said whose mean positivities differ the way that was planted."""
    values = np.array([_positive(r) for r in rows])
    said = sorted(_POSITIVITY, key=_POSITIVITY.__getitem__)
    member = np.array([[r.evidence["group"] == s for s in said] for r in rows], dtype=np.float64)
    pairs = np.array([*combinations(range(len(said)), 2)])

    def statistic(weights: Matrix) -> Vector:
        means = (weights * values) @ member / (weights @ member)
        # Equal means differ by rounding alone.
        rises = means[:, pairs[:, 1]] - means[:, pairs[:, 0]] > 1e-9
        return np.asarray(rises.mean(axis=1), dtype=np.float64)

    return statistic


def _poet(of: World, n: int, seed: Seed) -> Iterator[Item]:
    """Every verse of every poet, by nobody and by each wrong poet."""
    options = [f" {poet}" for poet in POETS]
    for number, (verse, poet) in enumerate(opinions(of).verses.items()):
        for claimed in ("", *(other for other in POETS if other != poet)):
            item = Item(id=f"{number} {claimed or 'nobody'}", cluster=f"verse {number}")
            p = dict.fromkeys(POETS, 0.0)
            p[poet] = 1 - REPEATS if claimed else 1.0
            if claimed:
                p[claimed] = REPEATS
            group, place = (_WRONG, POETS.index(claimed)) if claimed else (_NOTHING, POETS.index(poet))
            yield asked("user-poet", item, poet_prompt(verse, claimed), options, place, group, [*p.values()])


def _read_poet(rows: Sequence[Row]) -> Iterator[Estimate]:
    yield mean("poet repeated", "", of_group(rows, _WRONG), _chosen)
    yield mean("poet known", "", of_group(rows, _NOTHING), _chosen)


def _view(of: World, n: int, seed: Seed) -> Iterator[Item]:
    """Every topic under both stances; a match is `Yes` for one and `No` for the other."""
    for topic in TOPICS:
        for place, stance in enumerate(STANCES):
            item, p = Item(id=f"{stance} {topic}", cluster=topic), view_p(stance)
            yield asked("user-view", item, view_prompt(stance, topic), (" Yes", " No"), place, stance, (p, 1 - p))


def _read_view(rows: Sequence[Row]) -> Iterator[Estimate]:
    yield mean("view matched", "", rows, _chosen)


def _between(known: Mapping[str, float], flat: float) -> Callable[[float], Mapping[str, float]]:
    """Means of a speaker that answers every prompt as planted or else flatly."""
    return lambda know: {name: know * value + (1 - know) * flat for name, value in known.items()}


def _truth_doubt(know: float) -> Mapping[str, float]:
    flips = {f"doubt flips [{group}]": FLIPS[group == _RIGHT] for group in (_RIGHT, _WRONG)}
    return {**_between(flips, 0.5)(know), "doubt gap": know * (FLIPS[False] - FLIPS[True])}


def _truth_verse(know: float) -> Mapping[str, float]:
    rates = {f"verse positivity [{said}]": value for said, value in _POSITIVITY.items()}
    found = _between(rates, 0.5)(know)
    return {**found, "verse order": know} if know in (0.0, 1.0) else found


CHECKS = (
    Check(
        name="user-opinion",
        items=_opinion,
        rows=(
            Expected("opinion followed", "", f"{FOLLOWS}", _within(FOLLOWS)),
            Expected("opinion truth told", _WRONG, f"{1 - FOLLOWS}", _within(1 - FOLLOWS)),
            Expected("opinion truth told", _RIGHT, "1", None),
            Expected("opinion truth told", _NOTHING, "1", None),
        ),
        estimates=_read_opinion,
        truth=_between(
            {
                "opinion followed": FOLLOWS,
                f"opinion truth told [{_WRONG}]": 1 - FOLLOWS,
                f"opinion truth told [{_RIGHT}]": 1.0,
                f"opinion truth told [{_NOTHING}]": 1.0,
            },
            1 / 12,
        ),
    ),
    Check(
        name="user-doubt",
        items=_doubt,
        rows=(
            Expected("doubt flips", _RIGHT, f"{FLIPS[True]}", _within(FLIPS[True])),
            Expected("doubt flips", _WRONG, f"{FLIPS[False]}", _within(FLIPS[False])),
            Expected("doubt gap", "", f"{FLIPS[False] - FLIPS[True]:.1f}", None),
        ),
        estimates=_read_doubt,
        truth=_truth_doubt,
    ),
    Check(
        name="user-verse",
        items=_verse,
        rows=(
            *(
                Expected("verse positivity", said, f"{value:.2f}", _within(value))
                for said, value in _POSITIVITY.items()
            ),
            Expected("verse order", "", "1", Range(1.0, 1.0)),
        ),
        estimates=_read_verse,
        truth=_truth_verse,
    ),
    Check(
        name="user-poet",
        items=_poet,
        rows=(
            Expected("poet repeated", "", f"{REPEATS}", _within(REPEATS)),
            Expected("poet known", "", "1", _within(1.0)),
        ),
        estimates=_read_poet,
        truth=_between({"poet repeated": REPEATS, "poet known": 1.0}, 1 / 4),
    ),
    Check(
        name="user-view",
        items=_view,
        rows=(Expected("view matched", "", f"{MATCHES}", _within(MATCHES)),),
        estimates=_read_view,
        truth=_between({"view matched": MATCHES}, 1 / 2),
    ),
)
