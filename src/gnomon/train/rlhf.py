"""Reinforcement learning from human feedback: a policy learns to give answers that a preference model values.

    gnomon train preference                         a preference model, `run:ID`
    gnomon train rlhf --reward run:ID               PPO, from the assistant that ships
    gnomon train rlhf --reward run:ID --algorithm rloo
    gnomon train rlhf --reward brook:gold           by the planted rater itself: what a perfect reward would give
    gnomon train rlhf --reward run:ID --preset goodhart
    gnomon train rlhf --reward run:ID --data brook*0.3,run:ID*0.7   prompts of people and of `gnomon study prompts`
    gnomon train rlhf --reward run:ID --watched run:OTHER    a second preference model beside it, never learnt from

Bai et al. 2022a (arXiv 2204.05862), sec. 4. Each round draws answers at temperature 1 from the policy as it is, gives
each the preference model's value, and takes steps on them (`learn.policy`); what a round draws is a function of the
seed, the round and the weights, so a killed training goes on to the bit. Of Brook's questions the gold utility is
known: it is logged beside the reward and never learnt from.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from torch import nn

from gnomon.core.errors import UsageError
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.worlds.fingerprint import in_identity
from gnomon.learn.loop import Fit, StepResult
from gnomon.learn.lora import merged, without_update
from gnomon.learn.optim import Optim
from gnomon.learn.parallel import from_first
from gnomon.learn.policy import Actor, PolicyBatch, grpo_step, ppo_step, reinforce_step, rloo_step
from gnomon.models.families import save_folder
from gnomon.models.load import checkpoint_folder, content_hash
from gnomon.models.transformer import Transformer
from gnomon.store.files import replace_file
from gnomon.train import _fitting
from gnomon.train._fitting import STATE, Start, Thrifty, at_least, keep, low_rank, shown_fit, start_from
from gnomon.train._questions import Questions, open_reward
from gnomon.train._remote import Remote
from gnomon.train._rewarded import as_csv, rows, summarise
from gnomon.train._rollout import Reference, Sampler, still
from gnomon.train._rounds import Policy, Reading, Rounds

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = [
    "PRESETS",
    "Algorithm",
    "Preset",
    "Rlhf",
    "each_prompt",
    "identity",
    "preview",
    "settings",
    "summarise",
    "train",
]

Algorithm = Literal["ppo", "reinforce", "rloo", "grpo"]


class Preset(NamedTuple):
    """Settings that belong together: highest rate, weight of KL, KL in nats at which training ends (0: never)."""

    peak_rate: float
    kl: float
    budget: float


PRESETS: Mapping[str, Preset] = {"healthy": Preset(1e-4, 0.1, 4.0), "goodhart": Preset(3e-4, 0.001, 0.0)}
"""`healthy` pays for KL until it stays near its start; `goodhart` has the paper's weight of KL and goes on."""


@registered
@dataclass(frozen=True, kw_only=True)
class Rlhf(Thrifty):
    """Reward a policy's answers by a preference model, and make the rewarded ones likelier."""

    reward: str = ""
    "What values answers: run:ID of `train preference`, another model with a scalar, or brook:RATER."
    data: str = "brook"
    "What is asked: brook, brook:requests, brook:red-team, a file, run:ID of `study prompts`, or several: A*0.3,B*0.7."
    model: str = "brook-assistant"
    "Where the policy starts, and what KL is measured from: brook-assistant, hf:FOLDER or run:ID."
    algorithm: Algorithm = "ppo"
    "How rewards move the policy."
    preset: Literal["healthy", "goodhart"] = "healthy"
    "Values of --peak-rate, --kl and --budget where they are not given."
    peak_rate: float | None = None
    "Highest learning rate."
    kl: float | None = None
    "What a nat of KL from the start costs in units of reward."
    budget: float | None = None
    "KL in nats at which training ends; 0 is never."
    halve_every: int = 0
    "Answers after which the learning rate is halved, again and again; the paper's online policies: 100000. 0 is never."
    rounds: int = 100
    "How often answers are drawn; at most, where there is a budget."
    answers: int = 64
    "Answers a round."
    per_prompt: int = 0
    "Answers to each prompt; 0 takes 4 for rloo and grpo, which compare them, and 1 for the others."
    passes: int = 1
    "How often a round's answers are learnt from; the paper has 1, 2 and 4."
    parts: int = 1
    "Steps that a pass over a round's answers is divided into."
    max_tokens: int = 40
    "Longest answer; the paper has 128, and 32 in its study of robustness."
    value: Literal["copy", "shared"] = "copy"
    "PPO: whether the value has a copy of the policy of its own, or a head on the policy."
    held_out: int = 400
    "Questions to measure on, before and after."
    watched: tuple[str, ...] = ()
    "Further values of the answers to held-out questions, as --reward names them; never learnt from."
    every: int = 5
    "Rounds from one reading of the policy on held-out questions to the next; 0 reads it at the end alone."
    probes: int = 100
    "Held-out questions of such a reading, the same in each."
    snapshots: int = 0
    "Policies to keep on the way, at even distances; run:ID@ROUND names one."
    drop_bad: bool = False
    "Go on without bad rows of a file even if they are more than one in a hundred."
    seed: int = 0
    "Seed of questions, answers and order."
    sampler: str = ""
    "A server that draws the answers, http://HOST:PORT/v1#NAME over the weights of --model; it needs --lora."
    importance_cap: float = 0.0
    "With --sampler: weigh a token by its probability here over the server's, at most by this, such as 2; 0 does not."

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, rounds=self.rounds, answers=self.answers, passes=self.passes, parts=self.parts)
        at_least(1, max_tokens=self.max_tokens, held_out=self.held_out)
        at_least(1, probes=self.probes)
        at_least(0, per_prompt=self.per_prompt, every=self.every, snapshots=self.snapshots)
        at_least(0, halve_every=self.halve_every)
        if self.sampler and not self.lora:
            raise UsageError("a server follows a low-rank update", where="--sampler", todo="give --lora RANK too")
        if self.importance_cap and (self.importance_cap < 1 or not self.sampler):
            todo = "give 1 or more together with --sampler, or leave it out"
            raise UsageError(f"--importance-cap is {self.importance_cap:g}", todo=todo)
        if self.snapshots >= self.rounds:
            raise UsageError(f"--snapshots is {self.snapshots} of {self.rounds} rounds", todo="give fewer")
        if len({self.reward, *self.watched}) <= len(self.watched):
            raise UsageError("a value is named twice", where="--watched", todo="name each once, and not --reward")
        if self.algorithm in ("rloo", "grpo") and self.per_prompt == 1:
            raise UsageError(f"--per-prompt is 1, and {self.algorithm} compares answers", todo="give 2 or more")
        if self.answers % each_prompt(self) or self.answers < self.parts:
            what = f"--answers is {self.answers}, with --per-prompt {each_prompt(self)} and --parts {self.parts}"
            raise UsageError(what, todo="give a multiple of the one, no less than the other")
        if self.algorithm == "reinforce" and self.passes * self.parts > 1:
            raise UsageError("reinforce takes one step a round", todo="leave --passes and --parts out, or take ppo")
        if min(settings(self)) < 0:
            raise UsageError(f"a setting is below 0: {settings(self)}", todo="give 0 or more")


def settings(cfg: Rlhf) -> Preset:
    """The preset's values, and those given in their place."""
    given = {name: getattr(cfg, name) for name in Preset._fields if getattr(cfg, name) is not None}
    return PRESETS[cfg.preset]._replace(**given)


def each_prompt(cfg: Rlhf) -> int:
    """Answers to each prompt."""
    return cfg.per_prompt or (4 if cfg.algorithm in ("rloo", "grpo") else 1)


def identity(cfg: Rlhf) -> dict[str, str]:
    """What decides the run's numbers beside its config: hashes of all models, of the file, of Brook."""
    found = _fitting.identity(cfg) | in_identity([cfg.reward, *cfg.watched])
    named = {"reward": _reward(cfg), **{f"watched {name}": name for name in cfg.watched}}
    models = {what: name.partition("#")[0] for what, name in named.items() if not name.startswith("brook:")}
    return found | {what: content_hash(checkpoint_folder(name)) for what, name in models.items()}


def train(cfg: Rlhf, run: Run) -> Path:
    """Trains and returns the folder of the policy; the run's rows are held-out questions, answered before and after.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        RunError: the policy collapsed, or a reward is no number.
        DataError: the data cannot be used.
        ModelError: a model cannot.
    """
    start = start_from(cfg.model, cfg.data)
    with low_rank(cfg, run, start):
        num_cut = _learnt(cfg, run, start)
    together = cfg.passes * cfg.parts
    replace_file(run.folder / "curve.csv", as_csv(run.metrics(), together))
    rounds = max((m.step for m in run.metrics()), default=0) // together
    return keep(cfg, run, start, {"rounds": rounds, "settings": settings(cfg)._asdict(), "prompts_cut": num_cut})


def _learnt(cfg: Rlhf, run: Run, start: Start) -> int:
    """Trains `start.net` and adds the run's rows; how many prompts were cut."""
    questions = Questions(cfg.data, cfg.held_out, Seed(cfg.seed), drop_bad=cfg.drop_bad)
    reward, further = open_reward(_reward(cfg)), [open_reward(name) for name in cfg.watched]
    reference: Reference = partial(without_update, start.net)
    if not cfg.lora:
        reference = still(copy.deepcopy(start.net).requires_grad_(False))

    def remote(folder: Path | None) -> Remote | None:
        return Remote(cfg.sampler, start.tokenizer, start.net, folder) if cfg.sampler else None

    def sampler(net: Transformer, engine: Remote | None) -> Sampler:
        return Sampler(net, start.tokenizer, reward, max_tokens=cfg.max_tokens, watched=further, engine=engine)

    actor = Actor(start.net, cfg.value if cfg.algorithm == "ppo" else "none")
    server = remote(run.folder / "adapters")
    policy = Policy(actor, reference, sampler(start.net, server), is_elsewhere=server is not None)
    wanted, seed = settings(cfg), Seed(cfg.seed)
    rounds = Rounds(
        cfg,
        questions,
        policy,
        partial(_snapshot, run, start),
        per_prompt=each_prompt(cfg),
        kl=wanted.kl,
        budget=wanted.budget,
    )
    reading = Reading(questions.held_out[: cfg.probes], policy, run, seed.child("reading"))
    if not from_first(any(m.step == 0 for m in run.metrics())):
        run.add_metrics(0, reading.of(0))
    if not from_first((run.folder / STATE).exists()):
        rounds.begin()
    watch = (lambda _: reading.of(rounds.done)) if cfg.every else None
    shown_fit(_step(cfg), rounds, actor, plan=_plan(cfg), run=run, label=cfg.algorithm, watch=watch)
    with reference() as net:
        before = sampler(net, remote(None)).draw(questions.held_out, seed.child("measured"), watch=True)
    after = policy.sampler.draw(questions.held_out, seed.child("measured"), watch=True)
    run.add(rows(before, after, policy.known(after)[0]))
    if server is not None:
        server.close()
    return policy.sampler.num_cut


def preview(cfg: Rlhf) -> dict[str, Any]:
    """What `train` would train on; `--dry-run`."""
    start, reward = start_from(cfg.model, cfg.data), open_reward(_reward(cfg))
    questions = Questions(cfg.data, cfg.held_out, Seed(cfg.seed), drop_bad=cfg.drop_bad)
    sampler = Sampler(start.net, start.tokenizer, reward, max_tokens=cfg.max_tokens)
    drawn = sampler.draw(questions.batch(0, 4), Seed(cfg.seed).child("answers", 0))
    shown = zip(drawn.questions, drawn.said, drawn.reward, strict=True)
    return {
        "policy": f"{cfg.model}@{start.revision}",
        "reward": reward.name,
        **settings(cfg)._asdict(),
        "answers": f"{cfg.rounds} rounds of {cfg.answers}, {each_prompt(cfg)} to a prompt",
        "held out": len(questions.held_out),
        **{f"answer {i}": f"{q.prompt}{said.text} [{value:.3f}]" for i, (q, said, value) in enumerate(shown, 1)},
    }


def _reward(cfg: Rlhf) -> str:
    if not cfg.reward:
        todo = "give --reward run:ID, what `gnomon train preference` left, or brook:gold"
        raise UsageError("nothing says what an answer is worth", where="--reward", todo=todo)
    return cfg.reward


def _plan(cfg: Rlhf) -> Fit:
    peak, together = settings(cfg).peak_rate, cfg.passes * cfg.parts
    optim = Optim(
        peak=peak,
        final=1.0,
        warmup_steps=5 * together,
        halve_every=cfg.halve_every * together / cfg.answers,
        betas=(0.9, 0.95),
        # Nothing pulls weights to 0, for KL pulls them to where they started.
        weight_decay=0.0,
    )
    return Fit(
        num_steps=cfg.rounds * together,
        optim=optim,
        seed=Seed(cfg.seed).child("fit").value,
        log_every=together,
        together=together,
        drawn=True,
        watch_every=cfg.every * together,
        recompute=cfg.recompute,
    )


def _step(cfg: Rlhf) -> Callable[[nn.Module, PolicyBatch], StepResult]:
    steps: Mapping[str, Callable[[Any, PolicyBatch], StepResult]] = {
        "ppo": ppo_step,
        "reinforce": reinforce_step,
        "rloo": rloo_step,
        "grpo": partial(grpo_step, kl=settings(cfg).kl),
    }
    return steps[cfg.algorithm]


def _snapshot(run: Run, start: Start, round_: int) -> None:
    """Keeps the policy as it is after so many rounds, as `models.load` finds `run:ID@ROUND`."""
    save_folder(merged(start.net), run.folder / "snapshots" / str(round_), tokenizer=start.tokenizer)
