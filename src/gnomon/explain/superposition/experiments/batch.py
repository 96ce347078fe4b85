"""Do small batches find other solutions than large ones?

Ours, for the speed of everything else rests on it: training here takes 256 examples a step where the notebook of Elhage
et al. 2022 (arXiv 2209.10652) takes 1,024. The same starts are trained on both, all else equal; what geometries they
end in, and at what loss on the same new examples, should not differ.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from gnomon.core.record import Row
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import Cell, Kept, Told, by_cell, laid_out, trained
from gnomon.report.base import Estimate, Table
from gnomon.report.figures import Dot, scatter
from gnomon.report.words import number
from gnomon.stats.intervals import clustered_mean

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_SMALL, _LARGE = 256, 1024
_TIMES = 3
_SWAPS = 2000


class _Setup(NamedTuple):
    features: int
    dims: int
    ratio: float
    density: float


_SETUPS = {
    "five in two, density 0.05": _Setup(5, 2, 1.0, 0.05),
    "five in two, density 0.2": _Setup(5, 2, 0.9, 0.2),
    "20 in 5, density 0.1": _Setup(20, 5, 0.7, 0.1),
}


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains three times `seeds` starts of each setup with either batch; setups are the same at any scale."""
    kept = Kept([], {})
    for name, setup in _SETUPS.items():
        for batch in (_SMALL, _LARGE):
            cells = [
                Cell(
                    name=f"{name}, batch {batch}",
                    density=setup.density,
                    importance=[setup.ratio**i for i in range(setup.features)],
                    facts={"setup": name, "batch": batch, "scale": scale},
                )
            ]
            toys = laid_out("relu", Law(num_features=setup.features), setup.dims, cells, _TIMES * seeds)
            kept = kept.and_then(trained(toys, cells, replace(how, batch=batch), seed.child(name)))
    return kept


def told(rows: Sequence[Row]) -> Told:
    """Losses of one start against each other, and how far the shares of geometries are apart."""
    cells = by_cell(rows)
    estimates, said, dots = [], [], []
    for name in _SETUPS:
        pairs = _pairs(cells, name)
        losses = [(float(small.evidence["loss"]), float(large.evidence["loss"])) for small, large in pairs]
        ratio = clustered_mean([small / large for small, large in losses])
        best = min(small for small, _ in losses) / min(large for _, large in losses)
        estimates += [
            Estimate.of("loss, batch of 256 over 1,024", ratio, group=name, headline=True),
            Estimate(
                metric="least loss, batch of 256 over 1,024",
                value=best,
                n=len(pairs),
                clusters=len(pairs),
                group=name,
                reason="of the best of all starts each",
            ),
            _apart(name, pairs),
        ]
        said.append(f"{number(best, 3)} ({number(ratio.value, 3)} in the mean) for {name}")
        dots += [
            Dot(large, small, name, row.evidence["shape"])
            for (small, large), (row, _) in zip(losses, pairs, strict=True)
        ]
    summary = f"The best start's loss with batches of 256 over that with batches of 1,024 is {'; '.join(said)}."
    x, y = "loss, batches of 1,024", "loss, batches of 256"
    drawn = [scatter(dots, x=x, y=y, title="Each start with either batch", diagonal=True, section="batch")]
    return Told(summary, estimates, drawn, [_table(cells)])


def _pairs(cells: Mapping[str, Sequence[Row]], name: str) -> list[tuple[Row, Row]]:
    """Each start with the small batch and with the large one."""
    small, large = ({row.evidence["toy"]["seed"]: row for row in cells[f"{name}, batch {b}"]} for b in (_SMALL, _LARGE))
    return [(row, large[start]) for start, row in small.items() if start in large]


def _apart(name: str, pairs: Sequence[tuple[Row, Row]]) -> Estimate:
    """Total variation between the shares of geometries, beside its mean where the batches of starts are swapped at
    random."""
    shapes = [(small.evidence["shape"], large.evidence["shape"]) for small, large in pairs]
    generator = torch.Generator().manual_seed(0)
    swapped = [
        _variation([pair[::-1] if swap else pair for pair, swap in zip(shapes, swaps, strict=True)])
        for swaps in (torch.rand(_SWAPS, len(shapes), generator=generator) < 0.5).tolist()
    ]
    value = _variation(shapes)
    as_far = sum(each >= value for each in swapped) / _SWAPS
    return Estimate(
        metric="distance of the shares of geometries",
        value=value,
        n=len(pairs),
        clusters=len(pairs),
        group=name,
        null=statistics.fmean(swapped),
        reason=f"as far or farther in {as_far:.2f} of random swaps",
    )


def _variation(shapes: Sequence[tuple[str, str]]) -> float:
    small, large = (Counter(side) for side in zip(*shapes, strict=True))
    return sum(abs(small[name] - large[name]) for name in small | large) / (2 * len(shapes))


def _table(cells: Mapping[str, Sequence[Row]]) -> Table:
    lines = []
    for name, some in cells.items():
        losses = [float(row.evidence["loss"]) for row in some]
        shapes = ", ".join(f"{what} {n}" for what, n in Counter(row.evidence["shape"] for row in some).most_common(4))
        lines.append([name, len(some), 1000 * min(losses), 1000 * statistics.median(losses), shapes])
    columns = ("models", "starts", "least loss, thousandths", "median", "what most starts make")
    return Table(title="Batches of 256 and 1,024", columns=columns, rows=lines, section="batch")
