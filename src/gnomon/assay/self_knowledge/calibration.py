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
from gnomon.assay.self_knowledge.scores import Predictions, choice_estimates, predictions, reliability_figure
from gnomon.assay.self_knowledge.truths import choice_truth
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.sources import open_items
from gnomon.report.base import Drawn, Figure, Report, Table
from gnomon.trial.base import Cast, Planted

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = ["items", "planted", "summarise", "trial"]

SECTION = "Multiple-choice calibration"


def items(cfg: SelfKnowledge, seed: Seed) -> list[Item]:
    """Every chosen form and number of worked examples asks the same items; worked examples are not asked."""
    return [item for form in cfg.forms for item in choice_items(cfg, seed, "calibration", form)]


def choice_items(cfg: SelfKnowledge, seed: Seed, part: str, form: str) -> Iterator[Item]:
    """Choice items of the data for one form, a copy for each number of worked examples."""
    source = open_items(cfg.data, "choice", cfg.n, seed, spare=max(cfg.shots or (5,)))
    for shots in cfg.shots or ((0,) if source.dialect == "brook" else (5,)):
        header = header_of(source.spare[:shots], form)
        for item in source.items:
            meta = {**item.meta, "dialect": source.dialect, "form": form, "shots": shots, "header": header}
            yield replace(item, id=f"{part}/{form}-{shots}/{item.id}", meta=meta)


async def trial(cfg: SelfKnowledge, item: Item, cast: Cast, rng: Seed) -> dict[str, Any]:
    """Probabilities of the item's options."""
    ask = ask_letters if item.meta["form"] == "lettered" else ask_options
    return with_answer_key(item, await ask(cfg, cast.subject, item, rng))


def summarise(cfg: SelfKnowledge, rows: Sequence[Row]) -> Report:
    """Estimates of each series, and within it of each group of items."""
    by_series: dict[str, list[Row]] = {}
    for row in rows:
        by_series.setdefault(series(row.evidence), []).append(row)
    estimates, lines, notes = [], [], []
    stated_by = {name: predictions(found) for name, found in by_series.items()}
    for i, (name, found) in enumerate(by_series.items()):
        stated = stated_by[name]
        estimates += choice_estimates(cfg, stated, name, headline=i == 0)
        lines += group_lines(name, found)
        if stated.mass.mean() < 0.5:
            notes.append(
                f"{name}: only {stated.mass.mean():.0%} of the probability is on the options; the format is wrong"
            )
        if stated.n < 50:
            notes.append(f"{name}: {stated.n} items are too few for a chart")
    table = Table(title="By group of items", columns=GROUP_COLUMNS, rows=lines, section=SECTION)
    return Report(
        title=SECTION,
        estimates=estimates,
        figures=Drawn(lambda: _figures(stated_by)),
        tables=[table] if lines else [],
        notes=notes,
    )


def _figures(stated_by: Mapping[str, Predictions]) -> list[Figure]:
    return [f for name, p in stated_by.items() for f in reliability_figure(p, f"Calibration, {name}", SECTION)]


GROUP_COLUMNS = ("series", "group", "items", "accuracy", "low", "high", "mean confidence", "low ", "high ")


def group_lines(name: str, rows: Sequence[Row]) -> list[list[Any]]:
    """One line a group: accuracy and mean confidence with their intervals; none when there is one group only."""
    from gnomon.stats.intervals import clustered_mean

    by_group: dict[str, list[Row]] = {}
    for row in rows:
        by_group.setdefault(str(row.evidence.get("group", "")), []).append(row)
    lines: list[list[Any]] = []
    for group, found in by_group.items():
        stated = predictions(found)
        right, top = clustered_mean(stated.right, stated.clusters), clustered_mean(stated.top, stated.clusters)
        lines.append([name, group, stated.n, right.value, right.low, right.high, top.value, top.low, top.high])
    return lines if len(lines) > 1 else []


def planted() -> Iterator[Planted]:
    """Calibrated (the null), under-confident and over-confident responders; slope and intercept are exact."""
    for a, b in ((0.0, 1.0), (0.5, 0.6), (-0.4, 2.5)):
        yield Planted(
            name=f"calibration-a{a:g}-b{b:g}",
            cast={"subject": f"planted:calibrated?a={a:g}&b={b:g}"},
            config={"only": ("calibration",), "data": "synthetic", "forms": ("lettered",), "shots": (0,), "n": 500}
            | {"resamples": 400},
            truth={f"{metric} [lettered 0-shot]": value for metric, value in choice_truth(a, b).items()},
            null=(a, b) == (0.0, 1.0),
        )
