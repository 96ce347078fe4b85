"""The model analysis table as rows, a row a model of a training: what the run's `results.parquet` holds.

Olsson et al. 2022 (arXiv 2209.11895), "model analysis table". Evidence of a row, by the table's numbers: 1 components,
2 loss and whether the model lies in the window, 3 loss by index, of which 4 is the slope, 5 in-context learning, and of
every head 6 prefix matching, 7 QK eigenvalues, 8 along the change, 9 in-context learning without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gnomon.core.record import Row
from gnomon.stats.trajectories import plane
from gnomon.study.induction_family.changes import Changes, Seen
from gnomon.study.induction_family.figures import Told

__all__ = ["rows"]

_DIGITS = 4


def rows(told: Sequence[Told]) -> list[Row]:
    """A row a model, series after series, by rising step; a number that was not read, or is none, is None."""
    points = iter(plane(np.concatenate([each.seen.picked for each in told])).points.tolist())
    return [row for seen, of in told for row in _of_series(seen, of, points)]


def _of_series(seen: Seen, of: Changes, points: Iterator[Sequence[float]]) -> Iterator[Row]:
    losses = {
        name: np.nanmean(seen.losses(name), axis=1) for name in ("loss", "icl", "fresh", "copied") if seen.knows(name)
    }
    begin, end = (of.icl.t10.value or 0.0, of.icl.t90.value or 0.0) if of.icl.detected else (math.inf, -math.inf)
    for place, (step, tokens) in enumerate(zip(seen.steps.tolist(), seen.tokens.tolist(), strict=True)):
        first, second = next(points)
        evidence = {
            "training": seen.name,
            "kind": seen.series.kind,
            "step": step,
            "tokens": tokens,
            "first component": _cut(first),
            "second component": _cut(second),
            "in window": begin <= tokens <= end,
            **{name: _cut(values[place]) for name, values in losses.items()},
            "loss by index": [_cut(value) for value in seen.by_index[place]],
            "heads": _heads(seen, of, place),
        }
        yield Row(key=f"{seen.name}, step {step}", cluster=seen.name, evidence=evidence)


def _heads(seen: Seen, of: Changes, place: int) -> dict[str, dict[str, Any]]:
    """What was read of every head of one model, by the head's name."""
    read = {"prefix": seen.prefix[place].mean(-1), "previous": seen.previous[place], "copying": seen.copying[place]}
    read["trace"] = seen.trace[place]
    if of.along is not None:
        read["along"] = of.along[place]
    if seen.without_icl is not None:
        read["icl without it"] = seen.without_icl[place].mean(-1)
    shape = read["prefix"].shape
    return {f"{i}.{h}": {name: _cut(values[i, h]) for name, values in read.items()} for i, h in np.ndindex(shape)}


def _cut(value: float) -> float | None:
    return round(float(value), _DIGITS) if math.isfinite(value) else None
