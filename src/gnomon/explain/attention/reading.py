"""Each text, read: what every token costs, what every part adds to it, and where every head looks.

Patterns are kept as one grey picture a text, layers down and heads across, of the root of attention in 255 steps: small
shares stay visible, and a model of 144 heads on 96 tokens takes a few hundred kilobytes.

Shapes: L layers, H heads, T tokens, K kinds of places.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnomon.core.errors import DataError, UsageError
from gnomon.core.progress import progress
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.exercises import OPENS, open_exercises
from gnomon.learn.loop import one_thread_if_small
from gnomon.models.attribution import Attribution, attribution
from gnomon.models.hooks import Plan, check_finite
from gnomon.models.load import load
from gnomon.models.local import LocalModel
from gnomon.models.tails import token_losses
from gnomon.models.transformer import Transformer
from gnomon.report.png import grey_png

if TYPE_CHECKING:
    from gnomon.explain.attention import Attention

__all__ = ["KINDS", "read_texts"]

KINDS = ("previous token", "first token", "current token", "duplicate token", "behind an earlier copy")
WORDS = 3
_DIGITS = 4


def read_texts(cfg: Attention, model: LocalModel) -> list[Row]:
    """One row a text."""
    net, texts = _net(model), _texts(cfg)
    other = cast(LocalModel, load(str(cfg.against))) if cfg.against else None
    ids = [_tokens(cfg, model, name, text) for name, text in texts]
    if other is not None and any(_tokens(cfg, other, *each) != found for each, found in zip(texts, ids, strict=True)):
        what = f"{cfg.against} cuts the texts into other tokens than {model.name}"
        raise DataError(what, where="--against", todo="name a model with the same tokenizer")
    check_finite(net, torch.tensor(ids[:1]))
    rows = []
    with progress(len(ids), "attention, text") as bar, one_thread_if_small(net):
        for (name, _), tokens in zip(texts, ids, strict=True):
            before = None if other is None else _losses(_net(other), tokens)
            rows.append(Row(key=name, cluster=name, evidence=_evidence(model, net, tokens, before)))
            bar.advance(1, estimate=name)
    return rows


def _net(model: LocalModel) -> Transformer:
    if not isinstance(model.net, Transformer):
        what = f"{model.name} is run by another library, and its heads cannot be read"
        raise UsageError(what, todo="use a family we know")
    return model.net.float().eval()


def _texts(cfg: Attention) -> list[tuple[str, str]]:
    """Names and texts."""
    if cfg.text:
        return [("text", cfg.text)]
    brook = cfg.data == ("brook",)
    found: dict[str, list[str]] = {}
    for each in open_exercises(cfg.data, cfg.n if brook else 0, "text", Seed(cfg.seed)).things:
        found.setdefault(each.cluster, []).append(each.text.removeprefix(OPENS))
    return [(name, "".join(parts).strip()) for name, parts in found.items()][: cfg.n]


def _tokens(cfg: Attention, model: LocalModel, name: str, text: str) -> list[int]:
    """A text's tokens, behind the one that begins texts where there is one, cut to the window."""
    bos = [] if model.tokenizer.bos_id is None else [model.tokenizer.bos_id]
    found = [*bos, *model.tokenizer.encode(text, special=False)][: cfg.window]
    limit = model.net.config.max_positions
    if len(found) < 2:
        raise DataError(f"it has {len(found)} tokens", where=name, todo="give a text of two tokens or more")
    if len(found) > limit:
        what = f"{name} has {len(found)} tokens, and {model.name} has {limit} positions"
        raise UsageError(what, where="--window", todo=f"give --window {limit}")
    return found


def _evidence(model: LocalModel, net: Transformer, tokens: Sequence[int], before: Tensor | None) -> dict[str, Any]:
    tokens_BT = torch.tensor([tokens])
    found = attribution(net, tokens_BT, words=WORDS)
    grey, scores_KLH = _patterns(net, tokens_BT)
    raised = found.words_LHBTW[:, :, 0]
    vocabulary, inverse = torch.unique(raised, return_inverse=True)
    return {
        "tokens": [model.tokenizer.token_text(token) for token in tokens],
        "loss": _plain(found.loss_BT[0]),
        "before": None if before is None else _plain(before),
        "heads": _plain(found.heads_LHBT[:, :, 0]),
        "parts": _parts(found),
        "scores": {kind: _plain(scores) for kind, scores in zip(KINDS, scores_KLH, strict=True)},
        "words": [model.tokenizer.token_text(token) for token in vocabulary.tolist()],
        "raised": inverse.tolist(),
        "patterns": base64.b64encode(grey_png(grey)).decode("ascii"),
    }


def _parts(found: Attribution) -> dict[str, list[float]]:
    """What adds to the next token beside heads; parts that the model lacks are left out."""
    named = {"embedding": found.embed_BT[0], "position": found.position_BT[0]}
    named |= {f"MLP {layer}": each[0] for layer, each in enumerate(found.mlps_LBT)}
    named["biases"] = found.biases_BT[0]
    return {name: _plain(each) for name, each in named.items() if name == "embedding" or bool(each.any())}


@torch.no_grad()
def _patterns(net: Transformer, tokens_BT: Tensor) -> tuple[NDArray[np.uint8], Tensor]:
    """Every head's pattern in one picture [L * T, H * T], white where nobody looks, and mean attention [K, L, H]."""
    masks_KTT = _masks(tokens_BT[0])
    asked_KT = masks_KTT.any(-1)

    def reduced(pattern_BHTT: Tensor) -> tuple[NDArray[np.uint8], Tensor]:
        pattern_HTT = pattern_BHTT[0]
        looked_KHT = torch.einsum("hts,kts->kht", pattern_HTT, masks_KTT.float())
        mean_KH = looked_KHT.sum(-1) / asked_KT.sum(-1, keepdim=True).clamp_min(1)
        grey = 255 - (255 * pattern_HTT.clamp(0, 1).sqrt()).round().byte().numpy()
        return np.concatenate(list(grey), axis=1), mean_KH

    names = [f"{layer}.pattern" for layer in range(net.config.num_layers)]
    plan = Plan(read=dict.fromkeys(names, reduced), stop_at=names[-1])
    net(tokens_BT, plan=plan)
    pictures, scores = zip(*(plan.results[name] for name in names), strict=True)
    return np.concatenate(pictures, axis=0), torch.stack(scores, dim=1)


def _masks(tokens_T: Tensor) -> Tensor:
    """Which keys each query's kinds of places are, [K, T, T]."""
    size = len(tokens_T)
    places = torch.arange(size)
    same_TT = (tokens_T[:, None] == tokens_T[None]) & (places[None] < places[:, None])
    behind_TT = torch.zeros_like(same_TT)
    behind_TT[:, 1:] = same_TT[:, :-1]
    back_TT = places[:, None] == places[None] + 1
    first_TT = (places[None] == 0).expand(size, size)
    return torch.stack((back_TT, first_TT, torch.eye(size, dtype=torch.bool), same_TT, behind_TT))


@torch.no_grad()
def _losses(net: Transformer, tokens: Sequence[int]) -> Tensor:
    tokens_BT = torch.tensor([tokens])
    return token_losses(net(tokens_BT), tokens_BT)[0]


def _plain(values: Tensor) -> Any:
    """Numbers as nested lists, rounded: rows are kept as text."""
    return np.round(values.double().numpy(), _DIGITS).tolist()
