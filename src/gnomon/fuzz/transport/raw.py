"""Bytes as they are over a connection of their own, and what comes back, for requests that no HTTP client sends."""

from __future__ import annotations

import asyncio
import ssl
from time import perf_counter
from urllib.parse import urlsplit

from gnomon.fuzz.base import Reply
from gnomon.fuzz.transport.limits import MAX_BODY, MAX_STREAM

__all__ = ["sent_raw"]


async def sent_raw(origin: str, data: bytes, *, timeout: float) -> Reply:
    """What a server answers to bytes.

    Args:
        origin: scheme, host and port.
        timeout: seconds for all of it, at most `MAX_STREAM`; a server that still waits for more has not answered.

    Returns:
        A reply, `dropped` where the server closes without one, `malformed` where what it says is no HTTP.
    """
    began, said = perf_counter(), b""
    fault = "dropped"
    try:
        async with asyncio.timeout(min(timeout, MAX_STREAM)):
            reader, writer = await _connected(origin)
            try:
                writer.write(data)
                await writer.drain()
                while len(said) < MAX_BODY and not _whole(said):
                    part = await reader.read(MAX_BODY)
                    if not part:
                        break
                    said += part
            finally:
                writer.close()
    except TimeoutError:
        fault = "timeout"
    except ConnectionRefusedError:
        fault = "refused"
    except OSError:
        pass  # closed while it was written to, perhaps with an answer before
    return _read(said, perf_counter() - began, fault)


async def _connected(origin: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    where = urlsplit(origin)
    secure = ssl.create_default_context() if where.scheme == "https" else None
    port = where.port or (443 if secure else 80)
    return await asyncio.open_connection(where.hostname, port, ssl=secure)


def _whole(said: bytes) -> bool:
    """Whether an answer with a length has come to its end; others end as the connection does."""
    head, end, body = said.partition(b"\r\n\r\n")
    length = dict(_headers(head)).get("content-length", "")
    return bool(end) and length.isdecimal() and len(body) >= int(length)


def _read(said: bytes, seconds: float, fault: str) -> Reply:
    if not said:
        return Reply(status=0, seconds=seconds, fault=fault)
    head, _, body = said.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return Reply(status=0, body=said, seconds=seconds, fault="malformed")
    return Reply(status=int(words[1]), headers=_headers(head), body=body, seconds=seconds)


def _headers(head: bytes) -> tuple[tuple[str, str], ...]:
    lines = head.decode("utf-8", "replace").split("\r\n")[1:]
    pairs = [line.partition(":")[::2] for line in lines]
    return tuple((name.strip().lower(), value.strip()) for name, value in pairs)
