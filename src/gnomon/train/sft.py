"""Supervised fine-tuning: a model learns answers by heart, prompts only as what they follow.

    gnomon train sft                               from the model that ships, on good answers to Brook's questions
    gnomon train sft --data FILE --model hf:FOLDER rows of prompt and answer, or of messages
    gnomon train sft --dry-run                     what it would train on, and nothing else

One step is one batch of texts of like length through `step`: the mean loss of the tokens of the answers, the token that
ends a text included, so that the model learns to stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import nn

from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.dialogues import Dialogue, open_dialogues
from gnomon.data.overlap import Text, overlap
from gnomon.data.records import Found, divided
from gnomon.learn.batches import AnswerBatch, Epochs, answer_batch
from gnomon.learn.loop import StepResult, one_thread_if_small
from gnomon.learn.losses import answer_losses
from gnomon.learn.parallel import split
from gnomon.learn.texts import Encoded, Texts, encode, fitted
from gnomon.models.transformer import Transformer
from gnomon.report.base import Estimate, Report
from gnomon.stats.intervals import clustered_mean
from gnomon.train._fitting import (
    Start,
    Thrifty,
    at_least,
    context_of,
    end_of,
    identity,
    keep,
    low_rank,
    plan_of,
    shown_fit,
    start_from,
)

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = [
    "Sft",
    "Sides",
    "identity",
    "mean_losses",
    "measured_rows",
    "met",
    "preview",
    "sides",
    "step",
    "summarise",
    "tokenized",
    "train",
]


@registered
@dataclass(frozen=True, kw_only=True)
class Sft(Thrifty):
    """Fine-tune a model on answers; the loss is on the answers only."""

    data: str = "brook"
    "What to learn: brook, or a file of rows with prompt and answer, or with messages."
    model: str = "brook"
    "Where to start: brook, hf:FOLDER or run:ID."
    dialogues: int = 4000
    "Answers to train on; 0 takes all of a file."
    held_out: int = 400
    "Answers to measure on; no prompt is on both sides."
    best_of: int = 8
    "Each answer of Brook is the best of so many drawn ones by the gold utility; 1 takes good and bad as they come."
    epochs: int = 1
    "Passes over the answers."
    batch: int = 32
    "Answers a step."
    peak_rate: float = 3e-4
    "Highest learning rate."
    context: int = 0
    "Longest text in tokens; prompts of longer ones lose their beginning. 0 takes the model's."
    drop_bad: bool = False
    "Go on without bad rows of a file even if they are more than one in a hundred."
    seed: int = 0
    "Seed of the draws and the order."
    bf16: bool = False
    "Bfloat16 arithmetic, for processors that have it; not the same numbers."

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, held_out=self.held_out, best_of=self.best_of, epochs=self.epochs)
        at_least(1, batch=self.batch)
        at_least(int(self.data == "brook"), dialogues=self.dialogues)
        at_least(0, context=self.context)


def train(cfg: Sft, run: Run) -> Path:
    """Trains and returns the folder of the checkpoint; the run's rows are held-out answers with their losses.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        DataError: the data cannot be used.
        ModelError: the model cannot.
    """
    start = start_from(cfg.model, cfg.data)
    found, learnt, measured = sides(cfg)
    taught, held = (tokenized(cfg, start, side) for side in (learnt, measured))
    before = mean_losses(start.net, [text for (text,) in held.groups], batch=cfg.batch)
    order = Epochs(
        len(taught.groups), cfg.batch, Seed(cfg.seed).child("order"), lengths=[len(t.tokens) for (t,) in taught.groups]
    )

    def batches(index: int) -> list[AnswerBatch]:
        texts = [taught.groups[i][0] for i in order(index)]
        return [answer_batch(part, of=texts) for part in split(texts, cfg.accumulate)]

    with low_rank(cfg, run, start):
        shown_fit(step, batches, start.net, plan=plan_of(cfg, order), run=run, label="sft")
    after = mean_losses(start.net, [text for (text,) in held.groups], batch=cfg.batch)
    dialogues = [measured[place] for place in held.places]
    left_out = {"rows": found.num_rows, "bad": found.num_bad, "shown": found.bad, "cut": taught.num_cut}
    left_out["long"] = taught.num_long + held.num_long
    run.add(measured_rows(dialogues, before, after, met=met(learnt, measured)))
    return keep(cfg, run, start, {"steps": cfg.epochs * order.per_epoch, "answers": len(taught.groups), **left_out})


def step(model: nn.Module, batch: AnswerBatch) -> StepResult:
    """The mean loss of the tokens of the answers, in nats; of a part of a step, its share in the step's."""
    return StepResult(answer_losses(cast(Transformer, model), batch).mean() * batch.share)


@torch.no_grad()
def mean_losses(net: Transformer, texts: Sequence[Encoded], *, batch: int) -> list[float]:
    """The loss a token of each answer, in nats."""
    net.eval()
    losses = [0.0] * len(texts)
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i].tokens))
    with one_thread_if_small(net):
        for begin in range(0, len(texts), batch):
            places = by_length[begin : begin + batch]
            rows = answer_batch([texts[i] for i in places])
            found_N = answer_losses(net, rows)
            sums = torch.zeros(len(places)).index_add(0, rows.row_N, found_N)
            for i, loss in zip(places, (sums / rows.row_N.bincount()).tolist(), strict=True):
                losses[i] = loss
    return losses


def preview(cfg: Sft) -> dict[str, Any]:
    """What `train` would train on; `--dry-run`."""
    start = start_from(cfg.model, cfg.data)
    found, learnt, measured = sides(cfg)
    texts = tokenized(cfg, start, learnt)
    (text,) = texts.groups[0]
    return {
        "model": f"{cfg.model}@{start.revision}",
        "rows": f"{found.num_rows}, {found.num_bad} of them bad",
        **{f"bad row {place}": told for place, told in enumerate(found.bad, 1)},
        "answers": f"{len(texts.groups)} to train on, {len(measured)} held out",
        "tokens": f"{sum(len(t.tokens) for (t,) in texts.groups)}, of answers "
        f"{sum(len(t.tokens) - t.start for (t,) in texts.groups)}",
        "too long": f"{texts.num_cut} prompts cut, {texts.num_long} answers left out",
        "held out, met in training": met(learnt, measured),
        "first prompt": start.tokenizer.decode(text.tokens[: text.start].tolist(), special=True),
        "first answer": start.tokenizer.decode(text.tokens[text.start :].tolist(), special=True),
    }


def summarise(rows: Sequence[Row]) -> Report:
    """Loss a token of held-out answers before and after, and what training took off it, clustered by prompt."""
    clusters = [row.cluster for row in rows]
    values = {name: [float(row.evidence[name]) for row in rows] for name in ("before", "after")}
    gained = [b - a for b, a in zip(values["before"], values["after"], strict=True)]
    series = {
        "held-out loss before": values["before"],
        "held-out loss": values["after"],
        "held-out loss gained": gained,
    }
    return Report(
        title="answers held out",
        estimates=[
            Estimate.of(metric, clustered_mean(each, clusters), headline=metric == "held-out loss")
            for metric, each in series.items()
        ],
        summary="Held-out losses are in nats a token of an answer.",
        notes=[f"Held out, met in training: {row.evidence['met']}." for row in rows[:1] if "met" in row.evidence],
    )


class Sides(NamedTuple):
    """Answers as they were found, those to train on, and those to measure on."""

    found: Found[Dialogue]
    learnt: Sequence[Dialogue]
    measured: Sequence[Dialogue]


def sides(cfg: Sft) -> Sides:
    """The answers that `train` trains on and measures on; its errors."""
    seed = Seed(cfg.seed)
    wanted = cfg.dialogues + cfg.held_out
    found = open_dialogues(cfg.data, wanted, seed, best_of=cfg.best_of, drop_bad=cfg.drop_bad)
    parts = divided([d.cluster for d in found.things], cfg.held_out, seed, train=cfg.dialogues, where=cfg.data)
    return Sides(found, *([found.things[place] for place in part] for part in parts))


def tokenized(cfg: Sft, start: Start, dialogues: Sequence[Dialogue]) -> Texts:
    """The answers behind their prompts as tokens, those that fit the context."""
    end, _ = end_of(start.tokenizer, context=False)
    encoded = encode(start.tokenizer, [(d.prompt, d.answer) for d in dialogues], end=end)
    return fitted([(text,) for text in encoded], context_of(start.net, cfg.context), tokenizer=start.tokenizer)


def met(learnt: Sequence[Dialogue], measured: Sequence[Dialogue]) -> str:
    """What the answers measured on share with those trained on."""
    sides = ([Text(d.prompt, (d.answer,)) for d in side] for side in (learnt, measured))
    return overlap(*sides).told


def measured_rows(
    dialogues: Sequence[Dialogue], before: Sequence[float], after: Sequence[float], *, met: str
) -> list[Row]:
    """Held-out answers with their losses; the first carries what training met of them, for a report sees only rows."""
    return [
        Row(
            key=d.id,
            cluster=d.cluster,
            evidence={"before": b, "after": a, "group": d.group, **({} if place else {"met": met})},
        )
        for place, (d, b, a) in enumerate(zip(dialogues, before, after, strict=True))
    ]
