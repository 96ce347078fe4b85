"""Answers drawn from a policy through an engine, with their rewards and all log-probabilities.

The engine is the one that serves models, over the policy's own weights, or a server that follows them. Of several
processes that train together each draws, values and reads the answers to its share of the questions; then all have all.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from gnomon.core.errors import DataError, RunError
from gnomon.core.seeds import Seed
from gnomon.learn.batches import shared_batch
from gnomon.learn.parallel import gathered, split
from gnomon.learn.policy import Actor, Episodes, checked_gap, kl_terms, log_probabilities
from gnomon.learn.texts import Encoded
from gnomon.models.base import Completion, Sampling
from gnomon.models.local import LocalModel
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer
from gnomon.train._questions import Question, Reward, gold

__all__ = [
    "Drawn",
    "Engine",
    "Reference",
    "Sampler",
    "distinct",
    "known",
    "refuse_no_numbers",
    "sampled",
    "still",
    "told",
]

# The model that training started from: a copy, or the policy without what it has learnt.
Reference: TypeAlias = Callable[[], AbstractContextManager[Transformer]]


def still(net: Transformer) -> Reference:
    """A model of its own as the one that training started from."""
    return lambda: nullcontext(net)


class Engine(Protocol):
    """What draws answers."""

    def follow(self) -> None:
        """Takes over the policy's weights as they are now; every process has to ask."""
        ...

    async def sample(self, prompt: Sequence[int], how: Sampling, n: int) -> list[Completion]:
        """`n` answers to a prompt of token ids, with their tokens and log-probabilities; a function of all three."""
        ...

    async def rest(self) -> None:
        """Called when the answers of one call are there."""
        ...


class Drawn(NamedTuple):
    """Answers of one policy to questions; lists have one entry an answer.

    Attributes:
        questions: a question stands as often as it was answered.
        texts: prompts with answers as tokens, the one that ends a text included where it was said.
        said: the answers as the sampler gives them.
        group: which of the questions asked.
        reward: the value of each.
        gold: Brook's gold utility; None where the question is not Brook's.
        watched: further values of each, by what gives them; they are never learnt from.
    """

    questions: list[Question]
    texts: list[Encoded]
    said: list[Completion]
    group: list[int]
    reward: list[float]
    gold: list[float | None]
    watched: Mapping[str, list[float]] = {}


class _Local:
    """The engine that serves models, over the weights here."""

    def __init__(self, net: Transformer, tokenizer: Tokenizer) -> None:
        self._model = LocalModel(net, tokenizer, name="policy")

    def follow(self) -> None:
        self._model.weights_changed()

    async def sample(self, prompt: Sequence[int], how: Sampling, n: int) -> list[Completion]:
        return await self._model.sample(prompt, how, n)

    async def rest(self) -> None:
        pass


class _Answer(NamedTuple):
    """One answer, as it goes from the process that drew it to the others; `cut` says that its prompt was."""

    text: Encoded
    said: Completion
    cut: bool
    reward: float
    gold: float | None
    watched: Mapping[str, float]


class Sampler:
    """Draws answers from a network whose weights may change between calls.

    Attributes:
        num_cut: prompts that lost their beginning to leave room for an answer.
    """

    def __init__(
        self,
        net: Transformer,
        tokenizer: Tokenizer,
        reward: Reward,
        *,
        max_tokens: int,
        watched: Sequence[Reward] = (),
        engine: Engine | None = None,
    ) -> None:
        """A sampler at temperature 1.

        Args:
            net: the policy.
            reward: what answers are worth.
            watched: further values of answers.
            max_tokens: longest answer, its end included.
            engine: what draws; None is the engine that serves models, over `net`.

        Raises:
            DataError: the context has no room for a prompt before such an answer.
        """
        self._engine: Engine = engine or _Local(net, tokenizer)
        self._tokenizer, self._reward, self._max_tokens = tokenizer, reward, max_tokens
        self._watched = watched
        self._room = net.config.max_positions - max_tokens
        self.num_cut = 0
        if self._room < 1:
            what = f"answers of {max_tokens} tokens fill the context of {net.config.max_positions}"
            raise DataError(what, where="--max-tokens", todo="give fewer")

    def draw(self, questions: Sequence[Question], seed: Seed, *, per_prompt: int = 1, watch: bool = False) -> Drawn:
        """`per_prompt` answers to each question, with `watch` their further values too; a function of seed and weights.

        Raises:
            RunError: a reward is no number, or all answers to different questions are the same.
            ModelError: a server that draws cannot be reached, or gives no answers as they are needed.
        """
        self._engine.follow()
        mine = split(range(len(questions)))[0]
        found = gathered(self._valued([questions[i] for i in mine], [seed.child(i) for i in mine], per_prompt, watch))
        self.num_cut += sum(several[0].cut for several in found)
        group = [place for place, several in enumerate(found) for _ in several]
        answers = [each for several in found for each in several]
        drawn = Drawn(
            questions=[questions[place] for place in group],
            texts=[each.text for each in answers],
            said=[each.said for each in answers],
            group=group,
            reward=[each.reward for each in answers],
            gold=[each.gold for each in answers],
            watched={name: [each.watched[name] for each in answers] for name in answers[0].watched},
        )
        _check(drawn)
        return drawn

    def _valued(
        self, questions: Sequence[Question], seeds: Sequence[Seed], per_prompt: int, watch: bool
    ) -> list[list[_Answer]]:
        """The answers to each of this process's questions."""
        if not questions:
            return []
        prompts = [self._encoded(each) for each in questions]
        found = asyncio.run(self._said([ids for ids, _ in prompts], seeds, per_prompt))
        said = [each for several in found for each in several]
        asked = [question for question in questions for _ in range(per_prompt)]
        answers = [(each.text, each.finish == "stop") for each in said]
        rewards, utilities = self._reward(asked, answers), gold(asked, answers)
        watched = {each.name: each(asked, answers) for each in self._watched if watch}
        made = [
            _Answer(
                text=Encoded(np.array([*ids, *said[at].tokens], np.int64), len(ids)),
                said=said[at],
                cut=cut,
                reward=rewards[at],
                gold=utilities[at],
                watched={name: values[at] for name, values in watched.items()},
            )
            for at, (ids, cut) in enumerate(prompt for prompt in prompts for _ in range(per_prompt))
        ]
        return [made[at : at + per_prompt] for at in range(0, len(made), per_prompt)]

    def _encoded(self, question: Question) -> tuple[list[int], bool]:
        """The prompt's tokens, without its oldest ones where it is too long, and whether it was."""
        ids = self._tokenizer.encode_prompt(question.prompt)
        bos = self._tokenizer.bos_id
        if not ids and bos is None:
            raise DataError(
                "a prompt is empty, and the tokenizer has no token to begin a text with", todo="leave it out"
            )
        cut = len(ids) > self._room
        if cut:
            first = ids[:1] if ids[0] == bos and self._room > 1 else []
            ids = first + ids[len(ids) - self._room + len(first) :]
        return ids or [int(bos or 0)], cut

    async def _said(
        self, prompts: Sequence[list[int]], seeds: Sequence[Seed], per_prompt: int
    ) -> list[list[Completion]]:
        hows = [Sampling(max_tokens=self._max_tokens, seed=seed.value) for seed in seeds]
        calls = (self._engine.sample(ids, how, per_prompt) for ids, how in zip(prompts, hows, strict=True))
        try:
            return list(await asyncio.gather(*calls))
        finally:
            await self._engine.rest()


@torch.no_grad()
def known(actor: Actor, reference: Reference, drawn: Drawn, *, on_policy: bool) -> tuple[Episodes, float]:
    """What is known of answers before a step on them, and the distance of sampler and trainer in nats a token.

    Args:
        on_policy: the one step on them is the first, and does the policy's forward itself: the sampler's
            log-probabilities serve, and the distance, NaN here, is logged there.
    """
    group_B = torch.tensor(drawn.group)
    # What shares a prompt is read together, by the process that drew it.
    mine = [(group_B == group).nonzero()[:, 0].tolist() for group in split(range(drawn.group[-1] + 1))[0]]
    texts = [drawn.texts[i] for rows in mine for i in rows]
    read = iter(_read(actor, reference, texts, policy=not on_policy))
    found = [each for several in gathered([[next(read) for _ in rows] for rows in mine]) for each in several]
    reference_N, policy_N, values_N = (torch.cat(each) for each in zip(*found, strict=True))
    sampled_N = sampled(drawn)
    gap = checked_gap(sampled_N, policy_N) if len(policy_N) else math.nan
    e = Episodes(
        drawn.texts,
        policy_N=policy_N if len(policy_N) else sampled_N,
        reference_N=reference_N,
        values_N=values_N,
        reward_B=torch.tensor(drawn.reward),
        group_B=group_B,
        text_N=torch.tensor([i for i, each in enumerate(drawn.said) for _ in each.tokens]),
    )
    return e, gap


def sampled(drawn: Drawn) -> Tensor:
    """What the engine that drew says of each token [N]."""
    return torch.tensor([logp for each in drawn.said for logp in each.logprobs])


class _Read(NamedTuple):
    """One answer's log-probabilities by the first model, and by the policy where it was read, and its values."""

    reference_N: Tensor
    policy_N: Tensor
    values_N: Tensor


def _read(actor: Actor, reference: Reference, texts: Sequence[Encoded], *, policy: bool) -> list[_Read]:
    if not texts:
        return []
    answers = shared_batch(texts)
    with reference() as net:
        reference_N, _, _ = log_probabilities(net, answers)
    policy_N, h_UD = torch.zeros(0), torch.zeros(0)
    if policy or (actor.head is not None and actor.critic is None):
        policy_N, _, h_UD = log_probabilities(actor.policy, answers)
    values_N = torch.zeros_like(reference_N) if actor.head is None else actor.values(answers, h_UD)
    found, at = [], 0
    for text in texts:
        size = len(text.tokens) - text.start
        found.append(_Read(*(each[at : at + size].clone() for each in (reference_N, policy_N, values_N))))
        at += size
    return found


def told(drawn: Drawn, e: Episodes) -> dict[str, float]:
    """What to log of answers: means of all values, both estimates of KL, length, and how varied they are."""
    k1_N, k3_N = kl_terms(e.policy_N, e.reference_N)
    num, kl = len(drawn.texts), float(k1_N.sum()) / len(drawn.texts)
    utilities = [each for each in drawn.gold if each is not None]
    tokens = [each.tokens for each in drawn.said]
    return {
        "reward": sum(drawn.reward) / num,
        **({"gold": sum(utilities) / len(utilities)} if utilities else {}),
        **{name: sum(values) / num for name, values in drawn.watched.items()},
        "kl": kl,
        "kl3": float(k3_N.sum()) / num,
        "sqrt_kl": math.sqrt(max(0.0, kl)),
        "answer_tokens": sum(map(len, tokens)) / num,
        "cut": sum(each.finish == "length" for each in drawn.said) / num,
        "distinct_1": distinct(tokens, 1),
        "distinct_2": distinct(tokens, 2),
    }


def distinct(answers: Sequence[Sequence[int]], n: int) -> float:
    """The share of different ones among all runs of `n` tokens (Li et al. 2016); 0 where there are none.

    >>> distinct([(1, 2), (1, 2, 2)], 2)
    0.6666666666666666
    """
    grams = [tuple(each[i : i + n]) for each in answers for i in range(len(each) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def refuse_no_numbers(questions: Sequence[Question], texts: Sequence[str], rewards: Sequence[float]) -> None:
    """Raises `RunError` with the answer whose reward is no finite number."""
    for question, text, reward in zip(questions, texts, rewards, strict=True):
        if not math.isfinite(reward):
            what = f"the reward of {text!r} is {reward}"
            raise RunError(what, where=str(question.prompt), todo="mend --reward")


def _check(drawn: Drawn) -> None:
    refuse_no_numbers(drawn.questions, [each.text for each in drawn.said], drawn.reward)
    tokens = [each.tokens for each in drawn.said]
    if len(set(tokens)) == 1 and len({question.cluster for question in drawn.questions}) > 1:
        what = f"policy collapsed (distinct-1 = {distinct(tokens, 1):.3f}): every answer is {drawn.said[0].text!r}"
        raise RunError(what, todo="lower --peak-rate or raise --kl, and start with --fresh")
