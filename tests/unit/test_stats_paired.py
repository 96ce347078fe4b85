"""Paired comparisons against SciPy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_oracle
from statsmodels.stats.multitest import multipletests

from gnomon.core.errors import DataError
from gnomon.stats.paired import holm, mcnemar, paired_difference


def test_unclustered_difference_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=50)
    a, b = base + 0.3 + 0.5 * rng.normal(size=50), base + 0.5 * rng.normal(size=50)
    got, theirs = paired_difference(a, b), stats.ttest_rel(a, b)
    assert got.p_value == pytest.approx(theirs.pvalue)
    assert got.difference.low == pytest.approx(theirs.confidence_interval().low)
    assert got.correlation == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert got.unpaired_se == pytest.approx(np.hypot(stats.sem(a), stats.sem(b)))
    assert got.difference.se is not None and got.unpaired_se is not None
    assert got.difference.se < got.unpaired_se


def test_differences_cluster() -> None:
    rng = np.random.default_rng(0)
    shift, clusters = np.repeat(rng.normal(size=20), 5), np.repeat(np.arange(20), 5)
    b = rng.normal(size=100)
    clustered, naive = paired_difference(b + shift, b, clusters), paired_difference(b + shift, b)
    assert clustered.difference.se is not None and naive.difference.se is not None
    assert clustered.difference.se > 1.8 * naive.difference.se


def test_equal_models_differ_by_nothing() -> None:
    got = paired_difference([1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    assert (got.difference.value, got.p_value) == (0.0, 1.0)
    assert paired_difference([1.0, 1.0], [1.0, 1.0]).correlation is None


def test_mcnemar_is_exact() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 2, size=(2, 30))
        table = [[np.sum((a == i) & (b == j)) for j in (1, 0)] for i in (1, 0)]
        got = mcnemar(a, b)
        assert got.p_value == pytest.approx(mcnemar_oracle(table, exact=True).pvalue)
        assert (got.first_only, got.second_only) == (table[0][1], table[1][0])
    assert mcnemar([1, 0], [1, 0]).p_value == 1.0


def test_holm_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 7):
        p = rng.random(size) ** 2
        assert holm(list(p)) == pytest.approx(list(multipletests(p, method="holm")[1]))
    assert holm([]) == []


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="columns differ in length: first 2, second 1"):
        paired_difference([1.0, 0.0], [1.0])
