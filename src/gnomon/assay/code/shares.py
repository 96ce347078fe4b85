"""Shares of samples beside pass@k: how programs were found in replies, and operations on the wrong variable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gnomon.core.record import Row
from gnomon.data.code_bindings import WRONGLY_BOUND
from gnomon.report.base import Estimate
from gnomon.stats.intervals import proportion
from gnomon.trial.graded import Graded

__all__ = ["routes", "wrongly_bound"]

_ROUTES = ("fence", "whole", "span", "completion", "none")


def routes(rows: Sequence[Row]) -> Iterator[Estimate]:
    """How often the program was a fenced block, the whole reply, lines of it, the rest of the prompt, or nowhere."""
    found = [(str(sample["route"]), row.cluster) for row in rows for sample in row.evidence["samples"]]
    for route in _ROUTES:
        hit = [float(way == route) for way, _ in found]
        if any(hit):
            yield Estimate.of(
                "share of replies by where the program was", proportion(hit, [c for _, c in found]), group=route
            )


def wrongly_bound(graded: Sequence[Graded]) -> Iterator[Estimate]:
    """By level, how often all operations were done but some on another variable; nothing for other problems."""
    for level in sorted({g.level for g in graded if "variables" in g.level}):
        some = [g for g in graded if g.level == level]
        hit = [float(g.detail == WRONGLY_BOUND) for g in some]
        yield Estimate.of(WRONGLY_BOUND, proportion(hit, [g.task for g in some]), group=level)
