"""Every head of one model, read: scores by sequence and by window, one row a head.

In-context learning is the loss late in a window less the loss early in it, in nats (Olsson et al. 2022, sec. 2): at two
token indices, or, with less noise, over the last quarter less a band around the first tenth.

Shapes: N sequences or windows, T tokens, L layers, H heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from torch import Tensor

from gnomon.core.errors import UsageError
from gnomon.core.progress import progress
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.explain.induction.attention import copying, looked_back, looks
from gnomon.explain.induction.generality import Sought, labelled, looks_at
from gnomon.explain.induction.sequences import Repeats, Windows, bands, plain_tokens, repeats, shuffled, texts, windows
from gnomon.explain.induction.translation import translated
from gnomon.explain.induction.weights import compositions, ov_copying, qk_trace
from gnomon.learn.loop import one_thread_if_small
from gnomon.models.ablation import Ablated, Kind, ablated_losses
from gnomon.models.hooks import check_finite
from gnomon.models.local import LocalModel
from gnomon.models.paths import order_losses, pathless_losses
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer

if TYPE_CHECKING:
    from gnomon.explain.induction import Induction

__all__ = ["read_heads"]

_KINDS: Mapping[str, Kind] = {"zero": "zero", "frozen": "frozen", "mean": "mean"}
_KEYS = "keys"
_LONGEST = 512
_AT_ONCE = 4


class _Shown(NamedTuple):
    """What heads are shown: repeats, the same without repeats, text, where in a window losses are compared, and prompts
    of the tasks that are asked for."""

    repeats: Repeats
    null: Repeats
    windows: Windows
    late: slice
    early: slice
    prompts: Mapping[str, list[Sought]]


def read_heads(cfg: Induction, model: LocalModel) -> list[Row]:
    """One row a head, layer by layer."""
    net = model.net
    if not isinstance(net, Transformer):
        raise UsageError(
            f"{model.name} is run by another library, and its heads cannot be read", todo="use a family we know"
        )
    shown = _shown(cfg, model, net)
    net = net.float().eval()
    check_finite(net, shown.repeats.tokens_NT[:1])
    fast = net if cfg.precision == "float32" else deepcopy(net).to(torch.bfloat16)
    steps = dict(_steps(cfg, net, fast, shown))
    found: dict[str, Tensor] = {}
    with progress(len(steps), "induction, part") as bar, one_thread_if_small(net):
        for name, step in steps.items():
            found |= {what: scores.float() for what, scores in step().items()}
            bar.advance(1, estimate=name)
    if "weights" in cfg.only and "previous token" in found:
        length = shown.windows.tokens_NT.shape[1]
        found["QK trace"] = torch.stack([qk_trace(net, back_LH, length) for back_LH in found["previous token"]])
    return _rows(found, shown)


def _rows(found: dict[str, Tensor], shown: _Shown) -> list[Row]:
    """A row a head; the first has what is of no head, and each what its keys are made of by earlier ones."""
    orders, keys_LHLH = (found.pop(name, None) for name in ("orders", _KEYS))
    shared = {"documents": list(shown.windows.clusters), "opened": bool(shown.repeats.offset)}
    shared |= {} if orders is None else {"orders": orders.T.tolist()}
    layers, heads = next(iter(found.values())).shape[1:]
    rows = []
    for layer, head in product(range(layers), range(heads)):
        evidence = _evidence(found, layer, head) | (shared if (layer, head) == (0, 0) else {})
        if keys_LHLH is not None and layer:
            earlier = product(range(layer), range(heads))
            evidence[_KEYS] = {f"{i}.{h}": round(float(keys_LHLH[layer, head, i, h]), 4) for i, h in earlier}
        rows.append(Row(key=f"{layer}.{head}", cluster=f"{layer}.{head}", evidence=evidence))
    return rows


Step = Callable[[], dict[str, Tensor]]
_Prompts = Callable[[Tokenizer, int, Seed], list[Sought]]


class _Losses(Protocol):
    """What some tokens cost without each head."""

    def __call__(self, tokens_BT: Tensor, *, at: Sequence[int]) -> Ablated:
        """Behind the places `at`."""
        ...


def _steps(cfg: Induction, net: Transformer, fast: Transformer, shown: _Shown) -> Iterator[tuple[str, Step]]:
    """What to read, by name; scores are [N, L, H], those of weights [1, L, H]; `fast` is `net` as precise as asked."""
    if "attention" in cfg.only or "weights" in cfg.only:
        yield "one token back", lambda: {"previous token": looked_back(fast, shown.windows.tokens_NT)}
    if "attention" in cfg.only:
        yield "repeats", lambda: looks(fast, shown.repeats)
        yield "no repeats", lambda: {"prefix matching, null": looks(fast, shown.null)["prefix matching"]}
        yield "copying", lambda: copying(fast, shown.repeats)
    if "weights" in cfg.only:
        yield "weights", lambda: {"OV copying": ov_copying(net)[None], **_composed(net)}
    for name, kind in _KINDS.items():
        if name in cfg.only:
            yield f"without a head, {name}", partial(_without, shown, partial(ablated_losses, fast, kind=kind), name)
    for task, prompts in shown.prompts.items():
        yield task, partial(looks_at, fast, prompts, task)
    if "terms" in cfg.only:
        yield "terms", lambda: {"orders": _orders(fast, shown)}
        yield "without a head's paths", partial(_without, shown, partial(pathless_losses, fast), "paths")


def _composed(net: Transformer) -> dict[str, Tensor]:
    """The largest composition of each head with an earlier one, by kind; NaN in layer 0; and all of K-composition."""
    read = compositions(net)
    most = {
        f"{name.upper()}-composition": torch.nan_to_num(getattr(read, name), nan=-math.inf).amax((2, 3))[None]
        for name in read._fields
    }
    return {**most, _KEYS: read.k}


def _orders(net: Transformer, shown: _Shown) -> Tensor:
    """Mean loss of each window with paths through at most so many heads, [N, O]."""
    parts = [order_losses(net, tokens_BT).mean(-1).T for tokens_BT in torch.split(shown.windows.tokens_NT, _AT_ONCE)]
    return torch.cat(parts)


def _without(shown: _Shown, losses: _Losses, name: str) -> dict[str, Tensor]:
    """What leaving each head out changes: the loss of repeated tokens, and the in-context learning score."""
    again = [p - 1 for p in shown.repeats.places if (p - shown.repeats.offset) % shown.repeats.period]
    early, late = (list(range(band.start, band.stop)) for band in (shown.early, shown.late))
    found: dict[str, list[Tensor]] = {"repeats": [], "in-context learning": []}
    for tokens_BT in torch.split(shown.repeats.tokens_NT, _AT_ONCE):
        lost = losses(tokens_BT, at=again)
        found["repeats"].append((lost.without_LHBT - lost.whole_BT).mean(-1).movedim(-1, 0))
    for tokens_BT in torch.split(shown.windows.tokens_NT, _AT_ONCE):
        lost = losses(tokens_BT, at=early + late)
        scores = [each[..., len(early) :].mean(-1) - each[..., : len(early)].mean(-1) for each in lost]
        found["in-context learning"].append((scores[1] - scores[0]).movedim(-1, 0))
    return {f"{what} without it ({name})": torch.cat(parts) for what, parts in found.items()}


def _shown(cfg: Induction, model: LocalModel, net: Transformer) -> _Shown:
    limit, seed, tokenizer = net.config.max_positions, Seed(cfg.seed), model.tokenizer
    of = repeats(plain_tokens(tokenizer), cfg.n, seed, bos=tokenizer.bos_id)
    if of.tokens_NT.shape[1] > limit:
        what = f"{model.name} has {limit} positions, and a repeated sequence {of.tokens_NT.shape[1]} tokens"
        raise UsageError(what, todo="use a model with a longer context")
    length = cfg.window or min(_LONGEST, limit)
    if length > limit:
        raise UsageError(f"--window is {length}, and {model.name} has {limit} positions", todo="give no more")
    late, early = bands(length, cfg.late, cfg.early)
    text = windows(texts(cfg.data, cfg.windows, seed), tokenizer, cfg.windows, length)
    tasks: dict[str, _Prompts] = {"labels": labelled, "translations": translated}
    prompts: dict[str, list[Sought]] = {
        task: made(tokenizer, cfg.n, seed) for task, made in tasks.items() if task in cfg.only
    }
    return _Shown(of, shuffled(of, seed), text, late, early, prompts)


def _evidence(found: Mapping[str, Tensor], layer: int, head: int) -> dict[str, Any]:
    """What was read of one head; a number that is none is None."""
    scores = {name: [_number(v) for v in each[:, layer, head].tolist()] for name, each in found.items()}
    return {"layer": layer, "head": head, "read": scores}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
