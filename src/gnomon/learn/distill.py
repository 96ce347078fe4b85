"""A prompt made part of a model: what the prompted teacher predicts, kept or computed, and the divergence from it.

Context distillation (Askell et al. 2021, arXiv 2112.00861, sec. 2.2): the loss at token t of a text x is
KL( p(. | C, x_<t) || q(. | x_<t) ), C the prompt, p the frozen teacher, q the student. The teacher has read C once; its
keys and values are shared by all texts. In both models a text is one row of equal columns, so nothing is shifted but
the teacher's positions.

Stored targets are the K likeliest tokens of every place with their log-probabilities, and one bucket for the rest.

Shapes: B rows, T columns, N places, K kept tokens, V vocabulary, D model width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gnomon.core.errors import DataError, ModelError
from gnomon.learn.batches import AnswerBatch, answer_batch
from gnomon.learn.texts import Encoded
from gnomon.models.cache import KVCache
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer
from gnomon.store.files import replace_file

__all__ = [
    "Stored",
    "Teacher",
    "Top",
    "begin_of",
    "bytes_per_token",
    "exact_kl",
    "logits_of",
    "read_prompt",
    "rows_of",
    "same_tokenizer",
    "top_kl",
]

# The bucket of the rest holds at least this much, so that its logarithm stays finite.
_FLOOR = 1e-8
_TEXTS_A_SHARD = 2048
_SMALL_IDS = 1 << 16


class Top(NamedTuple):
    """What is kept of a teacher's predictions.

    Attributes:
        logp_NK: the largest log-probabilities, in nats.
        ids_NK: whose they are, int64.
        rest_N: log of the probability of all other tokens together.
    """

    logp_NK: Tensor
    ids_NK: Tensor
    rest_N: Tensor

    @classmethod
    def of(cls, logits_NV: Tensor, k: int) -> Top:
        """The `k` likeliest tokens of each place; fewer where the vocabulary is smaller."""
        logp_NV = torch.log_softmax(logits_NV.float(), dim=-1)
        logp_NK, ids_NK = logp_NV.topk(min(k, logp_NV.shape[1]), dim=-1)
        return cls(logp_NK, ids_NK, _rest(logp_NK))


class Teacher:
    """A frozen model that has read a prompt.

    Attributes:
        net: the model; its weights do not change.
        prompt: token ids, the one that begins a text included; may be empty.
    """

    def __init__(self, net: Transformer, prompt: Sequence[int], *, begins: bool) -> None:
        """Reads the prompt, once.

        Args:
            net: left in evaluation mode, without gradients.
            prompt: token ids.
            begins: whether prompt and texts begin with the token that begins a text. The student predicts a
                text's first token from that token, the teacher from the prompt's last one.
        """
        self.net, self.prompt = net.eval().requires_grad_(False), list(prompt)
        self._last = self.prompt[-1] if begins else None
        read = self.prompt[:-1] if begins else self.prompt
        self._cache: KVCache | None = None
        if read:
            self._cache = KVCache(net.config.num_layers)
            with torch.no_grad():
                net.hidden(torch.tensor([read]), cache=self._cache)

    @torch.no_grad()
    def logits(self, batch: AnswerBatch) -> Tensor:
        """What it predicts [N, V] at the places of `batch`, whose texts follow the prompt."""
        tokens_BT = batch.tokens_BT
        if self._last is not None:
            tokens_BT = tokens_BT.clone()
            tokens_BT[:, 0] = self._last
        cache = None if self._cache is None else self._cache.expand(len(tokens_BT))
        h_ND = self.net.hidden(tokens_BT, cache=cache, at=batch.at_N2)
        return F.linear(h_ND, self.net.w_u).float()


class Stored:
    """A teacher's targets for texts, in a folder of safetensors shards.

    Attributes:
        folder: where they are.
        num_tokens: places in all.
        num_bytes: what the shards take.
        computed: shards that were not there before.
    """

    def __init__(
        self, root: Path, teacher: Teacher, texts: Sequence[Encoded], k: int, *, of: Mapping[str, str], batch: int
    ) -> None:
        """Computes what is not there yet; the same teacher, prompt, texts and `k` are the same folder below `root`.

        Args:
            root: holds a folder for each set of targets.
            teacher: asked in batches of texts of like length.
            texts: rows as `rows_of` makes them.
            k: tokens kept of each place.
            of: hashes of the teacher's weights and tokenizer and of the prompt, kept in every shard.
            batch: texts a forward.
        """
        self.k, self.computed = min(k, teacher.net.config.vocab_size), 0
        self.about = {**of, "k": str(self.k), "texts": _hash_of(texts)}
        self.folder = root / hashlib.blake2b(json.dumps(self.about).encode(), digest_size=6).hexdigest()
        self.folder.mkdir(parents=True, exist_ok=True)
        counts = [len(text.tokens) - text.start for text in texts]
        self.num_tokens, self._counts = sum(counts), counts
        for shard, begin in enumerate(range(0, len(texts), _TEXTS_A_SHARD)):
            if not self._path(shard).exists():
                self._write(shard, teacher, texts[begin : begin + _TEXTS_A_SHARD], batch)
                self.computed += 1
        self.num_bytes = sum(path.stat().st_size for path in self.folder.glob("*.safetensors"))
        self._starts = np.concatenate(
            [np.cumsum([0, *counts[b : b + _TEXTS_A_SHARD]])[:-1] for b in range(0, len(texts), _TEXTS_A_SHARD)]
        )

    def of(self, places: Sequence[int]) -> Top:
        """The targets of the texts at `places`, laid end to end.

        Raises:
            DataError: a shard is damaged or of another teacher.
        """
        found = [self._read(place) for place in places]
        logp, ids, rest = (np.concatenate(part) for part in zip(*found, strict=True))
        return Top(
            torch.from_numpy(logp).float(), torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(rest).float()
        )

    def _path(self, shard: int) -> Path:
        return self.folder / f"targets-{shard:05d}.safetensors"

    def _write(self, shard: int, teacher: Teacher, texts: Sequence[Encoded], batch: int) -> None:
        from safetensors.numpy import save

        kept: dict[int, Top] = {}
        for places in _by_length(texts, batch):
            rows = answer_batch([texts[i] for i in places])
            top = Top.of(teacher.logits(rows), self.k)
            sizes = rows.row_N.bincount().tolist()
            for i, *parts in zip(places, *(torch.split(part, sizes) for part in top), strict=True):
                kept[i] = Top(*parts)
        logp, ids, rest = (torch.cat([kept[i][part] for i in range(len(texts))]) for part in range(3))
        small = teacher.net.config.vocab_size <= _SMALL_IDS
        tensors = {
            "logp": logp.numpy().astype(np.float16),
            "ids": ids.numpy().astype(np.uint16 if small else np.uint32),
            "rest": rest.numpy().astype(np.float16),
        }
        replace_file(self._path(shard), save(tensors, metadata=self.about))

    def _read(self, place: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        from safetensors import SafetensorError, safe_open

        path = self._path(place // _TEXTS_A_SHARD)
        begin = int(self._starts[place])
        end = begin + self._counts[place]
        try:
            with safe_open(path, framework="np") as file:
                if file.metadata() != self.about:
                    raise DataError("the targets are of another teacher", where=str(path), todo="delete the folder")
                logp, ids, rest = (file.get_slice(name)[begin:end] for name in ("logp", "ids", "rest"))
                return logp, ids, rest
        except (SafetensorError, OSError) as error:
            raise DataError(f"not targets: {error}", where=str(path), todo="delete the file") from None


def exact_kl(teacher_NV: Tensor, student_NV: Tensor) -> Tensor:
    """KL(teacher || student) [N] of two sets of logits over the whole vocabulary, in nats and float32."""
    logp_NV, logq_NV = (torch.log_softmax(logits.float(), dim=-1) for logits in (teacher_NV, student_NV))
    return (logp_NV.exp() * (logp_NV - logq_NV)).sum(-1)


def top_kl(top: Top, student_NV: Tensor) -> Tensor:
    """KL [N] over the kept tokens and one bucket of all others, in nats and float32; a lower bound of the exact one.

    The teacher's side is made to sum to 1 again, which half precision broke.
    """
    logq_NK = torch.log_softmax(student_NV.float(), dim=-1).gather(1, top.ids_NK)
    logq_NK1 = torch.cat((logq_NK, _rest(logq_NK)[:, None]), dim=1)
    logp_NK1 = torch.log_softmax(torch.cat((top.logp_NK, top.rest_N[:, None]), dim=1).float(), dim=-1)
    return (logp_NK1.exp() * (logp_NK1 - logq_NK1)).sum(-1)


def logits_of(net: Transformer, batch: AnswerBatch) -> Tensor:
    """What `net` predicts [N, V] at the places of `batch`, whose texts follow nothing."""
    return F.linear(net.hidden(batch.tokens_BT, at=batch.at_N2), net.w_u).float()


def begin_of(tokenizer: Tokenizer) -> list[int]:
    """The token that the tokenizer puts before every text, in a list; empty where it puts none."""
    return tokenizer.encode("")[:1] if tokenizer.encode("")[:1] == [tokenizer.bos_id] else []


def read_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Token ids of a prompt as the tokenizer begins it; an end that the tokenizer adds is left out."""
    return [*begin_of(tokenizer), *tokenizer.encode(prompt, special=False)]


def rows_of(
    tokenizer: Tokenizer, prompt: str, texts: Sequence[str], *, end: int, limit: int
) -> tuple[list[Encoded], int]:
    """The texts as rows of token ids, as they are tokenised behind the prompt, and how many were cut.

    A row begins with the token that begins a text, where there is one, and ends with `end`; texts of more than `limit`
    tokens are cut on the right.

    Raises:
        DataError: the tokenizer merges the prompt's end with the beginning of a text.
    """
    ids = read_prompt(tokenizer, prompt)
    # The prompt's last words stand for all of it: what is merged across the joint is decided there.
    tail = prompt[prompt.rfind(" ", 0, max(0, len(prompt) - 64)) + 1 :]
    joint = tokenizer.encode_from([(tail + text, len(tail)) for text in texts], special=False)
    begin, rows, num_cut = begin_of(tokenizer), list[Encoded](), 0
    for text, (found, start) in zip(texts, joint, strict=True):
        if tail and (start == 0 or found[start - 1] != ids[-1]):
            shown = tokenizer.decode(found[max(0, start - 1) : start + 1], special=True)
            what = f"the tokenizer merges the end of the prompt with the beginning of {text[:20]!r} (into {shown!r})"
            raise DataError(what, where=tokenizer.name, todo="end the prompt with a line break")
        own = [*found[start:], end]
        num_cut += len(own) > limit
        rows.append(Encoded(np.array([*begin, *own[:limit]], np.int64), 1))
    return rows, num_cut


def bytes_per_token(k: int, vocab_size: int) -> int:
    """What a place takes: a half-precision log-probability and an id for each kept token, and the rest's.

    >>> bytes_per_token(50, 768), bytes_per_token(50, 100_000)
    (202, 302)
    """
    return min(k, vocab_size) * (2 + (2 if vocab_size <= _SMALL_IDS else 4)) + 2


def same_tokenizer(teacher: Tokenizer, student: Tokenizer) -> str:
    """The hash that both tokenizers have.

    Raises:
        ModelError: they differ; the message names both hashes.
    """
    found = [hashlib.blake2b(t.backend.to_str().encode(), digest_size=6).hexdigest() for t in (teacher, student)]
    if found[0] != found[1]:
        what = f"the teacher's tokenizer is {found[0]}, the student's {found[1]}"
        raise ModelError(
            what, where=teacher.name, todo="log-probabilities need one vocabulary: take models that share it"
        )
    return found[0]


def _rest(logs_NK: Tensor) -> Tensor:
    """Log of what probabilities leave of 1; at least the logarithm of the floor."""
    return (-torch.expm1(torch.logsumexp(logs_NK, dim=-1))).clamp(min=_FLOOR).log()


def _by_length(texts: Sequence[Encoded], batch: int) -> Iterator[list[int]]:
    order = sorted(range(len(texts)), key=lambda i: len(texts[i].tokens))
    for begin in range(0, len(order), batch):
        yield order[begin : begin + batch]


def _hash_of(texts: Sequence[Encoded]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for text in texts:
        digest.update(len(text.tokens).to_bytes(4, "little") + text.tokens.tobytes())
    return digest.hexdigest()
