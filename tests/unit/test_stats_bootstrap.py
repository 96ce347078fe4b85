"""The cluster bootstrap against copied rows and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gnomon.stats.bootstrap import OnWeights, cluster_bootstrap
from gnomon.stats.clusters import Clusters, resample_counts, weight_chunks
from gnomon.stats.intervals import clustered_mean


def ratio_of(x: np.ndarray, y: np.ndarray) -> OnWeights:
    return lambda w: (w @ y) / (w @ x)


def test_weights_are_copies_of_whole_clusters() -> None:
    groups = Clusters(["b", "a", "b", "c"], 4)
    weights = next(weight_chunks(groups, 500, np.random.default_rng(0)))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_counts_are_multinomial() -> None:
    counts = resample_counts(4, 40_000, np.random.default_rng(0))
    assert (counts.sum(axis=1) == 4).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(4), abs=0.02)
    assert counts.var(axis=0) == pytest.approx(np.full(4, 0.75), abs=0.02)
    assert np.cov(counts.T)[0, 1] == pytest.approx(-0.25, abs=0.02)


def test_many_rows_are_resampled_in_pieces() -> None:
    pieces = list(weight_chunks(Clusters(None, 1_500_000), 5, np.random.default_rng(0)))
    assert [len(p) for p in pieces] == [2, 2, 1]


def widened(clusters: int) -> float:
    """The level at which a plain interval has ends where ours has: ours are widened as t is."""
    reach = np.sqrt(clusters / (clusters - 1)) * stats.t.ppf(0.975, clusters - 1)
    return float(2 * stats.norm.cdf(reach) - 1)


@pytest.mark.parametrize("n", [80, 1000])
def test_bca_ends_are_those_of_scipy(n: int) -> None:
    # 1,000 rows are left out in blocks, SciPy leaves them out one by one
    x = np.random.default_rng(3).lognormal(size=n)

    def second_moment(v: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray((v**2).mean(axis=axis))

    theirs = stats.bootstrap(
        (x,), second_moment, n_resamples=20_000, confidence_level=widened(n), rng=np.random.default_rng(0)
    ).confidence_interval
    ours = cluster_bootstrap(lambda w: w @ x**2 / w.sum(axis=1), n, resamples=20_000)
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)
    assert ours.method == "cluster bootstrap, BCa"


def test_ends_are_widened_for_few_clusters() -> None:
    x, clusters = np.random.default_rng(0).normal(size=60), np.repeat(np.arange(12), 5)
    got = cluster_bootstrap(lambda w: w @ x / w.sum(axis=1), 60, clusters, resamples=20_000)
    t = clustered_mean(x, clusters)
    assert got.high - got.low == pytest.approx(t.high - t.low, rel=0.03)


def test_a_ratio_is_covered_when_clusters_are_resampled_whole() -> None:
    clustered = naive = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(60), 4)
        x = 2 + np.repeat(rng.exponential(size=60), 4)
        y = x * (0.5 + np.repeat(rng.normal(0, 0.2, size=60), 4)) + rng.normal(0, 0.1, size=240)
        clustered += 0.5 in cluster_bootstrap(ratio_of(x, y), 240, groups, resamples=400, seed=seed)
        naive += 0.5 in cluster_bootstrap(ratio_of(x, y), 240, resamples=400, seed=seed)
    assert clustered / 200 >= 0.90
    assert naive / 200 < 0.80


def test_the_seed_decides() -> None:
    x = np.random.default_rng(0).normal(size=50)

    def run(seed: int) -> object:
        return cluster_bootstrap(lambda w: w @ x / w.sum(axis=1), 50, resamples=200, seed=seed)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_undefined_resamples_are_counted_or_refused() -> None:
    x = np.zeros(12)
    x[0] = 1.0
    often = cluster_bootstrap(lambda w: np.where(w @ x > 0, w @ x, np.nan), 12)
    assert (often.low, often.value) == (None, 1.0)
    assert often.reason == "undefined in 681 of 2000 resamples"
    x[:4] = 1.0
    seldom = cluster_bootstrap(lambda w: np.where(w @ x > 0, w @ x, np.nan), 12)
    assert seldom.low is not None
    assert seldom.reason.endswith("of 2000 resamples, left out")


def test_degenerate_inputs_have_reasons() -> None:
    def total(w: np.ndarray) -> np.ndarray:
        return np.asarray(w.sum(axis=1))

    assert cluster_bootstrap(total, 0).reason == "no rows"
    assert cluster_bootstrap(total, 3, ["a"] * 3).reason == "one cluster: its error cannot be estimated"
    assert cluster_bootstrap(lambda w: w.sum(axis=1) * np.nan, 3).reason == "undefined on these rows"
    flat = cluster_bootstrap(total, 20, resamples=50)
    assert "the interval has no width" in flat.reason
    assert "percentile" in flat.method


def test_copies_of_rows_change_nothing() -> None:
    x = np.random.default_rng(0).lognormal(size=300)
    alone = cluster_bootstrap(lambda w: w @ x**2 / (w @ x), 300, resamples=500)
    thrice, clusters = np.repeat(x, 3), np.repeat(np.arange(300), 3)
    copied = cluster_bootstrap(lambda w: w @ thrice**2 / (w @ thrice), 900, clusters, resamples=500)
    assert (copied.low, copied.high, copied.se) == pytest.approx((alone.low, alone.high, alone.se))
    assert (copied.n, copied.clusters) == (900, 300)
