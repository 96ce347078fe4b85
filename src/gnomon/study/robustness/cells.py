"""The places of a study of robustness: which policies learn from which preference model, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gnomon.stats.intervals import Interval
from gnomon.study._family import spoken
from gnomon.study._trained import over_seeds
from gnomon.train._curve import GOLD, REWARD, Reading, together

__all__ = ["Cell", "Place", "over", "test_of", "where"]

Ways = Sequence[Sequence[Sequence[Reading]]]
"""Readings by seed, then by policy; policies of the first half come first."""


class Place(NamedTuple):
    """What policies have in common that differ in seed, half and draws only.

    Attributes:
        data: the comparisons.
        pairs: how many of them each half has.
        valued: parameters of the preference model that rewards.
        policy: parameters of the policy.
        kl: what a nat of KL costs.
    """

    data: str
    pairs: int
    valued: float
    policy: float
    kl: float


class Cell(NamedTuple):
    """Policies of one place.

    Attributes:
        place: theirs.
        label: what tables call it: that in which places of the study differ.
        main: whether preference model and policy are the largest, and KL costs least.
        ways: theirs.
        both: by seed, the readings of all its policies together, so of either half in turn.
    """

    place: Place
    label: str
    main: bool
    ways: Ways
    both: Sequence[Sequence[Reading]]

    @classmethod
    def of(cls, place: Place, ways: Ways, among: Sequence[Place]) -> Cell:
        """The cell of a place of a study."""
        label = f"{place.data}, {place.pairs} pairs"
        if len({each.policy for each in among}) > 1:
            label += f", PM {spoken(place.valued)}, policy {spoken(place.policy)}"
        if len({each.kl for each in among}) > 1:
            label += f", KL at {place.kl:g}"
        largest, least = max(each.policy for each in among), min(each.kl for each in among)
        main = (place.valued, place.policy, place.kl) == (largest, largest, least)
        return cls(place, label, main, ways, [together(policies) for policies in ways])

    @property
    def of_data(self) -> str:
        """What it learns from, in words."""
        return f"{self.place.data}, {self.place.pairs} pairs"

    @property
    def test(self) -> str:
        """The value of the preference model of the other half that is as large as the one that rewards."""
        return test_of(self.place.valued)

    @property
    def values(self) -> list[str]:
        """Names of all values."""
        return list(self.both[0][0].values)

    @property
    def tests(self) -> list[str]:
        """Names of the values of preference models of the other half."""
        return [name for name in self.values if name not in (REWARD, GOLD)]

    def up_to(self, at: int) -> Cell:
        """The same up to the reading at place `at`."""
        return self._replace(both=[readings[: at + 1] for readings in self.both])


def where(cells: Sequence[Cell]) -> tuple[list[str], list[list[float | str]]]:
    """What tables say of where each cell stands: names of columns and a row a cell; only what differs has a column."""
    names = ("data", "pairs", "PM", "policy", "weight of KL")
    kept = [i for i in range(len(names)) if i < 2 or len({cell.place[i] for cell in cells}) > 1]
    return [names[i] for i in kept], [[cell.place[i] for i in kept] for cell in cells]


def test_of(parameters: float) -> str:
    """What the value of a preference model of the other half is called."""
    return f"PM_test {spoken(parameters)}"


def over(cell: Cell, read: Callable[[Sequence[Reading]], Interval]) -> Interval:
    """What is read of each repetition: of one its own interval over questions, else Student's over repetitions."""
    found = [read(readings) for readings in cell.both]
    return found[0] if len(found) == 1 else over_seeds([each.value for each in found if each.value is not None])
