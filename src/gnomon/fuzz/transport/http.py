"""Over a socket, with aiohttp: the target as it stands, no redirects, no cookies, a limit on what is read."""

from __future__ import annotations

import asyncio
import zlib
from time import perf_counter
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from gnomon.fuzz.base import Reply, Request
from gnomon.fuzz.transport.limits import MAX_BODY, MAX_STREAM
from gnomon.fuzz.transport.malformed import malformed
from gnomon.fuzz.transport.raw import sent_raw

__all__ = ["HttpTransport"]


class HttpTransport:
    """One server, many connections.

    Args:
        origin: scheme, host and port; what stands before a request's target.
        connections: at most so many at a time.
    """

    def __init__(self, origin: str, *, connections: int = 64) -> None:
        self._origin = origin.rstrip("/")
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """What the server answers; a fault of the connection is a reply with `fault`, not an exception.

        A connection may have been closed for being idle, so what is dropped is sent once more.
        """
        if request.malformed:
            data = malformed(request, urlsplit(self._origin).netloc)
            return await sent_raw(self._origin, data, timeout=timeout)
        reply = await self._sent(request, timeout)
        if reply.fault != "dropped":
            return reply
        again = await self._sent(request, timeout)
        return reply if again.fault == "refused" else again

    async def _sent(self, request: Request, timeout: float) -> Reply:
        session, began = self._opened(), perf_counter()
        try:
            async with (
                asyncio.timeout(timeout),
                session.request(
                    request.method,
                    URL(self._origin + request.target, encoded=True),
                    headers=request.headers,
                    data=request.body or None,
                    allow_redirects=False,
                ) as response,
            ):
                body, cut = await _read(response)
                body = body if cut else _plain(body, response.headers.get("Content-Encoding", ""))
                headers = tuple((name.lower(), value) for name, value in response.headers.items())
                return Reply(
                    status=response.status, headers=headers, body=body, seconds=perf_counter() - began, cut=cut
                )
        except TimeoutError:
            return Reply(status=0, seconds=perf_counter() - began, fault="timeout")
        except aiohttp.ClientConnectorError:
            return Reply(status=0, seconds=perf_counter() - began, fault="refused")
        except aiohttp.ClientResponseError as error:
            said = error.message.encode("utf-8", "replace")
            return Reply(status=0, body=said, seconds=perf_counter() - began, fault="malformed")
        except (aiohttp.ClientError, ConnectionError, ValueError) as error:
            return Reply(status=0, body=repr(error).encode(), seconds=perf_counter() - began, fault="dropped")

    async def close(self) -> None:
        """Closes every connection."""
        if self._session:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                skip_auto_headers=("content-type", "user-agent", "accept-encoding"),
                max_line_size=65536,
                max_field_size=65536,
            )
        return self._session


async def _read(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """At most `MAX_BODY` bytes, for at most `MAX_STREAM` seconds; and whether there was more."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(MAX_STREAM):
            while size < MAX_BODY:
                part = await response.content.read(MAX_BODY - size)
                if not part:
                    return b"".join(parts), False
                parts.append(part)
                size += len(part)
    except TimeoutError:
        pass
    response.close()
    return b"".join(parts), True


def _plain(body: bytes, encoding: str) -> bytes:
    """The body without gzip or deflate; as it stands where it has another encoding or is broken."""
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, MAX_BODY)
    except zlib.error:
        return body
