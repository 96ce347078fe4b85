"""Ways to a server: a socket, or an application in this process; `Transport` in `fuzz.base` is what they share."""

from gnomon.fuzz.transport.asgi import AsgiTransport
from gnomon.fuzz.transport.http import HttpTransport
from gnomon.fuzz.transport.wsgi import WsgiTransport

__all__ = ["AsgiTransport", "HttpTransport", "WsgiTransport"]
