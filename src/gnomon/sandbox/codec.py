"""Values as plain literals between judge and candidate: what is decoded is built here, of built-in types alone.

The text is JSON. Lists, texts, numbers, booleans and None stand for themselves; everything else is an object with one
key, its kind. A candidate's own classes cannot come through, so an answer cannot lie when it is compared.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice
from json.encoder import c_make_encoder, encode_basestring_ascii  # type: ignore[attr-defined]  # left out of its stub
from typing import Any

__all__ = ["Unreadable", "decode", "encode"]

_ATOMS = frozenset({type(None), bool, int, float, str})
_MOST_ITEMS = 2_000_000
# An iterator that goes on is cut off with an error here.
_MOST_DRAWN = 100_000
# In shorter texts there are too few integers to do harm by sharing a hash.
_SHORT = 20_000
# More integers with one hash than this are no accident: they make a set of them quadratic.
_MOST_COLLISIONS = 200
_MODULUS = (1 << 61) - 1
# Longer fractions and decimals take long to be brought into their form.
_MOST_BITS, _MOST_DIGITS = 1 << 14, 5000
_DECODER = json.JSONDecoder()
# What `json.dumps` is about, without what it does around: in a fresh fork that copies forty pages.
_PARTS = c_make_encoder(None, None, encode_basestring_ascii, None, ": ", ", ", False, False, True)


class Unreadable(ValueError):
    """A value that is no plain literal, or a text that is no encoded one."""


def encode(value: Any, function: Callable[[Any], int] | None = None) -> bytes:
    """`value` as text.

    Args:
        function: gives a function's number, by which the other side calls it; without it functions are refused.

    Raises:
        Unreadable: it holds something else than built-in values, itself, or too many of them.
    """
    kind = type(value)
    if kind in _ATOMS or (kind is list and _ATOMS.issuperset(map(type, value))):
        try:
            return "".join(_PARTS(value, 0)).encode()
        except ValueError:  # an integer too long to be written in decimals
            pass
    try:
        return "".join(_PARTS(_Plain(function).plain(value), 0)).encode()
    except RecursionError:
        raise Unreadable("an answer nested too deeply") from None


def decode(text: bytes, function: Callable[[int], Any] | None = None) -> Any:
    """The value that `text` encodes.

    Args:
        function: gives what stands for the other side's function of a number.

    Raises:
        Unreadable: the text is no encoded value.
    """
    if b"{" not in text and len(text) < _SHORT:
        return _simple(text)
    counted = Counter[int]()

    def integer(digits: str) -> int:
        return _counted(int(digits), counted)

    def built(record: dict[str, Any]) -> Any:
        if len(record) != 1:
            raise Unreadable("an object with several keys")
        kind, content = next(iter(record.items()))
        if kind == "f" and function is not None:
            return function(content)
        if kind == "i":
            return _counted(_BUILD["i"](content), counted)
        # Of a range or an iterator the others would draw more than was ever sent.
        if kind not in _BUILD or type(content) not in (list, str):
            raise Unreadable(f"a value of the unknown kind {kind!r}")
        return _BUILD[kind](content)

    return _loaded(text, object_hook=built, parse_int=integer if len(text) >= _SHORT else None)


def _simple(text: bytes) -> Any:
    """The value of a text without objects, as they mostly are."""
    try:
        said = text.decode()
        value, end = _DECODER.raw_decode(said)
    except RecursionError:
        raise Unreadable("an answer nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"no encoded value ({type(error).__name__})") from None
    if end < len(said):
        raise Unreadable("more behind a value")
    return value


def _loaded(text: bytes, **how: Any) -> Any:
    try:
        return json.JSONDecoder(**how).decode(text.decode())
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("an answer nested too deeply") from None
    except (ValueError, TypeError, AttributeError, ArithmeticError, MemoryError) as error:
        raise Unreadable(f"no encoded value ({type(error).__name__})") from None


class _Plain:
    """Turns values into what JSON holds, counting them."""

    def __init__(self, function: Callable[[Any], int] | None) -> None:
        self._function, self._left = function, _MOST_ITEMS

    def plain(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise Unreadable(f"an answer of more than {_MOST_ITEMS} values")
        kind = type(value)
        if kind is int:
            return value if -(1 << 62) < value < 1 << 62 else {"i": hex(value)}
        if kind in _ATOMS:
            return value
        if kind is list:
            return [self.plain(x) for x in value]
        if kind in _SEQUENCES:
            return {_SEQUENCES[kind]: [self.plain(x) for x in value]}
        if kind in _MAPPINGS:
            return {"d": [[self.plain(k), self.plain(v)] for k, v in value.items()]}
        if kind in _LITERALS:
            return _LITERALS[kind](value)
        return self._other(value, kind)

    def _other(self, value: Any, kind: type) -> Any:
        """What equals a built-in value: named tuples, members of enumerations, exact numbers, views."""
        if kind in _VIEWS:
            return {_VIEWS[kind]: [self.plain(x) for x in value]}
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return {"t": [self.plain(x) for x in tuple.__iter__(value)]}
        if issubclass(kind, int) and issubclass(kind, Enum):
            return self.plain(int.__add__(value, 0))
        if issubclass(kind, str) and issubclass(kind, Enum):
            return str.__str__(value)
        # by name, so that a candidate's process loads neither module
        if (kind.__module__, kind.__name__) == ("fractions", "Fraction"):
            return {"F": [self.plain(value.numerator), self.plain(value.denominator)]}
        if (kind.__module__, kind.__name__) == ("decimal", "Decimal"):
            return {"D": str(value)}
        if kind in _ITERATORS or isinstance(value, Iterator):
            drawn = [self.plain(x) for x in islice(value, _MOST_DRAWN + 1)]
            if len(drawn) > _MOST_DRAWN:
                raise Unreadable(f"an iterator of more than {_MOST_DRAWN} values")
            return {"g": drawn}
        if self._function is not None and callable(value):
            return {"f": self._function(value)}
        raise Unreadable(f"a {kind.__name__} is no plain value")


_SEQUENCES: dict[type, str] = {tuple: "t", set: "s", frozenset: "z", deque: "q"}
_MAPPINGS = (dict, Counter, OrderedDict, defaultdict)
_LITERALS: dict[type, Callable[[Any], Any]] = {
    complex: lambda v: {"c": [v.real, v.imag]},
    bytes: lambda v: {"b": v.hex()},
    bytearray: lambda v: {"y": v.hex()},
    range: lambda v: {"r": [v.start, v.stop, v.step]},
}
_VIEWS: dict[type, str] = {type({}.keys()): "k", type({}.values()): "v", type({}.items()): "m"}
_ITERATORS = (map, filter, zip, reversed, enumerate)


def _range(parts: list[Any]) -> Any:
    found = range(*parts)
    if len(found) > _MOST_ITEMS:
        raise Unreadable(f"a range of more than {_MOST_ITEMS} values")
    return found


def _fraction(parts: list[Any]) -> Any:
    from fractions import Fraction

    if max(part.bit_length() for part in parts) > _MOST_BITS:
        raise Unreadable("a fraction of too many digits")
    return Fraction(*parts)


def _decimal(text: str) -> Any:
    from decimal import Decimal

    if len(text) > _MOST_DIGITS:
        raise Unreadable("a decimal of too many digits")
    return Decimal(text)


_BUILD: dict[str, Callable[[Any], Any]] = {
    "F": _fraction,
    "D": _decimal,
    "i": lambda c: int(c, 16),
    "t": tuple,
    "s": set,
    "z": frozenset,
    "q": deque,
    "d": dict,
    "c": lambda c: complex(float(c[0]), float(c[1])),
    "b": bytes.fromhex,
    "y": bytearray.fromhex,
    "r": _range,
    "g": iter,
    "k": lambda c: dict.fromkeys(c).keys(),
    "v": lambda c: dict(enumerate(c)).values(),
    "m": lambda c: dict(c).items(),
}


def _counted(value: int, counted: Counter[int]) -> int:
    if not -_MODULUS < value < _MODULUS:
        residue = value % _MODULUS
        counted[residue] += 1
        if counted[residue] > _MOST_COLLISIONS:
            raise Unreadable("integers made to collide")
    return value
