"""Settings whose pass@k is known in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from gnomon.data.code_bindings import BOUND_RATE, SIZES
from gnomon.data.code_chains import PLANTED_RATE
from gnomon.data.worlds.brook.programs import RIGHT
from gnomon.models.planted.programmer import HOT_CHANCE
from gnomon.trial import Planted

__all__ = ["settings"]


def settings() -> Iterator[Planted]:
    """Programmers of known skill."""
    yield Planted(
        name="skill",
        cast={"subject": "planted:talented?a=1&b=2"},
        truth={f"pass@{k}": _beta(1.0, 2.0, k) for k in (1, 5)},
        config={"n": 30, "samples": 8, "k": (1, 5)},
    )
    yield Planted(
        name="brook",
        cast={"subject": "planted:programmer"},
        truth={f"pass@1 [{k} operation{'s' * (k > 1)}]": p for k, p in RIGHT.items()},
        config={"n": 60, "samples": 8, "k": (1,)},
    )
    yield Planted(
        name="null",
        cast={"subject": "planted:programmer?know=0"},
        truth={"pass@1": 0.0, "pass@5": 0.0, "any sample right": 0.0},
        config={"n": 30, "samples": 8, "k": (1, 5)},
        null=True,
    )
    yield Planted(
        name="no-gap",
        cast={"subject": "planted:programmer?gap=0"},
        truth={"gained by mean log-probability over a random one": 0.0},
        config={"n": 30, "samples": 8, "k": (1,)},
    )
    yield from _sets()


def _sets() -> Iterator[Planted]:
    """The same on other sets, and one whose best temperature depends on k."""
    yield Planted(
        name="chains",
        cast={"subject": "planted:programmer"},
        truth={"kept by each further block": PLANTED_RATE},
        config={"data": "chains", "n": 60, "samples": 8, "k": (1,)},
    )
    yield Planted(
        name="temperature",
        cast={"subject": "planted:hasty"},
        truth={"pass@1 [T=0.8]": HOT_CHANCE, "pass@5 [T=0.8]": 1 - (1 - HOT_CHANCE) ** 5},
        config={"n": 60, "samples": 12, "k": (1, 5), "temperature": (0.2, 0.8)},
    )
    chances = [BOUND_RATE**operations for _, operations in SIZES]
    yield Planted(
        name="bindings",
        cast={"subject": "planted:programmer"},
        truth={f"pass@{k}": sum(1 - (1 - p) ** k for p in chances) / len(chances) for k in (1, 5)},
        config={"data": "bindings", "n": 50, "samples": 8, "k": (1, 5)},
    )


def _beta(a: float, b: float, k: int) -> float:
    """The mean of 1 - (1-p)^k for p of a Beta distribution."""
    return 1.0 - prod((b + i) / (a + b + i) for i in range(k))
