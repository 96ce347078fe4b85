"""One model on the way of a training, read for the page of its family: heads, losses, and heads left out.

Olsson et al. 2022 (arXiv 2209.11895), "per-token losses" and "model analysis table". What is kept of a model is what
the page needs and no more: of losses their means by document and by place, and single tokens drawn once for all models.

Shapes: N documents, M of them with tokens picked, T tokens, L layers, H heads, P tokens picked in a document.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gnomon.core.seeds import Seed
from gnomon.explain.induction.attention import copying, looked_back, looks
from gnomon.explain.induction.kinds import CHANCE
from gnomon.explain.induction.sequences import Repeats
from gnomon.explain.induction.weights import qk_trace
from gnomon.learn.loop import one_thread_if_small
from gnomon.models.ablation import ablated_losses
from gnomon.models.hooks import check_finite
from gnomon.models.tails import token_losses
from gnomon.models.transformer import Transformer

__all__ = ["Shown", "picked", "read_snapshot"]

_PICKED, _MOST_PICKED_OF = 4, 128
_AT_ONCE = 32
_DIGITS = 4


class Shown(NamedTuple):
    """What every model of a family is shown.

    Attributes:
        repeats: random sequences said again.
        tokens_NT: documents.
        clusters: the text that each document is of; documents of one text are not independent.
        is_copy_NT: which of their tokens are copies; None where nobody knows.
        ablated: how many of the documents heads are left out on, the first ones.
        picked_MP: places of the losses that are kept one by one, of the first M documents; M is `ablated` or more.
        late, early: places of losses that in-context learning compares.
    """

    repeats: Repeats
    tokens_NT: Tensor
    clusters: tuple[str, ...]
    is_copy_NT: Tensor | None
    ablated: int
    picked_MP: Tensor
    late: slice
    early: slice


def picked(documents: int, length: int, seed: Seed) -> Tensor:
    """Four places [M, 4] of the losses of documents, drawn once; of 128 documents at most."""
    rng = seed.child("picked").random()
    rows = range(min(documents, _MOST_PICKED_OF))
    return torch.tensor([rng.sample(range(length - 1), min(_PICKED, length - 1)) for _ in rows])


@torch.no_grad()
def read_snapshot(net: Transformer, shown: Shown) -> dict[str, Any]:
    """What is read of one model, as JSON values; of heads [layer][head], of documents and sequences a list.

    heads        prefix: by sequence (None out of reach of a head's window); previous, copying, trace: means (trace is
                 None as in `qk_trace`); chance: what 99 in 100 copying scores lie below where nothing is to be known
    losses       loss, icl, fresh, copied: by document (None where it has no such token); by index: mean by place
    picked       losses of the picked tokens
    without      icl, picked: changes without each head, later patterns as they were; {} where `ablated` is 0

    Raises:
        ModelError: an activation is not finite.
    """
    net = net.float().eval()
    with one_thread_if_small(net):
        check_finite(net, shown.repeats.tokens_NT[:1])
        copied = copying(net, shown.repeats)
        back_LH = looked_back(net, shown.tokens_NT[: shown.ablated or _AT_ONCE]).mean(0)
        losses_NT = torch.cat([token_losses(net(part), part) for part in torch.split(shown.tokens_NT, _AT_ONCE)])
        return {
            "prefix": _plain(looks(net, shown.repeats)["prefix matching"].permute(1, 2, 0)),
            "previous": _plain(back_LH),
            "copying": _plain(copied["copying"].mean(0)),
            "chance": _plain(copied["copying, null"].quantile(CHANCE)),
            "trace": _plain(qk_trace(net, back_LH, shown.tokens_NT.shape[1])),
            "picked": _plain(_at(losses_NT[: len(shown.picked_MP)], shown).flatten()),
            "losses": _of_documents(losses_NT, shown),
            "without": _without(net, shown) if shown.ablated else {},
        }


def _of_documents(losses_NT: Tensor, shown: Shown) -> dict[str, Any]:
    found = {
        "loss": _plain(losses_NT.mean(-1)),
        "icl": _plain(_icl(losses_NT, shown)),
        "by index": _plain(losses_NT.mean(0)),
    }
    if shown.is_copy_NT is not None:
        copied_NT = shown.is_copy_NT[:, 1:]
        for name, mask_NT in (("fresh", ~copied_NT), ("copied", copied_NT)):
            found[name] = _plain((losses_NT * mask_NT).sum(-1) / mask_NT.sum(-1))
    return found


def _without(net: Transformer, shown: Shown) -> Mapping[str, Any]:
    icl, single = [], []
    parts = (torch.split(each[: shown.ablated], _AT_ONCE) for each in (shown.tokens_NT, shown.picked_MP))
    for tokens_BT, picked_BP in zip(*parts, strict=True):
        lost = ablated_losses(net, tokens_BT, "frozen")
        icl.append(_icl(lost.without_LHBT, shown) - _icl(lost.whole_BT, shown))
        change_LHBT = lost.without_LHBT - lost.whole_BT
        single.append(change_LHBT.gather(-1, picked_BP.expand(*change_LHBT.shape[:2], -1, -1)).flatten(2))
    return {"icl": _plain(torch.cat(icl, -1)), "picked": _plain(torch.cat(single, -1))}


def _icl(losses: Tensor, shown: Shown) -> Tensor:
    """The loss late in a document less the loss early in it."""
    return losses[..., shown.late].mean(-1) - losses[..., shown.early].mean(-1)


def _at(losses_MT: Tensor, shown: Shown) -> Tensor:
    return losses_MT.gather(-1, shown.picked_MP)


def _plain(values: Tensor) -> Any:
    """Nested lists, four digits after the point; None for what is no number."""

    def cut(value: Any) -> Any:
        if isinstance(value, list):
            return [cut(each) for each in value]
        return round(value, _DIGITS) if math.isfinite(value) else None

    return cut(values.tolist())
