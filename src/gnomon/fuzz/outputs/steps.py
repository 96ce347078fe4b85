"""The steps of a defect as other tools write them: bytes with marks where answers of earlier steps and credentials go.

A mark is `${ID0}` for what a step answers, `${TOKEN}` for a credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gnomon.fuzz.base import Defect, Exchange, Request, Take
from gnomon.fuzz.identities import Identity
from gnomon.fuzz.outputs.text import hidden, hidden_bytes, mark
from gnomon.fuzz.state.expressions import pointed, put
from gnomon.fuzz.writing import written
from gnomon.fuzz.writing.styles import as_text, percent

__all__ = ["Step", "secrets_of", "steps_of"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request.

    Attributes:
        exchange: as it was.
        request: with marks.
        keeps: expression, by name of the mark, of what later steps need of the answer.
    """

    exchange: Exchange
    request: Request
    keeps: Mapping[str, str]

    @property
    def operation(self) -> str:
        """`GET /users/{id}`."""
        return self.exchange.case.operation.key


def steps_of(defect: Defect, secrets: Mapping[str, str]) -> list[Step]:
    """The steps of a defect in order.

    Args:
        secrets: names of marks by secret, as `secrets_of` gives them.
    """
    steps = defect.violation.steps
    taken = sorted({(take.step, take.expression) for step in steps for take in step.takes})
    names = {each: f"ID{i}" for i, each in enumerate(taken)}
    return [
        Step(
            exchange=step,
            request=_marked(step, names, secrets),
            keeps={name: expression for (at, expression), name in names.items() if at == i},
        )
        for i, step in enumerate(steps)
    ]


def secrets_of(identities: Mapping[str, Identity]) -> dict[str, str]:
    """Names of marks by secret: TOKEN (and TOKEN2, ...) of the first caller, OTHER_TOKEN of the other.

    Tokens of one login are TOKEN, the old ones too; what the wrong caller says is no secret.
    """
    found: dict[str, str] = {}
    for caller, name in (("first", "TOKEN"), ("other", "OTHER_TOKEN")):
        said = identities.get(caller)
        tokens = said.tokens if said else ()
        others = [each for each in said.secrets if each not in tokens] if said else []
        found.update(dict.fromkeys(tokens, name))
        for i, secret in enumerate(others, 2 if tokens else 1):
            found.setdefault(secret, name if i == 1 else f"{name}{i}")
    return found


def _marked(step: Exchange, names: Mapping[tuple[int, str], str], secrets: Mapping[str, str]) -> Request:
    request = step.request
    marks = {take: mark(names[take.step, take.expression]) for take in step.takes}
    inside = {take.place: text for take, text in marks.items() if take.location == "body"}
    for take, text in marks.items():
        if take.location != "body":
            request = _targeted(request, _with_mark(step, request.target, take, text))
    return replace(
        request,
        target=hidden(request.target, secrets),
        headers=tuple((name, hidden(value, secrets)) for name, value in request.headers),
        body=hidden_bytes(_body_with(step, inside) if inside else request.body, secrets),
    )


def _with_mark(step: Exchange, target: str, take: Take, text: str) -> str:
    """The target with a mark where an earlier step's answer stands."""
    value = percent(as_text(step.case.parameters.get((take.location, take.place), "")))
    if take.location == "query":
        return target.replace(f"{percent(take.place)}={value}", f"{percent(take.place)}={text}", 1)
    path, question, query = target.partition("?")
    segments, template = path.split("/"), step.case.operation.path.split("/")
    # The base path stands before the template's first segment.
    shift = len(segments) - len(template)
    for i, part in enumerate(template):
        if f"{{{take.place}}}" in part and shift >= 0:
            segments[i + shift] = segments[i + shift].replace(value, text, 1)
    return "/".join(segments) + question + query


def _targeted(request: Request, target: str) -> Request:
    return replace(request, target=target)


def _body_with(step: Exchange, marks: Mapping[str, str]) -> bytes:
    """The body with marks by JSON pointer; one that stands for no text has no quotes around it."""
    case = step.case
    placed, bare = case.body, []
    for pointer, text in marks.items():
        if not isinstance(pointed(placed, pointer), str):
            bare.append(text)
            text = f"bare{text}"
        placed = put(placed, pointer, text)
    body = written(replace(case, body=placed)).body
    for text in bare:
        quote = '"' if f'"bare{text}"'.encode() in body else ""
        body = body.replace(f"{quote}bare{text}{quote}".encode(), text.encode())
    for text in marks.values():
        # A form writes marks in escapes.
        body = body.replace(percent(text).encode(), text.encode())
    return body
