"""What a judge asks of a candidate's process, as frames: load this code, call that function.

Both ends are here. What goes to a candidate is the judge's own and may be in marshal's form, which is quick to read;
what comes back is never read that way.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping, Sequence
from types import CodeType
from typing import Any

from gnomon.sandbox.codec import decode, encode
from gnomon.sandbox.frames import pack

__all__ = ["Uncompiled", "call_frame", "compiled", "compiled_here", "load_frame", "read_call", "read_load"]

# Without references, so that equal arguments have equal frames.
_FORM = 2


class Uncompiled(Exception):
    """A source is no Python."""


def compiled(source: str) -> CodeType:
    """A candidate's source as code; SyntaxError and the like where it is none.

    The judge compiles: it is warm, and in a fresh fork every page that the compiler touches is copied.
    """
    return compile(source, "<candidate>", "exec", dont_inherit=True)


def compiled_here(source: str) -> CodeType:
    """As `compiled`, where the source is run; Uncompiled where it is none."""
    try:
        return compiled(source)
    except Exception as error:
        raise Uncompiled(f"{type(error).__name__}: {error}") from None


def load_frame(code: CodeType | str, names: Sequence[str]) -> bytes:
    """The frame that begins a candidate's life.

    Args:
        code: or a source, which is compiled where it runs.
        names: calls to those of them that the code defines are answered after it has run; empty for a whole program.
    """
    return pack(marshal.dumps((code, list(names))))


def read_load(payload: bytes | memoryview) -> tuple[CodeType | str, list[str]]:
    """What `load_frame` packed: the code and the names."""
    code, names = marshal.loads(payload)
    return code, names


def call_frame(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    back: bool,
    numbered: Callable[[Callable[..., Any]], int] | None = None,
) -> bytes:
    """The frame that asks for a call; Unreadable where an argument cannot be sent.

    Args:
        back: the arguments are told too, as the call leaves them.
        numbered: gives the number of a function among the arguments, by which it is called back.
    """
    plain: Any = (name, back, list(args), dict(kwargs))
    try:
        return pack(marshal.dumps(plain, _FORM))
    except ValueError:  # a value that marshal has no form for
        return pack(marshal.dumps((name, back, encode([*plain[2:]], numbered)), _FORM))


def read_call(
    payload: bytes | memoryview, function: Callable[[int], Any]
) -> tuple[str, bool, list[Any], dict[str, Any]]:
    """What `call_frame` packed: the name, `back`, the arguments, those with a name.

    Args:
        function: gives what stands for the judge's function of a number.
    """
    name, back, *given = marshal.loads(payload)
    args, kwargs = given if len(given) == 2 else decode(given[0], function)
    return name, back, args, kwargs
