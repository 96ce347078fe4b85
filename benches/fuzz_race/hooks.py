"""What a service raises, written down where it runs: exception type and frames, whatever the framework makes of it.

Standard library only, for it is imported by the interpreter of the service.
"""

from __future__ import annotations

import contextlib
import json
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Recorder", "asgi", "graphql", "wsgi"]

# What says more about this machine than about the service.
NOISE = ("database is locked", "no such function", "CancelledError", "ClientDisconnect")
_STDLIB = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib")})
_HERE = str(Path(__file__).parent)


class Recorder:
    """Appends one JSON line an exception to a file: `at` (seconds since the epoch), `type`, `frames`, `text`."""

    def __init__(self, file: Path) -> None:
        self._out = file.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def note(self, error: BaseException) -> None:
        """Writes an exception down; the same one only once, and none that is noise."""
        kind = type(error).__qualname__
        text = f"{kind}: {error}"[:500]
        if getattr(error, "_noted", False) or any(noise in text for noise in NOISE):
            return
        with contextlib.suppress(AttributeError):
            error._noted = True  # type: ignore[attr-defined]  # any exception may carry it
        line = json.dumps({"at": time.time(), "type": kind, "frames": frames_of(error), "text": text})
        with self._lock:
            self._out.write(line + "\n")


def frames_of(error: BaseException) -> list[tuple[str, str]]:
    """(file, function) outermost first, without the standard library; a frame that follows itself counts once."""
    found: list[tuple[str, str]] = []
    for frame in traceback.extract_tb(error.__traceback__):
        file = frame.filename
        if file.startswith(_HERE) or ("site-packages" not in file and file.startswith(_STDLIB)):
            continue
        pair = (file.rpartition("site-packages/")[2], frame.name)
        if not found or found[-1] != pair:
            found.append(pair)
    return found


def wsgi(app: Any, recorder: Recorder) -> Any:
    """The application, its uncaught exceptions noted; they go on to the server."""

    def noted(environ: Any, start_response: Any) -> Any:
        parts: Any = ()
        try:
            parts = app(environ, start_response)
            yield from parts
        except Exception as error:
            recorder.note(error)
            raise
        finally:
            if hasattr(parts, "close"):
                parts.close()

    return noted


def asgi(app: Any, recorder: Recorder) -> Any:
    """The application, its uncaught exceptions noted and answered by 500 where nothing was sent yet."""

    async def noted(scope: Any, receive: Any, send: Any) -> None:
        sent = False

        async def watched(message: Any) -> None:
            nonlocal sent
            sent = True
            await send(message)

        try:
            await app(scope, receive, watched)
        except Exception as error:
            recorder.note(error)
            if sent or scope["type"] != "http":
                return
            headers = [(b"content-type", b"application/json"), (b"content-length", b"35")]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"detail": "Internal Server Error"}'})

    return noted


def graphql(recorder: Recorder) -> None:
    """Notes what resolvers raise, which graphql-core turns into errors of an answer."""
    import graphql.execution

    # Which of its modules locates errors depends on its version.
    package = graphql.execution.__name__
    places = [m for n, m in sys.modules.items() if n.startswith(package) and hasattr(m, "located_error")]
    located: Callable[..., Any] = places[0].located_error

    def noted(original: Exception, *args: Any) -> Any:
        if not isinstance(original, graphql.GraphQLError):
            recorder.note(original)
        return located(original, *args)

    for place in places:
        place.located_error = noted  # type: ignore[attr-defined]  # it has one, see above
