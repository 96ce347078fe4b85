"""Losses of training an assistant: of the tokens of answers, and of comparisons of two texts by a scalar.

All in nats. Shapes: N places, D model width, V vocabulary, P pairs.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from gnomon.learn.batches import AnswerBatch
from gnomon.models.transformer import Transformer

__all__ = ["answer_losses", "binary_loss", "ranked_loss", "token_losses"]


def answer_losses(net: Transformer, batch: AnswerBatch) -> Tensor:
    """The loss [N] of every token of the answers of `batch`; prompts have none, and padding is never looked at."""
    return token_losses(net, net.hidden(batch.tokens_BT, at=batch.at_N2), batch.targets_N)


def token_losses(net: Transformer, h_ND: Tensor, targets_N: Tensor) -> Tensor:
    """The loss [N] of predicting tokens `targets_N` from final hidden states."""
    # Float32 whatever the autocast: half precision loses the tail of a softmax.
    return F.cross_entropy(F.linear(h_ND, net.w_u).float(), targets_N, reduction="none")


def ranked_loss(good_P: Tensor, bad_P: Tensor, weight_P: Tensor | None = None) -> Tensor:
    """Mean of log(1 + exp(r_bad - r_good)), each times its weight where there are some.

    Only the difference of two answers counts (Bai et al. 2022a, sec. 2).
    """
    losses_P = F.softplus((bad_P - good_P).float())
    return (losses_P if weight_P is None else losses_P * weight_P).mean()


def binary_loss(good_P: Tensor, bad_P: Tensor, weight_P: Tensor | None = None) -> Tensor:
    """Mean over both texts of the loss of calling the one good and the other bad, each judged alone.

    Askell et al. 2021 (sec. 3) write good or bad into a text as a token and rank the two writings; the difference of
    their two values is what is one value here, and the loss is the same function of it.
    """
    losses_P = (F.softplus(-good_P.float()) + F.softplus(bad_P.float())) / 2
    return (losses_P if weight_P is None else losses_P * weight_P).mean()
