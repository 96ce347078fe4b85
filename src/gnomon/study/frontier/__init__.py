"""How far do policies get in helpfulness and in harmlessness, and when do they become evasive?

    gnomon study frontier
    gnomon study frontier --workers 2 --seeds 3
    gnomon study frontier --helpful helpful.jsonl --harmless harmless.jsonl --start hf:FOLDER --model hf:FOLDER \\
        --helpful-rater run:A --harmless-rater run:B

Bai et al. 2022a (arXiv 2204.05862), secs. 4.1 and 4.4: policies are rewarded by preference models of helpful
comparisons, of harmless ones, and of both, and asked for help and for harm; each snapshot has Elo points in either. Too
many red-team prompts make an assistant that evades: the values of its answers to them reach the upper end of what the
comparisons had, those of its answers to requests do not. More prompts that ask for help are the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from gnomon.core.errors import UsageError
from gnomon.core.registry import registered
from gnomon.study._answers import Ask, answer_all
from gnomon.study._measured import measure_all
from gnomon.study._started import of_brook, started
from gnomon.study._trained import Studied, Trained, train_all
from gnomon.study.frontier.summary import KINDS, Arm, Outcome, report
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf

__all__ = ["Frontier", "study"]

_EVEN = 0.5


@registered
@dataclass(frozen=True, kw_only=True)
class Frontier:
    """Reward policies for help, for harmlessness and for both; follow helpful and harmless Elo by snapshot."""

    helpful: str = "brook:requests"
    "Comparisons for helpfulness, as for `gnomon train preference --data`; their prompts ask for help."
    harmless: str = "brook:red-team"
    "Comparisons for harmlessness; their prompts ask for harm."
    helpful_rater: str = "brook:helpful"
    "Who says which answer helps more: brook:RATER or a preference model."
    harmless_rater: str = "brook:harmless"
    "Who says which answer does less harm."
    model: str = "brook"
    "Where preference models start."
    start: str = ""
    "Policy to start from; by default an assistant of mixed quality, which Brook's dialogues teach."
    shares: tuple[float, ...] = (0.0, 0.5, 1.0)
    "Shares of harmless comparisons in what preference models learn; their policies are asked for both alike."
    attacks: tuple[float, ...] = (0.1, 0.9)
    "Further shares of prompts that ask for harm, where a preference model learns both kinds."
    pairs: int = 1200
    "Comparisons that each preference model learns."
    rounds: int = 30
    "Rounds of reinforcement learning of each policy."
    snapshots: int = 2
    "Policies on the way to each that are compared beside its end."
    kl: float = 0.1
    "What a nat of KL from the start costs in units of reward; no budget."
    policy_rate: float = 3e-4
    "Highest learning rate of policies."
    n: int = 100
    "Questions of each kind on which policies are compared."
    test: int = 200
    "Comparisons of each kind whose values answers are held against."
    seeds: int = 4
    "Repetitions; a seed draws comparisons, questions and answers."
    batch: int = 8
    "Comparisons a step of a preference model; with few comparisons, large batches leave too few steps."

    def __post_init__(self) -> None:
        if min((*self.shares, *self.attacks), default=-1.0) < 0 or max((*self.shares, *self.attacks)) > 1:
            raise UsageError("a share lies between 0 and 1", where="--shares, --attacks", todo="give 0,0.5,1")
        for name in KINDS:
            if set(getattr(self, name)) & set(",*"):
                raise UsageError(f"{getattr(self, name)!r} is a mixture", where=f"--{name}", todo="name one source")
        if self.seeds < 1 or not self.shares or min(self.n, self.test, self.pairs) < 2 or self.snapshots < 0:
            raise UsageError("a study needs shares, comparisons, questions and a seed", todo="--n 100 --seeds 2")
        if self.rounds % (self.snapshots + 1) or self.rounds <= self.snapshots:
            what = f"--rounds is {self.rounds}, of {self.snapshots} snapshots and the end"
            raise UsageError(what, todo=f"give a multiple of {self.snapshots + 1}")

    @property
    def arms(self) -> list[Arm]:
        """Every share of comparisons with even prompts, and mixtures with the further shares of prompts too."""
        found = [Arm(share, _EVEN) for share in self.shares]
        return [*found, *(Arm(s, a) for s, a in product(self.shares, self.attacks) if 0 < s < 1 and a != _EVEN)]


def study(cfg: Frontier, root: Path | None, workers: int) -> Studied:
    """Trains every preference model and every policy, and compares all snapshots on requests and on attacks."""
    start, first = started(cfg.start, f"{cfg.helpful},{cfg.harmless}", root=root, workers=workers)
    sorts = list(product(dict.fromkeys(arm.share for arm in cfg.arms), range(cfg.seeds)))
    valued = train_all([_preference(cfg, *sort) for sort in sorts], root=root, workers=workers)
    pms = dict(zip(sorts, valued, strict=True))
    ways = list(product(cfg.arms, range(cfg.seeds)))
    wanted = [_policy(cfg, start, pms[arm.share, seed].model, arm, seed) for arm, seed in ways]
    policies = dict(zip(ways, train_all(wanted, root=root, workers=workers), strict=True))
    # No seed of a training, so that tests are fresh draws.
    found = measure_all(valued, list(_kinds(cfg)), n=cfg.test, seed=10_000, root=root, workers=workers)
    tests = {sort: dict(zip(KINDS, of, strict=True)) for sort, of in zip(sorts, found, strict=True)}
    asks = {way: _asks(cfg, start, pms, policies[way], *way) for way in ways}
    every = list(dict.fromkeys(ask for of in asks.values() for kind in of.values() for ask in kind.values()))
    answers = dict(zip(every, answer_all(every, root=root, workers=workers), strict=True))
    outcomes = [
        Outcome(
            arm=arm,
            pm=pms[arm.share, seed].model,
            answers={kind: {at: answers[ask] for at, ask in of.items()} for kind, of in asks[arm, seed].items()},
            tests=tests[arm.share, seed],
        )
        for arm, seed in ways
    ]
    raters = dict(zip(KINDS, (cfg.helpful_rater, cfg.harmless_rater), strict=True))
    brook = of_brook(f"{cfg.helpful},{cfg.harmless}")
    return Studied(report(outcomes, raters, brook=brook), [*first, *valued, *policies.values()])


def _kinds(cfg: Frontier) -> tuple[str, str]:
    """The sources of comparisons and prompts, in the order of `KINDS`."""
    return cfg.helpful, cfg.harmless


def _mixture(cfg: Frontier, share: float) -> str:
    """Both sources, the harmless one with this share."""
    parts = [(source, round(part, 6)) for source, part in zip(_kinds(cfg), (1 - share, share), strict=True)]
    kept = [(source, part) for source, part in parts if part > 0]
    return kept[0][0] if len(kept) == 1 else ",".join(f"{source}*{part:g}" for source, part in kept)


def _preference(cfg: Frontier, share: float, seed: int) -> Preference:
    data = _mixture(cfg, share)
    return Preference(data=data, model=cfg.model, pairs=cfg.pairs, held_out=50, batch=cfg.batch, seed=seed)


def _policy(cfg: Frontier, start: str, reward: str, arm: Arm, seed: int) -> Rlhf:
    return Rlhf(
        reward=reward,
        data=_mixture(cfg, arm.attacks),
        model=start,
        kl=cfg.kl,
        peak_rate=cfg.policy_rate,
        budget=0.0,
        rounds=cfg.rounds,
        held_out=cfg.n,
        probes=cfg.n,
        every=0,
        snapshots=cfg.snapshots,
        seed=seed,
    )


def _asks(
    cfg: Frontier, start: str, pms: Mapping[tuple[float, int], Trained], policy: Trained, arm: Arm, seed: int
) -> dict[str, dict[int, Ask]]:
    """Who is asked for help and for harm, by rounds of training; the start's answers serve all arms of a seed."""
    between = cfg.rounds // (cfg.snapshots + 1)
    aged = {between * i: f"{policy.model}@{between * i}" for i in range(1, cfg.snapshots + 1)}
    of_seed = tuple(pm.model for (_, each), pm in pms.items() if each == seed)
    found = {}
    for kind, source, rater in zip(KINDS, _kinds(cfg), (cfg.helpful_rater, cfg.harmless_rater), strict=True):
        first = Ask(model=start, values=tuple(dict.fromkeys((rater, *of_seed))), data=source, n=cfg.n, seed=seed)
        own = tuple(dict.fromkeys((rater, pms[arm.share, seed].model)))
        later = {**aged, cfg.rounds: policy.model}
        found[kind] = {0: first, **{at: replace(first, model=model, values=own) for at, model in later.items()}}
    return found
