"""Where a document comes from: a file, a URL, an application of this process, or a program that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from gnomon.core.errors import DataError
from gnomon.fuzz.base import Request
from gnomon.fuzz.loading.dialects import dialect_of
from gnomon.fuzz.loading.introspection import ENDPOINTS, introspected, introspection
from gnomon.fuzz.loading.parsing import parsed, plain
from gnomon.fuzz.loading.repairs import Ledger
from gnomon.fuzz.transport import transport_of

if TYPE_CHECKING:
    import aiohttp

__all__ = ["COMMON", "Document", "from_app", "from_file", "from_url", "is_text", "opened"]

COMMON = ("/openapi.json", "/swagger.json", "/v3/api-docs", "/openapi.yaml", "/api/schema/")
"Where servers keep their document by custom."
MAX_BYTES = 64 * 2**20
MAX_REDIRECTS = 5
TIMEOUT = 30.0
"Seconds for one document."


class Document(NamedTuple):
    """A document as it was read.

    Attributes:
        content: what it holds; text for GraphQL's schema language.
        place: its path or URL; "" for none.
        endpoint: path at which a server answers GraphQL; "" for other documents.
    """

    content: Any
    place: str = ""
    endpoint: str = ""


class _Answer(NamedTuple):
    place: str
    status: int
    media_type: str
    text: str

    def __str__(self) -> str:
        first = next((line.strip() for line in self.text.splitlines() if line.strip()), "")
        begins = f", which begins {first[:80]!r}" if first else " and an empty body"
        return f"status {self.status}, content type {self.media_type or 'none'}{begins}"


def opened(schema: object, ledger: Ledger) -> Document:
    """What `schema` is or leads to: mapping, path, http URL, text of a document, or application.

    Raises:
        DataError: nothing can be read there, or it is no document.
    """
    if isinstance(schema, Mapping):
        return Document(plain(schema, ledger))
    if isinstance(schema, Path):
        return from_file(str(schema), ledger)
    if isinstance(schema, str):
        if urlsplit(schema).scheme in ("http", "https"):
            return from_url(schema, ledger, search=True)
        if is_text(schema):
            return Document(_content(schema, "the text given", ledger))
        return from_file(schema, ledger)
    if callable(schema):
        return from_app(schema, ledger)
    raise DataError(
        f"a {type(schema).__name__} is no schema", todo="give a path, a URL, a mapping, or an ASGI or WSGI application"
    )


def is_text(schema: str) -> bool:
    """Whether it is a document itself and not the name of one."""
    return "\n" in schema or schema.lstrip()[:1] == "{"


def from_file(path: str, ledger: Ledger) -> Document:
    """The document in a file, in UTF-8.

    Raises:
        DataError: it cannot be read, or holds neither JSON, YAML nor GraphQL.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"cannot be read ({why})", where=path, todo="give a JSON or YAML file, or a URL") from None
    return Document(_content(text, path, ledger), str(Path(path).resolve()))


def from_url(url: str, ledger: Ledger, *, search: bool = False) -> Document:
    """The document at a URL; where that is a bare host and `search`, at the first common location that has one.

    With `search` a server that answers GraphQL there is asked for its schema. Redirects are followed within the host
    alone.

    Raises:
        DataError: there is none; the message has what came instead, and with `search` what the common locations hold.
    """
    answer = _run(_got(url))
    try:
        return Document(_document(answer, ledger, whole=search), answer.place)
    except DataError as error:
        if not search:
            raise
        fault = error.what
    parts = urlsplit(url)
    bare = parts.path in ("", "/")
    told = None if bare else introspected(_run(_got(url, introspection())).text, url)
    if told:
        return Document(told, url, parts.path)
    found = _searched(f"{parts.scheme}://{parts.netloc}", ledger)
    if isinstance(found, str):
        raise DataError(fault, where=url, todo=f"give the URL of the document; tried {found}")
    if bare:
        return found
    raise DataError(fault, where=url, todo=f"there is one at {found.place}")


def from_app(app: Any, ledger: Ledger, at: str = "") -> Document:
    """The document that an ASGI or WSGI application serves at a path or, where none is given, at a common location; or
    the schema of GraphQL that it tells there.

    Raises:
        DataError: it serves none.
    """
    tried = []
    for answer in _run(_asked(app, [Request(method="GET", target=path) for path in ([at] if at else COMMON)])):
        try:
            return Document(_document(answer, ledger, whole=True))
        except DataError:
            tried.append(f"{answer.place} ({answer.status})")
    for answer in _run(_asked(app, [introspection(path) for path in ([at] if at else ENDPOINTS)])):
        told = introspected(answer.text, answer.place)
        if told:
            return Document(told, answer.place, answer.place)
    todo = "give the document itself"
    raise DataError(f"the application serves no document; tried {', '.join(tried)}", todo=todo)


async def _asked(app: Any, requests: Sequence[Request]) -> list[_Answer]:
    """What an application answers."""
    transport = transport_of(app)
    answers = []
    for request in requests:
        reply = await transport.send(request, timeout=TIMEOUT)
        if reply.cut:
            what, todo = f"its document is larger than the {len(reply.body):,} bytes read", "give it as a file"
            raise DataError(what, where=request.target, todo=todo)
        text = reply.body.decode("utf-8", "replace")
        answers.append(_Answer(request.target, reply.status, reply.header("content-type") or "", text))
    await transport.close()
    return answers


def _searched(origin: str, ledger: Ledger) -> Document | str:
    """The first document at a common location of a host, or what was tried."""
    tried = []
    for path in COMMON:
        status = "no answer"
        try:
            answer = _run(_got(origin + path))
            status = str(answer.status)
            return Document(_document(answer, ledger, whole=True), answer.place)
        except DataError:
            tried.append(f"{path} ({status})")
    for path in ENDPOINTS:
        told = introspected(_run(_got(origin + path, introspection())).text, origin + path)
        if told:
            return Document(told, origin + path, path)
    return ", ".join(tried)


def _document(answer: _Answer, ledger: Ledger, *, whole: bool) -> Any:
    """What an answer holds: any value, or with `whole` an API description."""
    if answer.status != 200 or answer.text.lstrip()[:1] == "<":
        raise DataError(f"holds no document: {answer}", where=answer.place)
    try:
        content = _content(answer.text, answer.place, ledger)
        if whole:
            dialect_of(content)
    except DataError as error:
        raise DataError(f"holds no document: {answer}; it {error.what}", where=answer.place, todo=error.todo) from None
    return content


def _content(text: str, where: str, ledger: Ledger) -> Any:
    try:
        if dialect_of(text) == "graphql":
            return text
    except DataError:
        pass
    return parsed(text, where, ledger)


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine, also where a loop already runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


async def _got(url: str, request: Request | None = None) -> _Answer:
    """What a URL answers to a GET, or to this request."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    method = request.method if request else "GET"
    body, headers = (request.body, dict(request.headers)) if request else (None, {})
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for _ in range(MAX_REDIRECTS):
                async with session.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
                    location = response.headers.get("location", "")
                    if response.status in (301, 302, 303, 307, 308) and location:
                        url = _within(url, urljoin(url, location))
                        continue
                    body = await _read(response, url)
                    media_type = response.headers.get("content-type", "")
                    return _Answer(url, response.status, media_type, body.decode("utf-8-sig", "replace"))
    except TimeoutError:
        raise DataError(f"no answer within {TIMEOUT:g} s", where=url, todo="see that the server runs") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise DataError(f"cannot be reached ({error})", where=url, todo="see that the server runs") from None
    raise DataError(f"redirects more than {MAX_REDIRECTS} times", where=url, todo="give the URL of the document")


def _within(url: str, location: str) -> str:
    if urlsplit(location).hostname == urlsplit(url).hostname:
        return location
    raise DataError(f"redirects to another host, {location}", where=url, todo="give that URL if you may reach it")


async def _read(response: aiohttp.ClientResponse, url: str) -> bytes:
    parts, size = [], 0
    while part := await response.content.read(2**20):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise DataError(f"is larger than {MAX_BYTES >> 20} MiB", where=url, todo="give a document, not data")
    return b"".join(parts)
