"""The transport under every endpoint client: one session, adaptive concurrency, retries, call cache, clear errors.

The server is the border of the program: whatever it does wrong ends in one `ModelError` that names the address, what
came back and what to do. The key travels in one header and appears nowhere else.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp

from gnomon.core.errors import ModelError, UsageError
from gnomon.models.http_errors import after_s, detail_of, reason, said
from gnomon.models.limiter import Limiter

__all__ = ["CallCache", "Collector", "Http", "Page", "Refused", "Retry", "Usage"]

Json = dict[str, Any]


class CallCache(Protocol):
    """Answers by call key; values are what JSON can hold."""

    def get(self, key: str) -> Any | None:
        """The answer kept under `key`, or None."""
        ...

    def put(self, key: str, value: Any) -> None:
        """Keeps `value` under `key`."""
        ...


class Collector(Protocol):
    """Puts the events of one stream together into the reply that an ordinary call would have had."""

    @property
    def started(self) -> bool:
        """Text was handed on already, so the call cannot be repeated."""
        ...

    @property
    def done(self) -> bool:
        """The stream said that it is complete."""
        ...

    def feed(self, event: Json) -> None:
        """Takes one event."""
        ...

    def reply(self) -> Json:
        """The whole reply."""
        ...


class Page(ModelError):
    """A web page came back: the address is no endpoint's."""


class Refused(ModelError):
    """The server answers this call with an error that is not about its load; `status` is the HTTP status."""

    status: int = 0

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"status": self.status})


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How a failed call is repeated: full jitter, `Retry-After` honoured, bounded in all.

    Attributes:
        attempts: calls in all, the first included.
        base_s, cap_s: the k-th wait is uniform in [0, min(cap, base * 2**k)] seconds.
        total_s: most seconds waited for one answer.
        timeout_s: most seconds for one attempt.
        pause: waits; tests put a counter here.
    """

    attempts: int = 6
    base_s: float = 0.5
    cap_s: float = 30.0
    total_s: float = 300.0
    timeout_s: float = 300.0
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    def wait_s(self, attempt: int, after_s: float | None, draw: float) -> float:
        """Seconds to wait after failed attempt `attempt` (0 first); `draw` is uniform in [0, 1)."""
        jitter = draw * min(self.cap_s, self.base_s * 2**attempt)
        return jitter if after_s is None else after_s + draw * self.base_s


@dataclass(kw_only=True)
class Usage:
    """What a model has cost so far; tokens as the server counts them, cached calls not among them."""

    calls: int = 0
    retries: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, used: Mapping[str, Any]) -> None:
        """Adds one call whose reply says `used`."""
        self.calls += 1
        self.prompt_tokens += int(used.get("prompt_tokens") or used.get("input_tokens") or 0)
        self.completion_tokens += int(used.get("completion_tokens") or used.get("output_tokens") or 0)


@dataclass
class _Trouble(Exception):
    """A failure worth another attempt."""

    what: str
    after_s: float | None = None
    status: int = 0


@dataclass(kw_only=True)
class Http:
    """Calls of one model on one server.

    Args:
        url: what routes are appended to; without key, user or query.
        model: the model's name on the server.
        headers: sent with each call, the key's header among them.
        key: the secret, removed from whatever comes back; "" for none.
        key_variable: the environment variable that holds the key, named when the key is refused.
        max_connections: most calls in flight.
        cache: answers kept from earlier; None for none.
        revision: of the model; part of each call's key.
        plain: routes whose reply may be a text of any kind, which is then {"text": ...}.
        stream_fields: added to a body whose reply shall stream; not part of the call's key.
    """

    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    key: str = field(default="", repr=False)
    key_variable: str = ""
    max_connections: int = 64
    retry: Retry = field(default_factory=Retry)
    cache: CallCache | None = None
    revision: str = ""
    plain: frozenset[str] = frozenset()
    stream_fields: Mapping[str, Any] = field(default_factory=lambda: {"stream": True})
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        self.url = _checked(self.url)
        self._limiter = Limiter(self.max_connections)
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Only the waits between attempts depend on it, never an answer, and clients must not wait in step.
        self._random = random.SystemRandom()

    async def call(
        self,
        route: str,
        body: Mapping[str, Any],
        *,
        index: object = 0,
        stream: Callable[[], Collector] | None = None,
        fresh: bool = False,
        attempts: int | None = None,
    ) -> Json:
        """The reply to `body`, from the cache where it is there.

        Args:
            index: distinguishes calls with one body whose answers are independent draws; what JSON can hold.
            stream: makes a collector; the reply then arrives in pieces.
            fresh: ask the server even if the answer is known.
            attempts: most attempts, where that is less than usual.

        Raises:
            Refused: the server will not answer this call.
            ModelError: it cannot be reached, or what it sends cannot be read.
        """
        key = self._key(route, body, index)
        if self.cache is not None and not fresh:
            known = self.cache.get(key)
            if known is not None:
                self.usage.cached += 1
                reply: Json = known
                if stream is not None:
                    stream().feed(reply)
                return reply
        extra = self.stream_fields if stream is not None else {}
        most = min(self.retry.attempts, attempts or self.retry.attempts)
        reply = await self._repeat(route, json.dumps({**body, **extra}).encode(), key, stream, most)
        self.usage.add(reply.get("usage") or {})
        if self.cache is not None and not fresh:
            self.cache.put(key, reply)
        return reply

    @property
    def num_slots(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limiter.limit)

    async def close(self) -> None:
        """Closes the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _key(self, route: str, body: Mapping[str, Any], index: object) -> str:
        told = json.dumps([self.model, self.revision, route, body, index], sort_keys=True)
        return hashlib.blake2b(told.encode(), digest_size=20).hexdigest()

    async def _repeat(
        self, route: str, data: bytes, key: str, stream: Callable[[], Collector] | None, most: int
    ) -> Json:
        session = self._open()
        waited_s = 0.0
        for attempt in range(most):
            since = await self._limiter.acquire()
            collector = stream() if stream is not None else None
            try:
                reply = await self._attempt(session, route, data, key, collector)
                self._limiter.succeeded()
                return reply
            except _Trouble as t:
                trouble = t
                self._limiter.overloaded(since)
            finally:
                self._limiter.release()
            wait_s = self.retry.wait_s(attempt, trouble.after_s, self._random.random())
            started = collector is not None and collector.started
            if started or attempt + 1 == most or waited_s + wait_s > self.retry.total_s:
                raise self._given_up(route, trouble, attempt + 1, started)
            waited_s += wait_s
            self.usage.retries += 1
            await self.retry.pause(wait_s)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(
        self, session: aiohttp.ClientSession, route: str, data: bytes, key: str, collector: Collector | None
    ) -> Json:
        try:
            async with session.post(
                self.url + route, data=data, headers={"Idempotency-Key": key}, allow_redirects=False
            ) as response:
                kind = response.headers.get("Content-Type", "")
                if response.status == 200 and collector is not None and kind.startswith("text/event-stream"):
                    await self._collect(response, collector)
                    return collector.reply()
                raw = await response.read()
                reply = self._read(route, response, kind, raw)
        except TimeoutError:
            raise _Trouble(f"no answer within {self.retry.timeout_s:g} s") from None
        except aiohttp.ClientPayloadError:
            raise _Trouble("the reply was cut off") from None
        except (aiohttp.ClientError, OSError) as e:
            raise _Trouble(f"cannot connect ({self._clean(reason(e))})") from None
        if collector is not None:
            collector.feed(reply)
        return reply

    async def _collect(self, response: aiohttp.ClientResponse, collector: Collector) -> None:
        rest = b""
        async for piece in response.content.iter_any():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._line(line.strip(), collector)
        if not collector.done:
            raise _Trouble("the stream was cut off")

    def _line(self, line: bytes, collector: Collector) -> None:
        if not line.startswith(b"data:") or line == b"data: [DONE]":
            return
        try:
            event = json.loads(self._clean(line[5:].decode("utf-8", "replace")))
        except ValueError:
            raise _Trouble("the stream holds an event that is not JSON") from None
        if isinstance(event, dict):
            if event.get("error"):
                raise _Trouble(f"the stream ended with an error ({detail_of(event)})")
            collector.feed(event)

    def _read(self, route: str, response: aiohttp.ClientResponse, kind: str, raw: bytes) -> Json:
        text = self._clean(raw.decode("utf-8", "replace"))
        status = response.status
        try:
            reply = json.loads(text)
        except ValueError:
            reply = None
        detail = detail_of(reply) if isinstance(reply, dict) else ""
        if status != 200:
            if status in (408, 409, 425, 429) or status >= 500:
                if "insufficient_quota" in text:
                    raise self._refusal(route, status, detail)
                raise _Trouble(f"HTTP {status}{said(detail)}", after_s(response.headers.get("Retry-After")), status)
            raise self._refusal(route, status, detail)
        if isinstance(reply, dict):
            if reply.get("error"):
                raise self._refusal(route, status, detail)
            return reply
        if route in self.plain:
            return {"text": text}
        if kind.startswith("text/html") or text.lstrip().startswith("<"):
            raise Page(
                "answered with an HTML page, not JSON",
                where=self.url + route,
                todo="check the URL; it often ends in /v1",
            )
        raise _Trouble(f"the reply is not whole JSON ({len(raw)} bytes that begin {text[:40]!r})")

    def _refusal(self, route: str, status: int, detail: str) -> Refused:
        what, todo = f"HTTP {status}{said(detail)}", "check the call against what the server supports"
        if status in (401, 403):
            what = f"the key was refused (HTTP {status})" if self.key else f"a key is needed (HTTP {status})"
            todo = f"put a valid key into the environment variable {self.key_variable}"
        elif status == 404:
            what = f"no model {self.model!r} or no such route (HTTP 404{said(detail)})"
            todo = f"see {self.url}/models for what it serves"
        elif 300 <= status < 400:
            what, todo = f"redirects elsewhere (HTTP {status})", "give the final URL"
        refused = Refused(what, where=self.url + route, todo=todo)
        refused.status = status
        return refused

    def _given_up(self, route: str, trouble: _Trouble, attempts: int, started: bool) -> ModelError:
        times = "after part of the text was shown" if started else f"after {attempts} attempts"
        if trouble.after_s is not None and trouble.after_s > self.retry.total_s:
            times += f", and it asks to wait {trouble.after_s:.0f} s"
        todo = "see that the server runs and is not overloaded, then give the same command again to resume"
        if trouble.status not in (500, 501):
            return ModelError(f"{trouble.what}, {times}", where=self.url + route, todo=todo)
        refused = Refused(f"{trouble.what}, {times}", where=self.url + route, todo=todo)
        refused.status = trouble.status
        return refused

    def _open(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            # Sessions and waiters belong to their loop, so another one gets new ones.
            self._loop, self._limiter = loop, Limiter(self.max_connections)
            timeout = aiohttp.ClientTimeout(total=self.retry.timeout_s, sock_connect=min(10.0, self.retry.timeout_s))
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Content-Type": "application/json", "User-Agent": "gnomon", **self.headers},
                timeout=timeout,
            )
        return self._session

    def _clean(self, text: str) -> str:
        return text.replace(self.key, "[key]") if self.key and self.key in text else text


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is no URL of an endpoint", todo="write http://host:port/v1 or https://host/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"the URL of {parts.hostname} holds more than host and path",
            todo="give the bare URL; a key goes into an environment variable",
        )
    return url.rstrip("/")
