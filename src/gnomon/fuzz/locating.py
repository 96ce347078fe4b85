"""Where the paths of a document begin at its server: below what was named, or elsewhere; a few GETs tell."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gnomon.core.errors import UsageError
from gnomon.fuzz.base import Case, Operation, Reply, Request
from gnomon.fuzz.checks.fingerprint import fingerprint
from gnomon.fuzz.hooks import writing
from gnomon.fuzz.identities import ANONYMOUS, Identity
from gnomon.fuzz.loading.introspection import ENDPOINTS
from gnomon.fuzz.targets import Target
from gnomon.fuzz.writing import Unsendable

__all__ = ["located"]

_PROBES, _TIMEOUT = 4, 5.0
_NOWHERE = "/there-is-no-such-path-7f3a"
_QUESTION = json.dumps({"query": "{ __typename }"}).encode()
_JSON = (("content-type", "application/json"), ("accept", "application/json"))


async def located(target: Target, identities: Mapping[str, Identity]) -> Target:
    """The target, its paths below `Target.bases`' first base that its server knows; `Target.note` says where that is
    another than the one named.

    At most four GETs that need the least are asked below each base until one is known, beside a path that cannot be
    there: a base is known where its paths answer otherwise. Of GraphQL the endpoint is asked for `__typename`.

    Raises:
        UsageError: nobody listens.
    """
    first = identities.get("first", ANONYMOUS)
    try:
        base = await (_endpoint if target.api.dialect == "graphql" else _base)(target, first)
    except UsageError:
        await target.transport.close()
        raise
    if base is None or base == target.api.base_path:
        return target
    note = f"the server knows no path below {target.api.base_path or '/'}, but does below {base or '/'}: that is asked"
    return replace(target, api=replace(target.api, base_path=base), note=note)


async def _base(target: Target, first: Identity) -> str | None:
    """The base that most probes are known below; the one named where any of them is, None where nothing is known."""
    asked = _plainest(target.api.operations)
    known = {}
    for base in target.bases if asked else ():
        nowhere = await _reply(target, Request(method="GET", target=base + _NOWHERE), first)
        replies = [await _reply(target, writing(each, base), first) for each in asked]
        known[base] = sum(each.status not in (0, 404, nowhere.status) for each in replies)
        differs = any((r.status, fingerprint(r.body)) != (nowhere.status, fingerprint(nowhere.body)) for r in replies)
        if base == target.api.base_path and (known[base] or differs):
            return base
    # One path alone may be there by chance, as a page at the root is.
    best = max(known, key=lambda base: known[base], default=None)
    return best if best is not None and 2 * known[best] > len(asked) else None


async def _endpoint(target: Target, first: Identity) -> str | None:
    for base in dict.fromkeys((*target.bases, *ENDPOINTS)):
        request = Request(method="POST", target=base or "/", headers=_JSON, body=_QUESTION)
        reply = await _reply(target, request, first)
        root = target.api.operations[0].root
        if root and root.answer(reply.body):
            return base
    return None


def _plainest(operations: Sequence[Operation]) -> list[Case]:
    """GETs that need the least, with examples or 1 where they need something."""
    gets = [each for each in operations if each.method == "GET" and each.path.replace("{", "").strip("/")]
    gets.sort(key=lambda each: (each.path.count("{"), sum(p.required for p in each.parameters)))
    return [each for each in map(_case, gets[:_PROBES]) if each]


def _case(operation: Operation) -> Case | None:
    needed = [p for p in operation.parameters if p.required and p.location in ("path", "query")]
    case = Case(operation=operation, parameters={(p.location, p.name): next(iter(p.examples), "1") for p in needed})
    try:
        writing(case, "")
    except Unsendable:
        return None
    return case


async def _reply(target: Target, request: Request, first: Identity) -> Reply:
    reply = await target.transport.send(first.signs(request), timeout=_TIMEOUT)
    if reply.fault == "refused":
        raise UsageError("nobody listens there", where=target.origin, todo="start the service, or name it by --url")
    return reply
