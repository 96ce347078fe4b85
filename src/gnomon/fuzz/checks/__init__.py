"""What a reply may not be. Each check reads one exchange; those that need several requests are in `fuzz.state`.

A violation is certain, and fails a run, only where no reading of the document allows the reply; else it is advice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from gnomon.fuzz.base import Exchange, Violation
from gnomon.fuzz.checks.accepting import (
    method_not_allowed,
    missing_header_accepted,
    negative_data_accepted,
    valid_data_rejected,
)
from gnomon.fuzz.checks.contract import content_type, response_body, response_headers, undocumented_status
from gnomon.fuzz.checks.graphql import graphql_error
from gnomon.fuzz.checks.malformed import malformed_request
from gnomon.fuzz.checks.promises import Promises
from gnomon.fuzz.checks.server import server_error, slow_response
from gnomon.fuzz.state.memory import path_params

__all__ = ["CHECKS", "Check", "Promises", "violations"]

Check = Callable[[Exchange, Promises], Iterator[Violation]]

CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        server_error,
        undocumented_status,
        content_type,
        response_body,
        response_headers,
        negative_data_accepted,
        valid_data_rejected,
        missing_header_accepted,
        method_not_allowed,
        slow_response,
        graphql_error,
        malformed_request,
    )
}
"By name, as `--checks` has them."

_OF_GRAPHQL = ("server_error", "slow_response", "graphql_error")


def violations(exchange: Exchange, promises: Promises, checks: Mapping[str, Check] = CHECKS) -> list[Violation]:
    """What all `checks` say of an exchange; what they saw before is in `promises`, which then learns from it.

    A root field of GraphQL promises nothing of statuses and media types, so of it only three checks speak; a document
    promises nothing of what is no request, so of that only one does.
    """
    asked: Iterable[Check] = checks.values()
    if exchange.case.malformed:
        asked = [checks[name] for name in checks if name == "malformed_request"]
    elif exchange.case.operation.root:
        asked = [checks[name] for name in checks if name in _OF_GRAPHQL]
    found = [each for check in asked for each in check(exchange, promises)]
    promises.learn(exchange)
    if found and _is_elsewhere(exchange):
        return [each if each.check == "server_error" else replace(each, certain=False) for each in found]
    return found


def _is_elsewhere(exchange: Exchange) -> bool:
    """Whether a value in the path may lead to another path, about which the document says other things or none."""
    texts = [str(value) for value in path_params(exchange.case).values()]
    return any("/" in text or "\\" in text or text in ("", ".", "..") for text in texts)
