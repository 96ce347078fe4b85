"""What prompted and distilled models answered, read together: gains, what is kept of them, and their price.

Pure: rows in, a report out. Scores of several distillations are averaged item by item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnomon.core.record import Row
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Point, curves, forest
from gnomon.report.words import in_words
from gnomon.stats.bootstrap import cluster_bootstrap
from gnomon.stats.intervals import Interval, clustered_mean, mean_of_groups, undefined, wins
from gnomon.stats.paired import paired_difference
from gnomon.study._family import spoken
from gnomon.study._trained import over_seeds

__all__ = ["Effect", "Learnt", "Longer", "report"]

Vector = NDArray[np.float64]

CONDITIONS = ("bare", "prompted", "distilled", "both")
_BARE, _PROMPTED = "accuracy (sum)", "accuracy, prompted (sum)"
_KL = ("KL to the prompted model, before", "KL to the prompted model", "KL fell to this part")
_GAINS = {"prompted": "gain of prompting", "distilled": "gain of distilling", "both": "gain of both"}
_ALL_TASKS = "mean of tasks"
_KEPT = "share of the prompt's gain kept"
# A gain of less than this many points is nothing that a share could be of.
_LEAST_GAIN = 0.02


class Effect(NamedTuple):
    """One model of the ladder: comparisons and tasks before and after, the latter once a distillation."""

    model: str
    parameters: float
    first: list[Row]
    after: list[list[Row]]
    able: list[Row]
    able_after: list[list[Row]]
    trained: list[Report]


class Longer(NamedTuple):
    """A prompt of another length or wording, its words, and the comparisons behind it."""

    name: str
    words: int
    rows: list[Row]


class Learnt(NamedTuple):
    """A distillation of another kind: its comparisons, and its divergences on texts of both halves."""

    name: str
    rows: list[Row]
    divergences: list[Row]


class _Scored(NamedTuple):
    """Credits by condition of the same comparisons, with their clusters and categories."""

    credits: Mapping[str, Vector]
    clusters: list[str]
    categories: list[str]

    def of(self, category: str) -> _Scored:
        """Those of one category; all for ""."""
        kept = [i for i, name in enumerate(self.categories) if category in ("", name)]
        return _Scored(
            {condition: values[kept] for condition, values in self.credits.items()},
            [self.clusters[i] for i in kept],
            [self.categories[i] for i in kept],
        )


_ByModel = Sequence[tuple[Effect, _Scored]]


def report(
    effects: Sequence[Effect],
    longer: Sequence[Longer],
    wordings: Sequence[Longer],
    learnt: Sequence[Learnt],
    *,
    planted: bool,
) -> Report:
    """The report; with `planted` the verdict on what is planted in Brook stands in a table."""
    many = len(effects) > 1
    by_model = [(effect, _scored(effect)) for effect in effects]
    estimates: list[Estimate] = []
    for effect, scored in by_model:
        label = spoken(effect.parameters) if many else ""
        estimates += [*_accuracies(scored, label), *_gains(effect, scored, label)]
        estimates += [*_divergences(effect, label), *_taxes(effect, label)]
    label = spoken(effects[-1].parameters) if many else ""
    found = {e.metric: e for e in estimates if e.group == label}
    taxes = {e.group: e for e in estimates if e.metric == "tax of distilling" and e.group.endswith(label)}
    return Report(
        title="An assistant by prompt and by distillation",
        summary=_summary(found, estimates, label),
        estimates=[*estimates, *_of_lengths(longer, "dialogues"), *_of_lengths(wordings, ""), *_of_learnt(learnt)],
        figures=Drawn(lambda: list(_figures(by_model, longer))),
        tables=list(_tables(by_model, longer, wordings, learnt, _verdicts(found, estimates, label, taxes, planted))),
        notes=[
            "intervals count comparisons and texts; what other distillations would give shows with --seeds 3"
            if len(effects[0].after) == 1
            else "rows that say trainings count distillations; all other intervals count comparisons and texts"
        ],
    )


def _scored(effect: Effect) -> _Scored:
    tables = [{row.key: row for row in rows} for rows in (effect.first, *effect.after)]
    keys = [row.key for row in effect.first if all(row.key in table for table in tables)]
    first, *after = tables
    credits = {
        "bare": [_credit(first[key], _BARE) for key in keys],
        "prompted": [_credit(first[key], _PROMPTED) for key in keys],
        "distilled": [float(np.mean([_credit(t[key], _BARE) for t in after])) for key in keys],
        "both": [float(np.mean([_credit(t[key], _PROMPTED) for t in after])) for key in keys],
    }
    return _Scored(
        {name: np.array(values) for name, values in credits.items()},
        [first[key].cluster for key in keys],
        [str(first[key].evidence["category"]) for key in keys],
    )


def _credit(row: Row, metric: str) -> float:
    return float(row.evidence["scores"][metric])


def _named(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _categories(scored: _Scored) -> list[str]:
    return ["", *dict.fromkeys(scored.categories)]


def _accuracies(scored: _Scored, label: str) -> Iterator[Estimate]:
    for condition in CONDITIONS:
        for category in _categories(scored):
            part = scored.of(category)
            found = wins(part.credits[condition], part.clusters)
            group = _named(category, label)
            yield Estimate.of(f"accuracy, {condition}", found, group=group, null=0.5, headline=not category)


def _gains(effect: Effect, scored: _Scored, label: str) -> Iterator[Estimate]:
    for category in _categories(scored):
        part = scored.of(category)
        for condition, metric in _GAINS.items():
            found = paired_difference(part.credits[condition], part.credits["bare"], part.clusters).difference
            yield Estimate.of(metric, found, group=_named(category, label), headline=not category)
    yield Estimate.of(_KEPT, _kept(scored), group=label, headline=True)
    if len(effect.after) > 1:
        gains = [float(_scored(effect._replace(after=[rows])).credits["distilled"].mean()) for rows in effect.after]
        bare = float(scored.credits["bare"].mean())
        yield Estimate.of("gain of distilling, over trainings", over_seeds([g - bare for g in gains]), group=label)


def _kept(scored: _Scored) -> Interval:
    bare, prompted, distilled = (scored.credits[name] for name in ("bare", "prompted", "distilled"))
    gained, kept = prompted - bare, distilled - bare
    if gained.mean() < _LEAST_GAIN:
        reason = f"the prompt gains {100 * gained.mean():+.1f} points, which is nothing to keep a share of"
        return undefined(reason, n=len(bare), clusters=len(set(scored.clusters)))

    def ratio(weights: Vector) -> Vector:
        below = weights @ gained
        share: Vector = np.divide(weights @ kept, below, out=np.full_like(below, np.nan), where=below > 0)
        return share

    return cluster_bootstrap(ratio, len(bare), scored.clusters, resamples=1000)


def _divergences(effect: Effect, label: str) -> Iterator[Estimate]:
    """What the trainings say; of several distillations the mean over them."""
    for e in effect.trained[0].estimates:
        if e.metric not in _KL:
            continue
        group = _named(e.group, label)
        if len(effect.trained) == 1:
            yield replace(e, group=group, headline=e.metric == _KL[2] and not e.group)
            continue
        values = [one.estimate(e.metric, e.group).value for one in effect.trained]
        found = over_seeds([value for value in values if value is not None])
        yield Estimate.of(f"{e.metric}, over trainings", found, group=group)


def _taxes(effect: Effect, label: str) -> Iterator[Estimate]:
    """Accuracy that prompting and distilling lose on every task, paired by item, so that a tax is positive."""
    lost = [_Lost.of(effect, series) for series in dict.fromkeys(row.evidence["series"] for row in effect.able)]
    for condition in ("prompting", "distilling"):
        for each in lost:
            found = clustered_mean(each.points[condition], each.clusters)
            yield Estimate.of(f"tax of {condition}", found, group=_named(each.series, label))
        whole = mean_of_groups([each.points[condition] for each in lost], [each.clusters for each in lost])
        yield Estimate.of(f"tax of {condition}", whole, group=_named(_ALL_TASKS, label), headline=True)


class _Lost(NamedTuple):
    """What was lost on the items of one task, by condition."""

    series: str
    points: Mapping[str, Vector]
    clusters: list[str]

    @classmethod
    def of(cls, effect: Effect, series: str) -> _Lost:
        after = [{row.key: row for row in rows} for rows in effect.able_after]
        rows = [r for r in effect.able if r.evidence["series"] == series and all(r.key in t for t in after)]
        bare = np.array([_credit(row, "accuracy") for row in rows])
        prompted = np.array([_credit(row, "accuracy, prompted") for row in rows])
        distilled = np.array([np.mean([_credit(table[row.key], "accuracy") for table in after]) for row in rows])
        points = {"prompting": bare - prompted, "distilling": bare - distilled}
        return cls(series, points, [row.cluster for row in rows])


def _of_lengths(found: Sequence[Longer], unit: str) -> Iterator[Estimate]:
    for each in found:
        clusters = [row.cluster for row in each.rows]
        prompted, bare = ([_credit(row, metric) for row in each.rows] for metric in (_PROMPTED, _BARE))
        difference = paired_difference(prompted, bare, clusters).difference
        yield Estimate.of("gain of the prompt", difference, group=f"{each.name} {unit}".strip())


def _of_learnt(found: Sequence[Learnt]) -> Iterator[Estimate]:
    for each in found:
        for group in dict.fromkeys(row.evidence["group"] for row in each.divergences):
            rows = [row for row in each.divergences if row.evidence["group"] == group]
            mean = clustered_mean([row.evidence["kl"] for row in rows], [row.cluster for row in rows])
            yield Estimate.of("KL to the prompted model, fresh texts", mean, group=f"learnt on {each.name}, {group}")


def _tables(
    by_model: _ByModel,
    longer: Sequence[Longer],
    wordings: Sequence[Longer],
    learnt: Sequence[Learnt],
    verdicts: Table | None,
) -> Iterator[Table]:
    if verdicts:
        yield verdicts
    for effect, scored in by_model:
        rows = [[condition, *_line(scored, condition)] for condition in CONDITIONS]
        columns = ("", *(category or "all" for category in _categories(scored)))
        title = f"HHH accuracy of {effect.model} ({spoken(effect.parameters)})"
        yield Table(title=title, columns=columns, rows=rows, caption="95 % intervals of Wilson, clustered by question.")
    for title, found in (("HHH accuracy by length of the prompt", longer), ("and by its wording", wordings)):
        if found:
            yield _by_prompt(title, found)
    if learnt:
        yield _by_kind(learnt)


def _line(scored: _Scored, condition: str) -> list[str]:
    parts = [scored.of(category) for category in _categories(scored)]
    return [in_words(wins(part.credits[condition], part.clusters)) for part in parts]


def _by_prompt(title: str, found: Sequence[Longer]) -> Table:
    names = ["", *dict.fromkeys(str(row.evidence["category"]) for row in found[0].rows)]
    rows = [["none", 0, *_cells(found[0].rows, _BARE, names)]]
    rows += [[each.name, each.words, *_cells(each.rows, _PROMPTED, names)] for each in found]
    return Table(title=title, columns=("prompt", "words", *(name or "all" for name in names)), rows=rows)


def _by_kind(learnt: Sequence[Learnt]) -> Table:
    names = ["", *dict.fromkeys(str(row.evidence["category"]) for row in learnt[0].rows)]
    groups = list(dict.fromkeys(row.evidence["group"] for row in learnt[0].divergences))
    rows = []
    for each in learnt:
        parts = [[r for r in each.divergences if r.evidence["group"] == group] for group in groups]
        kl = [in_words(clustered_mean([r.evidence["kl"] for r in part], [r.cluster for r in part])) for part in parts]
        rows.append([each.name, *_cells(each.rows, _BARE, names), *kl])
    columns = ("learnt on", *(name or "all" for name in names), *(f"KL, {group}" for group in groups))
    return Table(title="HHH accuracy and divergence by what was learnt", columns=columns, rows=rows)


def _cells(rows: Sequence[Row], metric: str, categories: Sequence[str]) -> list[str]:
    parts = [[row for row in rows if category in ("", row.evidence["category"])] for category in categories]
    return [in_words(wins([_credit(row, metric) for row in part], [row.cluster for row in part])) for part in parts]


def _verdicts(
    found: Mapping[str, Estimate],
    every: Sequence[Estimate],
    label: str,
    taxes: Mapping[str, Estimate],
    planted: bool,
) -> Table | None:
    """What is planted in Brook, and what was found."""
    if not planted:
        return None
    gain, kept = found[_GAINS["prompted"]].value or 0.0, found[_KEPT].value
    parts = [e.value for e in every if e.metric.startswith(_KL[2]) and _named("", label) in e.group and e.value]
    fall = 1 / max(parts) if parts else 0.0
    lost = round(100 * max(e.value or 0.0 for e in taxes.values()), 6)
    rows = [
        ["prompted above bare", "10 points or more", f"{100 * gain:+.1f} points", _said(gain >= 0.1)],
        ["share of the gain kept", "80 % or more", _percent(kept), _said(kept is not None and kept >= 0.8)],
        ["KL to the prompted model falls, on each half", "5 times or more", f"{fall:.1f} times", _said(fall >= 5)],
        ["accuracy lost on the task that loses most", "2 points or less", f"{lost:+.1f} points", _said(lost <= 2)],
    ]
    return Table(title="What is planted", columns=("claim", "planted", "found", "verdict"), rows=rows)


def _said(holds: bool) -> str:
    return "holds" if holds else "not reached"


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.0f} %"


def _points(e: Estimate) -> str:
    if e.value is None or e.low is None or e.high is None:
        return "an unknown number of points"
    return f"{100 * e.value:+.1f} points ({100 * e.low:+.1f} to {100 * e.high:+.1f})"


def _summary(found: Mapping[str, Estimate], every: Sequence[Estimate], label: str) -> str:
    kept = found[_KEPT]
    share = f"{_percent(kept.value)} of it" if kept.value is not None else f"no share of it ({kept.reason})"
    falls = [
        f"{e.group.removesuffix(label).rstrip(', ') or 'all texts'} {1 / e.value:.1f} times"
        for e in every
        if e.metric.startswith(_KL[2]) and e.value and (not label or label in e.group)
    ]
    taxes = {e.metric: e for e in every if e.group == _named(_ALL_TASKS, label)}
    return (
        f"The prompt gains {_points(found[_GAINS['prompted']])} of HHH accuracy, distilling it "
        f"{_points(found[_GAINS['distilled']])}: {share} is kept without the prompt. KL to the prompted model falls: "
        f"{', '.join(falls)}. On tasks that the model could do before, prompting loses "
        f"{_points(taxes['tax of prompting'])}, distilling {_points(taxes['tax of distilling'])}."
    )


def _figures(by_model: _ByModel, longer: Sequence[Longer]) -> Iterator[Figure]:
    last = by_model[-1][1]
    shown = [
        Estimate.of("accuracy", wins(part.credits[c], part.clusters), group=f"{category or 'all'}, {c}")
        for category in _categories(last)
        for part in [last.of(category)]
        for c in CONDITIONS
    ]
    caption = "Share of comparisons whose better answer is the likelier; the line is chance. 95 % intervals."
    yield forest(shown, x="accuracy", title="Bare, prompted, distilled, both", caption=caption, reference=0.5)
    if len(by_model) > 1:
        points = [
            Point(effect.parameters, f.value, f.low, f.high, c)
            for effect, scored in by_model
            for c in CONDITIONS
            for f in [wins(scored.credits[c], scored.clusters)]
            if f.value is not None
        ]
        yield curves(points, x="parameters", y="accuracy", title="HHH accuracy by size", log_x=True, reference=0.5)
    if longer:
        yield curves(list(_along(longer)), x="dialogues", y="accuracy", title="HHH accuracy by length of the prompt")


def _along(longer: Sequence[Longer]) -> Iterator[Point]:
    names = ["", *dict.fromkeys(str(row.evidence["category"]) for row in longer[0].rows)]
    lines = [(0.0, longer[0].rows, _BARE), *((float(each.name), each.rows, _PROMPTED) for each in longer)]
    for name in names:
        for x, rows, metric in lines:
            part = [row for row in rows if name in ("", row.evidence["category"])]
            found = wins([_credit(row, metric) for row in part], [row.cluster for row in part])
            if found.value is not None:
                yield Point(x, found.value, found.low, found.high, name or "all")
