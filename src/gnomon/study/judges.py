"""Who judges whose answers well? Every model of a family judges every model's samples.

    gnomon study judges self-knowledge --model run:7f3a,run:19ab,brook --n 200

Kadavath et al. 2022, fig. 22: AUROC of P(True), samples of each size judged by each size. The answers of one model are
the same for every judge, so judges are compared on the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.grid import grid
from gnomon.stats.ranking import auroc_difference
from gnomon.study._family import Ask, Asked, Sized, Studied, asked, per_tenfold, sized, spoken
from gnomon.trial.base import ModelName

__all__ = ["Judges", "study"]

SECTION = "Whose samples, judged by whom"
# What each cell shows, in the order of the page.
METRICS = ("AUROC", "Brier", "accuracy where P(True) > 0.5")


@registered
@dataclass(frozen=True, kw_only=True)
class Judges:
    """Have every model judge every model's sampled answers: P(True) as a grid."""

    model: tuple[str, ...] = ()
    "The models, both as those who answer and as those who judge."
    parameters: tuple[float, ...] = ()
    "Their numbers of parameters, in the same order, such as 8e9,70e9; by default they are counted in the weights."


class _Cell(NamedTuple):
    """Samples of one model judged by one."""

    answers: Sized
    judge: Sized
    run: Asked


def study(cfg: Judges, config: object, name: str, ask: Ask) -> Studied:
    """The self-evaluation of `config` for every pair of models.

    Raises:
        UsageError: no family, a size that is not known, or an evaluation without P(True).
    """
    if not isinstance(config, SelfKnowledge):
        raise UsageError(f"{name} has no P(True)", todo="write gnomon study judges self-knowledge --model A,B")
    family = sized(cfg.model, cfg.parameters)
    cells = {(a.name, j.name): _cell(config, a, j, ask) for a in family for j in family}
    conditions = list(next(iter(cells.values())).run.rows[0].evidence["verdicts"])
    by_answers = {a: [cells[a.name, j.name] for j in family] for a in family}
    trends = [e for a, line in by_answers.items() for e in per_tenfold(_by_judge(line), f"samples of {a.name}")]
    report = Report(
        title=f"Answers of {len(family)} models, each judged by each",
        summary="Rows are whose samples were judged, columns who judged them; sizes grow downwards and to the right.",
        estimates=[
            *(replace(e, headline="Brier" in e.metric) for e in trends if "P(True)" in e.metric or "Brier" in e.metric),
            *(e for line in by_answers.values() for e in _gains(config, line, conditions)),
            *(e for line in by_answers.values() for cell in line for e in _values(cell, conditions)),
        ],
        figures=Drawn(lambda: _figures(family, cells, conditions)),
        tables=[_runs_table(list(cells.values()))],
        notes=_notes(by_answers),
    )
    return Studied(report, [cell.run for cell in cells.values()])


def _cell(config: SelfKnowledge, answers: Sized, judge: Sized, ask: Ask) -> _Cell:
    # A model that judges itself is named as in an ordinary run, so that one is used again.
    by = "" if judge.name == answers.name else judge.name
    finished = ask(replace(config, only=("ptrue",), judge=ModelName(by)), answers.name)
    return _Cell(answers, judge, asked(f"{answers.name} judged by {judge.name}", judge.parameters, finished))


def _by_judge(line: Sequence[_Cell]) -> list[Asked]:
    """One model's samples under every judge, on the answers that all judges saw alike."""
    same = _same_answers([cell.run.rows for cell in line])
    return [
        Asked(
            name=cell.judge.name,
            parameters=cell.judge.parameters,
            run=cell.run.run,
            report=cell.run.report,
            rows=[r for r in cell.run.rows if r.key in same],
        )
        for cell in line
    ]


def _same_answers(tables: Sequence[Sequence[Row]]) -> set[str]:
    judged = [{r.key: r.evidence["samples"][0]["text"] for r in rows} for rows in tables]
    return {key for key, text in judged[0].items() if all(t.get(key) == text for t in judged)}


def _gains(config: SelfKnowledge, line: Sequence[_Cell], conditions: Sequence[str]) -> list[Estimate]:
    """AUROC of each judge less that of the next smaller one, on the same answers."""
    estimates = []
    for less, more in pairwise(_by_judge(line)):
        for condition in conditions:
            by_key = {r.key: r for r in less.rows}
            p, q = ([_p_true(r, condition) for r in rows] for rows in (more.rows, [by_key[r.key] for r in more.rows]))
            right, clusters = [r.evidence["right"] for r in more.rows], [r.cluster for r in more.rows]
            gain = auroc_difference(p, q, right, clusters, resamples=config.resamples)
            group = f"{condition}: samples of {line[0].answers.name}, {more.name} less {less.name}"
            estimates.append(Estimate.of("AUROC gained by the larger judge", gain, group=group))
    return estimates


def _p_true(row: Row, condition: str) -> float:
    return float(row.evidence["verdicts"][condition]["p"][0])


def _values(cell: _Cell, conditions: Sequence[str]) -> list[Estimate]:
    """The numbers of one cell."""
    return [
        replace(
            cell.run.report.estimate(metric, f"P(True) {condition}"),
            group=f"{condition}: {cell.run.name}",
            headline=False,
        )
        for condition in conditions
        for metric in METRICS
    ]


def _figures(
    family: Sequence[Sized], cells: Mapping[tuple[str, str], _Cell], conditions: Sequence[str]
) -> list[Figure]:
    labels = [f"{m.name} ({spoken(m.parameters)})" for m in family]
    return [
        grid(
            labels,
            labels,
            [
                [cells[a.name, j.name].run.report.estimate(metric, f"P(True) {condition}") for j in family]
                for a in family
            ],
            title=f"{metric if 'P(True)' in metric else f'{metric} of P(True)'}, {condition}",
            x="judge",
            y="whose samples",
            caption="95 % intervals by question. A row is one set of answers: its cells are compared on the same ones.",
            section=SECTION,
        )
        for condition in conditions
        for metric in METRICS
    ]


def _runs_table(cells: Sequence[_Cell]) -> Table:
    rows = [[c.answers.name, c.judge.name, c.judge.parameters, c.run.run, len(c.run.rows)] for c in cells]
    columns = ("whose samples", "judge", "judge's parameters", "run", "questions")
    return Table(title="Runs", columns=columns, rows=rows, section=SECTION)


def _notes(by_answers: Mapping[Sized, Sequence[_Cell]]) -> list[str]:
    notes = []
    for answers, line in by_answers.items():
        tables = [cell.run.rows for cell in line]
        lost = len({r.key for rows in tables for r in rows} - _same_answers(tables))
        if lost:
            notes.append(
                f"{answers.name} gave its judges different answers to {lost} questions, which do not compare judges"
            )
    return notes
