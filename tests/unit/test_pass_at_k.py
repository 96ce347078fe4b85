"""pass@k against exact fractions, its bias, its intervals, and what cannot be estimated."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.core.errors import UsageError
from gnomon.stats.pass_at_k import mean_pass_at_k, pass_at_k, plug_in, sampling_error


def exact(n: int, c: int, k: int) -> Fraction:
    return 1 - Fraction(comb(n - c, k), comb(n, k))


def test_equals_the_fraction_for_all_small_counts() -> None:
    for n in range(1, 13):
        for c in range(n + 1):
            for k in range(1, n + 1):
                assert pass_at_k(n, c, k) == pytest.approx(float(exact(n, c, k)), abs=1e-12)


@given(st.integers(1, 10_000), st.data())
def test_large_counts_neither_overflow_nor_leave_0_to_1(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert 0.0 <= pass_at_k(n, c, k) <= 1.0
    assert (pass_at_k(n, c, k) == 0.0) == (c == 0)


def test_unbiased_where_the_plug_in_is_not() -> None:
    n, k, p, rng = 20, 10, 0.06, np.random.default_rng(0)
    truth = 1 - (1 - p) ** k
    drawn = rng.binomial(n, p, 20_000)
    ours = np.array([pass_at_k(n, int(c), k) for c in drawn])
    naive = np.array([plug_in(n, int(c), k) for c in drawn])
    assert abs(ours.mean() - truth) < 3 * ours.std() / np.sqrt(len(ours))
    assert naive.mean() < truth - 10 * naive.std() / np.sqrt(len(naive))


def test_more_than_the_samples_is_refused() -> None:
    with pytest.raises(UsageError, match="pass@6 of 5 samples"):
        pass_at_k(5, 1, 6)
    with pytest.raises(UsageError):
        pass_at_k(5, 1, 0)
    with pytest.raises(UsageError):
        pass_at_k(5, 6, 1)


def test_the_interval_covers_at_its_rate() -> None:
    rng, covered = np.random.default_rng(1), 0
    # Problems' chances come from a Beta distribution, of which pass@k has a closed form.
    a, b, n, k = 1.0, 3.0, 10, 5
    truth = 1 - np.prod([(b + i) / (a + b + i) for i in range(k)])
    for seed in range(100):
        c = rng.binomial(n, rng.beta(a, b, 80))
        covered += truth in mean_pass_at_k([n] * 80, c.tolist(), k, seed=seed)
    assert covered >= 88


def test_all_right_still_has_width() -> None:
    found = mean_pass_at_k([1] * 164, [1] * 164, 1)
    assert found.value == found.high == 1.0
    assert found.low is not None and 0.95 < found.low < 1.0


def test_sampling_error_is_that_of_new_samples() -> None:
    rng = np.random.default_rng(2)
    p, n, k = [0.1, 0.3, 0.6], 20, 5
    means = [np.mean([pass_at_k(n, int(c), k) for c in rng.binomial(n, p)]) for _ in range(4000)]
    assert sampling_error([n] * 3, [2, 6, 12], k) == pytest.approx(np.std(means), rel=0.06)
    assert sampling_error([n] * 3, [0, n, 0], k) == 0.0
