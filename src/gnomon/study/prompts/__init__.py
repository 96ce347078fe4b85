"""Prompts that a model makes from good ones, for a policy to be asked.

    gnomon study prompts                                      the embedded world's own questions as good ones
    gnomon study prompts --model hf:FOLDER --data PROMPTS.jsonl --n 5000
    gnomon train rlhf --data brook*0.5,run:ID*0.5             what it made, beside those of people

Bai et al. 2022a (arXiv 2204.05862), sec. 4: of 506k prompts of their reinforcement learning 369k were made by a
model that was shown about ten of people. What is kept lies in `prompts.jsonl` of the run's folder, read as `run:ID`.
Which prompts are dropped is said in `data.made`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.data.made import ALONE, AMONG, Good, good_prompts
from gnomon.report.base import Estimate, Report, Table
from gnomon.report.words import in_words
from gnomon.stats.intervals import proportion
from gnomon.study._family import Studied
from gnomon.study._lab import Lab
from gnomon.study.prompts.written import Written, sifted

__all__ = ["Prompts", "study"]

_SHOWN = 4


@registered
@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Have a model write prompts like those it is shown, and keep the ones that can be used."""

    model: str = "brook"
    "The model that writes; one that continues texts."
    data: str = "brook"
    "Good prompts: brook, or a file whose rows have prompt, messages, or compared answers."
    n: int = 1000
    "Prompts to write."
    shown: int = 10
    "Good ones shown before each, drawn anew."
    max_tokens: int = 64
    "Longest prompt."
    seed: int = 0
    "Seed of what is shown and of the draws."

    def __post_init__(self) -> None:
        if min(self.n, self.shown, self.max_tokens) < 1:
            told = f"--n is {self.n}, --shown {self.shown}, --max-tokens {self.max_tokens}"
            raise UsageError(told, todo="give 1 or more")


def study(cfg: Prompts, root: Path | None, workers: int) -> Studied:
    """Has the model write, sifts, and leaves what is kept.

    Raises:
        DataError: the good prompts cannot be used, or nothing that was written can.
        AbilityError: the model cannot be sampled.
    """
    good = good_prompts(cfg.data)
    lab = Lab(root, workers)
    wanted = Written(data=cfg.data, n=cfg.n, shown=cfg.shown, max_tokens=cfg.max_tokens)
    rows = lab.ask(wanted, "prompts", cfg.model, seed=cfg.seed).rows
    whys = sifted(rows)
    kept = [row for row, why in zip(rows, whys, strict=True) if not why]
    if not kept:
        told = ", ".join(f"{count} {why}" for why, count in Counter(whys).items())
        raise DataError(f"none of {len(rows)} prompts can be used ({told})", where=cfg.model, todo="take another model")
    report = _report(cfg, good, rows, whys, wanted.summarise(rows))
    lines = [json.dumps(_line(row, good), ensure_ascii=False) + "\n" for row in kept]
    return Studied(report, lab.parts, files={"prompts.jsonl": "".join(lines)})


def _line(row: Row, good: Good) -> dict[str, object]:
    asked = good.ask(row.evidence["text"])
    prompt = {"prompt": asked} if isinstance(asked, str) else {"messages": [m._asdict() for m in asked]}
    return {"id": row.key, **prompt, "source": "made"}


def _report(cfg: Prompts, good: Good, rows: Sequence[Row], whys: Sequence[str], found: Report) -> Report:
    kept = [row for row, why in zip(rows, whys, strict=True) if not why]
    new = Estimate.of("new, of those kept", proportion([float(not row.evidence["asked"]) for row in kept]))
    headlines = ("usable by itself", "kept")
    estimates = [replace(e, headline=e.metric in headlines) for e in found.estimates]
    usable = in_words(found.estimate("usable by itself"))
    told = (
        f"Of {len(rows)} prompts that {cfg.model} wrote, {usable} can be used by themselves. {len(kept)} are kept, for "
    )
    told += f"the rest say the same. {in_words(new)} of what is kept is new, none of {len(good.texts)} good ones."
    return Report(
        title=f"Prompts made by {cfg.model}",
        summary=told,
        estimates=[*estimates, replace(new, headline=True)],
        tables=[_shown(rows, whys), *_kinds(good, kept)],
    )


def _shown(rows: Sequence[Row], whys: Sequence[str]) -> Table:
    """A few of what is kept, and of what each filter took."""
    cells = []
    for why in ("", *ALONE, *AMONG):
        of = [row.evidence["text"] for row, each in zip(rows, whys, strict=True) if each == why]
        cells += [[why or "kept", len(of), text] for text in of[:_SHOWN]]
    return Table(title="What was written", columns=["what became of it", "prompts", "some of them"], rows=cells)


def _kinds(good: Good, kept: Sequence[Row]) -> list[Table]:
    """What kinds of question are asked, where the world says; what is made need not be asked as often."""
    if good.dialect != "brook":
        return []
    from gnomon.data.worlds.brook.oracle import request
    from gnomon.data.worlds.brook.tables import world

    def shares(texts: Sequence[str]) -> Counter[str]:
        return Counter(request(world(), text).kind for text in texts)

    people, made = shares(good.texts), shares([row.evidence["text"] for row in kept])
    rows = [[kind, people[kind] / people.total(), made[kind] / made.total()] for kind in sorted(people | made)]
    return [
        Table(title="Kinds of question", columns=["kind", "share of the good ones", "share of those kept"], rows=rows)
    ]
