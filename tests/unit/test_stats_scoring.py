"""Scores of probabilities against scikit-learn, closed forms and planted sampling noise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from gnomon.core.errors import DataError
from gnomon.stats.ranking import pearson
from gnomon.stats.scoring import (
    brier,
    brier_options,
    brier_sampled,
    brier_skill,
    corrected_correlation,
    halves,
    negative_log_likelihood,
    split_half_reliability,
)


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(100)
    y = (rng.random(100) < p).astype(float)
    assert brier(p, y).value == pytest.approx(brier_score_loss(y, p))
    assert negative_log_likelihood(np.where(y == 1, p, 1 - p)).value == pytest.approx(log_loss(y, p))
    assert brier([0.5] * 20, [1, 0] * 10).value == 0.25


def test_brier_over_options_sums_squares() -> None:
    got = brier_options([[0.7, 0.2, 0.1], [0.5, 0.5]], [0, 1])
    assert got.value == pytest.approx(((0.3**2 + 0.2**2 + 0.1**2) + 0.5) / 2)
    # of two options the sum is twice the binary score
    assert brier_options([[0.3, 0.7]] * 3, [1] * 3).value == pytest.approx(2 * 0.3**2)


def test_skill_is_against_the_base_rate() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.1).astype(float)
    assert brier_skill(np.full(200, y.mean()), y).value == pytest.approx(0.0)
    assert brier_skill(y, y).value == 1.0
    # near 0 everywhere: a good Brier score and no skill
    assert (brier_skill(np.full(200, 0.02), y).value or 0) < 0.0
    assert brier_skill([0.3, 0.4], [1, 1]).reason.startswith("every outcome is the same")


def test_skill_is_covered() -> None:
    covered = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        p = rng.beta(2, 2, size=300)
        # mean p(1-p) of beta(2, 2) is 0.2, of a fair coin 0.25
        covered += 1 - 0.2 / 0.25 in brier_skill(p, rng.random(300) < p, resamples=400, seed=seed)
    assert 0.90 <= covered / 150 <= 0.99


def test_a_probability_of_nothing_is_floored_and_counted() -> None:
    got = negative_log_likelihood([0.0, 1.0])
    assert got.value == pytest.approx(-np.log(1e-12) / 2)
    assert "1 probabilities below 1e-12 counted as 1e-12" in got.reason


def test_sampled_brier_is_unbiased_where_the_plain_one_is_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.beta(2, 2, size=50_000)
    y = (rng.random(50_000) < truth).astype(float)
    p = rng.binomial(5, truth) / 5
    assert brier_sampled(p, y, 5).value == pytest.approx(0.2, abs=0.003)
    assert (brier(p, y).value or 0) > 0.235
    with pytest.raises(DataError, match="row 1: one sample has no variance; draw two"):
        brier_sampled([0.5, 1.0], [1, 1], [2, 1])


def test_correlation_is_corrected_for_sampling_noise() -> None:
    covered, values = 0, []
    truth = np.sqrt(0.05 / (0.05 + 0.0225))
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rate = rng.beta(2, 2, size=200)
        first, second = halves(list((rng.random((200, 10)) < rate[:, None]).astype(float)))
        got = corrected_correlation(first, second, rate + 0.15 * rng.normal(size=200), resamples=400, seed=seed)
        covered += truth in got.corrected
        values.append(got.corrected.value)
        assert got.raw.value is not None and got.corrected.value is not None and got.raw.value < got.corrected.value
    assert np.mean(values) == pytest.approx(truth, abs=0.01)
    assert covered / 100 >= 0.9


def test_reliability_steps_the_correlation_up() -> None:
    rng = np.random.default_rng(0)
    rate = rng.beta(2, 2, size=20_000)
    first, second = rng.binomial(5, rate) / 5, rng.binomial(5, rate) / 5
    r = pearson(first, second, resamples=50).value or 0
    got = split_half_reliability(first, second, resamples=50)
    assert got.value == pytest.approx(2 * r / (1 + r))
    # variance of the rates 0.05; of a mean of ten answers given the rate 0.2 / 10
    assert got.value == pytest.approx(0.05 / (0.05 + 0.02), abs=0.01)
    assert got.low is not None and got.value is not None and got.low < got.value


def test_no_agreement_no_correction() -> None:
    a = np.array([0.0, 1.0, 0.0, 1.0] * 5)
    got = corrected_correlation(a, 1 - a + 0.1 * np.arange(20), np.arange(20.0))
    assert got.corrected.value is None
    assert got.reliability is None
    assert got.corrected.reason == "the halves do not agree: no signal to correct for"
    flat = corrected_correlation(np.zeros(4), np.arange(4.0), np.arange(4.0))
    assert flat.corrected.reason == "a half does not vary"


def test_refused_inputs() -> None:
    with pytest.raises(DataError, match="question 0: fewer than two samples cannot be halved"):
        halves([[1.0]])
    with pytest.raises(DataError, match="item 0: right option 3 of 2 options"):
        brier_options([[0.5, 0.5]], [3])
