"""Whether a request is invalid whatever a lenient server reads in its bytes; only then may it be said to be accepted.

The bytes are parsed again as servers do. A text outside a JSON body may be taken for itself, a number, a truth value,
nothing, or a list, however it is written; several values of a name for the first, the last or all. Formats count where
the schema declares them, and loosely. The request is certified when some part of it has no reading that validates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any
from urllib.parse import parse_qsl

from jsonschema_rs import Draft202012Validator

from gnomon.fuzz.base import Case, Media, Parameter, Request, Schema
from gnomon.fuzz.loading import closed
from gnomon.fuzz.readings import ABSENT, MOST, lenient_validator, list_readings, list_ways, text_readings, unescaped

__all__ = ["certificate"]

Pairs = list[tuple[str, str]]
_KNOWN: dict[tuple[int, int], tuple[Schema, Mapping[str, Schema], Draft202012Validator]] = {}
_MOST_KNOWN = 20_000
_PLACE = re.compile(r"\\\{([^{}]*)\\\}")


class _Unclear(Exception):
    """Bytes that may be read in more ways than are looked at, or in a way that is not known here."""


def certificate(case: Case, request: Request, definitions: Mapping[str, Schema]) -> bool:
    """Whether some part of the request is invalid in every reading of its bytes.

    Args:
        case: for its operation, whose schemas are those of requests.
        request: the bytes.
        definitions: what references in the schemas mean.

    Returns:
        False also where it cannot be told: more readings than are looked at, a media type that is not parsed here.
    """
    operation = case.operation
    texts = _Texts(request, operation.path)
    for parameter in operation.parameters:
        try:
            if not _has_valid_reading(parameter, texts, definitions):
                return True
        except _Unclear:
            continue
    try:
        return not _body_has_valid_reading(request, operation.bodies, operation.body_required, definitions)
    except _Unclear:
        return False


class _Texts:
    """The texts of a request by where they stand, not decoded."""

    def __init__(self, request: Request, template: str) -> None:
        path, _, query = request.target.partition("?")
        self.query: Pairs = [_split(pair) for pair in query.split("&") if pair]
        self.headers: Pairs = [(name.lower(), value) for name, value in request.headers]
        whole = "; ".join(value for name, value in self.headers if name == "cookie")
        self.cookies: Pairs = [_split(pair.strip()) for pair in whole.split(";") if pair.strip()]
        match = _template(template).search(path)
        self.path = dict(zip(_names(template), match.groups(), strict=True)) if match else None


def _split(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return name, value


@lru_cache(maxsize=4096)
def _template(template: str) -> re.Pattern[str]:
    """The end of a path that the template fits; what stands before it, a base path, is not known here."""
    return re.compile(_PLACE.sub("([^/]*)", re.escape(template)) + "$")


def _names(template: str) -> list[str]:
    return re.findall(r"\{([^{}]*)\}", template)


def _has_valid_reading(parameter: Parameter, texts: _Texts, definitions: Mapping[str, Schema]) -> bool:
    judge = _judge(parameter.schema, definitions)
    for value in _readings(parameter, texts, judge):
        if (not parameter.required) if value is ABSENT else _admits(judge, value):
            return True
    return False


def _readings(parameter: Parameter, texts: _Texts, judge: Draft202012Validator) -> Iterator[Any]:
    """Values that a parameter may be taken for; `ABSENT` for none."""
    name = parameter.name
    if parameter.location == "path":
        if texts.path is None:
            raise _Unclear
        yield from _of_texts([_without_style(parameter, texts.path[name])], parameter, judge)
    elif parameter.location == "header":
        yield from _of_texts([value for key, value in texts.headers if key == name.lower()], parameter, judge)
    elif parameter.location == "cookie":
        yield from _of_texts([value for key, value in texts.cookies if name in unescaped(key)], parameter, judge)
    else:
        own = [value for key, value in texts.query if {name, f"{name}[]"} & set(unescaped(key))]
        yield from _of_texts(own, parameter, judge)
        yield from _of_object(parameter, texts.query)


def _without_style(parameter: Parameter, text: str) -> str:
    """The text of a path's value without what its style writes before it."""
    if parameter.style == "label":
        return text.removeprefix(".")
    return text.removeprefix(f";{parameter.name}=") if parameter.style == "matrix" else text


def _of_texts(raw: Sequence[str], parameter: Parameter, judge: Draft202012Validator) -> Iterator[Any]:
    if not raw:
        yield ABSENT
        yield []  # a list of those that came
    for text in dict.fromkeys([*raw[:1], *raw[-1:]]):
        for plain in unescaped(text):
            yield from text_readings(plain)
            yield from _paired(plain)
    for decode in range(3 if raw else 0):
        yield from _arrays([unescaped(text)[min(decode, len(unescaped(text)) - 1)] for text in raw], judge)
    if parameter.style in ("label", "matrix") and raw:
        marks = re.split(rf"[.;]|{re.escape(parameter.name)}=", raw[0])
        yield from _arrays([unescaped(part)[0] for part in marks if part], judge)


def _arrays(texts: list[str], judge: Draft202012Validator) -> Iterator[Any]:
    """The arrays that texts may be; of those with too many readings only the length counts, which all of them share."""
    for way in list_ways(texts):
        if prod(map(len, way)) <= MOST:
            yield from map(list, product(*way))
        elif not _is_of_wrong_length(judge, [readings[0] for readings in way]):
            raise _Unclear


def _is_of_wrong_length(judge: Draft202012Validator, value: list[Any]) -> bool:
    errors = [error for error in judge.iter_errors(value) if not error.instance_path]
    return any(error.schema_path[-1:] in (["minItems"], ["maxItems"]) for error in errors)


def _paired(text: str) -> Iterator[Any]:
    """Objects that a text may be: a,1,b,2 and a=1,b=2."""
    parts = re.split(r"[,;&|]", text)
    if all("=" in part for part in parts):
        yield from _objects([_split(part) for part in parts])
    elif len(parts) > 1 and len(parts) % 2 == 0:
        yield from _objects(list(zip(parts[::2], parts[1::2], strict=True)))


def _of_object(parameter: Parameter, query: Pairs) -> Iterator[Any]:
    """Objects that the query may hold under a name: name[key]=value, name.key=value, or all of its pairs."""
    plain = [(unescaped(key)[0], unescaped(value)[0]) for key, value in query]
    head = re.compile(rf"{re.escape(parameter.name)}(?:\[([^\]]*)\]|\.(.+))$")
    own = [(match[1] or match[2] or "", value) for key, value in plain if (match := head.match(key))]
    if own:
        yield from _objects(own)
    if isinstance(parameter.schema, Mapping) and parameter.schema.get("type") in (None, "object") and plain:
        yield from _objects(plain)


def _objects(pairs: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Objects with these members, each text in each reading, several texts of a name also as an array."""
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        texts.setdefault(name, []).append(text)
    readings = [_field(each) for each in texts.values()]
    if prod(len(each) for each in readings) > MOST:
        raise _Unclear
    for values in product(*readings):
        yield {name: value for name, value in zip(texts, values, strict=True) if value is not ABSENT}


def _field(texts: list[str]) -> list[Any]:
    arrays = list_readings(texts)
    if arrays is None:
        raise _Unclear
    return [*text_readings(texts[0]), *(text_readings(texts[-1]) if len(texts) > 1 else []), *arrays]


def _body_has_valid_reading(
    request: Request, bodies: Mapping[str, Media], required: bool, definitions: Mapping[str, Schema]
) -> bool:
    if not bodies:
        return True
    kind = next((value for name, value in request.headers if name.lower() == "content-type"), "")
    if not request.body and not kind:
        return not required
    media = _media(bodies, kind)
    if media is None:
        raise _Unclear
    judge = _judge(media.schema, definitions)
    base = kind.partition(";")[0].strip().lower()
    if base.endswith(("/json", "+json")):
        return _json_is_valid(judge, request.body)
    if base == "application/x-www-form-urlencoded":
        fields = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
        return _form_is_valid(judge, fields)
    if base.startswith("multipart/"):
        return _form_is_valid(judge, _parts(request.body, kind))
    if base.startswith("text/plain"):
        return any(_admits(judge, value) for value in text_readings(request.body.decode("utf-8", "replace")))
    raise _Unclear


def _media(bodies: Mapping[str, Media], kind: str) -> Media | None:
    base = kind.partition(";")[0].strip().lower()
    return next((media for name, media in bodies.items() if name.partition(";")[0].strip().lower() == base), None)


def _json_is_valid(judge: Draft202012Validator, body: bytes) -> bool:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        # What is no JSON is nothing that a schema speaks of.
        raise _Unclear from None
    return _admits(judge, value)


def _form_is_valid(judge: Draft202012Validator, fields: Sequence[tuple[str, str]]) -> bool:
    """Whether some readings of the fields validate together; only fields that are found wrong are read anew."""
    texts: dict[str, list[str]] = {}
    for name, text in fields:
        texts.setdefault(name.removesuffix("[]"), []).append(text)
    readings = {name: _field(each) for name, each in texts.items()}
    chosen = {name: _first_that_fits(judge, name, options, texts) for name, options in readings.items()}
    if _admits(judge, _present(chosen)):
        return True
    if prod(len(each) for each in readings.values()) > MOST:
        return not _wrong_alone(judge, chosen, readings)
    return any(_admits(judge, _present(dict(zip(readings, each, strict=True)))) for each in product(*readings.values()))


def _first_that_fits(judge: Draft202012Validator, name: str, options: list[Any], texts: Mapping[str, object]) -> Any:
    """The reading of a field in which no error lies within it."""
    for value in options:
        if value is not ABSENT and name not in _blamed(judge, {**dict.fromkeys(texts, ""), name: value}):
            return value
    return options[0]


def _wrong_alone(judge: Draft202012Validator, chosen: Mapping[str, Any], readings: Mapping[str, list[Any]]) -> bool:
    """Whether a field is wrong in each of its readings whatever the others are, which is told by where errors lie."""
    for name, options in readings.items():
        if all(name in _blamed(judge, _present({**chosen, name: value})) for value in options):
            return True
    raise _Unclear


def _blamed(judge: Draft202012Validator, value: Any) -> set[object]:
    try:
        return {error.instance_path[0] for error in judge.iter_errors(value) if error.instance_path}
    except ValueError:
        return set()


def _present(chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in chosen.items() if value is not ABSENT}


def _parts(body: bytes, kind: str) -> Pairs:
    """Names and texts of a multipart body."""
    match = re.search(r'boundary="?([^";]+)', kind)
    if match is None:
        raise _Unclear
    found = []
    for part in body.split(b"--" + match[1].encode()):
        head, empty, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if empty and name:
            found.append((name[1].decode("utf-8", "replace"), content.removesuffix(b"\r\n").decode("utf-8", "replace")))
    return found


def _judge(schema: Schema, definitions: Mapping[str, Schema]) -> Draft202012Validator:
    key = (id(schema), id(definitions))
    known = _KNOWN.get(key)
    if known is None or known[0] is not schema or known[1] is not definitions:
        try:
            known = (schema, definitions, lenient_validator(closed(schema, definitions)))
        except ValueError:
            raise _Unclear from None
        if len(_KNOWN) < _MOST_KNOWN:
            _KNOWN[key] = known
    return known[2]


def _admits(judge: Draft202012Validator, value: Any) -> bool:
    """Whether it validates; what the validator cannot look at, such as a lone surrogate, might."""
    try:
        return judge.is_valid(value)
    except ValueError:
        return True
