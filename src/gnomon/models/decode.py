"""Decoding many streams at once: prompts read once for all their streams, finished rows dropped, new ones let in.

Streams of all calls in flight share one batch. Rows differ in length, so each carries a mask of the slots that are its
own; where all rows are equally long there is none. A network that takes no masks gets a batch for each prompt instead.

Shapes: B rows, S slots of the cache, M prompts, R new tokens of a prompt, V vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gnomon.models.cache import KVCache
from gnomon.models.draws import Drawing
from gnomon.models.headers import Headers, Net
from gnomon.models.onerow import OneRow
from gnomon.models.prefix import Tokens, shared_length
from gnomon.models.streams import Job, Stream
from gnomon.models.tokenizer import Tokenizer

__all__ = ["Decoder"]

# Rows that are done are kept, as ballast, until they are this share of the batch: dropping them copies the cache.
_BALLAST = 0.25
# New streams join when they are this share of those under way, or have waited for so many steps: joining copies too.
_JOIN_SHARE, _PATIENCE_STEPS = 0.25, 16


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
            self._tidy()
        return bool(self._batches or self._waiting)

    def _admit(self) -> None:
        """Lets waiting streams in, if enough of them have gathered or waited long."""
        live = sum(batch.live for batch in self._batches)
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
            if self.tree and self._batches:
                self._batches = [self._batches[0].joined(new)]
            else:
                self._batches.append(new)

    def _take(self, live: int) -> list[Stream]:
        """Waiting streams that fit beside those under way."""
        held = sum(s.job.limit + len(s.job.prompt) for b in self._batches for s in b.streams if not s.is_done)
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
        if len(prompts) == 1:
            cache, logits_BV, own_BS = cache.expand(len(rows)), logits_MV.expand(len(rows), -1), None
        else:
            cache, logits_BV = cache.select(rows), logits_MV[rows]
            own_BS = None if own_MS is None else own_MS[rows]
        lengths = torch.tensor([len(s.job.prompt) for s in streams], device=logits_MV.device)
        batch = _Batch(list(streams), cache, lengths, own_BS, torch.zeros(0))
        batch.extend(logits_BV)
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

    def _tidy(self) -> None:
        """Drops streams that are done or that nobody waits for."""
        for batch in self._batches:
            batch.drop(_BALLAST)
        self._batches = [batch for batch in self._batches if batch.streams]


@dataclass(eq=False)
class _Batch:
    """Streams decoded together; row i of everything belongs to `streams[i]`.

    Attributes:
        length_B: tokens of each row so far, the newest not yet pushed left out.
        own_BS: which slots of the cache are the row's own; None when all are.
        newest_B: tokens to push next.
        drawing: how the rows draw; made anew when rows come or go.
    """

    streams: list[Stream]
    cache: KVCache
    length_B: Tensor
    own_BS: Tensor | None
    newest_B: Tensor
    drawing: Drawing = field(init=False)

    def __post_init__(self) -> None:
        self._settle()

    @property
    def live(self) -> int:
        """Streams that are not done."""
        return sum(not s.is_done for s in self.streams)

    def forward(self, net: Net, lone: OneRow | None) -> None:
        """Pushes the newest tokens and draws the next; a single row through `lone`, if there is such a way."""
        if lone is not None and len(self.streams) == 1 and self.own_BS is None:
            self._forward_lone(lone, self.streams[0])
            return
        tokens_B1 = self.newest_B[:, None]
        if self.own_BS is None:
            logits = net(tokens_B1, cache=self.cache)
        else:
            self.own_BS = torch.nn.functional.pad(self.own_BS, (0, 1), value=True)
            mask = self.own_BS[:, None, None, :]
            logits = net(tokens_B1, cache=self.cache, mask=mask, positions_BT=self.length_B[:, None])
        self.length_B += 1
        self.extend(logits[:, 0])

    def extend(self, logits_BV: Tensor) -> None:
        """Draws every row's next token; a row that is done gets one too, which nobody reads."""
        uniform = [0.0 if s.is_done else s.uniforms[len(s.tokens)] for s in self.streams]
        uniform_B = torch.tensor(uniform, dtype=torch.float64, device=logits_BV.device)
        self.newest_B, logprob_B = self.drawing.draw(logits_BV, uniform_B)
        for stream, token, logprob in zip(self.streams, self.newest_B.tolist(), logprob_B.tolist(), strict=True):
            if not stream.is_done:
                stream.take(token, logprob)

    def _forward_lone(self, lone: OneRow, stream: Stream) -> None:
        logits_V = lone.step(stream.tokens[-1], self.cache)
        token, logprob = self.drawing.draw_one(logits_V, stream.uniforms[len(stream.tokens)])
        self.length_B += 1
        self.newest_B.fill_(token)
        stream.take(token, logprob)

    def drop(self, ballast: float) -> None:
        """Leaves out rows that are done, when they are more than `ballast` of all."""
        for stream in self.streams:
            stream.is_done = stream.is_done or not stream.job.waiting()
        keep = [i for i, s in enumerate(self.streams) if not s.is_done]
        if len(keep) == len(self.streams) or (keep and len(self.streams) - len(keep) <= ballast * len(self.streams)):
            return
        self.streams = [self.streams[i] for i in keep]
        if not keep:
            return
        self._settle()
        rows = torch.tensor(keep, device=self.length_B.device)
        self.cache, self.length_B, self.newest_B = self.cache.select(rows), self.length_B[rows], self.newest_B[rows]
        if self.own_BS is not None:
            self.own_BS = self.own_BS[rows]
            self._trim(self.own_BS)

    def joined(self, other: _Batch) -> _Batch:
        """This batch's rows, then `other`'s."""
        size = max(self.cache.length, other.cache.length)
        own = torch.cat((self._own(size), other._own(size)))
        cache = self.cache.join(other.cache)
        length_B, newest_B = (
            torch.cat(pair) for pair in ((self.length_B, other.length_B), (self.newest_B, other.newest_B))
        )
        return _Batch(self.streams + other.streams, cache, length_B, None if bool(own.all()) else own, newest_B)

    def _settle(self) -> None:
        hows = [s.job.how for s in self.streams]
        self.drawing = Drawing([how.temperature for how in hows], [how.top_p for how in hows], self.length_B.device)

    def _own(self, size: int) -> Tensor:
        """Which of `size` slots are whose, padded on the left as `KVCache.join` pads."""
        held = self.cache.length
        own = self.own_BS
        if own is None:
            own = torch.ones(len(self.streams), held, dtype=torch.bool, device=self.length_B.device)
        return torch.nn.functional.pad(own, (size - held, 0), value=False)

    def _trim(self, own_BS: Tensor) -> None:
        """Cuts off the first slots that no row sees any more."""
        start = int(own_BS.any(0).int().argmax())
        own_BS = own_BS[:, start:]
        if start:
            self.cache = self.cache.suffix(start)
        self.own_BS = None if bool(own_BS.all()) else own_BS
