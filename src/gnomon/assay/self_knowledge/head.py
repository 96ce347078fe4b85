"""The trained head behind P(IK): sample answers to training questions, fit the share that is right.

Kadavath et al. 2022, sec. 5.1: the target of a question is the share of 30 samples at temperature 1 that is right; the
value is read at the last token of the prompt that the answers were sampled from. Training questions share no cluster
with those that are asked later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gnomon.assay.self_knowledge.asking import wording
from gnomon.assay.self_knowledge.samples import answer_prompt, answers, open_questions
from gnomon.core.errors import DataError
from gnomon.core.progress import progress
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Model
from gnomon.trial.base import Cast

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge
    from gnomon.models.local import LocalModel

__all__ = ["FOLDER", "at_every_token", "held_out", "prepare"]

FOLDER = "head"
# A training question that no sample answers either way teaches nothing; fewer than this many teach too little.
FEWEST = 20


def held_out(cluster: str) -> bool:
    """Whether a cluster's questions are asked (one half) or train the head (the other)."""
    return bool(Seed(0).child("pik", "split", cluster).value % 2)


def at_every_token(cfg: SelfKnowledge, model: Model, item: Item) -> list[tuple[str, float]]:
    """Each token of a question, without worked examples, with P(IK) read at it as if the prompt ended there.

    Args:
        model: a local one with the head.
    """
    import torch

    local = cast("LocalModel", model)
    assert local.head is not None
    ids = local.tokenizer.encode_prompt(answer_prompt(cfg, item))
    with torch.no_grad():
        hidden_TD = local.net.hidden(torch.tensor([ids], device=local.net.embed.weight.device))[0]
        p_T = torch.sigmoid(local.head(hidden_TD).reshape(-1).float())
    own = len(local.tokenizer.encode(wording(item).open_prompt(item), special=False))
    shown = list(zip(ids, p_T.tolist(), strict=True))[0 if cfg.chat else -own :]
    return [(local.tokenizer.token_text(token), p) for token, p in shown]


async def prepare(cfg: SelfKnowledge, cast_: Cast, folder: Path | None, seed: Seed) -> Cast:
    """The cast with a further model, "pik", whose reward is the log-odds of knowing the answer.

    A head that is in `folder` already, or that `cfg.head` names, is used again. A subject without activations gets
    none: P(IK) is then asked in words.

    Raises:
        DataError: too few training questions, or all their samples right, or all wrong.
    """
    subject = cast_.subject
    if Ability.ACTIVATIONS not in subject.can:
        return cast_
    if cfg.head:
        from gnomon.models.load import load

        return Cast({**cast_, "pik": load(cfg.head)})
    kept = folder / FOLDER if folder else None
    if kept and (kept / "config.json").exists():
        from gnomon.models.load import load_checkpoint

        return Cast({**cast_, "pik": load_checkpoint(kept, name=f"{subject.name} with P(IK) head")})
    items = [i for i in open_questions(cfg, seed, "pik-train", 2 * cfg.head_questions) if not held_out(i.cluster)]
    items = [i for i in items if not cfg.head_groups or i.meta.get("group") in cfg.head_groups]
    if len(items) < FEWEST:
        raise DataError(f"{len(items)} questions are too few to train a P(IK) head", todo="raise --head-questions")
    for model in (subject, cast_.labels):
        bind = getattr(model, "bind", None)
        if bind:
            bind(items)
    targets = await _shares(cfg, cast_.labels, items, seed)
    return Cast({**cast_, "pik": _trained(cfg, subject, items, targets, seed, kept)})


async def _shares(cfg: SelfKnowledge, model: Model, items: Sequence[Item], seed: Seed) -> list[float]:
    """The share of each training question's sampled answers that is right."""
    with progress(len(items), "P(IK): sampling answers to training questions") as bar:

        async def share(item: Item) -> float:
            drawn = await answers(cfg, model, item, cfg.samples, seed.child(item.id))
            bar.advance()
            return sum(bool(a["right"]) for a in drawn) / len(drawn)

        return list(await asyncio.gather(*map(share, items)))


def _trained(
    cfg: SelfKnowledge, subject: Model, items: Sequence[Item], targets: Sequence[float], seed: Seed, kept: Path | None
) -> Model:
    from gnomon.learn.heads import HeadTraining, train_head

    white = cast("LocalModel", subject)
    sequences = [white.tokenizer.encode_prompt(answer_prompt(cfg, item)) for item in items]
    way = cfg.head_way if Ability.GRADIENTS in subject.can else "linear"
    scorer = train_head(white.net, sequences, targets, training=HeadTraining(way=way), seed=seed.value % 2**31)
    attach = getattr(subject, "with_head", None)
    if attach:
        return cast(Model, attach(scorer))
    from gnomon.models.local import LocalModel

    if kept:
        _keep(scorer, white, kept)
    name = f"{subject.name} with P(IK) head"
    return LocalModel(scorer.body, white.tokenizer, name=name, revision=subject.revision, head=scorer.head)


def _keep(scorer: Any, white: LocalModel, kept: Path) -> None:
    from gnomon.learn.heads import save_head
    from gnomon.models.families import save_folder

    save_folder(scorer.body, kept, tokenizer=white.tokenizer)
    save_head(scorer.head, kept)
