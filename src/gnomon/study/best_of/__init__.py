"""What does choosing the best of k answers gain, and how far along a policy's way is that?

    gnomon study best-of
    gnomon study best-of --policy run:7f3a        beside a policy that was trained before, from its start, by its reward
    gnomon study best-of --asked PROMPTS.jsonl --start hf:FOLDER --reward run:PM --rater run:OTHER

Bai et al. 2022a (arXiv 2204.05862), sec. 4 and fig. on rejection sampling: a preference model chooses among k = 1, 4,
16, 64 answers of the model that training starts from; the online policy is about at the level of 64. Choosing among k
is log k - (k - 1)/k nats from the model, at most; the paper has log k. Beside it the policy that the same preference
model rewards, and those who wrote the demonstrations: the best of 8 answers that Brook draws, by what is meant, against
the median by value of 17 answers (sec. 6).
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from gnomon.core.config import build
from gnomon.core.errors import UsageError
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.rated import best_drawn
from gnomon.data.worlds.brook.tables import world
from gnomon.stats.clusters import Matrix
from gnomon.store.run import Run
from gnomon.study._answers import Ask, answer_all, asked, valued
from gnomon.study._started import of_brook, started
from gnomon.study._trained import Studied, Trained, environment, train_all
from gnomon.study.best_of.summary import MEDIAN_OF, Evidence, report
from gnomon.train._curve import read
from gnomon.train._rewarded import summarise
from gnomon.train.preference import Preference
from gnomon.train.rlhf import Rlhf

__all__ = ["BestOf", "study"]

# As in the demonstrations that `gnomon train sft` learns from.
_WRITERS = 8


@registered
@dataclass(frozen=True, kw_only=True)
class BestOf:
    """Choose the best of k answers by a preference model, beside a policy that it rewards."""

    start: str = ""
    "Whose answers; by default an assistant of mixed quality, which Brook's dialogues teach."
    reward: str = ""
    "What chooses and rewards: run:ID or brook:RATER; by default one is trained, and a second that tests it."
    data: str = "brook"
    "Comparisons for those two, a half each."
    pairs: int = 2000
    "Comparisons in each half."
    model: str = "brook"
    "Language model that those two start from."
    asked: str = "brook"
    "What is asked, as for `gnomon train rlhf --data`."
    rater: str = "brook:gold"
    "Who says which answer is better, for Elo: brook:RATER or a preference model."
    k: tuple[int, ...] = (1, 4, 16, 64)
    "Answers to choose from."
    answers: int = 128
    "Answers drawn to each question, of which every choice of k counts."
    n: int = 100
    "Questions."
    policy: str = ""
    "A policy of `gnomon train rlhf` to lay beside, run:ID; by default one is trained."
    rounds: int = 40
    "Rounds of its training."
    kl: float = 0.1
    "What a nat of KL from the start costs in units of reward; no budget."
    policy_rate: float = 3e-4
    "Highest learning rate of policies."
    batch: int = 8
    "Comparisons a step of a preference model; with few comparisons, large batches leave too few steps."
    seed: int = 0
    "Seed of comparisons, questions and answers."

    def __post_init__(self) -> None:
        if min(self.k, default=0) < 1 or not 1 < max(self.k) < self.answers:
            what = f"--k is {','.join(map(str, self.k))}, of {self.answers} answers"
            raise UsageError(what, todo="choose among several, and fewer than --answers")
        if self.n < 2:
            raise UsageError(f"--n is {self.n}", todo="give 2 or more")
        if self.policy and (self.start or self.reward):
            todo = "leave --start and --reward out: its own are taken"
            raise UsageError("a policy was trained from a model by a reward", where="--policy", todo=todo)


def study(cfg: BestOf, root: Path | None, workers: int) -> Studied:
    """Draws the answers, trains what is not given, and lays choosing and learning side by side."""
    policy, trained = _policy(cfg, root, workers)
    way: Rlhf = policy.config
    known = ["brook:gold"] if of_brook(way.data) else []
    values = tuple(dict.fromkeys((way.reward, *way.watched, cfg.rater, *known)))
    ask = Ask(
        model=way.model,
        values=values,
        data=way.data,
        n=min(cfg.n, way.held_out),
        held_out=way.held_out,
        each=cfg.answers,
        max_tokens=way.max_tokens,
        seed=way.seed,
    )
    start, end = answer_all([ask, replace(ask, model=policy.model, each=MEDIAN_OF)], root=root, workers=workers)
    with environment(root, workers):
        written = {name: _written(ask, name) for name in values} if known else {}
    seen = Evidence(start, end, read(policy.rows), written, way.reward, cfg.rater)
    return Studied(report(seen, cfg.k), [*trained, policy])


def _policy(cfg: BestOf, root: Path | None, workers: int) -> tuple[Trained, list[Trained]]:
    """The policy beside which answers are chosen, and what was trained for it."""
    if cfg.policy:
        return _found(cfg.policy, root), []
    start, first = started(cfg.start, cfg.asked, root=root, workers=workers)
    halves = [] if cfg.reward else train_all([_half(cfg, part) for part in ("1/2", "2/2")], root=root, workers=workers)
    reward, *tests = [cfg.reward] if cfg.reward else [each.model for each in halves]
    wanted = Rlhf(
        reward=reward,
        data=cfg.asked,
        model=start,
        kl=cfg.kl,
        peak_rate=cfg.policy_rate,
        budget=0.0,
        rounds=cfg.rounds,
        held_out=cfg.n,
        probes=cfg.n,
        every=max(1, cfg.rounds // 8),
        # The gold utility is read anyhow.
        watched=(*tests, *({cfg.rater} - {reward, "brook:gold"})),
        seed=cfg.seed,
    )
    return train_all([wanted], root=root, workers=workers)[0], [*first, *halves]


def _half(cfg: BestOf, part: str) -> Preference:
    return Preference(
        data=cfg.data,
        model=cfg.model,
        pairs=cfg.pairs,
        held_out=200,
        batch=cfg.batch,
        part=part,
        seed=cfg.seed,
    )


def _found(name: str, root: Path | None) -> Trained:
    """The policy that a run of `train rlhf` left."""
    with closing(Run.find(name.removeprefix("run:"), root=root)) as run:
        manifest, rows = run.manifest, run.rows()
    if (manifest.verb, manifest.name) != ("train", "rlhf") or manifest.status != "done":
        what = f"{name} is {manifest.verb} {manifest.name}, {manifest.status}"
        raise UsageError(what, where="--policy", todo="name a finished run of `gnomon train rlhf`")
    config = build(Rlhf, manifest.identity["config"])
    return Trained(config, manifest.id, f"run:{manifest.id}", rows, summarise(rows))


def _written(ask: Ask, name: str) -> Matrix:
    """What `name` makes of the demonstrations [Q, 1]: each the best of 8 answers as Brook draws them."""
    questions, of = asked(ask), world()
    said = []
    for place, question in enumerate(questions):
        assert question.asked is not None
        rng = Seed(ask.seed).child("writers", place).random()
        said.append([(f" {best_drawn(of, rng, question.asked, _WRITERS)}", True)])
    return valued(name, questions, said)
