"""Modules that a user names: an application, or hooks."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

from gnomon.core.errors import UsageError

__all__ = ["imported"]


def imported(module: str, where: str) -> ModuleType:
    """The module, which may lie in the current folder, as `python -m` finds it.

    Args:
        module: its dotted name.
        where: what named it, for the message.

    Raises:
        UsageError: there is no such module, or it raises while it is imported.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return import_module(module)
    # A module that finds no database may well call sys.exit, whose status would read as a finding.
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{module} cannot be imported: {type(error).__name__}: {error}",
            where=where,
            todo=f"try python -c 'import {module}' here",
        ) from error
