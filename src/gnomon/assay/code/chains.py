"""What each further operation of a chain leaves of the pass rate: r in p(m) = a r^m."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnomon.report.base import Estimate
from gnomon.stats.bootstrap import cluster_bootstrap
from gnomon.stats.clusters import Matrix, Vector
from gnomon.trial.graded import Graded

__all__ = ["kept_by_each"]


def kept_by_each(graded: Sequence[Graded]) -> Estimate:
    """r by least squares on the logarithms of the pass rates, weighted by their right samples, with an interval over
    problems.

    Half a right sample is added to each length, so that a length that nothing passes has a logarithm.
    """
    lengths = np.array([int(g.level.split()[0]) for g in graded])
    right = np.array([float(g.passed) for g in graded])
    steps = sorted(set(lengths.tolist()))

    def rate(weights: Matrix) -> Vector:
        n = np.stack([weights[:, lengths == m].sum(axis=1) for m in steps], axis=1)
        c = np.stack([weights[:, lengths == m] @ right[lengths == m] for m in steps], axis=1)
        logs, w = np.log((c + 0.5) / (n + 1.0)), c + 0.5
        centre = (w * steps).sum(axis=1, keepdims=True) / w.sum(axis=1, keepdims=True)
        away = np.asarray(steps) - centre
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Vector = np.exp((w * away * logs).sum(axis=1) / (w * away**2).sum(axis=1))
        return found

    interval = cluster_bootstrap(rate, len(graded), [g.task for g in graded], resamples=1000)
    return Estimate.of("kept by each further block", interval, headline=True)
