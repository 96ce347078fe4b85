"""What a campaign found, as a report: defects and what reproduces them, what was reached, when each was found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gnomon.fuzz.base import Api, Defect, Exchange, Operation, Parameter
from gnomon.fuzz.triage.causes import by_cause, operations_of
from gnomon.report.base import Drawn, Estimate, Figure, Finding, Report, Table

__all__ = ["Tally", "printable", "summarise"]

_COUNT = "a count of this run, not an estimate"
_EXCERPT = 400
_FIRST = ("distinct defects", "causes", "operations with a 2xx")
_SHUT = frozenset({401, 403, 404, 405})
"Statuses of a server that lets nobody in, or knows no such path or method."


@dataclass
class Tally:
    """What was sent and answered, by operation.

    Attributes:
        statuses: replies by operation and status.
    """

    statuses: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))

    def saw(self, exchange: Exchange) -> None:
        """Counts a reply."""
        self.statuses[exchange.case.operation.key][exchange.reply.status] += 1

    @property
    def reached(self) -> int:
        """Operations that answered anything."""
        return sum(map(bool, self.statuses.values()))

    def taken(self, key: str) -> int:
        """Replies of 2xx of an operation."""
        return sum(n for status, n in self.statuses[key].items() if 200 <= status < 300)


def summarise(
    api: Api, defects: Sequence[Defect], tally: Tally, *, requests: int, seconds: float, curls: Mapping[int, str]
) -> Report:
    """The report of a campaign.

    Args:
        api: what was promised.
        defects: in the order in which they were first seen.
        tally: of all replies.
        requests, seconds: how many, in what time.
        curls: lines that reproduce, by the defect's place in `defects`.
    """
    certain = [each for each in defects if each.violation.certain]
    causes, lines = by_cause(certain), {id(each): curls.get(i, "") for i, each in enumerate(defects)}
    taken = sum(tally.taken(each.key) > 0 for each in api.operations)
    counts = {
        "distinct defects": len(certain),
        "causes": len(causes),
        "advice": len(defects) - len(certain),
        "operations reached": tally.reached,
        "operations with a 2xx": taken,
        "requests": requests,
    }
    estimates = [
        Estimate(metric=name, value=value, n=requests, reason=_COUNT, headline=name in _FIRST)
        for name, value in counts.items()
    ]
    of = f"{len(api.operations)} operations"
    return Report(
        title=f"{api.title or 'Web API'} {api.version}".strip(),
        summary=(
            f"{len(certain)} distinct defects{_of_causes(causes)} in {requests:,} requests and {seconds:.0f} s; "
            f"{tally.reached} of {of} reached, {taken} answered 2xx."
        ),
        notes=_notes(api, tally),
        estimates=estimates,
        findings=[_finding(each, lines[id(each)], group) for group in causes for each in group],
        tables=[*_causes(causes), *_advice(defects), _operations(api, tally, defects), *_repairs(api)],
        figures=Drawn(lambda: [_curve(certain, seconds)]),
    )


def _finding(defect: Defect, reproduce: str, group: Sequence[Defect]) -> Finding:
    violation, (times, of) = defect.violation, defect.reproduced
    said = f"{violation.check}, met {defect.count} times, first after {defect.first_seen:.1f} s"
    played = f"played again {times} of {of} times" if times or defect.replayed else "not played again: time was up"
    lines = (f"{said}; {played}", _cause(defect, group), _excerpt(violation.detail))
    detail = "\n  ".join(each for each in lines if each)
    return Finding(
        key=_key(defect),
        title=violation.title,
        severity=violation.severity,
        reproduce=reproduce,
        detail=detail,
        same_as="" if defect is group[0] else _key(group[0]),
    )


def _excerpt(detail: str) -> str:
    """How it begins; of a traceback the end, where the application's own line and the exception stand."""
    said = printable(detail)
    if not said.startswith("Traceback (most recent call last)"):
        return said[:_EXCERPT]
    end = said[-_EXCERPT:]
    return end[max(0, end.find('File "')) :]


def _key(defect: Defect) -> str:
    return " | ".join(defect.violation.key)


def _cause(defect: Defect, group: Sequence[Defect]) -> str:
    """Where else the cause shows, said of the first defect of a group; the others name that one."""
    if defect is not group[0]:
        return f"likely the same cause as: {group[0].violation.title}"
    where = operations_of(group)
    return f"likely one cause in {len(where)} operations: {_few(where)}" if len(where) > 1 else ""


def _of_causes(causes: Sequence[Sequence[Defect]]) -> str:
    several = any(len(group) > 1 for group in causes)
    return f" of likely {len(causes)} causes" if several else ""


def _causes(causes: Sequence[Sequence[Defect]]) -> list[Table]:
    shared = [(group, operations_of(group)) for group in causes]
    rows = [[g[0].violation.check, g[0].violation.title, len(g), _few(where)] for g, where in shared if len(where) > 1]
    caption = "Defects with one exception at one place, at one place of a named schema, or refused in the same words."
    columns = ["check", "first seen as", "defects", "operations"]
    return [Table(title="Shared causes", columns=columns, rows=rows, caption=caption)] if rows else []


def printable(text: str) -> str:
    """One line that a terminal can be shown: blanks folded, control characters written out."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in " ".join(text.split()))


def _notes(api: Api, tally: Tally) -> list[str]:
    """What keeps operations from being tested: nobody is let in, nothing is there."""
    if _lost(tally):
        where = f"requests go to paths below {api.base_path or '/'}"
        return [f"every operation answers 404 and nothing else: {where}; give --url with the path that the server has"]
    notes: list[str] = []
    refused: list[str] = []
    absent: list[Operation] = []
    for operation in api.operations:
        counted = tally.statuses[operation.key]
        statuses, shut = set(counted), counted[401] + counted[403]
        if 2 * shut > counted.total() and statuses <= _SHUT:
            refused.append(operation.key)
        elif statuses and statuses <= {400, 404, 405, 422} and not tally.taken(operation.key):
            absent.append(operation)
    if refused:
        schemes = ", ".join(f"{name} ({each.kind})" for name, each in api.security.items()) or "none is declared"
        notes.append(
            f"{_few(refused)}: nobody is let in; give credentials ({schemes}): --header, --bearer, --auth, --api-key"
        )
    if absent:
        keys = [each.key for each in absent]
        lacking = [f"{p.location} {p.name}" for each in absent for p in each.parameters if p.required and not _shown(p)]
        what = f" for {_few(list(dict.fromkeys(lacking)))}" if lacking else " in the document, or --header,"
        notes.append(f"{_few(keys)}: nothing was taken; examples{what} may help")
    return notes


def _shown(parameter: Parameter) -> bool:
    """Whether a document shows a value of it."""
    schema = parameter.schema if isinstance(parameter.schema, Mapping) else {}
    return bool(parameter.examples) or any(schema.get(name) for name in ("examples", "example", "default", "enum"))


def _lost(tally: Tally) -> bool:
    """Whether the server seems to know none of the paths."""
    return bool(tally.statuses) and all(set(each) <= {404} for each in tally.statuses.values())


def _few(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return ", ".join(keys[:5]) + more


def _advice(defects: Sequence[Defect]) -> list[Table]:
    advice = [each for each in defects if not each.violation.certain]
    by_kind: dict[tuple[str, str], list[str]] = {}
    for each in advice:
        what = each.violation.title.removeprefix(each.violation.steps[-1].case.operation.key).strip()
        by_kind.setdefault((each.violation.check, what), []).append(each.violation.steps[-1].case.operation.key)
    rows = [[check, what, len(keys), _few(keys)] for (check, what), keys in by_kind.items()]
    caption = "What servers may do and documents could say; nothing of it fails a run."
    return (
        [Table(title="Advice", columns=["check", "what", "operations", "which"], rows=rows, caption=caption)]
        if rows
        else []
    )


def _operations(api: Api, tally: Tally, defects: Sequence[Defect]) -> Table:
    found = Counter(each.violation.steps[-1].case.operation.key for each in defects if each.violation.certain)
    rows: list[list[Any]] = []
    for operation in api.operations:
        statuses = tally.statuses[operation.key]
        said = " ".join(f"{status or 'none'}:{n}" for status, n in sorted(statuses.items()))
        rows.append([operation.key, sum(statuses.values()), tally.taken(operation.key), found[operation.key], said])
    return Table(title="Operations", columns=["operation", "requests", "2xx", "defects", "statuses"], rows=rows)


def _repairs(api: Api) -> list[Table]:
    rows = [[each.pointer, each.found, each.taken] for each in api.repairs]
    caption = "Mistakes in the document that were read as what they probably mean."
    return [Table(title="Repairs", columns=["where", "found", "taken for"], rows=rows, caption=caption)] if rows else []


def _curve(certain: Sequence[Defect], seconds: float) -> Figure:
    points = [{"seconds": each.first_seen, "defects": i} for i, each in enumerate(certain, 1)]
    points = [{"seconds": 0.0, "defects": 0}, *points, {"seconds": seconds, "defects": len(certain)}]
    spec = {
        "data": {"values": points},
        "mark": {"type": "line", "interpolate": "step-after"},
        "encoding": {
            "x": {"field": "seconds", "type": "quantitative", "title": "seconds"},
            "y": {"field": "defects", "type": "quantitative", "title": "distinct defects"},
        },
    }
    return Figure(
        title="When defects were first seen", spec=spec, caption="A curve that still rises asks for more time."
    )
