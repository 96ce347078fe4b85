"""The language of blocks: brackets match, copied lines were said before, and fresh tokens cost what they should."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gnomon.core.errors import UsageError
from gnomon.data.worlds.blocks import Blocks
from gnomon.data.worlds.copies import Copies

TAB, IS, OPEN, CLOSE, NEXT = range(60, 65)


def _lines(tokens: list[int]) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for token in tokens:
        if token == NEXT:
            found.append([])
        else:
            found[-1].append(token)
    return found[:-1]


def test_a_number_gives_the_same_document_in_any_company() -> None:
    language = Blocks()
    alone, together = language.documents([7], 128), language.documents([3, 7, 1 << 40], 128)
    assert (alone.tokens[0] == together.tokens[1]).all() and (alone.is_copy[0] == together.is_copy[1]).all()
    assert np.array_equal(alone.floor[0], together.floor[1], equal_nan=True)
    assert len({tuple(row) for row in together.tokens.tolist()}) == 3
    assert language.words == Copies().words


def test_every_line_is_as_deep_as_its_block() -> None:
    for row in Blocks().documents(range(50), 200).tokens.tolist():
        depth = 1
        assert row[0] == 0
        for line in _lines(row[1:]):
            tabs = next(i for i, token in enumerate(line) if token != TAB)
            assert line.count(TAB) == tabs == depth - (line[tabs] == CLOSE)
            rest = line[tabs:]
            assert (rest == [CLOSE] and depth > 1) or rest[1:] == [OPEN] or (rest[1] == IS and len(rest) == 3)
            depth += (rest[1:] == [OPEN]) - (rest == [CLOSE])
            assert 1 <= depth <= 3


def test_copied_lines_were_said_before_and_none_are_without_copies() -> None:
    made = Blocks(copy_rate=0.4).documents(range(20), 200)
    assert 0.2 < made.is_copy.mean() < 0.9
    for tokens, is_copy in zip(made.tokens.tolist(), made.is_copy.tolist(), strict=True):
        said: set[tuple[int, ...]] = set()
        begin = 1
        for place, token in enumerate(tokens):
            if token == NEXT:
                line = tuple(t for t in tokens[begin:place] if t != TAB)
                assert not is_copy[place] or line in said
                said.add(line)
                begin = place + 1
    assert not Blocks(copy_rate=0.0).documents(range(3), 200).is_copy.any()


def test_fresh_tokens_cost_what_counting_says() -> None:
    made = Blocks(copy_rate=0.0).documents(range(400), 128)
    floor = made.floor[:, 1:]
    assert np.isfinite(floor).all() and floor.min() == 0
    after_open = {}
    for row, cost in zip(made.tokens.tolist(), made.floor.tolist(), strict=True):
        # The first key of a document, drawn from the list of the outermost block.
        after_open[row[2]] = [*after_open.get(row[2], []), cost[2]]
    for costs in after_open.values():
        assert len(set(costs)) == 1
        assert math.exp(-costs[0]) == pytest.approx(len(costs) / 400, abs=0.08)


def test_what_is_no_language_is_refused() -> None:
    with pytest.raises(UsageError, match="copy_rate is 2"):
        Blocks(copy_rate=2)
    with pytest.raises(UsageError, match="8 choices"):
        Blocks(vocabulary=10)
