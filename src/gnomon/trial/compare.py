"""Two runs on the same items, read paired.

Rows carry per-item scores (`evidence["scores"]`, metric to number), and where a run asks an item in several ways
`evidence["series"]` says which. Only items in both runs count; differences are taken item by item and clustered as the
items are, which is what removes the items' own spread from the interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gnomon.core.errors import DataError
from gnomon.core.record import Row
from gnomon.report.base import Estimate, Report, Table
from gnomon.stats.paired import PairedDifference, holm, mcnemar, paired_difference
from gnomon.store.run import Run

__all__ = ["Pairing", "compare", "paired"]


class Pairing(NamedTuple):
    """Rows of two runs on the same items; `name` says which less which, "" where there is one pairing only."""

    name: str
    first: Sequence[Row]
    second: Sequence[Row]


def compare(first: Run, second: Run) -> Report:
    """Differences `second - first` of every score both runs hold, with clustered 95 % intervals.

    P-values are adjusted by Holm within the table.

    Raises:
        DataError: the runs share no item with a common score.
    """
    pairing = Pairing("", first.rows(), second.rows())
    estimates, table = paired([pairing])
    if not estimates:
        raise DataError(
            f"runs {first.id} and {second.id} share no item with a common score",
            todo="compare two runs of the same evaluation on the same items",
        )
    a, b = _by_key(pairing.first), _by_key(pairing.second)
    left_out = len(a.keys() ^ b.keys())
    notes = [f"{left_out} items are in one run only and left out"] if left_out else []
    return Report(
        title=f"{_title(second)} against {_title(first)}, paired", estimates=estimates, tables=[table], notes=notes
    )


def paired(pairings: Sequence[Pairing]) -> tuple[list[Estimate], Table]:
    """Differences `second - first` of every score that both sides of each pairing hold, and their table.

    P-values are adjusted by Holm over all pairings. Rows in error, and items on one side only, do not count.
    """
    lines = [line for pairing in pairings for line in _lines(pairing)]
    found = [paired_difference(line.second, line.first, line.clusters) for line in lines]
    p_values = [_p_value(line, d) for line, d in zip(lines, found, strict=True)]
    adjusted = holm([1.0 if p is None else p for p in p_values])
    estimates = [
        Estimate.of(f"difference of {line.metric}", d.difference, group=line.group, headline=True)
        for line, d in zip(lines, found, strict=True)
    ]
    named = any(line.name for line in lines)
    columns = ["series", "score", "first", "second", "difference", "SE paired", "SE unpaired", "correlation"]
    cells = [_cells(line, d, p) for line, d, p in zip(lines, found, adjusted, strict=True)]
    table = Table(
        title="Paired by item",
        columns=[*(["pair"] if named else []), *columns, "p (Holm)"],
        rows=[[line.name, *row] for line, row in zip(lines, cells, strict=True)] if named else cells,
        caption="The unpaired SE is what a comparison of the two means alone would have. p is McNemar's exact where "
        "scores are 0 or 1 and no two items share a cluster, Student's otherwise.",
    )
    return estimates, table


def _lines(pairing: Pairing) -> list[_Line]:
    a, b = _by_key(pairing.first), _by_key(pairing.second)
    shared = [key for key in a if key in b]
    wanted = {(_series(a[key]), m): None for key in shared for m in _scores(a[key]) if m in _scores(b[key])}
    return [x for x in (_line(pairing.name, series, metric, shared, a, b) for series, metric in wanted) if x]


def _title(run: Run) -> str:
    cast: Mapping[str, str] = run.manifest.identity.get("cast", {})
    return f"{cast.get('subject', run.manifest.name)} ({run.id})"


def _by_key(rows: Sequence[Row]) -> dict[str, Row]:
    return {row.key: row for row in rows if row.error is None}


def _scores(row: Row) -> Mapping[str, float | None]:
    found: Mapping[str, float | None] = row.evidence.get("scores", {})
    return found


class _Line(NamedTuple):
    """One score of one series of both runs, item by item."""

    name: str
    series: str
    metric: str
    first: list[float]
    second: list[float]
    clusters: list[str]

    @property
    def group(self) -> str:
        return ": ".join(filter(None, (self.series, self.name)))


def _line(
    name: str, series: str, metric: str, shared: Sequence[str], a: Mapping[str, Row], b: Mapping[str, Row]
) -> _Line | None:
    line = _Line(name, series, metric, [], [], [])
    for key in shared:
        one, two = _scores(a[key]).get(metric), _scores(b[key]).get(metric)
        if _series(a[key]) == series and one is not None and two is not None:
            line.first.append(one)
            line.second.append(two)
            line.clusters.append(a[key].cluster)
    return line if line.first else None


def _series(row: Row) -> str:
    return str(row.evidence.get("series", ""))


def _cells(line: _Line, found: PairedDifference, p_value: float) -> list[object]:
    difference = found.difference
    means = [_mean(line.first), _mean(line.second), difference.value]
    return [line.series, line.metric, *means, difference.se, found.unpaired_se, found.correlation, p_value]


def _p_value(line: _Line, found: PairedDifference) -> float | None:
    independent = len(set(line.clusters)) == len(line.clusters)
    if independent and set(line.first + line.second) <= {0.0, 1.0}:
        return mcnemar(line.first, line.second).p_value
    return found.p_value


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
