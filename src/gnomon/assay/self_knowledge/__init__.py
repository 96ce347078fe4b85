"""Does a model know what it knows? Calibration, self-evaluation and predicted knowledge.

    gnomon assay self-knowledge --model brook
    gnomon assay self-knowledge --model hf:FOLDER --data truthfulqa --only calibration,nota,truefalse

Source: Kadavath et al. 2022, "Language Models (Mostly) Know What They Know", arXiv 2207.05221. One module an
experiment, each readable by itself: `calibration` (sec. 2), `nota` and `truefalse` (sec. 3), `temperature`
(sec. 3.3), `ptrue` (sec. 4), `pik` (sec. 5).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from gnomon.core.errors import UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.report.base import Estimate, Figure, Report
from gnomon.trial import evaluation
from gnomon.trial.base import Cast, ModelName, Planted

__all__ = ["PARTS", "Experiment", "PartName", "SelfKnowledge", "experiment"]

PartName = Literal["calibration", "nota", "truefalse", "temperature", "ptrue", "pik"]
PARTS: tuple[PartName, ...] = ("calibration", "nota", "truefalse", "temperature", "ptrue", "pik")


class Experiment(Protocol):
    """What each module of this package offers."""

    def items(self, cfg: SelfKnowledge, seed: Seed) -> list[Item]:
        """Items with `part` set; empty when the data cannot serve the experiment."""
        ...

    async def trial(self, cfg: SelfKnowledge, item: Item, cast: Cast, rng: Seed) -> dict[str, Any]:
        """The row's evidence."""
        ...

    def summarise(self, cfg: SelfKnowledge, rows: Sequence[Row]) -> Report:
        """Estimates, figures and tables of this experiment's rows."""
        ...

    def planted(self) -> Iterable[Planted]:
        """Settings with known truth."""
        ...


def experiment(part: str) -> Experiment:
    """The module of one experiment; imported when first asked for."""
    return cast(Experiment, importlib.import_module(f"{__name__}.{part}"))


@evaluation
@dataclass(frozen=True, kw_only=True)
class SelfKnowledge:
    """How well a model knows what it knows: calibration, P(True) of its own answers, P(IK) before answering."""

    only: tuple[PartName, ...] = PARTS
    "Experiments to run."
    data: tuple[str, ...] = ("brook",)
    "Where items come from: brook (or brook:sums), synthetic, names of data sets, org/name:FILE on the hub, or paths."
    n: int = 300
    "Most items of each source in each experiment."
    shots: tuple[int, ...] = ()
    "Numbers of worked examples before a question, a series each; by default 5 for real data and 0 for Brook."
    forms: tuple[Literal["lettered", "listed"], ...] = ("lettered", "listed")
    "Answer by letter, by the option's whole text, or both."
    permute: int = 1
    "Cyclic orders of the options to average over; 1 is the paper's."
    readout: Literal["auto", "exact", "sampled"] = "auto"
    "auto takes the best the model offers; exact refuses less; sampled counts sampled answers."
    samples: int = 30
    "Samples a question, where samples are drawn."
    chat: bool = False
    "Ask through the chat template, with the answer's beginning as a prefill."
    judge: ModelName = ModelName("")
    "Judges the proposed answers of P(True); by default the model itself."
    worked: tuple[int, ...] = (0, 6, 20)
    "Numbers of worked verdicts before a self-evaluation, a series each: 6 is a fixed header, others are from the data."
    labels: ModelName = ModelName("")
    "Whose sampled answers are the truth of P(IK); by default the model's own."
    include_self: bool = True
    "P(True) with comparison samples: the judged answer is one of those shown, as in the paper."
    entropy_samples: int = 0
    "Samples behind the entropy that P(IK) is held against; 0 takes those of --samples, the paper takes 200."
    head: str = ""
    "Use the P(IK) head of an earlier run (run:ID) instead of training one."
    head_way: Literal["auto", "linear", "mlp", "lora", "full"] = "auto"
    "What training the P(IK) head may move: the head alone (linear, mlp), low-rank changes, or everything."
    head_questions: int = 600
    "Questions that train the P(IK) head."
    head_groups: tuple[str, ...] = ()
    "Groups of questions that train the head; empty takes all, and others then measure generalisation."
    resamples: int = 2000
    "Bootstrap resamples behind intervals that need them."

    def __post_init__(self) -> None:
        for name, least in (
            ("n", 1),
            ("permute", 1),
            ("samples", 2),
            ("entropy_samples", 0),
            ("head_questions", 1),
            ("resamples", 1),
        ):
            if getattr(self, name) < least:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} is {getattr(self, name)}", todo=f"give {least} or more")
        if min(self.shots, default=0) < 0:
            raise UsageError(f"--shots is {self.shots}", todo="give 0 or more")

    def items(self, seed: Seed) -> Iterator[Item]:
        """The items of every chosen experiment, one after the other; one that the data cannot serve has none."""
        from gnomon.data.sources import NoItems

        for part in self._parts():
            try:
                found = experiment(part).items(self, seed.child(part))
            except NoItems:
                if self._parts() == (part,):
                    raise
                continue
            yield from (item if item.part == part else replace(item, part=part) for item in found)

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """Asks one item of its experiment."""
        found = await experiment(item.part).trial(self, item, cast, rng)
        refused = {"refused": item.meta["refused"]} if "refused" in item.meta else {}
        named = {"part": item.part, "series": f"{item.part} {item.meta.get('series', '')}".strip()}
        return Row(key=item.id, cluster=item.cluster, evidence={**named, **found, **refused})

    def summarise(self, rows: Sequence[Row]) -> Report:
        """The experiments' reports, one section each."""
        from gnomon.assay.self_knowledge.summary import joined

        by_part = {part: [r for r in rows if r.evidence["part"] == part] for part in self._parts()}
        reports: dict[str, Report] = {p: experiment(p).summarise(self, found) for p, found in by_part.items() if found}
        return joined(self, reports, dict.fromkeys(line for r in rows for line in r.evidence.get("refused", ())))

    def pictures(self, estimates: Sequence[Estimate]) -> dict[str, list[Estimate]]:
        """What a study of several models draws against their size: title to estimates."""
        from gnomon.assay.self_knowledge.pictures import pictures

        return pictures(estimates)

    def overlay(self, by_model: Mapping[str, Sequence[Row]]) -> list[Figure]:
        """Calibration charts with a curve for each model's rows."""
        from gnomon.assay.self_knowledge.pictures import overlay

        return overlay(by_model)

    def planted(self) -> Iterator[Planted]:
        """The settings of every chosen experiment, each of which asks nothing else."""
        for part in self._parts():
            yield from experiment(part).planted()

    async def prepare(self, cast: Cast, folder: Path | None, seed: Seed) -> Cast:
        """Trains the P(IK) head where that experiment is chosen; kept in the run's folder."""
        if "pik" not in self.only:
            return cast
        from gnomon.assay.self_knowledge import pik

        return await pik.prepare(self, cast, folder, seed)

    def _parts(self) -> tuple[PartName, ...]:
        if not self.only:
            raise UsageError("--only is empty", todo=f"name some of {', '.join(PARTS)}")
        return tuple(p for p in PARTS if p in self.only)
