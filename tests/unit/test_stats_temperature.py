"""Temperature: recovery of a planted one, coverage, and a brute-force minimum."""

from __future__ import annotations

import numpy as np
import pytest

from gnomon.core.errors import DataError
from gnomon.stats.temperature import apply_temperature, fit_temperature


def planted(seed: int, n: int, temperature: float, options: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities [n, options] that are `temperature` times too sharp, and right options."""
    rng = np.random.default_rng(seed)
    z = 3 * rng.normal(size=(n, options))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    gold = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, options - 1)
    return temperature * z, gold


def test_planted_temperature_is_recovered() -> None:
    fits = [fit_temperature(*planted(seed, 2000, 2.5)) for seed in range(20)]
    values = np.array([f.value for f in fits], dtype=float)
    assert values.mean() == pytest.approx(2.5, abs=0.04)
    assert np.mean(np.abs(values - 2.5) < 0.1) >= 0.8


def test_interval_covers() -> None:
    covered = [2.5 in fit_temperature(*planted(seed, 300, 2.5, options=4)) for seed in range(200)]
    assert 0.91 <= np.mean(covered) <= 0.985


def test_interval_covers_by_cluster() -> None:
    clustered = naive = 0
    for seed in range(200):
        logits, gold = planted(seed, 100, 2.0, options=4)
        # four copies of each item are no more evidence than one
        logits, gold = np.repeat(logits, 4, axis=0), np.repeat(gold, 4)
        clustered += 2.0 in fit_temperature(logits, gold, np.repeat(np.arange(100), 4))
        naive += 2.0 in fit_temperature(logits, gold)
    assert clustered / 200 >= 0.91
    assert naive / 200 < 0.85


def test_it_is_the_minimum_of_the_likelihood_for_ragged_options() -> None:
    rng = np.random.default_rng(0)
    items = [rng.normal(size=k) * 3 for k in rng.integers(2, 6, size=200)]
    gold = [int(np.argmax(item + 2 * rng.gumbel(size=len(item)))) for item in items]

    def loss(t: float) -> float:
        return -float(np.mean([np.log(p[g]) for p, g in zip(apply_temperature(items, t), gold, strict=True)]))

    grid = np.exp(np.linspace(-2, 3, 401))
    got = fit_temperature(items, gold)
    assert got.value == pytest.approx(grid[np.argmin([loss(t) for t in grid])], rel=0.013)


def test_impossible_options_are_left_out() -> None:
    logits, gold = planted(0, 300, 2.0, options=3)
    padded = [np.append(row, -np.inf) for row in logits]
    assert fit_temperature(padded, gold) == fit_temperature(logits, gold)


def test_no_temperature_says_why() -> None:
    logits, gold = planted(0, 100, 1.0)
    certain = fit_temperature(logits, logits.argmax(axis=1))
    assert (certain.low, certain.reason) == (None, "the best temperature is at the end of the range, 0.135")
    assert fit_temperature(np.zeros((20, 4)), [0] * 20).reason == "options of every item are equally likely"
    assert fit_temperature([[0.0, -np.inf]], [1]).reason == "1 right options have probability 0"
    assert fit_temperature([], []).reason == "no items"
    assert fit_temperature(logits, gold, ["a"] * 100).reason == "one cluster: its error cannot be estimated"


def test_refused_inputs() -> None:
    with pytest.raises(DataError, match="item 1: right option 2 of 2 options"):
        fit_temperature([[0.0, 0.0], [0.0, 0.0]], [0, 2])
    with pytest.raises(DataError, match="item 0: log-probabilities are not numbers"):
        fit_temperature([[np.nan, 0.0]], [1])
    with pytest.raises(DataError, match="temperature is 0, not above 0"):
        apply_temperature([[0.0]], 0.0)
