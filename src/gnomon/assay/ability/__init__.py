"""What can a model do, and what did a prompt or a training cost it? Published tasks, scored by likelihood.

    gnomon assay ability --model brook
    gnomon assay ability --model run:7f3a --against brook
    gnomon assay ability --model hf:FOLDER --tasks lambada,truthfulqa,arc --shots 0,5 --prompt assistant.txt

Sources: Askell et al. 2021, arXiv 2112.00861, sec. 2 (TruthfulQA, and the alignment tax on Lambada, bare, prompted and
distilled); Bai et al. 2022, arXiv 2204.05862, sec. 4 (zero-shot and few-shot NLP tasks before and after training).
`tasks` says what there is, `asking` how it is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gnomon.assay._before import digest, unchanged
from gnomon.assay.ability.asking import DIFFERENCES, ask, measured, named
from gnomon.assay.ability.tasks import Asking, Form, Way, asked, expanded
from gnomon.core.errors import UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.report.base import Report
from gnomon.trial import Cast, ModelName, Planted, evaluation

__all__ = ["Ability"]


@evaluation
@dataclass(frozen=True, kw_only=True)
class Ability:
    """What a model can do on published tasks, and what a prompt or a training costs it."""

    tasks: tuple[str, ...] = ("brook",)
    "lambada, truthfulqa, hellaswag, arc, openbookqa, mmlu, triviaqa, brook, any data set by name, or files."
    n: int = 200
    "Most items a task; 0 takes all of a published set or file."
    shots: tuple[int, ...] = (0,)
    "Numbers of worked examples before an item, a series each."
    forms: tuple[Literal["texts", "letters"], ...] = ()
    "Options compared by their texts, or listed with letters; empty takes what a task's publishers do."
    by: Literal["published", "sum", "mean", "character", "byte", "pmi"] = "published"
    "What texts are compared by where the report says accuracy; it lists the other ways too."
    examples: str = ""
    "Where worked examples come from: a data set or file; by default a task's training split, or items not asked."
    prompt: str = ""
    "Text to put before each item: assistant-v1, brook, NAME:DIALOGUES, or a file; items are asked without and with it."
    turns: bool = False
    "Ask questions as a human turn that an assistant answers, as after dialogues, without a prompt and with one."
    against: ModelName = ModelName("")
    "A model to hold it against, such as what it was trained from; the report has the tax, paired by item."

    def __post_init__(self) -> None:
        if not self.tasks:
            raise UsageError("--tasks is empty", todo="name a task, such as brook or lambada")
        if self.n < 0:
            raise UsageError(f"--n is {self.n}", todo="give 1 or more; 0 takes all there is of a file")
        if self.n == 0 and {"brook", "synthetic"} & {t.partition("-")[0] for t in self.tasks}:
            raise UsageError("--n is 0, and a world has no end of items", todo="give 1 or more")
        if self.turns and any(t.startswith("brook") for t in self.tasks):
            raise UsageError("Brook has a task in turns, brook-answers", where="--turns", todo="leave it out")
        if min(self.shots, default=-1) < 0:
            raise UsageError(f"--shots is {list(self.shots)}", todo="give numbers of 0 or more")

    def items(self, seed: Seed) -> Iterator[Item]:
        """The items of each task, in every form and with every number of worked examples."""
        before = {"before": digest(self.prompt)} if self.prompt else {}
        by = {} if self.by == "published" else {"by": self.by}
        seen: set[str] = set()
        for name in expanded(self.tasks):
            for shots in self.shots:
                for form in self.forms or (None,):
                    found = asked(self._asking(name, form, shots), self.n, seed.child(name))
                    if found[0].meta["series"] in seen:
                        continue
                    seen.add(found[0].meta["series"])
                    for item in found:
                        _check_way(item, self.by)
                        yield replace(item, meta={**item.meta, **by, **before})

    def _asking(self, name: str, form: Form | None, shots: int) -> Asking:
        return Asking(name=name, form=form, shots=shots, examples=self.examples, turns=self.turns)

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """What the model makes of one item, bare and where wanted prompted, and what the other model makes of it."""
        told = {"": await ask(cast.subject, item, "", rng)}
        if self.prompt:
            before = unchanged(self.prompt, item.meta["before"], item.meta["dialect"])
            before += "" if item.meta["prompt"].startswith("\n") or before.endswith(" ") else "\n\n"
            told["prompted"] = await ask(cast.subject, item, before, rng)
        if self.against:
            told["against"] = await ask(cast.against, item, "", rng)
        scores = {
            named(measure, asked_): value
            for asked_, found in told.items()
            for measure, value in measured(found, item.choices, item.gold, item.meta["by"]).items()
        }
        for name, (of, less) in DIFFERENCES.items():
            if of in told:
                scores[name] = scores[named("accuracy", of)] - scores[named("accuracy", less)]
        kept = {key: item.meta[key] for key in ("task", "form", "series", "by", "group", "refused") if key in item.meta}
        shown = {"question": item.question, "choices": list(item.choices), "gold": item.gold}
        evidence = {**kept, **shown, "answers": list(item.answers), "told": told, "scores": scores}
        return Row(key=item.id, cluster=item.cluster, evidence=evidence)

    def summarise(self, rows: Sequence[Row]) -> Report:
        """Accuracy by task, what the prompt gains and the training costs, and every other way to compare texts."""
        from gnomon.assay.ability.summary import summarised

        return summarised(rows, self.against)

    def planted(self) -> Iterable[Planted]:
        """Responders of known accuracy in every form, one that guesses, one a prompt helps, one that paid a tax."""
        from gnomon.assay.ability.truths import truths

        yield from truths()


def _check_way(item: Item, by: Way | Literal["published"]) -> None:
    if by == "pmi" and item.meta["form"] == "texts" and not item.meta["alone"]:
        raise UsageError(f"the options of {item.part} cannot stand alone", where="--by pmi", todo="use another --by")
