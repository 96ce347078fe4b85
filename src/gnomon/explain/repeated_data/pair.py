"""Two models read on the same texts: a row a window, a row a random sequence, and one for what is of the whole.

Shapes: N windows or sequences, T tokens, C copies, L layers, H heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor

from gnomon.core.errors import DataError, UsageError
from gnomon.core.progress import progress
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.explain.induction.sequences import Windows, plain_tokens, texts, windows
from gnomon.explain.repeated_data.readings import Copied, losses, losses_by_copy, prefix_scores, said_again
from gnomon.learn.loop import one_thread_if_small
from gnomon.models.load import load
from gnomon.models.local import LocalModel
from gnomon.models.transformer import Transformer, num_parameters

if TYPE_CHECKING:
    from gnomon.explain.repeated_data import RepeatedData

__all__ = ["WHOLE", "read_pair"]

WHOLE = "models"
"""Key of the row that holds what is of the whole: names, sizes, heads, and one paragraph said again."""

_LONGEST = 512
# A paragraph to look at is a few lines long, said four times.
_SHOWN, _TIMES = 25, 4


class _Read(NamedTuple):
    """What was read of one model: losses [N] of windows and [N, C] by copy, prefix matching [N, L, H], losses [T]."""

    losses_N: Tensor
    copies_NC: Tensor | None
    prefix_NLH: Tensor | None
    said_T: Tensor | None


def read_pair(cfg: RepeatedData, model: LocalModel) -> list[Row]:
    """The rows; of every number the model's is the first, that of `cfg.against` the second."""
    other = cast(LocalModel, load(str(cfg.against)))
    if other.revision == model.revision:
        what = f"{model.name} and {cfg.against} hold the same weights ({model.revision})"
        raise UsageError(what, where="--against", todo="check the revision that was downloaded")
    tokenizer = model.tokenizer
    if tokenizer.backend.get_vocab() != other.tokenizer.backend.get_vocab():
        what = f"{cfg.against} has other tokens than {model.name}"
        raise DataError(what, where="--against", todo="name a model with the same tokenizer")
    nets = [_net(model), _net(other)]
    limit = min(net.config.max_positions for net in nets)
    length = cfg.window or min(_LONGEST, limit)
    if length > limit:
        raise UsageError(f"--window is {length}, and the models have {limit} positions", todo="give no more")
    text = windows(texts(cfg.data, cfg.n, Seed(cfg.seed)), tokenizer, cfg.n, length)
    begin = int(tokenizer.bos_id is not None)
    paragraphs = text.tokens_NT[:, begin:].tolist()
    copied = said_again(paragraphs, limit, tokenizer.bos_id)
    shown = said_again([paragraphs[0][:_SHOWN]], min(limit, begin + _TIMES * _SHOWN), tokenizer.bos_id, times=_TIMES)
    read = []
    with progress(2, "models") as bar:
        for net in nets:
            with one_thread_if_small(net):
                read.append(_read(cfg, net, model, text, copied, shown))
            bar.advance(1)
    whole = _whole(model, other, nets, read, shown)
    return [Row(key=WHOLE, cluster=WHOLE, evidence=whole), *_windows(text, read), *_sequences(read)]


def _net(model: LocalModel) -> Transformer:
    if not isinstance(model.net, Transformer):
        what = f"{model.name} is run by another library, and its heads cannot be read"
        raise UsageError(what, todo="use a family we know")
    return model.net.float().eval()


def _read(
    cfg: RepeatedData, net: Transformer, model: LocalModel, text: Windows, copied: Copied | None, shown: Copied | None
) -> _Read:
    tokenizer = model.tokenizer
    return _Read(
        losses(net, text.tokens_NT).mean(1),
        None if copied is None else losses_by_copy(net, copied),
        prefix_scores(net, plain_tokens(tokenizer), cfg.n, tokenizer.bos_id, Seed(cfg.seed)),
        None if shown is None else losses(net, shown.tokens_PT)[0],
    )


def _whole(
    model: LocalModel, other: LocalModel, nets: list[Transformer], read: list[_Read], shown: Copied | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "names": [model.name, other.name],
        "revisions": [model.revision, other.revision],
        "parameters": [num_parameters(net) for net in nets],
    }
    if shown is not None:
        tokens = shown.tokens_PT[0, 1:].tolist()
        found["said"] = [model.tokenizer.token_text(token) for token in tokens]
        found["losses"] = [_list(each.said_T) for each in read]
        found["offset"], found["period"] = shown.offset, shown.period
    if all(each.prefix_NLH is not None for each in read):
        found["heads"] = [_list(cast(Tensor, each.prefix_NLH).mean(0)) for each in read]
    return found


def _windows(text: Windows, read: list[_Read]) -> list[Row]:
    rows = []
    for place, document in enumerate(text.clusters):
        evidence: dict[str, Any] = {"loss": [float(each.losses_N[place]) for each in read]}
        if all(each.copies_NC is not None for each in read):
            evidence["copies"] = [_list(cast(Tensor, each.copies_NC)[place]) for each in read]
        rows.append(Row(key=f"window {place}", cluster=document, evidence=evidence))
    return rows


def _sequences(read: list[_Read]) -> list[Row]:
    """Prefix matching of each model's best head, sequence by sequence."""
    scores = [each.prefix_NLH for each in read]
    if any(each is None for each in scores):
        return []
    best = [cast(Tensor, each).flatten(1)[:, int(cast(Tensor, each).mean(0).argmax())] for each in scores]
    return [
        Row(key=f"sequence {i}", cluster=f"sequence {i}", evidence={"prefix": [float(b[i]) for b in best]})
        for i in range(len(best[0]))
    ]


def _list(values: Tensor | None) -> Any:
    return torch.round(cast(Tensor, values), decimals=5).tolist()
