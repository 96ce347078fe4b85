"""What a search found, as every output takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gnomon.fuzz.base import Api, Defect
from gnomon.fuzz.outputs.curl import curl
from gnomon.fuzz.outputs.steps import Step, steps_of
from gnomon.fuzz.outputs.text import presentable

__all__ = ["NOWHERE", "Found"]

NOWHERE = "http://127.0.0.1:8000"
"The origin in what is written of an application in this process."


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        api: what was promised.
        defects: in the order in which they were first seen, advice among them; titles and details can be shown.
        origin: scheme, host and port of the server; where none was there, one at port 8000 here.
        secrets: names of marks by secret.
        requests, seconds: how many were sent, in what time.
        began: when, in seconds since 1970.
        document: where the document was read, "" where it was given as such.
        notes: what went wrong beside the search, such as a check of the user's that raised.
    """

    api: Api
    defects: Sequence[Defect]
    origin: str = NOWHERE
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    requests: int = 0
    seconds: float = 0.0
    began: float = 0.0
    document: str = ""
    notes: Sequence[str] = ()

    @classmethod
    def of(cls, api: Api, defects: Sequence[Defect], *, secrets: Mapping[str, str], **more: Any) -> Found:
        """What was found, fit to be shown; `more` are further attributes."""
        shown = [presentable(each, secrets) for each in defects]
        return cls(api=api, defects=shown, secrets=secrets, **more)

    @cached_property
    def certain(self) -> list[Defect]:
        """The defects that no reading of the document allows."""
        return [each for each in self.defects if each.violation.certain]

    def steps(self, defect: Defect) -> list[Step]:
        """The requests that show a defect."""
        return steps_of(defect, self.secrets)

    def curl(self, defect: Defect) -> str:
        """Lines for bash that show a defect."""
        return curl(defect, self.origin, secrets=self.secrets)
