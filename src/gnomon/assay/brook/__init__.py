"""Does a model of Brook know what was planted? The check table: one estimate a row, its planned and shipped range.

    gnomon assay brook --model brook

Probabilities are enumerated, never sampled. A row outside its range is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gnomon.assay.brook.check import mean
from gnomon.assay.brook.checks import CHECKS, EXPECTED
from gnomon.assay.brook.expected import Range, label, pinned, shipped
from gnomon.assay.brook.recipe import RECIPE, curves_of, recipe_of
from gnomon.core.errors import UsageError, closest
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import world
from gnomon.models.base import Ability, require
from gnomon.report.base import Drawn, Estimate, Finding, Report, Table
from gnomon.trial import Cast, Planted, evaluation

__all__ = ["Brook", "pinned"]

# Rows that a page shows first; the table has them all.
_FIRST = ("cloze recall", "exposure Spearman", "choice [format]", "verdict AUROC [format]", "sums with steps")


@evaluation
@dataclass(frozen=True, kw_only=True)
class Brook:
    """Check a model of the embedded world against what was planted in it."""

    n: int = 200
    "Items a check, where the number of facts does not decide."
    only: tuple[str, ...] = ()
    "Checks to run; all when empty."
    preset: str = "S"
    "The world the model was trained on."
    world_seed: int = 0
    "The world's seed."

    def __post_init__(self) -> None:
        if self.n < 20:
            raise UsageError(f"--n is {self.n}", todo="ask at least 20 items a check")
        for check in self.only:
            if check not in CHECKS:
                raise UsageError(f"no check is called {check!r}", where="--only", todo=closest(check, CHECKS))

    def items(self, seed: Seed) -> Iterator[Item]:
        """The questions of every check, and one item that asks how the model was trained."""
        of = world(self.preset, self.world_seed)
        for check in CHECKS.values():
            if not self.only or check.name in self.only:
                yield from check.items(of, self.n, seed.child(check.name))
        if not self.only:
            yield RECIPE

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """Reads one item's probabilities, as its check says."""
        model = cast.subject
        require(model, Ability.SCORE, Ability.TOPK, Ability.DECIDE, why="the check table of Brook")
        found = recipe_of(model) if item.part == RECIPE.part else await CHECKS[item.part].trial(model, item)
        evidence = {"check": item.part, "group": item.meta["group"], "model": model.name, **item.meta["by"], **found}
        return Row(key=item.id, cluster=item.cluster, evidence=evidence)

    def summarise(self, rows: Sequence[Row]) -> Report:
        """The check table; rows outside their range are findings."""
        model = str(rows[0].evidence["model"]) if rows else ""
        recipe: Mapping[str, Any] = next((r.evidence["recipe"] for r in rows if _is_recipe(r)), {})
        rows = [r for r in rows if not _is_recipe(r)]
        reached = shipped()
        judged = [_judge(e, model, reached) for e in _estimates(rows)]
        findings = [finding for _, _, finding in judged if finding]
        missed = [str(line[0]) for _, line, _ in judged if line[-1] == "not reached"]
        summary = f"{len(findings)} of {len(judged)} rows lie outside the range that is asked of this model."
        if missed:
            summary += f" Planned and not reached: {', '.join(missed)}."
        columns = ("row", "planted", "value", "low", "high", "planned", "shipped", "verdict")
        return Report(
            title=f"Brook: check table of {model}",
            estimates=[estimate for estimate, _, _ in judged],
            findings=findings,
            tables=[Table(title="Check table", columns=columns, rows=[line for _, line, _ in judged])],
            summary=summary,
            figures=Drawn(lambda: curves_of(recipe)),
        )

    def planted(self) -> Iterable[Planted]:
        """A model that knows the table, one that knows nothing, and one that knows four prompts in five."""
        yield Planted(name="knows", cast={"subject": "planted:brook?know=1"}, truth=_truth(1.0))
        yield Planted(name="null", cast={"subject": "planted:brook?know=0"}, truth=_truth(0.0), null=True)
        # Facts are the same in every replication, so only checks with fresh prompts have a spread to cover.
        fresh = ("choice [format]", "choice [note]", "match", "source")
        truth = {name: value for name, value in _truth(0.8).items() if name in fresh}
        only = ("choice", "match", "source")
        yield Planted(name="partly", cast={"subject": "planted:brook?know=0.8"}, truth=truth, config={"only": only})


def _is_recipe(row: Row) -> bool:
    return bool(row.evidence["check"] == RECIPE.part)


def _truth(know: float) -> dict[str, float]:
    return {name: value for check in CHECKS.values() for name, value in check.truth(know).items()}


def _estimates(rows: Sequence[Row]) -> Iterator[Estimate]:
    """One estimate a row of the table, in its order; rows of checks that did not run are left out."""
    by_check: dict[str, list[Row]] = {}
    for row in rows:
        by_check.setdefault(row.evidence["check"], []).append(row)
    read = [e for name, of in by_check.items() for e in CHECKS[name].estimates(of)]
    # The lowest of the checks' mean option masses.
    masses = [_mass([r for r in of if "mass" in r.evidence]) for of in by_check.values() if "mass" in of[0].evidence]
    found = {label(e.metric, e.group): e for e in (*read, *sorted(masses, key=lambda e: e.value or 0.0)[:1])}
    return (found[name] for name in EXPECTED if name in found)


def _mass(rows: Sequence[Row]) -> Estimate:
    return mean("option mass", "", rows, lambda r: float(r.evidence["mass"]))


def _judge(e: Estimate, model: str, reached: Mapping[str, Range]) -> tuple[Estimate, list[Any], Finding | None]:
    """The estimate with the range asked of `model`, its line of the table, and the finding when it lies outside."""
    name = label(e.metric, e.group)
    row, ours = EXPECTED[name], reached.get(name)
    asked = ours if model == "brook" and ours else row.planned
    outside = asked is not None and e.value not in asked
    unreached = row.planned is not None and e.value not in row.planned
    verdict = "outside" if outside else "not reached" if unreached else "inside" if asked else ""
    line = [name, row.planted, e.value, e.low, e.high, str(row.planned or ""), str(ours or ""), verdict]
    judged = replace(e, expected=asked, headline=name in _FIRST)
    if not outside:
        return judged, line, None
    finding = Finding(
        key=name,
        title=f"{name} is {'undefined' if e.value is None else f'{e.value:.3f}'}, expected {asked}",
        severity="medium",
        reproduce=f"gnomon assay brook --model {model}",
        detail=e.reason,
    )
    return judged, line, finding
