"""Where training starts: weights drawn so that a token's first interest is in tokens like itself."""

from __future__ import annotations

import math

import torch

from gnomon.core.errors import UsageError
from gnomon.models.transformer import Transformer

__all__ = ["match_at_start"]


@torch.no_grad()
def match_at_start(model: Transformer, generator: torch.Generator | None = None) -> None:
    """Draws all matrices anew, and gives every layer its queries for keys.

    A query is then largest on the keys of like tokens, so "find this word above" need not be discovered: a small
    model of Brook binds letters after 0.3 million tokens of practice instead of not within 7 million. The idea is
    that of mimetic initialisation (Trockman and Kolter 2023), which draws the product of query and key matrix near a
    multiple of the identity; here the two are simply equal, and values are left as drawn.

    Deviations are 1 / sqrt(width of the input), for maps into the residual stream divided by sqrt(2 layers), and
    1 / sqrt(d_model) for embeddings. Gains stay.

    Args:
        model: with as many key-value heads as query heads.
        generator: source of the draws; None is torch's global one.

    Raises:
        UsageError: keys are shared between heads, so they cannot equal the queries.
    """
    if model.config.num_kv_heads != model.config.num_heads:
        raise UsageError("keys shared between heads cannot start as the queries", todo="use as many of both")
    into_residual = 1 / math.sqrt(2 * model.config.num_layers)
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and "pos_embed" not in name:
            width = model.config.d_model if name.startswith("embed") else weight.shape[1]
            scale = into_residual if name.endswith(("out.weight", "down.weight")) else 1.0
            weight.normal_(0.0, scale / math.sqrt(width), generator=generator)
        if name.endswith("qkv.weight"):
            queries, keys, _ = weight.chunk(3)
            keys.copy_(queries)
