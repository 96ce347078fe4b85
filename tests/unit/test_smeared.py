"""Smeared keys look one slot back, so rows in which several texts share a beginning are refused and never misread."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from gnomon.core.errors import UsageError
from gnomon.learn.batches import pair_batch, shared_batch
from gnomon.learn.texts import Encoded, Pair
from gnomon.models.ablation import ablated_losses
from gnomon.models.hooks import Plan
from gnomon.models.rows import filled
from gnomon.models.tails import token_losses
from gnomon.models.transformer import Block, Transformer, TransformerConfig

ONE, OTHER, APART = ([3, 4, 5, 6, 7], [3, 4, 8, 9], [9, 2, 5, 4])


@pytest.fixture(scope="module")
def smeared() -> Transformer:
    shape = TransformerConfig(
        vocab_size=12, d_model=16, num_layers=2, num_heads=2, mlp="none", positions="shortformer", smear_keys=True
    )
    net = Transformer(shape).requires_grad_(False)
    rng = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.add_(0.5 * torch.randn(parameter.shape, generator=rng))
    return net


def text(tokens: list[int], start: int) -> Encoded:
    return Encoded(np.array(tokens, dtype=np.int64), start)


def test_texts_that_share_a_beginning_are_refused(smeared: Transformer) -> None:
    shared = shared_batch([text(ONE, 2), text(OTHER, 2)])
    pair = pair_batch([Pair(text(ONE, 2), text(OTHER, 2))])
    for batch in (shared, pair):
        with pytest.raises(UsageError, match="a row holds several texts; give it one text a row"):
            smeared(batch.tokens_BT, positions_BT=batch.positions_BT, mask=batch.mask_B1TT)


def test_texts_that_share_nothing_may_lie_in_one_row(smeared: Transformer) -> None:
    batch = shared_batch([text(ONE, 1), text(APART, 1)])
    together = smeared(batch.tokens_BT, positions_BT=batch.positions_BT, mask=batch.mask_B1TT, at=batch.at_U2)
    alone = [smeared(torch.tensor([each[:-1]]))[0] for each in (ONE, APART)]
    torch.testing.assert_close(together[batch.place_N], torch.cat(alone), atol=1e-5, rtol=0)


def test_rows_padded_on_either_side_are_read(smeared: Transformer) -> None:
    right, places = filled([ONE, OTHER]), torch.tensor([[0, 1, 2, 3, 4], [0, 0, 1, 2, 3]])
    left = torch.tensor([ONE, [0, *OTHER]])
    mask = torch.ones(5, 5, dtype=torch.bool).tril()[None, None].repeat(2, 1, 1, 1)
    mask[1, :, :, 0] = False
    whole = smeared(torch.tensor([OTHER]))[0]
    torch.testing.assert_close(smeared(right)[1, :4], whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(smeared(left, positions_BT=places, mask=mask)[1, 1:], whole, atol=1e-5, rtol=0)


def test_heads_left_out_side_by_side_keep_their_own_predecessors(smeared: Transformer) -> None:
    tokens_BT = torch.tensor([ONE, [*OTHER, 1]])
    found = ablated_losses(smeared, tokens_BT, "zero")

    def without(x_BTHD: Tensor) -> Tensor:
        kept = x_BTHD.clone()
        kept[:, :, 1] = 0
        return kept

    slow = token_losses(smeared(tokens_BT, plan=Plan(write={"0.result": without})), tokens_BT)
    torch.testing.assert_close(found.without_LHBT[0, 1], slow, atol=1e-5, rtol=0)
    assert cast(Block, smeared.blocks[0]).attn.smear is not None
