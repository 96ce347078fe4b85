"""Policy gradients: rewards sit where they belong, estimates equal brute force, gradients those they stand for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnomon.core.errors import ModelError
from gnomon.learn.batches import AnswerBatch, answer_batch, shared_batch
from gnomon.learn.policy import (
    Actor,
    Advantages,
    Episodes,
    best_of_n_kl,
    checked_gap,
    gae,
    grpo_advantages,
    grpo_step,
    kl_terms,
    last_of,
    leave_one_out,
    log_probabilities,
    policy_batch,
    ppo_advantages,
    ppo_step,
    reinforce_advantages,
    reinforce_step,
    rloo_advantages,
    rloo_step,
    token_rewards,
    truncated_weights,
)
from gnomon.learn.texts import Encoded
from gnomon.models.transformer import Transformer, TransformerConfig

VOCAB, END, PAD = 23, 1, 0
SHAPE = TransformerConfig(vocab_size=VOCAB, d_model=16, num_layers=2, num_heads=2, d_mlp=32, max_positions=32)
# Prompts of 3, 1, 2 and 2 tokens; the last answer is cut and does not end, the second is its end alone.
TEXTS = [
    Encoded(np.array(ids, np.int64), start)
    for ids, start in (([5, 6, 7, 8, 9, END], 3), ([4, END], 1), ([3, 4, 9, 10, 11, 12, END], 2), ([3, 4, 8, 8], 2))
]
ROWS = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3])
REWARD = torch.tensor([1.0, -2.0, 0.5, 3.0])
GROUP = torch.tensor([0, 0, 1, 1])


def net(seed: int = 0) -> Transformer:
    found = Transformer(SHAPE, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.mul_(8.0 if parameter.ndim == 2 else 1.0)
    return found


@torch.no_grad()
def episodes(policy: Transformer, reference: Transformer, values: Tensor | None = None) -> Episodes:
    answers = shared_batch(TEXTS)
    said, _, _ = log_probabilities(policy, answers)
    before, _, _ = log_probabilities(reference, answers)
    return Episodes(TEXTS, said, before, torch.zeros(11) if values is None else values, REWARD, GROUP, answers.text_N)


def test_kl_of_a_policy_with_itself_is_0_and_k3_is_never_negative() -> None:
    e = episodes(net(), net())
    k1_N, k3_N = kl_terms(e.policy_N, e.reference_N)
    assert k1_N.abs().max() == 0
    assert k3_N.abs().max() == 0
    e = episodes(net(), net(1))
    k1_N, k3_N = kl_terms(e.policy_N, e.reference_N)
    assert (k3_N >= 0).all()
    assert torch.equal(k1_N, e.policy_N - e.reference_N)
    assert torch.allclose(k3_N, (e.reference_N - e.policy_N).exp() - 1 + k1_N, atol=1e-6)


def test_both_readings_of_kl_have_the_true_kl_as_their_mean() -> None:
    p, q = (torch.softmax(torch.randn(9, generator=torch.Generator().manual_seed(s)), 0) for s in (1, 2))
    true = float((p * (p / q).log()).sum())
    for each in kl_terms(p.log(), q.log()):
        assert float((p * each).sum()) == pytest.approx(true, abs=1e-6)


def test_the_reward_sits_on_each_answers_last_token_and_padding_has_none() -> None:
    e = episodes(net(), net(1))
    assert torch.equal(e.text_N, ROWS)
    last = last_of(ROWS)
    assert last.tolist() == [2, 3, 8, 10]
    assert shared_batch(TEXTS).targets_N[last].tolist() == [END, END, END, 8]
    free = token_rewards(e, 0.0)
    assert free[last].tolist() == REWARD.tolist()
    assert free.count_nonzero() == 4
    paid = token_rewards(e, 0.1)
    assert torch.allclose(paid, free - 0.1 * (e.policy_N - e.reference_N))


def plainly(policy: Transformer, answers: AnswerBatch, **how: Any) -> Tensor:
    """Log-probabilities by a forward that shares nothing."""
    h_ND = policy.hidden(answers.tokens_BT, at=answers.at_N2, **how)
    return (h_ND @ policy.w_u.T).log_softmax(-1).gather(1, answers.targets_N[:, None])[:, 0]


@pytest.mark.parametrize("pad", [1, 4])
def test_left_and_right_padding_change_no_log_probability(pad: int) -> None:
    policy, answers = net(), answer_batch(TEXTS)
    found, entropy, _ = log_probabilities(policy, shared_batch(TEXTS))
    right_BT = torch.nn.functional.pad(answers.tokens_BT, (0, pad), value=END)
    assert torch.allclose(plainly(policy, answers._replace(tokens_BT=right_BT)), found, atol=1e-5)
    left_BT = torch.nn.functional.pad(answers.tokens_BT, (pad, 0), value=END)
    width = left_BT.shape[1]
    seen = torch.ones(width, width, dtype=torch.bool).tril() & (torch.arange(width) >= pad)
    seen |= torch.eye(width, dtype=torch.bool)
    positions = (torch.arange(width) - pad).clamp_min(0).expand(len(TEXTS), -1)
    moved = answers._replace(tokens_BT=left_BT, at_N2=answers.at_N2 + torch.tensor([0, pad]))
    left = plainly(policy, moved, positions_BT=positions, mask=seen.expand(len(TEXTS), 1, -1, -1))
    assert torch.allclose(left, found, atol=1e-4)
    for row, text in enumerate(TEXTS):
        alone, entropy_alone, _ = log_probabilities(policy, shared_batch([text]))
        assert torch.allclose(alone, found[row == ROWS], atol=1e-5)
        assert torch.allclose(entropy_alone, entropy[row == ROWS], atol=1e-5)


@st.composite
def answered(draw: st.DrawFn) -> list[Encoded]:
    """Answers to few prompts, so that they begin alike."""
    word = st.integers(3, 5)
    prompts = draw(st.lists(st.lists(word, min_size=1, max_size=6), min_size=1, max_size=3))
    asked = draw(st.lists(st.sampled_from(prompts), min_size=1, max_size=9))
    said = [draw(st.lists(word, min_size=1, max_size=8)) for _ in asked]
    return [Encoded(np.array(p + a, np.int64), len(p)) for p, a in zip(asked, said, strict=True)]


@settings(max_examples=40)
@given(answered())
def test_answers_that_share_their_beginnings_are_read_as_if_each_stood_alone(texts: list[Encoded]) -> None:
    actor, shared, plain = Actor(net(), "copy"), shared_batch(texts), answer_batch(texts)
    logp_N, _, h_UD = log_probabilities(actor.policy, shared)
    want_N = plainly(actor.policy, plain)
    assert torch.allclose(logp_N, want_N, atol=1e-4)
    assert torch.equal(shared.targets_N, plain.targets_N)
    assert torch.equal(shared.text_N, plain.row_N)
    assert actor.head is not None
    torch.nn.init.normal_(actor.head.out.weight, generator=torch.Generator().manual_seed(1))
    h_ND = actor.policy.hidden(plain.tokens_BT, at=plain.at_N2)
    assert torch.allclose(actor.values(shared, h_UD), actor.head(h_ND), atol=1e-4)
    weight_N = torch.randn(len(want_N), generator=torch.Generator().manual_seed(0))
    found, want = (gradient((each_N * weight_N).sum(), actor.policy) for each_N in (logp_N, want_N))
    assert torch.allclose(found, want, atol=1e-4 * float(want.abs().max()) + 1e-5)


def test_a_prompt_goes_through_the_network_once_for_all_its_answers() -> None:
    prompt, said = list(range(3, 23)), ([5, 6, 7, END], [5, 6, 8, 9, END], [4, END], [4, END])
    batch = shared_batch([Encoded(np.array([*prompt, *each], np.int64), len(prompt)) for each in said])
    # Twenty of the prompt; 5 6, then 7, and 8 9; 4. Ends are predicted, and nothing is from them.
    assert batch.tokens_BT.numel() == len(prompt) + 2 + 1 + 2 + 1
    assert len(batch.at_U2) == 1 + 2 + 1 + 2 + 1


def brute_gae(rewards: list[float], values: list[float], lam: float, gamma: float) -> list[float]:
    errors = [r + gamma * v - u for r, u, v in zip(rewards, values, [*values[1:], 0.0], strict=True)]
    return [sum((gamma * lam) ** (k - t) * errors[k] for k in range(t, len(errors))) for t in range(len(errors))]


numbers = st.floats(-3, 3, width=32)


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    st.sampled_from([0.9, 1.0]),
)
def test_gae_is_the_sum_over_later_errors(answers: list[list[tuple[float, float]]], lam: float, gamma: float) -> None:
    row_N = torch.tensor([row for row, each in enumerate(answers) for _ in each])
    reward_N, value_N = (torch.tensor([pair[k] for each in answers for pair in each]) for k in (0, 1))
    found = gae(reward_N, value_N, row_N, lam=lam, gamma=gamma)
    want = [
        value
        for each in answers
        for value in brute_gae([reward for reward, _ in each], [value for _, value in each], lam, gamma)
    ]
    assert torch.allclose(found.advantage_N, torch.tensor(want), atol=1e-4)
    assert torch.allclose(found.return_N, found.advantage_N + value_N)


def test_with_lambda_1_the_return_is_what_is_still_to_come() -> None:
    e = episodes(net(), net(1), torch.randn(11, generator=torch.Generator().manual_seed(3)))
    reward_N = token_rewards(e, 0.1)
    found = gae(reward_N, e.values_N, ROWS, lam=1.0)
    want = [float(reward_N[t:][ROWS[t:] == ROWS[t]].sum()) for t in range(11)]
    assert found.return_N.tolist() == pytest.approx(want, abs=1e-5)


def gradient(loss: Tensor, policy: Transformer) -> Tensor:
    grads = torch.autograd.grad(loss, list(policy.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in grads if g is not None])


@pytest.mark.parametrize("on_policy", [True, False])
def test_at_ratio_1_the_gradient_of_ppo_is_that_of_reinforce_with_a_baseline(on_policy: bool) -> None:
    actor = Actor(net(), "copy")
    e = episodes(actor.policy, net(1), torch.randn(11, generator=torch.Generator().manual_seed(4)))
    a = ppo_advantages(e, 0.05)
    assert float(a.advantage_N.mean()) == pytest.approx(0, abs=1e-6)
    assert float(a.advantage_N.std(correction=0)) == pytest.approx(1, abs=1e-5)
    batch = policy_batch(e, a, range(4), on_policy=on_policy)
    found = gradient(ppo_step(actor, batch).loss, actor.policy)
    logp_N, _, _ = log_probabilities(actor.policy, shared_batch(e.texts))
    want = gradient(-(logp_N * a.advantage_N).mean(), actor.policy)
    assert want.norm() > 0.01
    assert torch.allclose(found, want, atol=1e-5)


def test_at_ratio_1_rloo_reinforce_and_one_answer_a_group_agree_with_the_plain_formula() -> None:
    actor, reference = Actor(net(), "none"), net(1)
    e = episodes(actor.policy, reference)
    for advantages, step in ((reinforce_advantages, reinforce_step), (rloo_advantages, rloo_step)):
        a = advantages(e, 0.1)
        found = gradient(step(actor, policy_batch(e, a, range(4), on_policy=True)).loss, actor.policy)
        logp_N, _, _ = log_probabilities(actor.policy, shared_batch(e.texts))
        total_B = torch.zeros(4).index_add(0, ROWS, logp_N)
        want = gradient(-(total_B * a.advantage_N[last_of(ROWS)]).mean(), actor.policy)
        assert torch.allclose(found, want, atol=1e-5)


def test_leave_one_out_by_hand() -> None:
    e = episodes(net(), net())
    assert leave_one_out(REWARD, GROUP).tolist() == [3.0, -3.0, -2.5, 2.5]
    assert rloo_advantages(e, 0.1).advantage_N.tolist() == pytest.approx([3.0] * 3 + [-3.0] + [-2.5] * 5 + [2.5] * 2)
    assert leave_one_out(torch.tensor([7.0, 1.0, 4.0]), torch.tensor([1, 0, 0])).tolist() == [0.0, -3.0, 3.0]
    third = (1 - 2 + 0.5 + 3) / 3
    want = [each - (third - each / 3) for each in REWARD.tolist()]
    assert reinforce_advantages(e, 0.0).advantage_N[last_of(ROWS)].tolist() == pytest.approx(want)


def test_grpo_is_in_deviations_of_its_prompt_and_pays_k3_in_the_loss() -> None:
    actor, reference = Actor(net(), "none"), net(1)
    e = episodes(actor.policy, reference)
    a = grpo_advantages(e, 9.0)
    assert a.advantage_N[last_of(ROWS)].tolist() == pytest.approx([1, -1, -1, 1], abs=1e-3)
    batch = policy_batch(e, a, range(4), on_policy=True)
    free, paid = (float(grpo_step(actor, batch, kl=kl).loss) for kl in (0.0, 0.5))
    k3_N = kl_terms(e.policy_N, e.reference_N)[1]
    mean = sum(float(k3_N[row == ROWS].mean()) for row in range(4)) / 4
    assert paid - free == pytest.approx(0.5 * mean, rel=1e-4)


def test_the_clip_stops_the_gradient_where_the_policy_has_moved_far_enough() -> None:
    actor = Actor(net(), "none")
    e = episodes(actor.policy, net(1))
    up, down = (Advantages(sign * torch.ones(11), torch.zeros(11)) for sign in (1.0, -1.0))
    likelier = e._replace(policy_N=e.policy_N - math.log(1.5))
    for a, want in ((up, 0.0), (down, 1.0)):
        batch = policy_batch(likelier, a, range(4), on_policy=False)
        result = grpo_step(actor, batch, kl=0.0)
        moves = float(gradient(result.loss, actor.policy).norm()) > 1e-6
        assert moves == bool(want)
        assert float(result.metrics["clip_share"]) == pytest.approx(1 - want)
        value = -1.2 if a is up else 1.5
        assert float(result.loss) == pytest.approx(value, rel=1e-4)


def test_parts_of_a_round_carry_their_own_tokens() -> None:
    e = episodes(net(), net(1), torch.arange(11.0))
    a = Advantages(torch.arange(11.0), torch.arange(11.0))
    batch = policy_batch(e, a, [2, 0], on_policy=False)
    assert batch.advantage_N.tolist() == [4, 5, 6, 7, 8, 0, 1, 2]
    logp_N, _, _ = log_probabilities(net(), batch.answers)
    assert torch.allclose(logp_N, batch.policy_N, atol=1e-5)


@pytest.mark.parametrize("value", ["copy", "shared"])
def test_a_value_step_brings_values_nearer_to_returns(value: str) -> None:
    torch.manual_seed(0)
    actor = Actor(net(), value)  # type: ignore[arg-type]  # parametrised text
    e = episodes(actor.policy, net())
    a = Advantages(torch.zeros(11), 0.15 * torch.ones(11))
    batch = policy_batch(e, a, range(4), on_policy=True)
    learner = torch.optim.SGD(actor.parameters(), lr=0.2)
    losses = []
    for _ in range(8):
        result = ppo_step(actor, batch._replace(on_policy=False))
        losses.append(float(result.metrics["value_loss"]))
        learner.zero_grad()
        result.loss.backward()  # type: ignore[no-untyped-call]  # torch declares no types for it
        learner.step()
    assert losses[-1] < 0.5 * losses[0]


def test_a_sampler_that_says_something_else_is_refused() -> None:
    assert checked_gap(torch.tensor([-1.0, -2.0]), torch.tensor([-1.01, -2.01])) == pytest.approx(0.01, abs=1e-6)
    with pytest.raises(ModelError, match=r"differ by 0\.100 nats a token; their means are -1\.000 and -1\.100"):
        checked_gap(torch.tensor([-1.0]), torch.tensor([-1.1]))


def test_best_of_n_costs_log_n_less_its_share() -> None:
    assert best_of_n_kl(1) == 0
    for n in (2, 16):
        # The best of n of a continuous score: its quantile has the density n u^(n-1).
        u = (torch.arange(100_000) + 0.5) / 100_000
        density = n * u.double() ** (n - 1)
        assert best_of_n_kl(n) == pytest.approx(float((density * density.log()).mean()), abs=1e-4)


def test_weights_of_another_engine_s_draws_are_ratios_cut_at_the_most() -> None:
    sampled, trained = torch.log(torch.tensor([[0.5, 0.2, 0.1, 0.4], [0.25, 0.3, 0.6, 0.4]]))
    assert truncated_weights(trained, sampled, 2.0).tolist() == pytest.approx([0.5, 1.5, 2.0, 1.0])
    # Two answers: 0.5 * 1.5 of the first, 6 * 1 of the second, which is too much.
    whole = truncated_weights(trained, sampled, 4.0, torch.tensor([0, 0, 1, 1]))
    assert whole.tolist() == pytest.approx([0.75, 0.75, 4.0, 4.0])
    assert truncated_weights(sampled, sampled, 1.0).tolist() == [1.0] * 4
