"""Stands between a fuzzer and a service: passes every byte on, and writes down what was asked and answered.

python -m benches.fuzz_race.relay --upstream PORT --out FOLDER

prints its own port. `exchanges.ndjson` has a line an exchange: at (seconds since the epoch), method, target, status,
media types, hashes of the bodies, seconds. `bodies.ndjson` has each body once, by its hash.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any

from benches.fuzz_race.framing import Message, Splitter, Unreadable

HOST = "127.0.0.1"


class Book:
    """Where exchanges are written down."""

    def __init__(self, folder: Path) -> None:
        self._exchanges = (folder / "exchanges.ndjson").open("w", encoding="utf-8")
        self._bodies = (folder / "bodies.ndjson").open("w", encoding="utf-8")
        self._known: set[str] = set()

    def note(self, request: Message, answer: Message | None, began: float) -> None:
        """Writes an exchange down; without an answer its status is 0."""
        line = {
            "at": round(began, 4),
            "method": request.start[0],
            "target": request.start[1],
            "request_type": request.headers.get("content-type", ""),
            "request_body": self._body(request),
            "status": answer.status if answer else 0,
            "type": answer.headers.get("content-type", "") if answer else "",
            "body": self._body(answer) if answer else "",
            "seconds": round(time.time() - began, 5),
        }
        self._exchanges.write(json.dumps(line) + "\n")

    def _body(self, message: Message) -> str:
        if not message.body:
            return ""
        name = hashlib.blake2b(message.body, digest_size=8).hexdigest()
        if name not in self._known:
            self._known.add(name)
            text = base64.b64encode(message.body).decode()
            coding = message.headers.get("content-encoding", "")
            self._bodies.write(json.dumps({"hash": name, "base64": text, "coding": coding}) + "\n")
        return name

    def close(self) -> None:
        """Everything is on disk after it."""
        self._exchanges.close()
        self._bodies.close()


class Client(asyncio.Protocol):
    """The fuzzer's end; what comes before the service's end is there waits."""

    def __init__(self, upstream: int, book: Book) -> None:
        self._upstream, self._book = upstream, book
        self._waiting: list[bytes] | None = []
        self._requests, self._answers = Splitter(answers=False), Splitter(answers=True)
        self._asked: deque[tuple[Message, float]] = deque()
        self._early: deque[Message] = deque()
        self._blind = False
        self.transport: Any = None
        self._service: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._task = asyncio.get_running_loop().create_task(self._reach())

    async def _reach(self) -> None:
        try:
            loop = asyncio.get_running_loop()
            self._service, _ = await loop.create_connection(lambda: Service(self), HOST, self._upstream)
        except OSError:
            self.transport.close()
            return
        for data in self._waiting or ():
            self._service.write(data)
        self._waiting = None

    def data_received(self, data: bytes) -> None:
        began = time.time()
        if self._waiting is None:
            self._service.write(data)
        else:
            self._waiting.append(data)
        if self._blind:
            return
        try:
            for request in self._requests.feed(data):
                self._answers.expect(request.start[0])
                if self._early:
                    self._book.note(request, self._early.popleft(), began)
                else:
                    self._asked.append((request, began))
        except Unreadable:
            self._blind = True

    def answered(self, data: bytes) -> None:
        """What the service sends."""
        self.transport.write(data)
        if self._blind:
            return
        try:
            for answer in self._answers.feed(data):
                self._note(answer)
        except Unreadable:
            self._blind = True

    def finished(self) -> None:
        """The service has closed its end."""
        if not self._blind:
            for answer in self._answers.ended():
                self._note(answer)
        self.transport.close()

    def _note(self, answer: Message) -> None:
        if self._asked:
            request, began = self._asked.popleft()
            self._book.note(request, answer, began)
        else:
            # A service may answer a request before all of it has come; the answer waits for the rest.
            self._early.append(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if self._service is not None:
            self._service.close()
        while self._asked:
            request, began = self._asked.popleft()
            self._book.note(request, None, began)


class Service(asyncio.Protocol):
    """The service's end of a client's connection."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.answered(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.finished()


async def run(upstream: int, folder: Path) -> None:
    """Relays until it is told to end."""
    loop, stopped, book = asyncio.get_running_loop(), asyncio.Event(), Book(folder)
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(lambda: Client(upstream, book), HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()
    book.close()


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    asyncio.run(run(args.upstream, args.out))


if __name__ == "__main__":
    main()
