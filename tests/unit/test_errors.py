"""The error tree: messages, exit codes, pickling, and the nearest known word."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.core import errors
from gnomon.core.errors import (
    AbilityError,
    DataError,
    Diverged,
    DocumentError,
    GnomonError,
    InternalError,
    ModelError,
    RunError,
    Stopped,
    UsageError,
    closest,
)

TREE = [
    GnomonError, UsageError, DataError, DocumentError, ModelError, AbilityError, RunError, Diverged, InternalError,
    Stopped,
]  # fmt: skip


def test_exit_codes() -> None:
    codes = {kind.__name__: kind.exit_code for kind in TREE}
    assert codes == {
        "GnomonError": 4,
        "UsageError": 2,
        "DataError": 3,
        "DocumentError": 2,
        "ModelError": 3,
        "AbilityError": 3,
        "RunError": 4,
        "Diverged": 4,
        "InternalError": 3,
        "Stopped": 130,
    }
    assert issubclass(AbilityError, ModelError) and all(issubclass(kind, GnomonError) for kind in TREE)


def test_the_module_exports_the_whole_tree() -> None:
    assert set(errors.__all__) == {kind.__name__ for kind in TREE} | {"closest"}


@pytest.mark.parametrize(
    ("where", "todo", "message"),
    [
        ("", "", "it broke"),
        ("a.toml", "", "a.toml: it broke"),
        ("", "mend it", "it broke; mend it"),
        ("a.toml", "mend it", "a.toml: it broke; mend it"),
    ],
)
def test_a_message_has_three_parts(where: str, todo: str, message: str) -> None:
    assert str(DataError("it broke", where=where, todo=todo)) == message


@settings(deadline=None)
@given(st.sampled_from(TREE), st.text(), st.text(), st.text())
def test_errors_survive_pickling(kind: type[GnomonError], what: str, where: str, todo: str) -> None:
    error = kind(what, where=where, todo=todo)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (copy.what, copy.where, copy.todo, str(copy)) == (what, where, todo, str(error))


def test_closest_offers_the_nearest_or_lists_all() -> None:
    assert closest("sedd", ["temperature", "seed"]) == "did you mean 'seed'?"
    assert closest("zzz", iter(["b", "a"])) == "known: a, b"


@settings(deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1))
def test_a_known_word_is_its_own_nearest(known: list[str]) -> None:
    assert closest(known[0], known) == f"did you mean {known[0]!r}?"
