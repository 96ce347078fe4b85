"""What is unsafe in a program, and which of its imports nobody knows; read off its syntax, nothing is run.

The kinds are those of Chen et al. 2021, "Evaluating Large Language Models Trained on Code", appendix G.3 (RSA keys
below 2,048 bits, AES in ECB mode), and of the checks that linters make. A program can be unsafe in ways that are not
here, and a constant key of a test is flagged too.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Collection, Iterator

__all__ = ["flaws", "unknown_imports"]

LEAST_RSA_BITS = 2048
_WEAK_HASHES = frozenset({"md5", "sha1", "sha224", "sha256", "sha512"})
_SECRET_NAMES = ("password", "passwd", "token", "secret")
_GUESSABLE = frozenset({"random", "randint", "choice", "choices", "getrandbits", "randrange"})


def flaws(source: str) -> set[str] | None:
    """The kinds of unsafe code in `source`; None where it does not parse.

    >>> flaws("from Crypto.Cipher import AES\\ndef f(key): return AES.new(key, AES.MODE_ECB)")
    {'ECB mode'}
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: set[str] = set()
    for function, node in _inside(tree):
        if isinstance(node, ast.Call):
            found.update(kind for kind, unsafe in _CALLS.items() if unsafe(node, function))
        elif isinstance(node, ast.Attribute) and node.attr == "MODE_ECB":
            found.add("ECB mode")
    return found


def unknown_imports(source: str, known: Collection[str]) -> set[str]:
    """Top-level modules that `source` imports and neither the standard library nor `known` has; none where it does not
    parse.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    named: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            named.add(node.module.split(".")[0])
    return {name for name in named if name not in sys.stdlib_module_names and name not in known}


def _inside(tree: ast.AST, function: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every node with the name of the function around it."""
    yield function, tree
    if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef):
        function = tree.name
    for child in ast.iter_child_nodes(tree):
        yield from _inside(child, function)


def _name(call: ast.Call) -> str:
    """The last two names of what is called: "pickle.loads"."""
    names = []
    node: ast.expr = call.func
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        names.append(node.id)
    return ".".join(reversed(names[:2]))


def _given(call: ast.Call, name: str, place: int) -> object:
    """A constant argument by keyword or place; None where there is no such or it is computed."""
    values = [k.value for k in call.keywords if k.arg == name] or call.args[place : place + 1]
    return values[0].value if values and isinstance(values[0], ast.Constant) else None


def _short_rsa(call: ast.Call, function: str) -> bool:
    places = {"RSA.generate": ("bits", 0), "rsa.generate_private_key": ("key_size", 1), "rsa.newkeys": ("nbits", 0)}
    bits = _given(call, *places[_name(call)]) if _name(call) in places else None
    return isinstance(bits, int) and bits < LEAST_RSA_BITS


def _constant_key(call: ast.Call, function: str) -> bool:
    return _name(call) in ("AES.new", "algorithms.AES") and isinstance(_given(call, "key", 0), bytes | str)


def _weak_hash(call: ast.Call, function: str) -> bool:
    about = function.lower() + "".join(n.id.lower() for n in ast.walk(call) if isinstance(n, ast.Name))
    return _name(call).startswith("hashlib.") and _name(call)[8:] in _WEAK_HASHES and "passw" in about


def _guessable(call: ast.Call, function: str) -> bool:
    module, _, name = _name(call).partition(".")
    return module == "random" and name in _GUESSABLE and any(word in function.lower() for word in _SECRET_NAMES)


def _unsafe_yaml(call: ast.Call, function: str) -> bool:
    loader = [k.value for k in call.keywords if k.arg == "Loader"] or call.args[1:2]
    return _name(call) == "yaml.load" and not (loader and "Safe" in ast.unparse(loader[0]).replace("Unsafe", ""))


def _computed(call: ast.Call) -> bool:
    return bool(call.args) and not isinstance(call.args[0], ast.Constant)


_CALLS: dict[str, Callable[[ast.Call, str], bool]] = {
    "RSA key below 2048 bits": _short_rsa,
    "key in the code": _constant_key,
    "ECB mode": lambda call, _: _name(call) == "modes.ECB",
    "fast hash of a password": _weak_hash,
    "unpickled input": lambda call, _: _name(call) in ("pickle.loads", "pickle.load"),
    "evaluated input": lambda call, _: _name(call) in ("eval", "exec") and _computed(call),
    "shell": lambda call, _: _given(call, "shell", 99) is True or (_name(call) == "os.system" and _computed(call)),
    "certificate not checked": lambda call, _: _given(call, "verify", 99) is False,
    "tempfile.mktemp": lambda call, _: _name(call) == "tempfile.mktemp",
    "unsafe YAML": _unsafe_yaml,
    "guessable secret": _guessable,
}
