"""Functions with one subtle fault: a constant one off, another comparison, another sign, another variable,
swapped arguments.

Whether such a fault changes an answer is for tests to say; some do not.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping

from gnomon.core.seeds import Seed

__all__ = ["mutants"]

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_SIGNS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
}


def mutants(source: str, entry: str, most: int, seed: Seed) -> list[str]:
    """At most `most` programs that differ from `source` in one place of its function `entry`, drawn from `seed`.

    Args:
        source: a program that parses.
        entry: a function of it.

    >>> mutants("def f(x):\\n    return x + 1\\n", "f", 9, Seed(0))
    ['def f(x):\\n    return x - 1', 'def f(x):\\n    return x + 2']
    """
    tree = ast.parse(source)
    given = _given(tree, entry)
    places = [
        (number, variant)
        for number, node in enumerate(_inside(tree, entry))
        for variant in range(len(list(_variants(node, given))))
    ]
    chosen = sorted(seed.random().sample(places, min(most, len(places))))
    found = []
    for number, variant in chosen:
        changed = copy.deepcopy(tree)
        list(_variants(_inside(changed, entry)[number], given))[variant]()
        found.append(ast.unparse(changed))
    return found


def _function(tree: ast.Module, entry: str) -> ast.FunctionDef:
    return next(n for n in reversed(tree.body) if isinstance(n, ast.FunctionDef) and n.name == entry)


def _given(tree: ast.Module, entry: str) -> dict[str, str]:
    """Each argument of the function with the one that is used in its place; none where there is one alone."""
    names = [a.arg for a in _function(tree, entry).args.args]
    return dict(zip(names, names[1:] + names[:1], strict=True)) if len(names) > 1 else {}


def _inside(tree: ast.Module, entry: str) -> list[ast.AST]:
    """What the body of the function is made of, without its docstring."""
    function = _function(tree, entry)
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return [node for statement in body for node in ast.walk(statement)]


def _variants(node: ast.AST, given: Mapping[str, str]) -> Iterator[Callable[[], None]]:
    """What can be changed at one node, each as what changes it in place; `given` as `_given` has it."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        value = node.value
        yield lambda: setattr(node, "value", value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        flag = node.value
        yield lambda: setattr(node, "value", not flag)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        comparison = _COMPARISONS[type(node.ops[0])]()
        yield lambda: node.ops.__setitem__(0, comparison)
    elif isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        sign = _SIGNS[type(node.op)]()
        yield lambda: setattr(node, "op", sign)
    elif isinstance(node, ast.Call) and len(node.args) > 1:
        yield node.args.reverse
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in given:
        yield lambda: setattr(node, "id", given[node.id])
    elif isinstance(node, ast.If):
        yield lambda: setattr(node, "test", ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield lambda: setattr(node, "op", other)
