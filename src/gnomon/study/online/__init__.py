"""Does comparing the answers of the newest policies make better ones than as many comparisons of the first model's?

    gnomon study online
    gnomon study online --workers 2
    gnomon study online --data FILE --asked PROMPTS.jsonl --start hf:FOLDER --model run:PMP --rater run:PM

Bai et al. 2022a (arXiv 2204.05862), sec. 4.5: a loop of rounds, each with a preference model of all comparisons so far,
a policy that it rewards, and comparisons of what the policy's snapshots say. Preference models start anew from the same
model, and policies from the first one. Then, with as many comparisons and the same settings: those of the first model
alone ("static") against even thirds of those, of the best of several answers by a preference model, and of the loop's
("mixed"); a preference model and a policy for each. A rater who errs as people do takes the place of people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gnomon.core.errors import UsageError
from gnomon.core.registry import registered
from gnomon.study._answers import Answers, Ask, answer_all
from gnomon.study._measured import measure_all
from gnomon.study._started import of_brook, started
from gnomon.study._trained import Studied, Trained, train_all
from gnomon.study.online.collected import Collect, Collected, collect_all
from gnomon.study.online.summary import Outcome, Tests, decomposed, report
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf

__all__ = ["Online", "study"]

STATIC, MIXED, START = "static", "mixed", "start"

# Few comparisons go far behind it (`study pmp`), and every preference model of the study starts anew from it.
_PRE_TRAINING = Preference(data="brook:forum,brook:vandal", held_out=100)


@registered
@dataclass(frozen=True, kw_only=True)
class Online:
    """Iterate preference models and policies on fresh comparisons; compare with as many of the first model's."""

    data: str = "brook"
    "Comparisons of the first model's answers, as for `gnomon train preference --data`."
    model: str = ""
    "Where preference models start; by default one that is first trained on Brook's cheap comparisons."
    start: str = ""
    "Policy to start from; by default an assistant of mixed quality, which Brook's dialogues teach."
    asked: str = "brook"
    "What policies are asked, and raters ask, as for `gnomon train rlhf --data`."
    rater: str = "brook:gold"
    "Who compares: brook:RATER, or a preference model such as run:7f3a."
    rounds: int = 4
    "Rounds of the loop."
    pairs: int = 2400
    "Comparisons that each side learns; the loop's rounds add to them."
    best_of: int = 4
    "Answers of which the best by the static preference model is shown."
    policy_rounds: int = 30
    "Rounds of reinforcement learning of each policy."
    snapshots: int = 2
    "Policies on the way to each that are served beside its end."
    kl: float = 0.1
    "What a nat of KL from the start costs in units of reward; no budget."
    policy_rate: float = 3e-4
    "Highest learning rate of policies."
    test: int = 100
    "Comparisons of each kind to measure preference models on."
    judged: int = 100
    "Questions on which policies are compared."
    seeds: int = 4
    "Repetitions; a seed draws comparisons, questions and answers."
    batch: int = 8
    "Comparisons a step; with few comparisons, large batches leave too few steps."
    peak_rate: float = 6e-4
    "Highest learning rate of preference models."

    def __post_init__(self) -> None:
        if set(self.data) & set(",*"):
            raise UsageError(f"{self.data!r} is a mixture", where="--data", todo="name one source")
        if self.seeds < 1 or self.rounds < 1 or self.best_of < 2 or self.snapshots < 0 or self.judged < 2:
            raise UsageError("a study needs rounds, seeds and questions", todo="--rounds 4 --seeds 4 --best-of 4")
        if self.pairs < 3 * self.rounds or self.test < self.rounds:
            what = f"--pairs is {self.pairs} and --test {self.test}, of {self.rounds} rounds"
            raise UsageError(what, todo="give each round a comparison of each")
        if self.policy_rounds % (self.snapshots + 1) or self.policy_rounds <= self.snapshots:
            what = f"--policy-rounds is {self.policy_rounds}, of {self.snapshots} snapshots and the end"
            raise UsageError(what, todo=f"give a multiple of {self.snapshots + 1}")

    @property
    def worth(self) -> str:
        """What an answer is really worth: in Brook its gold utility, else what the rater makes of it."""
        return "brook:gold" if of_brook(self.asked) else self.rater

    @property
    def tranche(self) -> int:
        """Comparisons that a round of the loop adds."""
        return self.pairs // 3 // self.rounds

    @property
    def between(self) -> int:
        """Rounds of a policy's training from one snapshot to the next."""
        return self.policy_rounds // (self.snapshots + 1)


@dataclass
class _Loop:
    """What one repetition has made so far.

    Attributes:
        pms, policies, tranches: of each round.
        rejected: the comparisons of best answers.
        mixed: the preference model of even thirds, and its policy.
    """

    seed: int
    pms: list[Trained] = field(default_factory=list)
    policies: list[Trained] = field(default_factory=list)
    tranches: list[Collected] = field(default_factory=list)
    rejected: list[Collected] = field(default_factory=list)
    mixed: list[Trained] = field(default_factory=list)

    @property
    def trained(self) -> list[Trained]:
        """Every training."""
        return [*self.pms, *self.policies, *self.mixed]


def study(cfg: Online, root: Path | None, workers: int) -> Studied:
    """Runs the loop of every seed, trains both sides, and compares all policies on the same questions."""
    start, first = started(cfg.start, cfg.asked, root=root, workers=workers)
    cheap = [] if cfg.model else train_all([_PRE_TRAINING], root=root, workers=workers)
    cfg = replace(cfg, model=cfg.model or cheap[0].model)
    loops = [_Loop(seed) for seed in range(cfg.seeds)]
    for round_ in range(cfg.rounds):
        learnt = [[(cfg.data, cfg.pairs), *((t.learnt, cfg.tranche) for t in loop.tranches)] for loop in loops]
        _train(cfg, loops, start, learnt, root, workers)
        if not round_:
            wanted = [_rejection(cfg, loop, start) for loop in loops]
            for loop, found in zip(loops, collect_all(wanted, root=root, workers=workers), strict=True):
                loop.rejected.append(found)
        wanted = [_serving(cfg, loop, round_) for loop in loops]
        for loop, found in zip(loops, collect_all(wanted, root=root, workers=workers), strict=True):
            loop.tranches.append(found)
    _train(cfg, loops, start, [_thirds(cfg, loop) for loop in loops], root, workers, mixed=True)
    outcomes = _outcomes(cfg, loops, start, root, workers)
    trained = [*first, *cheap, *(each for loop in loops for each in loop.trained)]
    behind = {STATIC: cfg.pairs, **{f"round {i}": cfg.pairs + (i - 1) * cfg.tranche for i in range(2, cfg.rounds + 1)}}
    said = report(outcomes, worth=cfg.worth, rater=cfg.rater, learnt={**behind, MIXED: cfg.pairs})
    return Studied(said, trained)


def _train(
    cfg: Online,
    loops: Sequence[_Loop],
    start: str,
    learnt: Sequence[Sequence[tuple[str, int]]],
    root: Path | None,
    workers: int,
    *,
    mixed: bool = False,
) -> None:
    """A preference model of what each loop has `learnt`, and a policy that it rewards, added to the loop."""
    wanted = [_preference(cfg, parts, loop.seed) for parts, loop in zip(learnt, loops, strict=True)]
    pms = train_all(wanted, root=root, workers=workers)
    rewarded = [_policy(cfg, start, pm.model, loop.seed) for pm, loop in zip(pms, loops, strict=True)]
    for loop, pm, policy in zip(loops, pms, train_all(rewarded, root=root, workers=workers), strict=True):
        if mixed:
            loop.mixed = [pm, policy]
        else:
            loop.pms.append(pm)
            loop.policies.append(policy)


def _preference(cfg: Online, parts: Sequence[tuple[str, int]], seed: int) -> Preference:
    """A training on so many comparisons of each source, but one: no training is without one to measure on."""
    total = sum(n for _, n in parts)
    mixture = ",".join(f"{source}*{n / total:.9g}" for source, n in parts)
    return Preference(
        data=mixture if len(parts) > 1 else parts[0][0],
        model=cfg.model,
        pairs=total - 1,
        held_out=1,
        batch=cfg.batch,
        peak_rate=cfg.peak_rate,
        seed=seed,
    )


def _policy(cfg: Online, start: str, reward: str, seed: int) -> Rlhf:
    return Rlhf(
        reward=reward,
        data=cfg.asked,
        model=start,
        kl=cfg.kl,
        peak_rate=cfg.policy_rate,
        budget=0.0,
        rounds=cfg.policy_rounds,
        held_out=cfg.judged,
        probes=cfg.judged,
        every=cfg.between,
        snapshots=cfg.snapshots,
        seed=seed,
    )


def _aged(cfg: Online, policy: Trained) -> list[str]:
    """A policy as it was on the way and as it is, the youngest first."""
    return [f"{policy.model}@{cfg.between * i}" for i in range(1, cfg.snapshots + 1)] + [policy.model]


def _rejection(cfg: Online, loop: _Loop, start: str) -> Collect:
    """Comparisons of the first model's best answers by the static preference model."""
    return Collect(
        models=(start,),
        rater=cfg.rater,
        n=cfg.pairs // 3,
        test=cfg.test,
        data=cfg.asked,
        held_out=cfg.judged,
        best_of=cfg.best_of,
        by=loop.pms[0].model,
        number=0,
        seed=loop.seed,
    )


def _serving(cfg: Online, loop: _Loop, round_: int) -> Collect:
    """Comparisons of what the newest policy says at all its ages, and the one before it at its end."""
    return Collect(
        models=(*_aged(cfg, loop.policies[-1]), *(p.model for p in loop.policies[-2:-1])),
        rater=cfg.rater,
        n=cfg.tranche,
        test=cfg.test // cfg.rounds,
        data=cfg.asked,
        held_out=cfg.judged,
        number=1 + round_,
        seed=loop.seed,
    )


def _thirds(cfg: Online, loop: _Loop) -> list[tuple[str, int]]:
    """Even thirds of all three kinds, as many together as the static side has."""
    best, online = cfg.pairs // 3, [(tranche.learnt, cfg.tranche) for tranche in loop.tranches]
    first = cfg.pairs - best - sum(n for _, n in online)
    return [(cfg.data, first), (loop.rejected[0].learnt, best), *online]


def _outcomes(cfg: Online, loops: Sequence[_Loop], start: str, root: Path | None, workers: int) -> list[Outcome]:
    players = [_players(cfg, loop, start) for loop in loops]
    asks = [_ask(cfg, loop, model) for loop, models in zip(loops, players, strict=True) for model in models.values()]
    answers = dict(zip(asks, answer_all(asks, root=root, workers=workers), strict=True))
    found = []
    for loop, models in zip(loops, players, strict=True):
        said: dict[str, Answers] = {name: answers[_ask(cfg, loop, model)] for name, model in models.items()}
        sides = {STATIC: (loop.pms[0], loop.policies[0]), MIXED: (loop.mixed[0], loop.mixed[1])}
        lines = {
            side: decomposed(policy, pm.model, cfg.rater, _on_the_way(cfg, side, said))
            for side, (pm, policy) in sides.items()
        }
        found.append(Outcome(said, lines, _tests(cfg, loop, root, workers)))
    return found


def _players(cfg: Online, loop: _Loop, start: str) -> dict[str, str]:
    """Models by what the study calls them: the start, both sides at all their ages, the loop's later policies."""
    found = {START: start}
    for side, policy in ((STATIC, loop.policies[0]), (MIXED, loop.mixed[1])):
        *earlier, last = _aged(cfg, policy)
        found |= {f"{side}@{cfg.between * i}": model for i, model in enumerate(earlier, 1)} | {side: last}
    return found | {f"round {i}": policy.model for i, policy in enumerate(loop.policies[1:], 2)}


def _ask(cfg: Online, loop: _Loop, model: str) -> Ask:
    valuing = (cfg.worth, cfg.rater, loop.pms[0].model, loop.mixed[0].model)
    return Ask(model=model, values=tuple(dict.fromkeys(valuing)), data=cfg.asked, n=cfg.judged, each=2, seed=loop.seed)


def _on_the_way(cfg: Online, side: str, said: dict[str, Answers]) -> dict[int, Answers]:
    """Answers of a side's policy by rounds of its training, from the start on."""
    found = {0: said[START]} | {cfg.between * i: said[f"{side}@{cfg.between * i}"] for i in range(1, cfg.snapshots + 1)}
    return {**found, cfg.policy_rounds: said[side]}


def _tests(cfg: Online, loop: _Loop, root: Path | None, workers: int) -> Tests:
    """What both preference models make of comparisons of each kind that neither learnt."""
    sources = {
        "first model": cfg.data,
        "best of several": loop.rejected[0].test,
        "online": ",".join(tranche.test for tranche in loop.tranches),
    }
    # No seed of a training, so that tests of a planted source are fresh draws.
    found = measure_all(
        [loop.pms[0], loop.mixed[0]],
        list(sources.values()),
        n=cfg.test,
        seed=10_000 + loop.seed,
        root=root,
        workers=workers,
    )
    return {side: dict(zip(sources, of, strict=True)) for side, of in zip((STATIC, MIXED), found, strict=True)}
