"""Requests that are no HTTP/1.1, as bytes: each is a good request with one thing wrong, by the name of what is wrong.

RFC 9112 says of some that a server must refuse them (`MUST_BE_REFUSED`); of the others it only has to outlive them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gnomon.fuzz.base import Request

__all__ = ["MALFORMED", "MUST_BE_REFUSED", "malformed"]


class _Parts(NamedTuple):
    """A good request in parts; headers end without a line break."""

    method: bytes
    target: bytes
    headers: tuple[bytes, ...]
    body: bytes

    def line(self, version: bytes = b"HTTP/1.1") -> bytes:
        return b" ".join((self.method, self.target, version))

    def whole(self, *more: bytes, line: bytes | None = None, body: bytes | None = None) -> bytes:
        """The request with further headers; its length is one of them where `body` is not given."""
        sent = self.body if body is None else body
        length = (b"content-length: %d" % len(self.body),) if body is None and self.body else ()
        return b"\r\n".join((line or self.line(), *self.headers, *length, *more, b"", b"")) + sent

    def chunked(self, body: bytes, *more: bytes) -> bytes:
        return self.whole(b"transfer-encoding: chunked", *more, body=body)


def _hosts(number: int) -> Callable[[_Parts], bytes]:
    def sent(parts: _Parts) -> bytes:
        host, *others = parts.headers
        return parts._replace(headers=(*[host] * number, *others)).whole()

    return sent


def _target(change: Callable[[bytes], bytes]) -> Callable[[_Parts], bytes]:
    return lambda parts: parts.whole(line=parts._replace(target=change(parts.target)).line())


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body) or 1, body or b"a")


MALFORMED: Mapping[str, Callable[[_Parts], bytes]] = {
    "no host": _hosts(0),
    "two hosts": _hosts(2),
    "blank before a colon": lambda parts: parts.whole(b"x-odd : 1"),
    "length that is no number": lambda parts: parts.whole(b"content-length: 1x", body=parts.body),
    "negative length": lambda parts: parts.whole(b"content-length: -1", body=parts.body),
    "two lengths": lambda parts: parts.whole(b"content-length: 3", b"content-length: 4", body=b"abcd"),
    "length too small": lambda parts: parts.whole(b"content-length: 1", body=parts.body + b"xyz"),
    "length too large": lambda parts: parts.whole(b"content-length: 99999", body=parts.body),
    "length beyond 64 bits": lambda parts: parts.whole(b"content-length: 99999999999999999999999", body=parts.body),
    "length and chunks": lambda parts: parts.chunked(_chunk(parts.body), b"content-length: 5"),
    "chunk size that is no number": lambda parts: parts.chunked(b"zz\r\nab\r\n0\r\n\r\n"),
    "chunk size beyond 64 bits": lambda parts: parts.chunked(b"f" * 24 + b"\r\nab\r\n0\r\n\r\n"),
    "chunk longer than it says": lambda parts: parts.chunked(b"1\r\nabcdef\r\n0\r\n\r\n"),
    "chunk that ends early": lambda parts: parts.chunked(b"ff\r\nab"),
    "unknown transfer coding": lambda parts: parts.whole(b"transfer-encoding: odd, chunked", body=_chunk(parts.body)),
    "header without a colon": lambda parts: parts.whole(b"x-odd"),
    "header without a name": lambda parts: parts.whole(b": 1"),
    "header's name not ASCII": lambda parts: parts.whole(b"x-\xff\xfe: 1"),
    "header's value not UTF-8": lambda parts: parts.whole(b"x-odd: \xff\xfe\xe9"),
    "NUL in a header": lambda parts: parts.whole(b"x-odd: a\x00b"),
    "bare CR in a header": lambda parts: parts.whole(b"x-odd: a\rb"),
    "folded header": lambda parts: parts.whole(b"x-odd: a\r\n b"),
    "header of 100,000 bytes": lambda parts: parts.whole(b"x-odd: " + b"a" * 100_000),
    "thousand headers": lambda parts: parts.whole(*(b"x-odd-%d: 1" % i for i in range(1000))),
    "target not UTF-8": _target(lambda target: target + b"\xff\xfe"),
    "target with a blank": _target(lambda target: target + b" x"),
    "target with NUL": _target(lambda target: target + b"\x00"),
    "target with a cut escape": _target(lambda target: target + b"%"),
    "target with escapes that are no UTF-8": _target(lambda target: target + b"%ff%fe%c0%af"),
    "target without a slash": _target(lambda target: target.lstrip(b"/") or b"x"),
    "target of 100,000 bytes": _target(lambda target: target + b"a" * 100_000),
    "unknown version": lambda parts: parts.whole(line=parts.line(b"HTTP/9.9")),
    "no version": lambda parts: parts.whole(line=parts.method + b" " + parts.target),
    "no method": lambda parts: parts.whole(line=b" " + parts.target + b" HTTP/1.1"),
    "bytes that are no request": lambda parts: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "headers that end early": lambda parts: parts.whole()[: len(parts.line()) + 6],
}
"By name, the bytes of a request with that wrong."

MUST_BE_REFUSED = frozenset(
    {"no host", "two hosts", "blank before a colon", "length that is no number", "negative length", "two lengths"}
)
"What a server must answer with 400 or by closing (RFC 9112, sec. 3.2, 5.1 and 6.3)."


def malformed(request: Request, host: str) -> bytes:
    """The bytes of a request whose `malformed` names what is wrong; `host` goes into its header."""
    headers = [(b"host", host.encode()), (b"connection", b"close")]
    headers += [(name.encode("utf-8"), value.encode("utf-8")) for name, value in request.headers]
    lines = tuple(name + b": " + value for name, value in headers)
    parts = _Parts(request.method.encode(), request.target.encode("utf-8", "replace"), lines, request.body)
    return MALFORMED[request.malformed](parts)
