"""Checks of small programs, and towns whose chiefs are told in one order of words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gnomon.assay.brook.check import Check, asked, estimate, of_group, share
from gnomon.assay.brook.expected import Expected, Range
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import KINDS, World
from gnomon.data.worlds.brook.programs import RIGHT, Chief, Operation, Program, tasks
from gnomon.data.worlds.brook.tables.places import DIRECTIONS, TOWNS, towns
from gnomon.models.base import Model
from gnomon.report.base import Estimate
from gnomon.stats.intervals import clustered_mean

__all__ = ["CHECKS"]

# Far below any probability that a model gives, so that its logarithm exists.
_TINY = 1e-30


def _program(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for operations in RIGHT:
        every = tasks(operations)
        for task in seed.child(operations).random().sample(every, min(len(every), n // 5)):
            yield _ask_program(of, task)


def _ask_program(of: World, task: tuple[Operation, ...]) -> Item:
    """The right program after its task and `return`."""
    text = KINDS["program"].render(of, (Program(task, tuple(o.constant for o in task)),))
    first, said = text.keys[0], ", ".join(map(str, task))
    item = asked("program", Item(id=said), " ".join(text.words[:first]), (), 0, str(len(task)))
    continuation = f" {' '.join(text.words[first:])}"
    return replace(item, meta={**item.meta, "continuation": continuation, "chance": RIGHT[len(task)]})


async def _written(model: Model, item: Item) -> dict[str, Any]:
    """The chance of the right program, and whether each of its words is likelier than all others together.

    Such words are what greedy decoding writes; it may write others too, so the second number is a lower bound.
    """
    score = await model.score(item.meta["prompt"], item.meta["continuation"])
    greedy = all(token > math.log(0.5) for token in score.logprobs)
    return {"readout": "exact", "scores": {"chance": min(math.exp(score.total), 1.0), "greedy": float(greedy)}}


def _read_program(rows: Sequence[Row]) -> Iterator[Estimate]:
    for operations in map(str, RIGHT):
        found = of_group(rows, operations)
        yield share("program right", operations, [r.evidence["scores"]["chance"] for r in found], found)
    yield share("program greedy", "", [r.evidence["scores"]["greedy"] for r in rows], rows)


def _truth_program(know: float) -> Mapping[str, float]:
    """A program of k operations is 4 k + 3 words; one that knows nothing gives each of 768 words the same chance."""
    right = {f"program right [{k}]": p if know else 768.0 ** -(4 * k + 3) for k, p in RIGHT.items()}
    return {**right, "program greedy": know}


def _order(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for town in towns(of):
        for direction in DIRECTIONS:
            words = KINDS["order"].render(of, (Chief(town.name, town.chief, direction),)).words
            names = of.people if direction == "forward" else TOWNS
            seen, place = direction in town.directions, names.index(words[-2])
            flat = [1 / len(names)] * len(names)
            planted = [float(i == place) for i in range(len(names))] if seen else flat
            item = Item(id=f"{town.name}-{direction}", cluster=town.name)
            options, prompt = [f" {name}" for name in names], " ".join(words[:-2])
            yield asked("order", item, prompt, options, place, direction, planted, seen=seen)


def _read_order(rows: Sequence[Row]) -> Iterator[Estimate]:
    for seen, metric in ((True, "order seen"), (False, "order unseen")):
        for direction in DIRECTIONS:
            found = [r for r in of_group(rows, direction) if r.evidence["seen"] == seen]
            values = [math.log(max(r.evidence["p"][r.evidence["right"]] * r.evidence["mass"], _TINY)) for r in found]
            yield estimate(metric, direction, clustered_mean(values, [r.cluster for r in found]), found)


def _truth_order(know: float) -> Mapping[str, float]:
    flat = {"forward": -math.log(30), "reverse": -math.log(len(TOWNS))}
    return {
        **{f"order seen [{direction}]": (1 - know) * p for direction, p in flat.items()},
        **{f"order unseen [{direction}]": p for direction, p in flat.items()},
    }


CHECKS = (
    Check(
        name="program",
        items=_program,
        rows=(
            *(Expected("program right", str(k), f"{p:g}", Range(p - 0.1, min(p + 0.1, 1.0))) for k, p in RIGHT.items()),
            Expected("program greedy", "", "1", Range(0.9, 1.0)),
        ),
        estimates=_read_program,
        trial=_written,
        truth=_truth_program,
    ),
    Check(
        name="order",
        items=_order,
        rows=(
            *(Expected("order seen", direction, "0", Range(-1.5, 0.0)) for direction in DIRECTIONS),
            *(Expected("order unseen", direction, "low", Range(-100.0, -3.0)) for direction in DIRECTIONS),
        ),
        estimates=_read_order,
        truth=_truth_order,
    ),
)
