"""The fields of a request's body, read strictly: what is wrong is named, and what was not understood is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from gnomon.serve.refusal import Refusal

__all__ = ["HARMLESS", "Fields", "array", "flag", "number", "object_", "parsed", "short", "text", "whole"]

T = TypeVar("T")
# They say who asks, or how the answer is billed, kept or delivered.
HARMLESS = {
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "parallel_tool_calls",
}


_DEEPEST = 64
_HALF = re.compile("[\ud800-\udfff]")


def parsed(body: bytes) -> object:
    """The JSON value of a body.

    Raises:
        Refusal: it is no JSON, is nested more than 64 deep, or holds text that no UTF-8 can carry.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        told = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise Refusal(f"the body is not valid JSON: {told}") from None
    if body.count(b"[") + body.count(b"{") > _DEEPEST and _is_deep(found, _DEEPEST):
        raise Refusal(f"the body is nested more than {_DEEPEST} deep")
    if b"\\u" in body and _HALF.search(json.dumps(found, ensure_ascii=False)):
        raise Refusal("the body holds half of a surrogate pair, which is no text")
    return found


def _is_deep(value: object, left: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left < 0 or any(_is_deep(each, left - 1) for each in inner if isinstance(each, dict | list))


class Fields:
    """The fields of an object; what has not been taken at the end was not understood. null counts as left out.

    Args:
        body: what was sent.
        where: its place in the request, such as "questions[0]"; "" for the whole body.

    Raises:
        Refusal: it is no object.
    """

    def __init__(self, body: object, where: str = "") -> None:
        if not isinstance(body, Mapping):
            raise Refusal(f"{where or 'the body'} is no JSON object", param=where or None)
        self._where = f"{where}." if where else ""
        self._left = {str(name): value for name, value in body.items() if value is not None}

    def take(self, name: str, read: Callable[[object], T]) -> T | None:
        """The field as `read` understands it; None where it is not given."""
        if name not in self._left:
            return None
        value = self._left.pop(name)
        place = self._where + name
        try:
            return read(value)
        except ValueError as error:
            raise Refusal(f"{place} is {short(value)}; give {error}", param=place) from None

    def need(self, name: str, read: Callable[[object], T]) -> T:
        """The field as `read` understands it; refused where it is not given."""
        found = self.take(name, read)
        if found is None:
            raise Refusal(f"{self._where.removesuffix('.') or 'the body'} has no {name}", param=self._where + name)
        return found

    def refuse_the_rest(
        self, harmless: Collection[str] = (), neutral: Mapping[str, tuple[object, ...]] | None = None
    ) -> None:
        """Refuses what was not taken.

        Args:
            harmless: names that change no answer.
            neutral: features that are not here, with the values that ask for none of them.
        """
        neutral = neutral or {}
        for name, value in self._left.items():
            place = self._where + name
            if name in harmless or value in neutral.get(name, ()):
                continue
            if name in neutral:
                raise Refusal(f"{place} is not supported; leave it out", param=place, code="unsupported_parameter")
            raise Refusal(f"unknown parameter {place!r}; leave it out", param=place, code="unknown_parameter")


def text(value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def object_(value: object) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise ValueError("an object")
    return value


def array(least: int, most: int) -> Callable[[object], list[Any]]:
    """A list of `least` to `most` things."""

    def read(value: object) -> list[Any]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ValueError(f"a list of {least} to {most}")
        return value

    return read


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def whole(least: int, most: int | None = None) -> Callable[[object], int]:
    """A whole number within bounds."""

    def read(value: object) -> int:
        if type(value) is not int or value < least or (most is not None and value > most):
            raise ValueError(f"a whole number, {least} or more" if most is None else f"{least} to {most}")
        return value

    return read


def number(least: float, most: float) -> Callable[[object], float]:
    """A number within bounds."""

    def read(value: object) -> float:
        if type(value) not in (int, float) or not least <= value <= most or math.isnan(value):  # type: ignore[arg-type,operator]
            raise ValueError(f"a number, {least} to {most}")
        return float(value)  # type: ignore[arg-type]  # an int or float

    return read


def short(value: object) -> str:
    """A value as it is shown in a message."""
    told = repr(value)
    return told if len(told) <= 60 else f"{told[:60]}…"
