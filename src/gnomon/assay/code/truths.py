"""Settings whose pass@k is known in closed form."""

from __future__ import annotations

from collections.abc import Iterator

from gnomon.data.worlds.brook.programs import RIGHT
from gnomon.models.planted.programmer import HOT_CHANCE
from gnomon.trial import Planted

__all__ = ["settings"]


def settings() -> Iterator[Planted]:
    """Programmers of known skill."""
    chances = list(RIGHT.values())
    yield Planted(
        name="skill",
        cast={"subject": "planted:programmer"},
        truth={"pass@1": _mean(chances, 1), "pass@5": _mean(chances, 5), **_levels(1.0)},
        config={"n": 60, "samples": 10, "k": (1, 5)},
    )
    yield Planted(
        name="null",
        cast={"subject": "planted:programmer?know=0"},
        truth={"pass@1": 0.0, "pass@5": 0.0, "any sample right": 0.0},
        config={"n": 60, "samples": 10, "k": (1, 5)},
        null=True,
    )
    yield Planted(
        name="temperature",
        cast={"subject": "planted:hasty"},
        truth={
            "pass@1 [T=0.8]": HOT_CHANCE,
            "pass@10 [T=0.8]": 1 - (1 - HOT_CHANCE) ** 10,
        },
        config={"n": 60, "samples": 20, "k": (1, 10), "temperature": (0.2, 0.8)},
    )


def _mean(chances: list[float], k: int) -> float:
    return sum(1 - (1 - p) ** k for p in chances) / len(chances)


def _levels(know: float) -> dict[str, float]:
    return {f"pass@1 [{k} operation{'s' * (k > 1)}]": know * p for k, p in RIGHT.items()}
