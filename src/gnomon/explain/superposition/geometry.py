"""How features lie in the space of a tied toy model, and what polytope they make.

Elhage et al. 2022 (arXiv 2209.10652), "The Geometry of Superposition". W_i is column i of W, the direction of feature
i, and Ŵ_i the same at length 1.

A group of features is what is joined by |W_i·W_j| > 0.1; groups are orthogonal to each other, so a triangular bipyramid
is found as a triangle and a digon. A group is named where its spectrum and the shares of its features are those of a
uniform polytope, and its centre is as near to 0, all within `TOLERANCE`; "other" where they are not. Spectrum and
shares do not know a vector from its opposite, the centre does.

Shapes: any number of models, M dimensions, N features, k features of one group.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "JOINED",
    "LEARNED",
    "TOLERANCE",
    "Group",
    "dimensionality",
    "dimensions_per_feature",
    "groups",
    "interference",
    "polytopes",
    "shape",
    "turned_onto",
]

LEARNED = 0.5
"Least norm of a feature that counts as learned."
TOLERANCE = 0.1
"By how much an eigenvalue (as a share of their mean), a share of a dimension, or the squared centre may miss."
JOINED = 0.1
"From what |W_i·W_j| on two features are of one group."
# Polytopes in dimensions of their own that together have a name.
_COMPOUNDS: Mapping[tuple[str, ...], str] = {
    ("digon", "digon"): "square",
    ("digon", "digon", "digon"): "octahedron",
    ("digon", "triangle"): "triangular bipyramid",
    ("digon", "pentagon"): "pentagonal bipyramid",
}


class Group(NamedTuple):
    """Features that interfere with each other, what they make, and how many dimensions they take up."""

    features: tuple[int, ...]
    name: str
    spectrum: tuple[float, ...]


def interference(w: Tensor) -> Tensor:
    """How strongly other features switch each one on, the sum over j≠i of (Ŵ_i·W_j)², [..., N]; 0 of a zero column."""
    return _overlaps(w) - w.square().sum(-2)


def dimensionality(w: Tensor) -> Tensor:
    """The share of a dimension that each feature has, D_i = |W_i|² over the sum of all (Ŵ_i·W_j)², [..., N].

    0 of a zero column; the sum over features is at most M.
    """
    whole = _overlaps(w)
    return torch.where(whole > 0, w.square().sum(-2) / whole.clamp_min(1e-30), 0.0)


def dimensions_per_feature(w: Tensor) -> Tensor:
    """D* = M over the squared norm of W, [...]; infinite where nothing is learned."""
    return w.shape[-2] / w.square().sum((-2, -1))


def groups(w_MN: Tensor) -> list[Group]:
    """The learned features of one model by what they interfere with, largest group first."""
    learned = (w_MN.norm(dim=0) >= LEARNED).nonzero().flatten().tolist()
    joined_NN = (w_MN.T @ w_MN).abs() > JOINED
    found, left = [], set(learned)
    while left:
        group, edge = set(), {min(left)}
        while edge:
            group |= edge
            near = joined_NN[sorted(edge)].any(0).nonzero().flatten().tolist()
            edge = (set(near) & left) - group
        left -= group
        features = tuple(sorted(group))
        name, spectrum = _named(w_MN[:, features])
        found.append(Group(features, name, spectrum))
    return sorted(found, key=lambda group: (-len(group.features), group.features))


def shape(found: Sequence[Group]) -> str:
    """What a model's groups make together: "pentagon", "2 dedicated", "octahedron", "digon + triangle"."""
    parts_of = {name: parts for parts, name in _COMPOUNDS.items()}
    counts = Counter(part for group in found for part in parts_of.get(group.name, (group.name,)))
    dedicated = counts.pop("dedicated", 0)
    names = tuple(sorted(counts.elements()))
    if names in _COMPOUNDS:
        said = [_COMPOUNDS[names]]
    else:
        said = [name if count == 1 else f"{count} {name}s" for name, count in sorted(counts.items())]
    if dedicated:
        said.append(f"{dedicated} dedicated")
    return " + ".join(said) or "nothing"


def turned_onto(w_MN: Tensor, other_MN: Tensor) -> Tensor:
    """W after the rotation or reflection that brings it nearest to another in squares, [M, N].

    A tied model with a linear hidden layer computes the same from W and from any rotation of it, so two of them are
    compared after this (orthogonal Procrustes: Schönemann 1966).
    """
    u_MM, _, v_MM = torch.linalg.svd(other_MN @ w_MN.T)
    turned_MN: Tensor = u_MM @ v_MM @ w_MN
    return turned_MN


@cache
def polytopes() -> dict[str, Tensor]:
    """Vertices [dimensions, k] at length 1 of the polytopes that groups are compared with."""
    ring = {"digon": 2, "triangle": 3, "pentagon": 5, "hexagon": 6}
    known = {"dedicated": torch.ones(1, 1)} | {name: _ring(k) for name, k in ring.items()}
    known["digon"] = known["digon"][:1]
    known["tetrahedron"] = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / math.sqrt(3)
    # Of all square antiprisms the one whose features share three dimensions evenly, 3/8 each.
    known["square antiprism"] = _antiprism(1 / 3)
    # Trained ones are often not quite orthogonal, so that their parts are found as one group.
    for parts, name in _COMPOUNDS.items():
        known[name] = torch.block_diag(*(known[part] for part in parts))  # type: ignore[no-untyped-call]  # torch's
    return known


def _antiprism(level: float) -> Tensor:
    """The square antiprism whose squares stand at the root of `level` above and below the centre."""
    height, width = torch.full((1, 4), math.sqrt(level)), math.sqrt(1 - level)
    low, high = width * _ring(4), width * _ring(4, turned=math.pi / 4)
    return torch.cat([torch.cat([low, height]), torch.cat([high, -height])], dim=1)


def _ring(k: int, turned: float = 0.0) -> Tensor:
    angles = turned + 2 * math.pi * torch.arange(k) / k
    return torch.stack([angles.cos(), angles.sin()])


def _named(w_Mk: Tensor) -> tuple[str, tuple[float, ...]]:
    """The polytope of one group, and its spectrum at a mean squared norm of 1."""
    spectrum = _spectrum(w_Mk)
    shares = dimensionality(w_Mk).sort().values
    # How flat an antiprism is does not follow from what it is; trained ones of equal features come out at 0.29.
    for name, vertices in [*polytopes().items(), ("square antiprism", _antiprism(0.29))]:
        if vertices.shape[1] != w_Mk.shape[1]:
            continue
        apart = (spectrum - _spectrum(vertices)).abs().max()
        uneven = (shares - dimensionality(vertices).sort().values).abs().max()
        # Eigenvalues of k unit vectors grow with k, so the tolerance is of the mean one.
        mean = vertices.shape[1] / vertices.shape[0]
        moved = (_centre(w_Mk) - _centre(vertices)).abs()
        if float(apart) <= TOLERANCE * mean and float(torch.maximum(uneven, moved)) <= TOLERANCE:
            return name, tuple(spectrum.tolist())
    return "other", tuple(spectrum.tolist())


def _spectrum(w_Mk: Tensor) -> Tensor:
    """Eigenvalues of the Gram matrix, largest first, [k]; their sum is k."""
    scaled = w_Mk * math.sqrt(w_Mk.shape[1]) / w_Mk.norm()
    ascending: Tensor = torch.linalg.eigvalsh(scaled.T @ scaled)
    return ascending.flip(0)


def _centre(w_Mk: Tensor) -> Tensor:
    """Squared length of the mean of the directions."""
    centre_M: Tensor = (w_Mk / w_Mk.norm(dim=0)).mean(1)
    return centre_M.square().sum()


def _overlaps(w: Tensor) -> Tensor:
    """The sum over all j of (Ŵ_i·W_j)², [..., N]; 0 of a zero column."""
    gram = w.transpose(-2, -1) @ w
    return gram.square().sum(-1) / w.square().sum(-2).clamp_min(1e-30)
