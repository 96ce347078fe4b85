"""Defects as a search would have found them, made by hand: odd bytes, secrets, steps that take from others."""

from __future__ import annotations

from typing import Any

from gnomon.fuzz.base import NOTHING, Api, Case, Defect, Exchange, Media, Operation, Reply, Request, Take, Violation
from gnomon.fuzz.identities import Identity
from gnomon.fuzz.outputs import Found
from gnomon.fuzz.outputs.steps import secrets_of
from gnomon.fuzz.writing import written

USER = {"type": "object", "properties": {"email": {"type": "string", "format": "email"}, "n": {"type": "integer"}}}
MAKE = Operation(method="POST", path="/users", bodies={"application/json": Media(schema=USER)})
READ = Operation(method="GET", path="/users/{id}")
API = Api(title="Odd", version="1", dialect="openapi-3.1", operations=(MAKE, READ))
ALICE = Identity(name="first", headers={"authorization": "Bearer secret-of-alice"}, query={"key": "a b/c d-key"})
SECRETS = secrets_of({"first": ALICE, "other": Identity(name="other", headers={"x-key": "secret-of-bob"})})


def exchange(
    operation: Operation, reply: Reply, *, body: Any = NOTHING, takes: tuple[Take, ...] = (), **path: Any
) -> Exchange:
    """What the first caller sends and is answered."""
    parameters: Any = {("path", name): value for name, value in path.items()}
    media_type = "application/json" if body is not NOTHING else ""
    case = Case(operation=operation, parameters=parameters, body=body, media_type=media_type)
    return Exchange(case=case, request=ALICE.signs(written(case)), reply=reply, takes=takes)


def sent(request: Request, reply: Reply | None = None) -> Exchange:
    """Bytes as they are, answered by 500."""
    body = request.body or NOTHING
    case = Case(operation=MAKE, body=body, media_type="application/json")
    return Exchange(case=case, request=request, reply=reply or Reply(status=500, body=b"no"))


def defect(*steps: Exchange, check: str = "server_error", key: tuple[str, ...] = (), **more: Any) -> Defect:
    """A certain violation of the last step."""
    title = f"{steps[-1].case.operation.key} answers {steps[-1].reply.status}"
    made = {"title": title, "severity": "high", "certain": True, "steps": steps, **more}
    return Defect(
        violation=Violation(check=check, key=key or (check, title), **made),
        reproduced=(3, 3),
        first_seen=1.5,
        requests=12,
    )


def found(*defects: Defect, api: Api = API, origin: str = "http://127.0.0.1:8000") -> Found:
    """What was found, credentials known."""
    return Found.of(api, defects, secrets=SECRETS, origin=origin, began=1_700_000_000.0, document="openapi.json")


MADE = exchange(MAKE, Reply(status=201, body=b'{"id":"7-f"}'), body={"email": "a@example.org", "n": 1})
TAKEN = (Take(step=0, expression="$response.body#/id", location="path", place="id"),)
STORY = defect(MADE, exchange(READ, Reply(status=500, body=b"secret-of-alice \x1b[31m\x00\xff"), takes=TAKEN, id="7-f"))
ODD = defect(sent(Request(method="POST", target="/users?a=[1]", body=b"\x1b[2J\x00\xff%\\'\"@ secret-of-alice")))
AT = defect(sent(Request(method="POST", target="/users", headers=(("x-a", "\x85'\u202e"),), body=b"@file")))
ALL = found(STORY, ODD, AT, defect(MADE, certain=False, title="\x1b]0;title\x07 & <b> secret-of-bob"))
