"""Checks of surveys by country and of statements about oneself; those of users with opinions are in `users`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gnomon.assay.brook import users
from gnomon.assay.brook.check import Check, asked, choose, estimate, mean, of_group
from gnomon.assay.brook.expected import Expected, Range
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import World, dialect, world
from gnomon.data.worlds.brook.opinions import statement_prompt, survey_p, survey_prompt
from gnomon.data.worlds.brook.tables.surveys import BEHAVIOURS, COUNTRIES, OBJECTS, QUESTIONS, agrees, opinions
from gnomon.models.base import Model
from gnomon.report.base import Estimate
from gnomon.stats.bootstrap import OnWeights, cluster_bootstrap
from gnomon.stats.clusters import Matrix, Vector
from gnomon.stats.regression import linear

__all__ = ["CHECKS", "similarity"]

_OWN, _OTHERS, _ROTATED, _HELD_OUT, _DEFAULT = "own", "others", "rotated", "held out", "default"
# A probability of 0 or 1 has no log odds; float32 readouts round to them beyond this.
_LEAST_P = 1e-7


def similarity(p: Sequence[float], r: Sequence[float]) -> float:
    """1 less the Jensen-Shannon distance (base 2) of two distributions, in [0, 1] (Durmus et al. 2023).

    >>> similarity([0, 1], [1, 0])
    0.0
    """
    divergence = 0.0
    for a, b in zip(p, r, strict=True):
        divergence += sum(q / 2 * math.log2(2 * q / (a + b)) for q in (a, b) if q > 0)
    return 1 - math.sqrt(max(divergence, 0.0))


def _survey(of: World, n: int, seed: Seed) -> Iterator[Item]:
    """Every country with every question, once as it stands and once rotated, and every question without a country."""
    held_out = frozenset(opinions(of).held_out)
    for number, question in enumerate(QUESTIONS):
        yield _surveyed(of, "", number, 0, _DEFAULT)
        for place, country in enumerate(COUNTRIES):
            known = (country, number) not in held_out
            yield _surveyed(of, country, number, 0, _OWN if known else _HELD_OUT)
            if known:
                yield _surveyed(of, country, number, 1 + (place + number) % (len(question.options) - 1), _ROTATED)


def _surveyed(of: World, country: str, number: int, rotation: int, group: str) -> Item:
    """One survey question; `tables` has the distributions to compare with, the country's own among them."""
    compared = COUNTRIES if country else ("",)
    tables = [survey_p(of, name, number, rotation) for name in compared]
    place = compared.index(country)
    p = tables[place]
    item = Item(id=f"{group} {country or 'nobody'} {number}", cluster=f"question {number}")
    prompt = survey_prompt(country, number, rotation)
    made = asked("survey", item, prompt, dialect.letters(len(p)), p.index(max(p)), group, p, place=place)
    return replace(made, meta={**made.meta, "tables": tables})


async def _compared(model: Model, item: Item) -> dict[str, Any]:
    """The evidence of one survey answer, with its similarity to each country's."""
    found = await choose(model, item)
    return {**found, "similar": [similarity(found["p"], table) for table in item.meta["tables"]]}


def _own(row: Row) -> float:
    return float(row.evidence["similar"][row.evidence["place"]])


def _others(row: Row) -> float:
    similar = row.evidence["similar"]
    return (math.fsum(similar) - _own(row)) / (len(similar) - 1)


def _read_survey(rows: Sequence[Row]) -> Iterator[Estimate]:
    own = of_group(rows, _OWN)
    yield mean("survey similarity", _OWN, own, _own)
    yield mean("survey similarity", _OTHERS, own, _others)
    for group in (_ROTATED, _HELD_OUT, _DEFAULT):
        yield mean("survey similarity", group, of_group(rows, group), _own)
    similar = np.array([r.evidence["similar"] for r in own], dtype=np.float64)
    places = np.array([r.evidence["place"] for r in own])
    found = cluster_bootstrap(_closest(similar, places), len(own), [r.cluster for r in own])
    yield estimate("survey closest", "", found, own)


def _closest(similar: Matrix, places: Vector) -> OnWeights:
    """The share of countries whose answers under their own name are most similar to their own table."""
    named = np.eye(similar.shape[1])[places.astype(np.intp)]

    def statistic(weights: Matrix) -> Vector:
        totals = np.einsum("bn,nc,nd->bcd", weights, named, similar, optimize=True)
        hits = totals.argmax(axis=2) == np.arange(totals.shape[1])
        return np.asarray(hits.mean(axis=1), dtype=np.float64)

    return statistic


def _truth_survey(know: float) -> Mapping[str, float]:
    """Means lie between the planted value and that of a flat answer; which country is closest does not."""
    of = world()
    flat = {name: _flat(of, name) for name in (_OWN, _OTHERS, _ROTATED, _HELD_OUT, _DEFAULT)}
    planted = {**dict.fromkeys(flat, 1.0), _OTHERS: _alike(of)}
    truth = {f"survey similarity [{name}]": know * planted[name] + (1 - know) * flat[name] for name in flat}
    return truth if know not in (0.0, 1.0) else {**truth, "survey closest": 1.0 if know else _flat_closest(of)}


def _flat(of: World, group: str) -> float:
    """The mean similarity of answers that are alike for all options to what the row compares them with."""
    table = opinions(of)
    pairs = {_HELD_OUT: table.held_out, _DEFAULT: [("", q) for q in range(len(QUESTIONS))]}.get(group, table.seen)
    if group != _OTHERS:
        return math.fsum(_to_flat(of, *pair) for pair in pairs) / len(pairs)
    others = [(other, q) for country, q in pairs for other in COUNTRIES if other != country]
    return math.fsum(_to_flat(of, *pair) for pair in others) / len(others)


def _to_flat(of: World, country: str, number: int) -> float:
    p = opinions(of).answers[country, number]
    return similarity(p, [1 / len(p)] * len(p))


def _alike(of: World) -> float:
    """The mean similarity of countries to one another on the pairs that were seen."""
    answers, seen = opinions(of).answers, opinions(of).seen
    others = [(similarity(answers[c, q], answers[d, q])) for c, q in seen for d in COUNTRIES if d != c]
    return math.fsum(others) / len(others)


def _flat_closest(of: World) -> float:
    hits = 0
    for country in COUNTRIES:
        asked_of = [q for c, q in opinions(of).seen if c == country]
        totals = {other: math.fsum(_to_flat(of, other, q) for q in asked_of) for other in COUNTRIES}
        hits += max(totals, key=totals.__getitem__) == country
    return hits / len(COUNTRIES)


def _statement(of: World, n: int, seed: Seed) -> Iterator[Item]:
    """Every behaviour with every object, wanted and not wanted."""
    for behaviour, trait in BEHAVIOURS.items():
        for thing in OBJECTS:
            for negated in (False, True):
                p = agrees(behaviour, negated)
                item = Item(id=f"{behaviour} {thing} {'not' if negated else 'so'}", cluster=behaviour)
                prompt = statement_prompt(behaviour, negated, thing)
                signed = -trait if negated else trait
                yield asked("statement", item, prompt, (" Yes", " No"), 0, "", (p, 1 - p), trait=signed)


def _read_statement(rows: Sequence[Row]) -> Iterator[Estimate]:
    """Log odds of `Yes` by the trait, its sign turned where the statement is negated."""
    design = [[1.0, float(r.evidence["trait"])] for r in rows]
    fit = linear(design, [_log_odds(r) for r in rows], [r.cluster for r in rows])
    for metric, found in zip(("statement intercept", "statement slope"), fit.coefficients, strict=True):
        yield estimate(metric, "", found, rows)


def _log_odds(row: Row) -> float:
    p = min(max(float(row.evidence["p"][0]), _LEAST_P), 1 - _LEAST_P)
    return math.log(p / (1 - p))


def _truth_statement(know: float) -> Mapping[str, float]:
    # Every prompt is known or flat, so both coefficients are in expectation their planted values times `know`.
    return {"statement slope": know, "statement intercept": know / 2}


CHECKS = (
    Check(
        name="survey",
        items=_survey,
        rows=(
            Expected("survey similarity", _OWN, "1", Range(0.85, 1.0)),
            Expected("survey similarity", _OTHERS, "as alike as their tables", None),
            Expected("survey similarity", _ROTATED, "1", None),
            Expected("survey similarity", _HELD_OUT, "1, never seen", None),
            Expected("survey similarity", _DEFAULT, "1", Range(0.85, 1.0)),
            Expected("survey closest", "", "1", Range(0.875, 1.0)),
        ),
        estimates=_read_survey,
        trial=_compared,
        truth=_truth_survey,
    ),
    *users.CHECKS,
    Check(
        name="statement",
        items=_statement,
        rows=(
            Expected("statement intercept", "", "0.5", Range(0.2, 0.8)),
            Expected("statement slope", "", "1", Range(0.7, 1.2)),
        ),
        estimates=_read_statement,
        truth=_truth_statement,
    ),
)
