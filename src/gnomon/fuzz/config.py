"""What is fuzzed, and how: the flags of `gnomon fuzz`, the keywords of `gnomon.fuzz`, the keys of a TOML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from gnomon.core.errors import UsageError, closest
from gnomon.fuzz.checks import CHECKS, Check
from gnomon.fuzz.checks.graphql import graphql_error

__all__ = ["Fuzzing", "Technique"]

Technique = Literal["stateful", "negation", "borders", "probes", "havoc", "feedback", "formats"]
"Parts of a search that may be left out."


@dataclass(frozen=True, kw_only=True)
class Fuzzing:
    """What is fuzzed, and how.

    Attributes:
        schema: file or URL of a document or GraphQL server, an application as `module:name`, or a path of `app`.
        url: base URL of the server; the document's own where empty.
        app: an application in this process as `module:name`; then no socket is opened.
        max_time: seconds.
        max_requests: at most; 0 for no limit.
        connections: requests under way at most; 1 makes a run of an application in this process repeatable.
        include, exclude: patterns of operations, such as `GET /users*`.
        checks: which checks; all where empty; `-NAME` leaves one out.
        timeout: seconds for one reply.
        rate: requests a second at most; 0 for no limit.
        expected: patterns over messages and codes of GraphQL errors that are no defects.
        slow: seconds after which a reply is slow; 0 for no limit.
        without: parts that are left out, to see what each of them finds.
        own_host: the user says that the host is theirs; else only this machine and private networks.
        seed: of everything drawn.
    """

    schema: str
    url: str = ""
    app: str = ""
    max_time: float = 60.0
    max_requests: int = 0
    connections: int = 16
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    timeout: float = 10.0
    rate: float = 0.0
    slow: float = 0.0
    expected: tuple[str, ...] = ()
    without: tuple[Technique, ...] = ()
    own_host: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_time <= 0 or self.timeout <= 0 or self.connections < 1 or self.max_requests < 0:
            what = f"--max-time {self.max_time:g} --timeout {self.timeout:g} --connections {self.connections}"
            raise UsageError(what, todo="give times above 0 and at least one connection")
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
        for name in (each.lstrip("-") for each in self.checks):
            if name not in CHECKS:
                raise UsageError(f"{name!r} is no check", where="--checks", todo=closest(name, list(CHECKS)))

    @property
    def chosen(self) -> Mapping[str, Check]:
        """The checks by name."""
        left_out = {each[1:] for each in self.checks if each.startswith("-")}
        named = [each for each in self.checks if not each.startswith("-")] or list(CHECKS)
        known: dict[str, Check] = {**CHECKS, "graphql_error": partial(graphql_error, expected=self.expected)}
        return {name: known[name] for name in named if name not in left_out}
