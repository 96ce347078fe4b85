"""Two batches that make the same are said to, and two that do not are told apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gnomon.core.record import Row
from gnomon.explain.superposition.experiments import batch


def rows(loss: Callable[[int, int], float], shape: Callable[[int, int], str]) -> list[Row]:
    return [
        Row(
            key=f"{name}, batch {size}/{start}",
            cluster=f"{name}, batch {size}",
            evidence={"toy": {"seed": start}, "loss": loss(size, start), "shape": shape(size, start)},
        )
        for name in batch._SETUPS
        for size in (256, 1024)
        for start in range(20)
    ]


def test_what_does_not_differ_is_not_told_apart() -> None:
    told = batch.told(rows(lambda _, start: 1.0 + start, lambda _, start: "pentagon" if start % 3 else "square"))
    for each in told.estimates:
        assert each.value == pytest.approx(0.0 if each.metric.startswith("distance") else 1.0)


def test_what_differs_is_told_apart() -> None:
    made = rows(
        lambda size, start: (1.0 + start) * (1.2 if size == 256 else 1.0),
        lambda size, start: "square" if size == 256 and start % 2 else "pentagon",
    )
    found = {e.metric: e for e in batch.told(made).estimates if e.group == "20 in 5, density 0.1"}
    assert found["loss, batch of 256 over 1,024"].value == pytest.approx(1.2)
    assert found["least loss, batch of 256 over 1,024"].value == pytest.approx(1.2)
    apart = found["distance of the shares of geometries"]
    assert apart.value == 0.5 and (apart.null or 0) < 0.2 and apart.reason.startswith("as far or farther in 0.00")
