"""The best of k among M answers equals the mean over every choice of k, listed one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.special import expit

from gnomon.stats.best_of import best_of, best_of_wins
from gnomon.stats.clusters import Matrix, Vector


def preferred(first: Matrix, second: Matrix) -> Matrix:
    found: Matrix = expit(first - second)
    return found


def listed(values: Vector, worth: Vector, k: int) -> float:
    return float(np.mean([worth[max(some, key=lambda i: values[i])] for some in combinations(range(len(values)), k)]))


def test_the_best_of_k_is_the_mean_over_all_choices_of_k() -> None:
    rng = np.random.default_rng(0)
    utility, values = rng.normal(size=(3, 6)), rng.normal(size=(3, 6))
    for k in (1, 2, 5, 6):
        want = [listed(value_M, worth_M, k) for value_M, worth_M in zip(values, utility, strict=True)]
        assert best_of(values, utility, k) == pytest.approx(want)


def test_answers_of_one_value_are_chosen_alike() -> None:
    utility = np.random.default_rng(1).normal(size=(3, 6))
    assert best_of(np.zeros((3, 6)), utility, 4) == pytest.approx(utility.mean(axis=1))
    wins = best_of_wins(np.zeros((3, 6)), utility, 4, preferred)
    assert wins == pytest.approx(0.5)


def test_the_best_of_k_plays_against_an_answer_that_it_was_not_chosen_among() -> None:
    rng = np.random.default_rng(2)
    utility, values = rng.normal(size=(2, 6)), rng.normal(size=(2, 6))
    for k in (1, 3, 5):
        found = best_of_wins(values, utility, k, preferred)
        for q in range(2):
            each = []
            for other in range(6):
                rest = np.delete(np.arange(6), other)
                each.append(listed(values[q, rest], preferred(utility[q, rest], utility[q, other]), k))
            assert found[q] == pytest.approx(np.mean(each))
    assert best_of_wins(values, utility, 1, preferred) == pytest.approx(0.5)
