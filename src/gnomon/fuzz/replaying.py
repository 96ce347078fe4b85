"""A replay file played again: of each defect, whether it is fixed, still there, or something else is wrong now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gnomon.core.errors import DocumentError
from gnomon.fuzz.base import NOTHING, Case, Exchange, Fault, Operation, Reply, Request, Take, Violation
from gnomon.fuzz.checks import violations
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.directions import request_side
from gnomon.fuzz.hooks import writing
from gnomon.fuzz.identities import Identity
from gnomon.fuzz.locating import located
from gnomon.fuzz.making import Maker
from gnomon.fuzz.outputs.replay import VERSION
from gnomon.fuzz.outputs.steps import secrets_of
from gnomon.fuzz.outputs.text import mark, printable
from gnomon.fuzz.sending import Sender
from gnomon.fuzz.state.expressions import evaluate
from gnomon.fuzz.state.memory import identified
from gnomon.fuzz.state.resources import Resource
from gnomon.fuzz.state.semantics import is_read, listed, moved, not_found, same_answer, still_there, taken, unseen_of
from gnomon.fuzz.targets import Target
from gnomon.fuzz.triage.replay import shown_again
from gnomon.fuzz.values import Draws

__all__ = ["Played", "Verdict", "play", "schema_of"]

Verdict = Literal["still failing", "fixed", "other failure", "not shown"]
"`not shown` where the steps cannot be sent, or the defect did not come back when it was found either."

_BY_STATUS = frozenset({"server_error", "valid_data_rejected", "malformed_request"})
Holds = Callable[[Sequence[Exchange]], bool]


class Played(NamedTuple):
    """A defect of the file, and what has become of it.

    Attributes:
        title, certain: of the defect.
        verdict: what came.
        detail: the other failure, or why it cannot be shown.
    """

    title: str
    certain: bool
    verdict: Verdict
    detail: str = ""


def schema_of(path: Path) -> str:
    """The document that a file was made with.

    Raises:
        DocumentError: the file cannot be read, or is no replay file.
    """
    return str(_read(_bytes(path), path)["schema"])


def play(path: Path, target: Target, config: Fuzzing, identities: Mapping[str, Identity]) -> list[Played]:
    """Every defect of a file, played once at `target`, by the checks that found it.

    Raises:
        DocumentError: the file cannot be read, or is no replay file.
    """
    text = _bytes(path)
    for secret, name in secrets_of(identities).items():
        text = text.replace(mark(name).encode(), json.dumps(secret)[1:-1].encode())
    defects = _read(text, path)["defects"]

    async def played() -> list[Played]:
        api = (await located(target, identities)).api
        sender = Sender(
            request_side(api),
            target.transport,
            identities,
            promised=api,
            checks=config.chosen,
            timeout=config.timeout,
            write=writing,
            slow=config.slow,
        )
        try:
            return [await _played(each, sender) for each in defects]
        finally:
            await target.transport.close()

    return asyncio.run(played())


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        todo = "give the replay.json of a fuzzing run"
        raise DocumentError(f"cannot be read: {error.strerror}", where=str(path), todo=todo) from None


def _read(text: bytes, path: Path) -> dict[str, Any]:
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if not isinstance(whole, dict) or whole.get("format") != "gnomon-fuzz-replay" or whole.get("version") != VERSION:
        todo = "give the replay.json of a fuzzing run"
        raise DocumentError("no replay file of this version", where=str(path), todo=todo)
    return whole


async def _played(defect: Mapping[str, Any], sender: Sender) -> Played:
    operations = {each.key: each for each in sender.api.operations}
    title, certain = printable(str(defect["title"])), bool(defect["certain"])
    try:
        steps = [_step(each, operations) for each in defect["steps"]]
        holds = _holds(defect["check"], defect["key"], steps, sender)
    except KeyError as lacking:
        return Played(title, certain, "not shown", f"the document has no {lacking}")
    unknown = sorted({each.caller for each in steps} - sender.identities.keys())
    if unknown:
        return Played(title, certain, "not shown", f"it needs credentials of the {unknown[0]} user")
    last: list[Exchange] = []
    sender.on_exchange = last.append
    violation = Violation(
        check=defect["check"],
        key=tuple(defect["key"]),
        title=title,
        severity=defect["severity"],
        certain=certain,
        steps=tuple(steps),
        holds=holds,
    )
    maker, rng = Maker(sender.api, sender.memory), Draws(0)
    shown = await shown_again(sender, violation, steps, lambda case: maker.renamed(case, rng))
    if shown:
        return Played(title, certain, "still failing")
    if len(last) < len(steps):
        return Played(title, certain, "not shown", f"step {len(last) + 1} of {len(steps)} cannot be sent")
    if not defect["reproduced"][0]:
        return Played(title, certain, "not shown", f"it never came back; answers {last[-1].reply.status}")
    return _otherwise(violation, last[-1], sender)


def _otherwise(violation: Violation, last: Exchange, sender: Sender) -> Played:
    """A defect that did not come back under its key."""
    title, certain, reply = violation.title, violation.certain, last.reply
    if violation.check in _BY_STATUS and reply.status == violation.steps[-1].reply.status:
        # An exception has one key in a process and another over a socket; a refusal counts at its second time.
        return Played(title, certain, "still failing")
    found = [each for each in violations(last, sender.promises, sender.checks) if each.certain]
    if found:
        return Played(title, certain, "other failure", printable(found[0].title))
    return Played(title, certain, "fixed", f"answers {reply.status or reply.fault}")


def _step(data: Mapping[str, Any], operations: Mapping[str, Operation]) -> Exchange:
    plain = dict(data["case"])
    body = plain.pop("bytes").encode("latin-1") if "bytes" in plain else plain.pop("body", NOTHING)
    operation = operations[plain.pop("operation")]
    parameters = {(location, name): value for location, name, value in plain.pop("parameters")}
    why = tuple(Fault(**each) for each in plain.pop("why"))
    case = Case(operation=operation, parameters=parameters, body=body, why=why, **plain)
    takes = tuple(Take(**each) for each in data["takes"])
    # What stood there is made again of the case; the status is all that playing looks at.
    return Exchange(
        case=case,
        request=Request(method="", target=""),
        reply=Reply(status=data["status"]),
        takes=takes,
        caller=data["caller"],
    )


def _holds(check: str, key: Sequence[str], steps: Sequence[Exchange], sender: Sender) -> Holds | None:
    """What says whether steps break a promise that only several can break; None where the checks of the last say it."""
    resources = sender.memory.resources
    if sender.api.dialect == "graphql":
        from gnomon.fuzz.graphql.kept import kept_of, reads_of

        about = [each for each in resources.values() if steps[-1].case.operation in reads_of(each)]
        return kept_of(check, about[0]) if about else None
    if check == "created_not_found":
        made = {op.key: each for each in resources.values() for op in each.creates}[key[1]]
        return lambda found: not_found(found, made)
    if check == "list_inconsistent":
        return _lists(resources[key[1]], removed=key[2] == "gone")
    if check in ("ignored_auth", "object_level_auth"):
        read = any(each.caller == "first" and each.case.operation is steps[-1].case.operation for each in steps)
        return same_answer if read else taken
    simple: dict[str, Holds] = {
        "use_after_delete": still_there,
        "update_not_visible": lambda found: bool(unseen_of(found)[0]),
        "non_idempotent_put": lambda found: bool(moved(found)),
    }
    return simple.get(check)


def _lists(resource: Resource, *, removed: bool) -> Holds:
    """Whether steps end in a list that has what was removed, or lacks what was made."""

    def identifier(steps: Sequence[Exchange]) -> Any:
        for step in reversed(steps):
            value = step.case.parameters.get(("path", resource.key))
            if value is not None and step.case.operation.path.startswith(resource.item):
                return value
            if step.case.operation in resource.creates:
                body = evaluate("$response.body#", step)
                return (identified(resource, body) or ("", None))[1]
        return None

    def holds(steps: Sequence[Exchange]) -> bool:
        gone = any(each.request.method == "DELETE" and 200 <= each.reply.status < 300 for each in steps)
        if not removed and not is_read(steps, resource):
            return False
        return gone is removed and listed(steps, resource, identifier) is removed

    return holds
