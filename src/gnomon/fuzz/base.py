"""The words that every stage of the fuzzer shares: what an API promises, what is sent to it, what comes back.

    loading -> Api -> generation -> Case -> Request -> transport -> Reply -> checks -> Violation -> triage -> Finding

Stages know nothing of each other: generation never waits for the network, checks see bytes really sent and received. A
reference in a schema stays one (`#/$defs/NAME` into `Api.definitions`), so recursion costs nothing until it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from gnomon.fuzz.graphql.fields import RootField

__all__ = [
    "NOTHING",
    "Answer",
    "Api",
    "Case",
    "Defect",
    "Exchange",
    "Fault",
    "Header",
    "Link",
    "Location",
    "Media",
    "Mode",
    "Operation",
    "Parameter",
    "Repair",
    "Reply",
    "Request",
    "Schema",
    "SecurityScheme",
    "Take",
    "Trace",
    "Transport",
    "Violation",
]

Schema = Mapping[str, Any] | bool
"JSON Schema 2020-12, whatever the dialect of the document it came from."

Location = Literal["path", "query", "header", "cookie", "body"]
"Where a value of a request stands."

Mode = Literal["valid", "invalid", "probe"]
"What a case means to be: within the schema, outside it where `Case.why` says, or a question to the server as such."


class _Nothing:
    """No value at all, which is not null."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = _Nothing()
"Stands for a body, or a value, that is left out."


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """A mistake in a document, put right instead of refused: JSON pointer, what was found, what it is taken for."""

    pointer: str
    found: str
    taken: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A named value outside the body.

    Attributes:
        name: as the server sees it.
        location: path, query, header or cookie.
        schema: what its value is, before it is written as text.
        required: always true in a path.
        style, explode: how arrays and objects are written (OpenAPI 3.1, sec. 4.8.12.2).
        reserved: whether `:/?#[]@!$&'()*+,;=` stand unescaped.
        media_type: where the value is written as such a document; "" where `style` writes it.
        examples: values that the document shows.
    """

    name: str
    location: Location
    schema: Schema
    required: bool
    style: str = "simple"
    explode: bool = False
    reserved: bool = False
    media_type: str = ""
    examples: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """One way to write a body: what it holds, examples, and for forms how each field is written."""

    schema: Schema
    examples: tuple[Any, ...] = ()
    encoding: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """A header that an answer promises."""

    schema: Schema
    required: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A promise that what one operation answers is what another takes.

    Attributes:
        operation: `Operation.key` of the one that takes it.
        parameters: runtime expression (`$response.body#/id`) or constant by parameter name, which `path.` and the like
            may qualify.
        body: runtime expression or constant for the body; `NOTHING` where there is none.
    """

    operation: str
    parameters: Mapping[str, Any]
    body: Any = NOTHING


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a status promises: bodies by media type (none: not said), headers by name, links by name."""

    content: Mapping[str, Schema | None] = field(default_factory=dict)
    headers: Mapping[str, Header] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class SecurityScheme:
    """How a caller says who it is: kind (apiKey, http, oauth2, openIdConnect), where and under which name."""

    kind: str
    name: str = ""
    location: str = ""
    scheme: str = ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Operation:
    """A method of a path template; equal to itself alone, so that it can be a key.

    Attributes:
        method: upper case.
        path: template as in the document, without the base path: `/users/{id}`.
        parameters: those of the path item and its own, its own winning.
        bodies: by media type; empty where it takes none.
        body_required: whether it may be left out.
        answers: by status as the document writes it: 200, 2XX, default.
        security: alternatives, each the schemes it needs together; an empty one is anonymous, none at all is public.
        name: `operationId`, "" where there is none.
        tags: as the document has them.
        root: of GraphQL, the root field that it is; method is QUERY or MUTATION, path its name, body its arguments.
        left_out: methods that the document has for this path too and that are not tested; they are never sent.
        key: `GET /users/{id}`.
    """

    method: str
    path: str
    parameters: tuple[Parameter, ...] = ()
    bodies: Mapping[str, Media] = field(default_factory=dict)
    body_required: bool = False
    answers: Mapping[str, Answer] = field(default_factory=dict)
    security: tuple[frozenset[str], ...] = ()
    name: str = ""
    tags: tuple[str, ...] = ()
    root: RootField | None = None
    left_out: frozenset[str] = frozenset()
    key: str = field(init=False)

    def __post_init__(self) -> None:
        # One text for all who ask, some fifty times a request, so that it is built and hashed once.
        object.__setattr__(self, "key", f"{self.method} {self.path}")

    def answer(self, status: int) -> Answer | None:
        """What the document promises for a status: exact, by hundreds, or default; None where it promises nothing."""
        for name in (str(status), f"{status // 100}XX", f"{status // 100}xx", "default"):
            if name in self.answers:
                return self.answers[name]
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Api:
    """What a document promises, in one form whatever its dialect.

    Attributes:
        title, version: as it says.
        dialect: openapi-2.0, openapi-3.0, openapi-3.1, openapi-3.2 or graphql.
        base_path: what stands before every path; "" or /v1.
        servers: base URLs that the document names.
        operations: in its order.
        definitions: named schemas, which `#/$defs/NAME` means in all of its schemas.
        security: schemes by name.
        repairs: what was put right on reading.
    """

    title: str
    version: str
    dialect: str
    operations: tuple[Operation, ...]
    base_path: str = ""
    servers: tuple[str, ...] = ()
    definitions: Mapping[str, Schema] = field(default_factory=dict)
    security: Mapping[str, SecurityScheme] = field(default_factory=dict)
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """The one place where a case leaves the schema: location, JSON pointer in it, the keyword broken, and how."""

    location: Location
    pointer: str
    keyword: str
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Values for one operation, before they are bytes.

    Attributes:
        operation: which.
        parameters: value by (location, name); what is absent is not sent.
        body: value of the body, `NOTHING` where none is sent, or bytes that are sent as they stand.
        media_type: how the body is written.
        mode: what it means to be.
        why: where and how it is invalid; for a valid case, which boundary it stands on.
        technique: who made it: example, boundary, negative, pool, buffer, mutation, state, probe.
        method, headers: sent instead of the operation's, "" for its own; further ones, such as a wrong content type.
        selection: of a GraphQL root field, what is asked of its answer, as `fuzz.graphql.selections` writes it.
        malformed: what is wrong with its bytes as HTTP, by its name in `fuzz.transport.malformed`; "" for nothing.
    """

    operation: Operation
    parameters: Mapping[tuple[Location, str], Any] = field(default_factory=dict)
    body: Any = NOTHING
    media_type: str = ""
    mode: Mode = "valid"
    why: tuple[Fault, ...] = ()
    technique: str = "pool"
    method: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    selection: Mapping[str, Any] = field(default_factory=dict)
    malformed: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is sent, byte for byte: target is path and query, percent-encoded; headers in order, body as it stands.
    Where `malformed` names what is wrong with it as HTTP, these are parts of the good request."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    malformed: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """An exception of a server that we run or whose traceback it sent: its type, (file, function) frames outermost
    first, and its text."""

    type: str
    frames: tuple[tuple[str, str], ...]
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        status: 0 where nothing did, with `fault` saying why.
        headers: in order, names in lower case.
        body: at most what the transport reads.
        seconds: from the first byte sent to the last one read.
        fault: "" or dropped, timeout, refused, malformed (what came is no HTTP).
        cut: whether the body goes on beyond what was read.
        trace: what an in-process application raised.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    seconds: float = 0.0
    fault: str = ""
    cut: bool = False
    trace: Trace | None = None

    def header(self, name: str) -> str | None:
        """The first header of this name (lower case); None where there is none."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """A value of a step that an earlier step answered.

    Attributes:
        step, expression: index of that step, and where it stands there, as in `$response.body#/id`.
        location, place: where it goes: a parameter's location and name, or body and a JSON pointer.
    """

    step: int
    expression: str
    location: Location
    place: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A case, its bytes and what came back.

    Attributes:
        case, request, reply: what was meant, sent and answered.
        number, at: requests sent before it, and seconds since the start.
        takes: in a scenario, which of its values earlier steps answered.
        caller: who sent it: first, other, anonymous or wrong.
    """

    case: Case
    request: Request
    reply: Reply
    number: int = 0
    at: float = 0.0
    takes: tuple[Take, ...] = ()
    caller: str = "first"


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """A broken promise.

    Attributes:
        check: which check says so.
        key: equal for two violations that are the same defect.
        title: one line, without values that differ from one time to the next.
        severity, certain: low, medium, high or critical; whether it fails a run, else it is an advice.
        detail: what was expected and what came.
        steps: exchanges that lead there, the last one the violation; more than one for scenarios.
        holds: whether other exchanges of the same steps show it again; None where the checks of the last one say so.
        root: equal for violations that likely have one cause, in whatever operations; () where nothing says so.
    """

    check: str
    key: tuple[str, ...]
    title: str
    severity: str
    certain: bool
    detail: str = ""
    steps: tuple[Exchange, ...] = ()
    holds: Callable[[Sequence[Exchange]], bool] | None = field(default=None, compare=False, repr=False)
    root: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Defect:
    """A violation as it is reported.

    Attributes:
        violation: with the fewest and smallest steps that show it.
        reproduced: times that it came back, of so many replays.
        replayed: whether there was time for them.
        first_seen, requests: seconds after the start, and requests sent until then.
        count, operations: times that it was met, and in which.
    """

    violation: Violation
    reproduced: tuple[int, int]
    first_seen: float
    requests: int
    count: int = 1
    replayed: bool = True
    operations: tuple[str, ...] = ()


class Transport(Protocol):
    """A way to a server: a socket, or an application in this process."""

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """What comes back; never raises for what a server does."""

    async def close(self) -> None:
        """Lets connections go."""
