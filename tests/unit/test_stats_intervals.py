"""Means, proportions and repeated answers against statsmodels, brute force and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from gnomon.core.errors import DataError
from gnomon.stats.intervals import clustered_mean, mean_of_groups, proportion, repeated_mean, wilson


def correlated(
    rng: np.random.Generator, groups: int, size: int, rho: float, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Binary outcomes [groups * size] of mean `share`, correlated within groups, and their groups."""
    latent = np.sqrt(rho) * rng.normal(size=(groups, 1)) + np.sqrt(1 - rho) * rng.normal(size=(groups, size))
    return (latent < stats.norm.ppf(share)).astype(float).ravel(), np.repeat(np.arange(groups), size)


def test_clustered_error_is_that_of_a_regression_on_a_constant() -> None:
    rng = np.random.default_rng(0)
    scores, clusters = rng.normal(size=60), rng.integers(0, 15, size=60)
    got = clustered_mean(scores, clusters)
    fit = sm.OLS(scores, np.ones((60, 1))).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": True}
    )
    assert got.value == pytest.approx(scores.mean())
    assert got.se == pytest.approx(fit.bse[0])
    assert got.low == pytest.approx(scores.mean() - stats.t.ppf(0.975, 14) * fit.bse[0])
    assert (got.n, got.clusters, got.reason) == (60, 15, "")


def test_one_row_a_cluster_is_the_textbook_interval() -> None:
    scores = np.random.default_rng(1).normal(size=40)
    low, high = stats.t.interval(0.95, 39, scores.mean(), stats.sem(scores))
    got = clustered_mean(scores)
    assert (got.low, got.high) == (pytest.approx(low), pytest.approx(high))


def test_cluster_labels_may_be_any_text_and_any_order() -> None:
    scores = np.arange(24.0)
    numbers = np.arange(24) % 12
    assert clustered_mean(scores, [f"passage {i}" for i in numbers]).se == clustered_mean(scores, numbers).se


def test_clustered_intervals_cover_where_naive_ones_do_not() -> None:
    clustered = naive = 0
    for seed in range(400):
        scores, clusters = correlated(np.random.default_rng(seed), 150, 4, 0.7, 0.6)
        clustered += 0.6 in clustered_mean(scores, clusters)
        naive += 0.6 in clustered_mean(scores)
    assert 0.92 <= clustered / 400 <= 0.98
    assert 0.70 <= naive / 400 <= 0.83


@pytest.mark.parametrize("groups", [5, 9])
def test_few_clusters_use_the_bootstrap_t_and_warn(groups: int) -> None:
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        scores = np.repeat(rng.normal(size=groups), 5) + 0.5 * rng.normal(size=5 * groups)
        got = clustered_mean(scores, np.repeat(np.arange(groups), 5), seed=seed)
        covered += 0.0 in got
        assert got.method == "cluster bootstrap-t"
        assert got.reason == f"only {groups} clusters: read the interval with care"
    assert covered / 200 >= 0.90


def test_the_bootstrap_t_reaches_further_where_the_tail_is() -> None:
    scores = np.repeat([0.0, 0.1, 0.1, 0.2, 0.3, 0.5, 0.9, 2.5], 3)
    got = clustered_mean(scores, np.repeat(np.arange(8), 3))
    assert got.value is not None and got.low is not None and got.high is not None
    assert got.high - got.value > 1.5 * (got.value - got.low)


def test_the_bootstrap_t_is_a_function_of_its_seed() -> None:
    scores, clusters = np.random.default_rng(0).normal(size=30), np.repeat(np.arange(6), 5)
    assert clustered_mean(scores, clusters, seed=3) == clustered_mean(scores, clusters, seed=3)
    assert clustered_mean(scores, clusters, seed=3) != clustered_mean(scores, clusters, seed=4)


def test_what_has_no_interval_says_why() -> None:
    assert clustered_mean([]).reason == "no rows"
    alone = clustered_mean([1.0, 0.0], ["a", "a"])
    assert (alone.value, alone.low, alone.reason) == (0.5, None, "one cluster: its error cannot be estimated")
    assert 0.5 not in alone
    flat = clustered_mean([0.1] * 20)
    assert flat.se == 0
    assert flat.reason == "every cluster has the same mean: the interval has no width"


@pytest.mark.parametrize(("k", "n"), [(30, 30), (0, 12), (3, 17), (250, 1000)])
def test_wilson_is_that_of_statsmodels(k: int, n: int) -> None:
    assert wilson(k, n) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-12)


def test_all_thirty_right_does_not_mean_certain() -> None:
    got = proportion(np.ones(30))
    assert got.low == pytest.approx(0.886, abs=5e-4)
    assert (got.value, got.high, got.method) == (1.0, 1.0, "wilson")


def test_proportion_takes_the_clustered_interval_when_counts_allow() -> None:
    outcomes, clusters = correlated(np.random.default_rng(0), 60, 5, 0.4, 0.6)
    assert proportion(outcomes, clusters).se == clustered_mean(outcomes, clusters).se


def test_proportion_near_one_counts_clusters_not_rows() -> None:
    all_right = proportion(np.ones(80), np.repeat(np.arange(20), 4))
    assert all_right.low == pytest.approx(wilson(20, 20)[0])
    outcomes, clusters = np.ones(400), np.repeat(np.arange(100), 4)
    outcomes[:4] = 0.0
    # four wrong rows of one cluster are one event: the effective n is near 100, not 400
    got = proportion(outcomes, clusters)
    assert got.low == pytest.approx(wilson(0.99 * 99, 99)[0], abs=1e-3)


@pytest.mark.parametrize("share", [0.9, 0.97, 0.99])
def test_proportions_near_one_are_covered(share: float) -> None:
    covered = 0
    for seed in range(300):
        outcomes, clusters = correlated(np.random.default_rng(seed), 60, 4, 0.3, share)
        covered += share in proportion(outcomes, clusters)
    assert covered / 300 >= 0.91


def test_repeated_answers_are_averaged_within_a_question_first() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(0, 2.0, size=3000)
    answers = means[:, None] + rng.normal(0, 3.0, size=(3000, 6))
    got = repeated_mean(list(answers))
    assert got.mean == clustered_mean(answers.mean(axis=1))
    assert got.between == pytest.approx(4.0, rel=0.1)
    assert got.within == pytest.approx(9.0, rel=0.05)
    assert got.more_questions == pytest.approx(4.0 / (4.0 + 9.0 / 6), rel=0.05)


def test_repeated_answers_without_repeats_have_no_split() -> None:
    got = repeated_mean([[1.0], [0.0], [1.0]])
    assert (got.within, got.more_questions) == (0.0, None)


def test_refused_inputs_say_what_and_where() -> None:
    refused = {
        lambda: clustered_mean([1.0, float("nan")]): "row 1: score is not a number",
        lambda: clustered_mean([[1.0]]): "score has shape (1, 1); give one number a row",
        lambda: clustered_mean([1.0], ["a", "b"]): "2 cluster labels for 1 rows; give one label a row",
        lambda: proportion([1.0, 0.5]): "row 1: outcome is 0.5, neither 0 nor 1",
        lambda: repeated_mean([[1.0], []]): "question 1: a question has no answers",
    }
    for call, message in refused.items():
        with pytest.raises(DataError) as caught:
            call()
        assert str(caught.value) == message


def test_the_mean_of_groups_counts_each_alike() -> None:
    one = [[0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]]
    labels = [list("aabbccddeef")]
    found, usual = mean_of_groups(one, labels), clustered_mean(one[0], labels[0])
    assert found.value == pytest.approx(usual.value)
    assert found.se is not None and usual.se is not None
    two = mean_of_groups([*one, [1.0, 0.0, 1.0, 1.0]], [*labels, list("aghi")])
    assert two.value == pytest.approx((8 / 11 + 3 / 4) / 2) and two.clusters == 9
    deviations: dict[str, float] = {}
    for scores, names in ((one[0], labels[0]), ([1.0, 0.0, 1.0, 1.0], list("aghi"))):
        mean = sum(scores) / len(scores)
        for score, name in zip(scores, names, strict=True):
            deviations[name] = deviations.get(name, 0.0) + (score - mean) / (2 * len(scores))
    assert two.se == pytest.approx(np.sqrt(9 / 8 * sum(d * d for d in deviations.values())))
    assert found.se == pytest.approx(usual.se)
