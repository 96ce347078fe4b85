"""Every public name is listed and says what it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.tree import Module, modules

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public() -> list[Module]:
    """Modules that no part of whose name is private."""
    return [m for m in modules() if not any(part.startswith("_") for part in m.name.split("."))]


def test_all_lists_what_is_public() -> None:
    """`__all__` holds each public class and function defined in the module, and nothing that is not there.

    Constants, type aliases and names from elsewhere are public when it lists them.
    """
    found = []
    for module in public():
        listed = _all(module.tree)
        if listed is None:
            if list(_bound(module.tree.body)):
                found.append(f"{module.path}: no __all__")
            continue
        if list(listed) != sorted(set(listed), key=_order):
            found.append(f"{module.path}: __all__ is not sorted")
        defined = {n.name for n in module.tree.body if isinstance(n, Definition) and not n.name.startswith("_")}
        found += [f"{module.path}: {name} is public and not in __all__" for name in sorted(defined - set(listed))]
        missing = set(listed) - set(_bound(module.tree.body))
        found += [f"{module.path}: __all__ lists {name}, which is not there" for name in sorted(missing)]
    assert not found, "\n".join(found)


def test_every_public_name_is_documented() -> None:
    found = []
    for module in modules():
        if ast.get_docstring(module.tree) is None:
            found.append(f"{module.path}: the module")
        found += [f"{module.path}:{node.lineno}: {name}" for name, node in _undocumented(module.tree.body)]
    assert not found, "\n".join(found)


def _undocumented(body: list[ast.stmt], inside: str = "") -> Iterator[tuple[str, Definition]]:
    for node in body:
        if not isinstance(node, Definition) or node.name.startswith("_") or _is_overload(node):
            continue
        name = f"{inside}{node.name}"
        if ast.get_docstring(node) is None:
            yield name, node
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node.body, f"{name}.")


def _is_overload(node: Definition) -> bool:
    """A second face of a documented function: an overload, or the setter of a property."""
    names = {ast.unparse(d).split(".")[-1] for d in node.decorator_list}
    return bool(names & {"overload", "setter"})


def _all(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]:
            return [str(name) for name in ast.literal_eval(node.value)]
    return None


def _order(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions, as the linter sorts them."""
    bare = name.strip("_")
    return (0 if bare.isupper() else 1 if bare[:1].isupper() else 2), name


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    """Names that a module's top level binds, in either branch of an `if` or `try`."""
    for node in body:
        if isinstance(node, Definition):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((a.asname or a.name).split(".")[0] for a in node.names)
        elif isinstance(node, ast.Assign):
            yield from (n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.If):
            yield from _bound([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _bound(node.body)
