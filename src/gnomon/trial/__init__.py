"""Items through a cast: the driver of every evaluation.

`evaluation` registers a config dataclass; `runner` asks and keeps every row; `validate` holds an instrument against
planted truth; `compare` reads two runs paired by item.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import TypeVar

from gnomon.core.errors import UsageError
from gnomon.core.registry import registered
from gnomon.trial.base import Cast, Evaluation, Item, ModelName, Planted, Row, check_shape

__all__ = ["Cast", "Evaluation", "Item", "ModelName", "Planted", "Row", "evaluation"]

T = TypeVar("T", bound=type)


def evaluation(kind: T) -> T:
    """Registers a frozen config dataclass as what its module offers under `gnomon assay`.

    Raises:
        UsageError: the class is no frozen dataclass, or lacks one of the four methods.
    """
    params = getattr(kind, "__dataclass_params__", None)
    if not is_dataclass(kind) or params is None or not params.frozen:
        raise UsageError(f"evaluation {kind.__name__} is not a frozen dataclass", where=kind.__module__)
    check_shape(kind)
    registered(kind)
    return kind
