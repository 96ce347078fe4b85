"""The seed tree: a draw depends on its path alone."""

from __future__ import annotations

import itertools
import pickle
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.core.seeds import Seed

names = st.integers() | st.text()
paths = st.lists(names, max_size=4).map(tuple)


@settings(deadline=None)
@given(st.integers(), paths, paths)
def test_paths_join(root: int, a: tuple[str | int, ...], b: tuple[str | int, ...]) -> None:
    assert Seed(root).child(*a).child(*b) == Seed(root).child(*a, *b)
    assert Seed(root).child(*a).child(*b).value == Seed(root, a + b).value


@settings(deadline=None)
@given(st.integers(), paths)
def test_values_fit_in_63_bits(root: int, path: tuple[str | int, ...]) -> None:
    assert 0 <= Seed(root, path).value < 2**63


@settings(deadline=None)
@given(st.tuples(st.integers(), paths), st.tuples(st.integers(), paths))
def test_other_paths_have_other_values(
    a: tuple[int, tuple[str | int, ...]], b: tuple[int, tuple[str | int, ...]]
) -> None:
    assert (Seed(*a).value == Seed(*b).value) == (a == b)


def test_numbers_and_their_texts_are_different_children() -> None:
    assert Seed(0).child(1).value != Seed(0).child("1").value


def test_a_slash_in_a_name_is_not_a_step_of_the_path() -> None:
    values = [Seed(0).child(*path).value for path in (("a", "b"), ("a/sb",), ("a~1sb",), ("a~01sb",), ("a/b",))]
    assert len(set(values)) == 5


def test_draws_do_not_depend_on_other_draws() -> None:
    node = Seed(3).child("item", 7)
    alone = (node.random().random(), node.numpy().random())
    random.seed(1)
    Seed(3).child("item", 6).numpy().random(100)
    parent = Seed(3).random()
    parent.random()
    assert (node.random().random(), node.numpy().random()) == alone
    assert pickle.loads(pickle.dumps(node)).value == node.value


def test_values_never_change_between_versions() -> None:
    assert Seed(0).value == 4761921975702974394
    assert Seed(0).child("item", 3).value == 1310225168902435142


def test_siblings_look_independent() -> None:
    draws = [Seed(0).child("item", i).random().random() for i in range(2000)]
    assert abs(sum(draws) / len(draws) - 0.5) < 4 * (1 / 12 / 2000) ** 0.5
    pairs = [(a - 0.5) * (b - 0.5) for a, b in itertools.pairwise(draws)]
    assert abs(sum(pairs) / len(pairs)) < 4 / 12 / 2000**0.5
