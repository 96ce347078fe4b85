"""Streams in turns: what is many-sided is seen from every side before it is seen to its end from one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["in_turns"]

T = TypeVar("T")


def in_turns(streams: Sequence[Iterator[T]]) -> Iterator[T]:
    """One of each in turn, until all have ended.

    >>> "".join(in_turns([iter("ace"), iter("b"), iter("df")]))
    'abdcfe'
    """
    going = list(streams)
    while going:
        left = []
        for stream in going:
            for found in stream:
                yield found
                left.append(stream)
                break
        going = left
