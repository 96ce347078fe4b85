"""The prefix tree holds every path once, shows each token exactly its ancestors, and reads the right slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gnomon.models.prefix import Group, Path, Row, packed, plan, shared_length

words = st.lists(st.integers(0, 2), min_size=1, max_size=9)


@st.composite
def some_paths(draw: st.DrawFn) -> list[Path]:
    header = draw(st.lists(st.integers(0, 2), max_size=6))
    texts = draw(st.lists(words, min_size=1, max_size=8))
    firsts = [draw(st.integers(0, len(header) + len(t) - 1)) for t in texts]
    return [Path(np.array(header + t), f) for t, f in zip(texts, firsts, strict=True)]


def seen_by(row: Row, slot: int) -> list[int]:
    """Slots that `slot` sees, by the rule in the docstring of `Row`."""
    return [j for j in range(slot + 1) if slot < row.end[j]]


@given(some_paths(), st.integers(1, 30), st.integers(1, 4), st.booleans(), st.integers(0, 5))
def test_every_wanted_position_is_read_after_exactly_its_own_tokens(
    paths: list[Path], row_tokens: int, header_tokens: int, tree: bool, at_hand: int
) -> None:
    groups = plan(
        paths, row_tokens=row_tokens, header_tokens=header_tokens, known=lambda t: min(at_hand, len(t)), tree=tree
    )
    check(paths, groups)


@given(some_paths())
def test_packed_rows_read_every_wanted_position_too(paths: list[Path]) -> None:
    check(paths, [Group(np.zeros(0, np.int64), packed(paths))])


def check(paths: list[Path], groups: Sequence[Group]) -> None:
    """Whether every wanted position is read once, after exactly its own tokens."""
    found: dict[int, int] = {}
    for group in groups:
        for row in group.rows:
            for read in row.reads:
                path = paths[read.path]
                for position, slot in enumerate(read.slots, path.first):
                    ancestors = seen_by(row, int(slot))
                    text = [*group.header, *row.tokens[ancestors]]
                    assert text == path.tokens[: position + 1].tolist()
                    assert row.depth[ancestors].tolist() == list(range(len(group.header), position + 1))
                found[read.path] = found.get(read.path, 0) + len(read.slots)
    assert found == {i: len(p.tokens) - p.first for i, p in enumerate(paths)}


def test_packed_rows_are_long_where_much_is_shared_and_short_where_nothing_is() -> None:
    shared = packed([Path(np.array([*range(300), *[i] * 20]), 300) for i in range(8)])
    assert [len(row.tokens) for row in shared] == [300 + 8 * 20]
    apart = packed([Path(np.array([i] * 300), 200) for i in range(8)])
    assert [len(row.tokens) for row in apart] == [300] * 8


def test_rows_are_of_like_length() -> None:
    paths = [Path(np.array([*range(30), *[i] * 10]), 35) for i in range(11)]
    (group,) = plan(paths, row_tokens=120)
    assert [len(row.tokens) for row in group.rows] == [90, 80]


@given(some_paths(), st.sampled_from([9, 10_000]))
def test_a_row_holds_each_node_of_its_tree_once(paths: list[Path], row_tokens: int) -> None:
    for group in plan(paths, row_tokens=row_tokens):
        for row in group.rows:
            among = [paths[read.path].tokens for read in row.reads]
            nodes = {tuple(tokens[: i + 1].tolist()) for tokens in among for i in range(len(tokens))}
            assert len(row.tokens) == len(nodes)


def test_a_long_shared_beginning_becomes_a_header_and_nested_ones_too() -> None:
    stem, middle = list(range(40)), [list(range(100, 140)), list(range(200, 240))]
    paths = [Path(np.array([*stem, *m, *range(i * 10, i * 10 + 9)]), 85) for m in middle for i in range(30)]
    groups = plan(paths, row_tokens=64, header_tokens=32)
    assert sorted(len(g.header) for g in groups) == [80, 80]
    assert sum(len(r.tokens) for g in groups for r in g.rows) == 60 * 9


def test_a_header_never_holds_a_wanted_position() -> None:
    paths = [Path(np.array([*range(50), i, *range(20)]), 45) for i in range(60)]
    assert {len(g.header) for g in plan(paths, row_tokens=64)} == {45}


def test_shared_length() -> None:
    a, b = np.array([1, 2, 3]), np.array([1, 2, 4, 5])
    assert (shared_length(a, b), shared_length(a, a), shared_length(a, b[:2]), shared_length(a, a[:0])) == (2, 3, 2, 0)
