"""A family of trainings as numbers: what each did, by size, share and epochs, and what repeats changed.

Shapes: S seeds, D documents, K numbers of epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnomon.core.errors import DataError
from gnomon.core.record import Row
from gnomon.stats.effective import Worth, multiplier
from gnomon.stats.intervals import Interval, clustered_mean, undefined
from gnomon.study._trained import over_seeds

__all__ = [
    "AGAIN",
    "EARLY",
    "FEWER",
    "METRICS",
    "OTHER_DRAW",
    "WITHOUT_COPIES",
    "Family",
    "Matrix",
    "Measured",
    "Place",
    "apart",
    "beside",
    "has",
    "means",
]

_RESAMPLES = 200
Place = tuple[str, int, float, float]
"""Kind, width, share and epochs."""
WITHOUT_COPIES = "without copies"
"""Kind of trainings on a language without copies."""
FEWER = "fewer tokens"
"""Kind of trainings on what comes once beside a share of repeats, and on nothing else."""
OTHER_DRAW = "other draw"
"""Kind of trainings without repeats whose first weights and documents are others: what repeats add is 0 there."""
EARLY = "repeats early"
"""Kind of trainings whose repeats all come before the last part; without repeats that is the control."""
AGAIN = ", repeats"
"""What the kind of a training with repeats ends with beside that of one without."""
Matrix = NDArray[np.float64]
Measured = Mapping[str, Any]


def _copied(of: Measured) -> list[float]:
    """Of each paragraph, the mean over its second and later copies."""
    return [float(np.mean(copies[1:])) for copies in of["copying"]]


METRICS: Mapping[str, Callable[[Measured], Sequence[float]]] = {
    "test loss": lambda of: of["held-out"],
    "loss of what is no copy": lambda of: of["fresh"],
    "copying": _copied,
    "prefix matching": lambda of: of["prefix"],
    "other language": lambda of: of["other"],
}
"""What effective sizes are read of; numbers by document, paragraph or sequence. KeyError where one was not measured."""
# All others are losses, of which less is better.
_SCORE = "prefix matching"


def means(of: Measured) -> dict[str, float]:
    """What can be read of one training as a single number each, in nats a token where it is a loss."""
    found = {"parameters": of["parameters"], "share": of["share"], "epochs": of["epochs"], "documents": of["documents"]}
    lists = {"loss on the set": "set", "said by heart": "known"}
    found |= {name: float(np.mean(of[key])) for name, key in lists.items() if key in of}
    found |= {name: of[name] for name in ("tokens a second", "resumed at") if name in of}
    return found | {name: float(np.mean(read(of))) for name, read in METRICS.items() if has(of, name)}


def has(of: Measured, metric: str) -> bool:
    """Whether a metric was measured."""
    keys = {"test loss": "held-out", "loss of what is no copy": "fresh", "prefix matching": "prefix"}
    return {**keys, "other language": "other"}.get(metric, metric) in of


def beside(place: Place) -> Place:
    """The place of the training without repeats that one with repeats, or of further training, is held against."""
    base = {"repeats": "control", EARLY + AGAIN: "control", "tuned": "scratch"}.get(
        place[0], place[0].removesuffix(AGAIN)
    )
    return base, place[1], 0.0, 1.0


@dataclass(frozen=True)
class Family:
    """What trainings did, by place.

    Attributes:
        places: measurements by kind, width, share and epochs; one a seed, in the order of seeds.
    """

    places: Mapping[Place, Sequence[Measured]]
    _read: dict[Place, Interval | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Family:
        """The family whose rows these are; places of which a seed diverged are left out, and what is read beside them.

        Raises:
            DataError: of a width and a share nothing is left.
        """
        places: dict[Place, list[Measured]] = {}
        lost: set[Place] = set()
        for row in sorted(rows, key=lambda row: int(row.evidence["seed"])):
            place: Place = tuple(row.evidence[name] for name in ("kind", "width", "share", "epochs"))  # type: ignore[assignment]  # of these four
            if "diverged" in row.evidence:
                lost.add(place)
            else:
                places.setdefault(place, []).append(row.evidence["measured"])
        whole = {place: found for place, found in places.items() if place not in lost and beside(place) not in lost}
        for kind, width, share, _ in lost:
            if kind == "repeats" and not any(p[:3] == (kind, width, share) for p in whole):
                what = f"every training of width {width} at a share of {share:g} diverged, or that without repeats did"
                raise DataError(what, todo="leave that width out, or give --retry")
        return cls(whole)

    @property
    def widths(self) -> list[int]:
        """Of the controls, the smallest first."""
        return sorted({width for kind, width, _, _ in self.places if kind == "control"})

    @property
    def shares(self) -> list[float]:
        """Of the grid."""
        return sorted({share for kind, _, share, _ in self.places if kind == "repeats"})

    def epochs(self, width: int, share: float) -> list[float]:
        """Numbers of epochs that were trained."""
        return sorted({e for kind, w, s, e in self.places if (kind, w, s) == ("repeats", width, share)})

    def size(self, width: int) -> float:
        """Parameters."""
        return float(self.control(width)[0]["parameters"])

    def control(self, width: int) -> Sequence[Measured]:
        """Of models without repeats."""
        return self.places["control", width, 0.0, 1.0]

    def cell(self, width: int, share: float, epochs: float) -> Sequence[Measured]:
        """Of models with repeats."""
        return self.places["repeats", width, share, epochs]

    def fewer(self, width: int, share: float) -> Sequence[Measured] | None:
        """Of models that saw what comes once beside the repeats alone; None where that diverged or was not trained."""
        return self.places.get((FEWER, width, share, 1.0))

    def losses(self, width: int, share: float) -> Matrix:
        """Test losses [S, K] by number of epochs."""
        return np.array([_means(self.cell(width, share, e)) for e in self.epochs(width, share)]).T

    def damage(self, width: int, share: float) -> Matrix:
        """Test losses [S, K] above those of the same seeds without repeats."""
        found: Matrix = self.losses(width, share) - np.array(_means(self.control(width)))[:, None]
        return found

    def worst(self, width: int, share: float) -> float:
        """The number of epochs at which the test loss is highest."""
        return self.epochs(width, share)[int(self.damage(width, share).mean(axis=0).argmax())]

    def worth(self, metric: str, width: int, share: float, epochs: float) -> Worth | None:
        """A model with repeats beside the ladder of those without; None where the metric was not measured."""
        return self._worth(metric, self.control, self.cell(width, share, epochs), width)

    def worth_tuned(self, width: int, share: float, epochs: float) -> Worth | None:
        """A model trained further, by its test loss there, beside the ladder of those trained there from scratch."""
        tuned = self.places["tuned", width, share, epochs]
        return self._worth("test loss", lambda w: self.places["scratch", w, 0.0, 1.0], tuned, width)

    def worth_other(self, metric: str, width: int) -> Worth | None:
        """Models without repeats of another draw beside the ladder; None where the metric was not measured."""
        return self._worth(metric, self.control, self.places[OTHER_DRAW, width, 0.0, 1.0], width)

    def _worth(
        self,
        metric: str,
        undamaged: Callable[[int], Sequence[Measured]],
        some: Sequence[Measured],
        width: int,
    ) -> Worth | None:
        read = METRICS[metric]
        try:
            ladder = np.array([[read(of) for of in undamaged(w)] for w in self.widths], dtype=np.float64)
            cell = np.array([read(of) for of in some], dtype=np.float64)
        except KeyError:
            return None
        sizes = np.array([self.size(w) for w in self.widths])
        if len(sizes) < 2:
            return None
        return Worth(sizes=sizes, ladder=ladder, cell=cell, size=self.size(width), rises=metric == _SCORE)

    def multiplier(self, metric: str, width: int, share: float, epochs: float) -> Interval | None:
        """Effective size over size; None where the metric was not measured, or there is one size."""
        place = (metric, width, share, epochs)
        if place not in self._read:
            worth = self.worth(*place)
            self._read[place] = None if worth is None else multiplier(worth, resamples=_RESAMPLES)
        return self._read[place]


def apart(one: Sequence[Measured], other: Sequence[Measured], read: Callable[[Measured], Sequence[float]]) -> Interval:
    """The mean of the first less that of the second, paired by seed; of one seed paired by document.

    Args:
        read: numbers by document; KeyError where they were not measured.
    """
    try:
        pairs = [np.subtract(read(a), read(b)) for a, b in zip(one, other, strict=True)]
    except KeyError as error:
        return undefined(f"{error} was not measured")
    if len(pairs) > 1:
        return over_seeds([float(pair.mean()) for pair in pairs])
    return clustered_mean(pairs[0])


def _means(of: Sequence[Measured]) -> list[float]:
    return [float(np.mean(each["held-out"])) for each in of]
