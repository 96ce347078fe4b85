"""Files and functions a reader can hold in the head, and nothing left lying in them."""

from __future__ import annotations

import ast
import re

from tests.house.tree import ROOT, modules, python_files

MAX_FILE, MAX_FUNCTION = 400, 40
LEFT_LYING = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")


def test_files_are_short() -> None:
    lengths = {p.relative_to(ROOT): len(p.read_text(encoding="utf-8").splitlines()) for p in python_files()}
    assert {str(p): n for p, n in lengths.items() if n > MAX_FILE} == {}


def test_functions_are_short() -> None:
    """Docstrings are not counted: they are to say what there is to say."""
    found = {}
    for path in python_files():
        if path.is_relative_to(ROOT / "tests"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines(node) > MAX_FUNCTION:
                found[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = _lines(node)
    assert found == {}


def test_nothing_is_left_lying() -> None:
    found = []
    for module in modules():
        for number, line in enumerate((ROOT / module.path).read_text(encoding="utf-8").splitlines(), 1):
            if LEFT_LYING.search(line):
                found.append(f"{module.path}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


def test_library_code_never_prints() -> None:
    """stdout is the command line's; everything else returns or raises, and progress goes to stderr."""
    found = []
    for module in modules():
        if module.name.startswith("gnomon.cli"):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                if any(k.arg == "file" for k in node.keywords):
                    continue
                found.append(f"{module.path}:{node.lineno}")
    assert not found, "\n".join(found)


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    total = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None and first.end_lineno is not None:
        total -= first.end_lineno - first.lineno + 1
    return total
