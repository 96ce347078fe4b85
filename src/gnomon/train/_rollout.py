"""Answers drawn from a policy through the engine that serves models, with their rewards and all log-probabilities."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from gnomon.core.errors import DataError, RunError
from gnomon.core.seeds import Seed
from gnomon.learn.batches import shared_batch
from gnomon.learn.policy import Actor, Episodes, checked_gap, kl_terms, log_probabilities
from gnomon.learn.texts import Encoded
from gnomon.models.base import Completion, Sampling
from gnomon.models.local import LocalModel
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer
from gnomon.train._questions import Question, Reward, gold

__all__ = ["Drawn", "Sampler", "distinct", "known", "told"]


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
    ) -> None:
        """A sampler at temperature 1.

        Args:
            net: the policy.
            reward: what answers are worth.
            watched: further values of answers.
            max_tokens: longest answer, its end included.

        Raises:
            DataError: the context has no room for a prompt before such an answer.
        """
        self._model = LocalModel(net, tokenizer, name="policy")
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
        """
        prompts = [self._encoded(each) for each in questions]
        found = asyncio.run(self._said(prompts, seed, per_prompt))
        said = [each for several in found for each in several]
        group = [place for place, several in enumerate(found) for _ in several]
        asked = [questions[place] for place in group]
        texts = [
            Encoded(np.array([*prompts[place], *each.tokens], np.int64), len(prompts[place]))
            for place, each in zip(group, said, strict=True)
        ]
        answers = [(each.text, each.finish == "stop") for each in said]
        rewards = self._reward(asked, answers)
        _check(asked, answers, texts, rewards)
        watched = {each.name: each(asked, answers) for each in self._watched if watch}
        return Drawn(asked, texts, said, group, rewards, gold(asked, answers), watched)

    def _encoded(self, question: Question) -> list[int]:
        """The prompt's tokens, without its oldest ones where it is too long."""
        ids = self._tokenizer.encode_prompt(question.prompt)
        bos = self._tokenizer.bos_id
        if not ids and bos is None:
            raise DataError(
                "a prompt is empty, and the tokenizer has no token to begin a text with", todo="leave it out"
            )
        if len(ids) > self._room:
            self.num_cut += 1
            first = ids[:1] if ids[0] == bos and self._room > 1 else []
            ids = first + ids[len(ids) - self._room + len(first) :]
        return ids or [int(bos or 0)]

    async def _said(self, prompts: Sequence[list[int]], seed: Seed, per_prompt: int) -> list[list[Completion]]:
        self._model.weights_changed()

        async def answers(place: int) -> list[Completion]:
            how = Sampling(max_tokens=self._max_tokens, seed=seed.child(place).value)
            return await self._model.sample(prompts[place], how, per_prompt)

        return list(await asyncio.gather(*map(answers, range(len(prompts)))))


@torch.no_grad()
def known(actor: Actor, reference: Transformer, drawn: Drawn, *, on_policy: bool) -> tuple[Episodes, float]:
    """What is known of answers before a step on them, and the distance of sampler and trainer in nats a token.

    Args:
        on_policy: the one step on them is the first, and does the policy's forward itself: the sampler's
            log-probabilities serve, and the distance, NaN here, is logged there.
    """
    answers = shared_batch(drawn.texts)
    sampled_N = torch.tensor([logp for each in drawn.said for logp in each.logprobs])
    reference_N, _, _ = log_probabilities(reference, answers)
    policy_N, gap = sampled_N, math.nan
    values_N = torch.zeros_like(sampled_N)
    h_UD = torch.zeros(0)
    if not on_policy or (actor.head is not None and actor.critic is None):
        policy_N, _, h_UD = log_probabilities(actor.policy, answers)
        gap = checked_gap(sampled_N, policy_N)
    if actor.head is not None:
        values_N = actor.values(answers, h_UD)
    reward_B, group_B = torch.tensor(drawn.reward), torch.tensor(drawn.group)
    return Episodes(drawn.texts, policy_N, reference_N, values_N, reward_B, group_B, answers), gap


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


def _check(
    asked: Sequence[Question],
    answers: Sequence[tuple[str, bool]],
    texts: Sequence[Encoded],
    rewards: Sequence[float],
) -> None:
    for question, (text, _), reward in zip(asked, answers, rewards, strict=True):
        if not math.isfinite(reward):
            raise RunError(f"the reward of {text!r} is {reward}", where=str(question.prompt), todo="mend --reward")
    said = {tuple(text.tokens[text.start :].tolist()) for text in texts}
    if len(said) == 1 and len({question.cluster for question in asked}) > 1:
        share = distinct([text.tokens[text.start :].tolist() for text in texts], 1)
        what = f"policy collapsed (distinct-1 = {share:.3f}): every answer is {answers[0][0]!r}"
        raise RunError(what, todo="lower --peak-rate or raise --kl, and start with --fresh")
