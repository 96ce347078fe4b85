"""Training data of which a share is a small set said again and again, the rest said once.

Hernandez et al. 2022, "Scaling Laws and Interpretability of Learning from Repeated Data" (arXiv 2205.10487). A
budget of rows is divided into slots: a share of them is filled from a small set that is gone through epoch by epoch, in
an order of its own each time; the others from rows that are never seen twice. Where slots lie, and in which order the
unique rows come, depends on the seed alone, so that runs which differ in the share or the size of the set are paired.

    made = Schedule.of(slots=16_000, share=0.5, epochs=100, seed=Seed(0))
    made.rows(0, 32)             # of the first batch: unique rows 0, 1, ..., and -1 - i for row i of the set

Shapes: N rows, T tokens of each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.data.overlap import hashes_of_runs

__all__ = ["WINDOW", "Divided", "Schedule", "Tokens", "check_apart", "divide"]

Tokens = NDArray[np.integer[Any]]
WINDOW = 50
"""Tokens that two sets may not have in common in a row."""
_FARTHEST = 0.02
_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Which row fills which slot of a training.

    Attributes:
        slots: rows of the whole training.
        repeated: how many of them are filled from the set.
        size: rows of the set; 0 where nothing is repeated.
        seed: of where the repeated slots lie, and of the order of each epoch.
        until: share of the slots, from the first on, among which repeats lie.
    """

    slots: int
    repeated: int
    size: int
    seed: Seed
    until: float = 1.0

    @classmethod
    def of(cls, *, slots: int, share: float, epochs: float, seed: Seed, until: float = 1.0) -> Schedule:
        """The schedule nearest to the share and the epochs that are asked for, in whole rows.

        Args:
            slots: rows of the training, 1 or more.
            share: of the slots that are repeats, in [0, 1); 0 is a training on unique rows alone.
            epochs: how often each row of the set comes, 1 or more; unused with a share of 0.
            until: see the class; from the share to 1.

        Raises:
            UsageError: in whole rows the share or the epochs are off by more than 2 %, or lie outside their range.
        """
        if slots < 1 or not 0 <= share < 1 or epochs < 1:
            raise UsageError(
                f"{slots} rows, a share of {share:g} and {epochs:g} epochs",
                todo="give 1 row or more, a share in [0, 1) and 1 epoch or more",
            )
        if not share <= until <= 1:
            what = f"a share of {share:g} does not lie in {until:g} of the training"
            raise UsageError(what, todo="give a part from the share to 1")
        repeated = round(share * slots)
        size = max(1, round(repeated / epochs)) if share else 0
        made = cls(slots=slots, repeated=repeated, size=size, seed=seed, until=until)
        for name, got, asked in (("share", made.share, share), ("epochs", made.epochs, epochs if share else 0.0)):
            if abs(got - asked) > _FARTHEST * asked:
                what = (
                    f"{slots} rows at a share of {share:g} and {epochs:g} epochs: in whole rows the {name} is {got:.4g}"
                )
                raise UsageError(what, todo="give more tokens, or fewer epochs")
        return made

    @property
    def share(self) -> float:
        """The share of slots that are repeats."""
        return self.repeated / self.slots

    @property
    def epochs(self) -> float:
        """How often a row of the set comes, on average; each comes so often, rounded up or down."""
        return self.repeated / self.size if self.size else 0.0

    @property
    def unique(self) -> int:
        """How many rows come once."""
        return self.slots - self.repeated

    def rows(self, begin: int, end: int) -> NDArray[np.int64]:
        """What fills slots `begin` to `end`: the index of a unique row, or -1 - i for row i of the set."""
        return self._filled[begin:end]

    @cached_property
    def _filled(self) -> NDArray[np.int64]:
        # One draw a slot whatever the share, so that a slot repeated at a small share is so at a large one.
        draws = self.seed.child("slots").numpy().random(self.slots)
        draws[max(self.repeated, round(self.until * self.slots)) :] += 1
        rank = np.argsort(draws, kind="stable")
        again = np.zeros(self.slots, dtype=bool)
        again[rank[: self.repeated]] = True
        filled = np.empty(self.slots, dtype=np.int64)
        filled[~again] = np.arange(self.unique)
        filled[again] = -1 - self._epochs()
        return filled

    def _epochs(self) -> NDArray[np.int64]:
        rounds = -(-self.repeated // self.size) if self.size else 0
        orders = [self.seed.child("epoch", i).numpy().permutation(self.size) for i in range(rounds)]
        return np.concatenate([*orders, np.empty(0, dtype=np.int64)])[: self.repeated].astype(np.int64)


class Divided(NamedTuple):
    """A corpus by what its rows are for.

    Attributes:
        unique, repeated, held_out: tokens [N, T] of what comes once, what comes again, and what is not trained on.
        dropped: rows that were left out because they have `WINDOW` tokens in a row in common with an earlier one.
    """

    unique: Tokens
    repeated: Tokens
    held_out: Tokens
    dropped: int


def divide(
    documents: Sequence[Tokens], *, width: int, unique: int, repeated: int, held_out: int, seed: Seed
) -> Divided:
    """Documents cut into whole rows, freed of duplicates and dealt out, a document to one role alone.

    Held-out and repeated rows are dealt from one end of an order that the seed draws, unique ones from the other: a
    smaller set is the beginning of a larger one, and unique rows come in the same order beside any set.

    Args:
        documents: tokens of each, 1-D; what does not fill a row is left out.
        width: tokens a row.
        unique, repeated, held_out: rows wanted of each.

    Raises:
        DataError: the documents have too few rows.
    """
    cut = [np.asarray(d[: len(d) // width * width], dtype=np.int32).reshape(-1, width) for d in documents]
    every = np.concatenate(cut) if cut else np.empty((0, width), dtype=np.int32)
    keep = _first_of_its_kind(every)
    ends = np.cumsum([len(rows) for rows in cut])
    wanted = {"held_out": held_out, "repeated": repeated, "unique": unique}
    order = deque(seed.child("documents").numpy().permutation(len(documents)).tolist())
    found: dict[str, Tokens] = {}
    for role, count in wanted.items():
        rows: list[Tokens] = []
        while len(rows) < count and order:
            place = order.pop() if role == "unique" else order.popleft()
            own = slice(int(ends[place]) - len(cut[place]), int(ends[place]))
            rows += list(every[own][keep[own]])
        if len(rows) < count:
            what = f"needs {count * width:,} {role.replace('_', ' ')} tokens in rows of {width}"
            todo = "give more text, lower --tokens, or raise the repeated share"
            raise DataError(f"{what}, and {len(rows) * width:,} are left", todo=todo)
        found[role] = np.stack(rows[:count]) if count else np.empty((0, width), dtype=np.int32)
    return Divided(found["unique"], found["repeated"], found["held_out"], int((~keep).sum()))


def check_apart(sets: Mapping[str, Tokens], window: int = WINDOW) -> None:
    """Refuses sets that have a row, or `window` tokens in a row, in common with each other, or a row twice.

    Windows are of tokens within a row; shorter rows are compared whole.

    Raises:
        DataError: with the counts and three examples.
    """
    names = list(sets)
    hashed = {name: _windows(rows, window) for name, rows in sets.items()}
    for name in names:
        rows = sets[name]
        if twice := len(rows) - len(np.unique(rows, axis=0)):
            raise DataError(f"{twice} of {len(rows)} rows stand there twice", where=name, todo="draw other documents")
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            places = np.flatnonzero(np.isin(hashed[other], hashed[one]).any(axis=1))
            if len(places):
                told = "; ".join(f"row {p}: {sets[other][p][:8].tolist()} ..." for p in places[:_EXAMPLES])
                what = f"{len(places)} of {len(sets[other])} rows share {window} tokens with {one}: {told}"
                raise DataError(what, where=other, todo="draw other documents")


def _first_of_its_kind(rows: Tokens) -> NDArray[np.bool_]:
    """Which rows [N] share no window with a row before them."""
    hashes = _windows(rows)
    owner = np.repeat(np.arange(len(rows)), hashes.shape[1])
    order = np.argsort(hashes, axis=None, kind="stable")
    flat, owner = hashes.reshape(-1)[order], owner[order]
    again = (flat[1:] == flat[:-1]) & (owner[1:] != owner[:-1])
    keep = np.ones(len(rows), dtype=np.bool_)
    keep[owner[1:][again]] = False
    return keep


def _windows(rows: Tokens, window: int = WINDOW) -> NDArray[np.uint64]:
    """A hash of every window of each row, [N, T - window + 1]; of the whole row where that is shorter."""
    count, width = rows.shape
    length = min(window, width)
    if not count:
        return np.empty((0, width - length + 1), dtype=np.uint64)
    return hashes_of_runs(list(rows.astype(np.uint32)), length).reshape(count, width - length + 1)
