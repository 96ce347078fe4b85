"""Reading and writing activations: a plan is compiled before a forward, and layers it does not name stay as they are.

    plan = Plan(read={"0.pattern": keep, "1.resid_post": keep})
    logits = model(tokens, plan=plan)
    plan.results["0.pattern"]                  # [B, H, T, S]

Names: `embed`, `pos_embed`; for a layer L `L.resid_pre`, `L.ln1`, `L.q`, `L.k`, `L.v`, `L.scores`, `L.pattern`, `L.z`,
`L.result`, `L.attn_out`, `L.resid_mid`, `L.ln2`, `L.mlp_pre`, `L.mlp_post`, `L.mlp_out`, `L.resid_post`; `ln_f`,
`logits`.

Shapes: embed, residuals, norms and outputs [B, T, D]; q [B, H, T, d], k and v [B, K, T, d], as the dot product sees
them; scores and pattern [B, H, T, S]; z [B, H, T, d]; result [B, T, H, D]; logits [B, T, V], or [N, V] with `at`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from gnomon.core.errors import ModelError, UsageError, closest
from gnomon.models.attention import Context
from gnomon.models.products import product

if TYPE_CHECKING:
    from gnomon.models.transformer import Block, Transformer
    from gnomon.models.transformer_config import TransformerConfig

__all__ = ["Plan", "check_finite", "hook_names", "keep", "run"]

_ATTENTION = ("resid_pre", "ln1", "q", "k", "v", "scores", "pattern", "z", "result", "attn_out", "resid_mid")
_MLP = ("ln2", "mlp_pre", "mlp_post", "mlp_out")
_HIDDEN = ("mlp_pre", "mlp_post")
_SPELLED = ("scores", "pattern")
# Of the machine's memory, what the scores and patterns that a plan keeps whole may take.
_SHARE = 0.5


def keep(x: Tensor) -> Tensor:
    """The reducer that keeps the whole activation, by reference."""
    return x


@dataclass(kw_only=True)
class Plan:
    """What one forward reads and writes.

    Attributes:
        read: reducers by hook name; what they return is found in `results`. The activation is freed afterwards, so a
            reducer that returns a few numbers costs no memory.
        write: functions by hook name; what they return, of the same shape, takes the activation's place. A name that is
            written and read is read as written.
        stop_at: the forward ends at this hook and returns its activation.
        results: what the reducers of the last forward returned.
        explicit: layers whose attention the last forward spelled out, for their scores or patterns; all others were
            fused. The two differ by rounding.
    """

    read: Mapping[str, Callable[[Tensor], Any]] = field(default_factory=dict)
    write: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    stop_at: str | None = None
    results: dict[str, Any] = field(default_factory=dict)
    explicit: list[int] = field(default_factory=list)

    def names(self) -> set[str]:
        """Every hook name the plan mentions."""
        return {*self.read, *self.write, *([self.stop_at] if self.stop_at else [])}


def hook_names(config: TransformerConfig) -> list[str]:
    """Every hook of a decoder of this shape, in the order a forward meets them."""
    layer = (*_ATTENTION, *(_MLP if config.mlp != "none" else ()), "resid_post")
    names = ["embed"] + (["pos_embed"] if config.positions in ("learned", "shortformer") else [])
    names += [f"{index}.{site}" for index in range(config.num_layers) for site in layer]
    return [*names, "ln_f", "logits"]


@torch.no_grad()
def check_finite(model: Transformer, tokens_BT: Tensor) -> None:
    """Nothing, where every activation on these tokens is a finite number.

    Raises:
        ModelError: one is not; it names the first hook where that is so.
    """
    # Scores are minus infinity where a query does not see, and results are as large as all heads together. A fused
    # attention can hide what is no number, so every layer is spelled out.
    names = [name for name in hook_names(model.config) if not name.endswith((".scores", ".result"))]
    plan = Plan(read=dict.fromkeys(names, lambda x: bool(torch.isfinite(x).all())))
    model(tokens_BT, plan=plan)
    first = next((name for name, finite in plan.results.items() if not finite), None)
    if first is None:
        return
    todo = "read a model from before its training went astray, or in float32"
    raise ModelError(f"activations are infinite or no numbers, the first at {first}", todo=todo)


class _Stop(Exception):
    """Carries the activation at which the plan stops."""

    def __init__(self, x: Tensor) -> None:
        self.x = x


class _Taps:
    """A compiled plan: which sites of which layer are asked for, and what to do there."""

    def __init__(self, plan: Plan, config: TransformerConfig) -> None:
        known = set(hook_names(config))
        for name in sorted(plan.names() - known):
            raise UsageError(f"no hook is called {name!r} in this model", todo=closest(name, known))
        self.plan, self.num_heads = plan, config.num_heads
        self.sites: dict[int, set[str]] = {}
        for name in plan.names():
            layer, dot, site = name.partition(".")
            if dot:
                self.sites.setdefault(int(layer), set()).add(site)
        plan.results.clear()
        plan.explicit = [layer for layer in sorted(self.sites) if self.sites[layer].intersection(_SPELLED)]

    def refuse_too_much(self, tokens_BT: Tensor) -> None:
        """Whether what is kept of scores and patterns fits into memory, before any is computed."""
        names = [n for n, read in self.plan.read.items() if read is keep and n.endswith(_SPELLED)]
        (rows, length), heads = tokens_BT.shape, self.num_heads
        size = 4 * len(names) * rows * heads * length**2
        if size > _SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
            what = f"to keep {len(names)} scores or patterns of {heads} heads on {rows} texts of {length} tokens takes "
            todo = "read a few numbers off each by a reducer, or show the model less at once"
            raise UsageError(f"{what}{size / 2**30:,.0f} GiB", todo=todo)

    def __call__(self, name: str, x: Tensor) -> Tensor:
        plan = self.plan
        if name in plan.write:
            x = plan.write[name](x)
        if name in plan.read:
            plan.results[name] = plan.read[name](x)
        if name == plan.stop_at:
            raise _Stop(x)
        return x


def run(
    model: Transformer,
    tokens_BT: Tensor,
    context: Context,
    positions_BT: Tensor | None,
    at: Tensor | None,
    plan: Plan,
) -> Tensor:
    """`Transformer.forward` under `plan`; layers that the plan does not name run as they do without one.

    Raises:
        UsageError: an unknown hook name, a plan that stops early together with a cache, or one that keeps more scores
            and patterns than half the machine's memory holds.
    """
    taps = _Taps(plan, model.config)
    taps.refuse_too_much(tokens_BT)
    if plan.stop_at not in (None, "logits", "ln_f") and context.cache is not None:
        raise UsageError(f"a forward that stops at {plan.stop_at!r} would leave the cache half filled")
    try:
        return _forward(model, tokens_BT, context, positions_BT, at, taps)
    except _Stop as stop:
        return stop.x


def _forward(
    model: Transformer,
    tokens_BT: Tensor,
    context: Context,
    positions_BT: Tensor | None,
    at: Tensor | None,
    taps: _Taps,
) -> Tensor:
    start = 0 if context.cache is None else context.cache.length
    x_BTD = taps("embed", model.embed(tokens_BT))
    if model.pos_embed is not None:
        placed = taps("pos_embed", model.placed(tokens_BT, positions_BT, start))
        if model.config.positions == "learned":
            x_BTD = x_BTD + placed
        else:
            context = context._replace(added_TD=placed)
    for layer, block in enumerate(model.blocks):
        x_BTD = (
            _layer(cast("Block", block), layer, x_BTD, context, taps) if layer in taps.sites else block(x_BTD, context)
        )
    if context.cache is not None:
        context.cache.advance(tokens_BT.shape[1])
    x_BTD = taps("ln_f", model.ln_f(x_BTD if at is None else x_BTD[at[:, 0], at[:, 1]]))
    return taps("logits", product(x_BTD, model.w_u))


def _layer(block: Block, layer: int, x_BTD: Tensor, context: Context, taps: _Taps) -> Tensor:
    """`Block.forward`, with every asked-for site shown to the plan."""

    def tap(site: str, x: Tensor) -> Tensor:
        return taps(f"{layer}.{site}", x)

    x_BTD = tap("resid_pre", x_BTD)
    middle = tap("resid_mid", x_BTD + tap("attn_out", _attention(block, layer, x_BTD, context, taps)))
    if block.mlp is None or block.ln2 is None:
        return tap("resid_post", middle)
    normed = tap("ln2", block.ln2(x_BTD if block.parallel else middle))
    if taps.sites[layer].intersection(_HIDDEN):
        out = block.mlp.down(tap("mlp_post", block.mlp.act(tap("mlp_pre", block.mlp.up(normed)))))
    else:
        out = block.mlp(normed)
    return tap("resid_post", middle + tap("mlp_out", out))


def _attention(block: Block, layer: int, x_BTD: Tensor, context: Context, taps: _Taps) -> Tensor:
    def tap(site: str, x: Tensor) -> Tensor:
        return taps(f"{layer}.{site}", x)

    attn, sites = block.attn, taps.sites[layer]
    q, k, v = attn.project(tap("ln1", block.ln1(x_BTD)), context)
    q, k, v = tap("q", q), tap("k", k), tap("v", v)
    if sites.intersection(_SPELLED):
        z = tap("z", attn.mix_explicitly(q, k, v, context, tap))
    else:
        z = tap("z", attn.mix(q, k, v, context))
    if "result" not in sites:
        return attn.merge(z)
    merged = tap("result", attn.merge_apart(z)).sum(dim=2)
    return merged if attn.out.bias is None else merged + attn.out.bias
