"""Names on the command line: found by listing, imported one at a time."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gnomon.core import registry
from gnomon.core.errors import UsageError

METHOD = """
from gnomon.core.registry import registered

@registered
class Config:
    pass
"""


@pytest.fixture
def verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A verb of its own, in a folder that joins the package."""
    folder = tmp_path / "gnomon" / "try_out"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "two_words.py").write_text(METHOD)
    (folder / "_hidden.py").write_text(METHOD)
    (folder / "empty.py").write_text("")
    (folder / "broken.py").write_text("1 / 0")
    gnomon = importlib.import_module("gnomon")
    monkeypatch.setattr(gnomon, "__path__", [*gnomon.__path__, str(folder.parent)])
    registry.names.cache_clear()
    yield "try_out"
    registry.names.cache_clear()
    for name in [m for m in sys.modules if m.startswith("gnomon.try_out")]:
        del sys.modules[name]


def test_names_are_listed_without_importing(verb: str) -> None:
    assert registry.names(verb) == {
        "two-words": "gnomon.try_out.two_words",
        "empty": "gnomon.try_out.empty",
        "broken": "gnomon.try_out.broken",
    }
    assert "gnomon.try_out.two_words" not in sys.modules


def test_a_method_is_the_class_its_module_registers(verb: str) -> None:
    found = registry.method(verb, "two-words")
    assert (found.__module__, found.__name__) == ("gnomon.try_out.two_words", "Config")


def test_unknown_names_offer_the_closest(verb: str) -> None:
    with pytest.raises(UsageError, match=r"no try_out is called 'two-word'; did you mean 'two-words'\?"):
        registry.method(verb, "two-word")


def test_a_module_that_registers_nothing_is_named(verb: str) -> None:
    with pytest.raises(UsageError, match=r"module gnomon.try_out.empty registers nothing"):
        registry.method(verb, "empty")


def test_a_verb_that_is_not_there_has_no_names() -> None:
    assert registry.names("no_such_verb") == {}


def test_entry_points_add_names(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    point = EntryPoint("far", "gnomon.try_out.two_words:Config", f"gnomon.{verb}")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == f"gnomon.{verb}" else [])
    assert registry.names(verb)["far"] == "gnomon.try_out.two_words"
    assert registry.method(verb, "far").__name__ == "Config"
