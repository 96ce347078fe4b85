"""Requests that are no HTTP: a server refuses them or closes, and lives."""

from __future__ import annotations

from collections.abc import Iterator

from gnomon.fuzz.base import Exchange, Violation
from gnomon.fuzz.checks.fingerprint import fingerprint
from gnomon.fuzz.checks.promises import Promises
from gnomon.fuzz.transport.malformed import MUST_BE_REFUSED
from gnomon.fuzz.transport.traces import trace_in_text

__all__ = ["malformed_request"]

_RIGHT = (501, 505)
"What a transfer coding or a version that the server does not know is answered with."


def malformed_request(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """A 5xx to bytes that are no request, or a 2xx where RFC 9112 says that they must be refused.

    One defect is one thing wrong with the request, whatever the operation. To close without an answer, and to wait for
    what was announced, are right; that nobody listens any more is told as `service_down`.
    """
    wrong, reply = exchange.case.malformed, exchange.reply
    if not wrong:
        return
    if 500 <= reply.status <= 599 and reply.status not in _RIGHT:
        trace = trace_in_text(reply.body[:65536].decode("utf-8", "replace"))
        said = (trace.type, *(f"{file}:{name}" for file, name in trace.frames)) if trace else (fingerprint(reply.body),)
        yield _violation(exchange, (str(reply.status), *said), f"answers {reply.status} to", "high")
    elif 200 <= reply.status <= 299 and wrong in MUST_BE_REFUSED:
        yield _violation(exchange, ("taken",), "takes", "medium")


def _violation(exchange: Exchange, key: tuple[str, ...], what: str, severity: str) -> Violation:
    wrong = exchange.case.malformed
    return Violation(
        check="malformed_request",
        key=("malformed_request", wrong, *key),
        title=f"{exchange.case.operation.key} {what} a malformed request: {wrong}",
        severity=severity,
        certain=True,
        detail=exchange.reply.body[:2000].decode("utf-8", "replace"),
        steps=(exchange,),
    )
