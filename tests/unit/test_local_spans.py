"""Options are cut down to where they differ, never so far that two become one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from gnomon.core.errors import DataError, UsageError
from gnomon.models.cache import KVCache
from gnomon.models.spans import chosen, continuation, fork

tokens = st.lists(st.integers(0, 2), min_size=1, max_size=6).map(np.array)


def cut(*wholes: list[int]) -> tuple[list[int], list[list[int]]]:
    context, branches = fork([np.array(w) for w in wholes], [str(w) for w in wholes])
    return context.tolist(), [b.tolist() for b in branches]


def begins(a: np.ndarray, b: np.ndarray) -> bool:
    return len(a) <= len(b) and a.tolist() == b[: len(a)].tolist()


def test_letters_lose_what_surrounds_them() -> None:
    assert cut([9, 8, 1, 7], [9, 8, 2, 7], [9, 8, 3, 7]) == ([9, 8], [[1], [2], [3]])


def test_an_option_that_ends_where_another_goes_on_keeps_a_token() -> None:
    assert cut([9, 1], [9, 1, 2]) == ([9], [[1], [1, 2]])
    assert cut([9, 5, 1], [9, 1]) == ([9], [[5, 1], [1]])


def test_a_shared_ending_stays_where_it_tells_options_apart() -> None:
    # without the 7, [1] would begin [1, 2]
    assert cut([9, 1, 7], [9, 1, 2, 7], [9, 3, 7]) == ([9], [[1, 7], [1, 2, 7], [3, 7]])


@given(st.lists(tokens, min_size=2, max_size=5, unique_by=lambda t: tuple(t.tolist())))
def test_what_is_cut_away_is_shared_by_all(wholes: list[np.ndarray]) -> None:
    context, branches = fork(wholes, [str(i) for i in range(len(wholes))])
    ends = set()
    for whole, branch in zip(wholes, branches, strict=True):
        kept = np.concatenate((context, branch))
        assert len(branch) and whole[: len(kept)].tolist() == kept.tolist()
        ends.add(tuple(whole[len(kept) :].tolist()))
    assert len(ends) == 1
    if not any(begins(a, b) for a in wholes for b in wholes if a is not b):
        assert not any(begins(a, b) for a in branches for b in branches if a is not b)


@given(tokens, tokens)
def test_a_continuation_begins_where_the_whole_leaves_the_prompt(prompt: np.ndarray, more: np.ndarray) -> None:
    whole = np.concatenate((prompt, more))
    context, [branch] = continuation(whole, prompt)
    assert (context.tolist(), branch.tolist()) == (prompt.tolist(), more.tolist())
    merged = np.concatenate((prompt[:-1], [5], more))
    context, [branch] = continuation(merged, prompt)
    assert context.tolist() == prompt[:-1].tolist()


@given(st.lists(tokens, min_size=2, max_size=4, unique_by=lambda t: tuple(t.tolist())), st.integers(0, 9))
def test_probabilities_and_mass(branches: list[np.ndarray], seed: int) -> None:
    """The options under a known model: token t follows anything with probability (t + 1) / 6."""
    logps = [np.log((b + 1) / 6) for b in branches]
    choice = chosen(branches, logps)
    p = [math.exp(lp.sum()) for lp in logps]
    assert choice.p == pytest.approx([x / sum(p) for x in p])
    size = max(map(len, branches))
    texts = np.stack(np.meshgrid(*[range(3)] * size, indexing="ij"), -1).reshape(-1, size)
    union = sum(math.prod((t + 1) / 6 for t in text) for text in texts if any(begins(b, text) for b in branches))
    assert choice.mass == pytest.approx(union)


def test_options_that_cannot_be_told_apart() -> None:
    with pytest.raises(DataError, match=r"options 'a' and 'b' are the same tokens; make the options different"):
        fork([np.array([1, 2]), np.array([1, 2])], ["a", "b"])
    with pytest.raises(DataError, match="needs two options or more"):
        fork([np.array([1])], ["a"])


def held(rows: int, length: int, start: float) -> KVCache:
    cache = KVCache(1)
    values = torch.arange(start, start + rows * length).reshape(rows, 1, length, 1)
    cache.append(0, values, -values)
    cache.advance(length)
    return cache


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_joined_caches_end_together(short: int, long: int, rows: int) -> None:
    assume(short <= long)
    a, b = held(rows, short, 1.0), held(2, long, 100.0)
    for joined, first in ((a.join(b), 0), (b.join(a), 2)):
        new = torch.full((rows + 2, 1, 1, 1), 7.0)
        keys, values = joined.append(0, new, -new)
        assert keys.shape == (rows + 2, 1, long + 1, 1) and torch.equal(keys, -values)
        assert keys[first : first + rows, 0, long - short : long, 0].flatten().tolist() == [
            1.0 + i for i in range(rows * short)
        ]
    cut_off = b.pick(torch.tensor([long - 1]))
    assert cut_off.length == 1
    assert cut_off.append(0, new[:2], new[:2])[0][:, 0, 0, 0].tolist() == [100.0 + long - 1, 100.0 + 2 * long - 1]


@given(st.integers(1, 4), st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), max_size=4), st.booleans())
def test_rows_put_in_another_order_are_those_rows(rows: int, orders: list[list[int]], shared: bool) -> None:
    cache = held(rows, 3, 1.0)
    want = torch.arange(1.0, 1 + rows * 3).reshape(rows, 3)
    watching = cache.prefix(2)
    if shared:
        cache = cache.prefix(3)
    for step, drawn in enumerate(orders):
        order = [row % len(want) for row in drawn]
        cache.reorder(order)
        new = torch.full((len(order), 1, 1, 1), 100.0 + step)
        keys, values = cache.append(0, new, -new)
        cache.advance(1)
        want = torch.cat((want[order], new[:, :, 0, 0]), 1)
        assert torch.equal(keys[:, 0, :, 0], want) and torch.equal(values, -keys)
        assert cache.batch == len(order)
    seen = watching.append(0, new := torch.zeros(rows, 1, 1, 1), new)[0]
    assert seen[:, 0, :2, 0].tolist() == [[1.0 + 3 * row, 2.0 + 3 * row] for row in range(rows)]


def test_smeared_keys_do_not_join() -> None:
    cache = held(1, 2, 0.0)
    cache.tails[0] = torch.zeros(1)
    with pytest.raises(UsageError, match="smeared keys cannot decode rows that began apart"):
        cache.join(held(1, 2, 0.0))
