"""A service on a socket: opened, told about, and closed when what is in flight is answered."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from gnomon.core.errors import UsageError
from gnomon.serve.app import Service, is_loopback
from gnomon.serve.speaker import Formulas, Speaker, Weights

if TYPE_CHECKING:
    from gnomon.models.base import Model

__all__ = ["check_host", "listening", "serve_until_stopped", "speaker_of"]


def speaker_of(model: Model) -> Speaker:
    """The model as the routes see it."""
    from gnomon.models.planted import PlantedModel

    if isinstance(model, PlantedModel):
        return Formulas(model)
    from gnomon.models.local import LocalModel

    if isinstance(model, LocalModel):
        return Weights(model)
    raise UsageError(f"{model.name!r} is on another server already", todo="serve a model that is on this machine")


def check_host(host: str, token: str) -> None:
    """Raises `UsageError` where others could reach the server and nothing keeps them out."""
    if not is_loopback(host) and not token:
        raise UsageError(f"--host {host} opens the model to others", todo="give a --token that clients must send")


@asynccontextmanager
async def listening(service: Service, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """The server's address, such as "http://127.0.0.1:8000"; at the end, requests in flight are answered first.

    Args:
        service: what answers.
        host: name or address to listen on.
        port: 0 takes a free one.

    Raises:
        UsageError: the address cannot be had.
    """
    runner = web.AppRunner(service.application(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        try:
            await site.start()
        except OSError as error:
            where = f"{host}:{port}"
            raise UsageError(f"cannot listen: {error.strerror}", where=where, todo="give another --port") from None
        found = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{found}"
        await site.stop()
        await service.gate.drained()
    finally:
        await runner.cleanup()


async def serve_until_stopped(service: Service, host: str, port: int, started: Callable[[str], None]) -> None:
    """Serves until Ctrl-C or SIGTERM, then answers what is in flight; a second one leaves it unanswered.

    Args:
        service: what answers.
        host, port: where.
        started: called with the server's address.

    Raises:
        UsageError: the address cannot be had.
        KeyboardInterrupt: a second Ctrl-C.
    """
    with _stop_signal() as stopped:
        async with listening(service, host, port) as url:
            started(url)
            await stopped.wait()


@contextmanager
def _stop_signal() -> Iterator[asyncio.Event]:
    """An event that the first signal sets; the next one has its usual effect."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        stopped.set()
        restore()

    def restore() -> None:
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    finally:
        restore()
