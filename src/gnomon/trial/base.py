"""The evaluation protocol: a frozen config dataclass with four methods, and a fifth where something is trained first.

@evaluation
@dataclass(frozen=True, kw_only=True)
class Sycophancy:
    "One line: what it asks."            # the first docstring line is its help text
    n: int = 200                          # a field is a flag, a TOML key and a keyword argument
    "Items to ask."                       # the string under a field is its help

    def items(self, seed): ...
    async def trial(self, item, cast, rng): ...
    def summarise(self, rows): ...
    def planted(self): ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NewType, Protocol, runtime_checkable

from gnomon.core.errors import UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.models.base import Model
from gnomon.report.base import Report

__all__ = ["Cast", "Evaluation", "Item", "ModelName", "Planted", "Row", "check_shape"]

# The type of a config field that names a further model: `judge: ModelName = ModelName("")` gives `--judge M` and
# `cast.judge`. The empty name means that the subject plays the part.
ModelName = NewType("ModelName", str)


class Cast(Mapping[str, Model]):
    """The models of a run by role; `cast.subject` is the model under test.

    Args:
        models: model by role.
        proofs: by model name, its abilities and how they were proved; kept in the run.
    """

    def __init__(self, models: Mapping[str, Model], proofs: Mapping[str, Any] | None = None) -> None:
        self._models = dict(models)
        self.proofs = dict(proofs or {})

    def __getitem__(self, role: str) -> Model:
        return self._models[role]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __getattr__(self, role: str) -> Model:
        # copy and pickle probe for dunder names before `_models` exists
        if role.startswith("_"):
            raise AttributeError(role)
        try:
            return self._models[role]
        except KeyError:
            raise AttributeError(f"this cast has no {role!r}; it has {', '.join(self._models)}") from None


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A setting whose truth is known by construction.

    Attributes:
        name: one word, unique within the evaluation; shown by `gnomon validate`.
        cast: model names by role, such as {"subject": "planted:calibrated?a=0&b=1"}.
        truth: metric name (or "metric [group]") to true value.
        config: config fields that this setting changes, such as {"only": ("calibration",), "n": 500}.
        null: this setting has no effect in it; every evaluation has at least one such.
    """

    name: str
    cast: Mapping[str, str]
    truth: Mapping[str, float]
    config: Mapping[str, Any] = field(default_factory=dict)
    null: bool = False


@runtime_checkable
class Evaluation(Protocol):
    """What `@evaluation` demands of a class; see the module docstring for the shape."""

    def items(self, seed: Seed) -> Iterable[Item]:
        """The items; the same seed gives the same items in the same order."""
        ...

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """Asks one item; the row's key is the item's id."""
        ...

    def summarise(self, rows: Sequence[Row]) -> Report:
        """The report; pure, so rows can be scored again years later without a model."""
        ...

    def planted(self) -> Iterable[Planted]:
        """Settings with known truth, one of them a null."""
        ...


def check_shape(kind: type) -> None:
    """Raises `UsageError` when `kind` lacks a method of `Evaluation`."""
    lacking = [m for m in ("items", "trial", "summarise", "planted") if not callable(getattr(kind, m, None))]
    if lacking:
        raise UsageError(f"evaluation {kind.__name__} lacks {', '.join(lacking)}", where=kind.__module__)
