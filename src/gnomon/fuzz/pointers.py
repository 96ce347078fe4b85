"""JSON pointers (RFC 6901): a key as a token, and back."""

from __future__ import annotations

__all__ = ["escaped", "tokens", "unescaped"]


def escaped(key: str) -> str:
    """A key as a token.

    >>> escaped("a/b")
    'a~1b'
    """
    return key.replace("~", "~0").replace("/", "~1")


def unescaped(token: str) -> str:
    """The key that a token means."""
    return token.replace("~1", "/").replace("~0", "~")


def tokens(pointer: str) -> list[str]:
    """The keys of a pointer, the outermost first; none of the empty one."""
    return [unescaped(token) for token in pointer.split("/")[1:]]
