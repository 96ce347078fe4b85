"""Which Brook a run was made with: what it draws and what it judges follow from its source, which no config names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

__all__ = ["fingerprint", "in_identity"]

# brook-facts is a task; brook-assistant, which may be what rewards, is a model.
_NAMED = re.compile(r"(^|[,+])\s*brook($|[:*,+]|-(?!assistant))")


@cache
def fingerprint() -> str:
    """A hash over the source of the world: tables, drawing, judging. Not the checkpoints, which have revisions."""
    folder, found = Path(__file__).parent / "brook", hashlib.blake2b(digest_size=8)
    for file in sorted(folder.rglob("*.py")):
        found.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def in_identity(specs: Iterable[str]) -> dict[str, str]:
    """What to add to the identity of a run: the fingerprint where one of `specs` names Brook, else nothing.

    Args:
        specs: sources as configs name them: data, mixtures, tasks, raters.

    >>> list(in_identity(["brook:requests*0.3,prompts.jsonl*0.7"])), in_identity(["prompts.jsonl"])
    (['brook'], {})
    """
    return {"brook": fingerprint()} if any(map(_NAMED.search, specs)) else {}
