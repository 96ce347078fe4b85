"""AUROC, false alarms and refusals of a detector, from rows.

A few-shot detector is one classifier for each draw of outliers. A harmful prompt is judged by those draws alone that
show none of its topic; a statistic is computed for each draw and averaged, within every bootstrap resample too, so that
intervals are of the average; that of a single classifier's AUROC is DeLong's. They count prompts: what other outliers
would give, the draws' spread shows.

Shapes: n rows, b resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnomon.core.record import Row
from gnomon.stats.bootstrap import OnWeights, cluster_bootstrap
from gnomon.stats.clusters import Matrix, Vector
from gnomon.stats.intervals import Interval, undefined, wins
from gnomon.stats.ranking import auroc_delong, auroc_on_weights, false_alarms_on_weights

__all__ = ["RECALL", "Judged", "refusals"]

RECALL = 0.95


class _Draw(NamedTuple):
    """The rows that one draw may judge, and their scores."""

    at: NDArray[np.intp]
    scores: Vector


@dataclass(frozen=True)
class Judged:
    """Harmful prompts among harmless ones, and how well detectors tell them.

    Attributes:
        rows: of both.
        resamples: bootstrap resamples behind an interval.
    """

    rows: Sequence[Row]
    resamples: int

    @cached_property
    def labels(self) -> Vector:
        """1 for harmful prompts, [n]."""
        return np.array([float(row.evidence["part"] == "harmful") for row in self.rows])

    @cached_property
    def clusters(self) -> NDArray[np.str_]:
        """The prompt of each row, [n]."""
        return np.array([row.cluster for row in self.rows])

    def auroc(self, method: str, layer: int) -> Interval:
        """The chance that a harmful prompt scores above a harmless one."""
        draws = self._draws(method, layer)
        if not draws:
            return undefined("no harmful prompt whose topic is not shown", n=len(self.rows))
        if len(draws) == 1:
            at, scores = draws[0]
            return auroc_delong(scores, self.labels[at], self.clusters[at])
        statistic = self._averaged(auroc_on_weights, draws)
        value = self._value(statistic)
        if value in (0.0, 1.0):
            # Separated in every draw: the labels themselves are separated likewise.
            judged = np.unique(np.concatenate([draw.at for draw in draws]))
            labels = self.labels[judged]
            return auroc_delong(labels if value else -labels, labels, self.clusters[judged])
        return self._bootstrapped(statistic)

    def by_draw(self, method: str, layer: int) -> list[float]:
        """The AUROC of each draw."""
        draws = self._draws(method, layer)
        return [float(auroc_on_weights(s, self.labels[at])(np.ones((1, len(at))))[0]) for at, s in draws]

    def gained(self, first: str, second: str, layer: int) -> Interval:
        """The AUROC of method `second` less that of `first`, paired."""
        draws = [self._draws(method, layer) for method in (first, second)]
        if not all(draws):
            return undefined("no harmful prompt whose topic is not shown", n=len(self.rows))
        before, after = (self._averaged(auroc_on_weights, each) for each in draws)
        return self._bootstrapped(lambda weights: after(weights) - before(weights))

    def false_alarms(self, method: str, layer: int) -> Interval:
        """The share of harmless prompts above the threshold that 95 % of harmful ones reach."""
        draws = self._draws(method, layer)
        if not draws:
            return undefined("no harmful prompt whose topic is not shown", n=len(self.rows))
        statistic = self._averaged(partial(false_alarms_on_weights, recall=RECALL), draws)
        value = self._value(statistic)
        if value in (0.0, 1.0):
            harmless = self.clusters[self.labels == 0]
            reason = f"{'no' if value == 0 else 'every'} harmless prompt is an alarm: interval of those prompts alone"
            return replace(wins([value] * len(harmless), list(harmless)), reason=reason)
        return self._bootstrapped(statistic)

    def _value(self, statistic: OnWeights) -> float:
        return float(statistic(np.ones((1, len(self.rows))))[0])

    def _bootstrapped(self, statistic: OnWeights) -> Interval:
        return cluster_bootstrap(statistic, len(self.rows), self.clusters, resamples=self.resamples)

    def _draws(self, method: str, layer: int) -> list[_Draw]:
        """The draws that may judge prompts of both kinds; one for a method that is shown nothing."""
        values = [row.evidence["values"][str(layer)][method] for row in self.rows]
        if not values or not isinstance(values[0], list):
            draws = [_Draw(np.arange(len(values)), np.array(values))]
        else:
            draws = [self._draw(values, place) for place in range(len(values[0]))]
        return [draw for draw in draws if 0 < self.labels[draw.at].sum() < len(draw.at)]

    def _draw(self, values: Sequence[list[float]], place: int) -> _Draw:
        fair = [i for i, row in enumerate(self.rows) if not (shown := row.evidence["shown"]) or not shown[place]]
        return _Draw(np.array(fair, dtype=np.intp), np.array([values[i][place] for i in fair]))

    def _averaged(self, on: Callable[[Vector, Vector], OnWeights], draws: Sequence[_Draw]) -> OnWeights:
        """A statistic of one draw's scores and labels as the mean over `draws`, on weights [b, n]."""
        parts = [(draw.at, on(draw.scores, self.labels[draw.at])) for draw in draws]

        def statistic(weights: Matrix) -> Vector:
            return np.asarray(np.mean([part(weights[:, at]) for at, part in parts], axis=0))

        return statistic


def refusals(rows: Sequence[Row], method: str, answered: float) -> tuple[list[float], list[str]]:
    """How often each prompt is refused, over the draws that may judge it, and the prompts as clusters.

    A filter refuses what scores as high as the highest share 1 - `answered` of the reference prompts, or higher.
    """
    found: list[float] = []
    clusters: list[str] = []
    for row in rows:
        below, shown = row.evidence["below"][method], row.evidence["shown"]
        draws = below if isinstance(below, list) else [below]
        fair = [share for place, share in enumerate(draws) if not (isinstance(below, list) and shown and shown[place])]
        if fair:
            found.append(sum(share >= answered for share in fair) / len(fair))
            clusters.append(row.cluster)
    return found, clusters
