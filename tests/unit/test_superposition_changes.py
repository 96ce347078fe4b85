"""Drops and jumps that were put into a curve are found, and none in one that falls smoothly or only shakes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnomon.explain.superposition.changes import SPAN, drops, fall, jumps, matched

LOOKS = 200
TIMES = torch.arange(LOOKS, dtype=torch.float)


def step(at: int, size: float, width: float = 3.0) -> Tensor:
    return size * torch.sigmoid((TIMES - at) / width)


def dropped(course: Tensor, seed: int, shake: float) -> list[int]:
    """Drops of a loss that follows `course`, measured on 2,000 examples, in a training that shakes it."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.rand(2000, generator=generator) * 2
    moved = course + shake * torch.randn(LOOKS, generator=generator)
    errors = moved[:, None] * own + 0.001 * torch.randn(LOOKS, 2000, generator=generator)
    return drops([fall(errors[at], errors[at + SPAN]) for at in range(LOOKS - SPAN)])


@settings(max_examples=20)
@given(st.integers(30, 165), st.integers(0, 1000))
def test_a_drop_put_into_a_smooth_fall_is_found_where_it_is(at: int, seed: int) -> None:
    course = 1 + torch.exp(-TIMES / 15) - step(at, 0.2)
    found = dropped(course, seed, shake=0.001)
    assert len(found) == 1 and abs(found[0] - at) <= 3


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([0.0005, 0.005]))
def test_a_smooth_fall_has_no_drop_however_it_shakes(seed: int, shake: float) -> None:
    assert dropped(1 + torch.exp(-TIMES / 15), seed, shake) == []
    assert dropped(torch.ones(LOOKS), seed, shake) == []


def test_jumps_of_shares_are_found_feature_by_feature() -> None:
    generator = torch.Generator().manual_seed(0)
    course = torch.stack([0.4 + step(60, 0.1), 0.5 - step(120, 0.5), 0.4 * torch.ones(LOOKS), step(60, 0.01)], dim=1)
    found = jumps(course + 0.001 * torch.randn(LOOKS, 4, generator=generator))
    assert [len(each) for each in found] == [1, 1, 0, 0]
    assert abs(found[0][0] - 60) <= 2 and abs(found[1][0] - 120) <= 2


def test_matching_counts_what_is_near_and_what_chance_would_give() -> None:
    found = matched([10, 50, 99], [[12], [], [90]], 100, 2)
    assert found.near == [True, False, False] and found.chance == pytest.approx(0.1)
    assert matched([], [[]], 100, 2) == ([], 0.0)


def test_too_few_looks_say_nothing() -> None:
    few = torch.rand(SPAN + 1, 2)
    assert jumps(few) == [[], []] and drops([fall(few[0], few[1])]) == []
