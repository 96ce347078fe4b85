"""From a recorded function to a problem in HumanEval's form: what it needs of its file, docstring, tests."""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gnomon.grade.tracing.running import Recorded

__all__ = ["Unfit", "assertions", "literal", "problem_row"]

_SAME = """
import math

def same(ours, theirs):
    if isinstance(theirs, float) and isinstance(ours, (int, float)):
        return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(theirs, (list, tuple)):
        return type(ours) is type(theirs) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, dict):
        return isinstance(ours, dict) and ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in theirs)
    return ours == theirs

"""
_CONTAINERS: dict[type, str] = {list: "[{}]", tuple: "({})", set: "{{{}}}", frozenset: "frozenset([{}])"}


class Unfit(Exception):
    """Says why a function makes no problem."""


def problem_row(found: Recorded, project: Path) -> dict[str, str]:
    """The fields of a HumanEval row: task_id, prompt (what it needs, signature, docstring), canonical_solution,
    entry_point, test.

    Raises:
        Unfit: it cannot stand alone, says nothing of itself, or is too plain to ask for.
    """
    path = (project / found.file).resolve()
    if not path.is_relative_to(project.resolve()):
        raise Unfit("outside of the project")
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    named = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == found.name]
    node = next((n for n in named if n.lineno == found.line and not n.decorator_list), None)
    if node is None:
        raise Unfit("decorated or replaced")
    said, test = _docstring(node), assertions(found)
    lines = text.splitlines(keepends=True)
    head = "".join(lines[node.lineno - 1 : said.end_lineno])
    body = "".join(lines[said.end_lineno or 0 : node.end_lineno])
    needed = "\n".join(_needed(tree, node, lines, project))
    module = ".".join(Path(found.file).with_suffix("").parts)
    return {
        "task_id": f"{module}.{found.name}",
        "prompt": f"{needed}\n\n\n{head}".lstrip("\n"),
        "canonical_solution": body if body.endswith("\n") else f"{body}\n",
        "entry_point": found.name,
        "test": test,
    }


def assertions(found: Recorded) -> str:
    """`check(candidate)`, an assertion a recorded call; floats are compared closely.

    Raises:
        Unfit: there is one call, or one answer to all of them, or a value is no plain literal.
    """
    answers = {literal(answer) for _, _, answer in found.pairs}
    if len(found.pairs) < 2:
        raise Unfit("one call")
    if len(answers) < 2:
        raise Unfit("one answer")
    if all(args and literal(args[0]) == literal(answer) for args, _, answer in found.pairs):
        raise Unfit("returns its argument")
    close = any(_floats(answer) for _, _, answer in found.pairs)
    lines = []
    for args, kwargs, answer in found.pairs:
        call = f"candidate({', '.join([*map(literal, args), *_by_name(kwargs)])})"
        wanted = literal(answer)
        lines.append(f"    assert same({call}, {wanted})" if close else f"    assert {call} == {wanted}")
    return (_SAME if close else "") + "def check(candidate):\n" + "\n".join(lines) + "\n"


def literal(value: Any) -> str:
    """The value as Python source.

    Raises:
        Unfit: it is not made of built-in values alone.
    """
    kind = type(value)
    if kind is float and not math.isfinite(value):
        return f"float({str(value)!r})"
    if kind is complex:
        return f"complex({literal(value.real)}, {literal(value.imag)})"
    if kind in (type(None), bool, int, float, str, bytes, bytearray):
        return repr(value)
    if kind is dict:
        return f"{{{', '.join(f'{literal(k)}: {literal(v)}' for k, v in value.items())}}}"
    if kind not in _CONTAINERS:
        raise Unfit("values are not plain")
    parts = [literal(each) for each in value]
    if kind in (set, frozenset):
        parts.sort()
    if kind is set and not parts:
        return "set()"
    return _CONTAINERS[kind].format(", ".join(parts) + "," * (kind is tuple and len(parts) == 1))


def _by_name(kwargs: Mapping[str, Any]) -> Iterator[str]:
    for name, value in kwargs.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise Unfit("values are not plain")
        yield f"{name}={literal(value)}"


def _floats(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_floats, value.values()))
    return any(map(_floats, value)) if isinstance(value, list | tuple) else isinstance(value, float)


def _docstring(node: ast.FunctionDef) -> ast.stmt:
    """The statement that says what the function does; what follows it is the solution."""
    if not ast.get_docstring(node):
        raise Unfit("no docstring")
    said, *rest = node.body
    if not rest or (len(rest) == 1 and _is_plain(rest[0])):
        raise Unfit("returns its argument")
    if said.lineno == node.lineno or rest[0].lineno <= (said.end_lineno or 0):
        raise Unfit("written on one line")
    return said


def _is_plain(statement: ast.stmt) -> bool:
    """Whether a body is nothing but a getter: the return of a name, a field or a constant."""
    if isinstance(statement, ast.Pass):
        return True
    value = statement.value if isinstance(statement, ast.Return) else statement
    return isinstance(value, ast.Name | ast.Attribute | ast.Constant) or value is None


def _needed(tree: ast.Module, node: ast.FunctionDef, lines: Sequence[str], project: Path) -> list[str]:
    """The imports, constants, functions and classes of the file that the function needs, in the file's order."""
    bound = {name: statement for statement in tree.body for name in _binds(statement)}
    wanted, todo = set[str](), _loads(node)
    while todo:
        name = todo.pop()
        if name in bound and name not in wanted and bound[name] is not node:
            wanted.add(name)
            todo |= _loads(bound[name])
    found = []
    for statement in tree.body:
        names = wanted & set(_binds(statement))
        future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if names and isinstance(statement, ast.Import | ast.ImportFrom):
            found.append(_import(statement, names, project))
        elif future:
            found.append(ast.unparse(statement))
        elif names:
            first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
            found.append("".join(lines[first - 1 : statement.end_lineno]).rstrip("\n"))
    return found


def _import(statement: ast.Import | ast.ImportFrom, names: set[str], project: Path) -> str:
    """The import of those of its names that are wanted; Unfit where they are the project's own."""
    kept = [a for a in statement.names if (a.asname or a.name.partition(".")[0]) in names]
    roots = [a.name for a in kept] if isinstance(statement, ast.Import) else [statement.module or ""]
    own = any(_is_own(root.partition(".")[0], project) for root in roots)
    if own or (isinstance(statement, ast.ImportFrom) and statement.level):
        raise Unfit("needs other files of the project")
    return ast.unparse(type(statement)(**{**dict(ast.iter_fields(statement)), "names": kept}))


def _is_own(module: str, project: Path) -> bool:
    return any((at / module).is_dir() or (at / f"{module}.py").is_file() for at in (project, project / "src"))


def _binds(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return []


def _loads(node: ast.AST) -> set[str]:
    """Names that are read and, of a function, not its own."""
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    own: set[str] = set()
    if isinstance(node, ast.FunctionDef):
        given = [n.arg for n in ast.walk(node) if isinstance(n, ast.arg)]
        outer = {name for n in ast.walk(node) if isinstance(n, ast.Global) for name in n.names}
        own = {*given, *(n.id for n in names if isinstance(n.ctx, ast.Store))} - outer
    return {n.id for n in names} - own - _BUILT_IN


_BUILT_IN = frozenset(vars(builtins))
