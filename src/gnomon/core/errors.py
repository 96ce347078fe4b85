"""What can go wrong, as one tree; every leaf knows the exit code it ends a command with.

    GnomonError                4   failed
    ├── UsageError             2   a flag, config key or name that makes no sense
    ├── DataError              3   a file, row or item that cannot be used
    │   └── DocumentError      2   a description of a web API that cannot be read
    ├── ModelError             3   a model that cannot be loaded, reached or read out
    │   └── AbilityError       3   the model lacks what the method needs
    ├── RunError               4   a run that cannot be opened, or whose trials failed
    │   └── Diverged           4   a training whose loss is not finite
    ├── InternalError          3   a mistake of this package, with what is needed to mend it in a file
    └── Stopped              130   stopped by the user; the run resumes

A message has three parts: what is wrong with the value seen, where (file, key, item), and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AbilityError",
    "DataError",
    "Diverged",
    "DocumentError",
    "GnomonError",
    "InternalError",
    "ModelError",
    "RunError",
    "Stopped",
    "UsageError",
    "closest",
]


class GnomonError(Exception):
    """The root of every error that a user can cause or meet.

    Args:
        what: what is wrong, with the value seen.
        where: file, key, item or URL; empty when the message already says it.
        todo: what the user can do about it.
    """

    exit_code = 4

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        self.what, self.where, self.todo = what, where, todo
        head = f"{where}: {what}" if where else what
        super().__init__(f"{head}; {todo}" if todo else head)

    def __reduce__(self) -> tuple[object, ...]:
        # The constructor's keywords would be lost by the default pickling of exceptions,
        # and errors cross process borders in `spread`.
        return _rebuild, (type(self), self.what, self.where, self.todo)


class UsageError(GnomonError):
    """A flag, configuration key or name that makes no sense."""

    exit_code = 2


class DataError(GnomonError):
    """A file, row or item that cannot be used."""

    exit_code = 3


class DocumentError(DataError):
    """A description of a web API, or a file of its defects, that cannot be read: the wrong one was named."""

    exit_code = 2


class ModelError(GnomonError):
    """A model that cannot be loaded, reached or read out."""

    exit_code = 3


class AbilityError(ModelError):
    """The model lacks an ability that the method needs."""


class RunError(GnomonError):
    """A run that cannot be opened, is in use, or had too many failed trials."""


class Diverged(RunError):
    """A training whose loss is no longer a number; a family of trainings may go on without it."""


class InternalError(GnomonError):
    """A mistake of this package and not of its user."""

    exit_code = 3


class Stopped(GnomonError):
    """The user stopped the run; what is committed stays and the same command resumes."""

    exit_code = 130


def closest(name: str, known: Iterable[str]) -> str:
    """A hint that names the known word nearest to `name`, or lists what there is.

    >>> closest("tempratur", ["temperature", "seed"])
    "did you mean 'temperature'?"
    >>> closest("zzz", ["b", "a"])
    'known: a, b'
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return "known: " + ", ".join(known)


def _rebuild(kind: type[GnomonError], what: str, where: str, todo: str) -> GnomonError:
    return kind(what, where=where, todo=todo)
