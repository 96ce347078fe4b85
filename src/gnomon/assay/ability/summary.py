"""From rows to the report: accuracy by task, gain of the prompt, tax, perplexity, and every way to compare texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gnomon.assay.ability.asking import DIFFERENCES, credit, named, scored_by
from gnomon.assay.ability.tasks import WAYS
from gnomon.core.record import Row
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import forest
from gnomon.stats.intervals import Interval, bounded, clustered_mean, mean_of_groups, wins
from gnomon.stats.paired import paired_difference

__all__ = ["summarised"]

_LOGPROB = "log-probability of the word"
_GAIN, _TAX = DIFFERENCES


def summarised(rows: Sequence[Row], against: str) -> Report:
    """The report on rows of `Ability`; `against` is the name of the model they were held against, "" for none."""
    series = _by_series(rows)
    accuracies = [e for asked in _asked(rows) for e in _accuracies(series, asked)]
    differences = [e for name in DIFFERENCES for e in _differences(series, name)]
    others = [e for name, found in series.items() for e in _others(name, found)]
    return Report(
        title="What can it do, and what did that cost?",
        summary=_summary(accuracies, differences, against),
        estimates=[*accuracies, *differences, *others],
        tables=_group_table(series),
        figures=Drawn(lambda: _figures(accuracies, differences)),
        notes=_notes(series),
    )


def _by_series(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.evidence["series"], []).append(row)
    return found


def _asked(rows: Sequence[Row]) -> list[str]:
    """ "" for the model as it is, "prompted", "against": those that were asked."""
    return list(rows[0].evidence["told"]) if rows else []


def _values(rows: Sequence[Row], metric: str) -> list[float]:
    return [row.evidence["scores"][metric] for row in rows]


def _clusters(rows: Sequence[Row]) -> list[str]:
    return [row.cluster for row in rows]


def _accuracies(series: Mapping[str, list[Row]], asked: str) -> list[Estimate]:
    """Accuracy by series, and its mean over them where there are several."""
    metric = named("accuracy", asked)
    found = [
        Estimate.of(
            metric,
            wins(_values(rows, metric), _clusters(rows)),
            group=name,
            null=_chance(rows),
            readout=str(rows[0].evidence["told"][asked].get("readout", "")),
            headline=True,
        )
        for name, rows in series.items()
    ]
    return [*found, *_means(metric, series)]


def _means(metric: str, series: Mapping[str, list[Row]]) -> list[Estimate]:
    """The mean over tasks that were asked in one way, each task counting alike; a way with one task has none."""
    ways: dict[str, list[list[Row]]] = {}
    for name, rows in series.items():
        ways.setdefault(name.removeprefix(rows[0].evidence["task"]), []).append(rows)
    found = []
    for way, tasks in ways.items():
        if len(tasks) > 1:
            over = mean_of_groups([_values(rows, metric) for rows in tasks], [_clusters(rows) for rows in tasks])
            over = over if metric in DIFFERENCES else bounded(over)
            group = f"mean of tasks{way}" if len(ways) > 1 else "mean of tasks"
            found.append(Estimate.of(metric, over, group=group, headline=True))
    return found


def _chance(rows: Sequence[Row]) -> float | None:
    sizes = [len(row.evidence["choices"]) for row in rows]
    return sum(1 / size for size in sizes) / len(sizes) if all(sizes) else None


def _differences(series: Mapping[str, list[Row]], name: str) -> list[Estimate]:
    """The gain of the prompt, or the tax, in every measure that a series has, paired by item."""
    of, less = DIFFERENCES[name]
    paired = {s: rows for s, rows in series.items() if of in rows[0].evidence["told"]}
    found = []
    for s, rows in paired.items():
        for measure in [m for m in rows[0].evidence["scores"] if ", " not in m and m not in DIFFERENCES]:
            one, two = _values(rows, named(measure, of)), _values(rows, named(measure, less))
            metric = name if measure == "accuracy" else f"{name} ({measure})"
            interval = paired_difference(one, two, _clusters(rows)).difference
            found.append(Estimate.of(metric, interval, group=s, headline=measure == "accuracy"))
    return [*found, *_means(name, paired)]


def _others(name: str, rows: Sequence[Row]) -> list[Estimate]:
    """Perplexity of last words, TruthfulQA's second task, and accuracy by every way to compare texts."""
    found, clusters = [], _clusters(rows)
    for asked in rows[0].evidence["told"]:
        metric = named(_LOGPROB, asked)
        if metric in rows[0].evidence["scores"]:
            nats = clustered_mean([-v for v in _values(rows, metric)], clusters)
            found.append(Estimate.of(named("perplexity", asked), _exp(nats), group=name))
        if (metric := named("MC2", asked)) in rows[0].evidence["scores"]:
            found.append(Estimate.of(metric, clustered_mean(_values(rows, metric), clusters), group=name))
        found += [_way_estimate(name, rows, asked, way) for way in _ways(rows, asked)]
    return found


def _way_estimate(name: str, rows: Sequence[Row], asked: str, way: str) -> Estimate:
    """Accuracy by one way to compare texts."""
    credits = [
        credit(scored_by(row.evidence["told"][asked], row.evidence["choices"], way), row.evidence["gold"])
        for row in rows
    ]
    metric = named(f"accuracy ({way})", asked)
    return Estimate.of(metric, wins(credits, _clusters(rows)), group=name, null=_chance(rows))


def _exp(nats: Interval) -> Interval:
    """The perplexity whose logarithm has this interval."""
    low, high = (None if end is None else _safe_exp(end) for end in (nats.low, nats.high))
    value = None if nats.value is None else _safe_exp(nats.value)
    return replace(nats, value=value, low=low, high=high, se=None)


def _safe_exp(nats: float) -> float:
    """exp, at most the largest number JSON can hold everywhere."""
    return math.exp(min(nats, 700.0))


def _ways(rows: Sequence[Row], asked: str) -> list[str]:
    found = rows[0].evidence["told"][asked]
    return [way for way in WAYS if "sum" in found and (way != "pmi" or "alone" in found)]


def _group_table(series: Mapping[str, list[Row]]) -> list[Table]:
    """Accuracy by subject, or by how often training stated a fact."""
    asked = list(dict.fromkeys(each for rows in series.values() for each in rows[0].evidence["told"]))
    cells: list[list[str | float | None]] = []
    for name, rows in series.items():
        groups = dict.fromkeys(row.evidence["group"] for row in rows)
        if len(groups) < 2:
            continue
        for group in groups:
            some = [row for row in rows if row.evidence["group"] == group]
            means = [sum(_values(some, metric)) / len(some) for metric in (named("accuracy", a) for a in asked)]
            cells.append([name, group, *means, len(some)])
    if not cells:
        return []
    columns = ("series", "group", *(a or "bare" for a in asked), "items")
    return [Table(title="Accuracy by group", columns=columns, rows=cells)]


def _figures(accuracies: Sequence[Estimate], differences: Sequence[Estimate]) -> list[Figure]:
    several = len({e.metric for e in accuracies}) > 1
    shown = [
        replace(e, metric="accuracy", group=f"{e.group} {e.metric.removeprefix('accuracy, ')}" if several else e.group)
        for e in sorted(accuracies, key=lambda e: e.group)
    ]
    caption = "Chance differs between tasks: the table has it. Bars are 95 % intervals over items."
    figures = [forest(shown, x="accuracy", title="Accuracy by task", caption=caption)]
    for name, said in ((_GAIN, "prompted less bare"), (_TAX, "the other model less this one")):
        found = [e for e in differences if e.metric == name]
        if found:
            words = f"Accuracy, {said}, paired by item; the line is no difference."
            figures.append(forest(found, x=name, title=name.capitalize(), caption=words, reference=0.0))
    return figures


def _summary(accuracies: Sequence[Estimate], differences: Sequence[Estimate], against: str) -> str:
    said = ["Right on " + ", ".join(f"{_percent(e)} ({e.group})" for e in _main(accuracies, "accuracy")) + "."]
    gains, taxes = _main(differences, _GAIN), _main(differences, _TAX)
    if gains:
        said.append("The prompt gains " + ", ".join(f"{_points(e)} ({e.group})" for e in gains) + ".")
    if taxes:
        paid = ", ".join(f"{_points(e)} ({e.group})" for e in taxes)
        said.append(f"Held against {against} it lost {paid}; a minus is a gain.")
    return " ".join(said)


def _main(estimates: Sequence[Estimate], metric: str) -> list[Estimate]:
    return [e for e in estimates if e.metric == metric]


def _percent(e: Estimate) -> str:
    if e.value is None or e.low is None or e.high is None:
        return f"an unknown share ({e.reason})"
    return f"{e.value:.0%} [{e.low:.0%}, {e.high:.0%}]"


def _points(e: Estimate) -> str:
    if e.value is None:
        return f"an unknown share ({e.reason})"
    if e.low is None or e.high is None:
        return f"{100 * e.value:+.1f} points (no interval: {e.reason})"
    return f"{100 * e.value:+.1f} points [{100 * e.low:+.1f}, {100 * e.high:+.1f}]"


def _notes(series: Mapping[str, list[Row]]) -> list[str]:
    notes = []
    for name, rows in series.items():
        masses = [row.evidence["told"][""].get("mass") for row in rows]
        known = [mass for mass in masses if mass is not None]
        if known and sum(known) / len(known) < 0.5:
            notes.append(f"{name}: only {sum(known) / len(known):.0%} of the probability is on the letters")
        refused = [line for row in rows for line in row.evidence.get("refused", ())]
        if refused:
            notes.append(f"{name}: {len(refused)} rows of the data were left out; the first: {refused[0]}")
    return notes
