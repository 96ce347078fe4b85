"""CPU time of one endpoint call, bare aiohttp beside it.

    python -m benches.endpoint [--json FILE] [--calls 4000]

The server runs in another process, so `time.process_time` counts the client alone. Each figure is the median of five
rounds after a warm-up. The target is 0.5 ms a call at 200 connections.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp

from gnomon.models.base import Message, Sampling
from gnomon.models.endpoint import Endpoint

CONNECTIONS = (10, 50, 200)
ROUNDS = 5
TARGET_MS = 0.5
HOW = Sampling(max_tokens=1)
One = Callable[[int], Awaitable[object]]


class Kept(dict[str, Any]):
    """A call cache in memory, so that the figure is the client's and not the store's."""

    def put(self, key: str, value: Any) -> None:
        """Keeps `value`."""
        self[key] = value


# The least server that answers: it must not be what limits the client.
SERVER = """
import asyncio

BODY = b'{"id":"r","model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant",'
BODY += b'"content":"(A)"}}],"usage":{"prompt_tokens":40,"completion_tokens":3}}'
REPLY = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(BODY) + BODY

async def answer(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\\r\\n")[0]))
            writer.write(REPLY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="file for the figures")
    parser.add_argument("--calls", type=int, default=2000, help="calls a round")
    args = parser.parse_args()
    with _server() as url:
        figures = asyncio.run(_measured(url, args.calls))
    print(f"{'client':24}{'connections':>12}{'CPU ms/call':>13}{'wall ms/call':>14}")
    for f in figures:
        print(f"{f['client']:24}{f['connections']:>12}{f['cpu_ms']:>13.3f}{f['wall_ms']:>14.3f}")
    ours = next(f for f in figures if f["client"] == "gnomon" and f["connections"] == 200)
    print(f"target at 200 connections: {TARGET_MS} ms; {'met' if ours['cpu_ms'] <= TARGET_MS else 'MISSED'}")
    if args.json:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        with open(args.json, "w") as file:
            json.dump({"bench": "endpoint", "target_cpu_ms": TARGET_MS, "peak_bytes": peak, "figures": figures}, file)


@contextmanager
def _server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.terminate()
        process.wait()


async def _measured(url: str, calls: int) -> list[dict[str, Any]]:
    figures = []
    for connections in CONNECTIONS:
        bare = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections))
        ours = Endpoint(url, "m", max_connections=connections)
        kept = Endpoint(url, "m", max_connections=connections, cache=Kept())
        clients: dict[str, One] = {
            "aiohttp alone": functools.partial(_call_bare, bare, url),
            "gnomon": functools.partial(_call, ours),
            "gnomon, answers known": functools.partial(_call, kept),
        }
        for one in clients.values():
            await _round(one, connections, calls)
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
        # Rounds take turns, so that what else the machine does falls on all alike.
        for _ in range(ROUNDS):
            for name, one in clients.items():
                spent[name].append(await _round(one, connections, calls))
        for name, rounds in spent.items():
            cpu, wall = (statistics.median(r) for r in zip(*rounds, strict=True))
            figures.append({"client": name, "connections": connections, "cpu_ms": cpu, "wall_ms": wall})
        await asyncio.gather(bare.close(), ours.close(), kept.close())
    return figures


async def _round(one: One, connections: int, calls: int) -> tuple[float, float]:
    """CPU and wall milliseconds a call; `connections` workers keep that many calls in flight."""
    numbers = iter(range(calls))

    async def work() -> None:
        for i in numbers:
            await one(i)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    return 1e3 * (time.process_time() - cpu) / calls, 1e3 * (time.perf_counter() - wall) / calls


def _messages(i: int) -> list[Message]:
    return [Message("system", "Answer with a letter."), Message("user", f"Question {i}: which?\n (A) one\n (B) two")]


async def _call(model: Endpoint, i: int) -> object:
    return await model.sample(_messages(i), HOW)


async def _call_bare(session: aiohttp.ClientSession, url: str, i: int) -> object:
    body = {"model": "m", "messages": [m._asdict() for m in _messages(i)], "max_tokens": 1, "temperature": 1.0}
    async with session.post(f"{url}/chat/completions", json=body) as response:
        return await response.json()


if __name__ == "__main__":
    main()
