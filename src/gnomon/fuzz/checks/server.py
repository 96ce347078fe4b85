"""The server itself: errors, dropped connections, exceptions, slowness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from gnomon.fuzz.base import Exchange, Trace, Violation
from gnomon.fuzz.checks.fingerprint import fingerprint, names_exception, texts_of
from gnomon.fuzz.checks.promises import Promises
from gnomon.fuzz.transport.traces import trace_in_text

if TYPE_CHECKING:
    from gnomon.fuzz.graphql.fields import RootField

__all__ = ["server_error", "slow_response"]

_GATEWAY = (502, 504)
_TIMES, _LEAST, _EARLY = 20, 2.0, 5


def server_error(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """A status of 500 or more, a connection dropped, or an exception out of an application in this process.

    Not 501 for a method that the document does not have, nor 503 that says when to come again; what a gateway answers
    is advice. One defect is one exception with its frames, whatever the operation; where no trace is to be seen, one
    operation, status and masked text. What a GraphQL server says of execution is another check's; that it refuses with
    such a status is one defect a root field.
    """
    reply, case = exchange.reply, exchange.case
    if reply.fault == "dropped":
        yield _violation(exchange, (_asked(exchange), "dropped"), "drops the connection", "critical")
    if not 500 <= reply.status <= 599 and reply.trace is None:
        return
    if (reply.status == 501 and case.mode == "probe") or (reply.status == 503 and reply.header("retry-after")):
        return
    if case.operation.root and not reply.trace and case.operation.root.answer(reply.body):
        yield from _of_graphql(exchange, case.operation.root)
        return
    if exchange.request.method == "HEAD" and reply.trace is None:
        return  # it says nothing that GET does not say, and says it without a body to tell defects apart
    trace = reply.trace or trace_in_text(reply.body[:65536].decode("utf-8", "replace"))
    if trace is not None and (trace.type or trace.frames):
        frames = tuple(f"{file}:{name}" for file, name in trace.frames)
        found = _violation(exchange, (trace.type, *frames), f"{_raised(trace)}, status {reply.status}", "high")
        yield replace(found, root=("exception", trace.type, *frames[-1:]))
    else:
        said = fingerprint(reply.body, texts_of(case))
        key = (_asked(exchange), str(reply.status), said)
        # Who answers 501 has not crashed; what is documented is not there.
        severity = "low" if reply.status == 501 else "high"
        found = _violation(exchange, key, f"answers {reply.status}", severity, certain=reply.status not in _GATEWAY)
        # What a framework says of any exception tells no two of them apart, nor together.
        yield replace(found, root=("said", said) if names_exception(reply.body) else ())


def slow_response(exchange: Exchange, promises: Promises) -> Iterator[Violation]:
    """Longer than the limit that the user set, or 20 times the operation's median and over two seconds; advice, since
    one reply says little about a machine that others use."""
    key, seconds = exchange.case.operation.key, exchange.reply.seconds
    before = promises.latencies[key]
    if promises.slow and seconds > promises.slow:
        yield _slow(exchange, f"over the limit of {promises.slow:g} s", certain=True)
    elif seconds > _LEAST and len(before) >= _EARLY and seconds > _TIMES * median(before):
        yield _slow(exchange, f"{seconds / max(median(before), 1e-6):.0f} times the median of this operation")


def _of_graphql(exchange: Exchange, root: RootField) -> Iterator[Violation]:
    """A status of 500 with an answer in GraphQL's form; errors of execution are told one by one elsewhere."""
    case, reply, said = exchange.case, exchange.reply, root.answer(exchange.reply.body)
    key = (case.operation.key, str(reply.status))
    if said and not said.errors:
        failures = root.failures(case, said)
        what = f"answers {reply.status} with {failures[0][:120]}" if failures else f"answers {reply.status}"
        yield _violation(exchange, (*key, *failures), what, "high")
    elif said and not any(each.get("path") for each in said.errors):
        yield _violation(exchange, (*key, "refusal"), f"answers {reply.status} to a question that it refuses", "medium")


def _raised(trace: Trace) -> str:
    at = f" in {trace.frames[-1][1]}" if trace.frames else ""
    return f"raises {trace.type or 'an exception'}{at}"


def _violation(exchange: Exchange, key: tuple[str, ...], what: str, severity: str, certain: bool = True) -> Violation:
    reply = exchange.reply
    detail = reply.trace.text if reply.trace else reply.body[:2000].decode("utf-8", "replace")
    return Violation(
        check="server_error",
        key=("server_error", *key),
        title=f"{_asked(exchange)} {what}",
        severity=severity,
        certain=certain,
        detail=detail,
        steps=(exchange,),
    )


def _asked(exchange: Exchange) -> str:
    """The operation, or the other method that was sent to its path; HEAD is a GET without a body."""
    method = "GET" if exchange.case.method == "HEAD" else exchange.case.method
    return f"{method} {exchange.case.operation.path}" if method else exchange.case.operation.key


def _slow(exchange: Exchange, why: str, certain: bool = False) -> Violation:
    key = exchange.case.operation.key
    return Violation(
        check="slow_response",
        key=("slow_response", key),
        title=f"{key} is slow",
        severity="low",
        certain=certain,
        detail=f"{exchange.reply.seconds:.2f} s: {why}",
        steps=(exchange,),
    )
