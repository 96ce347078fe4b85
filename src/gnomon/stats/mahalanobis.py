"""How far does a vector lie from what a cloud of vectors looks like? Mahalanobis distances over a shrunk covariance.

Bai et al. 2022a (arXiv 2204.05862, sec. 5) ask it of a model's activations to find prompts unlike those it was trained
to help with. Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices", for the
shrinkage. The covariance is kept as its own directions, so that a few hundred vectors of ten thousand numbers need no
matrix of that width.

Shapes: N vectors, D numbers each, R directions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Matrix, Vector

__all__ = ["FEW_A_NUMBER", "Gaussian", "fit_gaussian", "mahalanobis", "relative_mahalanobis"]

FEW_A_NUMBER = 10
"""With fewer vectors than this times their width, the covariance is shrunk."""

# Directions whose variance is below this share of the largest cannot be told from rounding.
_FLAT = 1e-12


class Gaussian(NamedTuple):
    """Mean and covariance of a cloud of vectors.

    Attributes:
        mean: [D].
        axes: [R, D], orthonormal.
        variances: [R], along the axes, after shrinkage.
        rest: variance in every direction across all axes; 0 where the axes span the whole space.
        diagonal: [D], of the covariance.
        shrinkage: weight of the multiple of the identity, in [0, 1]; 0 where the covariance is the sample's own.
    """

    mean: Vector
    axes: Matrix
    variances: Vector
    rest: float
    diagonal: Vector
    shrinkage: float


def fit_gaussian(vectors: Matrix, *, where: str = "") -> Gaussian:
    """The mean and covariance of `vectors` [N, D].

    The covariance divides by N. It is Ledoit and Wolf's where there are fewer than 10 D vectors, or where the sample's
    own has no inverse.

    Args:
        where: what the vectors are, for errors.

    Raises:
        DataError: fewer than two vectors, one that is not finite, all of them alike, or too few to span a volume.
    """
    x = np.asarray(vectors, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise DataError(f"{len(x)} vectors have no covariance", where=where, todo="give two or more")
    if not np.isfinite(x).all():
        raise DataError("a vector has entries that are not finite", where=where)
    if not np.ptp(x, axis=0).any():
        raise DataError(f"all {len(x)} vectors are the same: nothing is unlike them", where=where)
    mean = x.mean(axis=0)
    _, singular, axes = np.linalg.svd(x - mean, full_matrices=False)
    variances = singular**2 / len(x)
    few = len(x) < FEW_A_NUMBER * x.shape[1] or variances[-1] <= _FLAT * variances[0]
    shrinkage = _ledoit_wolf(x - mean, variances) if few else 0.0
    if few and not shrinkage:
        # Two vectors, or more that lie alike around their mean: their covariance is known without error, and flat.
        raise DataError(f"{len(x)} vectors span no volume", where=where, todo="give more")
    target = shrinkage * float(variances.sum()) / x.shape[1]
    return Gaussian(
        mean=mean,
        axes=axes,
        variances=(1 - shrinkage) * variances + target,
        rest=target if len(axes) < x.shape[1] else 0.0,
        diagonal=(1 - shrinkage) * np.square(x - mean).mean(axis=0) + target,
        shrinkage=shrinkage,
    )


def mahalanobis(of: Gaussian, vectors: Matrix) -> Vector:
    """Squared distances [N] of `vectors` [N, D]: (z - mean)^T covariance^-1 (z - mean)."""
    away = vectors - of.mean
    along = away @ of.axes.T
    found: Vector = (along**2 / of.variances).sum(axis=1)
    if of.rest:
        found = found + np.square(away - along @ of.axes).sum(axis=1) / of.rest
    return found


def relative_mahalanobis(of: Gaussian, vectors: Matrix) -> Vector:
    """Squared distances [N] less those under the covariance's diagonal alone: what correlations make strange.

    The simplified relative distance of Bai et al. 2022a, which needs no second cloud of vectors.
    """
    alone: Vector = (np.square(vectors - of.mean) / of.diagonal).sum(axis=1)
    return mahalanobis(of, vectors) - alone


def _ledoit_wolf(centred: Matrix, variances: Vector) -> float:
    """The share of the multiple of the identity that makes the expected squared error least.

    `variances` are the sample covariance's eigenvalues, of which those that are 0 may be left out.
    """
    n, width = centred.shape
    squares = float(np.square(variances).sum())
    error = (float(np.square(np.square(centred).sum(axis=1)).sum()) / n - squares) / (width * n)
    spread = (squares - float(variances.sum()) ** 2 / width) / width
    return min(error, spread) / spread if error > 0 and spread > 0 else 0.0
