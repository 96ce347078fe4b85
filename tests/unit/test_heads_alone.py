"""What reading heads costs: little beside the forward, and less than a run of the model a head."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gnomon.models.ablation import ablated_losses
from gnomon.models.hooks import Plan, keep
from gnomon.models.tails import token_losses
from gnomon.models.transformer import Transformer, TransformerConfig

pytestmark = pytest.mark.alone


def drawn(num_layers: int, mlp: str = "gelu") -> Transformer:
    shape: dict[str, Any] = {"vocab_size": 512, "d_model": 256, "num_heads": 8, "d_mlp": 1024, "max_positions": 512}
    config = TransformerConfig(num_layers=num_layers, positions="shortformer", mlp=mlp, **shape)  # type: ignore[arg-type]  # a key
    return Transformer(config).requires_grad_(False).eval()


def seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


@torch.no_grad()
def test_a_reducer_on_one_layer_costs_little_beside_the_forward() -> None:
    # As long as the sequences that heads are scored on: four times 25 tokens behind one that begins them.
    net, tokens_BT = drawn(8), torch.randint(512, (16, 101))
    mask_TT = torch.ones(101, 101).tril(-1)

    def read() -> Tensor:
        plan = Plan(read={"4.pattern": lambda pattern: torch.einsum("bhts,ts->bh", pattern, mask_TT)})
        logits: Tensor = net(tokens_BT, plan=plan)
        return logits

    read(), net(tokens_BT)
    ratios = [seconds(read) / seconds(lambda: net(tokens_BT)) for _ in range(7)]
    assert statistics.median(ratios) < 1.15, ratios


@torch.no_grad()
def test_all_heads_left_out_at_once_cost_a_third_of_a_run_a_head() -> None:
    net, tokens_BT = drawn(4, "none"), torch.randint(512, (8, 128))
    names = [f"{layer}.pattern" for layer in range(4)]
    # In-context learning is the loss late in a text less that early in it.
    early, late = range(10, 20), range(96, 127)

    def one_at_a_time() -> None:
        recorded = Plan(read=dict.fromkeys(names, keep))
        net(tokens_BT, plan=recorded)
        forced = {name: (lambda _, name=name: recorded.results[name]) for name in names}
        for layer in range(4):
            for head in range(8):

                def silence(z_BHTd: Tensor, head: int = head) -> Tensor:
                    kept = z_BHTd.clone()
                    kept[:, head] = 0
                    return kept

                token_losses(net(tokens_BT, plan=Plan(write={**forced, f"{layer}.z": silence})), tokens_BT)

    ratios = [
        seconds(one_at_a_time) / seconds(lambda: ablated_losses(net, tokens_BT, "frozen", at=[*early, *late]))
        for _ in range(3)
    ]
    assert statistics.median(ratios) > 3, ratios
