"""Ways to a server: a socket, or an application in this process; `Transport` in `fuzz.base` is what they share.

Sockets are in `transport.http`, apart from here: an application in this process does without the client's import.
"""

from __future__ import annotations

import inspect
from typing import Any

from gnomon.fuzz.transport.asgi import AsgiTransport
from gnomon.fuzz.transport.wsgi import WsgiTransport

__all__ = ["AsgiTransport", "WsgiTransport", "transport_of"]


def transport_of(app: Any) -> AsgiTransport | WsgiTransport:
    """The way into an application: ASGI where its call is a coroutine function, else WSGI."""
    is_asgi = inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)
    return AsgiTransport(app) if is_asgi else WsgiTransport(app)
