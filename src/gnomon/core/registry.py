"""What can be named on the command line, found without importing it.

A method is a module of its verb's package (`gnomon/assay/self_knowledge` is `self-knowledge`), or an entry point
of an installed package in the group `gnomon.<verb>`. Looking a name up lists files; only the named one is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from functools import cache
from importlib.metadata import entry_points

from gnomon.core.errors import UsageError, closest

__all__ = ["method", "names", "registered"]

_METHOD = "__gnomon_method__"


def registered(kind: type) -> type:
    """Marks `kind` as what its module offers under its verb; used by `@evaluation` and its like."""
    module = importlib.import_module(kind.__module__)
    setattr(module, _METHOD, kind)
    return kind


@cache
def names(verb: str) -> dict[str, str]:
    """Method names of `verb` ("assay", "train", "explain"), each with the module that holds it."""
    found: dict[str, str] = {}
    spec = importlib.util.find_spec(f"gnomon.{verb}")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for info in pkgutil.iter_modules([place]):
            if not info.name.startswith("_"):
                found[info.name.replace("_", "-")] = f"gnomon.{verb}.{info.name}"
    for point in entry_points(group=f"gnomon.{verb}"):
        found.setdefault(point.name, point.value.split(":")[0])
    return found


def method(verb: str, name: str) -> type:
    """The config class registered as `name` under `verb`.

    Raises:
        UsageError: there is no such name; the message offers the closest one.
    """
    known = names(verb)
    if name not in known:
        raise UsageError(f"no {verb} is called {name!r}", todo=closest(name, known))
    module = importlib.import_module(known[name])
    kind = getattr(module, _METHOD, None)
    if kind is None:
        raise UsageError(f"module {known[name]} registers nothing", todo="decorate its config class")
    return kind  # type: ignore[no-any-return]  # set by `registered` alone
