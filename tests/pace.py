"""Limits on processor time that mean the same on a slow machine and late in a long process of tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time

PROBE_SECONDS = 0.07


def _probe() -> float:
    """Processor seconds of a fixed piece of work on objects and dicts, which most of the project's time goes to."""
    began = process_time()
    _ = {str(i): (i, i + 1) for i in range(200_000)}
    return process_time() - began


def slowdown() -> float:
    """How many times longer than where the limits were set this machine takes for the same work; at least 1."""
    return max(1.0, min(_probe() for _ in range(3)) / PROBE_SECONDS)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block takes less than `seconds` of processor time, longer where the machine is slower.

    What earlier tests left is kept from the garbage collector meanwhile: a walk over it would count as the block's.
    """
    gc.freeze()
    try:
        before, began = slowdown(), process_time()
        yield
        taken = process_time() - began
        pace = max(before, slowdown())
    finally:
        gc.unfreeze()
    assert taken < seconds * pace, f"{taken:.3f} s, and {seconds} s at {pace:.2f} times the usual pace are allowed"
