"""Which token comes next: the draw, and the random numbers behind it.

Every uniform number is named by (seed, prompt, stream, step), so a completion does not depend on what else is decoded
beside it. A token is the place where the cumulative distribution passes its number.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnomon.models.prefix import Tokens

__all__ = ["Drawn", "draw", "uniforms"]


class Drawn(NamedTuple):
    """Token ids and their log-probabilities in nats at temperature 1, each [B]."""

    tokens: list[int]
    logprobs: list[float]


def uniforms(seed: int, prompt: Tokens, stream: int, count: int) -> NDArray[np.float64]:
    """The numbers in [0, 1) of one stream, shape [count]; a longer request begins with a shorter one's.

    The prompt is part of the name, so items that share a seed are drawn independently.
    """
    name = hashlib.blake2b(f"{seed}/{stream}/".encode() + prompt.tobytes(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(name, "big"))).random(count)


def draw(logits_BV: Tensor, uniform_B: Tensor, temperature_B: Tensor, top_p_B: Tensor) -> Drawn:
    """One token for each row.

    Args:
        logits_BV: of any floating dtype.
        uniform_B: numbers in [0, 1), float64.
        temperature_B: 0 takes the most probable token, the first of equals.
        top_p_B: the most probable tokens whose mass reaches this stay, the one that crosses included.
    """
    logits_BV = logits_BV.float()
    greedy_B = temperature_B == 0
    token_B = logits_BV.argmax(-1)
    if not bool(greedy_B.all()):
        scale_B = torch.where(greedy_B, 1.0, temperature_B)
        p_BV = torch.softmax(logits_BV / scale_B[:, None], dim=-1)
        if bool((top_p_B < 1).any()):
            p_BV = _nucleus(p_BV, top_p_B)
        cdf_BV = p_BV.cumsum(-1, dtype=torch.float64)
        passed = torch.searchsorted(cdf_BV, uniform_B[:, None] * cdf_BV[:, -1:], right=True)[:, 0]
        token_B = torch.where(greedy_B, token_B, passed.clamp_max(logits_BV.shape[-1] - 1))
    logprob_B = logits_BV.gather(-1, token_B[:, None])[:, 0] - logits_BV.logsumexp(-1)
    return Drawn(token_B.tolist(), logprob_B.tolist())


def _nucleus(p_BV: Tensor, top_p_B: Tensor) -> Tensor:
    """`p_BV` with everything outside the nucleus set to 0 (Holtzman et al. 2020)."""
    ranked, order = p_BV.sort(dim=-1, descending=True, stable=True)
    before = ranked.cumsum(-1, dtype=torch.float64) - ranked
    kept = ranked.masked_fill((before >= top_p_B[:, None]) & (top_p_B[:, None] < 1), 0.0)
    return torch.zeros_like(p_BV).scatter(-1, order, kept)
