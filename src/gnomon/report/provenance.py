"""Where a report comes from: all a reader needs to judge it and to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Provenance"]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What stands behind a report.

    Attributes:
        run: the run's id; "" for a report without a run, such as a comparison.
        verb: assay, train, validate, compare.
        name: the method's name.
        model: name of the model under test; "" where there is none.
        cast: role to "name@revision".
        seed: root of the seed tree.
        config: the method's configuration, JSON values only.
        versions: package to version.
        command: what to type to make the report again.
        timing: seconds and rates; nothing here is part of the result.
    """

    run: str = ""
    verb: str = ""
    name: str = ""
    model: str = ""
    cast: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    timing: Mapping[str, Any] = field(default_factory=dict)
