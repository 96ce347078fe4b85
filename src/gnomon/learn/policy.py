"""Policy gradients on answers with one reward each: PPO, REINFORCE, RLOO and GRPO, over the same record of answers.

Bai et al. 2022a (arXiv 2204.05862), sec. 4: an episode is the answer to one prompt; the preference model's value comes
at its last real token, and every token costs `kl` times log pi - log pi_0, pi_0 the model that training started from.
PPO (Schulman et al. 2017) with gamma 1 and a clip of 0.2; no entropy bonus. The paper says nothing of the advantage:
ours is GAE with lambda 0.95 (Schulman et al. 2016), whitened over the answers' tokens. RLOO follows Ahmadian et al.
2024 (arXiv 2402.14740), GRPO Shao et al. 2024 (arXiv 2402.03300). Tokens of all answers lie end to end, unpadded; what
answers begin with in common, their prompt first of all, goes through the network once.

Shapes: B answers, N tokens of all answers, one answer after another, U different beginnings that a token of an answer
follows, V vocabulary, D model width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnomon.core.errors import ModelError
from gnomon.learn.batches import SharedBatch, shared_batch
from gnomon.learn.heads import ScalarHead
from gnomon.learn.loop import StepResult
from gnomon.learn.lora import twin
from gnomon.learn.texts import Encoded
from gnomon.models.cache import Reading
from gnomon.models.transformer import Transformer

__all__ = [
    "Actor",
    "Advantages",
    "Episodes",
    "PolicyBatch",
    "best_of_n_kl",
    "checked_gap",
    "gae",
    "grpo_advantages",
    "grpo_step",
    "kl_terms",
    "last_of",
    "leave_one_out",
    "log_probabilities",
    "policy_batch",
    "ppo_advantages",
    "ppo_step",
    "reinforce_advantages",
    "reinforce_step",
    "rloo_advantages",
    "rloo_step",
    "token_rewards",
    "truncated_weights",
    "whitened",
]

CLIP = 0.2
LAMBDA = 0.95
MAX_GAP = 0.05
# The value's loss beside the policy's. The gradient is clipped as a whole, so a loud value would drown the policy.
_VALUE_WEIGHT = 0.1


class Actor(nn.Module):
    """A policy and what it expects to be rewarded with.

    Attributes:
        policy: the model that answers.
        critic: a copy of what learns of it, under the value head; None where the head reads the policy's hidden states.
        head: the value head; None where there are no values.
    """

    def __init__(self, policy: Transformer, value: Literal["copy", "shared", "none"]) -> None:
        super().__init__()
        self.policy = policy
        self.critic = twin(policy) if value == "copy" else None
        self.head = None if value == "none" else ScalarHead(policy.config.d_model)

    def values(self, answers: SharedBatch, h_UD: Tensor) -> Tensor:
        """What is expected [N] before each token of the answers, from `h_UD`, the policy's hidden states there."""
        assert self.head is not None
        if self.critic is not None:
            h_UD = _hidden(self.critic, answers)
        values_U: Tensor = self.head(h_UD).float()
        return values_U[answers.place_N]


class Episodes(NamedTuple):
    """Answers drawn from one policy, and what was known of them before any step on them.

    Attributes:
        texts: prompts with answers, one an episode; an answer's last token ends it, or stands where it was cut.
        policy_N: the policy's log-probability of each token of an answer, by the forward that training uses; where only
            one step is taken the sampler's own serve, and the step compares.
        reference_N: that of the model that training started from.
        values_N: what the value head expected before the token; zeros where there is none.
        reward_B: the value of each whole answer.
        group_B: which prompt it answers.
        text_N: the answer that each token belongs to.
    """

    texts: Sequence[Encoded]
    policy_N: Tensor
    reference_N: Tensor
    values_N: Tensor
    reward_B: Tensor
    group_B: Tensor
    text_N: Tensor


class Advantages(NamedTuple):
    """How much better than expected each token was, and the return [N] that its value should have been."""

    advantage_N: Tensor
    return_N: Tensor


class PolicyBatch(NamedTuple):
    """Answers of one step.

    Attributes:
        answers: their tokens.
        policy_N, reference_N, values_N, advantage_N, return_N: as in `Episodes` and `Advantages`.
        on_policy: whether the policy of this very step drew them, so that every ratio is 1.
        facts: numbers about all the answers drawn with them, to be logged.
        token_share, answer_share: how much of the tokens and of the answers of its step it has, in [0, 1].
    """

    answers: SharedBatch
    policy_N: Tensor
    reference_N: Tensor
    values_N: Tensor
    advantage_N: Tensor
    return_N: Tensor
    on_policy: bool
    facts: Mapping[str, float] = {}
    token_share: float = 1.0
    answer_share: float = 1.0


def log_probabilities(policy: Transformer, answers: SharedBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Of each token of the answers its log-probability [N] and the entropy [N] at its place; hidden states [U, D]."""
    h_UD = _hidden(policy, answers)
    # Float32 whatever the autocast: half precision loses the tail of a softmax.
    logp_UV = F.linear(h_UD, policy.w_u).float().log_softmax(-1)
    entropy_U = -(logp_UV.detach().exp() * logp_UV.detach()).sum(-1)
    return logp_UV[answers.place_N, answers.targets_N], entropy_U[answers.place_N], h_UD


def kl_terms(policy_N: Tensor, reference_N: Tensor) -> tuple[Tensor, Tensor]:
    """Two estimates [N] of KL(policy || reference), for tokens drawn from the policy.

    k1 = log pi - log pi_0; k3 = exp(d) - 1 - d with d = -k1, never negative and less variable. Their means agree.
    """
    k1_N = policy_N - reference_N
    return k1_N, torch.expm1(-k1_N) + k1_N


def best_of_n_kl(n: int) -> float:
    """KL in nats from a model to the best of `n` of its answers: log n - (n - 1) / n, an upper bound.

    >>> round(best_of_n_kl(64), 3)
    3.175
    """
    return math.log(n) - (n - 1) / n


def last_of(text_N: Tensor) -> Tensor:
    """Place in N of each answer's last token [B]: the one that ends it, or that it was cut at; never padding."""
    return text_N.bincount().cumsum(0) - 1


def token_rewards(e: Episodes, kl: float) -> Tensor:
    """Rewards [N]: minus `kl` times k1 at every token, and the answer's value at its last one."""
    reward_N = -kl * kl_terms(e.policy_N, e.reference_N)[0]
    return reward_N.index_add(0, last_of(e.text_N), e.reward_B)


def gae(reward_N: Tensor, value_N: Tensor, text_N: Tensor, *, lam: float = LAMBDA, gamma: float = 1.0) -> Advantages:
    """Generalised advantage estimates: sums over later tokens of (gamma lam)^l times the error of the value there.

    The error is r_t + gamma v_{t+1} - v_t; behind an answer's last token the value is 0 (Schulman et al. 2016, eq. 16).
    """
    rewards, values, rows = reward_N.tolist(), value_N.tolist(), text_N.tolist()
    found, following, next_value = [0.0] * len(rows), 0.0, 0.0
    for t in reversed(range(len(rows))):
        if t + 1 == len(rows) or rows[t + 1] != rows[t]:
            following, next_value = 0.0, 0.0
        following = rewards[t] + gamma * next_value - values[t] + gamma * lam * following
        found[t], next_value = following, values[t]
    advantage_N = torch.tensor(found)
    return Advantages(advantage_N, advantage_N + value_N)


def whitened(values_N: Tensor) -> Tensor:
    """`values_N` with mean 0 and deviation 1 over all tokens of answers."""
    return (values_N - values_N.mean()) / (values_N.std(correction=0) + 1e-8)


def leave_one_out(total_B: Tensor, group_B: Tensor) -> Tensor:
    """Each total less the mean of the others of its group [B]; 0 where a group has one.

    >>> leave_one_out(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0, 0, 0])).tolist()
    [-3.0, -1.5, 4.5]
    """
    size_B = group_B.bincount()[group_B]
    sum_B = torch.zeros(int(group_B.max()) + 1).index_add(0, group_B, total_B)[group_B]
    return torch.where(size_B > 1, total_B - (sum_B - total_B) / (size_B - 1).clamp_min(1), 0.0)


def ppo_advantages(e: Episodes, kl: float) -> Advantages:
    """PPO: whitened GAE of the tokens' rewards."""
    advantage_N, return_N = gae(token_rewards(e, kl), e.values_N, e.text_N)
    return Advantages(whitened(advantage_N), return_N)


def reinforce_advantages(e: Episodes, kl: float) -> Advantages:
    """REINFORCE: an answer's total less the mean of all others', the same for all its tokens."""
    return _of_answers(e, leave_one_out(_totals(e, kl), torch.zeros_like(e.group_B)))


def rloo_advantages(e: Episodes, kl: float) -> Advantages:
    """RLOO: an answer's total less the mean of those of the other answers to its prompt."""
    return _of_answers(e, leave_one_out(_totals(e, kl), e.group_B))


def grpo_advantages(e: Episodes, kl: float) -> Advantages:
    """GRPO: an answer's value in deviations from the mean of its prompt's answers; `kl` is left to the loss."""
    size_G = e.group_B.bincount()
    apart_B = e.reward_B - (torch.zeros(len(size_G)).index_add(0, e.group_B, e.reward_B) / size_G)[e.group_B]
    deviation_G = (torch.zeros(len(size_G)).index_add(0, e.group_B, apart_B**2) / size_G).sqrt()
    return _of_answers(e, apart_B / (deviation_G[e.group_B] + 1e-4))


def truncated_weights(trained_N: Tensor, sampled_N: Tensor, most: float, whole_N: Tensor | None = None) -> Tensor:
    """Weights [N] of the advantages of tokens that another engine drew: min(exp(trained - sampled), most).

    Both engines have the same model, and round differently. To cut weights off is a little bias for a variance that is
    bounded (Ionides 2008).

    Args:
        trained_N, sampled_N: what the training forward and the engine that drew say of the tokens.
        most: the largest weight, at least 1.
        whole_N: the answer that each token belongs to, where answers are drawn as wholes and have one weight each.
    """
    apart_N = trained_N - sampled_N
    if whole_N is not None:
        apart_N = torch.zeros(int(whole_N[-1]) + 1).index_add(0, whole_N, apart_N)[whole_N]
    return apart_N.exp().clamp_max(most)


def policy_batch(
    e: Episodes,
    a: Advantages,
    rows: Sequence[int],
    *,
    on_policy: bool,
    facts: Mapping[str, float] | None = None,
    of: Sequence[int] = (),
) -> PolicyBatch:
    """The answers in `rows` as one step, or as a part of one.

    Args:
        on_policy: whether no step comes between the drawing and this one.
        facts: numbers to log beside the step's own.
        of: the answers of the whole step, where `rows` are a part of it. No rows are its first, of no weight.
    """
    sizes = torch.tensor([len(text.tokens) - text.start for text in e.texts])
    first = sizes.cumsum(0) - sizes
    token_share = int(sizes[list(rows)].sum()) / int(sizes[list(of)].sum()) if of else 1.0
    answer_share = len(rows) / len(of) if of else 1.0
    rows = rows or of[:1]
    at = torch.cat([torch.arange(int(first[row]), int(first[row] + sizes[row])) for row in rows])
    return PolicyBatch(
        shared_batch([e.texts[row] for row in rows]),
        policy_N=e.policy_N[at],
        reference_N=e.reference_N[at],
        values_N=e.values_N[at],
        advantage_N=a.advantage_N[at],
        return_N=a.return_N[at],
        on_policy=on_policy,
        facts=facts or {},
        token_share=token_share,
        answer_share=answer_share,
    )


def ppo_step(actor: Actor, batch: PolicyBatch) -> StepResult:
    """Minus the mean over tokens of min(ratio A, clip(ratio) A), and half the value's squared error, clipped too.

    This step's loss and metrics, and the others', of a part of a step are its share in the step's.
    """
    logp_N, h_UD, metrics = _looked(actor, batch)
    surrogate_N, clipped = _clipped(_apart(logp_N, batch), batch.advantage_N)
    value_N = actor.values(batch.answers, h_UD)
    near_N = batch.values_N + (value_N - batch.values_N).clamp(-CLIP, CLIP)
    error_N = torch.maximum((value_N - batch.return_N) ** 2, (near_N - batch.return_N) ** 2)
    value_loss = error_N.mean() / 2 * batch.token_share
    metrics |= {"clip_share": clipped * batch.token_share, "value_loss": value_loss.detach()}
    return StepResult(_VALUE_WEIGHT * value_loss - surrogate_N.mean() * batch.token_share, metrics)


def reinforce_step(actor: Actor, batch: PolicyBatch) -> StepResult:
    """Minus the mean over answers of A log pi(answer) (Williams 1992)."""
    logp_N, _, metrics = _looked(actor, batch)
    return StepResult(-(logp_N * batch.advantage_N).sum() / _num_answers(batch) * batch.answer_share, metrics)


def rloo_step(actor: Actor, batch: PolicyBatch) -> StepResult:
    """As `ppo_step` without values, whole answers being the actions: their ratios are products over tokens."""
    logp_N, _, metrics = _looked(actor, batch)
    text_N = batch.answers.text_N
    apart_B = logp_N.new_zeros(_num_answers(batch)).index_add(0, text_N, _apart(logp_N, batch))
    surrogate_B, clipped = _clipped(apart_B, batch.advantage_N[last_of(text_N)])
    metrics["clip_share"] = clipped * batch.answer_share
    return StepResult(-surrogate_B.mean() * batch.answer_share, metrics)


def grpo_step(actor: Actor, batch: PolicyBatch, *, kl: float) -> StepResult:
    """Minus the mean over answers of the mean over their tokens of the clipped surrogate, less `kl` times k3."""
    logp_N, _, metrics = _looked(actor, batch)
    surrogate_N, clipped = _clipped(_apart(logp_N, batch), batch.advantage_N)
    gained_N = surrogate_N - kl * kl_terms(logp_N, batch.reference_N)[1]
    text_N = batch.answers.text_N
    loss = -(gained_N / text_N.bincount()[text_N]).sum() / _num_answers(batch)
    metrics["clip_share"] = clipped * batch.token_share
    return StepResult(loss * batch.answer_share, metrics)


def checked_gap(sampled_N: Tensor, trained_N: Tensor) -> float:
    """Mean distance in nats a token between what sampler and trainer say of the same tokens under the same weights.

    Raises:
        ModelError: it is above 0.05, where ratios and KL would mean nothing.
    """
    gap = float((sampled_N - trained_N.detach()).abs().mean())
    if gap > MAX_GAP:
        means = f"{float(sampled_N.mean()):.3f} and {float(trained_N.mean()):.3f}"
        what = f"log-probabilities of sampler and trainer differ by {gap:.3f} nats a token; their means are {means}"
        raise ModelError(what, todo="use one arithmetic and the same weights for both")
    return gap


def _looked(actor: Actor, batch: PolicyBatch) -> tuple[Tensor, Tensor, dict[str, float | Tensor]]:
    """Log-probabilities [N] and hidden states [U, D] of the answers under the policy of this step, and what to log."""
    logp_N, entropy_N, h_UD = log_probabilities(actor.policy, batch.answers)
    metrics: dict[str, float | Tensor] = {**batch.facts, "entropy": entropy_N.mean()}
    if batch.on_policy and "sampler_gap" not in batch.facts:
        metrics["sampler_gap"] = checked_gap(batch.policy_N, logp_N)
    metrics = {name: value * batch.token_share for name, value in metrics.items()}
    return logp_N, h_UD, metrics


def _apart(logp_N: Tensor, batch: PolicyBatch) -> Tensor:
    """Logarithm [N] of the ratio of this step's policy to the one that drew."""
    return logp_N - (logp_N.detach() if batch.on_policy else batch.policy_N)


def _clipped(apart: Tensor, advantage: Tensor) -> tuple[Tensor, Tensor]:
    """min(ratio A, clip(ratio) A), and the share of places at which the clip decides."""
    free = apart.exp() * advantage
    surrogate = torch.minimum(free, apart.exp().clamp(1 - CLIP, 1 + CLIP) * advantage)
    return surrogate, (surrogate < free).float().mean()


def _totals(e: Episodes, kl: float) -> Tensor:
    return torch.zeros(len(e.reward_B)).index_add(0, e.text_N, token_rewards(e, kl))


def _of_answers(e: Episodes, advantage_B: Tensor) -> Advantages:
    return Advantages(advantage_B[e.text_N], torch.zeros_like(e.values_N))


def _num_answers(batch: PolicyBatch) -> int:
    return int(batch.answers.text_N[-1]) + 1


def _hidden(net: Transformer, answers: SharedBatch) -> Tensor:
    how: Reading = {"positions_BT": answers.positions_BT, "mask": answers.mask_B1TT, "at": answers.at_U2}
    return net.hidden(answers.tokens_BT, **how)
