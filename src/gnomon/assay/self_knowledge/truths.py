"""What the planted responders' metrics are worth in the long run, by quadrature over the stated probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from gnomon.models.planted.calibrated import RANGE, VERDICT_RANGE
from gnomon.models.planted.pik import SPREAD
from gnomon.stats.ranking import auroc_on_weights

__all__ = ["choice_truth", "pik_truth", "verdict_truth"]

OPTIONS = 4
GRID = 2000
Vector = NDArray[np.float64]


def choice_truth(a: float, b: float, options: int = OPTIONS) -> dict[str, float]:
    """Long-run metrics of `planted:calibrated` on questions with `options` options."""
    s = _midpoints(*RANGE)
    c = _sigmoid(a + b * np.log(s / (1 - s)))
    rest = (1 - s) / (options - 1)
    right = (1 - s) ** 2 + (options - 1) * rest**2
    wrong = s**2 + (1 - rest) ** 2 + (options - 2) * rest**2
    squares = float(np.mean(c * right + (1 - c) * wrong))
    return {
        "accuracy": float(c.mean()),
        "confidence": float(s.mean()),
        "calibration slope": b,
        "calibration intercept": a,
        "Brier": squares / options,
        "Brier (sum over options)": squares,
        "NLL": float(np.mean(-c * np.log(s) - (1 - c) * np.log(rest))),
        "AUROC": _auroc(
            np.concatenate([s, rest]), np.concatenate([c, 1 - c]), np.concatenate([1 - c, options - 2 + c])
        ),
    }


def verdict_truth(b: float) -> dict[str, float]:
    """Long-run metrics of the verdicts of `planted:calibrated?a=0`, half of them on right answers."""
    s = _midpoints(*VERDICT_RANGE)
    c = _sigmoid(b * np.log(s / (1 - s)))
    return {
        "accuracy": float(np.mean(np.where(s > 0.5, c, 1 - c))),
        "calibration slope": b,
        "calibration intercept": 0.0,
        "Brier": float(np.mean(c * (1 - s) ** 2 + (1 - c) * s**2)),
        "AUROC": _auroc(s, c, 1 - c),
    }


def pik_truth(noise: float, samples: int = 30) -> float:
    """AUROC of the best head on `planted:pik`: its noisy view of z against "more than half of the samples right"."""
    if np.isinf(noise):
        return 0.5
    grid = np.linspace(-5 * SPREAD, 5 * SPREAD, 801)
    density = norm.pdf(grid, 0, SPREAD)
    mostly_right = binom.sf(samples // 2, samples, _sigmoid(grid))
    # The view is z plus normal noise: weight of each view among questions of either label.
    kernel = norm.pdf(grid[:, None], grid[None, :], noise)
    positive, negative = kernel @ (density * mostly_right), kernel @ (density * (1 - mostly_right))
    return _auroc(grid, positive, negative)


def _auroc(scores: Vector, positive: Vector, negative: Vector) -> float:
    labels = np.repeat([1.0, 0.0], len(scores))
    statistic = auroc_on_weights(np.tile(scores, 2), labels)
    return float(statistic(np.concatenate([positive, negative])[None, :])[0])


def _midpoints(low: float, high: float) -> Vector:
    return low + (high - low) * (np.arange(GRID) + 0.5) / GRID


def _sigmoid(x: Vector) -> Vector:
    return np.asarray(1 / (1 + np.exp(-x)))
