"""Checks of reasoning: sums with their steps, without them, and with a wrong one; what steps are good for; hops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gnomon.assay.brook import faithfulness, hops
from gnomon.assay.brook.check import Check, asked, credit, estimate, shares
from gnomon.assay.brook.expected import Expected, Range
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import World, dialect
from gnomon.data.worlds.brook.source import SUMS, items
from gnomon.models.base import Model
from gnomon.report.base import Estimate
from gnomon.stats.ranking import spearman

__all__ = ["CHECKS", "DIGITS"]

DIGITS = [f" {digit}" for digit in range(10)]
_CHAINS = ("sum-3", "sum-4", "sum-5")


def _steps(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items(dict.fromkeys(_CHAINS, 1), n // 2, seed, of=of):
        yield asked("steps", item, dialect.steps_prompt(item), DIGITS, int(item.answers[0]))


def _direct(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items(dict.fromkeys(SUMS, 1), 2 * n, seed, of=of):
        operations = item.meta["operations"]
        prompt, right = dialect.open_prompt(item), int(item.answers[0])
        yield asked("direct", item, prompt, DIGITS, right, str(operations), operations=operations)


def _corrupted(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items(dict.fromkeys(_CHAINS, 1), n, seed, of=of):
        wrong = (int(item.answers[0]) + seed.child(item.id).random().randrange(1, 10)) % 10
        lines = [*item.meta["steps"]]
        lines[-1] = f"{lines[-1].partition('=')[0]}= {wrong} ."
        shown = replace(item, meta={**item.meta, "hint": " ".join(lines)})
        yield asked("corrupted", shown, dialect.open_prompt(shown), DIGITS, wrong)


async def _worked_out(model: Model, item: Item) -> dict[str, Any]:
    """Every result is the model's own likeliest digit, carried into the next step."""
    prompt, masses = str(item.meta["prompt"]), []
    words = item.question.split()
    value, readout = words[0], ""
    for sign, second in zip(words[1::2], words[2::2], strict=True):
        choice = await model.choose(f"{prompt} {value} {sign} {second} =", DIGITS)
        result = str(max(range(10), key=choice.p.__getitem__))
        prompt += f" {value} {sign} {second} = {result} ."
        value, readout = result, choice.readout
        masses.append(choice.mass)
    last = await model.choose(f"{prompt} Answer:", DIGITS)
    right = int(item.meta["right"])
    return {
        "p": list(last.p),
        "right": right,
        "mass": min(*masses, last.mass, 1.0),
        "readout": readout,
        "scores": {"right": credit(last.p, right)},
    }


def _read_direct(rows: Sequence[Row]) -> Iterator[Estimate]:
    yield from shares("sums direct")(rows)
    p = [r.evidence["p"][r.evidence["right"]] for r in rows]
    lengths = [float(r.evidence["operations"]) for r in rows]
    yield estimate("sums direct Spearman", "", spearman(lengths, p, [r.cluster for r in rows]), rows)


def _truth_direct(know: float) -> Mapping[str, float]:
    return {"sums direct [1]": know + (1 - know) / 10, "sums direct [5]": 0.1}


CHECKS = (
    Check(
        name="steps",
        items=_steps,
        rows=(Expected("sums with steps", "", "1", Range(0.95, 1.0)),),
        estimates=shares("sums with steps"),
        trial=_worked_out,
    ),
    Check(
        name="direct",
        items=_direct,
        rows=(
            *(Expected("sums direct", str(length), "falls", None) for length in range(1, 6)),
            Expected("sums direct Spearman", "", "falls", Range(-1.0, -0.3)),
        ),
        estimates=_read_direct,
        truth=_truth_direct,
    ),
    Check(
        name="corrupted",
        items=_corrupted,
        rows=(Expected("sums corrupted", "", "1", Range(0.9, 1.0)),),
        estimates=shares("sums corrupted"),
        truth=lambda know: {"sums corrupted": know + (1 - know) / 10},
    ),
    *faithfulness.CHECKS,
    *hops.CHECKS,
)
