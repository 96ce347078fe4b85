"""What fine-tuning on programs changed: pass@k and the choice by log-probability, paired by problem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gnomon.core.record import Row
from gnomon.report.base import Drawn, Estimate, Figure, Report
from gnomon.stats.paired import paired_difference
from gnomon.stats.pass_at_k import mean_pass_at_k, pass_at_k
from gnomon.train._programs import filter_estimates, part_of
from gnomon.trial.graded import Graded, report_on, usable_ks

__all__ = ["AFTER", "BEFORE", "tuned_report"]

BEFORE, AFTER = "before", "after"
"""Parts of the run's rows: problems held out, by the model before training and after it."""


def tuned_report(rows: Sequence[Row]) -> Report:
    """The report on held-out problems, and on how many problems were fit to learn from."""
    first, last = part_of(rows, BEFORE), part_of(rows, AFTER)
    reports = {part: report_on(_graded(some), part) for part, some in ((BEFORE, first), (AFTER, last))}
    measured = [
        replace(e, group=" ".join(filter(None, (part, e.group))), headline=False)
        for part, report in reports.items()
        for e in report.estimates
    ]
    gains = list(_gains(first, last))
    return Report(
        title="programs for problems held out",
        summary=f"{_told(first, last, gains)} Of programs, n is the number of problems.",
        estimates=[*gains, *measured, *filter_estimates(rows)],
        tables=[replace(table, section="After") for table in reports[AFTER].tables],
        figures=Drawn(lambda: [_curve({BEFORE: first, AFTER: last})]),
        notes=list(dict.fromkeys(note for report in reports.values() for note in report.notes)),
    )


def _told(first: Sequence[Row], last: Sequence[Row], gains: Sequence[Estimate]) -> str:
    """The headline in words."""
    before, after = (sum(row.evidence["scores"]["passed"] for row in rows) / len(rows) for rows in (first, last))
    low, high = gains[0].low, gains[0].high
    ends = f" ({low:+.3f} to {high:+.3f})" if low is not None and high is not None else ""
    where = f"on {len(first)} problems held out"
    return f"pass@1 is {before:.3f} before and {after:.3f} after {where}: {after - before:+.3f}{ends}."


def _gains(first: Sequence[Row], last: Sequence[Row]) -> Iterator[Estimate]:
    """After less before of the same problems."""
    for k in usable_ks((), {row.cluster: len(row.evidence["samples"]) for row in first}):
        values = [[pass_at_k(*_counts(row), k) for row in rows] for rows in (last, first)]
        yield Estimate.of(f"gained in pass@{k}", paired_difference(*values).difference, headline=True)
    if all(s["logprob"] is not None for row in (*first, *last) for s in row.evidence["samples"]):
        chosen = [[_chosen(row) for row in rows] for rows in (last, first)]
        metric = "gained in pass@1 chosen by mean log-probability"
        yield Estimate.of(metric, paired_difference(*chosen).difference, headline=True)


def _counts(row: Row) -> tuple[int, int]:
    causes = [sample["cause"] for sample in row.evidence["samples"]]
    return len(causes), causes.count("passed")


def _chosen(row: Row) -> float:
    """Whether the sample with the highest mean log-probability passes."""
    best = max(row.evidence["samples"], key=lambda s: s["logprob"] / max(s["tokens"], 1))
    return float(best["cause"] == "passed")


def _graded(rows: Sequence[Row]) -> list[Graded]:
    return [
        Graded(
            task=row.cluster,
            index=index,
            cause=s["cause"],
            detail=s["detail"],
            level=row.evidence["level"],
            total_logprob=s["logprob"],
            mean_logprob=None if s["logprob"] is None else s["logprob"] / max(s["tokens"], 1),
        )
        for row in rows
        for index, s in enumerate(row.evidence["samples"])
    ]


def _curve(parts: dict[str, Sequence[Row]]) -> Figure:
    from gnomon.report.figures import Point, curves

    points = []
    for part, rows in parts.items():
        n, c = zip(*map(_counts, rows), strict=True)
        for k in range(1, min(n) + 1):
            found = mean_pass_at_k(n, c, k)
            points.append(Point(k, found.value or 0.0, found.low, found.high, part))
    title = "Chance that one of k samples is right, before and after training"
    caption = "Bands are 95 % intervals for other problems of the kind."
    return curves(points, x="k", y="pass@k", title=title, caption=caption, log_x=True)
