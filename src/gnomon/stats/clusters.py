"""Rows and their clusters as arrays: checked vectors, cluster codes, cluster sums, resampled weights.

Everything in `gnomon.stats` takes one number per row and, optionally, one cluster label per row. A cluster is the
unit of randomisation (a passage, a template, a question): rows of one cluster may be correlated, clusters are not.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnomon.core.errors import DataError

__all__ = [
    "Clusters",
    "Codes",
    "Labels",
    "Matrix",
    "Vector",
    "binary",
    "probabilities",
    "resample_counts",
    "same_length",
    "vector",
    "weight_chunks",
]

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Codes = NDArray[np.intp]
Labels = Sequence[Hashable] | NDArray[np.generic]

# Weight matrices are built in pieces of at most this many numbers (32 MB), so that 2,000 resamples of 50,000 rows fit.
_CHUNK_NUMBERS = 4_000_000


class Clusters:
    """Cluster membership of n rows; with no labels every row is its own cluster.

    Attributes:
        codes: [n], cluster index of each row, in 0..count-1, numbered by sorted label.
        count: number of clusters.

    Raises:
        DataError: when the number of labels differs from n.
    """

    def __init__(self, labels: Labels | None, n: int) -> None:
        if labels is None:
            self.codes: Codes = np.arange(n, dtype=np.intp)
            self.count = n
            return
        if len(labels) != n:
            raise DataError(f"{len(labels)} cluster labels for {n} rows", todo="give one label a row")
        distinct, codes = np.unique(np.asarray(labels), return_inverse=True)
        self.codes = codes.astype(np.intp)
        self.count = len(distinct)

    @property
    def singletons(self) -> bool:
        """Whether every row is its own cluster."""
        return self.count == len(self.codes)

    def sums(self, values: Vector) -> Vector:
        """Sum of `values` [n] within each cluster, [count]."""
        return np.bincount(self.codes, weights=values, minlength=self.count).astype(np.float64, copy=False)


def vector(values: ArrayLike, name: str) -> Vector:
    """`values` as a float vector [n] without NaN; raises `DataError` naming the first bad row."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"{name} has shape {array.shape}", todo="give one number a row")
    bad = np.flatnonzero(np.isnan(array))
    if bad.size:
        raise DataError(f"{name} is not a number", where=f"row {bad[0]}")
    return array


def probabilities(values: ArrayLike, name: str) -> Vector:
    """`values` as a vector [n] in [0, 1]; raises `DataError` naming the first row outside.

    Sums of float32 probabilities pass 1 by rounding, so up to 1e-6 outside is moved to the bound.
    """
    array = vector(values, name)
    bad = np.flatnonzero((array < -1e-6) | (array > 1 + 1e-6))
    if bad.size:
        raise DataError(f"{name} is {array[bad[0]]:g}, outside 0..1", where=f"row {bad[0]}")
    return np.clip(array, 0.0, 1.0)


def binary(values: ArrayLike, name: str) -> Vector:
    """`values` as a vector [n] of 0.0 and 1.0; raises `DataError` naming the first other value."""
    array = vector(values, name)
    bad = np.flatnonzero((array != 0) & (array != 1))
    if bad.size:
        raise DataError(f"{name} is {array[bad[0]]:g}, neither 0 nor 1", where=f"row {bad[0]}")
    return array


def same_length(**columns: Vector) -> int:
    """The common length of `columns`; raises `DataError` when they differ."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError("columns differ in length: " + ", ".join(f"{k} {v}" for k, v in lengths.items()))
    return next(iter(lengths.values()))


def resample_counts(count: int, resamples: int, rng: np.random.Generator) -> Matrix:
    """How often each of `count` clusters is drawn in each resample, [resamples, count]; each row sums to `count`."""
    # bincount of uniform draws is the multinomial, ten times faster than Generator.multinomial
    draws = rng.integers(count, size=(resamples, count))
    draws += np.arange(resamples)[:, None] * count
    return np.bincount(draws.ravel(), minlength=resamples * count).reshape(resamples, count).astype(np.float64)


def weight_chunks(clusters: Clusters, resamples: int, rng: np.random.Generator) -> Iterator[Matrix]:
    """Row weights [b, n] of a cluster bootstrap, in pieces whose b add up to `resamples`.

    A row's weight is how often its cluster was drawn: the same as copying rows, without the copies.
    """
    step = max(1, _CHUNK_NUMBERS // max(1, len(clusters.codes)))
    for start in range(0, resamples, step):
        counts = resample_counts(clusters.count, min(step, resamples - start), rng)
        yield counts if clusters.singletons else counts[:, clusters.codes]
