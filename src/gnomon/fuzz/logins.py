"""Credentials that a request gets: who logs in, where the token stands in the answer, and a new one when it expires."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any

from gnomon.core.errors import UsageError
from gnomon.fuzz.base import NOTHING, Reply, Request, Transport
from gnomon.fuzz.state.expressions import pointed

__all__ = ["Login"]

_COMMON = ("access_token", "token", "accessToken", "id_token", "jwt", "key")
_HIDDEN = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)
_FLAG = "--login"


@dataclass(frozen=True, kw_only=True)
class Login:
    """A request whose answer has a token.

    Attributes:
        request: what is sent, without further credentials.
        pointer: JSON pointer of the token in the answer; "" for the names that are common.
        secrets: texts of the request that no report shows.
    """

    request: Request
    pointer: str = ""
    secrets: frozenset[str] = frozenset()

    @classmethod
    def of(cls, text: str, pointer: str = "") -> Login:
        """A login out of `METHOD TARGET BODY`, where `${NAME}` is a variable of the environment.

        The body is JSON or, where it is none, a form; without one it is left out.

        >>> Login.of('POST /login {"user": "a"}').request.body
        b'{"user": "a"}'

        Raises:
            UsageError: it is no such text, or a variable is not set.
        """
        parts = _filled(text).split(None, 2)
        if len(parts) < 2 or not parts[0].isalpha() or not parts[1].startswith("/"):
            todo = """write 'POST /login {"user": "NAME", "password": "${PASSWORD}"}'"""
            raise UsageError(f"{text.split()[:1]} begins no request", where=_FLAG, todo=todo)
        method, target, body = parts[0].upper(), parts[1], parts[2] if len(parts) > 2 else ""
        if pointer and not pointer.startswith("/"):
            raise UsageError(f"{pointer!r} is no JSON pointer", where="--login-token", todo=f"write /{pointer}")
        value = _json(body)
        kind = "application/x-www-form-urlencoded" if value is NOTHING else "application/json"
        headers = (("content-type", kind),) if body else ()
        request = Request(method=method, target=target, headers=headers, body=body.encode())
        return cls(request=request, pointer=pointer, secrets=frozenset(_secrets(value, body)))

    async def token(self, transport: Transport, timeout: float) -> str:
        """The token that the server answers now.

        Raises:
            UsageError: it answers none.
        """
        reply = await transport.send(self.request, timeout=timeout)
        where = f"{self.request.method} {self.request.target}"
        if not 200 <= reply.status < 300:
            raise UsageError(f"{where} answers {reply.status or reply.fault}", where=_FLAG, todo="mend the request")
        found = self._read(reply)
        if not isinstance(found, str) or not found:
            todo = "say by --login-token where it stands, as a JSON pointer"
            raise UsageError(
                f"{where} answers no token at {self.pointer or ', '.join(_COMMON)}", where=_FLAG, todo=todo
            )
        return found

    def _read(self, reply: Reply) -> Any:
        said = _json(reply.body.decode("utf-8", "replace"))
        if self.pointer:
            return pointed(said, self.pointer)
        inner = [said, *(said.get(name) for name in ("data", "result"))] if isinstance(said, dict) else []
        found = (each[name] for each in inner if isinstance(each, dict) for name in _COMMON if name in each)
        return next(found, said)


def _filled(text: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise UsageError(f"the environment has no {match[1]}", where=_FLAG, todo=f"set {match[1]}")
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return NOTHING


def _secrets(value: Any, body: str) -> list[str]:
    """Texts under names such as `password`."""
    pairs = value.items() if isinstance(value, dict) else [pair.partition("=")[::2] for pair in body.split("&")]
    return [each for name, each in pairs if _HIDDEN.search(name) and isinstance(each, str) and len(each) > 3]
