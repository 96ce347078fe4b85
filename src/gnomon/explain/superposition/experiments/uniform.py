"""How many dimensions does a feature take, when all matter the same?

Elhage et al. 2022 (arXiv 2209.10652), "Uniform Superposition": many equal features over their density. Dimensions a
feature, D*, should rest at 1 and at 1/2, and shares of single features lie on the lines of polytopes.

How long D* can rest at 1/2 is a matter of the loss. Each trained model is held against the best that has two features
in each dimension, on the same new examples: where that one costs more, other groups are better than pairs. Up to there
D* of the best of pairs, which is above 1/2 where features are dense, says how long it could rest at most.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from gnomon.core.errors import DataError
from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import (
    JOINED,
    LEARNED,
    Group,
    dimensionality,
    dimensions_per_feature,
    groups,
)
from gnomon.explain.superposition.surface import in_pairs
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import (
    Cell,
    Kept,
    Told,
    best_rows,
    by_cell,
    compared,
    laid_out,
    trained,
    weights_of,
)
from gnomon.report.base import Estimate, Figure, Table
from gnomon.report.figures import Point, curves
from gnomon.report.linked import Graph, Member, graphs
from gnomon.report.words import number
from gnomon.stats.intervals import Interval, proportion, t_interval, undefined

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["LINES", "made", "told"]

LINES = {"dedicated": 1, "tetrahedron": 3 / 4, "triangle": 2 / 3, "digon": 1 / 2, "pentagon": 2 / 5, "antiprism": 3 / 8}
"""Dimensions a feature of each polytope."""
_NEAR, _BAND = 0.03, 0.1
# Edges drawn of one group.
_EDGES = 100
# Eigenvalues written of one group.
_EIGENVALUES, _ZERO = 5, 0.005
# Groups of these names are drawn before others; the first is the picture's first.
_SHOWN = ("pentagon", "square antiprism", "tetrahedron", "triangle", "digon")
# Below the lowest line there are none to lie on.
_LEAST = 0.3


class _Size(NamedTuple):
    features: int
    dims: int
    densities: int
    starts: int
    rarest: float


_SIZES = {"small": _Size(120, 15, 18, 5, 0.05), "paper": _Size(400, 30, 20, 1, 0.01)}


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains each density, from 1 down in equal steps of its logarithm; at most `seeds` starts."""
    size = _SIZES[scale]
    densities = torch.logspace(0, math.log10(size.rarest), size.densities).tolist()
    cells = [Cell(name=f"density {p:.3g}", density=p, facts={"density": p, "dims": size.dims}) for p in densities]
    law = Law(num_features=size.features)
    kept = trained(laid_out("relu", law, size.dims, cells, min(seeds, size.starts)), cells, how, seed)
    pairs = dict(zip(densities, in_pairs(densities, size.features, size.dims), strict=True))
    rows = [row if row.error else _beside(pairs[row.evidence["density"]], row, law, seed) for row in kept.rows]
    return Kept(rows, kept.tensors)


def _beside(pairs: tuple[Tensor, Tensor], row: Row, law: Law, seed: Seed) -> Row:
    """The row, with by how much its model costs more than the one in pairs, and D* of that."""
    own = weights_of(row), weights_of(row, "b")
    found = compared(own, pairs, law, torch.tensor(row.evidence["density"]), seed)
    found["star"] = float(dimensions_per_feature(pairs[0]))
    return replace(row, evidence={**row.evidence, "against_pairs": found})


def told(rows: Sequence[Row]) -> Told:
    """D* by density, the share of each feature, how many lie on a line, and groups by what they make."""
    cells = by_cell(rows)
    sound = [row for some in cells.values() for row in some]
    shares = {row.key: _shares(weights_of(row)) for row in sound}
    near = [(float(_on_a_line(share)), row.key) for row in sound for share in shares[row.key] if share >= _LEAST]
    on_lines = proportion([hit for hit, _ in near], [key for _, key in near])
    lying = Estimate.of("features within 0.03 of a line", on_lines, headline=True, null=_chance())
    lines = _by_start(sound)
    best = list(best_rows(sound).values())
    paired, beaten = _best_of_pairs(best)
    decades = _decades(lines, paired[: len(paired) - beaten + 1])
    since = f"from density {1 / paired[-beaten].x:.2g} down" if beaten else "nowhere"
    first, last = (fmean(line[end].y for line in lines) for end in (0, -1))
    points = [*(point for line in lines for point in line), *paired]
    drawn = [
        curves(points, x="1 / density", y="D*", title="Dimensions a feature", log_x=True, section="uniform"),
        *_levels(best),
    ]
    summary = (
        f"Equal features take D* {_star(first)} dimensions each where dense and {_star(last)} where rarest; "
        f"of those that take 0.3 or more, {number(on_lines.value, 2)} lie within 0.03 of a polytope's line (by chance "
        f"{_chance():.2f}). D* is within a tenth of 1/2 over {number(decades[1].value, 2)} decades of density, at the "
        f"least loss over {number(decades[2].value, 2)} at most; the best start costs less than the best of pairs "
        f"{since}."
    )
    return Told(summary, [lying, *decades], drawn, [_table(cells, paired)])


def _decades(lines: Sequence[Sequence[Point]], paired: Sequence[Point]) -> list[Estimate]:
    """Over how many decades D* rests: as trained, by start, and of the best of pairs as far as it is the best."""
    metric, half = "decades of density with D* within a tenth of", 1 / 2
    found = [
        Estimate.of(f"{metric} {said}", _over_starts([_rest(line, level) for line in lines]))
        for said, level in (("1", 1), ("1/2", half))
    ]
    reason = "of the best of pairs, worked out, up to where the best start costs less"
    most = Estimate(metric=f"{metric} 1/2 at the least loss, at most", value=_rest(paired, half), reason=reason)
    return [*found, most]


def _best_of_pairs(best: Sequence[Row]) -> tuple[list[Point], int]:
    """D* of the best of pairs, and at how many of the rarest densities the best start costs less."""
    line = [_starred(row, "best of pairs", _against(row)["star"]) for row in best]
    return line, len(list(takewhile(lambda row: (_above_pairs(row).high or 0) < 0, reversed(best))))


def _levels(rows: Sequence[Row]) -> list[Figure]:
    """The share of a dimension that each learned feature has, and the groups that they are in; none where none is."""
    members: list[Member] = []
    drawn: dict[str, Graph] = {}
    for row in rows:
        w_MN = weights_of(row)
        shares = dimensionality(w_MN).tolist()
        for place, group in enumerate(groups(w_MN)):
            name = f"{_said(group)}, {row.cluster}, group {place + 1}"
            drawn[name] = _graph(w_MN, group)
            members += [Member(1 / row.evidence["density"], shares[i], name, group.name) for i in group.features]
    if not members:
        return []
    figure = graphs(
        sorted(members, key=lambda member: _SHOWN.index(member.group) if member.group in _SHOWN else len(_SHOWN)),
        drawn,
        x="1 / density",
        y="D_i",
        lines=LINES,
        title="The share of a dimension that each learned feature of the best start has, and its group",
        caption="Dashed lines are the shares in polytopes. Below is the group of the feature under the pointer, seen "
        f"along its two longest axes; lines join what interferes, thicker where more, the {_EDGES} strongest at most.",
        section="uniform",
    )
    return [figure]


def _said(group: Group) -> str:
    """What a group is; where its name says nothing, the largest eigenvalues that its shape was judged by."""
    said = f"{group.name}, {len(group.features)} features"
    if group.name != "other":
        return said
    largest = [each for each in group.spectrum if each > _ZERO][:_EIGENVALUES]
    return f"{said}, eigenvalues {' '.join(f'{each:.2f}' for each in largest)}"


def _graph(w_MN: Tensor, group: Group) -> Graph:
    """Features of a group on the two axes that hold most of them, and the strongest |W_i·W_j|."""
    w_Mk = w_MN[:, group.features]
    u_MR, _, _ = torch.linalg.svd(w_Mk, full_matrices=False)
    places_2k = torch.zeros(2, len(group.features))
    axes_Rk = u_MR[:, :2].T @ w_Mk
    places_2k[: len(axes_Rk)] = axes_Rk
    among_kk = (w_Mk.T @ w_Mk).abs().tolist()
    edges = [(i, j, among_kk[i][j]) for i in range(len(among_kk)) for j in range(i) if among_kk[i][j] > JOINED]
    nodes = [(f"feature {i + 1}", *place) for i, place in zip(group.features, places_2k.T.tolist(), strict=True)]
    return Graph(nodes, sorted(edges, key=lambda edge: -edge[2])[:_EDGES])


def _shares(w_MN: Tensor) -> list[float]:
    """D_i of the learned features."""
    found: list[float] = dimensionality(w_MN)[w_MN.norm(dim=0) >= LEARNED].tolist()
    return found


def _on_a_line(share: float) -> bool:
    return any(abs(share - line) <= _NEAR for line in LINES.values())


def _chance() -> float:
    """The share of numbers evenly spread over 0.3 to 1 that lie near a line."""
    grid = torch.linspace(_LEAST, 1, 7001).tolist()
    return sum(map(_on_a_line, grid)) / len(grid)


def _by_start(rows: Sequence[Row]) -> list[list[Point]]:
    """D* by density, a line a start."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.key.rpartition("/")[2], []).append(row)
    return [
        [_starred(row, f"start {place + 1}", float(dimensions_per_feature(weights_of(row)))) for row in some]
        for place, some in enumerate(found.values())
    ]


def _starred(row: Row, series: str, star: float) -> Point:
    return Point(1 / row.evidence["density"], star, series=series)


def _over_starts(values: Sequence[float]) -> Interval:
    if len(values) == 1:
        return replace(undefined("read off one curve"), value=values[0], n=1, clusters=1)
    return t_interval(
        fmean(values), stdev(values) / len(values) ** 0.5, n=len(values), clusters=len(values), method="t over starts"
    )


def _star(value: float) -> str:
    """D* in words; it is infinite where W is 0."""
    return number(value, 2) if math.isfinite(value) else "nothing learned"


def _against(row: Row) -> Mapping[str, Any]:
    of: Mapping[str, Any] | None = row.evidence.get("against_pairs")
    if of is None:
        raise DataError("the model was not held against pairs", where=row.key, todo="run it again with --fresh")
    return of


def _above_pairs(row: Row) -> Interval:
    of = _against(row)
    return t_interval(of["value"], of["se"], n=of["n"], clusters=of["n"], method="paired")


def _in_percent(some: Sequence[Row]) -> str:
    """By how much the starts of one density cost more, from the lowest end of their intervals to the highest."""
    each = [_above_pairs(row) for row in some]
    ends = min(one.low or 0 for one in each), max(one.high or 0 for one in each)
    return " to ".join(f"{100 * end:.2f}" for end in ends)


def _rest(points: Sequence[Point], level: float) -> float:
    """Over how many decades of x the curve, straight between points on a logarithmic axis, is within a tenth of y."""
    whole = 0.0
    for before, after in pairwise(points):
        if not (math.isfinite(before.y) and math.isfinite(after.y)):
            continue
        ends = [level * (1 - _BAND), level * (1 + _BAND)]
        if before.y == after.y:
            share = float(ends[0] <= before.y <= ends[1])
        else:
            first, last = sorted(min(1.0, max(0.0, (end - before.y) / (after.y - before.y))) for end in ends)
            share = last - first
        whole += share * math.log10(after.x / before.x)
    return whole


def _table(cells: dict[str, list[Row]], paired: Sequence[Point]) -> Table:
    """Groups of all starts of a density by what they make."""
    lines = []
    for (name, some), pairs in zip(cells.items(), paired, strict=True):
        counts = Counter(group.name for row in some for group in groups(weights_of(row)))
        stars = [float(dimensions_per_feature(weights_of(row))) for row in some]
        said = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
        lines.append([name, _star(fmean(stars)), _star(pairs.y), _in_percent(some), said])
    columns = ("features", "D*, mean", "of the best of pairs", "loss above that of pairs, %", "groups of all starts")
    return Table(title="Uniform: groups of features that interfere", columns=columns, rows=lines, section="uniform")
