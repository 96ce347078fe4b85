"""Which calls a test makes whatever it is answered: those are sent along with the candidate, all at once.

The test is run once against an answer that agrees to everything. A call whose arguments hold that answer depends on
what a candidate says, and ends the list: what one candidate answered never reaches the next.
"""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from gnomon.sandbox.asked import call_frame
from gnomon.sandbox.codec import Unreadable
from gnomon.sandbox.verdict import Check

__all__ = ["foreseen", "run_test"]

# Half of what a pipe holds, so that nothing waits for it to be read.
_MOST_BYTES = 32 << 10
_SECONDS = 0.3


class _Enough(BaseException):
    """The list ends here."""


class _Agreeable:
    """An answer that agrees to everything."""

    __hash__ = None  # type: ignore[assignment]  # a set of answers would depend on them

    def _self(self, *_: Any) -> _Agreeable:
        return self

    def _yes(self, *_: Any) -> bool:
        return True

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __bool__ = _yes  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __abs__ = __neg__ = __round__ = _self
    __truediv__ = __rtruediv__ = __mod__ = __rmod__ = __getitem__ = _self

    def __ne__(self, other: object) -> bool:
        return False

    def __float__(self) -> float:
        return 0.0

    def __iter__(self) -> Iterator[Any]:
        # Without this `__getitem__` would make it an answer that never ends.
        return iter(())


def foreseen(check: Check, compiled: Callable[[str, str], Any]) -> tuple[bytes, ...]:
    """The frames of the calls that `check` makes first, as long as they do not depend on answers.

    Args:
        compiled: gives the code of a source and its name.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return ()
    frames: list[bytes] = []

    def proxy(name: str) -> Callable[..., Any]:
        def candidate(*args: Any, **kwargs: Any) -> Any:
            try:
                frames.append(call_frame(name, args, kwargs, back=check.back))
            except Unreadable:
                raise _Enough from None
            if sum(map(len, frames)) > _MOST_BYTES:
                frames.pop()
                raise _Enough
            return _Agreeable()

        return candidate

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Enough

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
    try:
        run_test(check, proxy, compiled)
    except (_Enough, Exception):
        # a test that looks into its answers ends early here; the rest is asked call by call
        pass
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return tuple(frames)


def run_test(check: Check, proxy: Callable[[str], Callable[..., Any]], compiled: Callable[[str, str], Any]) -> None:
    """Runs the test with what `proxy` gives for each name that it calls; raises what the test raises."""
    proxies = {name: proxy(name) for name in check.names}
    names: dict[str, Any] = {"__name__": "check"}
    random.seed(check.seed)
    if check.setup:
        exec(compiled(check.setup, "<reference>"), names)
    if not check.reference_bound:
        names.update(proxies)
    exec(compiled(check.test, "<test>"), names)
    if not check.reference_bound:
        names.update(proxies)
    if check.call:
        names[check.call](proxies[check.names[0]])
