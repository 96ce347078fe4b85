"""How does the geometry come about in training, and does the loss drop where features jump?

Elhage et al. 2022 (arXiv 2209.10652), "Superposition and Learning Dynamics": shares of a dimension that equal features
take, and the loss, over training; and two sets of three correlated features in three dimensions, which pass through
several geometries. `changes` finds the drops of the loss and the jumps of shares, each on its own, and how many drops
have a jump within a hundredth of the steps is held against how many would have by chance.

A falling learning rate would blur when things happen, so the rate is constant at any scale, and batches are larger.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from gnomon.core.record import Row
from gnomon.explain.superposition.attacks import errors
from gnomon.explain.superposition.changes import SPAN, Fall, drops, fall, jumps, matched
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import dimensionality, groups, shape
from gnomon.explain.superposition.toys import Toys, Training
from gnomon.explain.superposition.trainings import Cell, Kept, Told, by_cell, laid_out, trained
from gnomon.report.base import Estimate, Figure, Table
from gnomon.report.figures import Point, curves
from gnomon.report.movie import Frame, movie
from gnomon.report.words import number
from gnomon.stats.intervals import proportion

if TYPE_CHECKING:
    from gnomon.core.seeds import Seed

__all__ = ["made", "told"]

_LOOKS, _TESTED = 200, 16384
# Steps of a constant rate for one of a falling rate, which gets as far in fewer.
_LONGER, _RATE, _BATCH = 8 / 3, 0.002, 512
_NEAR = 0.01
_TIMES = 2
_SETS = "two correlated sets of three"


class _Setup(NamedTuple):
    law: Law
    dims: int
    density: float


_SETUPS = {
    "five in two": _Setup(Law(num_features=5), 2, 0.05),
    "eight in three": _Setup(Law(num_features=8), 3, 0.1),
    _SETS: _Setup(Law(num_features=6, together="correlated", size=3), 3, 0.05),
}
_LARGE = {"400 in 30": _Setup(Law(num_features=400), 30, 0.1)}


class _Seen:
    """What is seen of every model in training: at each look its step, loss and W; and how far the loss fell over each
    span of looks."""

    def __init__(self, toys: Toys, density: float, every: int, seed: Seed) -> None:
        self._x_BN = toys.law.draws(_TESTED, seed.child("watched"), 0).at(torch.tensor(density))
        self._every = every
        self._errors: deque[list[Tensor]] = deque(maxlen=SPAN + 1)
        self.steps: list[int] = []
        self.losses: list[list[float]] = []
        self.weights: list[Tensor] = []
        self.falls: list[list[Fall]] = []

    def look(self, step: int, w_KMN: Tensor, b_KN: Tensor) -> None:
        """Looks at the models every few steps."""
        if step % self._every:
            return
        models = zip(w_KMN, b_KN, strict=True)
        self._errors.append([errors(w_MN, b_N, self._x_BN) / len(b_N) for w_MN, b_N in models])
        self.steps.append(step)
        self.losses.append([float(error_B.mean()) for error_B in self._errors[-1]])
        self.weights.append(w_KMN.clone())
        if len(self._errors) > SPAN:
            self.falls.append([fall(*pair) for pair in zip(self._errors[0], self._errors[-1], strict=True)])


def made(scale: str, how: Training, seeds: int, seed: Seed) -> Kept:
    """Trains twice `seeds` starts of each setup, looks at them two hundred times, and finds drops and jumps."""
    if not how.constant:
        how = replace(how, steps=round(_LONGER * how.steps), lr=_RATE, batch=_BATCH, constant=True)
    kept = Kept([], {})
    for name, setup in (_SETUPS | _LARGE if scale == "paper" else _SETUPS).items():
        cells = [Cell(name=name, density=setup.density)]
        toys = laid_out("relu", setup.law, setup.dims, cells, _TIMES * seeds)
        seen = _Seen(toys, setup.density, max(1, how.steps // _LOOKS), seed)
        models = trained(toys, cells, how, seed.child(name), seen.look)
        rows = [row if row.error else _read(row, k, seen, how.steps) for k, row in enumerate(models.rows)]
        kept = kept.and_then(Kept(rows, models.tensors))
    return kept


def _read(row: Row, k: int, seen: _Seen, steps: int) -> Row:
    """The row, with the model's drops and jumps and what was seen of it."""
    w_TMN = torch.stack([w_KMN[k] for w_KMN in seen.weights])
    shares_TN = dimensionality(w_TMN)
    dropped, jumped = drops([falls[k] for falls in seen.falls]), jumps(shares_TN)
    tolerance = max(1, round(_NEAR * steps / max(1, seen.steps[1] - seen.steps[0])))
    found = matched(dropped, jumped, len(seen.steps), tolerance)
    evidence: dict[str, Any] = {
        "drops": [seen.steps[at] for at in dropped],
        "jumps": [[seen.steps[at] for at in each] for each in jumped],
        "near": found.near,
        "chance": found.chance,
        "steps": seen.steps,
        "losses": [losses[k] for losses in seen.losses],
        "shares": torch.round(shares_TN.double(), decimals=4).tolist(),
        "shapes": [shape(groups(w_MN)) for w_MN in w_TMN],
    }
    if w_TMN.shape[1] == 3:
        evidence["ends"] = torch.round(w_TMN.transpose(1, 2).double(), decimals=3).tolist()
    return Row(key=row.key, cluster=row.cluster, evidence={**row.evidence, **evidence})


def told(rows: Sequence[Row]) -> Told:
    """How many drops have a jump near them, by setup and in all, and training as curves and as a movie."""
    cells = by_cell(rows)
    sound = [row for some in cells.values() for row in some]
    estimates = [_matched(some, name) for name, some in cells.items()]
    whole = _matched(sound, "")
    sets = _shown(cells[_SETS])
    stages = _stages(sets.evidence["shapes"])
    summary = (
        f"Of {whole.n} drops of the loss in {len(sound)} trainings a share of {number(whole.value, 2)} has a jump of a "
        f"feature's dimensionality within a hundredth of the steps (by chance {number(whole.null, 2)}). A start on two "
        f"correlated sets of three goes through {len(stages)} stages: {', '.join(stages)}."
    )
    drawn = [figure for name, some in cells.items() for figure in _levels(name, _shown(some))]
    return Told(summary, [whole, *estimates], [_movie(sets), *drawn], [_table(cells)])


def _matched(rows: Sequence[Row], group: str) -> Estimate:
    """The share of drops with a jump near them, beside that of drops at random times."""
    near = [(float(hit), row) for row in rows for hit in row.evidence["near"]]
    metric = "drops of the loss with a jump near them"
    if not near:
        return Estimate(metric=metric, value=None, group=group, reason="the loss drops in no training")
    chance = sum(row.evidence["chance"] for _, row in near) / len(near)
    found = proportion([hit for hit, _ in near], [row.key for _, row in near])
    return Estimate.of(metric, found, group=group, null=chance, headline=not group)


def _shown(rows: Sequence[Row]) -> Row:
    """Of the starts whose loss drops, if any, the one of least loss."""
    return min(rows, key=lambda row: (not row.evidence["drops"], row.evidence["loss"]))


def _stages(shapes: Sequence[str]) -> list[str]:
    """Geometries in the order met, each as long as it lasts."""
    return [shape for at, shape in enumerate(shapes) if not at or shapes[at - 1] != shape]


def _levels(name: str, row: Row) -> list[Figure]:
    """Shares of a dimension and loss of one start, with its drops."""
    of: Mapping[str, Any] = row.evidence
    dropped = ", ".join(map(str, of["drops"])) or "no step"
    shares = [
        Point(step, share, series=str(i + 1))
        for step, looked in zip(of["steps"], of["shares"], strict=True)
        for i, share in enumerate(looked)
    ]
    loss = [
        Point(step, value, series=made_of)
        for step, value, made_of in zip(of["steps"], of["losses"], of["shapes"], strict=True)
    ]
    caption = f"The loss drops at {dropped}. Of the starts whose loss drops, if any, the one of least loss."
    title = f"The share of a dimension that each feature has: {name}"
    return [
        curves(shares, x="step", y="D_i", title=title, caption=caption, section="dynamics"),
        curves(loss, x="step", y="loss", title=f"Loss by geometry: {name}", log_y=True, section="dynamics"),
    ]


def _movie(row: Row) -> Figure:
    of = row.evidence
    every = max(1, len(of["steps"]) // 60)
    seen = zip(of["steps"], of["ends"], of["losses"], of["shapes"], of["shares"], strict=True)
    return movie(
        [Frame(*look) for look in list(seen)[::every]],
        labels=[f"{name}{i}" for name in "ab" for i in (1, 2, 3)],
        groups=["set a"] * 3 + ["set b"] * 3,
        y="loss",
        level="D_i",
        title="Two correlated sets of three features in three dimensions, over training",
        caption="Sliders wind and turn it. Grey lines join features that do not point away from each other. A letter "
        "begins a stage.",
        section="dynamics",
    )


def _table(cells: Mapping[str, Sequence[Row]]) -> Table:
    lines = [
        [
            f"{row.cluster}, {row.evidence['toy']['seed']}",
            row.evidence["shape"],
            row.evidence["loss"],
            ", ".join(map(str, row.evidence["drops"])),
            sum(map(len, row.evidence["jumps"])),
        ]
        for some in cells.values()
        for row in some
        if row.evidence["drops"]
    ]
    columns = ("start", "it ends as", "loss", "its loss drops at", "jumps of features")
    return Table(title="Starts whose loss drops", columns=columns, rows=lines, section="dynamics")
