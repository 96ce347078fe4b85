"""A config is a frozen dataclass; its fields are the flags, the TOML keys and the keyword arguments.

    @dataclass(frozen=True, kw_only=True)
    class Calibration:
        "How well stated probabilities match outcomes."

        n: int = 200
        "Items to ask."

`describe` reads names, types and help off the class; `build` makes one from parsed TOML, JSON or keywords and names
the key of whatever it refuses; `to_json` is its inverse; `digest` is a content hash that identifies a config.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import hashlib
import inspect
import itertools
import json
import textwrap
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from gnomon.core.errors import UsageError, closest

__all__ = ["Field", "above_zero", "build", "describe", "digest", "load_toml", "plain", "summary", "to_json"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a config.

    Attributes:
        name: as in Python and TOML (`max_tokens`).
        flag: as on the command line (`--max-tokens`).
        type: the resolved annotation.
        default: the value when nothing is given; `dataclasses.MISSING` for a required field.
        help: the string literal under the field, on one line; "" when there is none or no source to read it from.
    """

    name: str
    flag: str
    type: Any
    default: Any
    help: str

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is MISSING


def describe(cls: type) -> list[Field]:
    """The fields of config class `cls`, in order, inherited ones last; TypeError when it is not a dataclass."""
    return list(_described(cls))


def summary(cls: type) -> str:
    """The first line of the class's docstring; "" when it has none."""
    text = cls.__doc__ or ""
    if text.startswith(f"{cls.__name__}("):  # dataclass() writes the signature where no docstring is
        return ""
    return text.strip().split("\n")[0].strip()


def build(cls: type[T], mapping: Mapping[str, Any], where: str = "") -> T:
    """An instance of `cls` from parsed TOML, JSON or keyword arguments.

    Keys may be spelt with `-` or `_`. Lists become tuples, strings become paths where the field says so, a table
    becomes a nested config; nothing else is converted.

    Args:
        mapping: key to value; absent keys keep their defaults.
        where: the file or flag group named in errors.

    Raises:
        UsageError: an unknown key, a missing one, or a value of the wrong type.
    """
    fields = {f.name: f for f in describe(cls)}
    given: dict[str, Any] = {}
    for key, value in mapping.items():
        name = str(key).replace("-", "_")
        if name not in fields:
            raise UsageError(f"unknown key {key!r}", where=where, todo=closest(str(key), fields))
        if name in given:
            raise UsageError(f"{name!r} is given twice, once with '-' and once with '_'", where=where)
        given[name] = _coerce(fields[name].type, value, _join(where, name))
    lacking = [f.name for f in fields.values() if f.required and f.name not in given]
    if lacking:
        raise UsageError(f"no value for {', '.join(map(repr, lacking))}", where=where, todo="it has no default")
    return cls(**given)


def above_zero(config: Any, *names: str) -> None:
    """Raises `UsageError` for the first of these fields of `config` that is not above 0."""
    for name in names:
        if getattr(config, name) <= 0:
            raise UsageError(f"--{name.replace('_', '-')} is {getattr(config, name)}", todo="give more than 0")


def load_toml(path: str | Path) -> dict[str, Any]:
    """The parsed TOML file; UsageError when it cannot be read or parsed."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror}", where=str(path), todo="check --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not TOML: {error}", where=str(path)) from None


def to_json(cfg: Any) -> dict[str, Any]:
    """The config as JSON values, every field included; `build(type(cfg), to_json(cfg)) == cfg`."""
    found = plain(cfg)
    if not isinstance(found, dict):
        raise TypeError(f"{type(cfg).__name__} is not a config")
    return found


def digest(obj: Any) -> str:
    """Content hash, 32 hexadecimal digits: equal for equal JSON values, whatever the order of their keys.

    >>> digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
    True
    """
    text = json.dumps(plain(obj), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def plain(value: Any) -> Any:
    """`value` as JSON values: dataclasses become objects, sequences and sets arrays, paths and enums text.

    Raises:
        TypeError: it holds something that JSON cannot, such as a function or an array.
    """
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(v) for v in value), key=repr)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(v) for v in value]
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"JSON cannot hold a {type(value).__name__}: {value!r:.80}")


@cache
def _described(cls: type) -> tuple[Field, ...]:
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise TypeError(f"{cls!r} is not a dataclass")
    hints = typing.get_type_hints(cls)
    helps: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            helps.update(_helps(base))
    inherited = {f.name for base in cls.__mro__[1:] if dataclasses.is_dataclass(base) for f in dataclasses.fields(base)}
    return tuple(
        Field(
            name=f.name,
            flag="--" + f.name.replace("_", "-"),
            type=hints[f.name],
            default=f.default_factory() if f.default_factory is not MISSING else f.default,
            help=helps.get(f.name, ""),
        )
        for f in sorted(dataclasses.fields(cls), key=lambda f: f.name in inherited)
        if f.init
    )


def _helps(cls: type) -> dict[str, str]:
    """The string literals under the annotated fields of the class's source."""
    try:
        source = inspect.getsource(cls)
    except (OSError, TypeError):  # typed into an interpreter: there is no source to read
        return {}
    body = typing.cast(ast.ClassDef, ast.parse(textwrap.dedent(source)).body[0]).body
    found: dict[str, str] = {}
    for above, below in itertools.pairwise(body):
        if not (isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            found[above.target.id] = " ".join(below.value.value.split())
    return found


def _coerce(kind: Any, value: Any, where: str) -> Any:
    """`value` as type `kind`; UsageError that names `where` when it is not one."""
    if kind is Any:
        return value
    if hasattr(kind, "__supertype__"):
        return _coerce(kind.__supertype__, value, where)
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _coerce(typing.get_args(kind)[0], value, where)
    if origin in (Union, types.UnionType):
        return _coerce_union(kind, value, where)
    if origin is Literal:
        return _coerce_literal(kind, value, where)
    if origin is tuple or kind is tuple:
        return _coerce_tuple(kind, value, where)
    if isinstance(origin or kind, type) and issubclass(origin or kind, Mapping):
        return _coerce_mapping(kind, value, where)
    return _coerce_plain(kind, value, where)


def _coerce_plain(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        if isinstance(value, Mapping):
            return build(typing.cast(type, kind), value, where)
    elif kind is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        raise _refusal(kind, value, where)
    elif kind is int and isinstance(value, bool):
        raise _refusal(kind, value, where)
    elif kind is Path and isinstance(value, str):
        return Path(value)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        options = {member.value: member for member in kind}
        if value in options:
            return options[value]
    if not isinstance(value, kind):
        raise _refusal(kind, value, where)
    return value


def _coerce_union(kind: Any, value: Any, where: str) -> Any:
    """The first member of the union that takes the value as it is, else the first that converts it."""
    members = typing.get_args(kind)
    for member in members:
        if type(value) is member:
            return value
    for member in members:
        try:
            return _coerce(member, value, where)
        except UsageError as error:
            if len(members) == 2 and type(None) in members and member is not type(None):
                raise _refusal(kind, value, where) if error.what.startswith("expected") else error from None
    raise _refusal(kind, value, where)


def _coerce_literal(kind: Any, value: Any, where: str) -> Any:
    options = typing.get_args(kind)
    for option in options:
        if type(option) is type(value) and option == value:
            return option
    hint = closest(str(value), [str(o) for o in options])
    raise UsageError(f"{value!r} is none of its values", where=where, todo=hint)


def _coerce_tuple(kind: Any, value: Any, where: str) -> tuple[Any, ...]:
    members = typing.get_args(kind)
    if not isinstance(value, (list, tuple)):
        raise _refusal(kind, value, where)
    if not members:
        return tuple(value)
    if len(members) == 2 and members[1] is Ellipsis:
        members = (members[0],) * len(value)
    if len(members) != len(value):
        raise UsageError(f"expected {len(members)} values, got {len(value)}", where=where)
    return tuple(_coerce(m, v, f"{where}[{i}]") for i, (m, v) in enumerate(zip(members, value, strict=True)))


def _coerce_mapping(kind: Any, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _refusal(kind, value, where)
    _, member = typing.get_args(kind) or (str, Any)
    return {str(k): _coerce(member, v, _join(where, str(k))) for k, v in value.items()}


def _refusal(kind: Any, value: Any, where: str) -> UsageError:
    return UsageError(f"expected {_spelt(kind)}, got {type(value).__name__} {value!r:.60}", where=where)


def _spelt(kind: Any) -> str:
    """The type in words a user of TOML knows."""
    words = {int: "an integer", float: "a number", bool: "true or false", str: "text", Path: "a path", Any: "anything"}
    if hasattr(kind, "__supertype__"):
        return _spelt(kind.__supertype__)
    args = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is tuple or kind is tuple:
        return f"a list ({_spelt(args[0])} each)" if args else "a list"
    if origin in (Union, types.UnionType):
        return " or ".join(_spelt(a) for a in args if a is not type(None))
    if isinstance(origin or kind, type) and (issubclass(origin or kind, Mapping) or dataclasses.is_dataclass(kind)):
        return "a table"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of " + ", ".join(str(m.value) for m in kind)
    return words.get(kind, getattr(kind, "__name__", str(kind)))


def _join(where: str, name: str) -> str:
    """`file.toml: a.b` for nested keys."""
    if not where:
        return name
    return f"{where}.{name}" if not where.endswith((".toml", ".json")) else f"{where}: {name}"
