"""Paths of models through what they were measured by, such as the losses of the same tokens after so many steps.

Olsson et al. 2022 (arXiv 2209.11895), "per-token loss analysis": the rows of all snapshots of all models are centred
and projected on their first two principal directions. The decomposition is that of the S x S matrix of products, so
that the number of columns costs next to nothing.

Shapes: S snapshots, n columns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Matrix, Vector

__all__ = ["Pivot", "Plane", "pivot", "plane", "turns"]


class Plane(NamedTuple):
    """Rows in the plane that holds most of their variance.

    Attributes:
        points: [S, 2]; the last row has no negative coordinate.
        explained: shares [2] of the variance.
    """

    points: Matrix
    explained: Vector


class Pivot(NamedTuple):
    """Where a path turns: at the row `place`, by `degrees` between the lines to its two ends."""

    place: int
    degrees: float


def plane(rows: ArrayLike) -> Plane:
    """The first two principal components of rows [S, n].

    >>> plane([[0, 0], [3, 4], [6, 8]]).points[:, 0].round(3).tolist()
    [-5.0, 0.0, 5.0]

    Raises:
        DataError: fewer than two rows, or numbers that are not finite.
    """
    x = np.asarray(rows, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
        raise DataError(f"rows of shape {x.shape} span no plane", todo="give two or more rows of finite numbers")
    x = x - x.mean(0)
    values, vectors = np.linalg.eigh(x @ x.T)
    values, vectors = np.clip(values[::-1], 0, None), vectors[:, ::-1]
    points = vectors[:, :2] * np.sqrt(values[:2])
    points = points * np.where(points[-1] < 0, -1.0, 1.0)
    total = values.sum()
    return Plane(points, values[:2] / total if total else np.zeros(2))


def pivot(path: ArrayLike) -> Pivot:
    """Where a path [S, n] lies farthest from the straight line between its ends.

    Angles between single steps of a path are mostly those of its noise; this one is of the whole.

    >>> pivot([[0, 0], [1, 0], [2, 0], [2, 1], [2, 2]])
    Pivot(place=2, degrees=90.0)
    """
    x = np.asarray(path, dtype=np.float64)
    along = x[-1] - x[0]
    from_line = x - x[0] - np.outer((x - x[0]) @ along / max(float(along @ along), 1e-30), along)
    place = int(np.linalg.norm(from_line, axis=1).argmax())
    ends = np.stack([x[0], x[place], x[-1]])
    return Pivot(place, float(np.nan_to_num(turns(ends)[0])))


def turns(path: ArrayLike) -> Vector:
    """Angles [S - 2] in degrees between successive displacements of a path [S, n], in all its dimensions.

    0 goes straight on, 90 turns off, 180 turns back; NaN where nothing moves.

    >>> turns([[0, 0], [1, 0], [1, 1]]).tolist()
    [90.0]
    """
    moves = np.diff(np.asarray(path, dtype=np.float64), axis=0)
    lengths = np.linalg.norm(moves, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (moves[1:] * moves[:-1]).sum(1) / (lengths[1:] * lengths[:-1])
    angles: Vector = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    return angles
