"""What is fuzzed, and how: the flags of `gnomon fuzz`, the keywords of `gnomon.fuzz`, the keys of a TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Literal, get_args

from gnomon.core.errors import UsageError, closest
from gnomon.fuzz.checks import CHECKS, Check
from gnomon.fuzz.checks.graphql import graphql_error
from gnomon.fuzz.hooks import load_hooks, own_checks

__all__ = ["Fuzzing", "Technique"]

Technique = Literal[
    "stateful", "negation", "borders", "probes", "havoc", "feedback", "formats", "swarm", "pools", "canonical"
]
"Parts of a search that may be left out."

_OF_SEVERAL = (
    "created_not_found", "ignored_auth", "list_inconsistent", "non_idempotent_put", "object_level_auth",
    "update_not_visible", "use_after_delete",
)  # fmt: skip
"Checks over several requests."


@dataclass(frozen=True, kw_only=True)
class Fuzzing:
    """Find requests that make a web API crash, break its contract, or lose what it promises."""

    url: str = ""
    "Base URL of the server; by default the document's."
    app: str = ""
    "Application in this process, as module:name; no socket is opened."
    max_time: float = 60.0
    "Seconds to search."
    max_requests: int = 0
    "Requests at most; 0 for no limit."
    connections: int = 16
    "Requests under way at most; with 1 and an application in this process, runs repeat."
    include: tuple[str, ...] = ()
    "Operations to test: method and path, path, name or tag, with *; what sounds like a shutdown only if it is named."
    exclude: tuple[str, ...] = ()
    "Operations to leave alone."
    checks: tuple[str, ...] = ()
    (
        "Checks to make, by default all; -NAME leaves one out: server_error, slow_response, undocumented_status, "
        "content_type, response_body, response_headers, graphql_error, malformed_request, method_not_allowed, "
        "missing_header_accepted, negative_data_accepted, valid_data_rejected, created_not_found, ignored_auth, "
        "list_inconsistent, non_idempotent_put, object_level_auth, update_not_visible, use_after_delete, or your own."
    )
    timeout: float = 10.0
    "Seconds to wait for one reply."
    rate: float = 0.0
    "Requests a second at most; 0 for no limit."
    slow: float = 0.0
    "Seconds after which a reply is a defect; 0 for no limit."
    expected: tuple[str, ...] = ()
    "GraphQL errors that are no defects: patterns over message and code."
    without: tuple[Technique, ...] = ()
    "Parts to leave out, to see what each of them finds."
    hooks: str = ""
    "Module that registers checks of yours, or changes of requests."
    raw: bool = False
    "Send bytes that are no HTTP too: broken headers, lengths, chunks and targets."
    i_own_this_host: bool = False
    "Send to a host that is neither this machine nor in a private network."
    seed: int = 0
    "Root of every random draw."

    def __post_init__(self) -> None:
        if not (0 < self.max_time < inf and 0 < self.timeout < inf) or self.connections < 1 or self.max_requests < 0:
            what = f"--max-time {self.max_time:g} --timeout {self.timeout:g} --connections {self.connections}"
            raise UsageError(what, todo="give times above 0 and at least one connection")
        if not (0 <= self.rate < inf and 0 <= self.slow < inf):
            raise UsageError(
                f"--rate {self.rate:g} --slow {self.slow:g}", todo="give 0 for no limit, or a number above"
            )
        if self.url and self.app:
            raise UsageError("a URL and an application", where="--url, --app", todo="give one of them")
        for part in self.without:
            if part not in get_args(Technique):
                todo = closest(part, list(get_args(Technique)))
                raise UsageError(f"{part!r} is no part", where="--without", todo=todo)
        for pattern in self.expected:
            try:
                re.compile(pattern)
            except re.error as error:
                raise UsageError(f"{pattern!r} is no pattern: {error}", where="--expected", todo="mend it") from None
        if self.hooks:
            load_hooks(self.hooks)
        known = [*CHECKS, *_OF_SEVERAL, *own_checks()]
        for name in (each.lstrip("-") for each in self.checks):
            if name not in known:
                raise UsageError(f"{name!r} is no check", where="--checks", todo=closest(name, known))

    @property
    def chosen(self) -> Mapping[str, Check]:
        """The checks of single requests, by name."""
        own = own_checks()
        known: dict[str, Check] = {**CHECKS, "graphql_error": partial(graphql_error, expected=self.expected), **own}
        return {name: check for name, check in known.items() if self._asks_for(name)}

    @property
    def unwanted(self) -> frozenset[str]:
        """The checks over several requests that are not made."""
        return frozenset(name for name in _OF_SEVERAL if not self._asks_for(name))

    def _asks_for(self, check: str) -> bool:
        named = [each for each in self.checks if not each.startswith("-")]
        return f"-{check}" not in self.checks and (check in named or not named)
