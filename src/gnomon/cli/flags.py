"""A config's fields as flags, and flags, TOML and defaults as a config; flags go before TOML, TOML before defaults."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gnomon.core.config import Field, build, describe, load_toml
from gnomon.core.errors import UsageError, closest

__all__ = ["Fresh", "Json", "MaxErrors", "Out", "Page", "Seed", "Settings", "Toml", "Workers", "configs", "with_fields"]

# what commands that leave a run have in common
Seed = Annotated[int | None, Parameter(help="Root of every random draw. [default: 0]")]
Workers = Annotated[int | None, Parameter(help="Processes; the rows are the same for any number. [default: 1]")]
MaxErrors = Annotated[float | None, Parameter(help="Largest share of items in error. [default: 0.01]")]
Toml = Annotated[str | None, Parameter(help="TOML file with these flags' names as keys.")]
Fresh = Annotated[bool, Parameter(help="Forget an earlier run of this command.", negative="", show_default=False)]
Json = Annotated[str | None, Parameter(help="Write the numbers to this file; - is stdout.")]
Page = Annotated[str | None, Parameter(help="Write the page to this file too.")]
Out = Annotated[Path | None, Parameter(help="Folder of runs. [default: runs]")]

_SCALARS = (str, int, float, bool, Path)


class Settings(typing.NamedTuple):
    """What the user set: flags by parameter name, and the parsed `--config` file with its path."""

    flags: Mapping[str, Any]
    toml: Mapping[str, Any]
    path: str

    @classmethod
    def of(cls, given: Mapping[str, Any], path: str | None) -> Settings:
        """The flags that were given, and the file at `path`; UsageError when it cannot be read."""
        flags = {k: v for k, v in given.items() if v is not None}
        toml = {k.replace("-", "_"): v for k, v in load_toml(path).items()} if path else {}
        return cls(flags, toml, path or "")

    def take(self, name: str, kind: type, default: Any) -> Any:
        """A setting of the command itself, such as the seed: flag, else TOML, else `default`."""
        if name in self.flags:
            return self.flags[name]
        value = self.toml.get(name, default)
        if type(value) is int and kind is float:
            return float(value)
        if value is not None and type(value) is not kind:
            raise UsageError(f"{name} is {value!r}", where=self.path, todo=f"give {kind.__name__}")
        return value


def with_fields(command: Callable[..., int], kinds: Mapping[str, type]) -> Callable[..., int]:
    """`command` with a keyword parameter for every field of `kinds` (method name to config class).

    A field that several methods have is one flag for all of them. Fields that flags cannot hold (tables) are left to
    TOML.
    """
    base = inspect.signature(command, eval_str=True)
    own = [p for p in base.parameters.values() if p.kind is not p.VAR_KEYWORD]
    taken = {p.name for p in own}
    fields: dict[str, inspect.Parameter] = {}
    for name, kind in kinds.items():
        for field in describe(kind):
            if field.name in taken:
                raise UsageError(f"setting {field.name!r} of {name} is a flag of the command", todo="rename the field")
            parameter = _parameter(field, name)
            if parameter is not None:
                fields.setdefault(field.name, parameter)

    def wrapped(*args: Any, **kwargs: Any) -> int:
        return command(*args, **kwargs)

    parameters = [*own, *fields.values()]
    wrapped.__signature__ = base.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect's own hook
    wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
    wrapped.__doc__, wrapped.__name__ = command.__doc__, command.__name__
    return wrapped


def configs(kinds: Mapping[str, type], settings: Settings, own: Sequence[str]) -> dict[str, Any]:
    """A config for each method of `kinds`.

    A TOML file holds the names of flags, and a table for each method where methods differ:

        n = 100
        [self-knowledge]
        n = 400

    Args:
        own: settings of the command itself, which are no method's.

    Raises:
        UsageError: a key or flag that no method has, or a value of the wrong type.
    """
    fields = {name: {f.name: f for f in describe(kind)} for name, kind in kinds.items()}
    everyone = {f for some in fields.values() for f in some}
    tables = {name.replace("-", "_") for name in kinds}
    for key in settings.toml:
        if key not in everyone and key not in own and key not in tables:
            raise UsageError(f"unknown key {key!r}", where=settings.path, todo=closest(key, {*everyone, *own, *tables}))
    made: dict[str, Any] = {}
    for name, kind in kinds.items():
        top = {k: v for k, v in settings.toml.items() if k in fields[name]}
        table = settings.toml.get(name.replace("-", "_"), {})
        if not isinstance(table, Mapping):
            raise UsageError(f"{name} is {table!r}", where=settings.path, todo=f"write a table [{name}]")
        flags = {k: _split(fields[name][k], v) for k, v in settings.flags.items() if k in fields[name]}
        # Cyclopts has checked the flags, so what is still refused comes from the file.
        made[name] = build(kind, {**top, **table, **flags}, settings.path or name)
    return made


def _parameter(field: Field, method: str) -> inspect.Parameter | None:
    from cyclopts import Group

    kind = _flag_type(field.type)
    if kind is None:
        return None
    default = _shown(field)
    said = Parameter(
        name=field.flag,
        help=field.help + _choices(field.type),
        group=Group(f"{method} settings"),
        show_default=(lambda _: default) if default else False,
        negative="" if typing.get_origin(kind) is list else None,
        required=False,
    )
    annotation = Annotated[kind | None, said]  # type: ignore[valid-type]  # built at run time
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _flag_type(kind: Any) -> Any:
    """What Cyclopts parses for a field of type `kind`; None where a flag cannot hold it."""
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return _flag_type(args[0])
    if origin in (typing.Union, types.UnionType):
        members = [a for a in args if a is not type(None)]
        return _flag_type(members[0]) if len(members) == 1 else None
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return list[str]
    return kind if kind in _SCALARS or origin is Literal else None


def _choices(kind: Any) -> str:
    """What the elements of a list may be; Cyclopts says it of single values only."""
    elements = [a for a in typing.get_args(_bare(kind)) if typing.get_origin(a) is Literal]
    if typing.get_origin(_bare(kind)) is not tuple or not elements:
        return ""
    return f" [choices, with commas: {', '.join(map(str, typing.get_args(elements[0])))}]"


def _shown(field: Field) -> str:
    value = field.default
    if value is MISSING:
        return "none; must be given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", ()):
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _split(field: Field, value: Any) -> Any:
    """`--only a,b --only c` as ("a", "b", "c"), in the element's type."""
    if not isinstance(value, list):
        return value
    words = [word.strip() for part in value for word in part.split(",") if word.strip()]
    element = next((a for a in typing.get_args(_bare(field.type)) if a is not Ellipsis), str)
    if element not in (int, float):
        return words
    try:
        return [element(word) for word in words]
    except ValueError:
        raise UsageError(f"{','.join(value)!r} is not a list of numbers", where=field.flag, todo="give 1,2,3") from None


def _bare(kind: Any) -> Any:
    args = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(a for a in args if a is not type(None))
    return kind
