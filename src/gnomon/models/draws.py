"""Which token comes next: the draw, and the random numbers behind it.

Every uniform number is named by (seed, prompt, stream, step), so a completion does not depend on what else is decoded
beside it. A token is the place where the cumulative distribution passes its number.

Shapes: B rows of a forward, N streams, several of which may share a row, V vocabulary.
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

_COLDEST = 1e-30


class Drawn(NamedTuple):
    """Token ids, and their log-probabilities in nats at temperature 1; each [N]."""

    token_N: Tensor
    logprob_N: Tensor


class Drawing:
    """How each stream of a batch draws."""

    def __init__(self, temperatures: Sequence[float], top_ps: Sequence[float], device: torch.device) -> None:
        """Settings of N streams, looked at once so that a step pays for no more than it uses.

        Args:
            temperatures: 0 takes the most probable token, the first of equals; so does what is so near 0 that float32
                could not divide by it.
            top_ps: the most probable tokens whose mass reaches this stay, the one that crosses included.
            device: where the logits are.
        """
        temperatures = [t if t >= _COLDEST else 0.0 for t in temperatures]
        self._temperature = temperatures[0]
        self.some_greedy, self.all_greedy = 0 in temperatures, not any(temperatures)
        self.is_plain = all(t == 1 for t in temperatures)
        self.has_nucleus = any(top_p < 1 for top_p in top_ps)
        if self.has_nucleus or not self.is_plain:
            self.temperature_N1 = torch.tensor(temperatures, device=device)[:, None]
            self.greedy_N = self.temperature_N1[:, 0] == 0
            self.top_p_N1 = torch.tensor(top_ps, device=device)[:, None]

    def draw(self, logits_BV: Tensor, uniform_N: Tensor, rows: Sequence[int] | None = None) -> Drawn:
        """One token for each stream.

        Args:
            logits_BV: of any floating dtype.
            uniform_N: numbers in [0, 1), float64, one a stream.
            rows: which row of the logits is each stream's; None where they come one a row.
        """
        every = range(len(logits_BV)) if rows is None else rows
        rows_N = torch.tensor(every, device=logits_BV.device)
        spread = slice(None) if rows is None else rows_N
        logp_BV = torch.log_softmax(logits_BV, dim=-1, dtype=torch.float32)
        if self.all_greedy:
            token_N1 = logp_BV.argmax(-1, keepdim=True)[spread]
        elif self.is_plain and not self.has_nucleus:
            token_N1 = _drawn(logp_BV.exp().cumsum(-1, dtype=torch.float64)[spread], uniform_N)
        else:
            logp_NV = logp_BV[spread]
            p_NV = self._tempered(logp_NV)
            if self.has_nucleus:
                p_NV = _nucleus(p_NV, self.top_p_N1)
            token_N1 = _drawn(p_NV.cumsum(-1, dtype=torch.float64), uniform_N)
            if self.some_greedy:
                token_N1 = torch.where(self.greedy_N[:, None], logp_NV.argmax(-1, keepdim=True), token_N1)
        return Drawn(token_N1[:, 0], logp_BV[rows_N, token_N1[:, 0]])

    def draw_one(self, logits_V: NDArray[np.float32], uniform: float) -> tuple[int, float]:
        """As `draw` for the only row, in NumPy, which asks less of so few numbers than torch does.

        Args:
            logits_V: float32.
            uniform: a number in [0, 1).
        """
        if self.has_nucleus:
            drawn = self.draw(torch.from_numpy(logits_V)[None], torch.tensor([uniform], dtype=torch.float64))
            return int(drawn.token_N), float(drawn.logprob_N)
        logits_V = logits_V - logits_V.max()
        p_V = np.exp(logits_V)
        if self.all_greedy:
            token = int(logits_V.argmax())
        else:
            drawn_V = p_V if self.is_plain else np.exp(logits_V / self._temperature)
            cdf_V = drawn_V.cumsum(dtype=np.float64)
            token = min(int(cdf_V.searchsorted(cdf_V[-1] * uniform, side="right")), len(cdf_V) - 1)
        return token, float(logits_V[token]) - math.log(float(p_V.sum()))

    def _tempered(self, logp_NV: Tensor) -> Tensor:
        scale_N1 = self.temperature_N1
        if self.some_greedy:
            scale_N1 = scale_N1.masked_fill(self.greedy_N[:, None], 1.0)
        return torch.softmax(logp_NV / scale_N1, dim=-1)


def _drawn(cdf_NV: Tensor, uniform_N: Tensor) -> Tensor:
    """Where each cumulative distribution passes its number, [N, 1]."""
    token_N1 = torch.searchsorted(cdf_NV, cdf_NV[:, -1:] * uniform_N[:, None], right=True)
    # A number so near 1 that the product rounds up would point behind the last token.
    return token_N1.clamp_max(cdf_NV.shape[-1] - 1)


def uniforms(seed: int, prompt: Tokens, stream: int, count: int) -> NDArray[np.float64]:
    """The numbers in [0, 1) of one stream, shape [count]; a longer request begins with a shorter one's.

    The prompt is part of the name, so items that share a seed are drawn independently.
    """
    name = hashlib.blake2b(f"{seed}/{stream}/".encode() + prompt.tobytes(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(name, "big"))).random(count)


def _nucleus(p_NV: Tensor, top_p_N1: Tensor) -> Tensor:
    """`p_NV` with everything outside the nucleus set to 0 (Holtzman et al. 2020)."""
    ranked, order = p_NV.sort(dim=-1, descending=True, stable=True)
    before = ranked.cumsum(-1, dtype=torch.float64) - ranked
    kept = ranked.masked_fill((before >= top_p_N1) & (top_p_N1 < 1), 0.0)
    return torch.zeros_like(p_NV).scatter(-1, order, kept)
