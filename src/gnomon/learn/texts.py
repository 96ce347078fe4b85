"""Prompts and answers as token ids: tokenised together, ended by one token, cut on the left where too long.

A tokenizer may merge the end of a prompt with the beginning of its answer, so the two are never tokenised apart. An
answer begins at the first token that reaches into its characters; a token that holds both belongs to the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnomon.core.errors import DataError
from gnomon.models.base import Message, Prompt
from gnomon.models.tokenizer import Tokenizer

__all__ = ["Encoded", "Pair", "Texts", "encode", "fitted"]

_CHUNK = 4096


class Encoded(NamedTuple):
    """A prompt with its answer.

    Attributes:
        tokens: ids of the whole text, the token that ends it included, int64.
        start: place of the answer's first token; 1 or more.
    """

    tokens: NDArray[np.int64]
    start: int


class Pair(NamedTuple):
    """Two answers to one prompt."""

    chosen: Encoded
    rejected: Encoded


class Texts(NamedTuple):
    """Groups of texts that fit a context: single answers, or the two sides of a comparison.

    Attributes:
        groups: those that fit.
        places: which of the given groups they are.
        num_cut: groups that lost the beginning of their prompt.
        num_long: groups left out, because an answer alone fills the context.
    """

    groups: list[tuple[Encoded, ...]]
    places: list[int]
    num_cut: int
    num_long: int


def encode(tokenizer: Tokenizer, texts: Sequence[tuple[Prompt, str]], *, end: int | None) -> list[Encoded]:
    """Token ids of prompts with their answers, each ended by token `end`, or by no more than its own last token.

    Raises:
        DataError: a closed vocabulary lacks a word, or an answer has no tokens before it to be predicted from.
    """
    found: list[Encoded] = []
    for begin in range(0, len(texts), _CHUNK):
        rendered = [_rendered(tokenizer, prompt, answer) for prompt, answer in texts[begin : begin + _CHUNK]]
        for special in (True, False):
            places = [i for i, each in enumerate(rendered) if each.special == special]
            wholes = tokenizer.encode_from([(rendered[i].text, rendered[i].start) for i in places], special=special)
            for i, (ids, start) in zip(places, wholes, strict=True):
                rendered[i] = rendered[i]._replace(ids=ids, first=start)
        found += [_ended(tokenizer, each, end) for each in rendered]
    return found


def fitted(groups: Sequence[tuple[Encoded, ...]], limit: int, *, tokenizer: Tokenizer) -> Texts:
    """The groups cut to at most `limit` tokens a text, by taking away the oldest tokens of the prompt.

    All texts of a group lose the same tokens. The token that begins every text stays, and so does the last one of every
    prompt.

    Raises:
        DataError: nothing fits.
    """
    bos = tokenizer.bos_id
    kept: list[tuple[Encoded, ...]] = []
    places: list[int] = []
    num_cut = 0
    for place, group in enumerate(groups):
        excess = max(len(text.tokens) for text in group) - limit
        first = int(bos is not None and all(text.tokens[0] == bos for text in group))
        if excess > min(text.start for text in group) - first - 1:
            continue
        if excess > 0:
            num_cut += 1
            group = tuple(_without(text, first, excess) for text in group)
        kept.append(group)
        places.append(place)
    if groups and not kept:
        longest = max(len(text.tokens) for group in groups for text in group)
        what = f"none of {len(groups)} texts fits {limit} tokens; the longest has {longest}"
        raise DataError(what, where=tokenizer.name, todo="raise --context, or take a model with a longer one")
    return Texts(kept, places, num_cut, len(groups) - len(kept))


class _Rendered(NamedTuple):
    """A text, the character at which its answer begins, whether the tokenizer adds its special tokens; then ids."""

    text: str
    start: int
    special: bool
    ids: Sequence[int] = ()
    first: int = 0


def _rendered(tokenizer: Tokenizer, prompt: Prompt, answer: str) -> _Rendered:
    if isinstance(prompt, str):
        return _Rendered(prompt + answer, len(prompt), True)
    whole = tokenizer.chat([*prompt, Message("assistant", answer)])
    # Templates write the space before an answer themselves, or write none.
    before = tokenizer.chat(list(prompt))
    start = next((place for place, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before))
    return _Rendered(whole, start, tokenizer.chat_template is None)


def _ended(tokenizer: Tokenizer, each: _Rendered, end: int | None) -> Encoded:
    ids = list(each.ids)
    if ids and ids[-1] in tokenizer.eos_ids and ids[-1] != end:
        ids.pop()  # some tokenizers end every text themselves
    if end is not None and (not ids or ids[-1] != end):
        ids.append(end)
    start = each.first
    if start == 0 and tokenizer.bos_id is not None:
        ids, start = [tokenizer.bos_id, *ids], 1
    if start == 0:
        raise DataError(
            f"the answer {each.text[:40]!r} follows nothing, and the tokenizer has no token to begin a text with",
            where=tokenizer.name,
            todo="give a prompt",
        )
    return Encoded(np.array(ids, np.int64), start)


def _without(text: Encoded, first: int, count: int) -> Encoded:
    return Encoded(np.delete(text.tokens, slice(first, first + count)), text.start - count)
