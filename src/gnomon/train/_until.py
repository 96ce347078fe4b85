"""Learning answers until the loss on answers kept aside stops falling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from gnomon.core.seeds import Seed
from gnomon.learn.batches import AnswerBatch, Epochs, answer_batch
from gnomon.learn.parallel import split
from gnomon.learn.texts import Encoded
from gnomon.models.transformer import Transformer
from gnomon.train import sft
from gnomon.train._fitting import Start, low_rank, plan_of, shown_fit

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = ["VALIDATION", "fit_until_flat"]

VALIDATION = "validation loss"
"""The metric that decides: nats a token of the answers kept aside, before training and after each epoch."""


def fit_until_flat(
    cfg: Any, run: Run, start: Start, taught: Sequence[Encoded], aside: Sequence[Encoded], *, label: str
) -> int:
    """Trains `start.net` in place on the answers of `taught`, at most `cfg.epochs` times; steps taken.

    An epoch that does not bring the loss on `aside` below all before it is the last. Prompts are masked: they have no
    loss. Chen et al. 2021, sec. 4.4, pad prompts on the left, so that solutions line up; here padding is on the right
    and each text has its own positions, which gives every token the same loss whatever is beside it.
    """
    order = Epochs(len(taught), cfg.batch, Seed(cfg.seed).child("order"), lengths=[len(text.tokens) for text in taught])

    def watch(net: nn.Module) -> Mapping[str, float]:
        return {VALIDATION: fmean(sft.mean_losses(cast(Transformer, net), aside, batch=cfg.batch))}

    def batches(index: int) -> list[AnswerBatch] | None:
        if index and index % order.per_epoch == 0 and not _fell(run, index):
            return None
        texts = [taught[place] for place in order(index)]
        return [answer_batch(part, of=texts) for part in split(texts, cfg.accumulate)]

    run.add_metrics(0, watch(start.net))
    plan = replace(plan_of(cfg, order), watch_every=order.per_epoch)
    with low_rank(cfg, run, start):
        shown_fit(sft.step, batches, start.net, plan=plan, run=run, label=label, watch=watch)
    return max(metric.step for metric in run.metrics() if metric.name == VALIDATION)


def _fell(run: Run, done: int) -> bool:
    """Whether the loss after step `done` is the lowest so far; what a killed run logged beyond it does not count."""
    losses = [m.value for m in run.metrics() if m.name == VALIDATION and m.step <= done]
    return losses[-1] < min(losses[:-1])
