"""When the model says 80 %, is it right 80 % of the time? Multiple choice by letter and by option text.

Kadavath et al. 2022, sec. 2: question, options with bracketed letters, "Answer:"; the softmax over the listed letters
is the prediction. Series: lettered and listed (whole option texts), each number of worked examples. Brook's items are
split by how often their fact was stated in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gnomon.assay.self_knowledge.asking import ask_letters, ask_options, header_of, series, with_answer_key
from gnomon.assay.self_knowledge.groups import exposure_figure, group_table, task_estimates, task_figure
from gnomon.assay.self_knowledge.scores import (
    TOO_FEW,
    Predictions,
    choice_estimates,
    predictions,
    reliability_figure,
)
from gnomon.assay.self_knowledge.truths import choice_truth
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.sources import open_items
from gnomon.report.base import Drawn, Estimate, Figure, Report
from gnomon.trial.base import Cast, Planted

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = ["choice_items", "items", "planted", "summarise", "trial", "trusted"]

SECTION = "Multiple-choice calibration"
HEADLINE = ("accuracy", "confidence", "ECE", "calibration slope")


def items(cfg: SelfKnowledge, seed: Seed) -> list[Item]:
    """Every chosen form and number of worked examples asks the same items; worked examples are not asked."""
    return [item for form in cfg.forms for item in choice_items(cfg, seed, "calibration", form)]


def choice_items(cfg: SelfKnowledge, seed: Seed, part: str, form: str) -> Iterator[Item]:
    """Choice items of the data for one form, a copy for each number of worked examples."""
    source = open_items(cfg.data, "choice", cfg.n, seed, spare=max(cfg.shots or (5,)))
    for shots in cfg.shots or ((0,) if source.dialect == "brook" else (5,)):
        header = header_of(source.spare[:shots], form)
        for item in source.items:
            meta = {**item.meta, "form": form, "header": header, "series": f"{form} {shots}-shot"}
            yield replace(item, id=f"{part}/{form}-{shots}/{item.id}", part=part, meta=meta)


async def trial(cfg: SelfKnowledge, item: Item, cast: Cast, rng: Seed) -> dict[str, Any]:
    """Probabilities of the item's options."""
    ask = ask_letters if item.meta["form"] == "lettered" else ask_options
    return with_answer_key(item, await ask(cfg, cast.subject, item, rng))


def summarise(cfg: SelfKnowledge, rows: Sequence[Row]) -> Report:
    """Estimates of each series, and within it of each group of items."""
    by_series: dict[str, list[Row]] = {}
    for row in rows:
        by_series.setdefault(series(row.evidence), []).append(row)
    stated = {name: predictions(found) for name, found in by_series.items()}
    by_name = {name: choice_estimates(cfg, p, name) for name, p in stated.items()}
    by_task = [e for name, found in by_series.items() for e in task_estimates(cfg, name, found)]
    first, unbound = trusted(by_name)
    table = group_table(list(by_series.items()), SECTION)
    return Report(
        title=SECTION,
        estimates=[
            replace(e, headline=name == first and e.metric in HEADLINE) for name in by_name for e in by_name[name]
        ],
        figures=Drawn(lambda: [*_figures(stated, by_series), *task_figure(by_task, SECTION)]),
        tables=table,
        notes=[*unbound, *_warnings(stated)],
    )


def trusted(by_name: Mapping[str, Sequence[Estimate]]) -> tuple[str, list[str]]:
    """The series to read first, and a note when letters lose answers that the model knows.

    A model may know an answer and still not find its letter: then its lettered accuracy lies below that on option
    texts, their intervals apart, and option texts are what tells what it knows.
    """
    names = list(by_name)
    lettered = next((n for n in names if n.startswith("lettered")), None)
    listed = next((n for n in names if n.startswith("listed")), None)
    if lettered is None or listed is None:
        return names[0], []
    low, high = (_accuracy(by_name[n]) for n in (listed, lettered))
    if low.low is None or high.high is None or high.high >= low.low:
        return lettered, []
    note = (
        f"letters lose answers: right on {high.value:.0%} by letter, on {low.value:.0%} by option text of the same "
        "questions; read the listed series for what it knows, and the table by group for where letters fail"
    )
    return listed, [note]


def _accuracy(estimates: Sequence[Estimate]) -> Estimate:
    return next(e for e in estimates if e.metric == "accuracy")


def _warnings(stated: Mapping[str, Predictions]) -> list[str]:
    notes = []
    for name, p in stated.items():
        if p.mass.mean() < 0.5 and name.startswith("lettered"):
            notes.append(f"{name}: only {p.mass.mean():.0%} of the probability is on the letters; the format is wrong")
        if p.n < TOO_FEW:
            notes.append(f"{name}: {p.n} items are too few for a chart")
    return notes


def _figures(stated: Mapping[str, Predictions], by_series: Mapping[str, Sequence[Row]]) -> list[Figure]:
    charts = [f for name, p in stated.items() for f in reliability_figure(p, f"Calibration, {name}", SECTION)]
    return [*charts, *exposure_figure(by_series, SECTION)]


def planted() -> Iterator[Planted]:
    """Calibrated (the null), under-confident and over-confident responders; slope and intercept are exact."""
    for a, b in ((0.0, 1.0), (0.5, 0.6), (-0.4, 2.5)):
        yield Planted(
            name=f"calibration-a{a:g}-b{b:g}",
            cast={"subject": f"planted:calibrated?a={a:g}&b={b:g}"},
            config={"only": ("calibration",), "data": ("synthetic",), "forms": ("lettered",), "shots": (0,), "n": 200}
            | {"resamples": 400},
            truth={f"{metric} [lettered 0-shot]": value for metric, value in choice_truth(a, b).items()},
            null=(a, b) == (0.0, 1.0),
        )
