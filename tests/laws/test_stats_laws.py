"""Laws that hold for every input: bounds, symmetries, invariances."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gnomon.stats.calibration import calibration_errors, equal_mass_bins
from gnomon.stats.intervals import clustered_mean, proportion, wilson
from gnomon.stats.paired import holm, mcnemar, paired_difference
from gnomon.stats.ranking import auroc_delong, auroc_on_weights
from gnomon.stats.scoring import brier
from gnomon.stats.temperature import apply_temperature, fit_temperature

ROWS = st.integers(2, 40)
UNIT = st.floats(0, 1)
# whole numbers: then scaling and shifting round nothing, and equal scores stay equal
SCORES = ROWS.flatmap(lambda n: arrays(float, n, elements=st.integers(-20, 20)))


@st.composite
def stated(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(ROWS)
    return draw(arrays(float, n, elements=UNIT)), draw(arrays(float, n, elements=st.sampled_from([0.0, 1.0])))


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    scores = draw(SCORES)
    labels = draw(arrays(float, len(scores), elements=st.sampled_from([0.0, 1.0])))
    assume(0 < labels.sum() < len(labels))
    return scores, labels


def area(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(auroc_on_weights(scores, labels)(np.ones((1, len(scores))))[0])


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_contains_the_share_and_mirrors(counts: tuple[int, int]) -> None:
    k, n = counts
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low))


@given(arrays(float, st.integers(1, 200), elements=st.sampled_from([0.0, 1.0])), st.integers(1, 40))
def test_a_proportion_stays_in_bounds(outcomes: np.ndarray, groups: int) -> None:
    got = proportion(outcomes, np.arange(len(outcomes)) % groups)
    if got.low is not None and got.high is not None and got.value is not None:
        assert 0 <= got.low <= got.value + 1e-12
        assert got.value <= got.high + 1e-12 <= 1 + 2e-12


@given(SCORES, st.integers(2, 6), st.randoms())
def test_a_mean_does_not_depend_on_the_order_of_rows(scores: np.ndarray, groups: int, random: object) -> None:
    clusters = np.arange(len(scores)) % groups
    mixed = np.random.default_rng(len(scores)).permutation(len(scores))
    a, b = clustered_mean(scores, clusters), clustered_mean(scores[mixed], clusters[mixed])
    for x, y in ((a.value, b.value), (a.se, b.se), (a.low, b.low), (a.high, b.high)):
        assert x == pytest.approx(y, abs=1e-9)


@given(stated(), st.integers(1, 12))
def test_calibration_errors_are_bounded_and_ordered(rows: tuple[np.ndarray, np.ndarray], bins: int) -> None:
    got = calibration_errors(*rows, bins)
    assert 0 <= got.ece <= got.rms + 1e-12 <= 1 + 1e-9
    if got.debiased is not None:
        assert got.debiased <= got.rms**2 + 1e-12


@given(stated())
def test_one_bin_compares_the_means_and_brier_is_bounded(rows: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = rows
    assert calibration_errors(p, y, 1).ece == pytest.approx(abs(p.mean() - y.mean()))
    assert 0 <= (brier(p, y).value or 0) <= 1


@given(arrays(float, st.integers(1, 60), elements=UNIT), st.integers(1, 12))
def test_bins_part_the_rows_evenly_in_order(p: np.ndarray, bins: int) -> None:
    groups = equal_mass_bins(p, bins)
    sizes = [len(g) for g in groups]
    assert sorted(np.concatenate(groups)) == list(range(len(p)))
    assert max(sizes) - min(sizes) <= 1
    assert (np.diff(p[np.concatenate(groups)]) >= 0).all()


@given(labelled())
def test_auroc_symmetries(rows: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = rows
    value = area(scores, labels)
    assert 0 <= value <= 1
    assert area(3 * scores**3 + 5, labels) == pytest.approx(value)
    assert area(-scores, labels) == pytest.approx(1 - value)
    assert area(scores, 1 - labels) == pytest.approx(1 - value)
    assert area(scores[::-1], labels[::-1]) == pytest.approx(value)


@given(labelled())
def test_delong_mirrors(rows: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = rows
    up, down = auroc_delong(scores, labels), auroc_delong(-scores, labels)
    if up.low is not None and up.high is not None:
        assert (down.low, down.high) == pytest.approx((1 - up.high, 1 - up.low), abs=1e-9)


@given(SCORES)
def test_swapping_conditions_mirrors_the_difference(scores: np.ndarray) -> None:
    other = scores[::-1] + 1
    ab, ba = paired_difference(scores, other), paired_difference(other, scores)
    assert ab.difference.value == pytest.approx(-(ba.difference.value or 0))
    assert ab.p_value == pytest.approx(ba.p_value)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_and_lies_below_bonferroni(p: list[float]) -> None:
    adjusted = holm(p)
    for raw, new in zip(p, adjusted, strict=True):
        assert raw <= new <= min(1.0, len(p) * max(p)) + 1e-12
    assert sorted(adjusted) == [a for _, a in sorted(zip(p, adjusted, strict=True))]


@given(stated())
def test_mcnemar_is_symmetric(rows: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = (rows[0] > 0.5).astype(float), rows[1]
    assert mcnemar(first, second).p_value == mcnemar(second, first).p_value
    assert 0 < mcnemar(first, second).p_value <= 1


@settings(max_examples=25)
@given(st.integers(0, 1000), st.floats(0.5, 3.0))
def test_scaling_log_probabilities_scales_the_temperature(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(60, 3))
    gold = [int(np.argmax(row + rng.gumbel(size=3))) for row in logits]
    one, scaled = fit_temperature(logits, gold), fit_temperature(factor * logits, gold)
    assume(one.low is not None and scaled.low is not None)
    assert scaled.value == pytest.approx(factor * (one.value or 0), rel=1e-4)
    assert np.allclose([p.sum() for p in apply_temperature(list(logits), factor)], 1)


def test_importing_the_package_loads_no_numpy() -> None:
    code = "import gnomon.stats, sys; sys.exit(any(m in sys.modules for m in ('numpy', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
