"""What an answer costs in reinforcement learning, to draw and to learn from, TRL's RLOO trainer beside it.

    python -m benches.rlhf [--json FILE] [--rounds 5] [--steps 10] [--peer PYTHON]

Both take steps from the assistant that ships, by AdamW in float32 on one thread: four answers of at most 40 tokens to
each of 16 questions of Brook, rewarded by one preference model, which is trained first on 1,000 comparisons. Ours are
the rounds of `gnomon train rlhf --algorithm rloo`, once with every pass that the peer makes, and once without the one
that a single step on fresh answers has no need of: there the sampler's log-probabilities serve. The peer's rounds
alternate with ours.

Before that both take two steps on the very same answers: rewards, log-probabilities before either step, and norms of
gradients have to be the same; and the answers that each draws itself have to be as long on average.

`--peer` is a Python that has TRL. Targets: 2 and 3 times the peer's processor time.
"""

from __future__ import annotations

import contextlib
import copy
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

from benches.bench import Figure, options, publish
from benches.beside import Worker, worker
from benches.training import of_rounds
from gnomon.core.seeds import Seed
from gnomon.learn.heads import head_reads_at, load_head
from gnomon.learn.loop import Fit, fit
from gnomon.learn.optim import Optim
from gnomon.learn.policy import Actor, Episodes, PolicyBatch, policy_batch, rloo_advantages, rloo_step
from gnomon.models.load import checkpoint_folder
from gnomon.stats.intervals import clustered_mean
from gnomon.train._fitting import Start, start_from
from gnomon.train._questions import Question, Questions, Reward, open_reward
from gnomon.train._rollout import Drawn, Sampler, still
from gnomon.train._rounds import Policy, Rounds
from gnomon.train._running import CHECKPOINT, run_training
from gnomon.train.preference import Preference
from gnomon.train.rlhf import PRESETS, Rlhf

POLICY, PER_PROMPT = "brook-assistant", 4
CONFIG = Rlhf(reward="run:0", model=POLICY, algorithm="rloo", answers=64, per_prompt=PER_PROMPT, max_tokens=40)
RATE, KL, _ = PRESETS["healthy"]
PLAIN = Optim(peak=RATE, final=1.0, warmup_steps=0, betas=(0.9, 0.95), weight_decay=0.0)
TOLERANCE = 1e-4
SPREAD = 4.0
PHASES = ("sampling", "reward", "log-probabilities", "update")

T = TypeVar("T")


class Setting(NamedTuple):
    """Whether the policy reads the answers before the step too, and the least ratio to the peer's processor time."""

    name: str
    same_passes: bool
    least_ratio: float


SETTINGS = (Setting("the peer's passes", True, 2.0), Setting("no needless pass", False, 3.0))


@dataclass
class Round:
    """Some steps.

    Attributes:
        cpu, wall: seconds in all.
        phases: CPU seconds of each of `PHASES`.
        lengths: tokens of every answer.
        pushed: tokens that one forward of all our answers reads, those that fill its rows up included.
    """

    cpu: float = 0.0
    wall: float = 0.0
    phases: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))
    lengths: list[int] = field(default_factory=list)
    pushed: int = 0

    def timed(self, phase: str, work: Callable[[], T], *, within: str = "") -> T:
        """What `work` returns; its processor time counts for the phase, and not for the one it is called within."""
        begun = time.process_time()
        found = work()
        spent = time.process_time() - begun
        self.phases[phase] += spent
        if within:
            self.phases[within] -= spent
        return found


class TimedReward:
    """A reward whose time is told from that of the sampler which asks it."""

    def __init__(self, reward: Reward, round_: Round) -> None:
        self.name, self._reward, self._round = reward.name, reward, round_

    def __call__(self, questions: Sequence[Question], answers: Sequence[tuple[str, bool]]) -> list[float]:
        """The values of the answers."""
        return self._round.timed("reward", lambda: self._reward(questions, answers), within="sampling")


class TimedSampler(Sampler):
    """A sampler whose draws are timed."""

    def __init__(self, start: Start, reward: Reward, round_: Round) -> None:
        super().__init__(start.net, start.tokenizer, TimedReward(reward, round_), max_tokens=CONFIG.max_tokens)
        self._round = round_

    def draw(self, questions: Sequence[Question], seed: Seed, *, per_prompt: int = 1, watch: bool = False) -> Drawn:
        """The answers."""
        draw = partial(super().draw, questions, seed, per_prompt=per_prompt, watch=watch)
        drawn = self._round.timed("sampling", draw)
        self._round.lengths += [len(each.tokens) for each in drawn.said]
        return drawn


class TimedPolicy(Policy):
    """A policy whose readings of answers are timed."""

    def __init__(self, start: Start, reward: Reward, round_: Round, *, same_passes: bool) -> None:
        reference = still(copy.deepcopy(start.net).requires_grad_(False))
        sampler = TimedSampler(start, reward, round_)
        # As where another engine draws, so that the sampler's log-probabilities do not serve.
        super().__init__(Actor(start.net, "none"), reference, sampler, is_elsewhere=same_passes)
        self._round = round_

    def known(self, drawn: Drawn, *, on_policy: bool = False) -> tuple[Episodes, float]:
        """What is known of the answers."""
        return self._round.timed("log-probabilities", partial(super().known, drawn, on_policy=on_policy))


class Logged(dict[int, Mapping[str, float]]):
    """The metrics of every step."""

    def add_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps them."""
        self[step] = values


class Bench:
    """The reward and the questions of both sides.

    Attributes:
        valued: folder of the preference model.
        questions: of every step.
    """

    def __init__(self, valued: Path, steps: int) -> None:
        self.valued, self.reward = valued, open_reward(f"hf:{valued}")
        self._steps = steps
        self._drawn = Questions("brook", 1, Seed(CONFIG.seed))
        self.questions = [self._drawn.batch(step, CONFIG.answers // PER_PROMPT) for step in range(steps)]

    def load(self, peer: Worker) -> dict[str, Any]:
        """The peer's name, or the reason why there is none."""
        where = {"policy": str(checkpoint_folder(POLICY)), "reward": str(self.valued)}
        return peer.ask(do="load", read_at=head_reads_at(self.valued), **where)

    def ours(self, seed: int, *, same_passes: bool) -> Round:
        """Our steps from the first weights."""
        round_ = Round()
        policy = TimedPolicy(start_from(POLICY, "brook"), self.reward, round_, same_passes=same_passes)
        cfg = replace(CONFIG, seed=seed)
        rounds = Rounds(cfg, self._drawn, policy, lambda _: None, per_prompt=PER_PROMPT, kl=KL, budget=0.0)

        def batches(step: int) -> PolicyBatch:
            (batch,) = rounds(step) or ()
            round_.pushed += batch.answers.tokens_BT.numel()
            return batch

        cpu, wall = time.process_time(), time.perf_counter()
        fit(rloo_step, batches, policy.actor, fit=Fit(num_steps=self._steps, optim=PLAIN, log_every=1))
        round_.cpu, round_.wall = time.process_time() - cpu, time.perf_counter() - wall
        round_.phases["update"] = round_.cpu - sum(round_.phases.values())
        return round_

    def theirs(self, seed: int, peer: Worker) -> Round:
        """The peer's steps from the first weights on the same questions."""
        found = self.asked(peer, self.questions, seed=seed)
        return Round(found["cpu_s"], found["wall_s"], found["phases"], found["lengths"])

    def asked(
        self, peer: Worker, asked: Sequence[Sequence[Question]], *, seed: int = 0, said: Sequence[Drawn] = ()
    ) -> dict[str, Any]:
        """What the peer says of a step on each step's questions, on the answers `said` where there are some."""
        # It writes answers without the space before their first word.
        prompts = [[f"{question.prompt} " for question in questions] for questions in asked]
        given = [[each.tokens for each in drawn.said] for drawn in said] or None
        how = {"per_prompt": PER_PROMPT, "max_tokens": CONFIG.max_tokens, "kl": KL, "rate": RATE, "seed": seed}
        return peer.ask(do="train", prompts=prompts, said=given, **how)

    def differing(self, peer: Worker) -> float:
        """The largest difference from the peer in two steps on the same answers, which are drawn before the first.

        Rewards in their own units, log-probabilities in nats, norms of gradients as shares of themselves.

        Raises:
            RuntimeError: it is too large.
        """
        policy = TimedPolicy(start_from(POLICY, "brook"), self.reward, Round(), same_passes=True)
        asked, log, read = self.questions[:2], Logged(), []
        drawn = [policy.sampler.draw(questions, Seed(1), per_prompt=PER_PROMPT) for questions in asked]

        def batches(step: int) -> PolicyBatch:
            e, _ = policy.known(drawn[step])
            read.append(torch.cat((e.policy_N, e.reference_N)))
            return policy_batch(e, rloo_advantages(e, KL), range(CONFIG.answers), on_policy=True)

        fit(rloo_step, batches, policy.actor, fit=Fit(num_steps=2, optim=PLAIN, log_every=1), log=log)
        theirs = self.asked(peer, asked, said=drawn)
        bias = load_head(self.valued).out.bias.item()
        pairs = [
            *zip((value - bias for each in drawn for value in each.reward), theirs["rewards"], strict=True),
            *zip(torch.cat(read).tolist(), (logp for each in theirs["known"] for logp in each), strict=True),
            *((1.0, theirs["norms"][step] / log[step + 1]["grad_norm"]) for step in range(2)),
        ]
        found = max(abs(a - b) for a, b in pairs)
        if found >= TOLERANCE:
            raise RuntimeError(f"ours and the peer's differ by {found:.2g}")
        return found


def main() -> None:
    """Measures and prints a table, then answers a second of processor time by phase."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=10, help="steps a round")
    parser.add_argument("--peer", default="", help="interpreter that has TRL")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        valued = run_training(Preference(pairs=1000), "preference", root=Path(place)).manifest.folder / CHECKPOINT
        bench = Bench(valued, args.steps)
        peer = stack.enter_context(worker(args.peer, "rlhf_peer.py")) if args.peer else None
        loaded = bench.load(peer) if peer else {"reason": "no --peer"}
        peer = None if "reason" in loaded else peer
        apart = bench.differing(peer) if peer else math.nan
        measured: dict[str, list[Round]] = {setting.name: [] for setting in SETTINGS} | {"peer": []}
        for seed in range(args.rounds + 1):
            for setting in SETTINGS:
                measured[setting.name].append(bench.ours(seed, same_passes=setting.same_passes))
            if peer:
                measured["peer"].append(bench.theirs(seed, peer))
    # The first round warms up.
    kept = {name: rounds[1:] for name, rounds in measured.items()}
    asked = [question.cluster for questions in bench.questions for question in questions for _ in range(PER_PROMPT)]
    more = {name: told(rounds, asked) for name, rounds in kept.items() if rounds}
    if peer:
        check_lengths(kept[SETTINGS[0].name], kept["peer"], asked)
    publish("rlhf", shown(kept, loaded.get("name") or loaded["reason"], apart), args.json, more=more)


def shown(measured: Mapping[str, Sequence[Round]], peer: str, apart: float) -> list[Figure]:
    """Each setting beside the peer's same rounds."""
    theirs = measured["peer"]
    figures = []
    for setting in SETTINGS:
        ours = measured[setting.name]
        ratios = [b.cpu / a.cpu for a, b in zip(ours, theirs, strict=True)] if theirs else []
        between = f", ratio {of_rounds(ratios)}, equal within {apart:.1g}" if len(ratios) > 1 else ""
        figures.append(
            Figure(
                name=setting.name,
                cpu=statistics.median(each_ms(a.cpu, a) for a in ours),
                wall=statistics.median(each_ms(a.wall, a) for a in ours),
                unit="ms/answer",
                peer=statistics.median(each_ms(b.cpu, b) for b in theirs) if theirs else None,
                peer_name=peer + between,
                ratios=ratios,
                least_ratio=setting.least_ratio,
            )
        )
    return figures


def each_ms(seconds: float, round_: Round) -> float:
    """Milliseconds an answer."""
    return 1000 * seconds / len(round_.lengths)


def told(rounds: Sequence[Round], asked: Sequence[str]) -> dict[str, float]:
    """Answers a CPU second, in all and in each phase; an answer's tokens, and for ours those that its forward reads."""
    num = len(asked) * len(rounds)
    rates = {phase: num / sum(r.phases[phase] for r in rounds) for phase in PHASES}
    found = {"answers_per_cpu_s": num / sum(r.cpu for r in rounds), **rates}
    found["answer_tokens"] = sum(sum(r.lengths) for r in rounds) / num
    pushed = sum(r.pushed for r in rounds) / num
    return {name: round(value, 1) for name, value in {**found, **({"tokens_read": pushed} if pushed else {})}.items()}


def check_lengths(ours: Sequence[Round], theirs: Sequence[Round], asked: Sequence[str]) -> None:
    """Raises `RuntimeError` where the answers of one side are longer than chance allows."""
    sides = [[length for r in rounds for length in r.lengths] for rounds in (ours, theirs)]
    a, b = (clustered_mean([float(n) for n in lengths], list(asked) * len(ours)) for lengths in sides)
    if abs(a.value - b.value) > SPREAD * math.hypot(a.se, b.se):
        raise RuntimeError(f"answers have {a.value:.2f} tokens, and the peer's {b.value:.2f}")


if __name__ == "__main__":
    main()
