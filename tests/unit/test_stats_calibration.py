"""Bins, calibration errors, their nulls and the calibration line, against loops, statsmodels and planted responders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, logit, ndtr

from gnomon.core.errors import DataError
from gnomon.stats.calibration import (
    calibration_errors,
    calibration_line,
    calibration_test,
    equal_mass_bins,
    reliability_curve,
)
from gnomon.stats.intervals import proportion


def perfect(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Stated probabilities with standard normal log-odds, and outcomes drawn from them."""
    rng = np.random.default_rng(seed)
    p = expit(rng.normal(size=n))
    return p, (rng.random(n) < p).astype(float)


def errors_by_loop(p: np.ndarray, y: np.ndarray, bins: int) -> tuple[float, float, float]:
    """The definitions, one bin at a time."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    short, long = divmod(len(p), bins)
    start, ece, square, debiased = 0, 0.0, 0.0, 0.0
    for b in range(bins):
        rows = order[start : start + short + (b < long)]
        start += len(rows)
        gap, acc = p[rows].mean() - y[rows].mean(), y[rows].mean()
        share = len(rows) / len(p)
        ece += share * abs(gap)
        square += share * gap**2
        debiased += share * (gap**2 - acc * (1 - acc) / (len(rows) - 1))
    return ece, square**0.5, debiased


@pytest.mark.parametrize(("n", "bins"), [(100, 10), (97, 10), (43, 7)])
def test_errors_are_their_definitions(n: int, bins: int) -> None:
    p, y = perfect(n, n)
    p = p.round(1)
    assert calibration_errors(p, y, bins) == pytest.approx(errors_by_loop(p, y, bins))


def test_bins_are_of_equal_mass_and_keep_ties_in_row_order() -> None:
    # equal width would put nine rows into one bin
    p = [0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.1]
    assert [len(b) for b in equal_mass_bins(p, 3)] == [4, 3, 3]
    assert [b.tolist() for b in equal_mass_bins([0.5] * 5, 2)] == [[0, 1, 2], [3, 4]]
    assert [b.tolist() for b in equal_mass_bins([0.7, 0.3], 10)] == [[1], [0]]
    assert equal_mass_bins([]) == []


def test_a_bin_of_one_row_has_no_debiased_error() -> None:
    assert calibration_errors([0.2, 0.7, 0.9], [0, 1, 1], bins=2).debiased is None


@pytest.mark.parametrize(("n", "ece"), [(100, 0.114), (500, 0.050), (2000, 0.025)])
def test_plug_in_error_of_a_perfect_responder(n: int, ece: float) -> None:
    runs = [calibration_errors(*perfect(seed, n)) for seed in range(300)]
    assert np.mean([r.ece for r in runs]) == pytest.approx(ece, rel=0.06)
    debiased = np.array([r.debiased for r in runs], dtype=float)
    assert abs(debiased.mean()) < max(0.0005, 3 * debiased.std() / 300**0.5)


def test_null_mean_is_what_a_perfect_responder_scores() -> None:
    p, y = perfect(0, 500)
    got = calibration_test(p, y)
    assert got.ece.observed == calibration_errors(p, y).ece
    assert got.ece.mean == pytest.approx(0.050, rel=0.06)
    assert got.debiased.mean == pytest.approx(0.0, abs=0.0005)
    assert got.ece.high is not None and got.ece.mean < got.ece.high


def test_null_p_values_are_uniform_for_a_perfect_responder() -> None:
    tests = [calibration_test(*perfect(seed, 200), draws=200, seed=seed) for seed in range(300)]
    for name in ("ece", "rms", "debiased"):
        assert stats.kstest([getattr(t, name).p_value for t in tests], "uniform").pvalue > 0.01


def test_an_overconfident_responder_is_told_apart() -> None:
    p, y = perfect(0, 500)
    got = calibration_test(expit(2.5 * logit(p)), y)
    assert got.ece.p_value is not None and got.ece.p_value < 0.001
    assert got.ece.observed is not None and got.ece.high is not None and got.ece.observed > got.ece.high


def options(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of 4 options of n items, their 0/1 outcomes and items, all [4 n], rows shuffled."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(4, 0.5), size=n)
    y = np.arange(4) == (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)[:, None]
    mixed = rng.permutation(4 * n)
    return p.ravel()[mixed], y.ravel().astype(float)[mixed], np.repeat(np.arange(n), 4)[mixed]


def test_null_of_all_options_redraws_one_right_option_an_item() -> None:
    tests = []
    for seed in range(200):
        p, y, items = options(seed, 100)
        tests.append(calibration_test(p, y, draws=200, seed=seed, exclusive=items))
    assert stats.kstest([t.ece.p_value for t in tests], "uniform").pvalue > 0.01
    # two options, p and 1 - p, are one event told twice: with one bin the frequency is always one half
    p = np.array([0.3, 0.7] * 50)
    got = calibration_test(p, np.array([1.0, 0.0] * 50), bins=1, exclusive=np.repeat(np.arange(50), 2))
    assert (got.ece.mean, got.ece.p_value) == (pytest.approx(0.0, abs=1e-12), 1.0)


def test_options_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(DataError, match=r"item of row 2: probabilities of an item add up to 0.9, not 1"):
        calibration_test([0.5, 0.5, 0.5, 0.4], [1, 0, 1, 0], exclusive=["a", "a", "b", "b"])


def test_line_is_the_clustered_logistic_fit() -> None:
    p, y = perfect(1, 300)
    clusters = np.repeat(np.arange(75), 4)
    design = sm.add_constant(logit(p))
    oracle = sm.GLM(y, design, family=sm.families.Binomial()).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    line = calibration_line(p, y, clusters)
    assert (line.intercept.value, line.slope.value) == pytest.approx(tuple(oracle.params), rel=1e-6)
    assert (line.intercept.se, line.slope.se) == pytest.approx(tuple(oracle.bse), rel=1e-5)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.5, 0.6), (-0.4, 2.5)])
def test_planted_line_is_covered_by_clustered_intervals_only(a: float, b: float) -> None:
    covered = np.zeros(4)
    clusters = np.repeat(np.arange(150), 4)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        z = np.repeat(1.2 * rng.normal(size=150), 4) + 0.3 * rng.normal(size=600)
        luck = ndtr(np.repeat(0.9 * rng.normal(size=150), 4) + np.sqrt(0.19) * rng.normal(size=600))
        y = (luck < expit(a + b * z)).astype(float)
        clustered, naive = calibration_line(expit(z), y, clusters), calibration_line(expit(z), y)
        covered += [a in clustered.intercept, b in clustered.slope, a in naive.intercept, b in naive.slope]
    # over 2,000 replications the first setting covers 96.0 % and 94.0 %, naively 78.6 % and 77.7 %
    assert (covered[:2] / 400 > 0.91).all()
    assert (covered[:2] / 400 < 0.985).all()
    assert (covered[2:] / 400 < 0.86).all()


def test_certain_probabilities_are_moved_and_counted() -> None:
    p, y = perfect(2, 100)
    p[:3], y[:3] = [0.0, 1.0, 1.0], [0.0, 1.0, 0.0]
    assert calibration_line(p, y).slope.reason == "3 probabilities of 0 or 1 were moved to within 1e-06"


def test_curve_has_an_interval_a_bin() -> None:
    p, y = perfect(3, 400)
    curve = reliability_curve(p, y)
    assert [c.frequency.n for c in curve] == [40] * 10
    rows = equal_mass_bins(p)[4]
    assert curve[4].mean == pytest.approx(p[rows].mean())
    assert curve[4].frequency == proportion(y[rows], rows)
    assert all(a.highest <= b.lowest for a, b in itertools.pairwise(curve))


def test_curve_clusters() -> None:
    p = np.repeat(np.linspace(0.3, 0.7, 100), 4)
    y = np.repeat((np.random.default_rng(0).random(100) < 0.5).astype(float), 4)
    clustered, naive = reliability_curve(p, y, np.repeat(np.arange(100), 4), bins=2), reliability_curve(p, y, bins=2)
    assert clustered[0].frequency.clusters == 50
    assert clustered[0].frequency.se == pytest.approx(2 * (naive[0].frequency.se or 0), rel=0.03)


def test_curve_of_sampled_probabilities_is_straight_only_across_halves() -> None:
    rng = np.random.default_rng(0)
    truth = rng.beta(2, 2, size=20_000)
    y = (rng.random(20_000) < truth).astype(float)
    first, second = (rng.binomial(5, truth) / 5 for _ in range(2))

    def slope(curve: list) -> float:  # type: ignore[type-arg]  # of Bin
        return float(np.polyfit([c.mean for c in curve], [c.frequency.value for c in curve], 1)[0])

    assert slope(reliability_curve(second, y, bin_by=first)) == pytest.approx(1.0, abs=0.05)
    assert slope(reliability_curve(first, y)) < 0.7


def test_soft_outcomes_have_a_curve() -> None:
    p = np.linspace(0.05, 0.95, 100)
    curve = reliability_curve(p, np.clip(p + 0.01 * np.sin(np.arange(100)), 0, 1))
    assert curve[0].frequency.method == "clustered t"


def test_refused_inputs() -> None:
    refused = {
        lambda: calibration_errors([], []): "no rows to bin",
        lambda: calibration_errors([1.2], [1]): "row 0: probability is 1.2, outside 0..1",
        lambda: calibration_errors([0.2, 0.3], [1]): "columns differ in length: p 2, y 1",
    }
    for call, message in refused.items():
        with pytest.raises(DataError) as caught:
            call()
        assert str(caught.value) == message
