"""What an API's document promises of its answers, compiled; and what its operations have answered so far."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

import jsonschema_rs

from gnomon.fuzz.base import Api, Case, Exchange, Operation, Reply, Schema
from gnomon.fuzz.checks.members import made_up, named
from gnomon.fuzz.checks.taken import Taken
from gnomon.fuzz.directions import answered, request_side
from gnomon.fuzz.loading import closed
from gnomon.fuzz.probes import methods_of

__all__ = ["ASSERTED_FORMATS", "Promises", "base_type", "matches"]

ASSERTED_FORMATS = ("date-time", "date", "uuid", "email", "ipv4", "ipv6", "uri")
"Formats on which all tools agree; the others are annotations."
_ANNOTATIONS: tuple[str, ...] = (
    "time",
    "duration",
    "hostname",
    "idn-hostname",
    "idn-email",
    "uri-reference",
    "iri",
    "iri-reference",
)
_ANNOTATIONS += ("uri-template", "json-pointer", "relative-json-pointer", "regex")
_LATENCIES = 200


class Promises:
    """Compiled promises of `api`, and a tally of its answers.

    Args:
        api: what is promised.
        slow: seconds after which a reply is slow whatever the others took; 0 for no limit.

    Attributes:
        asked: definitions as requests must be.
        methods: by path.
        accepted: valid cases that were taken, by operation.
        rejected: valid cases that were refused, by operation and what was said.
        taken: their values, of those that were taken.
        latencies: seconds of the last replies, by operation.
        roots: likely causes of undocumented statuses, by `Violation.key`.
    """

    def __init__(self, api: Api, *, slow: float = 0.0) -> None:
        self.api, self.slow = api, slow
        self.asked = request_side(api).definitions
        self.methods = methods_of(api.operations)
        self.accepted: Counter[str] = Counter()
        self.rejected: Counter[tuple[str, ...]] = Counter()
        self.taken = Taken()
        self.latencies: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_LATENCIES))
        self.roots: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._validators: dict[int, tuple[Schema, Any]] = {}
        self._asking: dict[int, tuple[Schema, Any]] = {}
        self._named: dict[Operation, frozenset[str]] = {}

    def promised_type(self, operation: Operation, reply: Reply) -> str | None:
        """The documented media type that the reply's falls under; None where none does or none is documented."""
        answer, said = operation.answer(reply.status), base_type(reply.header("content-type") or "")
        return next((each for each in answer.content if matches(each, said)), None) if answer else None

    def validator(self, schema: Schema) -> Any:
        """A validator of a schema of answers, in which what is only written must not stand.

        None where the schema cannot be compiled, of which the loader has told.
        """
        found = self._validators.get(id(schema))
        if found is None:
            found = self._validators[id(schema)] = (schema, self._compiled(schema))
        return found[1]

    def asking(self, schema: Schema) -> Any:
        """A validator of a schema of requests; None where it cannot be compiled."""
        found = self._asking.get(id(schema))
        if found is None:
            found = self._asking[id(schema)] = (schema, _validator(closed(schema, self.asked)))
        return found[1]

    def made_up(self, case: Case) -> frozenset[str]:
        """Names of members of its body that the document does not know: a server may repeat them in what it says."""
        operation = case.operation
        if operation not in self._named:
            schemas = [*(media.schema for media in operation.bodies.values()), *self.asked.values()]
            self._named[operation] = frozenset(named(schemas))
        return frozenset(made_up(case.body, self._named[operation]))

    def learn(self, exchange: Exchange) -> None:
        """Counts what was accepted, and how long it took."""
        key, reply = exchange.case.operation.key, exchange.reply
        if 200 <= reply.status < 300 and exchange.case.mode == "valid":
            self.accepted[key] += 1
            if not exchange.case.operation.root:
                self.taken.learn(exchange.case)
        if reply.status:
            self.latencies[key].append(reply.seconds)

    def _compiled(self, schema: Schema) -> Any:
        return _validator(closed(answered(schema), self._definitions))

    @cached_property
    def _definitions(self) -> Mapping[str, Schema]:
        return {name: answered(schema) for name, schema in self.api.definitions.items()}


def _validator(schema: Any) -> Any:
    formats = dict.fromkeys(_ANNOTATIONS, lambda _: True)
    try:
        return jsonschema_rs.Draft202012Validator(schema, validate_formats=True, formats=formats)
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
        return None


@lru_cache(maxsize=1024)
def base_type(media_type: str) -> str:
    """`application/json` of `Application/JSON; charset=utf-8`."""
    return media_type.partition(";")[0].strip().lower()


def matches(promised: str, said: str) -> bool:
    """Whether a media type falls under a documented one, which may be a range or have a suffix such as `*+json`."""
    promised = base_type(promised)
    if promised in (said, "*/*"):
        return True
    kind, _, sub = promised.partition("/")
    said_kind, _, said_sub = said.partition("/")
    if kind not in (said_kind, "*"):
        return False
    return sub == "*" or (sub.startswith("*+") and said_sub.endswith(sub[1:]))
