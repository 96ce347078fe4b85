"""Several sources in one: `A,B`, or `A*0.3,B*0.7` with the share of each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from gnomon.core.errors import UsageError

__all__ = ["divided_by", "shares", "sources"]


def sources(spec: str) -> list[str]:
    """The sources that `spec` names, in order; `UsageError` where one is named twice or is empty."""
    names = [name.partition("*")[0].strip() for name in spec.split(",")]
    if "" in names or len(set(names)) < len(names):
        todo = "write brook:forum,brook:vandal"
        raise UsageError(f"{spec!r} names a source twice, or none", where="--data", todo=todo)
    return names


def shares(spec: str) -> list[float]:
    """The share of each source; none where `spec` says none.

    Raises:
        UsageError: they do not add up to 1, or some sources have none.
    """
    said = [name.partition("*")[2] for name in spec.split(",") if "*" in name]
    try:
        found = [float(share) for share in said]
    except ValueError:
        found = [-1.0]
    if found and (min(found) <= 0 or abs(sum(found) - 1) > 1e-6 or len(found) != spec.count(",") + 1):
        todo = "give each source one above 0, such as brook:requests*0.3,brook:red-team*0.7"
        raise UsageError(f"the shares of {spec!r} do not add up to 1", where="--data", todo=todo)
    return found


def divided_by(of: Sequence[float], n: int) -> list[int]:
    """`n` things divided by shares that add up to 1; rounded, and the parts add up to `n`.

    >>> divided_by([0.3, 0.3, 0.4], 4)
    [1, 1, 2]
    """
    return [end - begin for begin, end in pairwise([0, *(round(n * total) for total in accumulate(of))])]
