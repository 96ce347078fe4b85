"""How far can a policy be pushed before the preference model that rewards it is no longer to be believed?

    gnomon study robustness
    gnomon study robustness --pairs 100,300,1000,3000 --seeds 4 --workers 2
    gnomon study robustness --model run:XS,run:S,brook
    gnomon study robustness --data brook --kl 0,0.001,0.01,0.1
    gnomon study robustness --data FILE --model hf:FOLDER --start hf:FOLDER --asked PROMPTS.jsonl

Bai et al. 2022a (arXiv 2204.05862), secs. 4.2 and 4.3: the comparisons are cut into two halves; a policy is rewarded by
the preference model of one half and watched by those of the other, of every size. Where the two part, what is gained is
gained of the one preference model alone. Of a ladder of sizes every policy learns from the largest preference model,
and from one of its own size. Both halves are learnt from in turn, and the two policies read together: two preference
models of as many comparisons differ in the scale of their values, and that alone would part them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.study._family import sized, spoken
from gnomon.study._trained import Studied, Trained, train_all
from gnomon.study.robustness.cells import Place, test_of
from gnomon.study.robustness.summary import Sort, report
from gnomon.train._curve import Reading, read
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf
from gnomon.train.sft import Sft

__all__ = ["Robustness", "study"]

HALVES = ("1/2", "2/2")
_DRAWS_APART = 1000


@registered
@dataclass(frozen=True, kw_only=True)
class Robustness:
    """Reward policies by preference models of half the comparisons, and watch them by those of the other half."""

    data: tuple[str, ...] = ("brook", "brook:flattered")
    "Comparisons, as for `gnomon train preference --data`, each by itself."
    pairs: tuple[int, ...] = (300, 3000)
    "Comparisons in each half."
    model: tuple[str, ...] = ("brook",)
    "Language models that preference models start from; several are a ladder of sizes."
    start: tuple[str, ...] = ()
    "Where policies start, one a --model; by default assistants of mixed quality, which Brook's dialogues teach it."
    asked: str = "brook"
    "What policies are asked, as for `gnomon train rlhf --data`."
    preset: Literal["healthy", "goodhart"] = "healthy"
    "Whose learning rate policies have, as for `gnomon train rlhf`; KL has no budget."
    kl: tuple[float, ...] = (0.001,)
    "What a nat of KL costs in units of reward; the paper has 0.001. Several are compared."
    rounds: int = 50
    "Rounds of reinforcement learning."
    every: int = 5
    "Rounds from one reading of a policy to the next."
    probes: int = 100
    "Held-out questions of a reading."
    max_tokens: int = 32
    "Longest answer, as in the paper's study."
    draws: int = 1
    "Policies that learn from each preference model; they differ in what is asked and drawn."
    held_out: int = 400
    "Comparisons that preference models are measured on."
    epochs: int = 1
    "Passes of preference models over their comparisons; with more they learn them by heart."
    batch: int = 8
    "Comparisons a step of a preference model; with few comparisons, large batches leave too few steps."
    seeds: int = 3
    "Repetitions; a seed draws comparisons, questions and answers."

    def __post_init__(self) -> None:
        named = (self.data, self.pairs, self.model, self.kl)
        if min(self.seeds, self.draws) < 1 or not all(named):
            raise UsageError("a study needs comparisons, a model and a seed", todo="--pairs 300,3000 --seeds 3")
        if any(len(set(each)) < len(each) for each in named):
            raise UsageError("something is named twice", todo="name each of --data, --pairs, --model and --kl once")
        if min(self.kl) < 0:
            raise UsageError(f"--kl is {min(self.kl):g}", todo="give 0 or more")
        if self.every < 1 or self.rounds < 2 * self.every:
            what = f"--every is {self.every} of {self.rounds} rounds, too few readings for a curve"
            raise UsageError(what, todo="give --rounds of at least twice as many")
        if self.start and len(self.start) != len(self.model):
            raise UsageError(
                f"{len(self.start)} starts for {len(self.model)} models", todo="give --start one a --model"
            )
        if not self.start and self.asked != "brook":
            todo = "give --start run:ID, what `gnomon train sft` left, or hf:FOLDER"
            raise UsageError("an assistant of mixed quality is trained for Brook's questions alone", todo=todo)


class _Half(NamedTuple):
    """A preference model's place: what it learns, how large it is, which half of which repetition it has."""

    data: str
    pairs: int
    parameters: float
    seed: int
    half: int


class _One(NamedTuple):
    """A policy's place, its repetition, the half that it learns from, and which of several draws it is."""

    place: Place
    seed: int
    half: int
    draw: int


def study(cfg: Robustness, root: Path | None, workers: int) -> Studied:
    """Trains preference models of both halves, and policies that each of them rewards and the others watch.

    Raises:
        UsageError: two models are of one size.
        GnomonError: a training failed; those that were done are kept.
    """
    family = sized(cfg.model, least=1)
    names = {m.parameters: m.name for m in family}
    if len({spoken(m.parameters) for m in family}) < len(family):
        raise UsageError("two models are of one size", where="--model", todo="name one of each")
    halves = [
        _Half(data, pairs, size, seed, half)
        for data, pairs, size, seed, half in product(cfg.data, cfg.pairs, names, range(cfg.seeds), range(2))
    ]
    mixed = [] if cfg.start else [Sft(model=name, best_of=1) for name in names.values()]
    wanted = [*mixed, *(_preference(cfg, names[half.parameters], half) for half in halves)]
    first = train_all(wanted, root=root, workers=workers)
    starts = dict(zip(cfg.model, cfg.start, strict=True)) if cfg.start else {}
    starts |= {done.config.model: done.model for done in first[: len(mixed)]}
    valued = dict(zip(halves, first[len(mixed) :], strict=True))
    ones = [
        _One(place, seed, half, draw)
        for place, seed, half, draw in product(_places(cfg, list(names)), range(cfg.seeds), range(2), range(cfg.draws))
    ]
    policies = [_policy(cfg, starts[names[one.place.policy]], valued, one) for one in ones]
    second = train_all(policies, root=root, workers=workers)
    ways: dict[Place, list[list[list[Reading]]]] = {}
    for one, done in zip(ones, second, strict=True):
        of = ways.setdefault(one.place, [[] for _ in range(cfg.seeds)])
        of[one.seed].append(_way(done, _tests(valued, one)))
    measured: dict[Sort, list[list[Row]]] = {}
    for half, done in valued.items():
        measured.setdefault(Sort(*half[:3]), []).append(done.rows)
    return Studied(report(ways, measured, answers=policies[0].answers), [*first, *second])


def _places(cfg: Robustness, sizes: Sequence[float]) -> list[Place]:
    """Every policy under the largest preference model, and under that of its own size."""
    both = dict.fromkeys([(max(sizes), size) for size in sizes] + [(size, size) for size in sizes])
    every = product(cfg.data, sorted(cfg.pairs), both, sorted(cfg.kl))
    return [Place(data, pairs, valued, policy, kl) for data, pairs, (valued, policy), kl in every]


def _preference(cfg: Robustness, model: str, half: _Half) -> Preference:
    return Preference(
        data=half.data,
        model=model,
        pairs=half.pairs,
        part=HALVES[half.half],
        held_out=cfg.held_out,
        epochs=cfg.epochs,
        batch=cfg.batch,
        seed=half.seed,
    )


def _policy(cfg: Robustness, start: str, valued: Mapping[_Half, Trained], one: _One) -> Rlhf:
    place = one.place
    taught = valued[_Half(place.data, place.pairs, place.valued, one.seed, one.half)]
    return Rlhf(
        reward=taught.model,
        watched=tuple(_tests(valued, one)),
        data=cfg.asked,
        model=start,
        preset=cfg.preset,
        kl=place.kl,
        budget=0.0,
        rounds=cfg.rounds,
        every=cfg.every,
        probes=cfg.probes,
        held_out=cfg.probes,
        max_tokens=cfg.max_tokens,
        seed=one.seed + _DRAWS_APART * one.draw,
    )


def _tests(valued: Mapping[_Half, Trained], one: _One) -> dict[str, str]:
    """The preference models of the other half, of every size, and what the report calls their values."""
    place, other = one.place, 1 - one.half
    return {
        done.model: test_of(half.parameters)
        for half, done in valued.items()
        if (half.data, half.pairs, half.seed, half.half) == (place.data, place.pairs, one.seed, other)
    }


def _way(policy: Trained, tests: Mapping[str, str]) -> list[Reading]:
    return [
        each._replace(values={tests.get(name, name): values for name, values in each.values.items()})
        for each in read(policy.rows)
    ]
