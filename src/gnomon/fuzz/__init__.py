"""Fuzzing web APIs: a schema in, a short list of distinct, minimal, reproducible defects out.

    found = gnomon.fuzz(app, max_time=10)          # an ASGI or WSGI application, or a URL
    api = gnomon.fuzz.from_asgi(app)               # for pytest: @api.parametrize()

    @gnomon.fuzz.check                             # a check of your own, for both
    def no_stack_traces(case, reply): ...

Importing this loads nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnomon.fuzz.hooks import before_send, check
    from gnomon.fuzz.library import from_asgi, from_url, from_wsgi
    from gnomon.fuzz.values import Format, register_format

__all__ = ["Format", "before_send", "check", "from_asgi", "from_url", "from_wsgi", "register_format"]

_WHERE = {
    "Format": "values",
    "before_send": "hooks",
    "check": "hooks",
    "from_asgi": "library",
    "from_url": "library",
    "from_wsgi": "library",
    "register_format": "values",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'gnomon.fuzz' has no attribute {name!r}")
    return getattr(import_module(f"gnomon.fuzz.{_WHERE[name]}"), name)
