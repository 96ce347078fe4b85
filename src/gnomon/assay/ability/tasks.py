"""The tasks by name: where their items come from, how they are worded, and what their publishers score them by.

    lambada                              the last word of a passage: greedy match and perplexity
    hellaswag, openbookqa                a text, and which of four endings goes on
    arc-easy, arc-challenge, truthfulqa  a question, and which of its answers
    mmlu                                 a question with lettered choices, by letter
    triviaqa                             a question, answered freely
    brook-facts, brook-answers, brook-prose, brook-notes, brook-steps   the embedded world's own

Any other name is a data set or a file: items with options are asked by their texts, a passage (`text`) for its last
word, questions with accepted answers freely. Worked examples come from a set's own training split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from gnomon.core.errors import DataError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.assistants import BARE, as_dialogue
from gnomon.data.base import Source, shuffled
from gnomon.data.hub import open_source
from gnomon.data.prompts import Dialect, Shot, dialect

__all__ = ["WAYS", "Asking", "Form", "Task", "Way", "asked", "expanded", "task"]

Form = Literal["texts", "letters", "word", "answer"]
Way = Literal["sum", "mean", "character", "byte", "pmi"]
WAYS: tuple[Way, ...] = ("sum", "mean", "character", "byte", "pmi")

_ALL_CHOICES = 1000


class Task(NamedTuple):
    """One task.

    Attributes:
        name: as on the command line.
        form: texts (options scored as continuations), letters, word (the last of a text) or answer (sampled).
        by: what texts are compared by, as its publishers do.
        bare: the question is a text that goes on, and no question is put around it.
        alone: what stands before an option by itself, for "pmi"; "" where nothing sensible can.
        examples: the set of its worked examples; "" for further items of its own.
    """

    name: str
    form: Form = "texts"
    by: Way = "character"
    bare: bool = False
    alone: str = "Answer:"
    examples: str = ""


_TASKS = {
    t.name: t
    for t in (
        Task("lambada", form="word", bare=True),
        Task("hellaswag", bare=True, alone="", examples="hellaswag-train"),
        Task("openbookqa", bare=True, examples="openbookqa-train"),
        Task("arc-easy", examples="arc-easy-train"),
        Task("arc-challenge", examples="arc-challenge-train"),
        Task("truthfulqa", by="sum"),
        Task("mmlu", form="letters", examples="mmlu-dev"),
        Task("triviaqa", form="answer", examples="triviaqa-train"),
        Task("gsm8k", form="answer", examples="gsm8k-train"),
        Task("brook-facts", by="sum"),
        Task("brook-answers", by="sum", bare=True, alone=BARE),
        Task("brook-prose", form="word", bare=True),
        Task("brook-notes", form="word"),
        Task("brook-steps", form="word", bare=True),
        Task("synthetic-choice", by="sum"),
        Task("synthetic-cloze", form="word", bare=True),
        Task("synthetic-open", form="answer"),
    )
}
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "arc": ("arc-easy", "arc-challenge"),
    **{world: tuple(t for t in _TASKS if t.startswith(f"{world}-")) for world in ("brook", "synthetic")},
}


class Asking(NamedTuple):
    """How a task is to be asked.

    Attributes:
        name: the task.
        form: "texts" or "letters" for options; None takes what the task's publishers do.
        shots: worked examples before each item, drawn anew for each.
        examples: where they come from; "" is the task's own choice.
        turns: whether a question is a human turn, and its answer an assistant's.
    """

    name: str
    form: Form | None = None
    shots: int = 0
    examples: str = ""
    turns: bool = False


def expanded(names: Sequence[str]) -> list[str]:
    """The tasks' names, `brook` and `arc` as those that they stand for."""
    return list(dict.fromkeys(each for name in names for each in _GROUPS.get(name, (name,))))


def task(name: str, items: Sequence[Item]) -> Task:
    """The task called `name`; where no task is, what its first item can be asked as."""
    if name in _TASKS:
        return _TASKS[name]
    first = items[0]
    if first.choices:
        return Task(name, bare=first.meta.get("kind") == "ending")
    cloze = first.meta.get("kind") == "cloze"
    return Task(name, form="word" if cloze else "answer", bare=cloze)


def asked(asking: Asking, n: int, seed: Seed) -> list[Item]:
    """At most `n` items of a task, 0 for all, ready to be asked: `meta` says how.

    Items are the same for every form, and where worked examples have a set of their own for every number of them.

    Raises:
        DataError: the source has no items to ask or too few examples, or cannot be opened.
        UsageError: nothing is called `name`.
    """
    name, shots = asking.name, asking.shots
    apart = asking.examples or (_TASKS[name].examples if name in _TASKS else "")
    held = 0 if apart else shots
    source = _opened(name, n + held if n else 0, seed)
    usable = _usable(source.items)
    if len(usable) <= held:
        raise DataError(f"{len(usable)} items to ask, of which {held} are worked examples", where=source.where)
    how = task(name, usable)
    if asking.form is not None and how.form in ("texts", "letters"):
        how = how._replace(form=asking.form)
    order = seed.child("select").random().sample(range(len(usable)), min(n + held if n else len(usable), len(usable)))
    chosen = [usable[place] for place in sorted(order[held:])]
    spare = [usable[place] for place in order[:held]]
    if apart and shots:
        spare = _spare(apart, seed.child("examples"))
    wording = _Wording(how, dialect(source.dialect), asking.turns)
    made = [
        _ready(wording, source, item, _examples(item, spare, shots, seed.child("item", item.id)), seed)
        for item in chosen
    ]
    if source.refused:
        # Rows are all that a report is made of, so the first one carries what was refused.
        made[0] = replace(made[0], meta={**made[0].meta, "refused": list(source.refused)})
    return made


def _opened(name: str, n: int, seed: Seed) -> Source:
    """The items of a task's source; a world draws `n`."""
    world = name.partition("-")[0]
    if name in _TASKS and world == "brook":
        from gnomon.assay.ability.brook import drawn

        return drawn(name, n, seed)
    if name in _TASKS and world == "synthetic":
        from gnomon.data.worlds.synthetic import synthetic

        form: Any = name.partition("-")[2]
        return synthetic(form, n, seed)
    return open_source(name, seed, most_choices=_ALL_CHOICES)


def _spare(name: str, seed: Seed) -> list[Item]:
    """The items of a set of worked examples."""
    try:
        return _usable(open_source(name, seed, most_choices=_ALL_CHOICES).items)
    except DataError as error:
        raise DataError(error.what, where=error.where, todo="name another set or file with --examples") from None


def _usable(items: Sequence[Item]) -> list[Item]:
    """Items with a right option or accepted answers."""
    return [item for item in items if (item.gold is not None if item.choices else item.answers)]


class _Wording(NamedTuple):
    """What words an item is asked in."""

    how: Task
    words: Dialect
    turns: bool

    def prompt(self, item: Item) -> str:
        """Up to where the answer begins."""
        if self.how.bare:
            return item.question
        if not self.turns:
            return self.words.choice_prompt(item) if self.how.form == "letters" else self.words.open_prompt(item)
        listed = self.words.choice_prompt(item).removeprefix("Question: ").removesuffix("\nAnswer:")
        return as_dialogue(listed if self.how.form == "letters" else item.question)

    def answer(self, item: Item) -> str:
        """What goes on after the prompt of a worked example."""
        if self.how.form == "letters":
            return self.words.letters(len(item.choices))[item.gold or 0]
        if "solution" in item.meta:
            return f" {item.meta['solution']}\n#### {item.answers[0]}"
        return f" {item.choices[item.gold or 0] if item.choices else item.answers[0]}"


def _ready(wording: _Wording, source: Source, item: Item, shown: Sequence[Item], seed: Seed) -> Item:
    """The item with the prompt that asks it, worked examples included, and all that asking and reporting need."""
    how = wording.how
    if how.form == "letters":
        item, shown = shuffled(item, seed), [shuffled(each, seed) for each in shown]
    shots = [Shot(wording.prompt(each), wording.answer(each)) for each in shown]
    letters = how.form == "letters" and how.name not in _LETTERED
    turns = wording.turns and not how.bare
    series = f"{how.name}{', letters' if letters else ''}{', turns' if turns else ''}, {len(shown)}-shot"
    meta = {
        "task": how.name,
        "form": how.form,
        "series": series,
        "by": how.by,
        "alone": (BARE if turns else how.alone) if how.form == "texts" else "",
        "dialect": source.dialect,
        "prompt": wording.words.header(shots) + wording.prompt(item),
        "group": str(item.meta.get("group") or item.meta.get("task") or ""),
        **{key: item.meta[key] for key in ("mc2", "kind") if key in item.meta},
    }
    return replace(item, id=f"{series}/{item.id}", part=how.name, source=source.name, meta=meta)


_LETTERED = frozenset(name for name, each in _TASKS.items() if each.form == "letters")


def _examples(item: Item, spare: Sequence[Item], shots: int, seed: Seed) -> list[Item]:
    """Worked examples of the item's own subject where there are enough, never about what it asks."""
    if not shots:
        return []
    others = [e for e in spare if e.cluster != item.cluster and e.question != item.question]
    subject = item.meta.get("task", "")
    same = [e for e in others if e.meta.get("task", "") == subject]
    others = same if len(same) >= shots else others
    if len(others) < shots:
        raise DataError(f"{len(others)} worked examples, not {shots}", where=item.id, todo="lower --shots")
    return seed.child("examples").random().sample(others, shots)
