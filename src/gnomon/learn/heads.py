"""Scalar heads: one number read off a model's last hidden state, such as P(IK), the chance that it knows the answer.

A head is trained with soft labels: the target of a question is the share of its samples that were right, c/30, which
has the same gradient as 30 questions with hard labels (Kadavath et al. 2022, sec. 5). Four ways, by what may move:

    linear  the body is frozen, the head is one linear map     (seconds: hidden states are computed once)
    mlp     the body is frozen, the head has a hidden layer
    lora    low-rank changes of every linear map in the body   (large models)
    full    everything                                         (the default for small models)

On disk a head is `head.safetensors` beside the body's weights: `hidden.weight` [D, D] and `hidden.bias` [D] where there
is a hidden layer, `out.weight` [1, D] and `out.bias` [1]. Shapes: B rows, T tokens, D width of the model, N questions.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnomon.core.errors import DataError, ModelError
from gnomon.core.seeds import Seed
from gnomon.learn.batches import Epochs, padded
from gnomon.learn.loop import Fit, MetricLog, StepResult, fit, one_thread_if_small
from gnomon.learn.lora import add_low_rank, merge_low_rank
from gnomon.learn.optim import Optim
from gnomon.models.transformer import Transformer, num_parameters

__all__ = ["HEAD_FILE", "HeadTraining", "ScalarHead", "Scorer", "head_reads_at", "load_head", "save_head", "train_head"]

HEAD_FILE = "head.safetensors"

_LORA_RANK = 8
# Above this size all weights of a body no longer fit a quick finetune; what the paper calls "tiny" lies far below.
_FULL_UP_TO = 50_000_000


@dataclass(frozen=True, kw_only=True)
class HeadTraining:
    """How a head is trained.

    Attributes:
        way: what may move; "auto" is full up to 50 million parameters and lora above.
        epochs: passes over the questions; frozen ways take ten times as many, their steps are nearly free.
        batch: questions a step.
        peak: highest learning rate of the body; the paper uses a third of the pretraining rate.
        head_peak: highest learning rate of a head on a frozen body.
    """

    way: Literal["auto", "linear", "mlp", "lora", "full"] = "auto"
    epochs: int = 8
    batch: int = 64
    peak: float = 6e-4
    head_peak: float = 3e-3


class ScalarHead(nn.Module):
    """One number, in nats (a log-odds for P(IK)), from a hidden state of width `d_model`."""

    def __init__(self, d_model: int, *, hidden: bool = False) -> None:
        super().__init__()
        self.hidden = nn.Linear(d_model, d_model) if hidden else None
        self.out = nn.Linear(d_model, 1)
        # Starts at zero: every question gets p = 1/2 until the data say otherwise.
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, h_ND: Tensor) -> Tensor:
        """Values [N] of hidden states [N, D]."""
        if self.hidden is not None:
            h_ND = F.gelu(self.hidden(h_ND))
        values: Tensor = self.out(h_ND).squeeze(-1)
        return values


class Scorer(nn.Module):
    """A body with a scalar head, read at the last token of each text."""

    def __init__(self, body: Transformer, head: ScalarHead) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, tokens_BT: Tensor, lengths_B: Tensor) -> Tensor:
        """Values [B], read at position `lengths_B - 1`; what stands behind it is padding and has no influence."""
        rows_B = torch.arange(len(lengths_B), device=lengths_B.device)
        values: Tensor = self.head(self.body.hidden(tokens_BT, at=torch.stack((rows_B, lengths_B - 1), dim=1)))
        return values

    @torch.no_grad()
    def probabilities(self, sequences: Sequence[Sequence[int]], *, batch: int = 256) -> Tensor:
        """The chance, sigmoid of the value, for each token sequence; [N] in order, in (0, 1)."""
        self.eval()
        with one_thread_if_small(self):
            parts = [torch.sigmoid(self(*padded(sequences[i : i + batch]))) for i in range(0, len(sequences), batch)]
        return torch.cat(parts)


class _Rows(NamedTuple):
    tokens_BT: Tensor
    lengths_B: Tensor
    targets_B: Tensor


def train_head(
    model: Transformer,
    sequences: Sequence[Sequence[int]],
    targets: Sequence[float],
    *,
    training: HeadTraining | None = None,
    seed: int = 0,
    log: MetricLog | None = None,
    state: Path | None = None,
) -> Scorer:
    """A scorer whose probabilities fit `targets` by binary cross-entropy; `model` itself stays as it is.

    Args:
        model: the body; copied.
        sequences: token ids of each prompt, up to and including its last token; none empty.
        targets: shares in [0, 1], one a sequence.
        training: what may move and for how long.
        seed: order of the questions and first weights.
        log, state: as in `learn.loop.fit`; without `state` an interrupted training starts over.

    Raises:
        DataError: lengths differ, a sequence is empty, a target is not in [0, 1], or all are 0 or all 1.
    """
    _check(sequences, targets)
    training = training or HeadTraining()
    way = training.way
    if way == "auto":
        way = "full" if num_parameters(model) <= _FULL_UP_TO else "lora"
    goal_N = torch.tensor(targets, dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(Seed(seed).child("head").value)
        scorer = Scorer(copy.deepcopy(model), ScalarHead(model.config.d_model, hidden=way == "mlp"))
        if way == "lora":
            add_low_rank(scorer.body, _LORA_RANK)
    order = Seed(seed).child("head", "order")
    fit_it = _train_frozen if way in ("linear", "mlp") else _train_body
    fit_it(scorer, sequences, goal_N, training, order, log, state)
    if way == "lora":
        merge_low_rank(scorer.body)
    return scorer.eval()


def save_head(head: ScalarHead, folder: Path, *, read_at: str = "") -> Path:
    """Writes `head.safetensors` into `folder`, which holds the body; returns its path.

    Args:
        read_at: the token that a text is ended with before its value is read; "" reads the text's own last token.
    """
    from safetensors.torch import save_file

    values = {name: value.detach().clone() for name, value in head.state_dict().items()}
    save_file(values, folder / HEAD_FILE, metadata={"read_at": read_at} if read_at else None)
    return folder / HEAD_FILE


def head_reads_at(folder: Path) -> str | None:
    """The token that the head in `folder` reads at, "" where it reads a text's own last one; None where none is there.

    Raises:
        ModelError: the file is no head.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / HEAD_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("read_at", ""))
    except SafetensorError as error:
        raise ModelError(f"not a scalar head: {str(error).splitlines()[0]}", where=str(path)) from error


def load_head(folder: Path) -> ScalarHead:
    """The head that `save_head` wrote into `folder`.

    Raises:
        ModelError: there is none, or it is no head.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / HEAD_FILE
    try:
        tensors = load_file(path)
        head = ScalarHead(tensors["out.weight"].shape[1], hidden="hidden.weight" in tensors)
        head.load_state_dict(tensors)
    except FileNotFoundError:
        raise ModelError("the model has no scalar head", where=str(folder), todo="train one first") from None
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise ModelError(f"not a scalar head: {str(error).splitlines()[0]}", where=str(path)) from error
    return head.eval()


def _check(sequences: Sequence[Sequence[int]], targets: Sequence[float]) -> None:
    if len(sequences) != len(targets):
        raise DataError(f"{len(sequences)} questions and {len(targets)} targets")
    for place, (tokens, target) in enumerate(zip(sequences, targets, strict=True)):
        if not len(tokens):
            raise DataError("the question has no tokens", where=f"question {place}")
        if not 0.0 <= target <= 1.0:
            raise DataError(f"target {target} is not in [0, 1]", where=f"question {place}")
    if len(set(targets)) < 2 and set(targets) <= {0.0, 1.0}:
        what = "no questions" if not targets else f"all {len(targets)} questions have target {targets[0]}"
        raise DataError(f"no head can be trained: {what}", todo="add questions, some known and some unknown")


def _train_body(
    scorer: Scorer,
    sequences: Sequence[Sequence[int]],
    targets_N: Tensor,
    training: HeadTraining,
    order: Seed,
    log: MetricLog | None,
    state: Path | None,
) -> None:
    """Trains head and whatever of the body may move."""
    epochs = Epochs(len(sequences), training.batch, order)

    def batches(index: int) -> _Rows:
        picked = epochs(index)
        return _Rows(*padded([sequences[i] for i in picked]), targets_N[picked])

    def step(model: nn.Module, rows: _Rows) -> StepResult:
        return _loss(model(rows.tokens_BT, rows.lengths_B), rows.targets_B)

    plan = _plan(len(sequences), training.epochs, training.batch, training.peak)
    fit(step, batches, scorer, fit=plan, log=log, state=state)


def _train_frozen(
    scorer: Scorer,
    sequences: Sequence[Sequence[int]],
    targets_N: Tensor,
    training: HeadTraining,
    order: Seed,
    log: MetricLog | None,
    state: Path | None,
) -> None:
    """Trains the head alone, on hidden states computed once; a linear one is solved, not stepped."""
    h_ND = _last_hidden(scorer.body, sequences)
    if scorer.head.hidden is None:
        _solve(scorer.head, h_ND, targets_N)
        return
    epochs = Epochs(len(sequences), training.batch, order)

    def batches(index: int) -> tuple[Tensor, Tensor]:
        picked = epochs(index)
        return h_ND[picked], targets_N[picked]

    def step(head: nn.Module, batch: tuple[Tensor, Tensor]) -> StepResult:
        return _loss(head(batch[0]), batch[1])

    plan = _plan(len(sequences), 10 * training.epochs, training.batch, training.head_peak)
    fit(step, batches, scorer.head, fit=plan, log=log, state=state)


def _solve(head: ScalarHead, h_ND: Tensor, targets_N: Tensor) -> None:
    """The head of least cross-entropy under a unit normal prior on its weights, which keeps few questions from
    separating many directions; convex, so nothing depends on order or first weights."""
    solver = torch.optim.LBFGS(head.parameters(), max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-6)

    def closure() -> Tensor:
        solver.zero_grad()
        prior = head.out.weight.square().sum() / (2 * len(targets_N))
        loss = F.binary_cross_entropy_with_logits(head(h_ND), targets_N) + prior
        loss.backward()  # type: ignore[no-untyped-call]  # torch declares no types for it
        return loss

    with one_thread_if_small(head):
        solver.step(closure)  # type: ignore[no-untyped-call]  # torch declares no types for it


def _loss(values_B: Tensor, targets_B: Tensor) -> StepResult:
    return StepResult(F.binary_cross_entropy_with_logits(values_B.float(), targets_B))


def _plan(count: int, epochs: int, batch: int, peak: float) -> Fit:
    steps = max(1, -(-count // batch) * epochs)
    return Fit(num_steps=steps, optim=Optim(peak=peak, warmup_steps=min(20, steps // 5)))


@torch.no_grad()
def _last_hidden(body: Transformer, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Hidden states [N, D] at the last token of each sequence."""
    body.eval()
    parts = []
    with one_thread_if_small(body):
        for start in range(0, len(sequences), 256):
            tokens_BT, lengths_B = padded(sequences[start : start + 256])
            at = torch.stack((torch.arange(len(lengths_B)), lengths_B - 1), dim=1)
            parts.append(body.hidden(tokens_BT, at=at))
    return torch.cat(parts)
