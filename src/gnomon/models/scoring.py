"""Log-probabilities of given continuations, for many prompts at once, each token pushed once.

`Scorer.run` plans a prefix tree over everything asked, reads shared headers once, pushes the rest in batches filled by
tokens, and projects only the wanted positions to the vocabulary. Whatever the batching, results equal those of one
sequence at a time to 1e-4 nats (float32).

Shapes: B rows, T slots of a row, H header tokens, N read places, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnomon.models.cache import Reading
from gnomon.models.headers import Headers, Net
from gnomon.models.prefix import Group, Path, Row, Tokens, plan
from gnomon.models.rows import filled, sight

__all__ = ["Answer", "Query", "Scorer"]

# One array a branch: log-probabilities in nats, shape [t], or with the most probable tokens, [t, 1 + 2 top]; or one
# array with the head's value.
Answer: TypeAlias = list[NDArray[np.float64]]


class Query(NamedTuple):
    """Continuations of one context.

    Attributes:
        context: shape [c], c >= 1.
        branches: each of shape [t], t >= 1. A query without branches asks for the scalar head's value after `context`.
        top: how many of the most probable tokens to list at each place: a row of the answer is then the token's own
            log-probability, theirs in falling order, and their ids. The longest list asked for at once is given to all.
    """

    context: Tokens
    branches: Sequence[Tokens]
    top: int = 0


@dataclass(frozen=True, slots=True)
class _Want:
    """What one path is read for."""

    query: int
    branch: int
    targets: Tokens


class Scorer:
    """Answers queries with one network."""

    def __init__(
        self,
        net: Net,
        headers: Headers,
        *,
        tree: bool = True,
        batch_tokens: int = 2048,
        head: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """A scorer.

        Args:
            net: the network.
            headers: its shared beginnings.
            tree: whether the network takes any mask and any positions; otherwise each path is a row of its own.
            batch_tokens: slots of one forward, padding included.
            head: [N, D] hidden states to [N] or [N, 1] values; needed by queries without branches only.
        """
        self.net, self.headers, self.tree, self.batch_tokens, self.head = net, headers, tree, batch_tokens, head
        self.forwards = 0
        self.pushed_tokens = 0

    def run(
        self, queries: Sequence[Query], alive: Callable[[int], bool] = lambda query: True
    ) -> Iterator[tuple[int, Answer]]:
        """Answers with the numbers of their queries, as they become known.

        Args:
            queries: in any order.
            alive: asked before each forward; a forward that no living query needs is left out.
        """
        valued = [i for i, q in enumerate(queries) if not q.branches]
        scored = [i for i, q in enumerate(queries) if q.branches and not q.top]
        listed = [i for i, q in enumerate(queries) if q.branches and q.top]
        listing = partial(self._listed, max((queries[i].top for i in listed), default=0))
        with torch.inference_mode():
            for indices, read in ((scored, self._logprobs), (listed, listing), (valued, self._values)):
                if indices:
                    yield from self._answers(queries, indices, read, alive)

    def _answers(
        self,
        queries: Sequence[Query],
        indices: Sequence[int],
        read: Callable[[_Batch, Sequence[_Want]], NDArray[np.float64]],
        alive: Callable[[int], bool],
    ) -> Iterator[tuple[int, Answer]]:
        paths, wants = _paths(queries, indices)
        open_branches = {i: max(1, len(queries[i].branches)) for i in indices}
        answers: dict[int, Answer] = {i: [np.zeros(0)] * n for i, n in open_branches.items()}
        groups = plan(
            paths,
            header_tokens=self.headers.least_tokens,
            known=self.headers.known if self.tree else (lambda tokens: 0),
            tree=self.tree,
        )
        for batch in self._batches(groups, paths):
            if not any(alive(wants[r.path].query) for row in batch.rows for r in row.reads):
                continue
            values, start = read(batch, wants), 0
            for row in batch.rows:
                for r in row.reads:
                    want = wants[r.path]
                    answers[want.query][want.branch] = values[start : start + len(r.slots)]
                    start += len(r.slots)
                    open_branches[want.query] -= 1
                    if not open_branches[want.query]:
                        yield want.query, answers.pop(want.query)

    def _batches(self, groups: Sequence[Group], paths: Sequence[Path]) -> Iterator[_Batch]:
        for group in groups:
            rows = sorted(group.rows, key=lambda row: -len(row.tokens))
            if self.tree and len(groups) <= 4:
                first = paths[rows[0].reads[0].path]
                self.headers.saw(first.tokens[: first.first])
            begin = 0
            while begin < len(rows):
                count = max(1, self.batch_tokens // len(rows[begin].tokens))
                yield _Batch(group.header, rows[begin : begin + count])
                begin += count

    def _logprobs(self, batch: _Batch, wants: Sequence[_Want]) -> NDArray[np.float64]:
        """Log-probabilities of every read's targets, one read after another."""
        logits_NV, which, targets = self._looked(batch, wants)
        values: NDArray[np.float64] = (
            (logits_NV[which, targets] - logits_NV.logsumexp(-1)[which]).double().cpu().numpy()
        )
        return values

    def _listed(self, top: int, batch: _Batch, wants: Sequence[_Want]) -> NDArray[np.float64]:
        """As `_logprobs`, each with the `top` most probable tokens at its place."""
        logits_NV, which, targets = self._looked(batch, wants)
        logp_NV = logits_NV - logits_NV.logsumexp(-1, keepdim=True)
        best, ids = logp_NV.topk(min(top, logp_NV.shape[-1]), dim=-1)
        own = logp_NV[which, targets][:, None]
        # Doubles hold every id exactly.
        values: NDArray[np.float64] = (
            torch.cat((own.double(), best[which].double(), ids[which].double()), 1).cpu().numpy()
        )
        return values

    def _looked(self, batch: _Batch, wants: Sequence[_Want]) -> tuple[Tensor, Tensor, Tensor]:
        """Logits [N, V] of the places read; for every read's targets, one read after another, their place and id."""
        places, which = np.unique(batch.places(), return_inverse=True)
        tokens_BT, how = self._inputs(batch, places)
        logits_NV = self.net(tokens_BT, **how).float()
        targets = np.concatenate([wants[r.path].targets for row in batch.rows for r in row.reads])
        device = logits_NV.device
        return logits_NV, torch.from_numpy(which).to(device), torch.from_numpy(targets).to(device)

    def _values(self, batch: _Batch, wants: Sequence[_Want]) -> NDArray[np.float64]:
        """The scalar head's value at every read."""
        assert self.head is not None
        places, which = np.unique(batch.places(), return_inverse=True)
        tokens_BT, how = self._inputs(batch, places)
        value_N = self.head(self.net.hidden(tokens_BT, **how)).reshape(-1)
        values: NDArray[np.float64] = value_N.double().cpu().numpy()[which]
        return values

    def _inputs(self, batch: _Batch, places: Tokens) -> tuple[Tensor, Reading]:
        """Tokens of `batch`, and how a forward reads `places` (row × T + slot) of them."""
        device, header = self.headers.device, len(batch.header)
        at_N2 = np.stack(np.divmod(places, len(batch.rows[0].tokens)), axis=1)
        tokens_BT = filled([row.tokens for row in batch.rows]).to(device)
        how: Reading = {"at": torch.from_numpy(at_N2).to(device)}
        if not all(row.is_chain for row in batch.rows):
            how["mask"] = sight(batch.rows, header).to(device)
            how["positions_BT"] = filled([row.depth for row in batch.rows]).to(device)
        if header:
            how["cache"] = self.headers.get(batch.header).expand(len(batch.rows))
        self.forwards += 1
        self.pushed_tokens += tokens_BT.numel()
        return tokens_BT, how


class _Batch(NamedTuple):
    """Rows of one forward after one header, the longest first."""

    header: Tokens
    rows: Sequence[Row]

    def places(self) -> Tokens:
        """Every read's places as row × T + slot, one read after another."""
        size = len(self.rows[0].tokens)
        return np.concatenate([r.slots + i * size for i, row in enumerate(self.rows) for r in row.reads])


def _paths(queries: Sequence[Query], indices: Sequence[int]) -> tuple[list[Path], list[_Want]]:
    paths, wants = [], []
    for i in indices:
        context, branches, _ = queries[i]
        for number, branch in enumerate(branches or [context[:1]]):
            tokens = context if len(branch) == 1 else np.concatenate((context, branch[:-1]))
            paths.append(Path(tokens, len(context) - 1))
            wants.append(_Want(i, number, branch))
    return paths, wants
