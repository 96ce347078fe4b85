"""What a lenient server may read in text: numbers, truth values, nothing, lists, and what it takes for a format."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice, product
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import jsonschema_rs

__all__ = ["ABSENT", "MOST", "lenient_validator", "list_readings", "list_ways", "text_readings", "unescaped"]

ABSENT: Any = object()
"Stands for the reading that nothing was sent."

MOST = 512
"Combinations that are looked at; where there are more, some may be valid."

TRUE, FALSE = {"true", "1", "yes", "on", "t", "y"}, {"false", "0", "no", "off", "f", "n"}
NULL = {"", "null", "none", "nil", "~", "undefined"}
LAYOUTS = ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y", "%b %d %Y", "%b %d, %Y", "%d %b %Y", "%B %d %Y", "%B %d, %Y", "%d %B %Y")
"Dates that forms take besides ISO 8601, whose parts they take without leading zeros too."

DELIMITERS = (",", " ", "|", ";", "\t")
# NaN and the infinite compare with bounds as no other number does, so that they may pass for any; whole they are not.
UNBOUNDED = (0.5, -0.5, 1.5, 10.5, 1000.5, 1e6 + 0.5, -1e6 - 0.5)


def unescaped(text: str) -> list[str]:
    """A percent-encoded text as servers decode it: plus as a blank or itself, bad UTF-8 in their several ways."""
    found = [unquote_plus(text.replace("+", "%2B"), errors="replace"), unquote_plus(text, errors="replace")]
    return list(dict.fromkeys([*found, text]))


def text_readings(text: str) -> list[Any]:
    """The values that a text may be taken for, itself first.

    >>> text_readings("1")
    ['1', 1, True, 1.0]
    """
    bare = text.strip()
    found: list[Any] = [text, bare]
    with suppress(ValueError):
        found.append(int(bare))
    if bare.lower() in TRUE | FALSE:
        found.append(bare.lower() in TRUE)
    if bare.lower() in NULL:
        found += [None, ABSENT]
    with suppress(ValueError, OverflowError):
        number = float(bare)
        found += [number] if math.isfinite(number) else UNBOUNDED
        if number.is_integer():
            found.append(int(number))
    with suppress(ValueError, RecursionError):
        found.append(json.loads(bare))
    return _distinct(found)


def list_ways(texts: Sequence[str]) -> list[list[list[Any]]]:
    """The arrays that a name's texts may be taken for: all of them, or one of them split; each item as its readings."""
    ways = [list(texts)]
    for text in (*texts[:1], *texts[-1:]):
        ways += [text.split(mark) for mark in DELIMITERS if mark in text]
    ways += [[part for part in way if part] for way in ways if "" in way]
    return [[[value for value in text_readings(part) if value is not ABSENT] for part in way] for way in ways]


def list_readings(texts: Sequence[str]) -> list[Any] | None:
    """The arrays that a name's texts may be taken for; None if they are too many."""
    ways = list_ways(texts)
    if sum(math.prod(map(len, way)) for way in ways) > 2 * MOST:
        return None
    return [list(items) for way in ways for items in product(*way)]


def lenient_validator(schema: Any) -> jsonschema_rs.Draft202012Validator:
    """A judge that takes for a format what some library of servers takes for it."""
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True, formats=_checks(), offline=True)


def _distinct(values: Sequence[Any]) -> list[Any]:
    seen: dict[tuple[str, str], Any] = {}
    for value in values:
        seen.setdefault((type(value).__name__, repr(value)), value)
    return list(islice(seen.values(), MOST))


@lru_cache(maxsize=1)
def _checks() -> dict[str, Callable[[str], bool]]:
    return {name: _either(name, loose) for name, loose in LOOSE.items()}


def _either(name: str, loose: Callable[[str], object]) -> Callable[[str], bool]:
    strict = jsonschema_rs.Draft202012Validator({"format": name}, validate_formats=True)

    def check(text: str) -> bool:
        if strict.is_valid(text) and name not in UNKNOWN:
            return True
        try:
            return bool(loose(text))
        except (ValueError, OverflowError, binascii.Error):
            return False

    return check


def _moment(text: str) -> bool:
    bare = text.strip().upper().replace("Z", "+00:00")
    with suppress(ValueError):
        return math.isfinite(float(bare))
    for read in (dt.datetime.fromisoformat, dt.date.fromisoformat):
        with suppress(ValueError):
            return bool(read(bare))
    for layout in LAYOUTS:
        with suppress(ValueError):
            return bool(dt.datetime.strptime(bare, layout))
    return False


def _clock(text: str) -> bool:
    with suppress(ValueError):
        return math.isfinite(float(text))
    return bool(dt.time.fromisoformat(text.strip().upper().replace("Z", "+00:00")) is not None)


def _span(text: str) -> bool:
    """A number of seconds, [days] hours:minutes:seconds, or anything that begins as ISO 8601 has it."""
    bare = text.strip().upper().lstrip("+-")
    with suppress(ValueError):
        return math.isfinite(float(bare))
    return ":" in bare or (bare.startswith("P") and any(c.isdigit() for c in bare))


def _base64(text: str) -> bool:
    bare = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    return True


def _address(text: str) -> bool:
    local, _, host = text.strip().rpartition("@")
    return bool(local and host)


def _url(text: str) -> bool:
    return bool(urlsplit(text.strip()).scheme)


def _network(text: str) -> bool:
    return ipaddress.ip_address(text.strip().strip("[]")) is not None


LOOSE: Mapping[str, Callable[[str], object]] = {
    "date": _moment,
    "date-time": _moment,
    "time": _clock,
    "duration": _span,
    "uuid": lambda text: uuid.UUID(text.strip()),
    "email": _address,
    "idn-email": _address,
    "hostname": lambda text: text.strip() and not set(text) & set(" /?#@"),
    "idn-hostname": lambda text: text.strip() and not set(text) & set(" /?#@"),
    "ipv4": _network,
    "ipv6": _network,
    "uri": _url,
    "iri": _url,
    "uri-reference": lambda text: True,
    "iri-reference": lambda text: True,
    "byte": _base64,
    "base64": _base64,
}
UNKNOWN = {"byte", "base64"}
"Formats that the validator itself has no opinion on."
