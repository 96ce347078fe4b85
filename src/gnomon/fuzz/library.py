"""Fuzzing from Python: an application or a URL in, what was found out; nothing is printed and nothing kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from gnomon.core.config import build
from gnomon.core.errors import UsageError
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.identities import Credentials
from gnomon.fuzz.locating import located
from gnomon.fuzz.outputs import Found
from gnomon.fuzz.pytesting import Suite
from gnomon.fuzz.searching import Search
from gnomon.fuzz.targets import Target, mounted, opened

__all__ = ["from_asgi", "from_url", "from_wsgi", "searched"]


async def searched(subject: Any, schema: Any = None, **settings: Any) -> Found:
    """What a search finds.

    Args:
        subject: base URL of a server, or an ASGI or WSGI application.
        schema: path, URL, mapping or text of its document; None asks the server or the application for it.
        settings: as `gnomon fuzz --help` shows the flags: `max_time=10`, `bearer="..."`.

    Raises:
        GnomonError: as on the command line.
    """
    target, config, credentials = _given(subject, schema, settings)
    callers = credentials.callers(target.api)
    search = Search(await located(target, callers), config, callers)
    async for _ in search.defects():
        pass
    return search.found()


def from_asgi(app: Any, schema: Any = None, **settings: Any) -> Suite:
    """An ASGI application to be tested with pytest; arguments as of `searched`."""
    return _suite(app, schema, settings)


def from_wsgi(app: Callable[..., Any], schema: Any = None, **settings: Any) -> Suite:
    """A WSGI application to be tested with pytest; arguments as of `searched`."""
    return _suite(app, schema, settings)


def from_url(url: str, schema: Any = None, **settings: Any) -> Suite:
    """A server to be tested with pytest; arguments as of `searched`."""
    return _suite(url, schema, settings)


def _suite(subject: Any, schema: Any, settings: Mapping[str, Any]) -> Suite:
    return Suite(*_given(subject, schema, settings))


def _given(subject: Any, schema: Any, settings: Mapping[str, Any]) -> tuple[Target, Fuzzing, Credentials]:
    who = {field.name for field in fields(Credentials)}
    credentials = build(Credentials, {name: value for name, value in settings.items() if name in who}, "fuzz")
    words = {name: value for name, value in settings.items() if name not in who}
    if callable(subject):
        config = build(Fuzzing, words, "fuzz")
        return mounted(subject, schema, config), config, credentials
    if not isinstance(subject, str):
        raise UsageError(f"a {type(subject).__name__} is no server", todo="give a URL, or an ASGI or WSGI application")
    config = build(Fuzzing, {**words, "url": subject} if schema is not None else words, "fuzz")
    return opened(subject if schema is None else schema, config), config, credentials
