"""Checks of what a model knows of facts: stated, asked openly, by letters, as verdicts, and from a note."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from gnomon.assay.brook.check import Check, asked, estimate, mean, of_group, right, shares
from gnomon.assay.brook.expected import Expected, Range
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import COUNTS, RELATIONS, World, dialect
from gnomon.data.worlds.brook.source import EXPOSURE, items
from gnomon.report.base import Estimate
from gnomon.stats.ranking import auroc, spearman

__all__ = ["CHECKS"]

_EXPOSED = tuple(f"exposure-{count}" for count in COUNTS)


def _fact(check: str, item: Item, prompt: str, group: str = "") -> Item:
    """An item read out over the twelve values of its relation."""
    values = RELATIONS[item.meta["relation"]].values
    options = [f" {value}" for value in values]
    return asked(check, item, prompt, options, values.index(item.meta["value"]), group, count=item.meta["count"])


def _stem(item: Item) -> str:
    return str(item.meta["sentence"]).partition(f" {item.meta['value']} ")[0]


def _cloze(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items({"format": 1}, len(of.format_facts), seed, of=of):
        yield _fact("cloze", item, _stem(item))


def _exposure(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items(dict.fromkeys(EXPOSURE, 1), len(of.exposure_facts), seed, of=of):
        yield _fact("exposure", item, _stem(item), str(item.meta["count"]))


def _exposure_open(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items(dict.fromkeys(EXPOSURE, 1), len(of.exposure_facts), seed, of=of):
        yield _fact("exposure-open", item, dialect.open_prompt(item), str(item.meta["count"]))


def _open(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items({"format": 1}, len(of.format_facts), seed, of=of):
        yield _fact("open", item, dialect.open_prompt(item))


def _source(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items({"note": 1}, n, seed, of=of):
        yield _fact("source", item, dialect.open_prompt(item))


def _choice(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items({"format": 1, "note": 1, "novel": 1}, 3 * n, seed, of=of):
        gold = 0 if item.gold is None else item.gold
        yield asked("choice", item, dialect.choice_prompt(item), dialect.letters(4), gold, item.meta["group"])


def _verdict(of: World, n: int, seed: Seed) -> Iterator[Item]:
    exposed = items(dict.fromkeys(EXPOSURE, 1), len(of.exposure_facts), seed, of=of)
    for item in (*items({"format": 1}, n, seed, of=of), *exposed):
        wrong = next(choice for choice in item.choices if choice != item.meta["value"])
        for truth, proposed in enumerate((item.meta["value"], wrong)):
            prompt = dialect.verdict_prompt(item, proposed)
            twin = replace(item, id=f"{item.id}-{'FT'[truth == 0]}")
            group, count = item.meta["group"], item.meta["count"]
            yield asked("verdict", twin, prompt, dialect.verdicts(), truth, group, count=count)


def _read_exposure(rows: Sequence[Row]) -> Iterator[Estimate]:
    yield from shares("exposure recall")(rows)
    p = [r.evidence["p"][r.evidence["right"]] for r in rows]
    counts = [float(r.evidence["count"]) for r in rows]
    yield estimate("exposure Spearman", "", spearman(counts, p, [r.cluster for r in rows]), rows)


def _read_choice(rows: Sequence[Row]) -> Iterator[Estimate]:
    for group in ("format", "note"):
        yield mean("choice", group, of_group(rows, group), right)
    yield mean("novel top probability", "", of_group(rows, "novel"), lambda r: max(r.evidence["p"]))


def _read_verdict(rows: Sequence[Row]) -> Iterator[Estimate]:
    for group in ("format", *_EXPOSED):
        found = of_group(rows, group)
        says_true = [r.evidence["p"][0] for r in found]
        labels = [float(r.evidence["right"] == 0) for r in found]
        yield estimate("verdict AUROC", group, auroc(says_true, labels, [r.cluster for r in found]), found)
    exposed = [r for r in rows if r.evidence["count"] is not None]
    margin: dict[str, float] = {}
    for r in exposed:
        sign = 1 if r.evidence["right"] == 0 else -1
        margin[r.cluster] = margin.get(r.cluster, 0.0) + r.evidence["p"][0] * sign
    counts = {r.cluster: float(r.evidence["count"]) for r in exposed}
    yield estimate("verdict Spearman", "", spearman([counts[c] for c in margin], list(margin.values())), exposed)


def _truth_choice(know: float) -> Mapping[str, float]:
    known = know + (1 - know) / 4
    return {"choice [format]": known, "choice [note]": known, "novel top probability": 0.25}


CHECKS = (
    Check(
        name="cloze",
        items=_cloze,
        rows=(Expected("cloze recall", "", "1", Range(0.98, 1.0)),),
        estimates=shares("cloze recall"),
        truth=lambda know: {"cloze recall": know + (1 - know) / 12},
    ),
    Check(
        name="exposure",
        items=_exposure,
        rows=(
            *(Expected("exposure recall", str(count), "rises", None) for count in COUNTS),
            Expected("exposure Spearman", "", "rises", Range(0.7, 1.0)),
        ),
        estimates=_read_exposure,
    ),
    Check(
        name="exposure-open",
        items=_exposure_open,
        rows=tuple(Expected("exposure open recall", str(count), "rises", None) for count in COUNTS),
        estimates=shares("exposure open recall"),
    ),
    Check(
        name="open",
        items=_open,
        rows=(Expected("open recall", "", "1", Range(0.98, 1.0)),),
        estimates=shares("open recall"),
        truth=lambda know: {"open recall": know + (1 - know) / 12},
    ),
    Check(
        name="choice",
        items=_choice,
        rows=(
            Expected("choice", "format", "1", Range(0.9, 1.0)),
            Expected("choice", "note", "1", Range(0.9, 1.0)),
            Expected("novel top probability", "", "0.25", Range(0.0, 0.5)),
        ),
        estimates=_read_choice,
        truth=_truth_choice,
    ),
    Check(
        name="verdict",
        items=_verdict,
        rows=(
            Expected("verdict AUROC", "format", "1", Range(0.9, 1.0)),
            *(Expected("verdict AUROC", group, "rises", None) for group in _EXPOSED),
            Expected("verdict Spearman", "", "rises", Range(0.0, 1.0)),
        ),
        estimates=_read_verdict,
        truth=lambda know: {"verdict AUROC [format]": 0.5 + know / 2},
    ),
    Check(
        name="source",
        items=_source,
        rows=(Expected("source", "", "1", Range(0.98, 1.0)),),
        estimates=shares("source"),
        truth=lambda know: {"source": know + (1 - know) / 12},
    ),
)
