"""The one decoder: GPT-2, GPT-NeoX, Llama, Mistral, Qwen and attention-only toys by configuration.

A forward with no plan, mask and cache is the training path: fused causal attention and nothing else. With a `KVCache`
it extends the cache; with `at` it projects to the vocabulary only where asked; with a `Plan` it reads and writes
activations on the way (`gnomon.models.hooks`).

Shapes: B rows, T new tokens, S tokens to look at (held in the cache, then new), D model width, V vocabulary, N places.
"""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnomon.core.errors import UsageError
from gnomon.models.attention import Attention, Context, Sight, norm
from gnomon.models.cache import KVCache, Reading
from gnomon.models.hooks import Plan, run
from gnomon.models.products import Gelu, Map, product
from gnomon.models.rotary import Rotary
from gnomon.models.transformer_config import TransformerConfig

__all__ = ["MLP", "Block", "KVCache", "Transformer", "TransformerConfig", "num_parameters"]


class MLP(nn.Module):
    """Two maps with a non-linearity between; "swiglu" stores gate and up map as one, gate first."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.kind = config.mlp
        width = 2 * config.d_mlp if config.mlp == "swiglu" else config.d_mlp
        self.up = Map(config.d_model, width, bias=config.mlp_bias)
        self.down = Map(config.d_mlp, config.d_model, bias=config.mlp_bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """The MLP's output for normed residuals."""
        # A map that is another's sum with a low-rank one has its GELU behind both.
        is_one = self.kind != "swiglu" and isinstance(self.up, Map)
        out: Tensor = self.down(self.up(x_BTD, self._gelu) if is_one else self.act(self.up(x_BTD)))
        return out

    def act(self, pre: Tensor) -> Tensor:
        """The hidden layer, [B, T, d_mlp], from `up`'s output."""
        if self.kind == "swiglu":
            gate, up = pre.chunk(2, dim=-1)
            return F.silu(gate) * up
        return F.gelu(pre, approximate=self._gelu)

    @property
    def _gelu(self) -> Gelu:
        return "tanh" if self.kind == "gelu_tanh" else "none"


class Block(nn.Module):
    """Attention and MLP around the residual stream."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.parallel = config.parallel_block
        self.ln1 = norm(config, config.d_model)
        self.attn = Attention(config, layer)
        self.ln2 = norm(config, config.d_model) if config.mlp != "none" else None
        self.mlp = MLP(config) if config.mlp != "none" else None

    def forward(self, x_BTD: Tensor, context: Context) -> Tensor:
        """The residual stream after this block."""
        middle: Tensor = x_BTD + self.attn(self.ln1(x_BTD), context)
        if self.mlp is None or self.ln2 is None:
            return middle
        after: Tensor = middle + self.mlp(self.ln2(x_BTD if self.parallel else middle))
        return after


class Transformer(nn.Module):
    """A decoder-only language model.

    Attributes:
        config: its shape.
        embed, pos_embed, blocks, ln_f, unembed: its parts; `pos_embed` is None without a table of positions, `unembed`
            is None where it is tied to `embed`.
    """

    def __init__(self, config: TransformerConfig, *, generator: torch.Generator | None = None) -> None:
        """Draws weights as GPT-2 does: deviation 0.02, less for maps into the residual stream of deep models.

        Args:
            config: the shape.
            generator: source of the draws; None is torch's global one.
        """
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.d_model)
        has_table = config.positions in ("learned", "shortformer")
        self.pos_embed = nn.Embedding(config.max_positions, config.d_model) if has_table else None
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.ln_f = norm(config, config.d_model)
        self.unembed = None if config.tie_embeddings else nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.rotary = Rotary(config) if config.positions == "rotary" else None
        self._draw(generator)

    def forward(self, tokens_BT: Tensor, *, plan: Plan | None = None, **how: Unpack[Reading]) -> Tensor:
        """Logits, [B, T, V], or [N, V] with `at`.

        Args:
            tokens_BT: token ids.
            how: see `Reading`; only places named by `at` are projected to the vocabulary.
            plan: activations to read and write; where it stops early, the activation it stopped at is returned.

        Raises:
            UsageError: more positions than a learned table has; a cache or mask that does not fit; smeared keys and a
                row of several texts that share a beginning.
        """
        if plan is not None:
            context = self.context(tokens_BT, how)
            return run(self, tokens_BT, context, how.get("positions_BT"), how.get("at"), plan)
        return product(self.hidden(tokens_BT, **how), self.w_u)

    def hidden(self, tokens_BT: Tensor, **how: Unpack[Reading]) -> Tensor:
        """The normed residual stream before the unembedding, [B, T, D] or [N, D] with `at`; arguments as `forward`."""
        context = self.context(tokens_BT, how)
        cache, at = how.get("cache"), how.get("at")
        x_BTD = self.embedded(tokens_BT, how.get("positions_BT"), 0 if cache is None else cache.length)
        for block in self.blocks:
            x_BTD = block(x_BTD, context)
        if cache is not None:
            cache.advance(tokens_BT.shape[1])
        normed: Tensor = self.ln_f(x_BTD if at is None else x_BTD[at[:, 0], at[:, 1]])
        return normed

    @property
    def w_u(self) -> Tensor:
        """The unembedding, [V, D]."""
        return self.embed.weight if self.unembed is None else self.unembed.weight

    def embedded(self, tokens_BT: Tensor, positions_BT: Tensor | None, start: int) -> Tensor:
        """The residual stream before the first block."""
        x_BTD: Tensor = self.embed(tokens_BT)
        if self.config.positions == "learned":
            x_BTD = x_BTD + self.placed(tokens_BT, positions_BT, start)
        return x_BTD

    def placed(self, tokens_BT: Tensor, positions_BT: Tensor | None, start: int) -> Tensor:
        """Rows of the table of positions, [T, D] or [B, T, D]."""
        assert self.pos_embed is not None
        end = start + tokens_BT.shape[1] if positions_BT is None else _past(positions_BT)
        if end > self.config.max_positions:
            raise UsageError(
                f"the text has {end} tokens, and the model has positions for {self.config.max_positions}",
                todo="shorten the prompt or the number of new tokens",
            )
        if positions_BT is None:
            return self.pos_embed.weight[start:end]
        return F.embedding(positions_BT, self.pos_embed.weight)

    def context(self, tokens_BT: Tensor, how: Reading) -> Context:
        """What the layers of a forward share; costs nothing that a plain forward does not need."""
        config, count, cache = self.config, tokens_BT.shape[1], how.get("cache")
        positions_BT, mask = how.get("positions_BT"), how.get("mask")
        start = 0 if cache is None else cache.length
        turn = added_TD = first_BT = None
        if self.rotary is not None:
            like = self.embed.weight
            turn = (
                self.rotary.at(start, count, like)
                if positions_BT is None
                else self.rotary.at_positions(positions_BT, like)
            )
        elif config.positions == "shortformer":
            added_TD = self.placed(tokens_BT, positions_BT, start)
        if config.smear_keys:
            _refuse_branches(positions_BT)
            first_BT = _places(tokens_BT, positions_BT, start) == 0
        sight = _sight(mask, count, start, tokens_BT.device)
        window_sight = sight
        if config.window is not None:
            window_sight = self._window_sight(sight, config.window, _places(tokens_BT, positions_BT, start), cache)
        return Context(sight, window_sight, turn, added_TD, first_BT, cache)

    def _window_sight(self, sight: Sight, window: int, places_BT: Tensor, cache: KVCache | None) -> Sight:
        """Narrows `sight` to keys less than `window` positions back."""
        keys_BS = places_BT.expand(-1, -1)
        if cache is not None:
            if cache.positions_BS is not None:
                rows = max(cache.positions_BS.shape[0], places_BT.shape[0])
                keys_BS = torch.cat((cache.positions_BS.expand(rows, -1), places_BT.expand(rows, -1)), dim=1)
            cache.positions_BS = keys_BS
        if sight.mask is None and keys_BS.shape[1] <= window:
            return sight
        near = (places_BT[:, :, None] - keys_BS[:, None, :] < window)[:, None]
        if sight.is_causal:
            count = places_BT.shape[1]
            near = near & torch.ones(count, count, dtype=torch.bool, device=near.device).tril()
        return Sight(near if sight.mask is None else near & sight.mask, False)

    @torch.no_grad()
    def _draw(self, generator: torch.Generator | None) -> None:
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                parameter.normal_(0.0, 0.02 / math.sqrt(2 * self.config.num_layers), generator=generator)
            elif parameter.ndim == 2 and "pos_embed" not in name:
                parameter.normal_(0.0, 0.02, generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
        if self.pos_embed is not None and self.config.positions == "learned":
            self.pos_embed.weight.normal_(0.0, 0.02, generator=generator)
        elif self.pos_embed is not None:
            self.pos_embed.weight.copy_(_waves(*self.pos_embed.weight.shape))


def num_parameters(model: nn.Module) -> int:
    """How many trainable numbers the model has; tied weights count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _sight(mask: Tensor | None, count: int, start: int, device: torch.device) -> Sight:
    if mask is not None:
        return Sight(mask, False)
    if count == 1:
        return Sight(None, False)
    if start == 0:
        return Sight(None, True)
    return Sight(torch.ones(count, start + count, dtype=torch.bool, device=device).tril(start), False)


def _places(tokens_BT: Tensor, positions_BT: Tensor | None, start: int) -> Tensor:
    """Positions of this call's tokens, [1, T] or [B, T]."""
    if positions_BT is not None:
        return positions_BT
    return torch.arange(start, start + tokens_BT.shape[1], device=tokens_BT.device)[None]


def _refuse_branches(positions_BT: Tensor | None) -> None:
    """A smeared key mixes in that of the slot before it, which where texts share a beginning may be another text's."""
    if positions_BT is None:
        return
    follows_BT = positions_BT[..., 1:] == positions_BT[..., :-1] + 1
    if not bool((follows_BT | (positions_BT[..., 1:] == 0)).all()):
        what = "a model with smeared keys reads each token behind its own predecessor, and a row holds several texts"
        raise UsageError(what, todo="give it one text a row")


def _past(positions_BT: Tensor) -> int:
    return int(positions_BT.max()) + 1 if positions_BT.numel() else 0


def _waves(rows: int, width: int) -> Tensor:
    """Sines and cosines of unit amplitude (Vaswani et al. 2017), as large as the token signal after a norm."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(rows)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)[:, :width]
