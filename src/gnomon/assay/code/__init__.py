"""How often does a model write a program that works? Sampled, and graded by tests it cannot reach.

    gnomon assay code --model brook
    gnomon assay code --model M --data HumanEval.jsonl.gz --samples 20 --temperature 0.2,0.8 --top-p 0.95
    gnomon assay code --model run:7f3a --temperature 0,0.4,0.6,0.8,1 --top-p 0.95,1 --samples 25 --k 1,5,10,25

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", arXiv 2107.03374.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Literal

from gnomon.assay._before import digest
from gnomon.assay.code.asking import ask, judged
from gnomon.assay.code.chains import kept_by_each
from gnomon.assay.code.shares import routes, wrongly_bound
from gnomon.assay.code.truths import settings
from gnomon.core.config import above_zero
from gnomon.core.errors import UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.code_open import open_problems, written_for
from gnomon.data.code_sets import Problem, problem_from
from gnomon.models.base import Ability, require
from gnomon.report.base import Report
from gnomon.trial import Cast, ModelName, Planted, evaluation
from gnomon.trial.code import Binding
from gnomon.trial.graded import Envelope, Graded, report_on

__all__ = ["Code"]


@evaluation
@dataclass(frozen=True, kw_only=True)
class Code:
    """How often a model writes a program that works, and whether more tries or a choice among them help."""

    data: str = "brook"
    "Problems: brook, chains, bindings, contests, mini (all embedded), or a file as `gnomon grade --problems` takes."
    n: int = 60
    "Most problems; those of a file in its order."
    samples: int = 10
    "Samples a problem, at each temperature."
    temperature: tuple[float, ...] = (1.0,)
    "Temperatures to sample at; with several settings, the best for each k is chosen on half of the problems."
    top_p: tuple[float, ...] = (1.0,)
    "Nucleus masses to sample at, each with every temperature; the published protocol has 0.95."
    prompt: str = ""
    "Text to put before each problem: brook, assistant-v1, NAME:DIALOGUES, or a file."
    max_tokens: int = 300
    "Longest completion."
    ask: Literal["complete", "chat"] = "complete"
    "Continue the prompt, or ask for the function in words and take it from the reply."
    k: tuple[int, ...] = ()
    "For pass@k; those of 1, 10 and 100 that fit when empty."
    envelope: Envelope = "split"
    "Choose the best setting for a k on half of the problems and report on the rest, or both on all (in-sample)."
    bind: Binding = "candidate"
    "What the test's own uses of the function's name call."
    timeout: float = 3.0
    "Processor seconds a sample."
    bleu: bool = False
    "Measure likeness to the reference too."
    describer: ModelName = ModelName("")
    "A model of `train docstring`: choose the sample behind which it finds the problem's docstring likeliest, too."
    strong: bool = False
    "Run samples inside bubblewrap too."
    unsafe: bool = False
    "Go on where this machine can hold too little."

    def __post_init__(self) -> None:
        above_zero(self, "n", "samples", "max_tokens", "timeout")
        if not self.temperature or min(self.temperature) < 0 or len(set(self.temperature)) < len(self.temperature):
            raise UsageError(f"--temperature is {self.temperature}", todo="give different numbers of at least 0")
        if not all(0 < p <= 1 for p in self.top_p) or len(set(self.top_p)) != len(self.top_p) or not self.top_p:
            raise UsageError(f"--top-p is {self.top_p}", todo="give different numbers above 0 and at most 1")
        if self.k and (min(self.k) < 1 or max(self.k) > self.samples):
            raise UsageError(f"--k {max(self.k)} of --samples {self.samples}", todo="give a k from 1 to --samples")

    def items(self, seed: Seed) -> Iterator[Item]:
        """Each problem in each setting."""
        before = {"before": digest(self.prompt)} if self.prompt else {}
        for problem in open_problems(self.data, self.n, seed):
            for temperature, top_p in product(self.temperature, self.top_p):
                nucleus = f" top-p={top_p:g}" if len(self.top_p) > 1 else ""
                yield Item(
                    id=f"{problem.id} T={temperature:g}{nucleus}",
                    cluster=problem.id,
                    question=problem.text,
                    source=self.data,
                    meta={"temperature": temperature, "top_p": top_p, **before, **_kept(problem, self.ask)},
                )

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """Samples one problem, and has every sample judged."""
        require(cast.subject, Ability.SAMPLE, why="writing programs")
        problem = problem_from(item.meta["problem"])
        drawn = await ask(self, problem, item, cast.subject, rng)
        found = await judged(self, problem, drawn, cast["describer"] if self.describer else None)
        share = sum(s["cause"] == "passed" for s in found) / len(found)
        evidence = {
            "temperature": item.meta["temperature"],
            "top_p": item.meta["top_p"],
            "level": problem.level,
            "samples": found,
            "scores": {"passed": share},
        }
        return Row(key=item.id, cluster=item.cluster, evidence=evidence)

    def summarise(self, rows: Sequence[Row]) -> Report:
        """pass@k with intervals over problems, why samples fail, and what choosing one by log-probability gains."""
        graded = [g for row in rows for g in _graded(row)]
        report = report_on(graded, f"Programs for {self.data}", ks=self.k, envelope=self.envelope)
        first = [kept_by_each(graded)] if self.data == "chains" else []
        last = [*wrongly_bound(graded), *(routes(rows) if self.ask == "chat" else ())]
        return replace(report, estimates=[*first, *report.estimates, *last])

    def planted(self) -> Iterable[Planted]:
        """Programmers of known skill, one who is never right, and one whose best temperature depends on k."""
        return settings()


def _kept(problem: Problem, how: str) -> dict[str, Any]:
    """What the item carries: the problem, and for planted programmers what is right, what is wrong, how often."""
    kept: dict[str, Any] = {"problem": asdict(problem), "prompt": problem.text if how == "chat" else problem.prompt}
    written = written_for(problem)
    return kept if written is None else kept | {**written._asdict(), "wrong": list(written.wrong)}


def _graded(row: Row) -> Iterator[Graded]:
    for index, sample in enumerate(row.evidence["samples"]):
        total, tokens = sample["logprob"], sample["tokens"]
        yield Graded(
            task=row.cluster,
            index=index,
            cause=sample["cause"],
            detail=sample["detail"],
            level=row.evidence["level"],
            temperature=row.evidence["temperature"],
            top_p=row.evidence["top_p"],
            total_logprob=total,
            mean_logprob=None if total is None else total / max(tokens, 1),
            back_logprob=sample.get("back"),
            bleu=sample.get("bleu"),
            shown=sample.get("shown"),
        )
