"""The two runs, and the corrupt one with every site patched: how much more likely the answer is than the wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import Row
from gnomon.learn.loop import one_thread_if_small
from gnomon.models.local import LocalModel
from gnomon.models.patching import Site, SiteKind, patch
from gnomon.models.transformer import Transformer

if TYPE_CHECKING:
    from gnomon.explain.patching import Patching

__all__ = ["read_sites"]

# Differences of logits smaller than this have nothing to recover.
_LEAST = 0.1


def read_sites(cfg: Patching, model: LocalModel) -> list[Row]:
    """Rows "clean" and "corrupt" with their tokens, then one a site; `difference` is of the two answers' logits."""
    if not isinstance(model.net, Transformer):
        what = f"{model.name} is run by another library, and its activations cannot be changed"
        raise UsageError(what, todo="use a family we know")
    net = model.net.float().eval()
    texts = {"clean": model.tokenizer.encode(cfg.clean), "corrupt": model.tokenizer.encode(cfg.corrupt)}
    if len(texts["clean"]) > net.config.max_positions:
        what = f"the clean text has {len(texts['clean'])} tokens, and {model.name} has {net.config.max_positions}"
        raise UsageError(f"{what} positions", todo="give shorter texts")
    toward_D = net.w_u[_token(model, cfg.answer)] - net.w_u[_token(model, cfg.wrong)]
    clean_T, corrupt_T = (torch.tensor(ids) for ids in texts.values())
    sites = _sites(net, len(clean_T))
    with one_thread_if_small(net):
        found = (patch(net, clean_T, corrupt_T, sites) @ toward_D).tolist()
        whole = {name: _plain(net, ids, toward_D) for name, ids in texts.items()}
    if abs(whole["clean"] - whole["corrupt"]) < _LEAST:
        what = f"the answer's logit is {whole['clean']:.2f} above the wrong one's in both texts"
        raise DataError(what, todo="give texts that are followed by different answers")
    rows = [_row(name, difference=whole[name], tokens=_spelled(model, ids)) for name, ids in texts.items()]
    return rows + [
        _row("-".join(str(v) for v in site if v is not None), difference=value, **site._asdict())
        for site, value in zip(sites, found, strict=True)
    ]


def _sites(net: Transformer, length: int) -> list[Site]:
    layers = range(net.config.num_layers)
    kinds: tuple[SiteKind, ...] = ("residual", "attention", *(("mlp",) if net.config.mlp != "none" else ()))
    maps = [Site(kind, layer, at) for kind in kinds for layer in layers for at in range(length)]
    return maps + [Site("head", layer, None, head) for layer in layers for head in range(net.config.num_heads)]


def _token(model: LocalModel, text: str) -> int:
    ids = model.tokenizer.encode(text, special=False)
    if len(ids) != 1:
        raise DataError(f"{text!r} is {len(ids)} tokens", todo="give an answer that is one token, space included")
    return ids[0]


@torch.no_grad()
def _plain(net: Transformer, ids: list[int], toward_D: Tensor) -> float:
    last = torch.tensor([[0, len(ids) - 1]])
    return float((net.hidden(torch.tensor([ids]), at=last) @ toward_D)[0])


def _spelled(model: LocalModel, ids: list[int]) -> list[str]:
    return [model.tokenizer.token_text(token) for token in ids]


def _row(key: str, **evidence: Any) -> Row:
    return Row(key=key, cluster="pair", evidence=evidence)
