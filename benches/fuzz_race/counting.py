"""Counts what a fuzzer made a service show, by rules that know no fuzzer: from what went over the wire and was raised.

A crash is an exception's type with its stack of (file, function), and again with its innermost frame alone: stacks
split one defect into several, frames merge several into one. Beside crashes count (operation, 5xx), (operation, status
that is not documented), (operation, status, media type), (operation, status, schema path), an operation that accepts a
JSON body which its own schema rejects, and for GraphQL (root field, masked message).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs

from benches.fuzz_race.hooks import NOISE
from gnomon.fuzz.base import Api, Operation
from gnomon.fuzz.transport.traces import trace_in_text

__all__ = ["KINDS", "Count", "Defects", "OpenApi", "bodies_of", "is_noise", "lines_of"]

KINDS = ("stack", "frame", "5xx", "status", "media", "schema", "accepted", "graphql")
"Kinds of defect; `frame` counts again what `stack` counts."
_MOST_ERRORS = 10


class Defects:
    """Distinct defects with the second of their first sight."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, ...], float] = {}

    def add(self, at: float, kind: str, *key: str) -> None:
        """Counts one."""
        whole = (kind, *key)
        self.first[whole] = min(at, self.first.get(whole, at))

    def crash(self, at: float, kind: str, frames: list[tuple[str, str]]) -> None:
        """Counts an exception, both ways."""
        names = [f"{file.rpartition('site-packages/')[2]}:{function}" for file, function in frames]
        self.add(at, "frame", kind, *names[-1:])
        # A stack is known by a hash, so that results stay short; the exceptions of a run are kept whole.
        self.add(at, "stack", kind, *names[-1:], hashlib.blake2b("\n".join(names).encode(), digest_size=6).hexdigest())

    def shown(self, at: float, text: str) -> None:
        """Counts a traceback that an answer shows, unless the service was seen raising it."""
        trace = trace_in_text(text)
        if trace is None or not trace.frames:
            return
        file, function = trace.frames[-1]
        innermost = ("frame", trace.type, f"{file.rpartition('site-packages/')[2]}:{function}")
        if innermost not in self.first:
            self.crash(at, trace.type, list(trace.frames))


class Count:
    """What the exchanges of one run come to; what is counted of an answer is up to the kind of API."""

    def __init__(self) -> None:
        self.defects = Defects()
        self.hit: set[str] = set()
        self.good: set[str] = set()
        self.requests = 0
        self.distinct: set[tuple[str, str, str]] = set()

    def exchange(self, line: Mapping[str, Any], operation: str, at: float) -> None:
        """Counts what every exchange has."""
        self.requests += 1
        self.distinct.add((line["method"], line["target"], line["request_body"]))
        if operation:
            self.hit.add(operation)
            if 200 <= line["status"] < 300:
                self.good.add(operation)


class OpenApi:
    """Counts for an API with an OpenAPI document."""

    def __init__(self, api: Api) -> None:
        self._api = api
        paths = sorted({o.path for o in api.operations}, key=lambda path: (path.count("{"), -len(path)))
        self._paths = [(path, _pattern(api.base_path + path)) for path in paths]
        self._operations = {o.key: o for o in api.operations}
        self._validators: dict[tuple[str, ...], Any] = {}

    @property
    def size(self) -> int:
        """How many operations there are."""
        return len(self._operations)

    def judge(self, line: Mapping[str, Any], bodies: Mapping[str, bytes], at: float, count: Count) -> None:
        """Counts one exchange."""
        path = line["target"].partition("?")[0]
        template = next((p for p, pattern in self._paths if pattern.fullmatch(path)), None)
        key = f"{line['method']} {template}"
        operation = self._operations.get(key)
        count.exchange(line, key if operation else "", at)
        status, body = line["status"], bodies.get(line["body"], b"")
        if template is None or not 100 <= status <= 599 or is_noise(status, body):
            return
        if status >= 500:
            if operation or status != 501:
                count.defects.add(at, "5xx", key, str(status))
            count.defects.shown(at, body.decode("utf-8", "replace"))
        if operation:
            self._answer(operation, line, body, at, count.defects)
            self._request(operation, line, bodies, at, count.defects)

    def _answer(self, operation: Operation, line: Mapping[str, Any], body: bytes, at: float, defects: Defects) -> None:
        status = str(line["status"])
        promised = operation.answer(line["status"])
        if promised is None:
            if status[0] != "5":
                defects.add(at, "status", operation.key, status)
            return
        if not body or not promised.content:
            return
        media = line["type"].partition(";")[0].strip().lower()
        known = next((name for name in promised.content if _is_like(media, name)), None)
        if known is None:
            defects.add(at, "media", operation.key, status, media)
            return
        schema = promised.content[known]
        if schema is None or not _is_json(media):
            return
        for where in self._faults((operation.key, status, known), schema, body):
            defects.add(at, "schema", operation.key, status, where)

    def _request(
        self,
        operation: Operation,
        line: Mapping[str, Any],
        bodies: Mapping[str, bytes],
        at: float,
        defects: Defects,
    ) -> None:
        media = line["request_type"].partition(";")[0].strip().lower()
        known = next((name for name in operation.bodies if _is_like(media, name)), None)
        if not 200 <= line["status"] < 300 or known is None or not _is_json(media):
            return
        body = bodies.get(line["request_body"])
        if body and any(self._faults((operation.key, known), operation.bodies[known].schema, body)):
            defects.add(at, "accepted", operation.key)

    def _faults(self, key: tuple[str, ...], schema: Any, body: bytes) -> Iterator[str]:
        try:
            value = _encodable(json.loads(body))
        except (ValueError, RecursionError):
            return
        if key not in self._validators:
            whole = schema if isinstance(schema, bool) else {**schema, "$defs": dict(self._api.definitions)}
            try:
                self._validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=False)
            except (ValueError, jsonschema_rs.ReferencingError):
                # A schema that cannot be read promises nothing.
                self._validators[key] = jsonschema_rs.Draft202012Validator(True)
        validator = self._validators[key]
        if not validator.is_valid(value):
            for _, error in zip(range(_MOST_ERRORS), validator.iter_errors(value), strict=False):
                yield "/".join(map(str, error.schema_path))


def is_noise(status: int, body: bytes) -> bool:
    """Whether an answer of 5xx tells of this machine rather than of the service."""
    return status >= 500 and any(noise.encode() in body for noise in NOISE)


def lines_of(file: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines; a last line that was cut off is left out."""
    if file.exists():
        for text in file.read_text(encoding="utf-8").split("\n")[:-1]:
            yield json.loads(text)


def bodies_of(folder: Path) -> dict[str, bytes]:
    """Bodies by hash, decompressed."""
    return {line["hash"]: _plain(base64.b64decode(line["base64"]), line["coding"]) for line in _bodies(folder)}


def _bodies(folder: Path) -> Iterator[dict[str, Any]]:
    return lines_of(folder / "bodies.ndjson")


def _plain(body: bytes, coding: str) -> bytes:
    try:
        if coding == "gzip":
            return gzip.decompress(body)
        return zlib.decompress(body) if coding == "deflate" else body
    except (OSError, zlib.error, EOFError):
        return body


def _encodable(value: Any) -> Any:
    """A value with U+FFFD for each lone surrogate, which the validator cannot read."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^}]*\})", path)
    return re.compile("".join("[^/]+" if part[:1] == "{" else re.escape(part) for part in parts))


def _is_like(media: str, documented: str) -> bool:
    documented = documented.partition(";")[0].strip().lower()
    if documented in (media, "*/*"):
        return True
    kind, _, sub = media.partition("/")
    known_kind, _, known_sub = documented.partition("/")
    return known_kind == kind and (known_sub == "*" or sub.endswith(f"+{known_sub}"))


def _is_json(media: str) -> bool:
    return media == "application/json" or media.endswith("+json")
