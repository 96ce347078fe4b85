"""One call of a function where candidates run, for work on data that is not trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gnomon.sandbox.asked import compiled
from gnomon.sandbox.host import Ended, Raised, Zygote
from gnomon.sandbox.limits import Limits
from gnomon.sandbox.protection import Protection, SandboxError

__all__ = ["called"]


def called(source: str, name: str, args: Sequence[Any], protection: Protection, limits: Limits) -> Any:
    """What the function `name` of `source` returns, a plain value.

    Raises:
        SandboxError: it raises, uses more than `limits`, or returns no plain value.
    """
    zygote = Zygote([layer for layer in protection.layers if layer != "bubblewrap"], limits, protection.wrapper)
    try:
        session = zygote.start()
        session.load(compiled(source), [name])
        return session.call(name, args, {}, back=False)[0]
    except (Ended, Raised) as error:
        raise SandboxError(f"{name} came to no end ({error})", where="the sandbox") from None
    finally:
        zygote.close()
