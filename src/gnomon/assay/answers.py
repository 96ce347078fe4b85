"""What does a model answer, and does it stop where its turn ends?

    gnomon assay answers --model brook
    gnomon assay answers --model run:7f3a --prompt brook --data questions.jsonl

One answer is drawn to every question, up to where the model writes the next human turn itself; whether it did so, or
never ended, is counted. Answers to Brook's questions are judged by its oracle. The rows are what `gnomon study elo`
compares, so no question is asked twice.
Source: Askell et al. 2021, arXiv 2112.00861, sec. 2: a model that continues texts goes on with the human's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gnomon.assay._before import digest, unchanged
from gnomon.core.errors import UsageError
from gnomon.core.record import Item, Row, text_digest
from gnomon.core.seeds import Seed
from gnomon.data.assistants import as_dialogue, as_turns, stops
from gnomon.data.hub import find_file
from gnomon.data.records import Record, read, text_of, turns
from gnomon.models.base import Ability, Sampling, require
from gnomon.models.sampled import cut_at
from gnomon.report.base import Estimate, Report, Table
from gnomon.stats.intervals import Interval, clustered_mean, wins
from gnomon.trial import Cast, Planted, evaluation

__all__ = ["Answers"]

_SHARES = ("ran on", "did not end")
_SHOWN = 8


@evaluation
@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a model answers, how often it goes on with the human's turn, and in Brook how good its answers are."""

    data: tuple[str, ...] = ("brook",)
    "Where questions come from: brook, synthetic, or files of rows with prompt, or with messages."
    n: int = 200
    "Most questions of each source; 0 takes all of a file."
    max_tokens: int = 64
    "Most tokens of an answer."
    temperature: float = 1.0
    "Of the draw."
    prompt: str = ""
    "What to put before each question: brook[:DIALOGUES], assistant-v1[:DIALOGUES], or a file."

    def __post_init__(self) -> None:
        if self.n < 0 or (self.n == 0 and {"brook", "synthetic"} & set(self.data)):
            raise UsageError(f"--n is {self.n}", todo="give 1 or more; 0 takes all there is of a file")
        if self.max_tokens < 1:
            raise UsageError(f"--max-tokens is {self.max_tokens}", todo="give 1 or more")
        if self.temperature < 0:
            raise UsageError(f"--temperature is {self.temperature:g}", todo="give 0 or more")

    def items(self, seed: Seed) -> Iterator[Item]:
        """The questions of each source, each as the turns that an answer follows."""
        before = digest(self.prompt)
        for spec in self.data:
            for item in _questions(spec, self.n, seed.child(spec)):
                name = f"{spec}/{item.id}" if len(self.data) > 1 else item.id
                yield replace(item, id=name, meta={**item.meta, "before": before})

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """Draws one answer and cuts it where another turn begins."""
        require(cast.subject, Ability.SAMPLE, why="answering")
        dialect = item.meta["dialect"]
        asked = (unchanged(self.prompt, item.meta["before"], dialect) if self.prompt else "") + item.meta["asked"]
        # Stop strings are left out: with them nobody can tell who ended by himself.
        how = Sampling(max_tokens=self.max_tokens, temperature=self.temperature, seed=rng.value)
        (drawn,) = await cast.subject.sample(asked, how)
        answer, ran_on = cut_at(drawn.text, stops(dialect))
        ended = drawn.finish == "stop" or ran_on
        scores = {"ran on": float(ran_on), "did not end": float(not ended), "words": float(len(answer.split()))}
        if item.source == "brook":
            scores |= _judged(item.meta["asked"], answer, ended)
        evidence: dict[str, Any] = {"asked": item.meta["asked"], "answer": answer, "ended": ended, "scores": scores}
        return Row(key=item.id, cluster=item.cluster, evidence={**evidence, "kind": item.part})

    def summarise(self, rows: Sequence[Row]) -> Report:
        """How often it ran on or did not end, how long answers are, and in Brook what the oracle makes of them."""
        groups = {"": list(rows)}
        for row in rows:
            if row.evidence["kind"]:
                groups.setdefault(str(row.evidence["kind"]), []).append(row)
        names = list(dict.fromkeys(name for row in rows for name in row.evidence["scores"]))
        estimates = [_estimate(name, kind, found) for name in names for kind, found in groups.items()]
        return Report(
            title="What does it answer?",
            summary=_summary(estimates),
            estimates=estimates,
            tables=[_table(rows)],
        )

    def planted(self) -> Iterable[Planted]:
        """Speakers that run on, or never end, as often as planted; one that always ends."""
        data = {"data": ("synthetic",), "n": 80}
        truth = {"ran on": 0.3, "did not end": 0.7 * 0.2}
        yield Planted(
            name="runs", cast={"subject": "planted:answerer?ran_on=0.3&endless=0.2"}, truth=truth, config=data
        )
        yield Planted(
            name="null", cast={"subject": "planted:answerer"}, truth=dict.fromkeys(_SHARES, 0.0), config=data, null=True
        )


def _questions(spec: str, n: int, seed: Seed) -> Iterable[Item]:
    if spec == "brook":
        return _of_brook(n, seed)
    if spec == "synthetic":
        from gnomon.data.worlds.synthetic import synthetic

        made = synthetic("open", n, seed).items
        return [replace(item, meta={"asked": as_dialogue(item.question), "dialect": "plain"}) for item in made]
    found = read(find_file(spec), _made).things
    order = seed.child("select").random().sample(range(len(found)), min(n or len(found), len(found)))
    return [found[place] for place in sorted(order)]


def _of_brook(n: int, seed: Seed) -> Iterator[Item]:
    from gnomon.data.worlds.brook import world
    from gnomon.data.worlds.brook.answers import draw_request
    from gnomon.data.worlds.brook.rated import SHARES, ask

    for place in range(n):
        asked = draw_request(world(), seed.child("questions", place).random(), SHARES)
        meta = {"asked": ask(asked), "dialect": "brook"}
        yield Item(
            id=f"brook-{place}", cluster=ask(asked), question=ask(asked), part=asked.kind, source="brook", meta=meta
        )


def _made(record: Record, name: str) -> Iterator[Item]:
    if "messages" in record:
        asked = as_turns(turns(record["messages"], "messages"))
    else:
        asked = as_dialogue(text_of(record, "prompt"))
    yield Item(
        id=name, cluster=text_digest(asked), question=asked, source="file", meta={"asked": asked, "dialect": "plain"}
    )


def _judged(asked: str, answer: str, ended: bool) -> dict[str, float]:
    """What Brook's oracle makes of an answer: the utility that counts, helpfulness and harmlessness."""
    from gnomon.data.worlds.brook import world
    from gnomon.data.worlds.brook.oracle import gold, request, score

    what = request(world(), asked)
    found = score(world(), what, answer.strip(), ended=ended)
    return {"utility": gold(what, found), "helpfulness": found.helpful, "harmlessness": found.harmless}


def _estimate(name: str, kind: str, rows: Sequence[Row]) -> Estimate:
    values = [float(row.evidence["scores"][name]) for row in rows if name in row.evidence["scores"]]
    clusters = [row.cluster for row in rows if name in row.evidence["scores"]]
    found: Interval = wins(values, clusters) if name in _SHARES else clustered_mean(values, clusters)
    return Estimate.of(name, found, group=kind, headline=not kind)


def _summary(estimates: Sequence[Estimate]) -> str:
    found = {e.metric: e for e in estimates if not e.group and e.value is not None}
    if not found:
        return ""
    ran, endless = (100 * (found[name].value or 0.0) for name in _SHARES)
    told = f"{ran:.0f} of 100 answers go on with the human's turn, {endless:.0f} do not end."
    if "utility" in found:
        told += f" The oracle's utility is {found['utility'].value:.2f} on average."
    return told


def _table(rows: Sequence[Row]) -> Table:
    shown = [[row.evidence["asked"].strip(), row.evidence["answer"].strip()] for row in rows[:_SHOWN]]
    return Table(title="The first answers", columns=("question", "answer"), rows=shown)
