"""Which token comes next: the draw, and the random numbers behind it.

Every uniform number is named by (seed, prompt, stream, step), so a completion does not depend on what else is decoded
beside it. A token is the place where the cumulative distribution passes its number.

Shapes: B rows, V vocabulary.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnomon.models.prefix import Tokens

__all__ = ["Drawing", "Drawn", "uniforms"]


class Drawn(NamedTuple):
    """Token ids, and their log-probabilities in nats at temperature 1; each [B]."""

    token_B: Tensor
    logprob_B: Tensor


class Drawing:
    """How each row of a batch draws."""

    def __init__(self, temperatures: Sequence[float], top_ps: Sequence[float], device: torch.device) -> None:
        """Settings of B rows, looked at once so that a step pays for no more than it uses.

        Args:
            temperatures: 0 takes the most probable token, the first of equals.
            top_ps: the most probable tokens whose mass reaches this stay, the one that crosses included.
            device: where the logits are.
        """
        self._temperature = temperatures[0]
        self.some_greedy, self.all_greedy = 0 in temperatures, not any(temperatures)
        self.is_plain = all(t == 1 for t in temperatures)
        self.has_nucleus = any(top_p < 1 for top_p in top_ps)
        if not self.is_plain:
            self.temperature_B1 = torch.tensor(temperatures, device=device)[:, None]
            self.greedy_B = self.temperature_B1[:, 0] == 0
        if self.has_nucleus:
            self.top_p_B1 = torch.tensor(top_ps, device=device)[:, None]

    def draw(self, logits_BV: Tensor, uniform_B: Tensor) -> Drawn:
        """One token for each row.

        Args:
            logits_BV: of any floating dtype.
            uniform_B: numbers in [0, 1), float64.
        """
        logp_BV = torch.log_softmax(logits_BV, dim=-1, dtype=torch.float32)
        if self.all_greedy:
            token_B1 = logp_BV.argmax(-1, keepdim=True)
        else:
            p_BV = logp_BV.exp() if self.is_plain else self._tempered(logp_BV)
            if self.has_nucleus:
                p_BV = _nucleus(p_BV, self.top_p_B1)
            cdf_BV = p_BV.cumsum(-1, dtype=torch.float64)
            # A number so near 1 that the product rounds up would point behind the last token.
            token_B1 = torch.searchsorted(cdf_BV, cdf_BV[:, -1:] * uniform_B[:, None], right=True)
            token_B1 = token_B1.clamp_max(logits_BV.shape[-1] - 1)
            if self.some_greedy:
                token_B1 = torch.where(self.greedy_B[:, None], logp_BV.argmax(-1, keepdim=True), token_B1)
        return Drawn(token_B1[:, 0], logp_BV.gather(-1, token_B1)[:, 0])

    def draw_one(self, logits_V: NDArray[np.float32], uniform: float) -> tuple[int, float]:
        """As `draw` for the only row, in NumPy, which asks less of so few numbers than torch does.

        Args:
            logits_V: float32.
            uniform: a number in [0, 1).
        """
        if self.has_nucleus:
            drawn = self.draw(torch.from_numpy(logits_V)[None], torch.tensor([uniform], dtype=torch.float64))
            return int(drawn.token_B), float(drawn.logprob_B)
        logits_V = logits_V - logits_V.max()
        p_V = np.exp(logits_V)
        if self.all_greedy:
            token = int(logits_V.argmax())
        else:
            drawn_V = p_V if self.is_plain else np.exp(logits_V / self._temperature)
            cdf_V = drawn_V.cumsum(dtype=np.float64)
            token = min(int(cdf_V.searchsorted(cdf_V[-1] * uniform, side="right")), len(cdf_V) - 1)
        return token, float(logits_V[token]) - math.log(float(p_V.sum()))

    def _tempered(self, logp_BV: Tensor) -> Tensor:
        scale_B1 = self.temperature_B1
        if self.some_greedy:
            scale_B1 = scale_B1.masked_fill(self.greedy_B[:, None], 1.0)
        return torch.softmax(logp_BV / scale_B1, dim=-1)


def uniforms(seed: int, prompt: Tokens, stream: int, count: int) -> NDArray[np.float64]:
    """The numbers in [0, 1) of one stream, shape [count]; a longer request begins with a shorter one's.

    The prompt is part of the name, so items that share a seed are drawn independently.
    """
    name = hashlib.blake2b(f"{seed}/{stream}/".encode() + prompt.tobytes(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(name, "big"))).random(count)


def _nucleus(p_BV: Tensor, top_p_B1: Tensor) -> Tensor:
    """`p_BV` with everything outside the nucleus set to 0 (Holtzman et al. 2020)."""
    ranked, order = p_BV.sort(dim=-1, descending=True, stable=True)
    before = ranked.cumsum(-1, dtype=torch.float64) - ranked
    kept = ranked.masked_fill((before >= top_p_B1) & (top_p_B1 < 1), 0.0)
    return torch.zeros_like(p_BV).scatter(-1, order, kept)
