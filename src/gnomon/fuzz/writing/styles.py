"""How OpenAPI writes a value into a URL, a header or a cookie (OpenAPI 3.1, sec. 4.8.12.2 to 4.8.12.4).

Text is percent-encoded as UTF-8; a lone surrogate, which UTF-8 does not have, is encoded as its three bytes, since that
is what a careless client sends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from gnomon.fuzz.base import Parameter

__all__ = ["as_text", "header_value", "path_segment", "percent", "query_pairs"]

_EXACT = 2**53
_RESERVED = ":/?#[]@!$'()*,;"
_DELIMITERS = {"spaceDelimited": " ", "pipeDelimited": "|", "tabDelimited": "\t", "form": ","}


def as_text(value: Any) -> str:
    """A JSON value as a client writes it where only text can stand: true, null, 1.5; compound values as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)  # 1.0 is the integer 1 in JSON Schema, and no integer as text
    return json.dumps(value)


def percent(text: str, safe: str = "") -> str:
    """Percent-encoded; a segment of dots too, which clients would resolve."""
    if text in (".", ".."):
        return text.replace(".", "%2E")
    return quote(text.encode("utf-8", "surrogatepass"), safe=safe)


def path_segment(parameter: Parameter, value: Any) -> str:
    """What stands in the path for {name}: styles simple, label and matrix."""
    if parameter.media_type:
        return percent(_document(value))
    name, explode = percent(parameter.name), parameter.explode
    if parameter.style == "label":
        return "." + _joined(value, "." if explode else ",", explode)
    if parameter.style == "matrix":
        return _matrix(name, value, explode)
    return _joined(value, ",", explode)


def header_value(parameter: Parameter, value: Any) -> str:
    """What a header or a cookie holds: style simple, not encoded."""
    if parameter.media_type:
        return _document(value)
    if isinstance(value, Mapping):
        return ",".join(_flat(value, "=" if parameter.explode else ","))
    return ",".join(as_text(each) for each in value) if _is_array(value) else as_text(value)


def query_pairs(parameter: Parameter, value: Any) -> list[tuple[str, str]]:
    """Names and values of the query, encoded: styles form, spaceDelimited, pipeDelimited and deepObject, and
    tabDelimited for what Swagger 2.0 calls tsv.

    An empty array or object of the exploding styles writes nothing.
    """
    name, safe = percent(parameter.name), _RESERVED if parameter.reserved else ""
    if parameter.media_type:
        return [(name, percent(_document(value), safe))]
    if isinstance(value, Mapping):
        return _object_pairs(parameter, value, name, safe)
    if _is_array(value):
        if parameter.explode:
            return [(name, percent(as_text(each), safe)) for each in value]
        delimiter = percent(_DELIMITERS.get(parameter.style, ","), safe=",")
        return [(name, delimiter.join(percent(as_text(each), safe) for each in value))]
    return [(name, percent(as_text(value), safe))]


def _object_pairs(parameter: Parameter, value: Mapping[str, Any], name: str, safe: str) -> list[tuple[str, str]]:
    if parameter.style == "deepObject":
        return [(f"{name}%5B{percent(key)}%5D", percent(as_text(each), safe)) for key, each in value.items()]
    if parameter.explode:
        return [(percent(key), percent(as_text(each), safe)) for key, each in value.items()]
    return [(name, ",".join(percent(each, safe) for each in _flat(value, ",")))]


def _matrix(name: str, value: Any, explode: bool) -> str:
    if explode and _is_array(value):
        return "".join(f";{name}={percent(as_text(each))}" for each in value)
    if explode and isinstance(value, Mapping):
        return "".join(f";{percent(key)}={percent(as_text(each))}" for key, each in value.items())
    return f";{name}={_joined(value, ',', False)}"


def _joined(value: Any, delimiter: str, explode: bool) -> str:
    """Encoded parts of a compound value between delimiters; the text of any other."""
    if isinstance(value, Mapping):
        if explode:
            return delimiter.join(f"{percent(key)}={percent(as_text(each))}" for key, each in value.items())
        return delimiter.join(percent(each) for each in _flat(value, ","))
    if _is_array(value):
        return delimiter.join(percent(as_text(each)) for each in value)
    return percent(as_text(value))


def _flat(value: Mapping[str, Any], between: str) -> list[str]:
    """Names and values of an object in a row: [a=1, b=2], or [a, 1, b, 2] where a comma is between."""
    if between == "=":
        return [f"{key}={as_text(each)}" for key, each in value.items()]
    return [part for key, each in value.items() for part in (key, as_text(each))]


def _is_array(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _document(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
