"""A WSGI application in this process, each call in a thread of a pool."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any
from urllib.parse import unquote_to_bytes

from gnomon.fuzz.base import Reply, Request
from gnomon.fuzz.transport.limits import MAX_BODY
from gnomon.fuzz.transport.traces import trace_of

__all__ = ["WsgiTransport"]

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class WsgiTransport:
    """Calls `app` once a request.

    Args:
        app: a WSGI application (PEP 3333).
        threads: calls at a time.
        host: what it is told that it is called by.
    """

    def __init__(self, app: App, *, threads: int = 8, host: str = "testserver") -> None:
        self._app, self._host = app, host
        self._pool = ThreadPoolExecutor(threads)

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """What the application answers; status 500 with `trace` where it raises."""
        began, loop = perf_counter(), asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                return await loop.run_in_executor(self._pool, self._call, request, began)
        except TimeoutError:
            return Reply(status=0, seconds=perf_counter() - began, fault="timeout")

    async def close(self) -> None:
        """Lets the threads go; one that never returns is left behind."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _call(self, request: Request, began: float) -> Reply:
        status = 0
        headers: tuple[tuple[str, str], ...] = ()
        parts: list[bytes] = []

        def start_response(line: str, given: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
            nonlocal status, headers
            status = int(line.split()[0])
            headers = tuple((name.lower(), value) for name, value in given)
            return parts.append

        try:
            found = self._app(_environ(request, self._host), start_response)
            for part in found:
                parts.append(part)
                if sum(map(len, parts)) > MAX_BODY:
                    break
            getattr(found, "close", lambda: None)()
        except Exception as error:
            return Reply(
                status=status or 500,
                headers=headers,
                body=b"".join(parts),
                seconds=perf_counter() - began,
                trace=trace_of(error),
            )
        body = b"".join(parts)
        return Reply(
            status=status,
            headers=headers,
            body=body[:MAX_BODY],
            seconds=perf_counter() - began,
            cut=len(body) > MAX_BODY,
        )


def _environ(request: Request, host: str) -> dict[str, Any]:
    path, _, query = request.target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "RAW_URI": request.target,
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": host,
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value.encode().decode("latin-1")
    return environ
