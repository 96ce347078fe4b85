"""Agreement of two raters against scikit-learn and a count by hand; intervals where the truth is planted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from gnomon.core.errors import DataError
from gnomon.stats.agreement import agreement

LABELS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=30)


def counted(first: str, second: str) -> tuple[float, float]:
    """Share and kappa from the table of counts."""
    n, table = len(first), Counter(zip(first, second, strict=True))
    share = sum(count for (a, b), count in table.items() if a == b) / n
    chance = sum(first.count(label) * second.count(label) for label in set(first) | set(second)) / n**2
    return share, (share - chance) / (1 - chance)


@given(LABELS)
def test_kappa_is_that_of_scikit_learn_and_of_the_table(pairs: list[tuple[str, str]]) -> None:
    first, second = ("".join(side) for side in zip(*pairs, strict=True))
    found = agreement(first, second, resamples=20)
    if len(set(first + second)) == 1:
        assert (found.share.value, found.kappa.value, found.chance) == (1.0, None, 1.0)
        return
    share, kappa = counted(first, second)
    assert found.share.value == pytest.approx(share)
    assert found.kappa.value == pytest.approx(kappa)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(list(first), list(second)))


@given(LABELS)
def test_neither_order_nor_names_of_labels_matter(pairs: list[tuple[str, str]]) -> None:
    first, second = zip(*pairs, strict=True)
    renamed = [[{"a": 3, "b": None, "c": "a"}[label] for label in side] for side in (first, second)]
    one, other = agreement(first, second, resamples=20), agreement(*renamed[::-1], resamples=20)
    assert one.share == other.share
    assert one.chance == pytest.approx(other.chance)
    assert (one.kappa.value is None) == (other.kappa.value is None)
    if one.kappa.value is not None:
        assert one.kappa.value == pytest.approx(other.kappa.value)


def test_the_usual_worked_table() -> None:
    """Twenty yes by both, fifteen no by both, five and ten apart: kappa 0.4."""
    table = {("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15}
    first, second = zip(*[pair for pair, count in table.items() for _ in range(count)], strict=True)
    found = agreement(first, second)
    assert (found.share.value, found.chance) == (pytest.approx(0.7), pytest.approx(0.5))
    assert found.kappa.value == pytest.approx(0.4)
    assert 0.4 in found.kappa and 0.1 not in found.kappa


def test_planted_agreement_lies_in_nineteen_of_twenty_intervals() -> None:
    """Items of three things each, which share how clear they are; both raters draw by it."""
    replications, held = 200, {"share": 0, "kappa": 0, "as if apart": 0}
    for seed in range(replications):
        rng = np.random.default_rng(seed)
        # Within an item all things are clear or all are a coin's throw: 1 and 1/2 with equal chance.
        p = np.repeat(rng.choice([1.0, 0.5], size=60), 3)
        right = rng.integers(2, size=180)
        first, second = (np.where(rng.random(180) < p, right, 1 - right).tolist() for _ in range(2))
        items = np.repeat(np.arange(60), 3)
        found = agreement(first, second, items, resamples=300, seed=seed)
        held["share"] += 0.75 in found.share
        held["kappa"] += 0.5 in found.kappa
        held["as if apart"] += 0.5 in agreement(first, second, resamples=300, seed=seed).kappa
    assert 0.91 <= held["share"] / replications <= 0.985
    assert 0.91 <= held["kappa"] / replications <= 0.985
    assert held["as if apart"] / replications < 0.9


def test_what_cannot_be_measured_says_why() -> None:
    assert agreement([], []).kappa.reason == "no rows"
    assert agreement("aa", "aa").kappa.reason == "undefined on these rows"
    assert agreement("ab", "ab", ["x", "x"]).kappa.reason == "one cluster: its error cannot be estimated"
    with pytest.raises(DataError, match="2 labels of one rater and 1 of the other"):
        agreement("ab", "a")
