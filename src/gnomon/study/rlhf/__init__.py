"""From comparisons to an assistant, with what there is to trust or distrust its reward by.

    gnomon study rlhf
    gnomon study rlhf --seeds 3 --workers 2
    gnomon study rlhf --data FILE --model hf:FOLDER --start hf:FOLDER --asked PROMPTS.jsonl --tasks arc,hellaswag

Bai et al. 2022a (arXiv 2204.05862), secs. 2 to 4, end to end: a preference model of half the comparisons and one of the
other half, which is never learnt from; a policy that is rewarded by the first within a budget of KL; beside it, one
that is rewarded without a budget by a preference model of few comparisons. What is read: whether a difference of values
is a win rate; what each value gained by distance from the start, and where the two preference models part; Elo of
policies on the way; what the model could do before, and can still. In Brook the few comparisons are by a rater who
likes flattery, and what is meant is known of every answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gnomon.assay.ability import Ability
from gnomon.assay.answers import Answers
from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.report.base import Report
from gnomon.stats.elo import Elo as Ranking
from gnomon.stats.elo import elo
from gnomon.study._lab import Lab
from gnomon.study._trained import Studied, Trained, environment, train_all
from gnomon.study.elo import judged
from gnomon.study.rlhf.summary import Evidence, report
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf as Policy
from gnomon.train.sft import Sft
from gnomon.trial import ModelName

__all__ = ["Rlhf", "study"]


@registered
@dataclass(frozen=True, kw_only=True)
class Rlhf:
    """Train an assistant from comparisons, and gather what there is to trust or distrust its reward by."""

    data: str = "brook*0.9,brook:broken*0.1"
    "Comparisons, as for `gnomon train preference --data`; a half teaches, the other half tests."
    pairs: int = 2000
    "Comparisons in each half."
    few: int = 400
    "Comparisons of the preference model that is made to fail; 0 leaves that part out."
    few_data: str = "brook:flattered"
    "Where those come from; for a file of your own, name it here too."
    model: str = "brook"
    "Language model that preference models start from."
    start: str = ""
    "Policy to start from; by default an assistant of mixed quality of --model, which Brook's dialogues teach."
    asked: str = "brook"
    "What policies are asked, as for `gnomon train rlhf --data`."
    rounds: int = 40
    "Rounds of training."
    snapshots: int = 3
    "Policies on the way that are compared too."
    max_tokens: int = 40
    "Longest answer."
    judge: str = ""
    "Who compares policies: brook:RATER or a preference model; by default brook:gold, or the model of the other half."
    tasks: tuple[str, ...] = ("brook",)
    "What the cost is read on, as for `gnomon assay ability --tasks`."
    n: int = 100
    "Items a task, and questions that policies are compared on."
    held_out: int = 400
    "Comparisons that preference models are measured on, and questions that policies are."
    seeds: int = 1
    "Trainings of each; a seed draws comparisons, questions and answers."

    def __post_init__(self) -> None:
        if min(self.seeds, self.n, self.pairs, self.held_out) < 1 or self.few < 0:
            raise UsageError("a study needs comparisons, items and a seed", todo="--pairs 2000 --n 100 --seeds 1")
        if not self.start and self.asked != "brook":
            todo = "give --start run:ID, what `gnomon train sft` left, or hf:FOLDER"
            raise UsageError("an assistant of mixed quality is trained for Brook's questions alone", todo=todo)


class _Passes(NamedTuple):
    """Passes over the comparisons of a preference model, and comparisons a step."""

    epochs: int
    batch: int


# A second pass at this batch does not overfit; four passes over few comparisons learn them by heart.
_GOOD, _BY_HEART = _Passes(2, 16), _Passes(4, 8)


class _Trainings(NamedTuple):
    """Trainings by seed: preference models to learn from and to test by, policies, and the same of few comparisons."""

    taught: list[Trained]
    tests: list[Trained]
    policies: list[Trained]
    few: list[Trained]
    pushed: list[Trained]


def study(cfg: Rlhf, root: Path | None, workers: int) -> Studied:
    """Trains preference models and policies, compares policies, asks the tasks, and reads all of it together.

    Raises:
        GnomonError: a training or an evaluation failed; those that were done are kept.
    """
    starts = train_all([] if cfg.start else [Sft(model=cfg.model, best_of=1)], root=root, workers=workers)
    start = cfg.start or starts[0].model
    found = _trained(cfg, start, root, workers)
    lab = Lab(root, workers)
    with environment(root, workers):
        players = _players(cfg, start, found)
        ranking = _ranked(cfg, lab, players, found.tests[0].model)
        tax = [_tax(cfg, lab, policy.model, start) for policy in found.policies]
    seen = Evidence(found.taught, found.policies, found.pushed, found.tests[0].model, ranking, tax)
    parts = [*starts, *(each for group in found for each in group), *lab.parts]
    return Studied(report(seen), parts)


def _trained(cfg: Rlhf, start: str, root: Path | None, workers: int) -> _Trainings:
    seeds = range(cfg.seeds)
    halves = [[_valued(cfg, cfg.data, cfg.pairs, part, seed, _GOOD) for seed in seeds] for part in ("1/2", "2/2")]
    few = [_valued(cfg, cfg.few_data, cfg.few, "1/1", seed, _BY_HEART) for seed in seeds if cfg.few]
    valued = train_all([*halves[0], *halves[1], *few], root=root, workers=workers)
    taught, tests, little = valued[: cfg.seeds], valued[cfg.seeds : 2 * cfg.seeds], valued[2 * cfg.seeds :]
    wanted = [_policy(cfg, start, *two, "healthy", seed) for seed, two in enumerate(zip(taught, tests, strict=True))]
    pushed = [
        _policy(cfg, start, *two, "goodhart", seed)
        for seed, two in enumerate(zip(little, tests[: len(little)], strict=True))
    ]
    policies = train_all([*wanted, *pushed], root=root, workers=workers)
    return _Trainings(taught, tests, policies[: cfg.seeds], little, policies[cfg.seeds :])


def _valued(cfg: Rlhf, data: str, pairs: int, part: str, seed: int, how: _Passes) -> Preference:
    return Preference(
        data=data,
        model=cfg.model,
        pairs=pairs,
        part=part,
        held_out=cfg.held_out,
        epochs=how.epochs,
        batch=how.batch,
        seed=seed,
    )


def _policy(cfg: Rlhf, start: str, taught: Trained, test: Trained, preset: str, seed: int) -> Policy:
    return Policy(
        model=start,
        data=cfg.asked,
        reward=taught.model,
        watched=(test.model,),
        preset="healthy" if preset == "healthy" else "goodhart",
        rounds=cfg.rounds,
        snapshots=cfg.snapshots if seed == 0 else 0,
        max_tokens=cfg.max_tokens,
        held_out=cfg.held_out,
        seed=seed,
    )


def _players(cfg: Rlhf, start: str, found: _Trainings) -> Mapping[str, str]:
    """Models by what the tables call them, the start first; of the first seed."""
    from gnomon.models.load import checkpoint_folder

    policy = found.policies[0]
    folder = checkpoint_folder(policy.model).parent / "snapshots"
    kept = sorted(int(path.name) for path in folder.glob("[0-9]*"))
    players = {"start": start, **{f"round {at}": f"{policy.model}@{at}" for at in kept}, "healthy": policy.model}
    return {**players, "goodhart": found.pushed[0].model} if found.pushed else players


def _ranked(cfg: Rlhf, lab: Lab, players: Mapping[str, str], test: str) -> Ranking:
    config = Answers(data=(cfg.asked,), n=cfg.n, max_tokens=cfg.max_tokens)
    answers: dict[str, Sequence[Row]] = {
        name: lab.ask(config, "answers", model, f"answers of {name}").rows for name, model in players.items()
    }
    judge = cfg.judge or ("brook" if cfg.asked == "brook" else test)
    return elo(asyncio.run(judged(answers, judge, Seed(0).child("judge"))), players=list(players))


def _tax(cfg: Rlhf, lab: Lab, policy: str, start: str) -> Report:
    config = Ability(tasks=cfg.tasks, n=cfg.n, against=ModelName(start))
    return lab.ask(config, "ability", policy).report
