"""The rounds of a policy's training: answers drawn at the first step of each, and readings of the policy on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from torch import nn

from gnomon.core.seeds import Seed
from gnomon.learn.loop import one_thread_if_small
from gnomon.learn.parallel import split
from gnomon.learn.policy import (
    Actor,
    Advantages,
    Episodes,
    PolicyBatch,
    grpo_advantages,
    policy_batch,
    ppo_advantages,
    reinforce_advantages,
    rloo_advantages,
    truncated_weights,
)
from gnomon.train._curve import told_rows
from gnomon.train._questions import Question, Questions
from gnomon.train._rollout import Drawn, Reference, Sampler, known, sampled, told

if TYPE_CHECKING:
    from gnomon.store.run import Run
    from gnomon.train.rlhf import Rlhf

__all__ = ["Policy", "Reading", "Rounds"]

_ADVANTAGES: Mapping[str, Callable[[Episodes, float], Advantages]] = {
    "ppo": ppo_advantages,
    "reinforce": reinforce_advantages,
    "rloo": rloo_advantages,
    "grpo": grpo_advantages,
}


class Policy:
    """A policy in training, the model it started from, and what draws its answers.

    Attributes:
        actor: the policy and its values.
        reference: the model it started from.
        sampler: draws the policy's answers.
        is_elsewhere: whether answers come from another engine than the one that trains, so that its log-probabilities
            do not serve.
    """

    def __init__(self, actor: Actor, reference: Reference, sampler: Sampler, *, is_elsewhere: bool) -> None:
        self.actor, self.reference, self.sampler, self.is_elsewhere = actor, reference, sampler, is_elsewhere

    def known(self, drawn: Drawn, *, on_policy: bool = False) -> tuple[Episodes, float]:
        """As `_rollout.known`."""
        return known(self.actor, self.reference, drawn, on_policy=on_policy and not self.is_elsewhere)


class Reading:
    """The policy's answers to the same held-out questions, as rows of the run and as numbers to log."""

    def __init__(self, asked: Sequence[Question], policy: Policy, run: Run, seed: Seed) -> None:
        self._asked, self._policy, self._run, self._seed = asked, policy, run, seed

    def of(self, round_: int) -> dict[str, float]:
        """Reads the policy after `round_` rounds; means of what was read, their names ending in `_held_out`."""
        drawn = self._policy.sampler.draw(self._asked, self._seed, watch=True)
        e, _ = self._policy.known(drawn)
        self._run.add(told_rows(drawn, e, round_))
        return {f"{name}_held_out": value for name, value in told(drawn, e).items()}


class Rounds:
    """The batch of every step, in parts: at the first of a round, answers are drawn from the policy as it then is.

    Attributes:
        done: rounds that end with the step that was last given out, or before it.
    """

    def __init__(
        self,
        cfg: Rlhf,
        questions: Questions,
        policy: Policy,
        snapshot: Callable[[int], None],
        *,
        per_prompt: int,
        kl: float,
        budget: float,
    ) -> None:
        """The rounds of a training.

        Args:
            cfg: how many answers, passes and parts.
            snapshot: keeps the policy as it is after so many rounds.
            per_prompt: answers to a prompt.
            kl, budget: what a nat of KL costs, and at how many training ends; 0 is never.
        """
        self.cfg, self.questions, self.policy, self.snapshot = cfg, questions, policy, snapshot
        self.per_prompt, self.kl, self.budget = per_prompt, kl, budget
        self.done = 0
        self._first: Drawn | None = None
        self._batches: list[list[PolicyBatch]] = []
        self._kept = {round(cfg.rounds * i / (cfg.snapshots + 1)) for i in range(1, cfg.snapshots + 1)}

    def begin(self) -> None:
        """What comes before the first step of a training that is new: values begin at the first answers' mean reward.

        A preference model's zero means nothing. Were it the first guess, every advantage would have an error that grows
        towards the answer's end: where values are above it, short answers would win.
        """
        if self.policy.actor.head is not None:
            with one_thread_if_small(self.policy.actor):
                self._first = self._draw(0)
            nn.init.constant_(self.policy.actor.head.out.bias, fmean(self._first.reward))

    def __call__(self, index: int) -> list[PolicyBatch] | None:
        """This process's parts of step `index`; None where training ends before it."""
        round_, place = divmod(index, self.cfg.passes * self.cfg.parts)
        if not place:
            if round_ in self._kept:
                self.snapshot(round_)
            self._batches = self._drawn(round_)
        self.done = round_ + (place + 1 == len(self._batches))
        return self._batches[place] if self._batches else None

    def _draw(self, round_: int) -> Drawn:
        asked = self.questions.batch(round_, self.cfg.answers // self.per_prompt)
        seed = Seed(self.cfg.seed).child("answers", round_)
        return self.policy.sampler.draw(asked, seed, per_prompt=self.per_prompt)

    def _drawn(self, round_: int) -> list[list[PolicyBatch]]:
        """The round's batches; none where the policy has gone as far from its start as it may."""
        cfg, on_policy = self.cfg, self.cfg.passes * self.cfg.parts == 1
        drawn, self._first = self._first or self._draw(round_), None
        e, gap = self.policy.known(drawn, on_policy=on_policy)
        facts = told(drawn, e)
        if 0 < self.budget < facts["kl"]:
            return []
        if not math.isnan(gap):
            facts["sampler_gap"] = gap
        a = _ADVANTAGES[cfg.algorithm](e, self.kl)
        if cfg.importance_cap:
            whole_N = e.text_N if cfg.algorithm == "rloo" else None
            weight_N = truncated_weights(e.policy_N, sampled(drawn), cfg.importance_cap, whole_N)
            a = a._replace(advantage_N=weight_N * a.advantage_N)
            facts["importance"] = float(weight_N.mean())
        found = []
        for turn in range(cfg.passes):
            seed = Seed(cfg.seed).child("order", round_, turn)
            order = seed.random().sample(range(cfg.answers), cfg.answers)
            for step in (order[part :: cfg.parts] for part in range(cfg.parts)):
                mine = split(step, cfg.accumulate)
                found.append([policy_batch(e, a, part, on_policy=on_policy, facts=facts, of=step) for part in mine])
        return found
