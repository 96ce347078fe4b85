"""The experiments' reports as one: sections in order, the main numbers in words, what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gnomon.report.base import Drawn, Estimate, Report

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = ["joined"]


def joined(cfg: SelfKnowledge, reports: Mapping[str, Report], refused: Iterable[str]) -> Report:
    """One report of all experiments that had items; `refused` are rows of the data that could not be used."""
    left_out = [part for part in cfg.only if part not in reports]
    notes = [f"{part} is left out: {', '.join(cfg.data)} has no items for it" for part in left_out]
    lines = list(refused)
    if lines:
        notes.append(f"{len(lines)} rows of the data cannot be used: {'; '.join(lines[:5])}")
    return Report(
        title=f"Does the model know what it knows? ({', '.join(cfg.data)})",
        summary=" ".join(filter(None, (_sentence(part, report) for part, report in reports.items()))),
        estimates=[e for r in reports.values() for e in r.estimates],
        figures=Drawn(lambda: [f for r in reports.values() for f in r.figures]),
        tables=[replace(t, section=t.section or r.title) for r in reports.values() for t in r.tables],
        notes=[*notes, *(n for r in reports.values() for n in r.notes)],
    )


def _sentence(part: str, report: Report) -> str:
    """What a reader would be told first."""
    if report.summary:
        return report.summary
    first: dict[str, Estimate] = {}
    for e in report.estimates:
        if e.value is not None:
            first.setdefault(e.metric, e)
    if part == "calibration" and {"accuracy", "confidence", "calibration slope"} <= first.keys():
        accuracy, confidence, slope = (first[m] for m in ("accuracy", "confidence", "calibration slope"))
        return (
            f"It is right on {_percent(accuracy)} of lettered questions and says {_percent(confidence)} on average; "
            f"calibration slope {_number(slope)} (1 is calibrated, below it over-confident)."
        )
    if part == "nota" and "accuracy lost" in first:
        return f'"None of the above" in the last place costs {_percent(first["accuracy lost"])} of accuracy.'
    if part == "truefalse" and "AUROC" in first:
        return f"It tells right from wrong proposed options with AUROC {_number(first['AUROC'])}."
    if part == "temperature" and "temperature" in first:
        return f"A temperature of {_number(first['temperature'])} fits its probabilities best."
    return ""


def _percent(e: Estimate) -> str:
    return f"{e.value:.0%}{_ends(e, '.0%')}"


def _number(e: Estimate) -> str:
    return f"{e.value:.2f}{_ends(e, '.2f')}"


def _ends(e: Estimate, form: str) -> str:
    return f" [{e.low:{form}}, {e.high:{form}}]" if e.low is not None and e.high is not None else ""
