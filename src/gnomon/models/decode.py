"""Decoding many streams at once: what they have in common is read once, finished rows are dropped, new ones let in.

Streams of all calls in flight share one batch. Those that have said the same to the same prompt so far share a row,
and part where they draw different tokens. Rows differ in length, so each carries a mask of the slots that are its own;
where all rows are equally long there is none. A network that takes no masks gets a batch for each prompt instead.

Shapes: B rows, N streams, S slots of the cache, M prompts, R new tokens of a prompt, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gnomon.models.cache import KVCache
from gnomon.models.draws import Drawing
from gnomon.models.headers import Headers, Net
from gnomon.models.onerow import OneRow
from gnomon.models.prefix import Tokens, shared_length
from gnomon.models.streams import Job, Stream
from gnomon.models.tokenizer import Tokenizer

__all__ = ["Decoder"]

# New streams join when they are this share of those under way, or have waited for so many steps: joining copies too.
_JOIN_SHARE, _PATIENCE_STEPS = 0.25, 16
# Slots that no row sees are kept until no more than this share of all is seen: taking them away copies the cache.
_CROWDED = 0.75


class Decoder:
    """Streams under way on one network."""

    def __init__(
        self,
        net: Net,
        headers: Headers,
        tokenizer: Tokenizer,
        *,
        tree: bool = True,
        batch_tokens: int = 2048,
        max_rows: int = 64,
        max_held_tokens: int = 1 << 17,
    ) -> None:
        """A decoder with nothing to do.

        Args:
            net: the network.
            headers: its shared beginnings.
            tokenizer: turns tokens into text and knows which end a stream.
            tree: whether the network takes any mask.
            batch_tokens: prompt tokens read in one forward.
            max_rows: streams decoded at once.
            max_held_tokens: cache slots in use at once; one stream is decoded however long it is.
        """
        self.net, self.headers, self.tokenizer, self.tree = net, headers, tokenizer, tree
        self.batch_tokens, self.max_rows, self.max_held_tokens = batch_tokens, max_rows, max_held_tokens
        self._waiting: deque[Stream] = deque()
        self._waited = 0
        self._batches: list[_Batch] = []
        self._lone: OneRow | None = None

    def add(self, job: Job) -> None:
        """Queues a job's streams."""
        self._waiting += [Stream(job, i, self.tokenizer) for i in range(job.n)]

    def clear(self) -> None:
        """Forgets every stream; after an error."""
        self._waiting.clear()
        self._batches = []

    def step(self) -> bool:
        """One token for every stream under way; returns whether anything is left to do."""
        with torch.inference_mode():
            if self._waiting:
                self._admit()
            for batch in self._batches:
                batch.forward(self.net, self._lone)
            self._batches = [batch for batch in self._batches if batch.streams]
        return bool(self._batches or self._waiting)

    def _admit(self) -> None:
        """Lets waiting streams in, if enough of them have gathered or waited long."""
        live = sum(len(batch.streams) for batch in self._batches)
        self._waited += 1
        if live and len(self._waiting) < _JOIN_SHARE * live and self._waited < _PATIENCE_STEPS:
            return
        self._waited = 0
        # Looked at anew for every batch, since a trainer may have put other weights in their place.
        self._lone = OneRow(self.net) if OneRow.fits(self.net) else None
        fits = self._take(live)
        while fits:
            chunk, fits = self._chunk(fits)
            new = self._begin(chunk)
            if self.tree and self._batches and new.streams:
                self._batches = [self._batches[0].joined(new)]
            elif new.streams:
                self._batches.append(new)

    def _take(self, live: int) -> list[Stream]:
        """Waiting streams that fit beside those under way."""
        held = sum(s.job.limit + len(s.job.prompt) for b in self._batches for s in b.streams)
        fits: list[Stream] = []
        while self._waiting and live + len(fits) < self.max_rows:
            job = self._waiting[0].job
            held += job.limit + len(job.prompt)
            if held > self.max_held_tokens and live + len(fits):
                break
            stream = self._waiting.popleft()
            if job.waiting():
                fits.append(stream)
        return fits

    def _chunk(self, streams: list[Stream]) -> tuple[list[Stream], list[Stream]]:
        """The first streams whose prompts one forward may read, and the others."""
        longest, prompts, job = 0, 0, None
        for i, stream in enumerate(streams):
            if stream.job is not job:
                job = stream.job
                longest, prompts = max(longest, len(job.prompt)), prompts + 1
                if i and (not self.tree or longest * prompts > self.batch_tokens):
                    return streams[:i], streams[i:]
        return streams, []

    def _begin(self, streams: Sequence[Stream]) -> _Batch:
        """Reads the prompts of `streams`, each once, and draws their first tokens."""
        number: dict[bytes, int] = {}
        rows = [number.setdefault(s.job.prompt.tobytes(), len(number)) for s in streams]
        prompts = [streams[rows.index(i)].job.prompt for i in range(len(number))]
        cache, logits_MV, own_MS = self._read(prompts)
        lengths_M = torch.tensor([len(prompt) for prompt in prompts], device=logits_MV.device)
        batch = _Batch(list(streams), rows, cache, lengths_M, own_MS, torch.zeros(0))
        batch.extend(logits_MV)
        return batch

    def _read(self, prompts: Sequence[Tokens]) -> tuple[KVCache, Tensor, Tensor | None]:
        """The prompts' cache, logits after each [M, V], and which slots are whose [M, S]; None when all are."""
        headers, device = self.headers, self.headers.device
        shortest = min(len(p) for p in prompts)
        common = min([shortest - 1, *(shared_length(prompts[0], p) for p in prompts[1:])])
        header = headers.known(prompts[0][:common]) if self.tree else 0
        if self.tree and len(prompts) > 1 and common >= headers.least_tokens:
            header = common
        cache = headers.get(prompts[0][:header]).expand(len(prompts)) if header else headers.new_cache()
        if self.tree:
            headers.saw(prompts[0])
        lengths = np.array([len(p) for p in prompts]) - header
        tokens_MR = np.zeros((len(prompts), int(lengths.max())), dtype=np.int64)
        for row, prompt in zip(tokens_MR, prompts, strict=True):
            row[: len(prompt) - header] = prompt[header:]
        at_M2 = torch.from_numpy(np.stack((np.arange(len(prompts)), lengths - 1), axis=1)).to(device)
        logits_MV = self.net(torch.from_numpy(tokens_MR).to(device), cache=cache, at=at_M2)
        if int(lengths.min()) == int(lengths.max()):
            return cache, logits_MV, None
        own_MR = np.arange(tokens_MR.shape[1]) < lengths[:, None]
        own_MS = np.concatenate((np.ones((len(prompts), header), dtype=bool), own_MR), axis=1)
        return cache, logits_MV, torch.from_numpy(own_MS).to(device)


@dataclass(eq=False)
class _Batch:
    """Streams decoded together.

    Attributes:
        rows: the row of each stream.
        length_B: tokens of each row so far, the newest not yet pushed left out.
        own_BS: which slots of the cache are the row's own; None when all are.
        newest_B: tokens to push next.
        drawing: how the streams draw; made anew when streams come or go.
    """

    streams: list[Stream]
    rows: list[int]
    cache: KVCache
    length_B: Tensor
    own_BS: Tensor | None
    newest_B: Tensor
    drawing: Drawing = field(init=False)

    def __post_init__(self) -> None:
        self._settle()

    def forward(self, net: Net, lone: OneRow | None) -> None:
        """Pushes the newest tokens and draws the next; a single row through `lone`, if there is such a way."""
        if lone is not None and len(self.length_B) == 1 and self.own_BS is None:
            self._forward_lone(lone)
            return
        tokens_B1 = self.newest_B[:, None]
        if self.own_BS is None:
            logits = net(tokens_B1, cache=self.cache)
        else:
            self.own_BS = F.pad(self.own_BS, (0, 1), value=True)
            mask = self.own_BS[:, None, None, :]
            logits = net(tokens_B1, cache=self.cache, mask=mask, positions_BT=self.length_B[:, None])
        self.length_B += 1
        self.extend(logits[:, 0])

    def extend(self, logits_BV: Tensor) -> None:
        """Draws every stream's next token."""
        uniform = [stream.uniforms[len(stream.tokens)] for stream in self.streams]
        uniform_N = torch.tensor(uniform, dtype=torch.float64, device=logits_BV.device)
        rows = None if self.rows == list(range(len(logits_BV))) else self.rows
        token_N, logprob_N = self.drawing.draw(logits_BV, uniform_N, rows)
        self._take(token_N.tolist(), logprob_N.tolist())

    def _forward_lone(self, lone: OneRow) -> None:
        logits_V = lone.step(int(self.newest_B), self.cache)
        self.length_B += 1
        if len(self.streams) > 1:
            self.extend(torch.from_numpy(logits_V)[None])
            return
        stream = self.streams[0]
        token, logprob = self.drawing.draw_one(logits_V, stream.uniforms[len(stream.tokens)])
        self._take([token], [logprob])

    def _take(self, tokens: Sequence[int], logprobs: Sequence[float]) -> None:
        """Hands every stream its token, and leaves out those that are done or that nobody waits for."""
        going: list[tuple[Stream, tuple[int, int]]] = []
        for stream, row, token, logprob in zip(self.streams, self.rows, tokens, logprobs, strict=True):
            if not stream.take(token, logprob) and stream.job.waiting():
                going.append((stream, (row, token)))
        keys = _placed(dict.fromkeys(key for _, key in going))
        places = {key: place for place, key in enumerate(keys)}
        num_streams, self.streams = len(self.streams), [stream for stream, _ in going]
        self.rows = [places[key] for _, key in going]
        self.newest_B = torch.tensor([token for _, token in keys], device=self.length_B.device)
        self._reorder([row for row, _ in keys])
        if 0 < len(self.streams) < num_streams:
            self._settle()

    def _reorder(self, rows: list[int]) -> None:
        num_rows = len(self.length_B)
        if rows == list(range(num_rows)) or not rows:
            return
        self.cache.reorder(rows)
        index = torch.tensor(rows, device=self.length_B.device)
        self.length_B = self.length_B[index]
        if self.own_BS is not None:
            self.own_BS = self.own_BS[index]
            if len(rows) < num_rows:
                self._trim(self.own_BS)

    def joined(self, other: _Batch) -> _Batch:
        """This batch's rows, then `other`'s."""
        size = max(self.cache.length, other.cache.length)
        own = torch.cat((self._own(size), other._own(size)))
        cache = self.cache.join(other.cache)
        length_B, newest_B = (
            torch.cat(pair) for pair in ((self.length_B, other.length_B), (self.newest_B, other.newest_B))
        )
        rows = self.rows + [len(self.length_B) + row for row in other.rows]
        streams = self.streams + other.streams
        return _Batch(streams, rows, cache, length_B, None if bool(own.all()) else own, newest_B)

    def _settle(self) -> None:
        hows = [s.job.how for s in self.streams]
        self.drawing = Drawing([how.temperature for how in hows], [how.top_p for how in hows], self.length_B.device)

    def _own(self, size: int) -> Tensor:
        """Which of `size` slots are whose, padded on the left as `KVCache.join` pads."""
        held = self.cache.length
        own = self.own_BS
        if own is None:
            own = torch.ones(len(self.length_B), held, dtype=torch.bool, device=self.length_B.device)
        return F.pad(own, (size - held, 0), value=False)

    def _trim(self, own_BS: Tensor) -> None:
        """Takes away slots that no row sees any more, where they are many or the rest is then seen by all."""
        seen_S = own_BS.any(0)
        kept = seen_S.nonzero()[:, 0]
        own_BS = own_BS[:, kept]
        is_all = bool(own_BS.all())
        if not is_all and len(kept) > _CROWDED * len(seen_S):
            return
        if len(kept) < len(seen_S):
            self.cache = self.cache.pick(kept)
        self.own_BS = None if is_all else own_BS


def _placed(keys: Collection[tuple[int, int]]) -> list[tuple[int, int]]:
    """`keys`, pairs of a row and the token drawn after it, in an order that leaves as many in their row's place as can.

    >>> _placed([(0, 7), (0, 8), (3, 7), (1, 5)])
    [(0, 7), (1, 5), (0, 8), (3, 7)]
    """
    staying: dict[int, tuple[int, int]] = {}
    for key in keys:
        if key[0] < len(keys):
            staying.setdefault(key[0], key)
    moving = (key for key in keys if staying.get(key[0]) != key)
    return [staying[place] if place in staying else next(moving) for place in range(len(keys))]
