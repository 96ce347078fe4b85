"""How much each part of a model adds to the logit of the token that comes next.

The residual stream is a sum: embedding, positions, every head, every MLP, biases. With the scale of the final norm
kept as it was the logits are linear in it, so they are a sum of the same parts (Elhage et al. 2021, "A Mathematical
Framework for Transformer Circuits", direct paths). Logits are read less their mean over the vocabulary: what is added
to all of them alike changes no probability.

Shapes: B rows, T tokens, L layers, H heads, D width, V vocabulary, W words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from gnomon.models.hooks import Plan
from gnomon.models.norms import bias_of, centred, gain_of, scale_of
from gnomon.models.tails import token_losses
from gnomon.models.transformer import Block, Transformer

__all__ = ["Attribution", "attribution"]


class Attribution(NamedTuple):
    """What parts add to the logit of each token after the first, and its loss in nats.

    Attributes:
        heads_LHBT: each head, without its layer's output bias, [L, H, B, T - 1].
        mlps_LBT: each MLP, [L, B, T - 1]; no layers where the model has none.
        embed_BT: the token's own embedding, [B, T - 1].
        position_BT: the embedding of its position, where positions are in the residual stream; else zeros.
        biases_BT: output biases of attention, and the bias of the final norm.
        loss_BT: what the next token costs, [B, T - 1].
        words_LHBTW: the tokens whose logits each head raises most, [L, H, B, T - 1, W].
    """

    heads_LHBT: Tensor
    mlps_LBT: Tensor
    embed_BT: Tensor
    position_BT: Tensor
    biases_BT: Tensor
    loss_BT: Tensor
    words_LHBTW: Tensor

    @property
    def logit_BT(self) -> Tensor:
        """The sum of all parts: the next token's logit less the mean of all logits, [B, T - 1]."""
        return self.heads_LHBT.sum((0, 1)) + self.mlps_LBT.sum(0) + self.embed_BT + self.position_BT + self.biases_BT


@torch.no_grad()
def attribution(net: Transformer, tokens_BT: Tensor, *, words: int = 0) -> Attribution:
    """Every part's share in the logits of the tokens that come next; `words` asks for so many words a head raises."""
    layers = range(net.config.num_layers)
    said_BTD = (net.w_u[tokens_BT[:, 1:]] - net.w_u.mean(0)).float()
    toward_BTD = centred(net.ln_f, said_BTD * gain_of(net.ln_f))

    def of_part(x: Tensor) -> Tensor:
        return (x[..., :-1, :] * toward_BTD).sum(-1)

    def of_heads(x_BTHD: Tensor) -> tuple[Tensor, Tensor]:
        found = torch.einsum("bthD,btD->hbt", x_BTHD[:, :-1], toward_BTD)
        return found, _raised(net, x_BTHD[:, :-1], words)

    last = f"{layers[-1]}.resid_post"
    read: dict[str, Callable[[Tensor], Any]] = {"embed": of_part, last: lambda x: scale_of(net.ln_f, x[:, :-1])[..., 0]}
    read |= {f"{i}.result": of_heads for i in layers}
    if net.config.mlp != "none":
        read |= {f"{i}.mlp_out": of_part for i in layers}
    if net.config.positions == "learned":
        read["pos_embed"] = of_part
    plan = Plan(read=read)
    logits_BTV = net(tokens_BT, plan=plan)
    got, nothing = plan.results, torch.zeros_like(toward_BTD[..., 0])
    scale_BT = got[last]
    mlps = [got[f"{i}.mlp_out"] / scale_BT for i in layers if f"{i}.mlp_out" in got]
    return Attribution(
        heads_LHBT=torch.stack([got[f"{i}.result"][0] for i in layers]) / scale_BT,
        mlps_LBT=torch.stack(mlps) if mlps else nothing[None][:0],
        embed_BT=got["embed"] / scale_BT,
        position_BT=got.get("pos_embed", nothing) / scale_BT,
        biases_BT=_biases(net, toward_BTD) / scale_BT + said_BTD @ bias_of(net.ln_f),
        loss_BT=token_losses(logits_BTV, tokens_BT),
        words_LHBTW=torch.stack([got[f"{i}.result"][1] for i in layers]),
    )


def _raised(net: Transformer, x_BTHD: Tensor, words: int) -> Tensor:
    """The tokens [H, B, T, W] whose logits each head raises most; a head at a time, for V is large."""
    found = []
    for x_BTD in x_BTHD.unbind(2) if words else ():
        found.append((centred(net.ln_f, x_BTD) * gain_of(net.ln_f) @ net.w_u.T).topk(words).indices)
    return torch.stack(found) if found else x_BTHD.new_zeros(*x_BTHD.permute(2, 0, 1, 3).shape[:3], 0).long()


def _biases(net: Transformer, toward_BTD: Tensor) -> Tensor:
    biases = [cast(Block, block).attn.out.bias for block in net.blocks]
    found = torch.zeros_like(toward_BTD[..., 0])
    return sum((toward_BTD @ bias for bias in biases if bias is not None), found)
