"""AUROC, correlations and coverage curves against scikit-learn, SciPy and loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score

from gnomon.stats.ranking import (
    accuracy_coverage,
    auroc,
    auroc_delong,
    auroc_difference,
    auroc_on_weights,
    false_alarms_on_weights,
    pearson,
    pearson_on_weights,
    spearman,
    spearman_on_weights,
)
from tests.pace import within


def scored(seed: int, n: int, gain: float = 1.0, rounded: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores, `gain` higher where the label is 1, and labels."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(float)
    return (rng.normal(size=n) + gain * y).round(rounded), y


@pytest.mark.parametrize("rounded", [0, 1, 6])
def test_auroc_counts_ties_one_half(rounded: int) -> None:
    s, y = scored(0, 200, rounded=rounded)
    wins = [(a > b) + (a == b) / 2 for a in s[y == 1] for b in s[y == 0]]
    assert auroc(s, y, resamples=50).value == pytest.approx(np.mean(wins))
    assert auroc_delong(s, y).value == pytest.approx(roc_auc_score(y, s))


def test_weighted_auroc_is_that_of_copied_rows() -> None:
    s, y = scored(1, 60, rounded=1)
    weights = np.random.default_rng(0).integers(0, 4, size=(20, 60)).astype(float)
    copied = [roc_auc_score(np.repeat(y, w), np.repeat(s, w)) for w in weights.astype(int)]
    assert auroc_on_weights(s, y)(weights) == pytest.approx(copied)


def test_a_resample_without_a_class_is_undefined() -> None:
    statistic = auroc_on_weights(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    assert np.isnan(statistic(np.array([[2.0, 0.0]]))).all()


def test_one_class_is_undefined_and_says_so() -> None:
    for estimate in (
        auroc([1.0, 2.0], [1, 1]),
        auroc_delong([1.0, 2.0], [1, 1]),
        auroc_difference([1, 2], [2, 1], [1, 1]),
    ):
        assert (estimate.value, estimate.low) == (None, None)
        assert estimate.reason == "every label is 1: both classes are needed"
    assert auroc([], []).reason == "no rows"


def test_delong_error_by_loops() -> None:
    s, y = scored(2, 80, rounded=1)
    kernel = np.array([[(a > b) + (a == b) / 2 for b in s[y == 0]] for a in s[y == 1]])
    variance = kernel.mean(axis=1).var(ddof=1) / kernel.shape[0] + kernel.mean(axis=0).var(ddof=1) / kernel.shape[1]
    assert auroc_delong(s, y).se == pytest.approx(np.sqrt(variance))


def test_clustered_delong_error_by_loops_where_clusters_hold_both_classes() -> None:
    rng = np.random.default_rng(0)
    s, y = rng.normal(size=60) + np.repeat(rng.normal(size=15), 4), np.tile([1.0, 0, 1, 0], 15)
    clusters = np.repeat(np.arange(15), 4)
    area = float(roc_auc_score(y, s))
    pull = np.zeros(15)
    for i in range(60):
        others = s[y != y[i]]
        wins = np.mean(s[i] > others) if y[i] else np.mean(others > s[i])
        pull[clusters[i]] += (wins - area) / 30
    assert auroc_delong(s, y, clusters).se == pytest.approx(np.sqrt(15 / 14 * np.sum(pull**2)))


def test_clustered_delong_error_is_the_spread_over_replications() -> None:
    def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        # label and score both follow the cluster, so rows of a cluster are near copies
        shift, y = np.repeat(rng.normal(size=80), 5), np.repeat((rng.random(80) < 0.5).astype(float), 5)
        return shift + y + 0.5 * rng.normal(size=400), y, np.repeat(np.arange(80), 5)

    truth = float(ndtr(1 / np.sqrt(2 * 1.25)))
    runs = [draw(seed) for seed in range(300)]
    clustered = [auroc_delong(*run) for run in runs]
    spread = np.std([c.value for c in clustered])
    assert np.mean([c.se for c in clustered]) == pytest.approx(spread, rel=0.1)
    assert 0.91 <= np.mean([truth in c for c in clustered]) <= 0.985
    assert np.mean([truth in auroc_delong(s, y) for s, y, _ in runs]) < 0.75


def test_bootstrap_and_delong_agree() -> None:
    s, y = scored(3, 500)
    boot, delong = auroc(s, y), auroc_delong(s, y)
    assert boot.se == pytest.approx(delong.se, rel=0.08)
    assert (boot.low, boot.high) == (pytest.approx(delong.low, abs=0.005), pytest.approx(delong.high, abs=0.005))


def test_separated_classes_are_not_certain() -> None:
    got = auroc([0.1, 0.2, 0.3, 0.8, 0.9], [0, 0, 0, 1, 1])
    assert (got.value, got.high) == (1.0, 1.0)
    assert got.low is not None and got.low < 0.4
    assert got.reason == "classes are separated: interval from 2 independent pairs"
    assert auroc([0.9, 0.1], [0, 1]).value == 0.0


def test_paired_difference_sees_the_shared_items() -> None:
    rng = np.random.default_rng(0)
    covered, widths = 0, []
    for seed in range(150):
        s, y = scored(seed, 200)
        other = s + 0.7 * rng.normal(size=200)
        got = auroc_difference(s, other, y, resamples=400, seed=seed)
        covered += float(ndtr(1 / 2**0.5) - ndtr(1 / np.sqrt(2 * 1.49))) in got
        widths.append(got.se)
    assert 0.90 <= covered / 150 <= 0.99
    assert np.mean(widths) < 0.8 * np.hypot(auroc_delong(s, y).se or 0, auroc_delong(other, y).se or 0)


def test_four_hundred_resamples_of_five_hundred_rows_take_a_blink() -> None:
    s, y = scored(4, 500)
    auroc(s, y, resamples=400)
    with within(0.25):  # 35 ms measured; the limit leaves room for a loaded machine
        for _ in range(5):
            auroc(s, y, resamples=400)


@pytest.mark.parametrize(("n", "rounded"), [(30, 6), (150, 1), (400, 6)])
def test_weighted_false_alarms_are_those_of_copied_rows(n: int, rounded: int) -> None:
    rng = np.random.default_rng(n)
    s, y = scored(5, n, rounded=rounded)
    weights = rng.integers(0, 4, size=(8, n))
    for w, found in zip(weights, false_alarms_on_weights(s, y, 0.95)(weights.astype(float)), strict=True):
        high, low = (np.repeat(s[y == side], w[y == side]) for side in (1, 0))
        threshold = np.quantile(high, 0.05, method="weibull")
        assert found == pytest.approx((low >= threshold - 1e-12).mean())


def test_the_threshold_reaches_its_recall_on_average() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([1.0, 0.0], [60, 1])
    # The one row labelled 0 is drawn as those labelled 1 are, so that it is missed as often as a fresh one of them.
    missed = [1 - false_alarms_on_weights(rng.normal(size=61), y, 0.95)(np.ones((1, 61)))[0] for _ in range(4000)]
    assert np.mean(missed) == pytest.approx(0.05, abs=0.01)


def test_a_class_without_weight_has_no_false_alarms() -> None:
    found = false_alarms_on_weights(np.arange(4.0), np.array([1.0, 1, 0, 0]), 0.95)
    assert np.isnan(found(np.array([[0.0, 0, 1, 1], [1, 1, 0, 0]]))).all()


def test_weighted_correlations_are_those_of_copied_rows() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=50).round(1)
    y = (x + rng.normal(size=50)).round(1)
    weights = rng.integers(0, 4, size=(10, 50))
    ours = pearson_on_weights(x, y)(weights.astype(float)), spearman_on_weights(x, y)(weights.astype(float))
    for w, r, rho in zip(weights, *ours, strict=True):
        assert r == pytest.approx(stats.pearsonr(np.repeat(x, w), np.repeat(y, w))[0])
        assert rho == pytest.approx(stats.spearmanr(np.repeat(x, w), np.repeat(y, w))[0])


def test_correlations_are_those_of_scipy_and_cover() -> None:
    covered = np.zeros(2)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=60)
        y = 0.7 * x + np.sqrt(0.51) * rng.normal(size=60)
        r, rho = pearson(x, y, resamples=400), spearman(x, y, resamples=400)
        covered += [0.7 in r, 6 / np.pi * np.arcsin(0.35) in rho]
    assert r.value == pytest.approx(stats.pearsonr(x, y)[0])
    assert rho.value == pytest.approx(stats.spearmanr(x, y)[0])
    assert (covered / 200 > 0.91).all()


def test_a_large_offset_does_not_spoil_a_correlation() -> None:
    x = np.arange(20.0)
    assert pearson(x + 1e9, x - 1e9).value == pytest.approx(1.0)


def test_no_variation_no_correlation() -> None:
    assert pearson([1.0, 1.0], [1.0, 2.0]).reason == "x does not vary"
    assert spearman([1.0, 2.0], [3.0, 3.0]).reason == "y does not vary"


def test_coverage_curve_keeps_ties_together() -> None:
    curve = accuracy_coverage([0.9, 0.5, 0.5, 0.1], [1, 1, 0, 0])
    assert [(c.threshold, c.coverage, c.accuracy.value) for c in curve] == [
        (0.1, 1.0, 0.5),
        (0.5, 0.75, pytest.approx(2 / 3)),
        (0.9, 0.25, 1.0),
    ]


def test_coverage_curve_thins_out_thresholds() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(5000)
    curve = accuracy_coverage(p, rng.random(5000) < p, points=20)
    assert len(curve) == 20
    assert curve[0].coverage == 1.0
    assert curve[10].coverage == pytest.approx(0.5)
