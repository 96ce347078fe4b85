"""What a model in training lacks of Brook, kind by kind, in nats: a quick look, to see skills form.

At every answer-bearing word the model's distribution is held against the planted one; the mean of the divergence is 0
for a model that knows all that was planted, and no draw moves it. `gnomon assay brook` measures what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.kinds import Kind
from gnomon.data.worlds.brook.mix import KINDS
from gnomon.data.worlds.brook.packing import Document, to_batch
from gnomon.data.worlds.brook.tables import COUNTS, Statement, World

__all__ = ["brook_readout"]

_DOCUMENTS, _FACTS = 32, 40


@dataclass(frozen=True)
class _Part:
    """Texts of one kind. P places of answers, S entries of their planted distributions.

    Attributes:
        tokens_RT: a document a row.
        at_P: flat places `r * T + t` of the answers' predictions.
        entropy: mean entropy of the planted distributions, in nats.
        from_S, token_S, p_S: place among the P, option and its planted probability.
    """

    tokens_RT: Tensor
    at_P: Tensor
    entropy: float
    from_S: Tensor
    token_S: Tensor
    p_S: Tensor


def brook_readout(
    world: World, kinds: Collection[str] = tuple(KINDS), *, documents: int = _DOCUMENTS
) -> Callable[[nn.Module], Mapping[str, float]]:
    """A function that gives a model's mean divergence from what is planted, in nats, by kind.

    Facts of exposure names stand by their number of statements: `exposure-16`.

    Args:
        world: what is planted.
        kinds: those that the model reads; of others it can know nothing.
        documents: fresh documents of a kind.
    """
    parts = {}
    for kind in KINDS.values():
        if kind.share and kind.name in kinds:
            rng = Seed(0).child("readout", kind.name).random()
            parts[kind.name] = _part(world, kind, [kind.document(world, rng) for _ in range(documents)])
    for count in COUNTS:
        exposed = [fact for fact in world.exposure_facts if world.counts[fact.name, fact.relation] == count][:_FACTS]
        if exposed:
            parts[f"exposure-{count}"] = _part(world, KINDS["exposure"], [(Statement(fact, 0),) for fact in exposed])

    def readout(model: nn.Module) -> dict[str, float]:
        return {name: _divergence(model, part) for name, part in parts.items()}

    return readout


def _part(world: World, kind: Kind[Any], documents: Sequence[tuple[Any, ...]]) -> _Part:
    texts = [kind.render(world, records) for records in documents]
    rows = [[Document(i, kind.name, (), text, kind.running)] for i, text in enumerate(texts)]
    width, ids = max(document.num_tokens for (document,) in rows), world.vocabulary.ids
    at: list[int] = []
    entries: list[tuple[int, int, float]] = []
    for r, text in enumerate(texts):
        planted = {soft.place: zip(soft.words, soft.p, strict=True) for soft in text.soft}
        for key in text.keys:
            entries += [(len(at), ids[word], p) for word, p in planted.get(key, ((text.words[key], 1.0),)) if p]
            # The word at `key` stands one further behind <bos>, and is predicted one earlier.
            at.append(r * width + key)
    p_S = torch.tensor([p for _, _, p in entries])
    return _Part(
        torch.from_numpy(to_batch(rows, width, world.vocabulary).tokens).long(),
        torch.tensor(at),
        float(-(p_S * p_S.log()).sum()) / len(at),
        torch.tensor([place for place, _, _ in entries]),
        torch.tensor([token for _, token, _ in entries]),
        p_S,
    )


def _divergence(model: nn.Module, part: _Part) -> float:
    width = part.tokens_RT.shape[1]
    at_P2 = torch.stack((part.at_P // width, part.at_P % width), 1)
    logp_PV = torch.log_softmax(model(part.tokens_RT, at=at_P2).float(), -1)
    cross = -(logp_PV[part.from_S, part.token_S] * part.p_S).sum() / len(part.at_P)
    return float(cross) - part.entropy
