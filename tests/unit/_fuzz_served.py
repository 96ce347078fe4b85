"""Applications served on loopback from a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gnomon.data.worlds.shop import Shop, make_app
from gnomon.data.worlds.shop.server import HOST, serve


class Renewed:
    """A shop that can be made new while it is served."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.shop: Shop = make_app()

    async def __call__(self, *call: Any) -> None:
        await self.shop(*call)


class Echo:
    """Keeps what arrives; answers what it is told to."""

    def __init__(self, *answers: tuple[int, list[tuple[bytes, bytes]], bytes]) -> None:
        self.got: list[tuple[str, bytes, dict[bytes, bytes], bytes]] = []
        self._answers = list(answers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        self.got.append((scope["method"], target, dict(scope["headers"]), body))
        status, headers, answer = self._answers.pop(0) if self._answers else (200, [], b"{}")
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await send({"type": "http.response.body", "body": answer})


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an application while it is served."""
    loop, ready, port = asyncio.new_event_loop(), threading.Event(), [0]

    def run() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(serve(app, 0))
        port[0] = server.sockets[0].getsockname()[1]
        ready.set()
        loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield f"http://{HOST}:{port[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
