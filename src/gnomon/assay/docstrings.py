"""Does a model say rightly what a function does? Programs are written from its docstrings, and tested.

    gnomon assay docstrings --model run:ID              one of `gnomon train docstring`; the model that ships codes
    gnomon assay docstrings --model M --coder M --data FILE --judge M

The round trip: a docstring is right if the program that is written from it alone passes the tests of the function that
it was written for. Beside it stands the same programmer with the problem's own docstring, and with none. Chen et al.
2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, sec. 5, graded docstrings by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from gnomon.assay.code import Code
from gnomon.assay.code.asking import judged
from gnomon.core.config import above_zero
from gnomon.core.errors import UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.code_docstrings import described, docstring_stops, with_docstring
from gnomon.data.code_open import open_problems
from gnomon.data.code_sets import Problem, problem_from
from gnomon.models.base import Ability, Completion, Model, Sampling, require
from gnomon.report.base import Estimate, Report
from gnomon.stats.intervals import clustered_mean, proportion
from gnomon.stats.paired import paired_difference
from gnomon.stats.ranking import auroc
from gnomon.trial import Cast, ModelName, Planted, evaluation
from gnomon.trial.graded import Graded, report_on

__all__ = ["Docstrings"]

_ASKED = "{code}\n\nA colleague says of this function: {said}\n\nIs that what it does?"
_ANSWERS = (" Yes", " No")


@evaluation
@dataclass(frozen=True, kw_only=True)
class Docstrings:
    """How often a model says rightly what a function does, by what a programmer makes of its words."""

    data: str = "brook"
    "Functions with docstrings: brook, or a file in HumanEval's form."
    n: int = 60
    "Most functions; those of a file in its order."
    samples: int = 10
    "Docstrings a function."
    temperature: float = 0.8
    "Temperature of docstrings; programs are written at 0."
    coder: ModelName = ModelName("brook")
    "Who writes the program that a docstring asks for."
    judge: ModelName = ModelName("")
    "Who else is asked whether a docstring says what the function does; nobody when empty."
    max_tokens: int = 300
    "Longest docstring, and longest program."
    timeout: float = 3.0
    "Processor seconds a program."
    strong: bool = False
    "Run programs inside bubblewrap too."
    unsafe: bool = False
    "Go on where this machine can hold too little."

    def __post_init__(self) -> None:
        above_zero(self, "n", "samples", "max_tokens", "timeout")
        if self.temperature < 0:
            raise UsageError(f"--temperature is {self.temperature:g}", todo="give 0 or more")

    def items(self, seed: Seed) -> Iterator[Item]:
        """Each function, without its docstring."""
        for problem in open_problems(self.data, self.n, seed):
            found = described(problem, problem.reference)
            meta = {"prompt": found.prompt, "problem": asdict(problem), **_planted(problem, found.docstring)}
            yield Item(id=problem.id, cluster=problem.id, question=found.prompt, source=self.data, meta=meta)

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """Has one function described, and a program written from each description."""
        require(cast.subject, Ability.SAMPLE, why="writing docstrings")
        problem = problem_from(item.meta["problem"])
        how = Sampling(
            max_tokens=self.max_tokens, temperature=self.temperature, stop=docstring_stops(problem), seed=rng.value
        )
        drawn = await cast.subject.sample(item.meta["prompt"], how, self.samples)
        own = described(problem, problem.reference).docstring
        asked = dict.fromkeys([*(completion.text for completion in drawn), own, ""])
        causes = {text: await self._round_trip(problem, text, cast["coder"]) for text in asked}
        judge = cast["judge"] if self.judge else None
        samples = []
        for completion in drawn:
            record = {"text": completion.text, "tokens": completion.num_tokens, "logprob": completion.logprob}
            said = {"said_right": await _judged(judge, problem, completion)} if judge else {}
            samples.append({**record, "cause": causes[completion.text], **said})
        passed = sum(sample["cause"] == "passed" for sample in samples) / len(samples)
        evidence = {
            "level": problem.level,
            "samples": samples,
            "own": causes[own],
            "none": causes[""],
            "scores": {"passed": passed},
        }
        return Row(key=item.id, cluster=item.cluster, evidence=evidence)

    def summarise(self, rows: Sequence[Row]) -> Report:
        """pass@k of docstrings by round trip, the programmer's own limits, and how far a judge agrees."""
        graded = [g for row in rows for g in _graded(row)]
        report = report_on(graded, f"Docstrings for {self.data}")
        bounds = list(_bounds(rows))
        return replace(report, estimates=[*report.estimates[:1], *bounds, *_agreement(rows), *report.estimates[1:]])

    def planted(self) -> Iterable[Planted]:
        """Someone who is right with a known chance, and someone who never is; both write what docstrings say."""
        for name, know in (("right", 0.7), ("null", 0.0)):
            model = f"planted:describer?know={know}"
            yield Planted(
                name=name,
                cast={"subject": model, "coder": model},
                truth={"pass@1": know, "pass@1 with the problem's own docstring": 1.0, "pass@1 with none": 0.0},
                config={"n": 45, "samples": 5},
                null=not know,
            )

    async def _round_trip(self, problem: Problem, docstring: str, coder: Model) -> str:
        """What becomes of the program that `coder` writes from `docstring`."""
        asked = with_docstring(problem, docstring)
        how = Sampling(max_tokens=self.max_tokens, temperature=0.0, stop=asked.stops)
        written = await coder.sample(asked.prompt, how, 1)
        settings = Code(timeout=self.timeout, strong=self.strong, unsafe=self.unsafe)
        (record,) = await judged(settings, asked, written)
        return str(record["cause"])


async def _judged(judge: Model, problem: Problem, completion: Completion) -> float:
    """The judge's chance that the docstring says what the function does."""
    code = described(problem, problem.reference).prompt
    choice = await judge.choose(_ASKED.format(code=code, said=completion.text.strip()), _ANSWERS)
    return choice.p[0]


def _graded(row: Row) -> Iterator[Graded]:
    for index, s in enumerate(row.evidence["samples"]):
        yield Graded(
            task=row.cluster,
            index=index,
            cause=s["cause"],
            detail=s["text"].strip(),
            level=row.evidence["level"],
            total_logprob=s["logprob"],
            mean_logprob=None if s["logprob"] is None else s["logprob"] / max(s["tokens"], 1),
        )


def _bounds(rows: Sequence[Row]) -> Iterator[Estimate]:
    """What the programmer makes of the problem's own docstring, and of none."""
    own = [float(row.evidence["own"] == "passed") for row in rows]
    none = [float(row.evidence["none"] == "passed") for row in rows]
    yield Estimate.of("pass@1 with the problem's own docstring", proportion(own))
    yield Estimate.of("pass@1 with none", proportion(none))
    written = [row.evidence["scores"]["passed"] for row in rows]
    yield Estimate.of("lost to the problem's own docstring", paired_difference(own, written).difference)


def _agreement(rows: Sequence[Row]) -> Iterator[Estimate]:
    """What the judge says, where one was asked, and whether it tells docstrings that pass from those that do not."""
    found = [
        (sample["said_right"], float(sample["cause"] == "passed"), row.cluster)
        for row in rows
        for sample in row.evidence["samples"]
        if "said_right" in sample
    ]
    if found:
        said, right, clusters = map(list, zip(*found, strict=True))
        yield Estimate.of("judge's chance of being right", clustered_mean(said, clusters))
        yield Estimate.of("AUROC of the judge for the round trip", auroc(said, right, clusters))


def _planted(problem: Problem, docstring: str) -> dict[str, Any]:
    """For Brook, what planted models must know: a wrong docstring, and the program for each that may be asked."""
    if not problem.level.endswith(("operation", "operations")):
        return {}
    right = problem.reference.removeprefix(problem.opening)
    wrong = f"{docstring.removesuffix(' .')} then add 1 ."
    programs = {docstring: right, wrong: f" 1 +{right}", "": " 10"}
    asked = {with_docstring(problem, text).prompt: program for text, program in programs.items()}
    return {"right": docstring, "wrong": wrong, "programs": asked}
