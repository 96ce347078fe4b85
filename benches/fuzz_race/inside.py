"""What calling an application in this process is worth: the same search of the shop, inside and through a socket.

Each search is a process of its own, with a budget in requests. Inside, one thread pays for the fuzzer and the
application; through a socket two processes do, each with HTTP on top. `alone` is what the application and the way into
it cost when the search's requests are sent again by hand, so no fuzzer can be quicker than that.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benches.fuzz_race.processes import Tree, start
from benches.fuzz_race.racing import explained_by
from gnomon.data.worlds.shop import TOKENS, make_app
from gnomon.fuzz.base import Exchange, Request
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.identities import Credentials
from gnomon.fuzz.searching import Search
from gnomon.fuzz.targets import Target, mounted, opened
from gnomon.fuzz.transport import AsgiTransport

__all__ = ["inside_table", "searched"]

Run = Mapping[str, Any]
_SECONDS = 3600.0


def searched(requests: int, seeds: Sequence[int], connections: Sequence[int]) -> list[dict[str, Any]]:
    """Two runs a seed and number of connections, by turns: inside and through a socket."""
    asked = [(way, requests, seed, n) for seed in seeds for n in connections for way in ("inside", "socket")]
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as fresh:
        return [fresh.submit(_run, *each).result() for each in asked]


def _run(way: str, requests: int, seed: int, connections: int) -> dict[str, Any]:
    config = Fuzzing(max_time=_SECONDS, max_requests=requests, connections=connections, seed=seed)
    with ExitStack() as kept:
        target, server = _opened(way, config, kept)
        callers = Credentials(bearer=TOKENS["alice"], other_bearer=TOKENS["bob"]).callers(target.api)
        search, sent = Search(target, config, callers), list[Request]()
        search.campaign.watch = _also(search.campaign.watch, sent)
        idle, cpu, wall = server.looked() if server else 0.0, process_time(), perf_counter()
        asyncio.run(_to_the_end(search))
        cpu, wall = process_time() - cpu, perf_counter() - wall
        of_server = server.looked() - idle if server else 0.0
    told = [explained_by(*each.violation.key[:2]) for each in search.found().certain]
    count = search.sender.requests
    return {
        "way": way,
        "seed": seed,
        "connections": connections,
        "requests": count,
        "per_second": round(count / wall),
        "fuzzer_ms": round(1000 * cpu / count, 3),
        "server_ms": round(1000 * of_server / count, 3),
        "alone_ms": round(1000 * asyncio.run(_alone(sent)) / count, 3) if way == "inside" else None,
        "told": sorted({name for names in told for name in names}),
        "alarms": sum(not names for names in told),
    }


def _opened(way: str, config: Fuzzing, kept: ExitStack) -> tuple[Target, Tree | None]:
    if way == "inside":
        return mounted(make_app(), None, config), None
    folder = Path(kept.enter_context(tempfile.TemporaryDirectory()))
    words = [sys.executable, "-m", "gnomon.data.worlds.shop"]
    server = start(words, out=folder / "server.txt", cwd=folder, piped=True)
    kept.callback(server.end)
    assert server.process.stdout is not None
    return opened(f"{server.process.stdout.readline().strip()}/openapi.json", config), server


def _also(watch: Callable[[Exchange], None], sent: list[Request]) -> Callable[[Exchange], None]:
    def watched(exchange: Exchange) -> None:
        sent.append(exchange.request)
        watch(exchange)

    return watched


async def _to_the_end(search: Search) -> None:
    async for _ in search.defects():
        pass


async def _alone(sent: Sequence[Request]) -> float:
    """Processor seconds of a new shop for these requests."""
    transport = AsgiTransport(make_app())
    began = process_time()
    for request in sent:
        await transport.send(request, timeout=_SECONDS)
    spent = process_time() - began
    await transport.close()
    return spent


def inside_table(runs: Sequence[Run]) -> str:
    """A row a number of connections: medians, their ratios, and planted defects that one way alone told of."""
    lines = [
        "| connections | way | requests/s | fuzzer, ms | server, ms | told of in all runs together |",
        "|---|---|---|---|---|---|",
    ]
    for n in sorted({run["connections"] for run in runs}):
        sides = {way: [r for r in runs if r["connections"] == n and r["way"] == way] for way in ("inside", "socket")}
        for way, of in sides.items():
            cells = [f"{_median(of, name):g}" for name in ("per_second", "fuzzer_ms", "server_ms")]
            lines.append(f"| {n} | {way} | {' | '.join(cells)} | {len(_told(of))} |")
        lines.append(_said(sides["inside"], sides["socket"]))
    return "\n".join(lines)


def _said(inside: Sequence[Run], socket: Sequence[Run]) -> str:
    """How many times as many requests, as measured, by turns on one core, at once on two; and the most there can be."""
    ours, alone = _median(inside, "fuzzer_ms"), _median(inside, "alone_ms")
    fuzzer, server = _median(socket, "fuzzer_ms"), _median(socket, "server_ms")
    wall = statistics.median(one["per_second"] / other["per_second"] for one, other in zip(inside, socket, strict=True))
    apart = sorted(_told(inside) ^ _told(socket))
    return (
        f"measured {wall:.2f}; by processor time {(fuzzer + server) / ours:.2f} by turns, "
        f"{max(fuzzer, server) / ours:.2f} at once; the application alone {alone:g} ms, with which it were "
        f"{(fuzzer + server) / alone:.2f} and {max(fuzzer, server) / alone:.2f}; told of one way only: {apart}"
    )


def _told(runs: Sequence[Run]) -> set[str]:
    return {name for run in runs for name in run["told"]}


def _median(runs: Sequence[Run], name: str) -> float:
    return float(statistics.median(run[name] for run in runs))
