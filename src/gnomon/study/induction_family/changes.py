"""What changed in a series, and when: in-context learning, heads, the loss.

Olsson et al. 2022 (arXiv 2209.11895). Each date is found by itself, so that their coincidence says something. A change
of in-context learning counts from 0.25 nats on, as large as the paper's, one of the largest prefix matching from 0.1. A
single layer gains a little from context too: it can say a word again because it stands above.

Shapes: S snapshots read, N documents or sequences, L layers, H heads, P picked tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnomon.core.errors import DataError
from gnomon.stats.clusters import Matrix, Vector
from gnomon.stats.intervals import Interval, clustered_mean
from gnomon.stats.transition import Bend, Transition, bend, mean_curve, transition
from gnomon.study.induction_family.measured import Measured

__all__ = ["FEWEST", "Changes", "Seen", "changes"]

Array = NDArray[np.float64]

_LEAST_NATS, _LEAST_MATCH = 0.25, 0.1
FEWEST = 8
"""Fewer trained snapshots than this date no change."""


class Seen:
    """What was read of a series, as arrays by snapshot.

    Attributes:
        series: its name, kind and snapshots.
        steps, tokens: [S].
        prefix: [S, L, H, N], by random sequence.
        previous, copying, trace: [S, L, H].
        chance: copying scores of nothing that can be known lie below it [S].
        picked: [S, P].
        by_index: [S, T - 1], mean over documents.
        without_icl, without_picked: changes without each head, [S, L, H, documents] and [S, L, H, P]; None where no
            head was left out.
    """

    def __init__(self, of: Measured) -> None:
        self.series = of.series
        self.steps = np.array([int(row.key) for row in of.rows])
        self.tokens = self.steps * float(of.series.tokens_a_step)
        self._rows = [row.evidence for row in of.rows]
        names = ("prefix", "previous", "copying", "chance", "trace", "picked")
        self.prefix, self.previous, self.copying, self.chance, self.trace, self.picked = (
            _array([row[name] for row in self._rows]) for name in names
        )
        self.by_index = self.losses("by index")
        left_out = bool(self._rows[0]["without"])
        self.without_icl, self.without_picked = (
            _array([row["without"][name] for row in self._rows]) if left_out else None for name in ("icl", "picked")
        )

    @property
    def name(self) -> str:
        """The series'."""
        return self.series.name

    @property
    def largest(self) -> Vector:
        """The largest mean prefix matching of a head [S], of those whose windows reach so far."""
        largest: Vector = np.nanmax(self.prefix.mean(-1), axis=(1, 2))
        return largest

    def losses(self, name: str) -> Array:
        """Losses [S, N] by document: "loss", "icl", "fresh" or "copied", NaN where a document has no such token."""
        return _array([row["losses"][name] for row in self._rows])

    def knows(self, name: str) -> bool:
        """Whether such losses were read, of documents that have any."""
        return name in self._rows[0]["losses"] and bool(np.isfinite(self.losses(name)).any())


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What changed in one series.

    Attributes:
        icl: in-context learning.
        heads: the largest prefix matching of a head.
        bend: where the loss begins to fall faster again.
        before, after: places of the last snapshot before the change of in-context learning and of the first after it.
        copied, fresh: change of the losses of copied and of fresh tokens between those two; None without a change, and
            where nobody knows which tokens are copies.
        along: how much of the before-and-after vector each head is worth [S, L, H], in nats; None without a change.
    """

    icl: Transition
    heads: Transition
    bend: Bend
    before: int
    after: int
    copied: Interval | None
    fresh: Interval | None
    along: Array | None


def changes(seen: Seen, clusters: tuple[str, ...], seed: int = 0) -> Changes:
    """When the series changed.

    Args:
        clusters: the text that each document is of.

    Raises:
        DataError: fewer than eight snapshots after the first step.
    """
    there = seen.tokens > 0
    at = seen.tokens[there]
    if len(at) < FEWEST:
        what = f"{seen.name} has {len(at)} trained snapshots, and a change cannot be dated with fewer than {FEWEST}"
        raise DataError(what, todo="name more models, or train with more --snapshots")
    icl, loss = (mean_curve(seen.losses(name)[there].T) for name in ("icl", "loss"))
    n = len(clusters)
    found = transition(at, icl, n, clusters, least=_LEAST_NATS, seed=seed)
    sequences = seen.prefix.shape[-1]
    heads = transition(at, _largest(seen.prefix[there]), sequences, least=_LEAST_MATCH, seed=seed)
    before, after = _around(seen.tokens, found)
    return Changes(
        icl=found,
        heads=heads,
        bend=bend(at, loss, n, clusters, seed=seed),
        before=before,
        after=after,
        copied=_between(seen, "copied", before, after, clusters) if found.detected else None,
        fresh=_between(seen, "fresh", before, after, clusters) if found.detected else None,
        along=_along(seen, before, after) if found.detected else None,
    )


def _largest(prefix_SLHN: Array) -> Any:
    """The curve of the largest mean over sequences, on weights of sequences."""
    flat_NSK = prefix_SLHN.reshape(len(prefix_SLHN), -1, prefix_SLHN.shape[-1]).transpose(2, 0, 1)

    def curve(weights: Matrix) -> Matrix:
        means = np.tensordot(weights, flat_NSK, axes=1) / weights.sum(1)[:, None, None]
        largest: Matrix = np.nanmax(means, axis=-1)
        return largest

    return curve


def _around(tokens: Vector, of: Transition) -> tuple[int, int]:
    """The last snapshot before t10, and the first after t90."""
    assert of.t10.value is not None and of.t90.value is not None
    before = int(np.flatnonzero(tokens <= max(of.t10.value, tokens[0]))[-1])
    later = np.flatnonzero(tokens >= of.t90.value)
    return before, int(later[0]) if later.size else len(tokens) - 1


def _between(seen: Seen, name: str, before: int, after: int, clusters: tuple[str, ...]) -> Interval | None:
    if not seen.knows(name):
        return None
    lost = seen.losses(name)
    change = lost[after] - lost[before]
    there = np.isfinite(change)
    return clustered_mean(change[there], [c for c, known in zip(clusters, there, strict=True) if known])


def _along(seen: Seen, before: int, after: int) -> Array | None:
    """The projection of what leaving a head out changes on what the change of the series changed."""
    if seen.without_picked is None:
        return None
    count = seen.without_picked.shape[-1]
    vector = seen.picked[before, :count] - seen.picked[after, :count]
    along: Array = seen.without_picked @ (vector / np.linalg.norm(vector))
    return along


def _array(values: Any) -> Array:
    """Nested lists as an array; None is NaN."""
    return np.array(values, dtype=np.float64)
