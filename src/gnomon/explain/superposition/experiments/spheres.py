"""Which polytopes should equal features make?

Elhage et al. 2022 (arXiv 2209.10652), "The Geometry of Superposition": points that are least in each other's way, by
`thomson`, and what groups they fall into.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gnomon.core.record import Row
from gnomon.explain.superposition.geometry import dimensionality, groups, shape
from gnomon.explain.superposition.thomson import solved
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import Kept, Told
from gnomon.report.base import Table

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_CASES = {"small": {2: range(3, 8), 3: range(4, 10)}, "paper": {2: range(3, 13), 3: range(4, 17), 4: range(5, 17)}}
_STARTS = {"small": 32, "paper": 256}
_TITLE = "Points that are least in each other's way"


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Solves every case; nothing is trained, so how and how often is not asked."""
    rows = []
    for dims, counts in _CASES[scale].items():
        for points in counts:
            found = solved(points, dims, seed, starts=_STARTS[scale])
            evidence = {
                "dims": dims,
                "points": points,
                "energy": found.energy,
                "share": found.share,
                "shape": shape(groups(found.points_Mk)),
                "shares": [round(each, 3) for each in sorted(dimensionality(found.points_Mk).tolist())],
            }
            name = f"{points} in {dims}"
            rows.append(Row(key=name, cluster=name, evidence=evidence))
    return Kept(rows, {})


def told(rows: Sequence[Row]) -> Told:
    """A table of what the points make."""
    cells = [
        [
            row.evidence["points"],
            row.evidence["dims"],
            row.evidence["shape"],
            round(row.evidence["energy"], 4),
            row.evidence["share"],
            f"{row.evidence['shares'][0]:.3f} to {row.evidence['shares'][-1]:.3f}",
        ]
        for row in rows
    ]
    columns = ("points", "dimensions", "what they make", "energy", "share of starts as low", "dimensions a point")
    caption = "Energy is the sum over ordered pairs of ReLU(W_i·W_j)²; two and two opposite points cost nothing."
    named = [f"{row.cluster} make: {row.evidence['shape']}" for row in rows if row.cluster in ("5 in 2", "8 in 3")]
    return Told(
        f"Points on a sphere, {'; '.join(named)}.",
        tables=[Table(title=_TITLE, columns=columns, rows=cells, caption=caption, section="spheres")],
    )
